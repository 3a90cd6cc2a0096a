"""Which rules keep failing, and are suspended for it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from ocelog.alert.ids import SUSPENDED
from ocelog.alert.judged import Judged, RuleError
from ocelog.ledger.ledger import Ledger
from ocelog.units import counted

SLOW_SECONDS = 10.0
"""A rule uses up its time in a batch, too, if it takes longer than so long,"""
SLOW_EACH = 0.005
"""and so long for each event: a large batch may take as long as it must, up to what stops the rule."""
KILLED_TIMES = 3
"""A rule that uses up its time in so many batches"""
KILLED_OF = 10
"""of the last so many is suspended."""
FAILED_TIMES = 20
"""So is one that fails on every event of so many batches."""
log = structlog.get_logger()


@dataclass(slots=True)
class Suspending:
    """Counts how often each rule has failed lately, since it was changed or turned on."""

    ledger: Ledger
    _revisions: dict[str, str] = field(default_factory=dict)
    """By which each rule judged last."""
    _killed: dict[str, int] = field(default_factory=dict)
    """A bit for each of the last batches, the newest the lowest: whether the rule used up its time."""
    _failed: dict[str, int] = field(default_factory=dict)
    _to_suspend: dict[str, str] = field(default_factory=dict)
    """Rules that are suspended once the piece is committed that tells of it, and why."""

    def forget_others(self, asked: Collection[str]) -> None:
        """Count anew for rules that are not asked now: what they did before is of no account once they are again."""
        for name in self._revisions.keys() - asked:
            self._forget(name)

    def found(self, said: Judged, is_mended: Callable[[str], bool]) -> list[RuleError]:
        """Find the rules that keep failing, and return what is to be told of that: then they are suspended.

        `is_mended` says of a rule whether its files may have changed since it was read: the next piece then shows.
        """
        if not said.events:
            return []
        killed = {each.rule_id for each in said.unjudged if each.own_fault}
        allowed = SLOW_SECONDS + SLOW_EACH * len(said.events)
        slow = {name for name, seconds in said.seconds.items() if seconds > allowed}
        killed |= slow
        rows = dict[str, int]()
        for each in said.errors:
            rows[each.rule.id] = rows.get(each.rule.id, 0) + len(each.events)
        found = list[RuleError]()
        for name, rule in said.rules.items():
            if self._revisions.get(name) != rule.revision:
                self._forget(name)
                self._revisions[name] = rule.revision
            # What was found of a piece that was not committed is found anew, or is over.
            self._to_suspend.pop(name, None)
            self._killed[name] = (self._killed.get(name, 0) << 1 | (name in killed)) & ((1 << KILLED_OF) - 1)
            self._failed[name] = self._failed.get(name, 0) + 1 if rows.get(name, 0) >= len(said.events) else 0
            if self._killed[name].bit_count() >= KILLED_TIMES:
                why = f"it used up its time in {KILLED_TIMES} of its last {KILLED_OF} batches"
                if name in slow:
                    events = counted(len(said.events), "event")
                    why += f", and took {said.seconds[name]:,.0f} s for the last {events}"
            elif self._failed[name] >= FAILED_TIMES:
                why = f"it failed on every event of {FAILED_TIMES} batches in a row"
            else:
                continue
            if is_mended(name):
                continue
            self._to_suspend[name] = why
            found.append(RuleError(rule=rule, type=SUSPENDED, message=why, events=said.events[-1:]))
        return found

    def committed(self, said: Judged) -> bool:
        """Suspend the rules that are to be, now that people are told of it; return whether there were any."""
        any_was = False
        for name in said.rules:
            why = self._to_suspend.pop(name, None)
            if why is None:
                continue
            self._forget(name)
            if self.ledger.rules.suspend(name, why):
                log.error("rule suspended", rule=name, reason=why)
            any_was = True
        return any_was

    def _forget(self, name: str) -> None:
        for each in (self._revisions, self._killed, self._failed, self._to_suspend):
            each.pop(name, None)
