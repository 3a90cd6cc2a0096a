"""What people hear once a new source is read: one summary of what its rules look for that was there already."""

from dataclasses import dataclass, field

import structlog

from ocelog.alert.alert import Alert
from ocelog.alert.deciding import ONBOARDED, system_alert_id
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.ledger.ledger import Ledger
from ocelog.model import SWEEPING, Origin, Severity, SliceState, SourceRow

_PAST = {Origin.BACKFILL, *SWEEPING}
log = structlog.get_logger()


@dataclass(slots=True)
class Onboarding:
    """Tells of each source once, when all of its past is read and judged."""

    ledger: Ledger
    _told: set[str] = field(default_factory=set)

    def look(self, now_us: int) -> None:
        """Tell of the sources whose past is read by now. Call it when nothing waits to be judged."""
        for row in self.ledger.sources.listed():
            if row.id not in self._told and self._is_read(row):
                self._tell(row, now_us)
                self._told.add(row.id)

    def _is_read(self, row: SourceRow) -> bool:
        streams = self.ledger.pulling.streams(row.id)
        if not streams or any(stream.marks.edge is None for stream in streams):
            return False
        waiting = self.ledger.pulling.slices(source_id=row.id, states=[SliceState.WAITING])
        return all(slice_.origin not in _PAST for slice_ in waiting)

    def _tell(self, row: SourceRow, now_us: int) -> None:
        name = system_alert_id(ONBOARDED, row.id)
        counts = self.ledger.system_errors.known_open(row.id)
        if not counts:
            return
        many = sum(counts.values())
        by_severity = ", ".join(f"{counts[each]:,} {each}" for each in reversed(Severity) if each in counts)

        told = False

        def to(before: Alert | None) -> tuple[Alert, Happened, str] | None:
            nonlocal told
            told = before is None
            if before is not None:
                return None
            summary = Alert(
                id=name,
                status=AlertStatus.RESOLVED,
                severity=Severity.INFO,
                title=f"{row.name} is read: {many:,} open records that rules look for were there already",
                description=f"By severity: {by_severity}. Nobody was told of each; who escalates or comes back is.",
                runbook=f"See them: ocelog alerts list --untold --source {row.id}",
                rule_id=ONBOARDED,
                rule_name="A new source",
                dedup=row.id,
                source_id=row.id,
                source_label=row.name,
                matches=many,
                told=True,
                told_severity=Severity.INFO,
                told_us=now_us,
                opened_us=now_us,
                updated_us=now_us,
                ended_us=now_us,
            )
            return summary, Happened.OPENED, ""

        self.ledger.system_errors.change(name, to)
        if told:
            log.info("source onboarded", source=row.name, known=many)
