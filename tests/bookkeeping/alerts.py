"""Alerts, channels and what was told, put into a ledger as the loops leave them."""

from collections.abc import Iterable

from msgspec.structs import replace
from sqlalchemy import insert

from bookkeeping.records import NOW
from ocelog.alert.alert import Alert, Telling, TimelineEntry
from ocelog.alert.notice import Happened
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts as rows
from ocelog.model import Severity
from ocelog.times import to_us

NOW_US = to_us(NOW)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def alert_of(number: int = 1, **more: object) -> Alert:
    """Return an alert that people were told of, an hour after the one before it."""
    at_us = NOW_US - 1000 * HOUR_US + number * HOUR_US
    alert = Alert(
        id=f"{number:032x}",
        severity=Severity.HIGH,
        title=f"Alert {number}",
        rule_id="Wiz.Issue.Public",
        rule_name="Public bucket",
        dedup=f"bucket-{number}",
        log_type="Wiz.Issues",
        source_id="acme",
        source_label="acme",
        matches=1,
        to_be_told=True,
        told_severity=Severity.HIGH,
        told_us=at_us,
        opened_us=at_us,
        updated_us=at_us,
    )
    return replace(alert, **more)


def opened(ledger: Ledger, *alerts: Alert, told: Iterable[str] = ()) -> None:
    """Put alerts into the ledger, each with a telling for each channel of `told`."""
    with ledger._database.write() as tx:
        for alert in alerts:
            assert rows.save(tx, alert)
            rows.add_to_timeline(
                tx, [TimelineEntry(alert_id=alert.id, at_us=alert.opened_us, who="ocelog", what="opened")]
            )
            tellings = [
                Telling(alert_id=alert.id, channel_id=channel, happened=Happened.OPENED, due_us=alert.opened_us)
                for channel in told
            ]
            rows.add_tellings(tx, tellings, alert.opened_us)


def channel(ledger: Ledger, name: str) -> str:
    """Add a channel, and return its id."""
    with ledger._database.write() as tx:
        values = {"id": f"id-{name}", "name": name, "kind": "file", "settings": {}, "routing": {}, "added_us": 1}
        tx.execute(insert(tables.channels).values(paused=False, **values))
    return f"id-{name}"


def told(ledger: Ledger, alert_id: str) -> list[tuple[str, str, str]]:
    """Return what waits to be told of an alert: channel, what happened, note."""
    waiting = tables.outbox.c
    with ledger._database.read() as tx:
        found = tables.outbox.select().where(waiting.alert_id == alert_id).order_by(waiting.id)
        return [(row.channel_id, row.happened, row.note) for row in tx.execute(found)]
