"""Alerts of a remote Ocelog, what people do with them, and what is kept quiet there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.alert import Alert, TimelineEntry
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.listing import AlertDetails, Attempt, WaitingDelivery
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.alerts.alerts import AT_ONCE, AlertListing, ChangedAlert
from ocelog.model import Severity
from ocelog.remote.client import Client
from ocelog.remote.values import us_of

_PAGE = 200


class AlertReport(Struct, frozen=True, kw_only=True):
    """All there is about one alert, why nobody was told of it, and what holds up each channel that is to be told."""

    details: AlertDetails
    untold: str | None
    held_up: Sequence[str]


class Alerts(Struct, frozen=True):
    """The alerts there."""

    client: Client

    def listed(self, wanted: Mapping[str, Any], *, limit: int, after: str | None) -> AlertListing:
        """Return alerts; `wanted` is what the API takes. Raises OcelogError."""
        found, total, untold, more = list[Alert](), 0, 0, True
        query: dict[str, Any] = {**wanted, "after": after}
        while more and len(found) < limit:
            page = self.client.get("alerts", **query, limit=min(_PAGE, limit - len(found)))
            with self.client.reading():
                found += map(_alert, page["items"])
                total, untold, more = int(page["total"]), int(page["untold"]), page["next"] is not None
                query = {**wanted, "cursor": page["next"]}
        return AlertListing(alerts=found, more=more, untold=untold, total=total)

    def chosen(self, wanted: Mapping[str, Any]) -> dict[str, Severity]:
        """Return the ids of all alerts that are as wanted, with their severities, the oldest first."""
        items = list(self.client.pages("alerts", **wanted))
        with self.client.reading():
            return {each["id"]: Severity(each["severity"]) for each in reversed(items)}

    def told(self, ids: Iterable[str]) -> list[AlertReport]:
        """Return all there is about alerts, named by how their ids begin. Raises OcelogError."""
        found = [self.client.get("alerts", each) for each in ids]
        with self.client.reading():
            # Two beginnings may be of one alert.
            return list({each["id"]: _told(each) for each in found}.values())

    def change(self, ids: Sequence[str], body: Mapping[str, Any]) -> list[ChangedAlert]:
        """Change alerts, all of them or none. Raises OcelogError."""
        done = self.client.send("POST", "alerts", "changes", body={**body, "ids": list(ids), "all_or_none": True})
        with self.client.reading():
            return _changed(done)

    def change_many(self, ids: Collection[str], body: Mapping[str, Any]) -> int:
        """Change many alerts, some at a time; return how many changed."""
        there, changed = list(ids), 0
        for at in range(0, len(there), AT_ONCE):
            done = self.client.send("POST", "alerts", "changes", body={**body, "ids": there[at : at + AT_ONCE]})
            with self.client.reading():
                changed += int(done["changed"])
        return changed

    def resend(self, ids: Sequence[str], channels: Sequence[str]) -> list[ChangedAlert]:
        """Tell of alerts once more. Raises OcelogError."""
        done = self.client.send("POST", "alerts", "resend", body={"ids": list(ids), "channels": list(channels)})
        with self.client.reading():
            return _changed(done)

    def suppressions(self, *, over: bool) -> list[Suppression]:
        """Return what is kept quiet there."""
        items = list(self.client.pages("suppressions", over=over))
        with self.client.reading():
            return sorted(map(_suppression, items), key=lambda each: (each.since_us, each.id))

    def suppress(self, body: Mapping[str, Any]) -> tuple[Suppression, str | None]:
        """Keep alerts quiet; return that, and that no alert so far is of such a rule. Raises OcelogError."""
        made = self.client.send("POST", "suppressions", body=dict(body))
        with self.client.reading():
            return _suppression(made), made["unknown_rule"]

    def end_suppressions(self, ids: Iterable[str]) -> dict[str, bool]:
        """End suppressions; return by id whether that changed something. Raises OcelogError."""
        done = [self.client.send("DELETE", "suppressions", each) for each in dict.fromkeys(ids)]
        with self.client.reading():
            return {each["id"]: bool(each["changed"]) for each in done}


def _alert(found: Mapping[str, Any]) -> Alert:
    long = {name: found[name] for name in ("description", "runbook", "reference", "context")}
    return replace(_head(found), **long)


def _head(found: Mapping[str, Any]) -> Alert:
    """Read an alert without its long texts."""
    same = ("id", "title", "rule_id", "rule_name", "rule_revision", "dedup")
    more = ("log_type", "source_id", "record_id", "link", "matches", "visible", "assignee", "close_reason")
    severity = found["told_severity"]
    return Alert(
        **{name: found[name] for name in (*same, *more)},
        type=AlertType(found["type"]),
        status=AlertStatus(found["status"]),
        severity=Severity(found["severity"]),
        tags=tuple(found["tags"]),
        source_label=found["source"],
        to_be_told=found["told"],
        told_severity=None if severity is None else Severity(severity),
        told_us=us_of(found["told_at"]),
        opened_us=_us(found["opened_at"]),
        updated_us=_us(found["updated_at"]),
        first_event_us=us_of(found["first_event_at"]),
        last_event_us=us_of(found["last_event_at"]),
        ended_us=us_of(found["ended_at"]),
        acknowledged_us=us_of(found["acknowledged_at"]),
    )


def _us(text: str) -> int:
    found = us_of(text)
    if found is None:
        raise ValueError("an instant is missing")
    return found


def _told(found: Mapping[str, Any]) -> AlertReport:
    alert = _alert(found)
    details = AlertDetails(
        alert=alert,
        timeline=[
            TimelineEntry(
                alert_id=alert.id, at_us=_us(each["at"]), who=each["who"], what=each["what"], detail=each["detail"]
            )
            for each in found["timeline"]
        ],
        attempts=[
            Attempt(
                at_us=_us(each["at"]),
                channel=each["channel"],
                happened=each["happened"],
                delivered=each["delivered"],
                final=each["final"],
                answer=each["answer"],
            )
            for each in found["deliveries"]
        ],
        waiting=[
            WaitingDelivery(
                channel=each["channel"], happened=each["happened"], due_us=_us(each["due_at"]), tries=each["tries"]
            )
            for each in found["waiting"]
        ],
    )
    return AlertReport(details=details, untold=found["untold_because"], held_up=found["held_up"])


def _changed(done: Mapping[str, Any]) -> list[ChangedAlert]:
    return [ChangedAlert(alert=_head(each), changed=each["changed"], to=tuple(each["to"])) for each in done["alerts"]]


def _suppression(found: Mapping[str, Any]) -> Suppression:
    return Suppression(
        id=found["id"],
        rule=found["rule"],
        fields=found["where"],
        owner=found["owner"],
        reason=found["reason"],
        since_us=_us(found["since"]),
        until_us=_us(found["until"]),
        added_us=_us(found["added_at"]),
    )
