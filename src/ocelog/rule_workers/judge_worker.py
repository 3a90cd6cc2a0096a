"""What runs in the child that judges events: the rules of one folder, with nothing in reach but what the parent sends.

The parent sends `load` (a bundle) and hears what it holds. Then come, in whatever order it needs: `piece` (rows, and
how they are shown to rules), `model` and `setup` (run the Python of a data model, or of a rule, for the first time),
and `judge` (one rule on some rows of the piece). Each is answered before the next is sent, by a frame of the same name
with the same number: so the parent knows on which rule, and on which rows, a child was that ended or hangs.
"""

import gc
import json
import sys
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import replace

# Nothing here needs it, and it would begin threads before the process is locked in.
sys.modules["numpy"] = None  # type: ignore[assignment]

import msgspec  # noqa: E402 - see above
import pyarrow as pa  # noqa: E402

from ocelog.detect.bundle import Bundle, revision_of  # noqa: E402
from ocelog.detect.checkout import Checkout, Problem, keep_good, parse_checkout, problem_of  # noqa: E402
from ocelog.detect.evaluate import NO_MATCH, Detector, RuleSet, Verdict  # noqa: E402
from ocelog.detect.event import Event, to_plain  # noqa: E402
from ocelog.detect.modules import Fault  # noqa: E402
from ocelog.detect.rule import About, Rule  # noqa: E402
from ocelog.rule_workers.serve import serve, valid  # noqa: E402
from ocelog.rule_workers.wire import LONGEST_MESSAGE, LONGEST_NAME, LoadedRule, WireLoaded  # noqa: E402
from ocelog.sandbox.channel import Channel, Frame  # noqa: E402
from ocelog.sandbox.kernel import Layers  # noqa: E402
from ocelog.schema.columns.sent import SentRows, plain_rows  # noqa: E402
from ocelog.schema.language.packaged import packaged_schemas  # noqa: E402

SLICE_SECONDS = 0.5
"""After so long a rule's answer is sent, however far it got."""
_ANSWER_BYTES = 4 << 20
_BRIEF_CHARACTERS = 4_000
_LEFT_OUT = {"_error": "alert_context: left out, as the rule says so much of these events"}
NO_PYTHON = "Python of rules is not run: this kernel has no seccomp, without which it could do whatever you can"


class Load(msgspec.Struct):
    """A bundle, and what was good before where that is different."""

    scope: str
    files: dict[str, bytes]
    refused: dict[str, str]
    before: dict[str, bytes]
    without: dict[str, str]
    """Python files that are not run, and why."""
    python: bool
    """Whether any is."""
    check: bool
    """Whether to look at once for what is wrong with Python that has not run yet."""
    changing: tuple[str, ...] | None
    nonce: int


class ReceivedRows(msgspec.Struct):
    """Rows that the rules will be asked about."""

    nonce: int
    log_type: str | None
    channels: dict[str, str] | None
    content: memoryview
    """An Arrow stream, or, if `plain`, a JSON list of objects."""
    plain: bool


class Ready(msgspec.Struct):
    """What is to be made ready: a rule by its id, or the data model of a log type."""

    nonce: int
    name: str


class Ask(msgspec.Struct):
    """A rule, and the rows of the piece that it is asked about: from `first` up to `last`, which is not one of them."""

    nonce: int
    rule: str
    first: int
    last: int
    brief: bool = False
    """Leave out what the rule adds to its alerts where it is large."""


def main(channel: Channel, _layers: Layers) -> None:
    """Judge what the parent sends, until the parent is gone."""
    gc.set_threshold(50_000, 20, 100)
    serve(channel, _Worker().answer)


class _Worker:
    """What has been sent so far."""

    def __init__(self) -> None:
        self._checkout = Checkout(root=Path(), rules={})
        self._rules = RuleSet(self._checkout)
        self._detectors = dict[str, Detector]()
        self._events = list[Event]()
        self._channels: Mapping[str, str] | None = None

    def answer(self, frame: Frame) -> bytes:
        match frame.kind:
            case "load":
                return self._load(msgspec.msgpack.decode(frame.payload, type=Load))
            case "piece":
                piece = msgspec.msgpack.decode(frame.payload, type=ReceivedRows)
                self._events = []
                self._channels = piece.channels
                event = self._rules.event
                # Nothing here refers to itself, and to look for what does would take half of the time.
                gc.disable()
                try:
                    self._events = [event(row, piece.log_type) for row in _rows(piece)]
                finally:
                    gc.enable()
                return msgspec.json.encode({"nonce": piece.nonce, "rows": len(self._events)})
            case "setup":
                ready = msgspec.msgpack.decode(frame.payload, type=Ready)
                detector = self._detectors[ready.name] = self._rules.load(self._checkout.rules[ready.name])
                return _written({"nonce": ready.nonce, "fault": _fault(detector.fault)}).encode()
            case "model":
                ready = msgspec.msgpack.decode(frame.payload, type=Ready)
                self._rules.event({}, ready.name)
                return _written({"nonce": ready.nonce, "fault": None}).encode()
            case _:
                return self._judge(msgspec.msgpack.decode(frame.payload, type=Ask))

    def _load(self, load: Load) -> bytes:
        given = Bundle(root=Path(), scope=load.scope, files=load.files, refused=load.refused)
        bundle, kept = keep_good(given, replace(given, files={**load.files, **load.before}, refused={}))
        checkout = parse_checkout(bundle, load.changing)
        without = load.without if load.python else dict.fromkeys(checkout.sources, NO_PYTHON)
        self._checkout = replace(
            checkout,
            sources={file: text for file, text in checkout.sources.items() if file not in without},
            refused={**checkout.refused, **without},
        )
        self._rules = RuleSet(self._checkout)
        self._detectors = {}
        self._events = []
        shared = checkout.shared_files
        problems = list(checkout.problems)
        if load.check:
            found = ((file, problem_of(file, bundle.files[file])) for file in checkout.sources)
            problems += [Problem(id=file, message=why, file=file) for file, why in found if why is not None]
        loaded = WireLoaded(
            nonce=load.nonce,
            rules=[_described(rule, shared, bundle.files) for rule in checkout.rules.values()],
            shared=list(shared),
            models={log_type: model.file for log_type, model in checkout.models.items() if model.file is not None},
            correlations=[replace(one, tests=()) for one in checkout.correlations.values()],
            queries=list(checkout.queries.values()),
            packs=list(checkout.packs.values()),
            not_run=list(checkout.not_run),
            problems=problems,
            kept=list(kept),
        )
        gc.collect()
        gc.freeze()
        return msgspec.json.encode(loaded)

    def _judge(self, ask: Ask) -> bytes:
        detector = self._detectors[ask.rule]
        judge, channels, now = detector.judge, self._channels, time.monotonic
        matches, failures, size, last = list[str](), list[dict[str, Any]](), 0, ask.first
        until = now() + SLICE_SECONDS
        for event in islice(self._events, ask.first, ask.last):
            verdict = judge(event, channels)
            last += 1
            if verdict is not NO_MATCH:
                if verdict.error is None:
                    match = _match(last - 1, verdict, detector.rule.about)
                    written = _written(match)
                    if ask.brief and len(written) > _BRIEF_CHARACTERS:
                        written = _written(match | {"context": _LEFT_OUT})
                    matches.append(written)
                    size += len(matches[-1])
                elif failures and failures[-1]["last"] == last - 1 and _is_alike(failures[-1]["fault"], verdict.error):
                    failures[-1]["last"] = last
                else:
                    failures.append({"first": last - 1, "last": last, "fault": _fault(verdict.error)})
                    size += LONGEST_MESSAGE
            if now() > until or size > _ANSWER_BYTES:
                break
        told = f'{{"nonce":{ask.nonce},"last":{last},"matches":[{",".join(matches)}],"failures":{_written(failures)}}}'
        return told.encode()


def _rows(piece: ReceivedRows) -> list[dict[str, Any]]:
    if piece.plain:
        rows: list[dict[str, Any]] = msgspec.json.decode(piece.content, type=list[dict[str, Any]])
        return rows
    table = pa.ipc.open_stream(pa.py_buffer(piece.content), options=pa.ipc.IpcReadOptions(use_threads=False)).read_all()
    schema = packaged_schemas().get(piece.log_type) if piece.log_type is not None else None
    if schema is not None:
        return SentRows(schema, table).dicts()
    return [{name: to_plain(value) for name, value in row.items()} for row in plain_rows(table)]


def _described(rule: Rule, shared: tuple[str, ...], contents: Mapping[str, bytes]) -> LoadedRule:
    files = dict.fromkeys((rule.place.file, *rule.base_files, *((rule.file,) if rule.file else ())))
    stands_on = [*files, *(shared if rule.file else (name for name in shared if not name.endswith(".py")))]
    return LoadedRule(
        about=rule.about,
        kind=rule.kind,
        log_types=rule.log_types,
        scheduled_queries=rule.scheduled_queries,
        base=rule.base,
        has_python=rule.file is not None,
        files=tuple(files),
        revision=revision_of({name: contents[name] for name in stands_on if name in contents}),
    )


def _match(row: int, verdict: Verdict, about: About) -> dict[str, Any]:
    match: dict[str, Any] = {
        "row": row,
        "title": valid(verdict.title),
        "severity": verdict.severity,
        "dedup": valid(verdict.dedup),
        "context": verdict.context,
    }
    for name in ("description", "reference", "runbook"):
        text = getattr(verdict, name)
        if text != getattr(about, name):
            match[name] = valid(text)
    if verdict.destinations is not None:
        match["destinations"] = [valid(each) for each in verdict.destinations]
    if verdict.unique is not None:
        match["unique"] = valid(verdict.unique)
    if verdict.raised:
        match["raised"] = [_fault(fault) for fault in verdict.raised]
    if verdict.notes:
        match["notes"] = [valid(note) for note in verdict.notes]
    return match


def _fault(fault: Fault | None) -> dict[str, Any] | None:
    if fault is None:
        return None
    return {
        "function": valid(fault.function, LONGEST_NAME),
        "type": valid(fault.type, LONGEST_NAME),
        "message": valid(fault.message, LONGEST_MESSAGE),
        "is_fatal": fault.is_fatal,
    }


def _is_alike(told: dict[str, Any], fault: Fault) -> bool:
    """Whether `fault` is told as one with another: errors are grouped by where they come from, and by their type."""
    return (told["function"], told["type"]) == (valid(fault.function, LONGEST_NAME), valid(fault.type, LONGEST_NAME))


def _written(answer: Any) -> str:
    # Not by msgspec, which refuses whole numbers that are longer than 64 bits.
    return json.dumps(answer)
