"""Whether the rules of a checkout pass their own tests."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

from msgspec import Struct
from msgspec.structs import replace

from ocelog.detect.checkout import Checkout, read_checkout
from ocelog.detect.correlation import run_test
from ocelog.detect.evaluate import Detector, RuleSet, Verdict
from ocelog.detect.event import Plain, Tables
from ocelog.detect.rule import SUPPRESSED, CorrelationRule, CorrelationTest, Kind, RuleTest

_MOCKED_ROWS = "_mocked_lookup_data_"
"""A field of a test's event: name of a lookup table -> key -> row."""


class Failure(Struct, frozen=True, kw_only=True):
    """A test that failed, or, without a test, a file that does not read."""

    rule: str
    test: str | None
    why: str


class TestsNotRun(Struct, frozen=True, kw_only=True):
    """What was not run."""

    rule: str
    why: str


class Report(Struct, frozen=True, kw_only=True):
    """What came of the tests of a checkout."""

    rules: int
    tests: int
    passed: int
    failed: tuple[Failure, ...] = ()
    not_run: tuple[TestsNotRun, ...] = ()

    def as_json(self) -> Mapping[str, Any]:
        """Return it in the shape that `ocelog rules test --json` prints."""
        return {
            "rules": self.rules,
            "tests": self.tests,
            "passed": self.passed,
            "failed": [{"rule": one.rule, "test": one.test, "why": one.why} for one in self.failed],
            "not_run": [{"rule": one.rule, "why": one.why} for one in self.not_run],
        }

    def tested(self, outcomes: Iterable[tuple[str, str | None, str | None]]) -> "Report":
        """Return it with what came of trials: of each the rule, the test, and why it failed."""
        told = list(outcomes)
        failed = [Failure(rule=rule, test=test, why=why) for rule, test, why in told if why is not None]
        return replace(
            self,
            tests=self.tests + sum(test is not None for _, test, _ in told),
            passed=self.passed + sum(test is not None and why is None for _, test, why in told),
            failed=(*self.failed, *failed),
        )


class Trial(Struct, frozen=True, kw_only=True):
    """One thing to try: a test, or, without one, that a rule loads at all."""

    rule: str
    test: str | None
    run: Callable[[], str | None]
    """Tries it in this process, and returns why it failed; None: it passed."""


def trials(checkout: Checkout) -> Iterator[Trial]:
    """Yield what there is to try, the same in the same order each time; no Python of a rule runs before its trial."""
    rules = RuleSet(checkout)
    for name, rule in checkout.rules.items():
        load = cache(partial(rules.load, rule))
        yield Trial(rule=name, test=None, run=partial(_loads, load))
        for test in rule.tests:
            yield Trial(rule=name, test=test.name, run=partial(run_rule_test, rules, load, test))
    for name, correlation in checkout.correlations.items():
        for each in correlation.tests:
            yield Trial(rule=name, test=each.name, run=partial(_finds, correlation, each))


def _loads(load: Callable[[], Detector]) -> str | None:
    """Say what is wrong with a rule that has no tests to say it."""
    detector = load()
    return str(detector.fault) if detector.fault is not None and not detector.rule.tests else None


def _finds(correlation: CorrelationRule, test: CorrelationTest) -> str | None:
    if run_test(correlation.correlations, test) is test.expected:
        return None
    return "expected something to be found, found nothing" if test.expected else "expected nothing to be found"


def untested(checkout: Checkout) -> Report:
    """Return what is known of a checkout before anything has been tried."""
    broken = {one.id for one in checkout.problems} - set(checkout.rules) - set(checkout.correlations)
    return Report(
        rules=len(checkout.rules) + len(checkout.correlations) + len(broken),
        tests=0,
        passed=0,
        failed=tuple(Failure(rule=one.id, test=None, why=one.message) for one in checkout.problems),
        not_run=tuple(TestsNotRun(rule=one.id, why=one.reason) for one in checkout.not_run),
    )


def run(path: Path) -> Report:
    """Run the tests of the rules in `path`, a folder or a file of a checkout.

    Runs their Python in this process: call it in one that may do nothing else. Raises RuleFileError if there is nothing
    at `path`.
    """
    checkout = read_checkout(path)
    return untested(checkout).tested((trial.rule, trial.test, trial.run()) for trial in trials(checkout))


def run_rule_test(rules: RuleSet, load: Callable[[], Detector], test: RuleTest) -> str | None:
    """Load a rule, and run one test of it. Return why it failed; None if it passed."""
    detector = load()
    if detector.fault is not None:
        return str(detector.fault)
    log_type = test.log.get("p_log_type") if detector.rule.kind is Kind.RULE else None
    tables = _TestTables(rules.tables, test.log.get(_MOCKED_ROWS))
    event = rules.event(dict(test.log), log_type if isinstance(log_type, str) else None, tables)
    mocks = {mock.name: MagicMock(return_value=mock.answer) for mock in test.mocks}
    if not mocks:
        return _difference(detector.judge(event), test)
    named = () if detector.module is None else (detector.module, builtins)
    missing = [name for name in mocks if not any(hasattr(each, name) for each in named)]
    if missing:
        return f"the mock {missing[0]!r} names nothing in the rule's module"
    try:
        with patch.multiple(detector.module, **mocks):
            detector.refresh()
            return _difference(detector.judge(event), test)
    finally:
        detector.refresh()


class _TestTables(Mapping[str, Mapping[str, Plain]]):
    """What event.lookup() asks in a test: the rows that the test brings, else those of the checkout.

    As in Panther, a table whose rows are not here has no row for any key: tests may not rest on what is elsewhere.
    """

    def __init__(self, tables: Tables, mocked: Plain) -> None:
        self._tables = {name: rows for name, rows in tables.items() if not isinstance(rows, str)}
        if isinstance(mocked, dict):
            self._tables.update({name: rows for name, rows in mocked.items() if isinstance(rows, dict)})

    def __getitem__(self, name: str) -> Mapping[str, Plain]:
        return self._tables.get(name, {})

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def _difference(verdict: Verdict, test: RuleTest) -> str | None:
    """Return the first thing in which `verdict` is not what `test` expects; None: there is none."""
    if verdict.error is not None:
        return str(verdict.error)
    if verdict.matched is not test.expected:
        return f"expected the rule to return {test.expected}, and it returned {verdict.matched}"
    if verdict.matched and verdict.raised:
        return str(verdict.raised[0])
    if verdict.matched and verdict.unusable:
        return verdict.unusable[0]
    if verdict.matched and test.destinations is not None:
        found: Plain = sorted(verdict.destinations or ())
        expected = [] if SUPPRESSED in test.destinations else sorted(test.destinations)
        if found != expected:
            return f"expected the destinations {expected}, found {found}"
    return None
