"""How events are judged: by the rules of one folder, in a child that may do nothing else.

A rule that hangs, or takes its child with it, costs its own answer about that row. The next child is asked about that
rule's rows one by one, so that it is known which row it was; behind it the rule goes on. The others wait meanwhile, so
a rule that has cost a child is hurried, and what rules that hang or take long may cost together is bounded for each
batch.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from ocelog.detect.bundle import Bundle
from ocelog.detect.checkout import Problem, members
from ocelog.detect.evaluate import Verdict
from ocelog.detect.modules import Fault
from ocelog.detect.rule import About, CorrelationRule, Kind, NotRun, Pack, Query
from ocelog.errors import RuleFileError
from ocelog.model import JsonObject
from ocelog.rule_workers.loaded_child import LoadedChild, LostChildError, Rows, SentRows
from ocelog.rule_workers.own_thread import OwnThread
from ocelog.rule_workers.wire import LoadedRule, WireMatch
from ocelog.sandbox.kernel import EVERY, Layers

_PIECE_ROWS = 2_000
_PIECE_BYTES = 8 << 20
_SLOW_SECONDS = 1.0


class Allowance(Struct, frozen=True, kw_only=True):
    """What the rules of a folder may take."""

    call_seconds: float = 5.0
    """For one rule on one row; so long may its module take to load, too."""
    hurried_seconds: float = 1.0
    """For one row, once the rule has cost a child."""
    fair_seconds: float = 2.0
    fair_each: float = 0.005
    """What a rule may take for a batch, and for each of its rows, before it takes long."""
    overtime_seconds: float = 20.0
    """What rules take beyond that in one batch, and calls that cost a child, of all rules together. From then on a rule
    that takes long is asked no more, and each other may cost one child."""
    rule_seconds: float = 60.0
    """For one rule in one batch. What is left then is unjudged."""
    batch_seconds: float = 300.0
    """For all rules in one batch."""
    kills: int = 8
    """How many children a rule may cost in one batch: two for each row that it hangs on."""
    memory_bytes: int = 512 << 20
    brief_bytes: int = 8 << 20
    """Once a rule has said so much of one batch, what it adds to its further alerts is left out."""
    rule_bytes: int = 32 << 20
    """What one rule may say of one batch, as JSON; all of them may say twice as much."""
    idle_seconds: float = 60.0
    """After so long without work the child is ended; the next batch begins another."""
    child_seconds: float = 3600.0
    """A child that is older makes room for a new one before the next batch."""


OF_NETWORK = Allowance(call_seconds=15.0, hurried_seconds=5.0, fair_each=0.05, overtime_seconds=60.0)
"""What rules may take that ask others: they wait for answers."""


class LoadedFolder(Struct, frozen=True, kw_only=True):
    """What a folder of rules holds. All of it has been read, and no Python of a rule has run."""

    bundle: Bundle
    """With files of before in the place of those that do not read any more."""
    revision: str
    rules: Mapping[str, LoadedRule]
    correlations: Mapping[str, CorrelationRule] = msgspec.field(default_factory=dict)
    queries: Mapping[str, Query] = msgspec.field(default_factory=dict)
    packs: Mapping[str, Pack] = msgspec.field(default_factory=dict)
    not_run: tuple[NotRun, ...] = ()
    faults: tuple[Problem, ...] = ()
    """What is wrong with files or rules, each with `file:line`."""
    kept: tuple[Problem, ...] = ()
    """Files that do not read any more, and why: those of before are used in their place."""
    layers: Layers
    """What keeps the rules in."""

    def members(self, pack: Pack) -> tuple[str, ...]:
        """Return the ids that `pack` turns on, as `Checkout.members` does."""
        return members(pack, (*self.rules.values(), *self.correlations.values()))


class MatchedRow(Struct, frozen=True, kw_only=True):
    """A rule, a row that it matched, and what it says of it."""

    rule: str
    row: int
    verdict: Verdict


class FailedRows(Struct, frozen=True, kw_only=True):
    """Rows one after the other of which a rule said nothing, since it failed in the same way."""

    rule: str
    first: int
    last: int
    """The first row that is not one of them."""
    fault: Fault


class SkippedRows(Struct, frozen=True, kw_only=True):
    """Rows one after the other that a rule was not asked about."""

    rule: str
    first: int
    last: int
    """The first row that is not one of them."""
    reason: str
    own_fault: bool = False
    """Whether the rule itself used up what it may take, and no other of its folder."""


@dataclass(slots=True, kw_only=True)
class RowAnswers:
    """What rules said of rows. A rule said no of each row that is nowhere here."""

    matches: list[MatchedRow] = field(default_factory=list)
    errors: list[FailedRows] = field(default_factory=list)
    unjudged: list[SkippedRows] = field(default_factory=list)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each rule took."""


class Judge:
    """Judges events by the rules of one folder, one batch at a time: who comes meanwhile waits.

    A child begins with the first bundle or batch, and ends when there has been nothing to do for a while. It ends, too,
    with the thread that began it, so that thread is one of the judge's own.
    """

    def __init__(
        self,
        *,
        allowance: Allowance | None = None,
        network: bool = False,
        unsafe: bool = False,
        changing: Collection[str] | None = None,
        keep_out: Sequence[str] = (),
        named: Callable[[str], str] = str,
        only: Layers = EVERY,
    ) -> None:
        """Say what rules may do: use the `network`; run, `unsafe`, if the kernel lacks seccomp.

        `changing` are log types whose records change (see `read_checkout`), and `keep_out` folders with secrets.
        `named` returns what a rule raised with its file named as people know it. `only` is for tests: as if the kernel
        offered no more than these layers.
        """
        self._named = named
        self._allowance = allowance or Allowance()
        self._child = LoadedChild(
            memory_bytes=self._allowance.memory_bytes,
            call_seconds=self._allowance.call_seconds,
            network=network,
            unsafe=unsafe,
            changing=None if changing is None else tuple(changing),
            keep_out=tuple(keep_out),
            only=only,
        )
        self._thread = OwnThread(idle_seconds=self._allowance.idle_seconds, at_rest=self._child.close)
        self._rules: Mapping[str, LoadedRule] | None = None
        self._broken = dict[str, Fault]()
        """Rules whose module took a child with it when it was loaded: they are not tried again."""
        self._kills = dict[str, int]()
        """Rule -> how many children it has cost since it was loaded."""
        self._late = set[str]()
        """Rules that took long for the last batch that they were asked about."""

    def load(self, bundle: Bundle, before: Bundle | None = None) -> LoadedFolder:
        """Read the rules of a bundle, and judge by these from now on.

        A file that does not read any more is left as it was in `before`: by default, in what was loaded last. Raises
        RuleFileError if the bundle takes its reader with it, and SandboxError if this machine cannot keep rules in:
        then what was loaded last stays.
        """
        return self._thread.run(lambda: self._load(bundle, before))

    def judge(
        self,
        rows: Rows,
        *,
        log_type: str | None,
        rules: Iterable[str] | None = None,
        channels: Mapping[str, str] | None = None,
        is_wanted: Callable[[str], bool] = lambda _rule: True,
        slow: Callable[[Mapping[str, float]], None] = lambda _seconds: None,
    ) -> RowAnswers:
        """Ask `rules` about each row: rows of the table of `log_type`, or, without one, of a scheduled query.

        `rules` None: all that are enabled, of `log_type` or of any scheduled query. `channels`: name or id of each
        channel that there is -> its id; None: a rule may name any. `is_wanted` is asked about a rule each time that it
        has cost a child: whether anybody still wants to know what it says. `slow` hears, each time that a rule took a
        second or more, how long each has taken so far. Raises SandboxError if this machine cannot run them.
        """
        return self._thread.run(lambda: self._judge(rows, log_type, rules, channels, is_wanted, slow))

    def close(self) -> None:
        """End the child, whatever it does: whoever waits for it hears SandboxError. The next call begins another."""
        self._child.stop()
        self._thread.end()
        self._child.resume()

    def _load(self, bundle: Bundle, before: Bundle | None) -> LoadedFolder:
        before = before or self._child.bundle or replace(bundle, files={})
        try:
            told, layers = self._child.load(bundle, before)
        except LostChildError as lost:
            raise RuleFileError(f"{bundle.root}: the process that reads its rules {lost}") from None
        if (mended := self._child.bundle) is None:
            raise AssertionError
        self._broken, self._kills, self._late = {}, {}, set()
        self._rules = {rule.id: rule for rule in told.rules}
        return LoadedFolder(
            bundle=mended,
            revision=mended.revision(),
            rules=self._rules,
            correlations={one.id: one for one in told.correlations},
            queries={one.name: one for one in told.queries},
            packs={one.id: one for one in told.packs},
            not_run=tuple(told.not_run),
            faults=tuple(told.problems),
            kept=tuple(told.kept),
            layers=layers,
        )

    def _judge(
        self,
        rows: Rows,
        log_type: str | None,
        rules: Iterable[str] | None,
        channels: Mapping[str, str] | None,
        is_wanted: Callable[[str], bool],
        slow: Callable[[Mapping[str, float]], None],
    ) -> RowAnswers:
        if self._rules is None:
            raise RuleFileError("No rules are loaded.")
        total = rows.num_rows if isinstance(rows, pa.Table | pa.RecordBatch) else len(rows)
        wanted = [one.id for one in self._rules.values() if _is_asked(one, log_type)] if rules is None else list(rules)
        known = [name for name in dict.fromkeys(wanted) if name in self._rules]
        batch = _Batch(
            child=self._child,
            allowance=self._allowance,
            abouts={name: self._rules[name].about for name in known},
            broken=self._broken,
            is_wanted=is_wanted,
            slow=slow,
            hurried={name for name in known if self._kills.get(name)},
            fair=self._allowance.fair_seconds + self._allowance.fair_each * total,
        )
        if total and known:
            self._child.want(known, oldest=self._allowance.child_seconds)
            # Those that have cost children or took long come last: the time of the batch that they take is their own.
            known.sort(key=lambda name: (self._kills.get(name, 0), name in self._late))
            batch.run(_pieces(rows, total, log_type, channels), known)
            self._late = (self._late - set(known)) | batch.late
            for name, kills in batch.kills.items():
                self._kills[name] = self._kills.get(name, 0) + kills
        missing = [name for name in wanted if name not in self._rules] if total else []
        judged = batch.judged(
            [SkippedRows(rule=one, first=0, last=total, reason="there is no such rule") for one in missing]
        )
        judged.errors = [
            replace(each, fault=replace(each.fault, message=self._named(each.fault.message))) for each in judged.errors
        ]
        return judged


def _is_asked(rule: LoadedRule, log_type: str | None) -> bool:
    if not rule.about.enabled:
        return False
    return rule.kind is Kind.SCHEDULED_RULE if log_type is None else log_type in rule.log_types


def _pieces(rows: Rows, total: int, log_type: str | None, channels: Mapping[str, str] | None) -> Iterator[SentRows]:
    """Cut rows into pieces that a child can hold as Python's values."""
    left = [(at, min(_PIECE_ROWS, total - at)) for at in reversed(range(0, total, _PIECE_ROWS))]
    while left:
        first, count = left.pop()
        piece = SentRows.of(rows, first, count, log_type, channels)
        if len(piece.content) > _PIECE_BYTES and count > 1:
            half = count // 2
            left += [(first + half, count - half), (first, half)]
        else:
            yield piece


@dataclass(slots=True, kw_only=True)
class _Batch:
    """One batch, while it is judged: what rules have said of it, and what each has cost."""

    child: LoadedChild
    allowance: Allowance
    abouts: Mapping[str, About]
    broken: dict[str, Fault]
    is_wanted: Callable[[str], bool]
    slow: Callable[[Mapping[str, float]], None]
    hurried: set[str]
    """Rules that have cost a child, in this batch or before."""
    fair: float
    """Seconds from which on a rule takes long."""
    kills: dict[str, int] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    """Rules that take long."""
    _overtime: float = 0.0
    _until: float = 0.0
    _alone: bool = False
    """Whether each rule is asked in a child of its own: one has harmed another, and nobody knows which."""
    _seconds: dict[str, float] = field(default_factory=dict)
    _bytes: dict[str, int] = field(default_factory=dict)
    _given_up: dict[str, str] = field(default_factory=dict)
    """Rules that are not asked any more in this batch, and why."""
    _matches: list[MatchedRow] = field(default_factory=list)
    _errors: dict[str, list[FailedRows]] = field(default_factory=dict)
    _unjudged: dict[str, list[SkippedRows]] = field(default_factory=dict)

    def run(self, pieces: Iterable[SentRows], rules: Sequence[str]) -> None:
        """Ask `rules` about all pieces."""
        self._until = time.monotonic() + self.allowance.batch_seconds
        later = list[tuple[SentRows, str]]()
        for piece in pieces:
            for rule in rules:
                if self._alone:
                    later.append((piece, rule))
                else:
                    self._run(piece, rule)
        for piece, rule in sorted(later, key=lambda each: rules.index(each[1])):
            self._run(piece, rule)

    def judged(self, more: Iterable[SkippedRows]) -> RowAnswers:
        """Return what came of it."""
        return RowAnswers(
            matches=self._matches,
            errors=[each for found in self._errors.values() for each in found],
            unjudged=[*more, *(each for found in self._unjudged.values() for each in found)],
            seconds=self._seconds,
        )

    def _run(self, piece: SentRows, rule: str) -> None:
        """Ask `rule` about one piece."""
        at = 0
        while at < piece.count:
            if (reason := self._exhausted(rule)) is not None:
                self._given_up[rule] = reason
                self._note_unjudged(rule, piece, at, reason)
                return
            if not self._is_ready(piece, rule, at, alone=self._alone):
                return
            try:
                at = self._ask(piece, rule, at, piece.count)
            except LostChildError as lost:
                self._count_kill(rule)
                at = self._one_by_one(piece, rule, at, was_alone=lost.alone)

    def _one_by_one(self, piece: SentRows, rule: str, at: int, *, was_alone: bool) -> int:
        """Ask about row after row, up to one that takes the child with it; return the first that is left."""
        for row in range(at, piece.count):
            if self._exhausted(rule) is not None:
                return row
            if not self._is_ready(piece, rule, row, alone=True):
                return piece.count
            try:
                self._ask(piece, rule, row, row + 1)
            except LostChildError as lost:
                self._count_kill(rule)
                self._note_failed(rule, piece, row, row + 1, _fault("rule", lost))
                return row + 1
        if not was_alone:
            # By itself it harms nothing: another did.
            self._alone = True
            self.kills[rule] -= 1
            if not self.kills[rule]:
                self.hurried.discard(rule)
        return piece.count

    def _is_ready(self, piece: SentRows, rule: str, at: int, *, alone: bool) -> bool:
        """See to it that `rule` can be asked about `piece`; if it cannot be, note that of its rows from `at` on."""
        try:
            fault = self.broken.get(rule) or self._made_ready(piece, rule, alone=alone)
        except LostChildError as lost:
            if lost.step != "setup":
                self._given_up[rule] = f"the rows were not read: the process that reads them {lost}"
                self._note_unjudged(rule, piece, at, self._given_up[rule])
                return False
            self._count_kill(rule)
            self._spend(rule, self.child.setup_seconds, lost=True)
            fault = self.broken[rule] = _fault("setup", lost)
        else:
            # That a child begins, and is given the rows, is nobody's: whoever comes first would pay for all.
            self._spend(rule, self.child.setup_seconds)
        if fault is not None:
            self._note_failed(rule, piece, at, piece.count, fault)
        return fault is None

    def _made_ready(self, piece: SentRows, rule: str, *, alone: bool) -> Fault | None:
        try:
            return self.child.make_ready(rule, piece, alone=alone)
        except LostChildError as lost:
            if lost.alone:
                raise
        fault = self.child.make_ready(rule, piece, alone=True)
        # By itself it harms nothing: another did.
        self._alone = True
        return fault

    def _ask(self, piece: SentRows, rule: str, first: int, last: int) -> int:
        """Ask `rule` about some rows, and note what it says; return the first that it says nothing of.

        Raises LostChildError.
        """
        began = time.monotonic()
        within = self.allowance.call_seconds
        if rule in self.hurried or self._overtime >= self.allowance.overtime_seconds:
            within = min(within, self.allowance.hurried_seconds)
        brief = self._bytes.get(rule, 0) >= self.allowance.brief_bytes
        try:
            answer = self.child.ask(rule, first, last, within=within, brief=brief)
        except LostChildError:
            self._spend(rule, time.monotonic() - began, lost=True)
            raise
        self._spend(rule, time.monotonic() - began)
        self._bytes[rule] = self._bytes.get(rule, 0) + self.child.answer_bytes
        about = self.abouts[rule]
        for match in answer.matches:
            self._matches.append(MatchedRow(rule=rule, row=piece.first + match.row, verdict=_verdict(match, about)))
        for each in answer.failures:
            self._note_failed(rule, piece, each.first, each.last, each.fault.fault())
        return answer.last

    def _exhausted(self, rule: str) -> str | None:
        """Say why `rule` is not asked any more in this batch; None: it is."""
        allowed = self.allowance
        if (reason := self._given_up.get(rule)) is not None:
            return reason
        if self._overtime and not self.is_wanted(rule):
            return "it was turned off, or its folder removed, while rules of its folder took long"
        if self._overtime >= allowed.overtime_seconds:
            together = f"and such rules took more than {allowed.overtime_seconds:g} s of one batch"
            if self.kills.get(rule, 0):
                return f"it had to be ended, {together}"
            if rule in self.late:
                return f"it took more than {self.fair:.3g} s, {together}"
        if self.kills.get(rule, 0) >= allowed.kills:
            return f"it ended, or had to be ended, {allowed.kills} times in one batch"
        if self._seconds.get(rule, 0.0) >= allowed.rule_seconds:
            return f"it took more than {allowed.rule_seconds:g} s for one batch"
        if self._bytes.get(rule, 0) >= allowed.rule_bytes:
            return f"what it says of one batch is larger than {allowed.rule_bytes:,} bytes"
        if sum(self._bytes.values()) >= 2 * allowed.rule_bytes:
            return f"what the rules of its folder say of one batch is larger than {2 * allowed.rule_bytes:,} bytes"
        if time.monotonic() >= self._until:
            return f"the rules of its folder took more than {allowed.batch_seconds:g} s for one batch"
        return None

    def _is_spent(self, rule: str) -> bool:
        """Whether `rule` has used up the time that it may take by itself in this batch.

        What it says does not count: how much that is goes by the events, which whoever makes them decides.
        """
        allowed = self.allowance
        return (
            self.kills.get(rule, 0) >= allowed.kills
            or self._seconds.get(rule, 0.0) >= allowed.rule_seconds
            or ((self.kills.get(rule, 0) > 0 or rule in self.late) and self._overtime >= allowed.overtime_seconds)
        )

    def _spend(self, rule: str, took: float, *, lost: bool = False) -> None:
        """Count what a call of `rule` took: all is overtime if the child was `lost`, else what goes beyond `fair`."""
        before = self._seconds.get(rule, 0.0)
        self._seconds[rule] = before + took
        if before + took > self.fair:
            self.late.add(rule)
        self._overtime += took if lost else max(0.0, before + took - max(before, self.fair))
        if took >= _SLOW_SECONDS:
            self.slow(dict(self._seconds))

    def _count_kill(self, rule: str) -> None:
        self.kills[rule] = self.kills.get(rule, 0) + 1
        self.hurried.add(rule)

    def _note_failed(self, rule: str, piece: SentRows, first: int, last: int, fault: Fault) -> None:
        first, last = piece.first + first, piece.first + last
        noted = self._errors.setdefault(rule, [])
        if noted and noted[-1].last == first and _is_alike(noted[-1].fault, fault):
            noted[-1] = replace(noted[-1], last=last)
        else:
            noted.append(FailedRows(rule=rule, first=first, last=last, fault=fault))

    def _note_unjudged(self, rule: str, piece: SentRows, at: int, reason: str) -> None:
        first, last = piece.first + at, piece.first + piece.count
        noted = self._unjudged.setdefault(rule, [])
        if noted and noted[-1].last == first and noted[-1].reason == reason:
            noted[-1] = replace(noted[-1], last=last)
        else:
            noted.append(SkippedRows(rule=rule, first=first, last=last, reason=reason, own_fault=self._is_spent(rule)))


def _fault(function: str, lost: LostChildError) -> Fault:
    return Fault(function=function, type=lost.name, message=f"the process that ran it {lost}", is_fatal=True)


def _is_alike(one: Fault, other: Fault) -> bool:
    """Whether two faults are told as one: rule errors are grouped by where they come from, and by their type."""
    return (one.function, one.type) == (other.function, other.type)


def _verdict(match: WireMatch, about: About) -> Verdict:
    return Verdict(
        matched=True,
        title=match.title,
        description=about.description if match.description is None else match.description,
        reference=about.reference if match.reference is None else match.reference,
        runbook=about.runbook if match.runbook is None else match.runbook,
        severity=match.severity,
        destinations=None if match.destinations is None else tuple(match.destinations),
        dedup=match.dedup,
        context=JsonObject(bytes(match.context).decode()),
        unique=match.unique,
        raised=tuple(each.fault() for each in match.raised),
        notes=tuple(match.notes),
    )
