"""How the tests of rules are run: in a child that may read their checkout, and do nothing else."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from ocelog.detect.bundle import find_root
from ocelog.detect.testing import Failure, Left, Report
from ocelog.errors import RuleFileError, SandboxError
from ocelog.sandbox.channel import Frame
from ocelog.sandbox.child import Bounds, Child, Spec
from ocelog.sandbox.kernel import EVERY, Layers

_READS_WITHIN = 120.0
"""Seconds in which a checkout must be read: some thousand files."""
_SAYS_ELSE = "wrote something else than the outcome of a test"
_LONGEST = 1_000
"""Characters of what is wrong with a test."""
_ASKED = msgspec.json.Encoder()
_Said = TypeVar("_Said", bound=msgspec.Struct)


class _Refused(msgspec.Struct):
    why: str


class _Found(msgspec.Struct):
    trials: list[tuple[str, str | None]]


class _Begun(msgspec.Struct):
    number: int


class _Done(msgspec.Struct):
    why: str | None


class _FailedTest(msgspec.Struct):
    rule: str
    test: str | None
    why: str


class _NotRun(msgspec.Struct):
    rule: str
    why: str


class _End(msgspec.Struct):
    rules: int
    failed: list[_FailedTest]
    not_run: list[_NotRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
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
    """Folders with secrets: a checkout that holds one of them is refused."""
    told: Callable[[int, int], None] = lambda _done, _of: None
    """Hears how many tests of how many are done."""
    allowance: Allowance = field(default_factory=Allowance)
    only: Layers = EVERY
    """For tests: as if the kernel offered no more than these."""
    _found: list[tuple[str, str | None]] = field(default_factory=list)
    _outcomes: dict[int, str | None] = field(default_factory=dict)

    def run(self) -> Report:
        """Run them all, and return what came of it.

        Raises RuleFileError if there are no rules at the path or its files cannot be read at all, and SandboxError if
        this machine cannot keep the rules in.
        """
        end = None
        while end is None:
            end = self._go_on()
        outcomes = [(self._found[number], why) for number, why in sorted(self._outcomes.items())]
        failed = [Failure(rule=rule, test=test, why=why) for (rule, test), why in outcomes if why is not None]
        return Report(
            rules=end.rules,
            tests=sum(test is not None for (_, test), _ in outcomes),
            passed=sum(test is not None and why is None for (_, test), why in outcomes),
            failed=(*(Failure(rule=each.rule, test=each.test, why=each.why) for each in end.failed), *failed),
            not_run=tuple(Left(rule=each.rule, why=each.why) for each in end.not_run),
        )

    def _go_on(self) -> _End | None:
        """Run what is left in one child, as far as that comes; return what it says at its end, None if it is lost."""
        child = Child(spec=self._spec(), only=self.only)
        last: int | None = None
        runs = False
        try:
            if not child.layers.seccomp:
                raise SandboxError(
                    "Rules are not run: this kernel has no seccomp, without which they could do whatever you can."
                )
            asked = {"path": str(self.path.resolve()), "known": list(self._outcomes), "changing": self.changing}
            within = time.monotonic() + _READS_WITHIN
            child.send("try", _ASKED.encode(asked), deadline=within)
            while True:
                frame = child.receive(deadline=within)
                within = time.monotonic() + self.allowance.seconds
                match frame.kind:
                    case "refused":
                        raise RuleFileError(_read(frame, _Refused).why)
                    case "found" if last is None:
                        self._take(_read(frame, _Found))
                    case "begin" if not runs:
                        last, runs = self._fresh(_read(frame, _Begun).number), True
                    case "done" if runs and last is not None:
                        self._note(last, _read(frame, _Done).why)
                        runs = False
                    case "end" if not runs:
                        return _read(frame, _End)
                    case _:
                        why = _SAYS_ELSE
                        break
        except TimeoutError:
            why = f"took longer than {self.allowance.seconds:g} s"
        except EOFError:
            why = child.describe_end()
        except (ValueError, msgspec.MsgspecError):
            why = _SAYS_ELSE
        finally:
            child.close()
        # What comes between two tests was written by the one before.
        if last is None:
            raise RuleFileError(f"{self.path}: the process that reads and tests its rules {why}.")
        self._lose(last, why)
        return None

    def _spec(self) -> Spec:
        return Spec(
            entry="ocelog.judging.trial_worker",
            bounds=Bounds(
                memory_bytes=self.allowance.memory_bytes,
                cpu_seconds=self.allowance.whole_seconds,
                wall_seconds=self.allowance.whole_seconds,
            ),
            packages=("yaml", "dateutil", "msgspec"),
            read=(str(find_root(self.path.resolve())),),
            libraries=True,
            keep_out=self.keep_out,
            longest_frame=64 << 20,
        )

    def _take(self, found: _Found) -> None:
        if self._found and found.trials != self._found:
            raise RuleFileError(f"{self.path}: files changed while their tests ran. Run them again.")
        self._found = found.trials

    def _fresh(self, number: int) -> int:
        """Return the number of a trial that is to be run. Raises ValueError: a rule must not keep writing for ever."""
        if not 0 <= number < len(self._found) or number in self._outcomes:
            raise ValueError(number)
        return number

    def _note(self, number: int, why: str | None) -> None:
        self._outcomes[number] = None if why is None else why[:_LONGEST]
        self.told(len(self._outcomes), len(self._found))

    def _lose(self, number: int, why: str) -> None:
        """Note that a trial ended its child: of a rule that does so when it loads, none can be run."""
        rule, test = self._found[number]
        self._note(number, None if test is None and self._has_tests(rule) else why)
        if test is None:
            for other, (name, of) in enumerate(self._found):
                if name == rule and of is not None:
                    self._note(other, f"setup: {why}")

    def _has_tests(self, rule: str) -> bool:
        return any(name == rule and test is not None for name, test in self._found)


def _read(frame: Frame, kind: type[_Said]) -> _Said:
    return msgspec.json.decode(frame.payload, type=kind)
