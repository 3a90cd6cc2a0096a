"""Opsgenie: an alert for each of ours, under the same alias, which is closed with it."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from ocelog.alert.notice import Happened, Notice
from ocelog.channels.deadline import Deadline
from ocelog.channels.http_post import HttpPost
from ocelog.channels.kind import LANGUAGE, REACHING, ChannelKind, Setting, Values
from ocelog.channels.message import headline, render, what_happened
from ocelog.channels.payload import far_key
from ocelog.channels.ports import Receipt
from ocelog.channels.text import Form, cut, escaped, one_line
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.model import Severity
from ocelog.secrets.secret import Secret, hidden

_URL = "https://api.opsgenie.com"
_EXAMPLE = "01234567-89ab-cdef-0123-456789abcdef"
_LONGEST_KEY = 512
_LONGEST_MESSAGE = 130
_LONGEST_DESCRIPTION = 15_000
_PRIORITIES = {
    Severity.CRITICAL: "P1",
    Severity.HIGH: "P2",
    Severity.MEDIUM: "P3",
    Severity.LOW: "P4",
    Severity.INFO: "P5",
}
_ACTIONS = {
    Happened.ACKNOWLEDGED: "acknowledge",
    Happened.RESOLVED: "close",
    Happened.CLOSED: "close",
    Happened.NOT_VISIBLE: "notes",
}
"""What is done with the alert that is there; all else creates it, or counts once more if it is open."""


class Opsgenie(Struct, frozen=True, kw_only=True):
    """Asks the Alert API. Limits are those of the vendor's page on it (read 2026-11)."""

    url: str
    api_key: Secret
    http: HttpPost
    language: str = "en"

    @property
    def address(self) -> str:
        """Nothing of the key."""
        return "opsgenie"

    def send(self, notice: Notice) -> Receipt:
        """Create, escalate, acknowledge, annotate or close the alert. Requests that are sent twice change nothing."""
        headers = {"Content-Type": "application/json", "Authorization": f"GenieKey {self.api_key.reveal()}"}
        until = Deadline(self.http.reach.total_seconds, "Opsgenie")
        told = Receipt(status="")
        for method, path, body in _requests(notice, self.language):
            url = f"{self.url}/v2/alerts{path}"
            told = self.http.send(url, json.dumps(body).encode(), headers, method=method, deadline=until)
        return told


def _requests(notice: Notice, language: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    alias = far_key(notice, _LONGEST_KEY)
    known = f"/{quote(alias, safe='')}"
    action = _ACTIONS.get(notice.happened)
    if action is not None:
        note = " ".join(filter(None, (what_happened(notice, language), one_line(notice.note, 1_000))))
        yield "POST", f"{known}/{action}?identifierType=alias", {"source": "Ocelog", "note": escaped(note, Form.CHAT)}
        return
    priority = _PRIORITIES[notice.severity]
    yield (
        "POST",
        "",
        {
            "message": cut(escaped(headline(notice, language), Form.CHAT), _LONGEST_MESSAGE),
            "alias": alias,
            "description": render(notice, Form.CHAT, language=language, longest_body=_LONGEST_DESCRIPTION).body,
            "tags": [escaped(one_line(tag, 40), Form.CHAT) for tag in notice.tags[:20]],
            "details": {"rule": escaped(one_line(notice.rule_id, 200), Form.CHAT), "type": notice.type.value},
            "entity": escaped(one_line(notice.rule_name, 400), Form.CHAT),
            "source": "Ocelog",
            "priority": priority,
        },
    )
    if notice.happened in {Happened.ESCALATED, Happened.REOPENED, Happened.RESENT}:
        # One that is open keeps the priority that it was created with.
        yield "PUT", f"{known}/priority?identifierType=alias", {"priority": priority}


def _build(values: Values) -> Opsgenie:
    key = values.text("api_key", example=_EXAMPLE)
    if not key.isascii() or not key.replace("-", "").isalnum() or not 20 <= len(key) <= 100:
        raise ConfigError(
            Phrase(
                "The api_key of an opsgenie channel looks like %(example)s: it is the key of an API "
                "integration. Given was %(key)s.",
                example=_EXAMPLE,
                key=hidden(key),
            )
        )
    return Opsgenie(url=values.base_url(_URL), api_key=Secret(key), http=values.http(key), language=values.language())


OPSGENIE = ChannelKind(
    name="opsgenie",
    keeps_incidents=True,
    title="Opsgenie: alerts that are created, escalated, acknowledged and closed with ours",
    settings=(
        Setting(
            name="api_key",
            label="API key",
            help="key of an API integration",
            example=_EXAMPLE,
            required=True,
            secret=True,
        ),
        Setting(
            name="url",
            label="Address of the API (URL)",
            help="where the API is; accounts in Europe: https://api.eu.opsgenie.com",
            example=_URL,
            default=_URL,
            is_address=True,
        ),
        LANGUAGE,
        *REACHING,
    ),
    build=_build,
)
