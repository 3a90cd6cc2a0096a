"""What people hear once a new source is read: one summary of what its rules look for that was there already."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from ocelog.alert.alert import Alert
from ocelog.alert.ids import ONBOARDED, system_alert_id
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.alert.raising import RaisedAlert
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger
from ocelog.model import SWEEPING, Origin, Severity, Slice, SliceState, SourceRow
from ocelog.times import from_us

_PAST = {Origin.BACKFILL, *SWEEPING}
_WAITS = timedelta(days=1)
"""So long for a stream that cannot be read; then people hear of the others."""
log = structlog.get_logger()


@dataclass(slots=True)
class Onboarding:
    """Tells of each source once, when its past is read and judged, but for streams that cannot be read."""

    ledger: Ledger
    _told: set[tuple[str, int]] = field(default_factory=set)
    """Sources by their ids, each with when it was added: one that was purged may come again."""

    def look(self, now_us: int) -> None:
        """Tell of the sources whose past is read by now. Call it when nothing waits to be judged."""
        for row in self.ledger.sources.listed():
            if (row.id, row.added_us) not in self._told and self._is_read(row, from_us(now_us)):
                self._tell(row, now_us)
                self._told.add((row.id, row.added_us))

    def _is_read(self, row: SourceRow, now: datetime) -> bool:
        waiting = self.ledger.pulling.slices(source_id=row.id, states=[SliceState.WAITING])
        wanted = [
            stream
            for stream in self.ledger.pulling.streams(row.id)
            if not _cannot_be_read((each for each in waiting if each.log_type == stream.marks.log_type), now)
        ]
        if not wanted or any(stream.marks.edge is None for stream in wanted):
            return False
        read = {stream.marks.log_type for stream in wanted}
        return all(each.origin not in _PAST or each.log_type not in read for each in waiting)

    def _tell(self, row: SourceRow, now_us: int) -> None:
        name = system_alert_id(ONBOARDED, row.id)
        counts = self.ledger.system_errors.known_open(row.id)
        many = sum(counts.values())
        by_severity = ", ".join(f"{counts[each]:,} {each}" for each in reversed(Severity) if each in counts)

        told = False

        def to(before: Alert | None) -> RaisedAlert | None:
            nonlocal told
            told = before is None
            if before is not None:
                return None
            summary = Alert(
                id=name,
                status=AlertStatus.RESOLVED,
                severity=Severity.INFO,
                title=kept_text(
                    "%(source)s is read: %(count)s open records that rules look for were there already",
                    source=row.name,
                    count=format(many, ","),
                ),
                description=kept_text(
                    "By severity: %(counts)s. They were not sent one by one; what gets worse or comes back is sent.",
                    counts=by_severity,
                ),
                runbook=kept_text("See them: ocelog alerts list --untold --source %(id)s", id=row.id),
                rule_id=ONBOARDED,
                rule_name="A new source",
                dedup=row.id,
                source_id=row.id,
                source_label=row.name,
                matches=many,
                to_be_told=True,
                told_severity=Severity.INFO,
                told_us=now_us,
                opened_us=now_us,
                updated_us=now_us,
                ended_us=now_us,
            )
            if not many:
                # Nobody has to hear of it, now or when something becomes known later.
                silent = replace(summary, to_be_told=False, told_severity=None, told_us=None)
                return RaisedAlert(alert=silent, happened=Happened.OPENED, told=False)
            return RaisedAlert(alert=summary, happened=Happened.OPENED, due_us=now_us)

        if self.ledger.system_errors.change(name, to, source_id=row.id) and told:
            log.info("source onboarded", source=row.name, known=many)


def _cannot_be_read(waiting: Iterable[Slice], now: datetime) -> bool:
    """Whether a stream, of which these slices wait, has failed for so long that nobody waits for it."""
    return any(each.failing_since is not None and each.failing_since <= now - _WAITS for each in waiting)
