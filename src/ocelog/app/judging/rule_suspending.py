"""Which rules keep failing, and are suspended for it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from ocelog.alert.ids import SUSPENDED
from ocelog.alert.judged import Judgement, RuleError
from ocelog.detect.folders import RuleFailures
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger
from ocelog.units import counted

SLOW_SECONDS = 10.0
"""A rule uses up what it may take in a batch, too, if it takes longer than so long,"""
SLOW_EACH = 0.005
"""and so long for each event: a large batch may take as long as it must, up to what stops the rule."""
SPENT_TIMES = 3
"""A rule that uses up what it may take in so many batches"""
SPENT_OF = 10
"""of the last so many is suspended."""
FAILED_TIMES = 20
"""So is one that fails on every event of so many batches."""
log = structlog.get_logger()


@dataclass(slots=True)
class Suspending:
    """Counts in the ledger how often each rule has failed lately, since it was changed or turned on.

    There, as each `ocelog pull` is a process of its own.
    """

    ledger: Ledger
    _counted: dict[str, tuple[RuleFailures | None, RuleFailures | None]] = field(default_factory=dict)
    """How the rules of the last piece had failed before it, and with it: noted once it is committed."""
    _to_suspend: dict[str, str] = field(default_factory=dict)
    """Rules that are suspended once the piece is committed that tells of it, and why."""

    def forget_others(self, asked: Collection[str]) -> None:
        """Count anew for rules that are not asked now: what they did before is of no account once they are again."""
        self.ledger.rules.forget_failures(asked)

    def found(self, said: Judgement, is_mended: Callable[[str], bool]) -> list[RuleError]:
        """Find the rules that keep failing, and return what is to be told of that: then they are suspended.

        `is_mended` says of a rule whether its files may have changed since it was read: the next piece then shows.
        """
        if not said.events or not said.rules:
            return []
        spent, rows = _spent(said), dict[str, int]()
        for each in said.errors:
            rows[each.rule.id] = rows.get(each.rule.id, 0) + len(each.events)
        noted, found = self.ledger.rules.failures(), list[RuleError]()
        for name, rule in said.rules.items():
            before = noted.get(name)
            counts = before
            if counts is None or counts.revision != rule.revision:
                counts = RuleFailures(revision=rule.revision)
            counts = replace(
                counts,
                spent=(counts.spent << 1 | (name in spent)) & ((1 << SPENT_OF) - 1),
                failed=counts.failed + 1 if rows.get(name, 0) >= len(said.events) else 0,
            )
            # What was found of a piece that was not committed is found anew, or is over.
            self._to_suspend.pop(name, None)
            self._counted[name] = (before, counts if counts.spent or counts.failed else None)
            if counts.spent.bit_count() >= SPENT_TIMES:
                why = kept_text(
                    "it used up what it may take in %(times)s of its last %(batches)s batches",
                    times=SPENT_TIMES,
                    batches=SPENT_OF,
                )
                if name in spent:
                    why = kept_text("%(note)s, the last time because %(why)s", note=why, why=spent[name])
            elif counts.failed >= FAILED_TIMES:
                why = kept_text("it failed on every event of %(count)s batches in a row", count=FAILED_TIMES)
            else:
                continue
            if is_mended(name):
                continue
            self._to_suspend[name] = why
            found.append(RuleError(rule=rule, type=SUSPENDED, message=why, events=said.events[-1:]))
        return found

    def committed(self, said: Judgement) -> bool:
        """Suspend the rules that are to be, now that people are told of it; return whether there were any."""
        counts = {name: self._counted.pop(name) for name in said.rules if name in self._counted}
        changed = {name: (before, after) for name, (before, after) in counts.items() if before != after}
        if changed:
            self.ledger.rules.count_failures(changed)
        any_was = False
        for name in said.rules:
            why = self._to_suspend.pop(name, None)
            if why is None:
                continue
            if self.ledger.rules.suspend(name, why):
                log.error("rule suspended", rule=name, reason=why)
            any_was = True
        return any_was


def _spent(said: Judgement) -> dict[str, str]:
    """Return the rules that used up what they may take, and what that was: time, or processes that it cost."""
    allowed, events = SLOW_SECONDS + SLOW_EACH * len(said.events), counted(len(said.events), "event")
    found = {
        name: f"it took {seconds:,.0f} s for {events}" for name, seconds in said.seconds.items() if seconds > allowed
    }
    return found | {each.rule_id: each.reason for each in said.unjudged if each.own_fault}
