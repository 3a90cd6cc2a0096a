"""Which alerts end as their rule is off or was changed: no match will come that does it."""

from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from ocelog.alert.judged import Judgement
from ocelog.app.judging.running_rules import RunningRules
from ocelog.app.rule_folders.folder_reading import Bench
from ocelog.detect.folders import RuleState
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger

log = structlog.get_logger()


@dataclass(slots=True)
class RulesOff:
    """Knows which rules were on at the last look, and which have failed."""

    ledger: Ledger
    _were_on: tuple[frozenset[str], frozenset[tuple[str, str]]] | None = None
    """The rules that were on at the last look, suspended ones too: all, and those that run, with their folders."""
    _were_off: frozenset[str] | None = None
    """The rules that a person had disabled at the last look."""
    _failing: dict[str, set[str]] | None = None
    """Rules whose errors are an open alert, each with the revisions that failed; None: not looked at yet."""

    def end(self, benches: Mapping[str, Bench], now: RunningRules, states: Mapping[str, RuleState]) -> None:
        """Resolve the alerts of rules that are not on any more, of records and about errors: nothing else would.

        A file or a folder that does not read tells of no rule that it is off, nor does a single look at one that may
        just be being written; a person does, whatever does not read.
        """
        off = frozenset(name for name, state in states.items() if state.enabled is False)
        if off != self._were_off:
            # First, as below. Each time: whatever of the folders does not read keeps what is below from doing it.
            self.ledger.rules.forget_seeds_of(off)
            self._end(off.intersection)
            self._were_off = off
        wrong = {each.id for bench in benches.values() if bench.loaded is not None for each in bench.loaded.faults}
        whole = all(
            bench.is_confirmed and bench.loaded is not None and bench.trouble is None for bench in benches.values()
        )
        if not whole or any(name.endswith((".yml", ".yaml", ".py")) for name in wrong):
            return
        unknown = frozenset({*wrong, *(name for bench in benches.values() for name in bench.silent)})
        on = unknown.union(now.rules, now.scheduled, now.correlations)
        placed = frozenset((name, bench.folder.id) for name, (bench, _) in now.rules.items())
        if (on, placed) == self._were_on:
            return
        # First: a rule that is turned on again must not take what is so by then for news.
        self.ledger.rules.forget_seeds(placed, unknown)
        for name, state in states.items():
            if state.suspended_us is not None and name not in on:
                # It is off, or gone. Turned on again, it is asked.
                self.ledger.rules.enable([name], enabled=state.enabled)
        self._end(lambda rules: rules - unknown - now.rules.keys() - now.scheduled.keys() - now.correlations.keys())
        self._were_on = on, placed

    def _end(self, which: Callable[[AbstractSet[str]], AbstractSet[str]]) -> None:
        """Resolve the alerts of those rules, of all that have some, that are off."""
        alerts = self.ledger.alerts
        if ended := which(set(alerts.rules_of_records())):
            end_records(self.ledger, ended)
        for name in sorted(which(alerts.failing_rules().keys())):
            alerts.end_errors(name, _why())
            if self._failing is not None:
                self._failing.pop(name, None)

    def committed(self, said: Judgement) -> None:
        """Resolve the alerts about errors of rules that were changed since, and judge without one."""
        alerts = self.ledger.alerts
        if not said.events:
            return
        if self._failing is None:
            self._failing = alerts.failing_rules()
        for each in said.errors:
            self._failing.setdefault(each.rule.id, set()).add(each.rule.revision)
        passed = {each.rule_id for each in said.unjudged}
        failed = passed.union(each.rule.id for each in said.errors)
        if "" in passed:
            return
        for name, rule in said.rules.items():
            if name not in failed and self._failing.get(name, set()) - {rule.revision}:
                self._failing[name] &= {rule.revision}
                why = kept_text("the rule was changed, and judges without an error")
                alerts.end_errors(name, why, but=rule.revision)


def end_records(ledger: Ledger, rules: Collection[str]) -> None:
    """Resolve the alerts of rules that are off, of records."""
    count = ledger.alerts.end_rules(rules, _why())
    log.info("alerts of rules that are off resolved", rules=sorted(rules), alerts=count)


def _why() -> str:
    return kept_text("its rule was disabled, removed or renamed")
