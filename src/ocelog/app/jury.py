"""The rules that are on, from all folders, and how they are asked: each folder in a process of its own."""

import os
import shlex
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from ocelog.alert.judged import SUSPENDED, Event, Judged, JudgedBy, Match, RuleError, Unjudged
from ocelog.app.good_rules import GoodRules
from ocelog.app.log_types import changing
from ocelog.app.rule_troubles import Unread, is_needed, tell, unread_rules
from ocelog.detect.bundle import Bundle, fails, read_bundle
from ocelog.detect.checking import Names, check
from ocelog.detect.checkout import Checkout, parse_checkout
from ocelog.detect.deciding import decisions, shadowed
from ocelog.detect.folders import RuleFolder, RuleState, RuleTrouble
from ocelog.detect.roots import find_root
from ocelog.detect.rule import CorrelationRule, Kind, Query
from ocelog.errors import OcelogError, RuleFileError
from ocelog.installation.opening import Installation
from ocelog.judging.judge import Judge, Loaded, LoadedRule
from ocelog.judging.judge import Judged as Answer
from ocelog.judging.loaded_child import Rows
from ocelog.schema.language.packaged import packaged_schemas

_LOOK_EVERY = 5.0
"""Seconds between two looks at whether folders, files or decisions have changed."""
_MOST_FILES = 100_000
KILLED_TIMES = 3
"""A rule that uses up its time in so many batches, one after the other, is suspended."""
FAILED_TIMES = 20
"""So is one that fails on every event of so many batches."""
log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Bench:
    """A folder of rules, and who judges by it."""

    folder: RuleFolder
    judge: Judge
    mark: str = ""
    """What the folder looked like when it was read."""
    loaded: Loaded | None = None
    trouble: str | None = None
    """Why its files are not what is judged by."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Rules that name what nothing has, and why: their last good version runs, or nothing of them."""
    off: frozenset[str] = frozenset()
    """Those of them of which nothing good was there before."""
    unread: Sequence[Unread] = ()
    """Rules that do not run as a file does not read."""

    @property
    def silent(self) -> frozenset[str]:
        """Rules of it that must not be asked."""
        return self.off.union(each.rule_id for each in self.unread)


@dataclass(slots=True)
class FolderJury:
    """Every folder that is registered. Fits Jury."""

    installation: Installation
    channels: Callable[[], Mapping[str, str]]
    """Returns the id of each channel by its name and by its id."""
    monotonic: Callable[[], float] = time.monotonic
    went_on: Callable[[], None] = lambda: None
    """Called once a folder has judged."""
    lock: AbstractContextManager[object] = field(default_factory=threading.RLock)
    """Held from asking which rules there are until they have judged: two loops ask."""
    benches: dict[str, Bench] = field(default_factory=dict)
    """By id of the folder, in the order in which they were registered."""
    good: GoodRules = field(init=False)
    _looked_at: float = float("-inf")
    _rules: dict[str, tuple[Bench, LoadedRule]] = field(default_factory=dict)
    """Those that run, by id."""
    _scheduled: dict[str, tuple[Bench, LoadedRule]] = field(default_factory=dict)
    """Those that judge rows of scheduled queries, by id."""
    _queries: dict[str, Query] = field(default_factory=dict)
    _correlations: dict[str, tuple[CorrelationRule, str]] = field(default_factory=dict)
    """Those that run, each with the revision of its folder, by id."""
    _suspended: dict[str, str] = field(default_factory=dict)
    _were_on: tuple[frozenset[str], frozenset[tuple[str, str]]] | None = None
    """The rules that were on at the last look, suspended ones too: all, and those that run, with their folders."""
    _were_off: frozenset[str] | None = None
    """The rules that a person had disabled at the last look."""
    _unread: list[Unread] = field(default_factory=list)
    """What would judge, were its files good; a folder whose rules are not known is named by what stands for them."""
    _told: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each folder, what people were told is wrong with it."""
    _to_suspend: dict[str, str] = field(default_factory=dict)
    """Rules that are suspended once the piece is committed that tells of it, and why."""
    _failing: dict[str, set[str]] | None = None
    """Rules whose errors are an open alert, each with the revisions that failed; None: not looked at yet."""
    _killed: dict[str, int] = field(default_factory=dict)
    _failed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.good = GoodRules(self.installation.home.path)

    def rules(self, log_type: str) -> Mapping[str, JudgedBy]:
        """Return the rules that judge rows of `log_type` now, by id."""
        self._refresh()
        return {
            name: judged_by(rule, bench.folder.id)
            for name, (bench, rule) in self._of(log_type)
            if name not in self._suspended
        }

    def passed(self, log_type: str) -> Mapping[str, str]:
        """Return the rules that would, were they not suspended: by id, and why."""
        found = {
            name: f"suspended: {self._suspended[name]}" for name, _ in self._of(log_type) if name in self._suspended
        }
        return found | {each.rule_id: each.reason for each in self._unread if each.concerns(log_type)}

    def judge(self, rows: pa.Table, log_type: str, events: Sequence[Event]) -> Judged:
        """Ask the rules about rows, each of which is an event. Raises SandboxError."""
        return self._ask(self._of(log_type), rows, log_type, events)

    def judge_by(self, rules: Collection[str], rows: pa.Table, log_type: str, events: Sequence[Event]) -> Judged:
        """Ask only some of these rules. Raises SandboxError."""
        return self._ask([each for each in self._of(log_type) if each[0] in rules], rows, log_type, events)

    def queries(self) -> Mapping[str, Query]:
        """Return the scheduled queries that rules want to run now, by name."""
        self._refresh()
        wanted = {
            query
            for name, (_, rule) in self._scheduled.items()
            if name not in self._suspended
            for query in rule.scheduled_queries
        }
        return {name: query for name, query in self._queries.items() if name in wanted}

    def rules_of(self, query: str) -> Mapping[str, JudgedBy]:
        """Return the rules that judge rows of a scheduled query, by id, as of one look."""
        with self.lock:
            return {name: judged_by(rule) for name, (_, rule) in self._on(query) if name not in self._suspended}

    def judge_rows(self, query: str, rows: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> Judged:
        """Ask the rules about rows of a scheduled query, each of which is an event. Raises SandboxError."""
        said = self._ask(self._on(query), rows, None, events)
        passed = [
            Unjudged(rule_id=name, reason=f"suspended: {self._suspended[name]}", events=events)
            for name, _ in self._on(query)
            if name in self._suspended and events
        ]
        return replace(said, unjudged=[*said.unjudged, *passed])

    def correlations(self) -> Mapping[str, tuple[CorrelationRule, str]]:
        """Return the correlation rules that run now, each with its revision, by id."""
        self._refresh()
        return self._correlations

    @property
    def reads_all(self) -> bool:
        """Whether every file of every folder reads: else nobody knows that a rule which is not there is off."""
        return all(
            each.loaded is not None and each.trouble is None and not each.silent and not each.loaded.faults
            for each in self.benches.values()
        )

    def _on(self, query: str) -> list[tuple[str, tuple[Bench, LoadedRule]]]:
        return [each for each in self._scheduled.items() if query in each[1][1].scheduled_queries]

    def _ask(
        self,
        wanted: Sequence[tuple[str, tuple[Bench, LoadedRule]]],
        rows: Rows,
        log_type: str | None,
        events: Sequence[Event],
    ) -> Judged:
        by_bench = dict[str, list[str]]()
        asked = dict[str, JudgedBy]()
        for name, (bench, rule) in wanted:
            if name not in self._suspended:
                by_bench.setdefault(bench.folder.id, []).append(name)
                asked[name] = judged_by(rule, bench.folder.id)
        channels = self.channels()
        answers = list[Answer]()
        for folder_id, names in by_bench.items():
            answers.append(self.benches[folder_id].judge.judge(rows, log_type=log_type, rules=names, channels=channels))
            self.went_on()
        said = said_of(events, asked, answers)
        return replace(said, errors=[*said.errors, *self._suspend(said)])

    def committed(self, said: Judged) -> None:
        """Suspend the rules that are to be, now that people are told of it."""
        for name in said.rules:
            why = self._to_suspend.pop(name, None)
            if why is None:
                continue
            self._killed[name] = self._failed[name] = 0
            if self.installation.ledger.rules.suspend(name, why):
                log.error("rule suspended", rule=name, reason=why)
            self.look_again()
        self._end_errors(said)

    def _end_errors(self, said: Judged) -> None:
        """Resolve the alerts about errors of rules that were changed since, and judge without one."""
        alerts = self.installation.ledger.alerts
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
                alerts.end_errors(name, "the rule was changed, and judges without an error", but=rule.revision)

    def close(self) -> None:
        """End every process that judges."""
        for bench in self.benches.values():
            bench.judge.close()

    def look_again(self) -> None:
        """Look at the folders before the next piece, however soon that is."""
        self._looked_at = float("-inf")

    def _of(self, log_type: str) -> list[tuple[str, tuple[Bench, LoadedRule]]]:
        return [each for each in self._rules.items() if log_type in each[1][1].log_types]

    def _suspend(self, said: Judged) -> list[RuleError]:
        """Find the rules that keep failing, and return what is to be told of that: then they are suspended."""
        if not said.events:
            return []
        killed = {each.rule_id for each in said.unjudged if each.own_fault}
        rows = dict[str, int]()
        for each in said.errors:
            rows[each.rule.id] = rows.get(each.rule.id, 0) + len(each.events)
        found = list[RuleError]()
        for name, rule in said.rules.items():
            self._killed[name] = self._killed.get(name, 0) + 1 if name in killed else 0
            self._failed[name] = self._failed.get(name, 0) + 1 if rows.get(name, 0) >= len(said.events) else 0
            if self._killed[name] >= KILLED_TIMES:
                why = f"it used up its time {KILLED_TIMES} times in a row"
            elif self._failed[name] >= FAILED_TIMES:
                why = f"it failed on every event of {FAILED_TIMES} batches in a row"
            else:
                continue
            self._to_suspend[name] = why
            found.append(RuleError(rule=rule, type=SUSPENDED, message=why, events=said.events[-1:]))
        return found

    def _refresh(self) -> None:
        if self.monotonic() < self._looked_at + _LOOK_EVERY:
            return
        ledger = self.installation.ledger.rules
        folders, states = ledger.folders(), ledger.states()
        benches = dict[str, Bench]()
        for folder in folders:
            before = self.benches.get(folder.id)
            if before is not None and _same_place(before.folder, folder):
                before.folder = folder
                benches[folder.id] = before
            else:
                if before is not None:
                    before.judge.close()
                benches[folder.id] = Bench(folder=folder, judge=self._judge_of(folder))
        for gone in self.benches.keys() - benches.keys():
            self.benches[gone].judge.close()
        self.benches = benches
        for bench in benches.values():
            self._read(bench)
            bench.unread = [] if bench.loaded is None else unread_rules(bench.loaded, states)
        loaded = [(bench.folder, bench.loaded) for bench in benches.values() if bench.loaded is not None]
        hidden = shadowed(loaded)
        wanted = {
            folder.id: {name for name, each in decisions(found, folder, states).items() if each.runs}
            - hidden[folder.id].keys()
            for folder, found in loaded
        }
        running = {folder_id: names - benches[folder_id].silent for folder_id, names in wanted.items()}
        rules = {
            name: (benches[folder.id], rule)
            for folder, found in loaded
            for name, rule in found.rules.items()
            if name in running[folder.id]
        }
        self._rules = {name: each for name, each in rules.items() if each[1].kind is Kind.RULE}
        self._scheduled = {name: each for name, each in rules.items() if each[1].kind is Kind.SCHEDULED_RULE}
        self._queries = {
            name: query
            for folder, found in loaded
            for name, query in found.queries.items()
            if query.schedule is not None and name in running[folder.id]
        }
        self._correlations = {
            name: (rule, found.revision)
            for folder, found in loaded
            for name, rule in found.correlations.items()
            if name in running[folder.id]
        }
        self._suspended = {
            name: state.reason for name, state in states.items() if state.suspended_us is not None and name in rules
        }
        found = {name: list(_troubles(each, wanted.get(name, ()), states)) for name, each in benches.items()}
        ledger.note_troubles([trouble for each in found.values() for trouble in each])
        self._tell(found)
        self._end_others(states)
        self._unread = [each for name, bench in benches.items() for each in self._silent(bench, wanted.get(name, ()))]
        # Last: after a failure the rules are looked at again, and nothing is passed for lack of them meanwhile.
        self._looked_at = self.monotonic()

    def _silent(self, bench: Bench, wanted: Collection[str]) -> Iterator[Unread]:
        """Yield what would judge, were its files good."""
        every = f"{bench.folder.name}/*"
        if bench.loaded is None:
            yield Unread(rule_id=every, reason=f"its folder cannot be read: {bench.trouble}")
            return
        for each in bench.unread:
            # A file that does not say which rule it has is no rule that could be off.
            if each.rule_id in wanted or (each.rule_id not in bench.loaded.rules and each.rule_id not in self._rules):
                yield replace(each, rule_id=each.rule_id or every, reason=f"{bench.folder.name}/{each.reason}")
        for name in bench.off.intersection(wanted):
            if name in bench.loaded.rules:
                types = frozenset(bench.loaded.rules[name].log_types)
                yield Unread(rule_id=name, reason=f"{bench.folder.name}/{bench.refused.get(name, '')}", log_types=types)

    def _tell(self, found: Mapping[str, Sequence[RuleTrouble]]) -> None:
        """Have people hear of what is wrong with folders, and once it is over."""
        for folder_id, troubles in found.items():
            bench = self.benches[folder_id]
            if bench.folder.is_built_in:
                continue
            told = {each.rule_id: each.told(bench.folder) for each in troubles}
            if self._told.get(folder_id) != told:
                tell(self.installation.ledger, bench.folder, told)
                self._told[folder_id] = told

    def _end_others(self, states: Mapping[str, RuleState]) -> None:
        """Resolve the alerts of rules that are not on any more, of records and about errors: nothing else would.

        A file or a folder that does not read tells of no rule that it is off; a person does, whatever does not read.
        """
        off = frozenset(name for name, state in states.items() if state.enabled is False)
        if off != self._were_off:
            self._end(off.intersection)
            self._were_off = off
        wrong = {each.id for bench in self.benches.values() if bench.loaded is not None for each in bench.loaded.faults}
        whole = all(bench.loaded is not None and bench.trouble is None for bench in self.benches.values())
        if not whole or any(name.endswith((".yml", ".yaml", ".py")) for name in wrong):
            return
        unknown = frozenset({*wrong, *(name for bench in self.benches.values() for name in bench.silent)})
        on = unknown.union(self._rules, self._scheduled, self._correlations)
        placed = frozenset((name, bench.folder.id) for name, (bench, _) in self._rules.items())
        if (on, placed) == self._were_on:
            return
        # First: a rule that is turned on again must not take what is so by then for news.
        self.installation.ledger.rules.forget_seeds(placed, unknown)
        self._end(
            lambda rules: rules - unknown - self._rules.keys() - self._scheduled.keys() - self._correlations.keys()
        )
        self._were_on = on, placed

    def _end(self, which: Callable[[AbstractSet[str]], AbstractSet[str]]) -> None:
        """Resolve the alerts of those rules, of all that have some, that are off."""
        alerts, why = self.installation.ledger.alerts, "its rule was disabled, removed or renamed"
        if ended := which(set(alerts.rules_of_records())):
            count = alerts.end_rules(ended, why)
            log.info("alerts of rules that are off resolved", rules=sorted(ended), alerts=count)
        for name in sorted(which(alerts.failing_rules().keys())):
            alerts.end_errors(name, why)
            if self._failing is not None:
                self._failing.pop(name, None)

    def _judge_of(self, folder: RuleFolder) -> Judge:
        home = self.installation.home.path
        return Judge(network=folder.network, unsafe=folder.unprotected, changing=changing(), keep_out=(str(home),))

    def _read(self, bench: Bench) -> None:
        """Read a folder again if it looks different; what does not read leaves the rules as they were."""
        path = Path(bench.folder.path)
        try:
            mark = _mark(path)
            if mark == bench.mark:
                bench.trouble = None
                return
            had = self.good.read(bench.folder.id) if bench.loaded is None else bench.loaded.bundle
            bundle = read_rules(bench.folder, had)
            if bench.loaded is None:
                self._load_good(bench, but=bundle)
            # Ours are checked before they are released.
            refused = {} if bench.folder.is_built_in else refused_rules(parse_checkout(bundle, changing()))
            loaded = bench.judge.load(_mended(bundle, refused, bench))
        except RuleFileError as error:
            self._note(bench, str(error))
            if bench.loaded is None:
                self._load_good(bench)
            return
        except OcelogError as error:
            self._note(bench, error.beside(None))
            if bench.loaded is None:
                raise
            return
        except Exception as error:
            # What is in the files of one folder must stop no other.
            log.exception("bug in Ocelog", folder=bench.folder.name)
            self._note(bench, f"a bug in Ocelog keeps its files from being read: {type(error).__name__}")
            if bench.loaded is None:
                self._load_good(bench)
            return
        before = bench.loaded.rules if bench.loaded is not None else {}
        bench.off = frozenset(name for name in refused if name in bench.off or name not in before)
        bench.mark, bench.loaded, bench.trouble, bench.refused = mark, loaded, None, refused
        if not bench.folder.is_built_in:
            self.good.keep(bench.folder.id, loaded.bundle)
        log.info("rules read", folder=bench.folder.name, rules=len(loaded.rules))
        for each in (*loaded.faults, *loaded.kept):
            log.warning("rule file left out", folder=bench.folder.name, reason=each.message)
        for name, why in refused.items():
            log.warning("rule refused", folder=bench.folder.name, rule=name, reason=why)

    def _load_good(self, bench: Bench, *, but: Bundle | None = None) -> None:
        """Judge by what was kept of a folder when it was good, unless it is as `but`."""
        good = None if bench.folder.is_built_in else self.good.read(bench.folder.id)
        if good is None or (but is not None and good.revision() == but.revision()):
            return
        refused = refused_rules(parse_checkout(good, changing()))
        try:
            bench.loaded, bench.off = bench.judge.load(good), frozenset(refused)
        except RuleFileError as error:
            log.warning("last good rules not read", folder=bench.folder.name, reason=str(error))
            return
        log.info("last good rules read", folder=bench.folder.name, rules=len(bench.loaded.rules))

    @staticmethod
    def _note(bench: Bench, trouble: str) -> None:
        if trouble != bench.trouble:
            bench.trouble = trouble
            log.error("rules not read", folder=bench.folder.name, reason=trouble)


def said_of(events: Sequence[Event], asked: Mapping[str, JudgedBy], answers: Iterable[Answer]) -> Judged:
    """Return what several judges said of the same rows, each of which is an event."""
    matches, errors, unjudged = list[tuple[int, Match]](), list[RuleError](), list[Unjudged]()
    for found in answers:
        matches += [
            (each.row, Match(rule=asked[each.rule], event=events[each.row], verdict=each.verdict))
            for each in found.matches
        ]
        errors += [
            RuleError(
                rule=asked[each.rule],
                type=each.fault.type,
                message=each.fault.message,
                events=events[each.first : each.last],
            )
            for each in found.errors
        ]
        unjudged += [
            Unjudged(
                rule_id=each.rule,
                reason=each.reason,
                events=events[each.first : each.last],
                own_fault=each.own_fault,
            )
            for each in found.unjudged
        ]
    matches.sort(key=lambda each: each[0])
    return Judged(events=events, rules=asked, matches=[match for _, match in matches], errors=errors, unjudged=unjudged)


def refused_rules(checkout: Checkout) -> dict[str, str]:
    """Return the rules that name a field, a log type or a query that does not exist, and why; the first of each.

    Their destinations are not looked at: a channel may be added later.
    """
    found = dict[str, str]()
    for wrong in check(checkout, Names(schemas=packaged_schemas())):
        if wrong.rule in checkout.rules:
            found.setdefault(wrong.rule, str(wrong))
    return found


def read_rules(folder: RuleFolder, before: Bundle | None) -> Bundle:
    """Read the files of a folder. Raises RuleFileError, also for one that was emptied since it was as `before`.

    A sync that failed, or a disk that is not mounted, looks like that: no rule is taken for deleted because of it.
    """
    bundle = read_bundle(Path(folder.path))
    if before is not None and not folder.is_built_in and _has_rules(before) and not _has_rules(bundle):
        raise RuleFileError(
            f"{folder.path}: it had rules, and is empty now. If that is meant: ocelog rules remove "
            f"{shlex.quote(folder.name)}"
        )
    return bundle


def _has_rules(bundle: Bundle) -> bool:
    names = (*bundle.files, *bundle.refused)
    return any(name.endswith((".yml", ".yaml")) and bundle.holds(name) for name in names)


def _mended(bundle: Bundle, refused: Collection[str], bench: Bench) -> Bundle:
    """Return a bundle with the files of refused rules as they were when these were good."""
    if bench.loaded is None:
        return bundle
    files, before = dict(bundle.files), bench.loaded
    for name in set(refused) - bench.off:
        if name in before.rules:
            theirs = before.rules[name].files
            files |= {file: content for file, content in before.bundle.files.items() if file in theirs}
    return replace(bundle, files=files)


def _troubles(bench: Bench, wanted: Collection[str], states: Mapping[str, RuleState]) -> Iterator[RuleTrouble]:
    """Yield why a folder, or rules of it that are `wanted`, do not run as their files are now."""
    folder_id, known = bench.folder.id, frozenset(packaged_schemas())
    if bench.trouble is not None:
        more = "nothing of it runs" if bench.loaded is None else "its last good version runs"
        yield RuleTrouble(folder_id=folder_id, rule_id="", reason=f"{bench.trouble}; {more}")
    if bench.loaded is None:
        return
    for each in bench.loaded.kept:
        why = f"{each.message}; its last good version runs"
        yield RuleTrouble(folder_id=folder_id, rule_id=each.id, reason=why)
    for each in bench.loaded.faults:
        if is_needed(bench.loaded, each, states, known):
            yield RuleTrouble(folder_id=folder_id, rule_id=each.id, reason=each.message)
    for name, why in bench.refused.items():
        types = bench.loaded.rules[name].log_types if name in bench.loaded.rules else ()
        if name in wanted and (not types or not known.isdisjoint(types)):
            more = "the rule does not run" if name in bench.off else "its last good version runs"
            yield RuleTrouble(folder_id=folder_id, rule_id=name, reason=f"{why}; {more}")


def _same_place(one: RuleFolder, other: RuleFolder) -> bool:
    return (one.path, one.network, one.unprotected) == (other.path, other.network, other.unprotected)


def judged_by(rule: LoadedRule, folder_id: str = "") -> JudgedBy:
    """Return a rule as alerts know it."""
    return JudgedBy(
        about=rule.about, revision=rule.revision, folder_id=folder_id, on_schedule=rule.kind is not Kind.RULE
    )


def _mark(path: Path) -> str:
    """Return what changes when a file of a checkout is written, added or deleted. Raises RuleFileError."""
    try:
        return _mark_of(path)
    except OSError as error:
        raise RuleFileError(f"{error.filename or path}: it cannot be read: {error.strerror or error}") from error


def _mark_of(path: Path) -> str:
    if not path.exists():
        raise RuleFileError(f"{path}: there is no such file or folder")
    found, count, root = list[str](), 0, find_root(path)
    for folder, folders, names in os.walk(root, onerror=fails):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                raise RuleFileError(f"{path}: its checkout has more than {_MOST_FILES:,} files")
            try:
                there = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - called for each file
            except OSError:
                continue
            inside = os.path.relpath(folder, root)
            found.append(f"{inside}/{name}:{there.st_ino}:{there.st_size}:{there.st_mtime_ns}")
    return str(hash("\n".join(found)))
