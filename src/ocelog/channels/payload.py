"""What programs read of an alert: one JSON object, with the names of Panther's webhook and some of our own."""

import json
from collections.abc import Mapping
from typing import Any

from ocelog.alert.notice import Happened, Notice
from ocelog.channels.text import one_line
from ocelog.times import from_us, rfc3339

MOST_CONTEXT = 200 * 1024
"""Bytes of alert_context as JSON: as much as a rule may return."""
_MOST_DIGEST = 20
_DEEPEST = 50


def payload(notice: Notice) -> dict[str, Any]:
    """Return `notice` as plain JSON values.

    id, createdAt, severity, type, link, title, name, alertId, alertContext, description, runbook, tags and version are
    what Panther's webhook sends (its documentation, read 2026-11); `link` is the record's page at its source.
    """
    return {
        "id": notice.rule_id,
        "createdAt": rfc3339(from_us(notice.opened_us)),
        "severity": notice.severity.value,
        "type": notice.type.value,
        "link": notice.link or "",
        "title": notice.title,
        "name": notice.rule_name,
        "alertId": notice.alert_id,
        "alertContext": _context(notice.context),
        "description": notice.description,
        "runbook": notice.runbook,
        "tags": list(notice.tags),
        "version": notice.rule_revision,
        "event": notice.happened.value,
        "status": notice.status.value,
        "key": notice.key,
        "source": notice.source,
        "logType": notice.log_type,
        "matches": notice.matches,
        "reference": notice.reference,
        "note": notice.note,
        "merged": notice.merged,
        "digest": [_brief(each) for each in notice.digest[:_MOST_DIGEST]],
    }


def far_key(notice: Notice, longest: int) -> str:
    """Return what names the alert at a far end that keeps alerts itself: the same for all that is told of one.

    A digest and a test have one of their own.
    """
    own = notice.happened in {Happened.DIGEST, Happened.TEST}
    return one_line(f"ocelog-{notice.key if own else notice.alert_id}")[:longest]


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return `value` as JSON that is the same for the same value: sorted, without blanks, ASCII.

    So no letter of it can steer a terminal either.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _context(context: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(context)
    size = len(json.dumps(plain, ensure_ascii=True))
    return plain if size <= MOST_CONTEXT else {"_error": f"left out: {size} bytes, more than {MOST_CONTEXT}"}


def _brief(notice: Notice) -> dict[str, Any]:
    return {
        "alertId": notice.alert_id,
        "event": notice.happened.value,
        "severity": notice.severity.value,
        "title": notice.title,
        "link": notice.link or "",
        "matches": notice.matches,
    }


def _plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON can hold it: names are texts, and what JSON does not know is a text or null."""
    if depth > _DEEPEST:
        return "(too deep)"
    match value:
        case None | bool() | int():
            return value
        case str():
            return value.encode("utf-8", "replace").decode() if not value.isascii() else str(value)
        case float():
            return value if abs(value) < float("inf") else None
        case Mapping():
            return {str(name): _plain(each, depth + 1) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each, depth + 1) for each in value]
        case _:
            return str(value)
