"""What SQL sees of alerts, of their timelines and deliveries, read from the ledger when a query asks for it."""

import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ocelog.schema.decode.timestamps import INSTANT

if TYPE_CHECKING:
    from ocelog.alert.alert import Alert, TimelineEntry

    # The ledger takes half of the time that a short query takes: it is imported if a query reads it.
    from ocelog.ledger.delivery import DeliveryAttempt
    from ocelog.ledger.ledger import Ledger

_TEXTS = pa.list_(pa.string())
_ALERTS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("alert_id", pa.string(), "Its id."),
    ("type", pa.string(), "ALERT, DETECTION_ERROR (a rule fails) or SYSTEM_ERROR."),
    ("status", pa.string(), "OPEN, TRIAGED, CLOSED (by a person) or RESOLVED (it is over)."),
    ("severity", pa.string(), "INFO, LOW, MEDIUM, HIGH or CRITICAL."),
    ("title", pa.string(), "What it is about, in a line."),
    ("description", pa.string(), "What the rule says about it."),
    ("runbook", pa.string(), "What to do."),
    ("reference", pa.string(), "Where there is more about it."),
    ("rule_id", pa.string(), "The rule; of a system error its kind, such as SOURCE_NO_DATA."),
    ("rule_name", pa.string(), "The rule's name for people."),
    ("tags", _TEXTS, "The rule's tags."),
    ("dedup", pa.string(), "The dedup string: matches with the same one share an alert."),
    ("log_type", pa.string(), "The log type, as in p_log_type."),
    ("source", pa.string(), "Name of the source, when the alert was opened."),
    ("source_id", pa.string(), "Its id, as in p_source_id."),
    ("record_id", pa.string(), "The record that it lives with; null: it is of a window of time."),
    ("visible", pa.bool_(), "Whether the source still shows that record."),
    ("link", pa.string(), "The record's page at the source."),
    ("context", pa.string(), "JSON: what the rule took from the first event."),
    ("matches", pa.int64(), "How many matches it has."),
    (
        "told",
        pa.bool_(),
        "Whether it is sent to people: not if suppressed, below its threshold, or older than the source or rule.",
    ),
    ("told_at", INSTANT, "When they were told last."),
    ("opened", INSTANT, "When it was opened, or reopened last."),
    ("updated", INSTANT, "When it changed last, or a match joined it."),
    ("first_event", INSTANT, "Time of its first event."),
    ("last_event", INSTANT, "Time of its last event."),
    ("ended", INSTANT, "When it was closed or resolved."),
    ("acknowledged", INSTANT, "When a person took notice: by a status, an assignee or a comment."),
    ("assignee", pa.string(), "Who looks after it."),
    (
        "close_reason",
        pa.string(),
        "true_positive, false_positive, benign or duplicate; rule_off: its rule is off; source_removed.",
    ),
)
_EVENTS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("alert_id", pa.string(), "The alert, as in `alerts`."),
    ("number", pa.int64(), "Counts up: the order in which things happened."),
    ("happened", INSTANT, "When, by this machine's clock."),
    ("who", pa.string(), "A person, or `ocelog`."),
    ("what", pa.string(), "In a word or two: opened, assigned, comment, closed, ..."),
    ("detail", pa.string(), "More about it, such as a comment."),
)
_DELIVERIES: tuple[tuple[str, pa.DataType, str], ...] = (
    ("alert_id", pa.string(), "The alert, as in `alerts`."),
    ("number", pa.int64(), "Counts up: the order of the attempts."),
    (
        "message",
        pa.int64(),
        "Number of the message: the same when it is tried again, or is a digest of several alerts.",
    ),
    ("channel", pa.string(), "Name of the channel; its id, if it was removed."),
    ("happened", pa.string(), "What people were told, or to be told: opened, escalated, resolved, ..."),
    ("attempted", INSTANT, "When it was tried, by this machine's clock."),
    ("delivered", pa.bool_(), "Whether the far end took it."),
    ("final", pa.bool_(), "Whether it is not tried again; if it was not delivered, it was given up."),
    ("answer", pa.string(), "What the far end said, or why it was not reached."),
    ("error_code", pa.string(), "The stable code of that, as in the reference of errors."),
    ("merged", pa.int64(), "How many things that happened to the alert went together."),
)
COLUMNS = {"alerts": _ALERTS, "alert_events": _EVENTS, "deliveries": _DELIVERIES}
MEANINGS = {
    "alerts": "The alerts, as `ocelog alerts list --all` shows them: also what is over, and what nobody was told of.",
    "alert_events": "The timeline of each alert: what happened to it, when, and who did it.",
    "deliveries": "Each attempt to tell of an alert through a channel, with the far end's answer.",
}


def pieces(ledger: "Ledger", name: str, schema: pa.Schema, wanted: Collection[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one of the tables, as of one instant, with the columns `wanted`: some at a time."""
    columns = pa.schema([schema.field(each) for each in wanted] or [schema.field("alert_id")])
    for page in _pages(ledger, name, columns.names):
        yield pa.RecordBatch.from_pylist(page, schema=columns)


def _pages(ledger: "Ledger", name: str, wanted: Collection[str]) -> Iterator[list[dict[str, object]]]:
    match name:
        case "alerts":
            with_context = "context" in wanted
            for alerts in ledger.alerts.every(with_context=with_context):
                yield [_alert(each, with_context=with_context) for each in alerts]
        case "alert_events":
            for events in ledger.alerts.every_event():
                yield [_event(*each) for each in events]
        case _:
            for attempts in ledger.delivery.every():
                yield [_delivery(each) for each in attempts]


def _alert(each: "Alert", *, with_context: bool) -> dict[str, object]:
    return {
        "alert_id": each.id,
        "type": each.type.value,
        "status": each.status.value,
        "severity": each.severity.value,
        "title": each.title,
        "description": each.description,
        "runbook": each.runbook,
        "reference": each.reference,
        "rule_id": each.rule_id,
        "rule_name": each.rule_name,
        "tags": list(each.tags),
        "dedup": each.dedup,
        "log_type": each.log_type,
        "source": each.source_label,
        "source_id": each.source_id,
        "record_id": each.record_id,
        "visible": each.visible,
        "link": each.link,
        "context": json.dumps(dict(each.context), ensure_ascii=False) if with_context else None,
        "matches": each.matches,
        "told": each.to_be_told,
        "told_at": each.told_us,
        "opened": each.opened_us,
        "updated": each.updated_us,
        "first_event": each.first_event_us,
        "last_event": each.last_event_us,
        "ended": each.ended_us,
        "acknowledged": each.acknowledged_us,
        "assignee": each.assignee,
        "close_reason": each.close_reason,
    }


def _event(number: int, each: "TimelineEntry") -> dict[str, object]:
    return {
        "alert_id": each.alert_id,
        "number": number,
        "happened": each.at_us,
        "who": each.who,
        "what": each.what,
        "detail": each.detail or None,
    }


def _delivery(each: "DeliveryAttempt") -> dict[str, object]:
    return {
        "alert_id": each.alert_id,
        "number": each.number,
        "message": each.message,
        "channel": each.channel,
        "happened": each.happened,
        "attempted": each.at_us,
        "delivered": each.delivered,
        "final": each.final,
        "answer": each.answer or None,
        "error_code": each.code,
        "merged": each.merged,
    }
