"""What the end of a reading means for its stream, and how little an idle service does."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from bookkeeping.races import written
from bookkeeping.records import ISSUES, NOW, Clock, planned, slice_of, source_row
from ocelog.app.loops import coverage, publishing
from ocelog.app.loops.planning import REMEMBERED
from ocelog.app.loops.pulling import LOOK_EVERY, REST, Reader, rest_after
from ocelog.app.loops.service import RETRY_WITHIN, Service
from ocelog.errors import (
    AccessRefusedError,
    LakeUnavailableError,
    LedgerUnavailableError,
    OcelogError,
    SourceUnavailableError,
)
from ocelog.installation.home_lock import SILENT
from ocelog.lake.upkeep.maintenance import TableUpkeep
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Origin, Slice, SliceState
from ocelog.pull.planner import StreamSettings
from ocelog.pull.puller import Blames, Drained
from ocelog.pull.stream import Stream
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.streams import KINDS
from ocelog.times import EPOCH, to_us
from ocelog.workers.threads import Stop

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
EDGE = {"edge": NOW, "backfill_since": NOW - HOUR, "relook_at": NOW, "swept_at": NOW, "offset": timedelta(0)}


@dataclass(kw_only=True)
class Now:
    """Our clock and the monotonic one, as the test sets them."""

    clock: Clock = field(default_factory=Clock)

    def __call__(self) -> Any:
        return self.clock.now

    def monotonic(self) -> float:
        return (self.clock.now - NOW).total_seconds()

    def go_on(self, seconds: float) -> None:
        self.clock.now += timedelta(seconds=seconds)


class Inline:
    """Threads that have done their job before anybody looks."""

    reading = 0

    def went_on(self) -> None:
        """Nothing here is ever stuck."""

    def hanging(self, _: float) -> list[str]:
        return []

    def start(self, job: Callable[[], None]) -> None:
        job()

    def start_once(self, _: str, job: Callable[[], None]) -> bool:
        job()
        return True

    def others_than(self, _: str) -> bool:
        return False


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def ledger(now: Now) -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False, now=now)
    yield ledger
    ledger.close()


def stream_of(now: Now, drain: Callable[..., Drained], source_id: str = "acme", log_type: str = ISSUES) -> Any:
    """Return a stream of which `drain` reads the slices; its API's clock is ours."""
    source: Any = SimpleNamespace(primed=True, now=now, longest_request=timedelta(hours=1))
    puller: Any = SimpleNamespace(drain=drain)
    return Stream(
        row=source_row(source_id),
        kind=KINDS[log_type],
        source=source,
        puller=puller,
        settings=StreamSettings(backfill=HOUR),
    )


def begun(ledger: Ledger, source_id: str = "acme", log_type: str = ISSUES) -> None:
    """Let a stream be up to date."""
    if ledger.sources.find(source_id) is None:
        ledger.sources.add(source_row(source_id))
    before = ledger.pulling.marks(source_id, log_type)
    ledger.pulling.plan(before, replace(before, **EDGE), [])


def reader_of(ledger: Ledger, now: Now, *streams: Any, by_hand: bool = False, limit: int = 4) -> Reader:
    threads: Any = Inline()
    reader = Reader(
        ledger=ledger,
        threads=threads,
        stop=Stop(),
        limit=limit,
        home_id="home",
        by_hand=by_hand,
        now=now,
        monotonic=now.monotonic,
    )
    reader.follow(streams)
    return reader


@dataclass(kw_only=True)
class Drains:
    """Reads slices to their end, but for those that fail."""

    ledger: Ledger
    now: Now
    failing: Callable[[Slice], bool]
    error: OcelogError = field(default_factory=lambda: SourceUnavailableError("down"))
    blames: Blames = "slice"
    wait: timedelta = HOUR
    read: list[int] = field(default_factory=list)

    def __call__(self, slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        assert not stop()
        self.read.append(slice_.id)
        if not self.failing(slice_):
            to = replace(slice_, state=SliceState.DRAINED, checkpoint=Checkpoint())
            self.ledger.pulling.move(slice_, to)
            return Drained(slice_=to)
        failures = slice_.checkpoint.failures + 1
        to = replace(slice_, checkpoint=Checkpoint(failures=failures), due_at=self.now() + self.wait)
        self.ledger.pulling.move(slice_, to)
        return Drained(slice_=to, error=self.error, blames=self.blames)  # type: ignore[arg-type] # of either kind


def test_one_slices_failure_leaves_the_rest_of_its_stream_in_work(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    slices = planned(ledger, *(slice_of(until=NOW - n * MINUTE) for n in range(6)))
    drains = Drains(ledger=ledger, now=now, failing=lambda slice_: slice_.id == slices[0].id)
    reader_of(ledger, now, stream_of(now, drains)).go_round()
    assert drains.read == [slice_.id for slice_ in slices]
    assert [left.id for left in ledger.pulling.slices(states=[SliceState.WAITING])] == [slices[0].id]


def test_what_is_blamed_on_the_stream_lets_it_rest_and_no_other(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    begun(ledger, log_type="Wiz.Audit")
    planned(ledger, *(slice_of() for _ in range(3)))
    planned(ledger, *(slice_of(log_type="Wiz.Audit") for _ in range(3)))
    refused = Drains(ledger=ledger, now=now, failing=lambda _: True, error=AccessRefusedError("no"), blames="stream")
    well = Drains(ledger=ledger, now=now, failing=lambda _: False)
    reader = reader_of(ledger, now, stream_of(now, refused), stream_of(now, well, log_type="Wiz.Audit"))
    reader.go_round()
    assert (len(refused.read), len(well.read)) == (1, 3)
    now.go_on(REST.total_seconds() - 1)
    reader.go_round()
    assert len(refused.read) == 1
    now.go_on(2)
    reader.go_round()
    assert len(refused.read) == 2


def test_where_a_source_is_down_not_each_of_many_slices_is_tried(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, *(slice_of() for _ in range(100)))
    drains = Drains(ledger=ledger, now=now, failing=lambda _: True)
    reader = reader_of(ledger, now, stream_of(now, drains))
    for _ in range(60):
        reader.go_round()
        now.go_on(1)
    assert len(drains.read) < 12


def test_what_a_full_disk_kept_from_landing_is_told_once_and_lands_as_soon_as_there_is_room(
    ledger: Ledger, now: Now
) -> None:
    begun(ledger)
    slices = planned(ledger, *(slice_of(until=NOW - n * MINUTE) for n in range(3)))
    error: OcelogError | None = LakeUnavailableError("The disk is full.", code="disk_full")
    drains = Drains(ledger=ledger, now=now, failing=lambda _: False)

    def drain(slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        if error is not None:
            drains.read.append(slice_.id)
            raise error
        return drains(slice_, stop=stop)

    reader = reader_of(ledger, now, stream_of(now, drain))
    with capture_logs() as told:
        for _ in range(300):
            reader.go_round()
            now.go_on(1)
    assert [each["log_type"] for each in told if each["event"] == "failed"] == [ISSUES]
    assert 5 < len(drains.read) < 12, "the rests grow to a minute"
    tries = len(drains.read)
    reader.go_round()
    assert len(drains.read) == tries, "it rests"
    error = None
    reader.room_again()
    reader.go_round()
    assert {each.id for each in slices} <= set(drains.read[tries:])
    assert reader.troubles == {}


def test_what_could_not_be_let_go_of_is_let_go_of_once_the_ledger_can_be_written(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, now: Now
) -> None:
    begun(ledger)
    planned(ledger, slice_of())
    full = True
    drains, release = Drains(ledger=ledger, now=now, failing=lambda _: False), ledger.pulling.release

    def drain(slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        if full:
            raise LakeUnavailableError("The disk is full.", code="disk_full")
        return drains(slice_, stop=stop)

    def released(slice_: Slice) -> None:
        if full:
            raise LedgerUnavailableError("The disk is full.")
        release(slice_)

    monkeypatch.setattr(ledger.pulling, "release", released)
    reader = reader_of(ledger, now, stream_of(now, drain))
    reader.go_round()
    for _ in range(2):
        now.go_on(1)
        with pytest.raises(LedgerUnavailableError):
            reader.go_round()
    full = False
    reader.room_again()
    reader.go_round()
    assert drains.read
    assert ledger.pulling.slices(states=[SliceState.WAITING]) == []


def test_what_failed_before_anything_was_asked_is_asked_for_once_it_may_be_put_right(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    begun(ledger, log_type="Wiz.Audit")
    for log_type, kind in ((ISSUES, "access_refused"), ("Wiz.Audit", "source_unavailable")):
        ledger.pulling.trouble("acme", log_type, kind=kind, code="secret_unreadable", text="no key", at_us=to_us(NOW))
    drains = Drains(ledger=ledger, now=now, failing=lambda _: False)
    now.go_on(1)
    reader = reader_of(ledger, now, stream_of(now, drains), stream_of(now, drains, log_type="Wiz.Audit"))
    reader.go_round()
    assert drains.read == [], "no poll is due"
    assert reader.stopped() == {("acme", ISSUES)}, "what is down is not asked at each start"
    reader.hurry(reader.stopped())
    reader.go_round()
    assert {each.log_type for each in ledger.pulling.slices(states=[SliceState.DRAINED])} == {ISSUES}
    tries = len(drains.read)
    now.go_on(1)
    reader.go_round()
    assert len(drains.read) == tries, "once"


def test_a_thread_that_reads_the_past_makes_way_for_news_after_a_while_and_goes_on_where_it_was(
    ledger: Ledger, now: Now
) -> None:
    begun(ledger)
    (past,) = planned(ledger, slice_of(origin=Origin.BACKFILL))
    drains, asked = Drains(ledger=ledger, now=now, failing=lambda _: False), list[tuple[str, bool]]()

    def drain(slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        def look(what: str, seconds: float) -> None:
            now.go_on(seconds)
            reader.go_round()
            asked.append((what, stop()))

        if slice_.id != past.id or len(asked) == 4:
            return drains(slice_, stop=lambda: False)
        drains.read.append(slice_.id)
        if not asked:
            look("no news", 20)
            planned(ledger, slice_of())
            look("news", 0)
        else:
            planned(ledger, slice_of())
            look("news again", 9)
            look("news again, for long", 2)
        return Drained(slice_=slice_)

    reader = reader_of(ledger, now, stream_of(now, drain), limit=1)
    reader.go_round()
    assert asked == [("no news", False), ("news", True), ("news again", False), ("news again, for long", True)]
    # The fourth turn is the past's anyway.
    assert [each == past.id for each in drains.read] == [True, False, True, True, False]
    assert ledger.pulling.slices(states=[SliceState.WAITING]) == []


def test_the_past_is_read_while_there_is_always_news(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    past = planned(ledger, *(slice_of(origin=Origin.BACKFILL, until=NOW - n * HOUR) for n in range(3)))
    drains = Drains(ledger=ledger, now=now, failing=lambda _: False)

    def drain(slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        if len(drains.read) < 20:
            planned(ledger, slice_of())
        return drains(slice_, stop=stop)

    planned(ledger, slice_of())
    reader_of(ledger, now, stream_of(now, drain)).go_round()
    at = [drains.read.index(each.id) for each in past]
    assert at == [3, 7, 11], "each fourth slice is one of the past, the newest first"


def test_it_is_told_when_what_is_new_was_read_and_not_when_the_past_was(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, slice_of(), slice_of(origin=Origin.BACKFILL))
    drains, polls = Drains(ledger=ledger, now=now, failing=lambda _: False), list[int]()
    reader = reader_of(ledger, now, stream_of(now, drains))
    reader.polled = lambda: polls.append(len(drains.read))
    reader.go_round()
    live = sum(each.origin is Origin.LIVE for each in ledger.pulling.slices(states=[SliceState.DRAINED]))
    assert 0 < len(polls) == live < len(drains.read)


def test_a_stream_that_reads_well_again_is_in_no_trouble(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, slice_of())
    down = True
    drains = Drains(ledger=ledger, now=now, failing=lambda _: down, wait=timedelta(seconds=2))
    reader = reader_of(ledger, now, stream_of(now, drains))
    reader.go_round()
    assert list(reader.troubles) == [("acme", ISSUES)]
    assert ledger.pulling.streams()[0].trouble == "down"
    down = False
    now.go_on(3)
    reader.go_round()
    assert reader.troubles == {}
    assert ledger.pulling.streams()[0].trouble is None


@pytest.mark.parametrize("change", ["paused or removed", "changed"])
def test_the_reader_of_a_paused_removed_or_changed_source_stops_at_the_next_page(
    ledger: Ledger, now: Now, change: str
) -> None:
    begun(ledger)
    planned(ledger, slice_of())
    pages = list[int]()

    def drain(slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        while not stop():
            pages.append(slice_.id)
            if len(pages) == 3:
                reader.follow([] if change == "paused or removed" else [stream_of(now, drain)])
            assert len(pages) < 10
        return Drained(slice_=slice_)

    reader = reader_of(ledger, now, stream_of(now, drain))
    ledger_take, takes = reader.ledger.pulling.take, list[object]()

    def take_once(*args: Any, **named: Any) -> Slice | None:
        takes.append(args)
        return ledger_take(*args, **named) if len(takes) == 1 else None

    reader.ledger.pulling.take = take_once  # type: ignore[method-assign] # one reading is what this is about
    reader.go_round()
    assert len(pages) == 3
    assert ledger_take("another", now=now()) is not None, "and its slice is free"


def test_a_lease_outlasts_the_longest_request(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, slice_of())
    found = list[object]()

    def drain(_: Slice, **__: object) -> Drained:
        # A token and a page, both as slow as the source's settings allow.
        now.go_on(2 * 1200.0)
        found.append(ledger.pulling.take("another", now=now()))
        raise AccessRefusedError("enough")

    reader_of(ledger, now, stream_of(now, drain)).go_round()
    assert found == [None]


def test_a_pull_by_hand_asks_for_news_once_the_slices_that_waited_are_read(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, *(slice_of() for _ in range(20)))
    now.go_on(60)
    drains = Drains(ledger=ledger, now=now, failing=lambda _: False)
    reader = reader_of(ledger, now, stream_of(now, drains), by_hand=True)
    reader.go_round()
    assert (len(drains.read), reader.asked) == (20, set())
    reader.go_round()
    assert reader.asked == {("acme", ISSUES)}
    assert ledger.pulling.marks("acme", ISSUES).edge == now()
    assert not ledger.pulling.slices(states=[SliceState.WAITING])
    assert reader.go_round() is None


def test_a_pull_goes_round_once_more_if_a_job_ends_during_a_round(tmp_path: Path, ledger: Ledger) -> None:
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(
            ledger=ledger,
            home=SimpleNamespace(id="home", path=tmp_path),
            settings=SimpleNamespace(
                threads=1,
                retention="off",
                part_grace=MINUTE,
                detections=False,
                heartbeat_url=None,
                heartbeat_every=timedelta(minutes=5),
            ),
        ),
        publisher=SimpleNamespace(),
        landed=0,
        take_over=lambda: None,
        lake=SimpleNamespace(schemas=()),
        streams=list,
    )
    service = Service(assembly=assembly, stop=Stop())
    learn_the_clock, rounds = Event(), list[int]()

    def go_round() -> None:
        rounds.append(len(rounds))
        learn_the_clock.set()
        while service.threads.reading:
            assert service.threads.wait(60)

    reader: Any = SimpleNamespace(
        hurry=lambda: None, stopped=set, follow=lambda _: [], go_round=go_round, held=nullcontext
    )
    service.pulling.reader = reader
    service.threads.start(learn_the_clock.wait)  # type: ignore[arg-type] # what it returns is of no interest
    service._work.only = set()
    idle: Any = SimpleNamespace(name="publish", run_due=lambda now: now + 1)
    service.publishing = idle
    service._pull()
    assert rounds == [0, 1]


def test_a_source_that_was_changed_is_tried_at_once_whatever_failed_before(
    tmp_path: Path, ledger: Ledger, now: Now
) -> None:
    begun(ledger)
    planned(ledger, slice_of())
    drains = Drains(ledger=ledger, now=now, failing=lambda _: True, error=AccessRefusedError("no"), blames="stream")
    streams = [stream_of(now, drains)]
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(
            ledger=ledger,
            home=SimpleNamespace(id="home", path=tmp_path),
            settings=SimpleNamespace(
                threads=1,
                retention="off",
                part_grace=MINUTE,
                detections=False,
                heartbeat_url=None,
                heartbeat_every=timedelta(minutes=5),
            ),
        ),
        publisher=SimpleNamespace(),
        landed=0,
        take_over=lambda: None,
        lake=SimpleNamespace(schemas=()),
        streams=lambda: streams,
    )
    threads: Any = Inline()
    pulling = Service(assembly=assembly, stop=Stop(), monotonic=now.monotonic, threads=threads).pulling
    pulling.reader.now = now
    for _ in range(10):
        pulling.run_due(now.monotonic())
        now.go_on(LOOK_EVERY)
    assert len(drains.read) == 1, "a refusal is not asked about each second"
    streams[:] = [stream_of(now, drains)]
    pulling.run_due(now.monotonic())
    assert len(drains.read) == 2


def test_a_pull_says_why_it_left_something_by_what_failed_last(tmp_path: Path, ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, slice_of(reason="Wiz refused, long ago", due_at=EPOCH))
    stream = stream_of(now, Drains(ledger=ledger, now=now, failing=lambda _: True))
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(
            ledger=ledger,
            home=SimpleNamespace(id="home", path=tmp_path),
            settings=SimpleNamespace(
                threads=1,
                retention="off",
                part_grace=MINUTE,
                detections=False,
                heartbeat_url=None,
                heartbeat_every=timedelta(minutes=5),
            ),
        ),
        publisher=SimpleNamespace(),
        landed=0,
        take_over=lambda: None,
        lake=SimpleNamespace(schemas=()),
    )
    service = Service(assembly=assembly, stop=Stop())
    (left,) = service._left(stream)
    assert (left.slices, left.reason, left.due_at) == (1, "Wiz refused, long ago", None)
    service.pulling.reader.troubles[stream.key] = SourceUnavailableError("Connection refused")
    (left,) = service._left(stream)
    assert left.reason == "Connection refused"


def test_what_fails_while_its_source_is_changed_is_tried_again_at_once(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, slice_of())
    drains = Drains(ledger=ledger, now=now, failing=lambda _: True, error=AccessRefusedError("no"), blames="stream")
    fresh = stream_of(now, drains)

    def drain(slice_: Slice, *, stop: Callable[[], bool]) -> Drained:
        reader.follow([fresh])
        assert stop(), "the reader of a changed source asks for no further page"
        return drains(slice_, stop=lambda: False)

    reader = reader_of(ledger, now, stream_of(now, drain))
    reader.go_round()
    reader.go_round()
    assert len(drains.read) == 2


def test_a_pull_by_hand_ends_whatever_it_is_answered(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    planned(ledger, *(slice_of() for _ in range(3)))
    drains = Drains(ledger=ledger, now=now, failing=lambda _: True, wait=timedelta(seconds=1))
    reader = reader_of(ledger, now, stream_of(now, drains), by_hand=True)
    for _ in range(1000):
        seconds = reader.go_round()
        if seconds is None or seconds > RETRY_WITHIN.total_seconds():
            break
        now.go_on(max(0.1, seconds))
    assert len(drains.read) < 40


def test_rests_grow_and_last_as_long_as_was_asked() -> None:
    down = SourceUnavailableError("down")
    rests = [rest_after(down, tries).total_seconds() for tries in range(1, 9)]
    assert rests == [2, 4, 8, 16, 32, 60, 60, 60]
    assert rest_after(SourceUnavailableError("later", retry_after=MINUTE), 1) == MINUTE
    assert rest_after(AccessRefusedError("no"), 1) == REST


@pytest.mark.slow
def test_an_idle_service_of_150_streams_goes_round_rarely_and_asks_the_ledger_little(
    tmp_path: Path, ledger: Ledger, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes, streams = 6, []
    drains = Drains(ledger=ledger, now=now, failing=lambda _: False)
    readable = {"wiz": from_mapping({"token_url": "cognito", "client_id": "x"}).to_mapping()}
    for source in range(50):
        ledger.sources.add(source_row(f"source-{source}", settings=readable))
        for log_type in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"):
            begun(ledger, f"source-{source}", log_type)
            streams.append(stream_of(now, drains, f"source-{source}", log_type))
    home = SimpleNamespace(id="home", path=tmp_path)
    settings = SimpleNamespace(
        threads=4,
        publish_bytes=1,
        publish_after=MINUTE,
        part_grace=MINUTE,
        retention="off",
        detections=False,
        heartbeat_url=None,
        heartbeat_every=timedelta(minutes=5),
    )
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(ledger=ledger, home=home, settings=settings, tables=nullcontext()),
        publisher=SimpleNamespace(),
        landed=0,
        take_over=lambda: None,
        lake=SimpleNamespace(schemas=("wiz_audit", "wiz_issues", "wiz_vulnerability_finding", "rejections")),
        streams=lambda: ledger.sources.listed() and streams,
    )
    cleaned = list[str]()
    monkeypatch.setattr(publishing, "clean", lambda *args, **_: cleaned.append(args[1]))
    monkeypatch.setattr(publishing, "remove_leftovers", lambda *_: 0)
    measured = list[Any]()

    def measure(_: object, due: Sequence[Any]) -> list[str]:
        measured.extend(each.key for each in due)
        return []

    monkeypatch.setattr(coverage, "measure_each", measure)
    stop = Stop()
    alive = list[float]()
    threads: Any = Inline()
    service = Service(
        assembly=assembly,
        stop=stop,
        monotonic=now.monotonic,
        alive=lambda: alive.append(now.monotonic()),
        threads=threads,
    )
    service.pulling.reader.now = now
    service.publishing.maintenance = SimpleNamespace(tend=lambda table: TableUpkeep(table=table))  # type: ignore[assignment] # no lake
    rounds, begins = list[float](), list[object]()

    def wait(_: Service, seconds: float) -> None:
        rounds.append(seconds)
        now.go_on(seconds)
        if now.monotonic() >= minutes * 60:
            stop.ask()

    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr(time, "sleep", now.go_on)

    def note(connection: object) -> None:
        begins.append(connection)

    event.listen(Engine, "begin", note)
    try:
        with written() as writes:
            service._run()
    finally:
        event.remove(Engine, "begin", note)
    assert service.publishing.error is None
    assert len(rounds) <= 60 * minutes, "at most one round a second"
    assert max(later - before for before, later in pairwise(alive)) < SILENT.total_seconds() / 3
    # Every stream was polled once: each five minutes. Issues are asked for by two dates.
    assert len(drains.read) == 200
    # To take a slice and to move it takes two; planning is one for all. Some of the streams forget old slices.
    assert len(writes) <= 2 * len(drains.read) + 60
    reads = len(begins) - len(writes)
    # Is anything due, and which sources are there; twice a slice; four tables each five seconds.
    assert reads <= 2 * len(rounds) + 3 * len(drains.read) + 4 * 12 * minutes + 250
    assert sorted(set(cleaned)) == sorted(assembly.lake.schemas)
    assert len(cleaned) <= 4 * (minutes + 1)
    # What could not be measured is tried again after an hour.
    assert sorted(measured) == sorted(stream.key for stream in streams)


def test_drained_slices_are_forgotten_now_and_then(ledger: Ledger, now: Now) -> None:
    begun(ledger)
    old, last = planned(ledger, slice_of(state=SliceState.DRAINED), slice_of(state=SliceState.DRAINED))
    reader = reader_of(ledger, now, stream_of(now, Drains(ledger=ledger, now=now, failing=lambda _: False)))
    reader.go_round()
    assert len(ledger.pulling.slices()) == 2
    now.go_on(REMEMBERED.total_seconds() + 1)
    reader.go_round()
    left = [slice_.id for slice_ in ledger.pulling.slices()]
    assert old.id not in left
    assert last.id in left
