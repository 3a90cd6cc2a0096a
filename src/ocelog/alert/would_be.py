"""Which alerts matches of the past would have made, had they been judged when they happened."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.grouping import Group, Grouping, GroupingInput, join
from ocelog.model import Severity

MOST_KEPT = 1_000
"""Alerts that are kept, those that people would have been told of first; the others are only counted."""
_MOST_GROUPS = 100_000
"""Groups that are remembered; of more, those whose windows were opened first are forgotten."""


class PastMatch(Struct, frozen=True, kw_only=True):
    """A match, and what its alert would say."""

    joining: GroupingInput
    title: str
    severity: Severity
    log_type: str = ""
    record_id: str | None = None
    judged_us: int | None = None
    """None: when it happened."""

    @property
    def at_us(self) -> int:
        """When people would have heard of it."""
        return self.joining.event_us if self.judged_us is None else self.judged_us


class WouldBeAlert(Struct, frozen=True, kw_only=True):
    """An alert that people would have been told of."""

    opened_us: int
    severity: Severity
    title: str
    dedup: str = ""
    """What its matches have in common."""
    log_type: str = ""
    row_id: str = ""
    event_us: int = 0
    """Of the event that opened it."""
    summary: str = ""
    """What that event says, in one line; empty: nobody has looked, or it is in no table of a log type."""
    matches: int = 1


@dataclass(slots=True)
class WouldBeAlerts:
    """The alerts that matches of one rule would have made; they come in the order in which they were judged.

    Of a rule whose alerts live with a record, a record has one alert at most.
    """

    grouping: Grouping
    lives_with_record: bool = False
    count: int = 0
    told: int = 0
    """How many of them people would have been told of: the others stayed below the threshold."""
    _told: list[WouldBeAlert] = field(default_factory=list)
    _groups: dict[str, tuple[Group, WouldBeAlert, int | None]] = field(default_factory=dict)
    """By dedup string or record: its newest window, the alert of that, and where in the list that is."""

    def add(self, matches: Iterable[PastMatch]) -> None:
        """Let matches join alerts, or open them."""
        for match in matches:
            self._add(match)
        while len(self._groups) > _MOST_GROUPS:
            del self._groups[next(iter(self._groups))]

    def listed(self) -> list[WouldBeAlert]:
        """Return those that people would have been told of, the first of them, in that order."""
        return list(self._told)

    def _add(self, match: PastMatch) -> None:
        record = match.record_id if self.lives_with_record else None
        key = match.joining.dedup if record is None else record
        group, alert, at = self._groups.pop(key, (Group(), None, None))
        if record is None:
            joined = join(self.grouping, group, match.joining, match.at_us)
            group, opens, tells = joined.group, joined.opens, joined.tells
        else:
            opens = tells = alert is None
        if opens or alert is None:
            alert = WouldBeAlert(
                opened_us=match.at_us,
                severity=match.severity,
                title=match.title,
                dedup=match.joining.dedup,
                log_type=match.log_type,
                row_id=match.joining.row_id,
                event_us=match.joining.event_us,
            )
            at = None
        else:
            alert = replace(alert, matches=alert.matches + 1)
        self.count += opens
        self.told += tells
        if tells and len(self._told) < MOST_KEPT:
            at = len(self._told)
            self._told.append(alert)
        elif at is not None:
            self._told[at] = alert
        self._groups[key] = (group, alert, at)
