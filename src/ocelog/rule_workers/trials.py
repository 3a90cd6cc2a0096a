"""How the tests of rules are run: in a child that is given their files, and may do nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ocelog.detect.bundle import Bundle, read_bundle
from ocelog.detect.testing import Report
from ocelog.errors import RuleFileError, SandboxError
from ocelog.rule_workers.exchange import NoAnswer, exchange
from ocelog.rule_workers.wire import WireFound, WireTried
from ocelog.sandbox.child import Bounds, Child, Spec
from ocelog.sandbox.kernel import EVERY, Layers

_READS_WITHIN = 120.0
"""Seconds in which a checkout must be read: some thousand files."""
_LONGEST = 1_000
"""Characters of what is wrong with a test."""


class Allowance(Struct, frozen=True, kw_only=True):
    """What rules may take while they are tested."""

    seconds: float = 15.0
    """For one test; so long may the module of a rule take to load, too."""
    memory_bytes: int = 512 << 20
    whole_seconds: int = 3600
    """For all of them."""


@dataclass(slots=True, kw_only=True)
class Trials:
    """The tests of the rules at one path, while they run.

    A test in which the child ends, or takes too long, has failed; the others go on in the next child. A rule whose
    module does that when it loads has failed all of its tests.
    """

    path: Path
    changing: tuple[str, ...] | None = None
    """Log types whose records change, so that an alert can live with one; None: that is not looked at."""
    keep_out: tuple[str, ...] = ()
    """Folders with secrets: they must not lie among the libraries, which rules can read."""
    told: Callable[[int, int], None] = lambda _done, _of: None
    """Hears how many tests of how many are done."""
    allowance: Allowance = field(default_factory=Allowance)
    only: Layers = EVERY
    """For tests: as if the kernel offered no more than these."""
    _found: WireFound | None = None
    _outcomes: dict[int, str | None] = field(default_factory=dict)

    def run(self) -> Report:
        """Run them all, and return what came of it.

        Raises RuleFileError if there are no rules at the path or its files cannot be read at all, and SandboxError if
        this machine cannot keep the rules in.
        """
        bundle = read_bundle(self.path)
        while self._found is None or len(self._outcomes) < len(self._found.trials):
            self._found = self._go_on(bundle)
        outcomes = [(self._found.trials[number], why) for number, why in sorted(self._outcomes.items())]
        report = self._found.report
        # Those that failed before anything was tried are files that do not read.
        failed = tuple(replace(one, why=f"{bundle.root}/{one.why}") for one in report.failed)
        return replace(report, failed=failed).tested((rule, test, why) for (rule, test), why in outcomes)

    def _go_on(self, bundle: Bundle) -> WireFound:
        """Run what is left in one child, until that is lost or nothing is left; return what it found."""
        child = Child(spec=self._spec(), only=self.only)
        try:
            if not child.layers.seccomp:
                raise SandboxError(
                    "Rules are not run: this kernel has no seccomp, without which they could do whatever you can."
                )
            load = {"scope": bundle.scope, "files": bundle.files, "refused": bundle.refused, "changing": self.changing}
            try:
                self._found, _ = exchange(child, "load", load, WireFound, _READS_WITHIN)
            except NoAnswer as problem:
                raise RuleFileError(f"{self.path}: the process that reads its rules {problem}.") from None
            found = self._found
            for number in range(len(found.trials)):
                if number in self._outcomes:
                    continue
                try:
                    tried, _ = exchange(child, "try", {"number": number}, WireTried, self.allowance.seconds)
                except NoAnswer as problem:
                    self._lose(found, number, str(problem))
                    break
                self._note(number, tried.why)
            return found
        finally:
            child.close()

    def _spec(self) -> Spec:
        return Spec(
            entry="ocelog.rule_workers.trial_worker",
            bounds=Bounds(
                memory_bytes=self.allowance.memory_bytes,
                cpu_seconds=self.allowance.whole_seconds,
                wall_seconds=self.allowance.whole_seconds,
            ),
            packages=("yaml", "dateutil", "msgspec"),
            threads=False,
            hides=True,
            libraries=True,
            keep_out=self.keep_out,
            longest_frame=64 << 20,
        )

    def _note(self, number: int, why: str | None) -> None:
        self._outcomes[number] = None if why is None else why[:_LONGEST]
        if self._found is not None:
            self.told(len(self._outcomes), len(self._found.trials))

    def _lose(self, found: WireFound, number: int, why: str) -> None:
        """Note that a trial ended its child: of a rule that does so when it loads, none can be run."""
        rule, test = found.trials[number]
        tests = [other for other, (name, of) in enumerate(found.trials) if name == rule and of is not None]
        self._note(number, None if test is None and tests else why)
        for other in tests if test is None else ():
            self._note(other, f"setup: {why}")
