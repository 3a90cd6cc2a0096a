"""The rules that are on, from all folders, and how they are asked: each folder in a process of its own."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from ocelog.alert.judged import Event, JudgedBy, Judgement, UnjudgedEvents
from ocelog.app.judging.judging_pace import JudgingPace
from ocelog.app.judging.rule_answers import judged_by, said_of
from ocelog.app.judging.rule_suspending import Suspending
from ocelog.app.judging.rules_off import RulesOff
from ocelog.app.judging.running_rules import RunningRules, running, unread
from ocelog.app.log_types import changing
from ocelog.app.rule_folders.folder_reading import Bench, FolderReader
from ocelog.app.rule_folders.folder_troubles import FolderTroubles
from ocelog.app.rule_folders.good_rules import GoodRules
from ocelog.app.rule_folders.rule_troubles import Unread, unread_rules
from ocelog.detect.folders import RuleFolder
from ocelog.detect.rule import CorrelationRule, Query
from ocelog.installation.opening import Installation
from ocelog.rule_workers.judge import OF_NETWORK, Judge, RowAnswers
from ocelog.rule_workers.loaded_child import Rows
from ocelog.rule_workers.wire import LoadedRule

_LOOK_EVERY = 5.0
"""Seconds between two looks at whether folders, files or decisions have changed."""
_AGAIN_AFTER = 2.0
"""Seconds until the next look while a folder may still be being written."""
_WAITING_EVERY = 0.5
"""Seconds between two looks of whoever waits for the folders to come to rest."""
_WAITS_AT_MOST = 5.0
"""Seconds of such waiting, after which the last good rules go on judging."""


@dataclass(slots=True)
class FolderJury:
    """Every folder that is registered. Fits Jury."""

    installation: Installation
    channels: Callable[[], Mapping[str, str]]
    """Returns the id of each channel by its name and by its id."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    went_on: Callable[[], None] = lambda: None
    """Called once a folder has judged."""
    lock: AbstractContextManager[object] = field(default_factory=threading.RLock)
    """Held from asking which rules there are until they have judged: two loops ask."""
    benches: dict[str, Bench] = field(default_factory=dict)
    """By id of the folder, in the order in which they were registered."""
    _reader: FolderReader = field(init=False)
    _troubles: FolderTroubles = field(init=False)
    _suspending: Suspending = field(init=False)
    _off: RulesOff = field(init=False)
    _pace: JudgingPace = field(init=False)
    _running: RunningRules = field(default_factory=RunningRules)
    _unread: Sequence[Unread] = ()
    """What would judge, were its files good; a folder whose rules are not known is named by what stands for them."""
    _looked_at: float = float("-inf")
    _waits: bool = False
    """Whether the next look goes on until the folders have come to rest."""

    def __post_init__(self) -> None:
        ledger = self.installation.ledger
        self._pace = JudgingPace(self.installation.home.path)
        self._reader = FolderReader(GoodRules(self.installation.home.path), monotonic=self.monotonic)
        self._troubles, self._suspending, self._off = FolderTroubles(ledger), Suspending(ledger), RulesOff(ledger)

    def rules(self, log_type: str) -> Mapping[str, JudgedBy]:
        """Return the rules that judge rows of `log_type` now, by id."""
        self._refresh()
        return self.seen(log_type)

    def seen(self, log_type: str) -> Mapping[str, JudgedBy]:
        """Return the same as of the last look, without another."""
        return {
            name: judged_by(rule, bench.folder.id)
            for name, (bench, rule) in self._of(log_type)
            if name not in self._running.suspended
        }

    def passed(self, log_type: str) -> Mapping[str, str]:
        """Return the rules that would, were they not suspended: by id, and why."""
        found = {
            name: f"suspended: {self._running.suspended[name]}"
            for name, _ in self._of(log_type)
            if name in self._running.suspended
        }
        return found | {each.rule_id: each.reason for each in self._unread if each.concerns(log_type)}

    def judge(self, rows: pa.Table, log_type: str, events: Sequence[Event]) -> Judgement:
        """Ask the rules about rows, each of which is an event. Raises SandboxError."""
        return self._ask(self._of(log_type), rows, log_type, events)

    def judge_by(self, rules: Collection[str], rows: pa.Table, log_type: str, events: Sequence[Event]) -> Judgement:
        """Ask only some of these rules. Raises SandboxError."""
        return self._ask([each for each in self._of(log_type) if each[0] in rules], rows, log_type, events)

    def queries(self) -> Mapping[str, Query]:
        """Return the scheduled queries that rules want to run now, by name."""
        self._refresh()
        wanted = {
            query
            for name, (_, rule) in self._running.scheduled.items()
            if name not in self._running.suspended
            for query in rule.scheduled_queries
        }
        return {name: query for name, query in self._running.queries.items() if name in wanted}

    def rules_of(self, query: str) -> Mapping[str, JudgedBy]:
        """Return the rules that judge rows of a scheduled query, by id, as of one look."""
        with self.lock:
            return {name: judged_by(rule) for name, (_, rule) in self._on(query) if name not in self._running.suspended}

    def judge_rows(self, query: str, rows: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> Judgement:
        """Ask the rules about rows of a scheduled query, each of which is an event. Raises SandboxError."""
        said = self._ask(self._on(query), rows, None, events)
        passed = [
            UnjudgedEvents(rule_id=name, reason=f"suspended: {self._running.suspended[name]}", events=events)
            for name, _ in self._on(query)
            if name in self._running.suspended and events
        ]
        return replace(said, unjudged=[*said.unjudged, *passed])

    def correlations(self) -> Mapping[str, tuple[CorrelationRule, str]]:
        """Return the correlation rules that run now, each with its revision, by id."""
        self._refresh()
        return self._running.correlations

    @property
    def reads_all(self) -> bool:
        """Whether every file of every folder reads: else nobody knows that a rule which is not there is off."""
        return all(
            each.is_confirmed
            and each.loaded is not None
            and each.trouble is None
            and not each.silent
            and not each.loaded.faults
            for each in self.benches.values()
        )

    def _on(self, query: str) -> list[tuple[str, tuple[Bench, LoadedRule]]]:
        return [each for each in self._running.scheduled.items() if query in each[1][1].scheduled_queries]

    def _ask(
        self,
        wanted: Sequence[tuple[str, tuple[Bench, LoadedRule]]],
        rows: Rows,
        log_type: str | None,
        events: Sequence[Event],
    ) -> Judgement:
        by_bench = dict[str, list[str]]()
        asked = dict[str, JudgedBy]()
        for name, (bench, rule) in wanted:
            if name not in self._running.suspended:
                by_bench.setdefault(bench.folder.id, []).append(name)
                asked[name] = judged_by(rule, bench.folder.id)
        channels = self.channels()
        answers = list[RowAnswers]()
        with ThreadPoolExecutor(max(1, len(by_bench)), thread_name_prefix="jury") as side_by_side:
            # No folder waits for the children of another.
            for answer in side_by_side.map(lambda each: self._judge(each, rows, log_type, channels), by_bench.items()):
                answers.append(answer)
                self.went_on()
        said = said_of(events, asked, answers)
        self._pace.took(said.seconds)
        return replace(said, errors=[*said.errors, *self._suspending.found(said, self._is_mended)])

    def _judge(
        self, asked: tuple[str, Collection[str]], rows: Rows, log_type: str | None, channels: Mapping[str, str]
    ) -> RowAnswers:
        folder_id, names = asked
        return self.benches[folder_id].judge.judge(
            rows,
            log_type=log_type,
            rules=names,
            channels=channels,
            is_wanted=lambda name: self._is_wanted(folder_id, name),
            slow=lambda seconds: self._pace.goes_on(folder_id, seconds),
        )

    def _is_wanted(self, folder_id: str, name: str) -> bool:
        """Whether the folder of a rule that is being asked is still registered, and nobody has turned the rule off."""
        ledger = self.installation.ledger.rules
        state = ledger.states().get(name)
        return (state is None or state.enabled is not False) and any(each.id == folder_id for each in ledger.folders())

    def _is_mended(self, name: str) -> bool:
        """Whether the files of a rule that was asked are not as they were read, or a person turned it off meanwhile."""
        state = self.installation.ledger.rules.states().get(name)
        if state is not None and state.enabled is False:
            return True
        found = self._running.rules.get(name) or self._running.scheduled.get(name)
        return found is not None and self._reader.has_changed(found[0])

    def committed(self, said: Judgement) -> None:
        """Suspend the rules that are to be, now that people are told of it, and end what a change has mended."""
        if self._suspending.committed(said):
            self.look_again()
        self._off.committed(said)

    def close(self) -> None:
        """End every process that judges."""
        for bench in self.benches.values():
            bench.judge.close()

    def look(self) -> None:
        """Look at the folders, if the last look is some seconds ago."""
        with self.lock:
            self._refresh()

    def look_again(self, *, waits: bool = False) -> None:
        """Look at the folders before the next piece, however soon that is.

        `waits`: until those that are just being written have come to rest, for some seconds at most.
        """
        self._looked_at, self._waits = float("-inf"), self._waits or waits

    def _of(self, log_type: str) -> list[tuple[str, tuple[Bench, LoadedRule]]]:
        return [each for each in self._running.rules.items() if log_type in each[1][1].log_types]

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
        writing = self._read(list(benches.values()))
        for bench in benches.values():
            bench.unread = [] if bench.loaded is None else unread_rules(bench.loaded, states)
        self._running = running(benches, states)
        if all(bench.is_confirmed for bench in benches.values()):
            self._suspending.forget_others(
                {*self._running.rules, *self._running.scheduled} - self._running.suspended.keys()
            )
        self._troubles.note(benches, self._running.wanted, states)
        self._off.end(benches, self._running, states)
        self._unread = unread(benches, self._running)
        # Last: after a failure the rules are looked at again, and nothing is passed for lack of them meanwhile.
        self._looked_at = self.monotonic() - (_LOOK_EVERY - _AGAIN_AFTER if writing else 0)
        self._waits = False

    def _read(self, benches: Sequence[Bench]) -> bool:
        """Read folders that look different; return whether they have to be looked at again soon.

        With the first look of a process nothing was read that could go on judging until the next one.
        """
        waits = self._waits or any(bench.loaded is None and bench.trouble is None for bench in benches)
        until = self.monotonic() + _WAITS_AT_MOST
        left = [bench for bench in benches if not self._reader.read(bench, _WAITING_EVERY if waits else _AGAIN_AFTER)]
        while waits and left and self.monotonic() < until:
            self.sleep(_WAITING_EVERY)
            self.went_on()
            left = [bench for bench in left if not self._reader.read(bench, _WAITING_EVERY)]
        for bench in left:
            self._reader.goes_on_changing(bench, at_once=waits)
        return bool(left)

    def _judge_of(self, folder: RuleFolder) -> Judge:
        home = self.installation.home.path
        return Judge(
            network=folder.network,
            unsafe=folder.unprotected,
            changing=changing(),
            keep_out=(str(home),),
            allowance=OF_NETWORK if folder.network else None,
            named=folder.named_error,
        )


def _same_place(one: RuleFolder, other: RuleFolder) -> bool:
    return (one.path, one.network, one.unprotected) == (other.path, other.network, other.unprotected)
