"""Alerts about sources and Ocelog itself, saved with what people are told of them."""

from collections.abc import Callable

from sqlalchemy import func, select

from ocelog.alert.alert import Alert
from ocelog.alert.raising import RaisedAlert
from ocelog.errors import LedgerUnavailableError
from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alerts, raising, sources
from ocelog.ledger.rows.channels import listed
from ocelog.model import Severity

_a = tables.alerts.c
_MAX_TRIES = 20


class SystemErrorLedger:
    """What happens to alerts that no rule opens."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self.now_us = now_us
        """Our clock."""

    def known_open(self, source_id: str) -> dict[Severity, int]:
        """Return how many records of a source have an open alert of which nobody was told, by severity."""
        known = (_a.source_id == source_id, _a.known.is_(True), _a.record_id.is_not(None))
        found = select(_a.severity, func.count()).where(*known, tables.OPEN_ALERT)
        with self._database.read() as tx:
            return {Severity(severity): count for severity, count in tx.execute(found.group_by(_a.severity))}

    def change(
        self, alert_id: str, to: Callable[[Alert | None], RaisedAlert | None], *, source_id: str | None = None
    ) -> bool:
        """Save what `to` makes of an alert, and tell people what happened; None: nothing changes.

        `to` may be asked again, if somebody changed the alert meanwhile. What is about a source is saved only while it
        is there, or nothing would end it or delete it; False: it was removed. Raises LedgerUnavailableError.
        """
        for _ in range(_MAX_TRIES):
            with self._database.write() as tx:
                if source_id is not None and not sources.hold(tx, source_id):
                    return False
                raised = to(alerts.of_ids(tx, [alert_id], hold=True).get(alert_id))
                if raised is None or raising.save(tx, raised, listed(tx), self.now_us()):
                    return True
                tx.rollback()
        raise LedgerUnavailableError("An alert was changed by others again and again; try again.")
