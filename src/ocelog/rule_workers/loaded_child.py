"""The child that has the rules of a folder: when it begins, what is in it by now, and how it is lost."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import msgspec
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from ocelog.detect.bundle import Bundle
from ocelog.detect.modules import Fault
from ocelog.errors import SandboxError
from ocelog.rule_workers.exchange import NoAnswer, exchange, no_answer
from ocelog.rule_workers.wire import WireAnswer, WireLoaded, WireReady, WireRows
from ocelog.sandbox.child import Bounds, Child, Spec
from ocelog.sandbox.kernel import Layers

Rows: TypeAlias = pa.Table | pa.RecordBatch | Sequence[Mapping[str, Any]]

_LOADS_WITHIN = 120.0
_TAKES_WITHIN = 60.0
"""Seconds in which a piece must be there as Python's values."""
_SLACK = 1.0
"""Seconds that an answer may take beyond the longest call: a rule's answer is sent after half of one."""
_LONGEST_ANSWER = 64 << 20
_DAY = 24 * 3600
_Said = TypeVar("_Said", WireAnswer, WireLoaded, WireReady, WireRows)


class LostChildError(Exception):
    """The child ended, hangs, or says what it was not asked; it is gone by now. The message says how, after `it`."""

    def __init__(self, why: str, *, name: str, step: str, alone: bool) -> None:
        super().__init__(why)
        self.name = name
        """What a rule error of this kind is called."""
        self.step = step
        """What the child was told to do: load, model, piece, setup, judge."""
        self.alone = alone
        """Whether no other rule had run in that child."""


class SentRows(Struct, frozen=True, kw_only=True):
    """Rows as they are sent to the child."""

    first: int
    """Which row of the batch its first one is."""
    count: int
    log_type: str | None
    channels: Mapping[str, str] | None
    content: bytes | memoryview
    """An Arrow stream, or, if `plain`, a JSON list of objects."""
    plain: bool

    @classmethod
    def of(
        cls, rows: Rows, first: int, count: int, log_type: str | None, channels: Mapping[str, str] | None
    ) -> "SentRows":
        """Write down some of `rows`."""
        content: bytes | memoryview
        if isinstance(rows, pa.Table | pa.RecordBatch):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write(rows.slice(first, count))
            content, plain = memoryview(sink.getvalue()), False
        else:
            content, plain = msgspec.json.encode(rows[first : first + count]), True
        return cls(first=first, count=count, log_type=log_type, channels=channels, content=content, plain=plain)


@dataclass(slots=True, kw_only=True)
class LoadedChild:
    """A child that begins when it is needed, and is given again what the one before it had.

    It is used from one thread, but for `stop`.
    """

    memory_bytes: int
    call_seconds: float
    network: bool
    unsafe: bool
    changing: tuple[str, ...] | None
    keep_out: tuple[str, ...]
    only: Layers
    bundle: Bundle | None = None
    """What was loaded, with files of before in the place of those that do not read any more."""
    answer_bytes: int = 0
    """Of what the child said last."""
    setup_seconds: float = 0.0
    """What the module of the rule that was made ready last took; 0: it had run."""
    _told: WireLoaded | None = None
    _without: dict[str, str] = field(default_factory=dict)
    """Python files of data models that took the child with them, and how."""
    _child: Child | None = None
    _began: float = 0.0
    _wanted: frozenset[str] = frozenset()
    """Rules that the next child is given: all that were wanted since they were loaded, as tables take turns."""
    _given: frozenset[str] = frozenset()
    """Rules that this child was given."""
    _ran: dict[str, Fault | None] = field(default_factory=dict)
    """Rules whose module has run in it, and what was wrong."""
    _models: set[str] = field(default_factory=set)
    """Log types whose data model has run in it."""
    _piece: SentRows | None = None
    _stopped: bool = False

    def load(self, bundle: Bundle, before: Bundle) -> tuple[WireLoaded, Layers]:
        """Begin a child with all of `bundle`, and return what it holds, and what keeps it in.

        Files of `before` take the place of those that do not read any more. Raises LostChildError, SandboxError: then
        what was loaded before stays.
        """
        other = {
            name: content
            for name, content in before.files.items()
            if (name in bundle.files or name in bundle.refused) and bundle.files.get(name) != content
        }
        told, layers = self._begin(bundle, before=other, without={}, check=True)
        kept = {one.id: other[one.id] for one in told.kept if one.id in other}
        self.bundle = replace(
            bundle,
            files=dict(sorted({**bundle.files, **kept}.items())),
            refused={name: why for name, why in bundle.refused.items() if name not in kept},
        )
        self._told, self._without = told, {}
        self._given = frozenset(rule.about.id for rule in told.rules)
        self._wanted = frozenset()
        return told, layers

    def want(self, rules: Collection[str], *, oldest: float) -> None:
        """Say which rules will be asked from now on. A child that lacks one, or is older than `oldest` s, is ended."""
        self._wanted |= frozenset(rules)
        if not self._given.issuperset(rules) or time.monotonic() - self._began > oldest:
            self.close()

    def make_ready(self, rule: str, piece: SentRows, *, alone: bool) -> Fault | None:
        """See to it that the child has `piece`, and that the module of `rule` has run. Return why it cannot be asked.

        `alone`: in a child in which no other rule has run. Raises LostChildError, SandboxError.
        """
        self.setup_seconds = 0.0
        if alone and self._ran.keys() - {rule}:
            self.close()
        if self._child is None:
            self._begin(self._part(), before={}, without=self._without, check=False)
            self._given = self._wanted
        if self._piece is not piece:
            self._run_model(piece.log_type, rule)
            message = {name: getattr(piece, name) for name in ("log_type", "channels", "content", "plain")}
            if self._tell("piece", message, WireRows, _TAKES_WITHIN, rule).rows != piece.count:
                raise self._lost(no_answer(), "piece", rule)
            self._piece = piece
        if rule not in self._ran:
            self._ran[rule] = None
            began = time.monotonic()
            try:
                found = self._tell("setup", {"name": rule}, WireReady, self.call_seconds, rule)
            finally:
                self.setup_seconds = time.monotonic() - began
            self._ran[rule] = None if found.fault is None else found.fault.fault()
        return self._ran[rule]

    def ask(self, rule: str, first: int, last: int, *, within: float, brief: bool = False) -> WireAnswer:
        """Ask `rule` about rows of the piece, from `first` up to `last`, which is not one of them.

        The answer may be about some of the rows only, but is about one at least, `within` so many seconds. `brief`:
        what the rule adds to its alerts is left out where it is large. Raises LostChildError, SandboxError.
        """
        asked = {"rule": rule, "first": first, "last": last, "brief": brief}
        answer = self._tell("judge", asked, WireAnswer, within, rule)
        channels = None if self._piece is None or self._piece.channels is None else self._piece.channels.values()
        if not (first < answer.last <= last and answer.is_about(first, channels)):
            raise self._lost(no_answer(), "judge", rule)
        return answer

    def close(self) -> None:
        """End the child; the next begins when it is needed."""
        if self._child is not None:
            self._child.close()
        self._child, self._piece = None, None
        self._given, self._ran, self._models = frozenset(), {}, set()

    def stop(self) -> None:
        """End the child, from whatever thread, and begin no other until `resume`. Whoever waits hears SandboxError."""
        self._stopped = True
        if (child := self._child) is not None:
            child.kill()

    def resume(self) -> None:
        """Take `stop` back."""
        self._stopped = False

    def _begin(
        self, bundle: Bundle, *, before: Mapping[str, bytes], without: Mapping[str, str], check: bool
    ) -> tuple[WireLoaded, Layers]:
        self.close()
        spec = Spec(
            entry="ocelog.rule_workers.judge_worker",
            bounds=Bounds(memory_bytes=self.memory_bytes, cpu_seconds=_DAY, wall_seconds=_DAY),
            packages=("yaml", "dateutil", "msgspec", "pyarrow"),
            libraries=True,
            network=self.network,
            # What they cost would be nobody's.
            threads=False,
            hides=True,
            keep_out=self.keep_out,
            longest_frame=_LONGEST_ANSWER,
        )
        child = self._child = Child(spec=spec, only=self.only)
        self._began = time.monotonic()
        if self._stopped:
            raise self._lost(no_answer(), "load", "")
        message = {
            "scope": bundle.scope,
            "files": bundle.files,
            "refused": bundle.refused,
            "before": before,
            "without": without,
            "python": self.unsafe or child.layers.seccomp,
            "check": check,
            "changing": self.changing,
        }
        return self._tell("load", message, WireLoaded, _LOADS_WITHIN, ""), child.layers

    def _part(self) -> Bundle:
        """Return as much of the bundle as the wanted rules need: a child that takes another's place begins sooner."""
        if self.bundle is None or self._told is None:
            raise AssertionError
        wanted = {name for rule in self._told.rules if rule.about.id in self._wanted for name in rule.files}
        names = sorted(self.bundle.files.keys() & wanted.union(self._told.shared))
        return replace(self.bundle, files={name: self.bundle.files[name] for name in names})

    def _run_model(self, log_type: str | None, rule: str) -> None:
        """Run the Python of a data model; if that takes the child with it, leave that file out of the next."""
        file = None if self._told is None or log_type is None else self._told.models.get(log_type)
        if log_type is None or file is None or file in self._without or log_type in self._models:
            return
        self._models.add(log_type)
        try:
            self._tell("model", {"name": log_type}, WireReady, self.call_seconds, rule)
        except LostChildError as lost:
            if not lost.alone:
                raise
            self._without[file] = f"{file}:1: the process that ran it {lost}"
            self._begin(self._part(), before={}, without=self._without, check=False)
            self._given = self._wanted

    def _tell(self, step: str, message: Mapping[str, Any], expected: type[_Said], seconds: float, rule: str) -> _Said:
        """Tell the child to do something, maybe with `rule`, and return its answer.

        Raises LostChildError, SandboxError.
        """
        if self._child is None:
            raise AssertionError
        try:
            found, self.answer_bytes = exchange(self._child, step, message, expected, seconds, _SLACK)
        except NoAnswer as problem:
            raise self._lost(problem, step, rule) from None
        return found

    def _lost(self, problem: NoAnswer, step: str, rule: str) -> Exception:
        """End the child, and return what to raise."""
        alone = self._ran.keys() <= {rule}
        self.close()
        if self._stopped:
            return SandboxError("Judging was stopped: the batch was not judged.")
        return LostChildError(str(problem), name=problem.name, step=step, alone=alone)
