"""The loop that pulls: which stream is planned and read when, and what the end of a reading means for its stream."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import structlog

from ocelog.app.advice import todo
from ocelog.app.loops.disk_room import DISK_FULL
from ocelog.app.loops.failure_log import FailureLog
from ocelog.app.loops.loop import Work, log_failure
from ocelog.app.loops.planning import TimeRange, forget_old, plan_due, plan_time_range, totals_are_right_again
from ocelog.errors import (
    LakeUnavailableError,
    LedgerUnavailableError,
    LostFenceError,
    OcelogError,
    SourceThrottledError,
    TransientError,
    error_class,
)
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.pulling import holder_of
from ocelog.model import Due, Origin, Slice, SliceState
from ocelog.pull.puller import Drained
from ocelog.pull.stream import Stream
from ocelog.times import to_us
from ocelog.units import write_list
from ocelog.workers.fair import StreamKey, next_stream
from ocelog.workers.threads import Stop, Threads

LOOK_EVERY = 2.0
"""Seconds between two looks at whether sources were added, changed, paused or removed."""
REST = timedelta(minutes=5)
"""A stream that was refused is left alone so long; nobody mends a permission in seconds."""
FIRST_REST, LONGEST_REST = timedelta(seconds=2), timedelta(minutes=1)
"""Likewise if the source or the ledger does not answer: each time twice as long."""
NOTHING_YET = timedelta(seconds=15)
"""Likewise if the API's clock cannot be learned, which was tried several times by then."""

_PRIMINGS = 4
_PAUSE = timedelta(seconds=1)
_GLANCE = 0.1
_LOOK_AGAIN = 5.0
"""Seconds until a stream is looked at again whose poll is due and was not planned."""
_LOOK_ANYWAY = 600.0
"""Seconds after which a stream is looked at whatever its edge says: a clock that lied moves it back."""
_FORGET_EVERY = 3600.0
_NEWS = 0
"""How pressing a stream is that has news to be read (`Due.rank`)."""
_PAST_TURN = 10.0
"""Seconds for which a thread reads the past of a stream before it sees to its news; then it goes on where it was."""
_PAST_FIRST = 4
"""One in so many slices of a stream is of its past, if there is any."""
_SO_MANY = 4
"""If more slices fail in a row than this, it is not they who are to blame."""
_ENOUGH = 30
"""Failures in a row after which a pull by hand leaves a stream: no answer may keep it going for ever."""
_CLOCK = ""
"""Stands for a log type where a source's clock is what a thread learns."""

log = structlog.get_logger()


@dataclass(slots=True)
class PullLoop:
    """Follows the sources, and has their streams planned and read."""

    work: Work
    reader: "Reader" = field(init=False)
    _looked_at: float = float("-inf")
    _read_names: dict[str, str] = field(default_factory=dict)
    """Name of each source that is read, by its id."""

    def __post_init__(self) -> None:
        installation = self.work.assembly.installation
        self.reader = Reader(
            ledger=installation.ledger,
            threads=self.work.threads,
            stop=self.work.stop,
            limit=installation.settings.threads,
            home_id=installation.home.id,
            monotonic=self.work.monotonic,
            failures=self.work.failures,
            polled=self._polled,
        )

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "pull"

    def _polled(self) -> None:
        self.work.polled += 1

    def run_due(self, now: float) -> float:
        """Plan what is due, and have threads read it."""
        self.follow_sources(now)
        seconds = self.reader.go_round()
        again = self._looked_at + LOOK_EVERY
        return again if seconds is None else min(again, now + seconds)

    def finish(self) -> None:
        """Do nothing: a pull has read all that it may."""

    def follow_sources(self, now: float) -> None:
        """Take up sources that were added, changed, paused or removed since the last look."""
        if now < self._looked_at + LOOK_EVERY:
            return
        first = self._looked_at == float("-inf")
        self._looked_at = now
        streams = self.work.streams()
        fresh = self.reader.follow(streams)
        names = {stream.row.id: stream.row.name for stream in streams}
        for gone in self._read_names.keys() - names.keys():
            log.info("source left", source=self._read_names[gone])
        for source_id in {stream.row.id: None for stream in fresh}:
            log.info("source taken up", source=names[source_id])
        assembly = self.work.assembly
        if self.work.only is None and not streams and (first or self._read_names) and not assembly.damaged:
            known = assembly.installation.ledger.sources.listed()
            if known:
                reason = "All sources are paused."
                resume = write_list((f"ocelog source resume {row.id}" for row in known), "or")
                todo = f"Go on in another terminal: {resume}"
            else:
                reason, todo = "There is no source yet.", "Add one in another terminal: ocelog source add"
                if assembly.console:
                    todo = "Create one in the console, or in another terminal: ocelog source add"
            log.warning("nothing to read", reason=reason, todo=todo)
        self._read_names = names
        # At a start only what a person had to put right, a key or a permission: a service that is begun again and again
        # must not ask a source that is down each time.
        hurried = self.reader.stopped() if first else {stream.key for stream in fresh}
        if hurried:
            self.reader.hurry(hurried)


@dataclass(slots=True, kw_only=True, eq=False)
class StreamReading:
    """One thread's reading of a stream."""

    stream: StreamKey
    of: Stream
    alive_at: float
    """When it last had an answer, in seconds of the monotonic clock."""
    began: float
    """When it took its slice, by that clock."""
    slice_: Slice | None = None
    """None: it learns the clock of the stream's source, or has not taken its slice yet."""

    @property
    def is_of_news(self) -> bool:
        """Whether it reads what is new."""
        return self.slice_ is not None and self.slice_.origin is Origin.LIVE


@dataclass(slots=True, kw_only=True)
class StreamBackoff:
    """What keeps a stream from being read now."""

    slices: set[int] = field(default_factory=set)
    """Those that have failed since something last went well."""
    failures: int = 0
    """How often they have."""
    tries: int = 0
    """Failures in a row for which the stream rests."""
    until: float = 0.0
    """When its rest ends, in seconds of the monotonic clock."""


@dataclass(slots=True, kw_only=True)
class Reader:
    """Plans and reads streams in threads; every failure stays with its own slice, stream or source."""

    ledger: Ledger
    threads: Threads
    stop: Stop
    limit: int
    """Threads that may read one stream, as long as no more are reading in all; `workers/fair.py` says more."""
    home_id: str
    by_hand: bool = False
    """Plan each stream once, now; else it is polled as its settings say."""
    time_range: TimeRange | None = None
    """By hand: plan only this time range of the past, instead of what is new."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Our clock, which must be the ledger's."""
    monotonic: Callable[[], float] = time.monotonic
    failures: FailureLog = field(default_factory=FailureLog)
    polled: Callable[[], None] = lambda: None
    """Called when what was new in a stream is read to its end."""
    troubles: dict[StreamKey, OcelogError] = field(default_factory=dict)
    """What went wrong last, by stream; a stream that reads well again is not in it."""
    asked: set[StreamKey] = field(default_factory=set)
    """By hand: streams that were planned."""
    _streams: dict[StreamKey, Stream] = field(default_factory=dict)
    _may_read: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _due: dict[StreamKey, int] = field(default_factory=dict)
    _running: list[StreamReading] = field(default_factory=list)
    _served: dict[StreamKey, int] = field(default_factory=dict)
    _taken: Counter[StreamKey] = field(default_factory=Counter)
    """Slices that were taken of each stream."""
    _poll_now: set[StreamKey] = field(default_factory=set)
    """Streams that are asked for news whether or not their poll is due."""
    _unreleased: list[Slice] = field(default_factory=list)
    """What nobody reads any more, and nobody else takes before the ledger knows that."""
    _turns: Iterator[int] = field(default_factory=count)
    _ill: dict[StreamKey, StreamBackoff] = field(default_factory=dict)
    _look_at: dict[StreamKey, float] = field(default_factory=dict)
    _forget_at: dict[StreamKey, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._may_read.set()

    @property
    def holder(self) -> str:
        """Who holds what this reads."""
        return holder_of(self.home_id)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody ask for another page within the block."""
        self._may_read.clear()
        try:
            yield
        finally:
            self._may_read.set()

    def follow(self, streams: Sequence[Stream]) -> list[Stream]:
        """Read these streams from now on; return the new ones.

        The reader of any other (paused, changed, removed) stops at the next page.
        """
        fresh = [stream for stream in streams if self._streams.get(stream.key) is not stream]
        with self._lock:
            for stream in fresh:
                self._ill.pop(stream.key, None)
                self._ill.pop((stream.row.id, _CLOCK), None)
                self._look_at.pop(stream.key, None)
            self._streams = {stream.key: stream for stream in streams}
        return fresh

    def stopped(self) -> set[StreamKey]:
        """Return the streams that go on only once a person has changed something, as far as is noted."""
        kinds = {
            (row.marks.source_id, row.marks.log_type): error_class(row.trouble_kind)
            for row in self.ledger.pulling.streams()
            if row.trouble_kind is not None
        }
        return {key for key in self._streams if (kind := kinds.get(key)) and not issubclass(kind, TransientError)}

    def hurry(self, streams: Collection[StreamKey] | None = None) -> None:
        """Try at once what waits since a failure, and what is parked: somebody may have fixed the cause.

        So it is if a person pulls by hand, or has changed a source or its secret. Without `streams` all are hurried.
        What the source asked to wait for is waited for.
        """
        kinds = {(row.marks.source_id, row.marks.log_type): row.trouble_kind for row in self.ledger.pulling.streams()}
        wanted = self._streams if streams is None else streams
        hurried = [key for key in wanted if kinds.get(key) != SourceThrottledError.code]
        self.ledger.pulling.hurry(hurried, self.now())
        with self._lock:
            # What failed before anything was asked, without a key or a token, left no slice that could be tried again.
            self._poll_now |= {key for key in hurried if kinds.get(key) is not None}
            for key in self._poll_now:
                self._look_at.pop(key, None)

    def room_again(self) -> None:
        """Try at once what a full disk kept from landing."""
        lacking = [key for key, error in list(self.troubles.items()) if error.code == DISK_FULL]
        with self._lock:
            for key in lacking:
                self._ill.pop(key, None)
        with suppress(OcelogError):
            self.hurry(lacking)

    def go_round(self) -> float | None:
        """Plan what is due, and have threads read what is; return in how many seconds more will be due.

        None: nothing will be, as far as is known. Raises what the ledger raises.
        """
        self._release_late()
        self._plan()
        ours = self.now()
        due = self.ledger.pulling.due(ours)
        with self._lock:
            self._due = {key: each.rank for key, each in due.items() if each.rank is not None and self._is_ready(key)}
            self._due |= {
                (source_id, _CLOCK): -1
                for (source_id, _), stream in self._streams.items()
                if not stream.source.primed and not self._rests((source_id, _CLOCK))
            }
        while (reading := self._claim()) is not None:
            self.threads.start(partial(self._work, reading))
        return self._until_more(due, ours)

    def _release_late(self) -> None:
        """Let go of what was read, and is to be read on, or keep it for the next try. Raises what the ledger raises."""
        with self._lock:
            late, self._unreleased = self._unreleased, []
        for at, slice_ in enumerate(late):
            try:
                self.ledger.pulling.release(slice_)
            except OcelogError:
                with self._lock:
                    self._unreleased += late[at:]
                raise

    def left(self, stream: Stream) -> list[Slice]:
        """Return the slices of `stream` that are not read to their end."""
        source_id, log_type = stream.key
        unread = {SliceState.WAITING, SliceState.PARKED}
        return self.ledger.pulling.slices(source_id=source_id, log_type=log_type, states=unread)

    def _plan(self) -> None:
        """Plan every stream whose poll is due, all of them in two transactions."""
        now = self.monotonic()
        streams = [stream for key, stream in self._streams.items() if stream.source.primed and self._is_time(key, now)]
        if not streams:
            return
        if self.time_range is not None:
            for stream in streams:
                plan_time_range(self.ledger, stream, self.time_range)
                self.asked.add(stream.key)
            return
        asked_at = {stream.key: stream.source.now() for stream in streams}
        with self._lock:
            poll_now = set(self._streams) if self.by_hand else asked_at.keys() & self._poll_now
        edges = plan_due(self.ledger, streams, our_now=self.now(), poll_now=poll_now)
        with self._lock:
            self._poll_now -= poll_now
        for stream in streams:
            edge, api_now = edges[stream.key], stream.source.now()
            if self.by_hand and edge is not None and edge >= asked_at[stream.key]:
                self.asked.add(stream.key)
            wait = (edge + stream.settings.poll - api_now).total_seconds() if edge is not None else 0.0
            self._look_at[stream.key] = now + (min(wait, _LOOK_ANYWAY) if wait > 0 else _LOOK_AGAIN)
            # A service's streams take turns at it.
            first = now if self.by_hand else now + _FORGET_EVERY * random.random()  # noqa: S311 - no secret
            if now >= self._forget_at.setdefault(stream.key, first):
                forget_old(self.ledger, stream)
                self._forget_at[stream.key] = now + _FORGET_EVERY

    def _is_time(self, key: StreamKey, now: float) -> bool:
        if not self.by_hand:
            return now >= self._look_at.get(key, 0.0)
        # A stream of which many slices failed gets no further one before it has read some of them.
        return key not in self.asked and all(each.stream != key for each in list(self._running))

    def _is_ready(self, key: StreamKey) -> bool:
        stream = self._streams.get(key)
        return stream is not None and stream.source.primed and not self._rests(key)

    def _until_more(self, due: dict[StreamKey, Due], ours: datetime) -> float | None:
        now = self.monotonic()
        waits = list[float]()
        for key, stream in self._streams.items():
            if not stream.source.primed:
                waits.append(self._rest_of((key[0], _CLOCK)) - now)
                continue
            if not self.by_hand:
                waits.append(self._look_at.get(key, 0.0) - now)
            # What another slice keeps waiting is looked at again when something has ended.
            if key in due and (due[key].rank is not None or due[key].free_at > ours):
                waits.append(max((due[key].free_at - ours).total_seconds(), self._rest_of(key) - now))
        return max(0.0, min(waits)) if waits else None

    def _claim(self) -> StreamReading | None:
        """Take the slice that a free thread reads next; None: there is none, or no room."""
        while not self.stop():
            now = self.monotonic()
            with self._lock:
                key = next_stream(
                    self._due,
                    self._running,
                    limit=self.limit,
                    now=now,
                    troubled={key for key, trouble in self._ill.items() if trouble.tries},
                    served=self._served,
                )
                if key is None:
                    return None
                stream = self._stream_for(key)
                if stream is None or self._rests(key):
                    del self._due[key]
                    continue
                reading = StreamReading(stream=key, alive_at=now, began=now, of=stream)
                self._running.append(reading)
                self._served[key] = next(self._turns)
                if key[1] == _CLOCK:
                    del self._due[key]
                    return reading
            try:
                reading.slice_ = self.ledger.pulling.take(
                    self.holder,
                    now=self.now(),
                    sources=[key[0]],
                    log_types=[key[1]],
                    lease=stream.lease,
                    # A source that answers slower than it is polled always has news to read.
                    past_first=self._taken[key] % _PAST_FIRST == _PAST_FIRST - 1,
                )
                self._taken[key] += reading.slice_ is not None
            finally:
                if reading.slice_ is None:
                    with self._lock:
                        self._running.remove(reading)
                        self._due.pop(key, None)
            if reading.slice_ is not None:
                return reading
        return None

    def _stream_for(self, key: StreamKey) -> Stream | None:
        if key[1] != _CLOCK:
            return self._streams.get(key)
        return next((stream for stream in self._streams.values() if stream.row.id == key[0]), None)

    def _work(self, reading: StreamReading | None) -> None:
        """Read slice after slice, as long as there is one for this thread."""
        while reading is not None:
            self.threads.went_on()
            try:
                if reading.slice_ is None:
                    self._prime(reading)
                else:
                    self._drain(reading, reading.slice_)
            finally:
                with self._lock:
                    self._running.remove(reading)
            try:
                reading = self._claim()
            except OcelogError as error:
                log_failure("failed", error)
                return

    def _prime(self, reading: StreamReading) -> None:
        """Learn the API's clock, before which nothing can be planned; one failure must not cost a whole pull."""
        source_id, source = reading.stream[0], reading.of.source
        streams = [stream for key, stream in list(self._streams.items()) if key[0] == source_id]
        try:
            for tries_left in reversed(range(_PRIMINGS)):
                try:
                    source.prime()
                    break
                except TransientError as error:
                    if not tries_left or self.stop():
                        raise
                    time.sleep(min(error.retry_after or _PAUSE, _PAUSE).total_seconds())
        except Exception as error:  # noqa: BLE001 - told of each stream
            known = self._known(error, reading)
            self._rest(reading.stream, known, at_least=NOTHING_YET)
            for stream in streams:
                self._tell(stream, known, None)
        else:
            with self._lock:
                self._ill.pop(reading.stream, None)

    def _drain(self, reading: StreamReading, slice_: Slice) -> None:
        stream, reached = reading.of, slice_
        try:
            drained = stream.puller.drain(slice_, stop=lambda: self._stops(reading))
            reached = drained.slice_
            self._ended(reading, drained)
        except LostFenceError as error:
            log.info("overtaken", **_names(stream, slice_), reason=str(error))
        except Exception as error:  # noqa: BLE001 - told of its stream, and of nobody else's
            known = self._known(error, reading)
            if self._streams.get(stream.key) is stream:
                self._rest(stream.key, known)
            self._tell(stream, known, slice_)
        finally:
            if reached.state is SliceState.WAITING:
                with self._lock:
                    self._unreleased.append(slice_)
                with suppress(OcelogError):
                    self._release_late()
                    if self._streams.get(stream.key, stream) is not stream:
                        self.hurry([stream.key])

    def _ended(self, reading: StreamReading, drained: Drained) -> None:
        stream, error = reading.of, drained.error
        if error is not None and self._streams.get(stream.key) is not stream:
            # It was changed meanwhile, its secret perhaps: what failed before says nothing about it now.
            return
        began = reading.slice_.checkpoint.after if reading.slice_ is not None else None
        if error is None or drained.slice_.checkpoint.after != began:
            with self._lock:
                self._ill.pop(stream.key, None)
        if error is not None:
            self._failed(stream, drained.slice_, error, whole=drained.blames == "stream")
            self._tell(stream, error, drained.slice_)
            return
        log.debug("slice ended", **_names(stream, drained.slice_), state=drained.slice_.state.value)
        if drained.slice_.origin is Origin.LIVE and drained.slice_.state is SliceState.DRAINED:
            self.polled()
        if drained.slice_.origin is not Origin.LIVE and totals_are_right_again(self.ledger, drained.slice_):
            log.info("totals are right again", **_names(stream, drained.slice_))
        if drained.slice_.origin is not Origin.BACKFILL:
            # The next live slice may have waited for it, or its sweep: carry on without waiting for the next poll.
            self._look_at.pop(stream.key, None)
        if self.ledger.pulling.well(*stream.key) and self.troubles.pop(stream.key, None) is not None:
            self.failures.over("failed", _names(stream, None))
            log.info("works again", **_names(stream, None))

    def _failed(self, stream: Stream, slice_: Slice, error: OcelogError, *, whole: bool) -> None:
        """Let `stream` rest if a failure is more than this slice's: blamed on the `whole`, or met by many in a row.

        A slice waits by itself for its next try. Where a source is down, though, thousands of slices would each have
        theirs.
        """
        with self._lock:
            trouble = self._ill.setdefault(stream.key, StreamBackoff())
            trouble.slices.add(slice_.id)
            trouble.failures += 1
            tired = self.by_hand and trouble.failures >= _ENOUGH
        if whole or tired or len(trouble.slices) > _SO_MANY:
            self._rest(stream.key, error, at_least=REST if tired else timedelta(0))

    def _known(self, error: Exception, reading: StreamReading) -> OcelogError:
        if isinstance(error, OcelogError):
            return error
        log.error("bug in Ocelog", exc_info=error, **_names(reading.of, reading.slice_))
        first = (str(error).splitlines() or [""])[0][:300]
        return OcelogError(f"A bug in Ocelog, please report it: {type(error).__name__}: {first}")

    def _tell(self, stream: Stream, error: OcelogError, slice_: Slice | None) -> None:
        self.troubles[stream.key] = error
        advice = todo(error.code, stream.row.id)
        if isinstance(error, LakeUnavailableError | LedgerUnavailableError):
            # It is our side that fails, for each slice alike.
            more = {**_names(stream, slice_), "todo": advice}
            self.failures.failed("failed", error, _names(stream, None), more=more)
        else:
            log_failure("failed", error, **_names(stream, slice_), todo=advice)
        with suppress(OcelogError):
            self.ledger.pulling.trouble(
                *stream.key,
                kind=type(error).code,
                code=error.code,
                text=str(error),
                at_us=to_us(self.now()),
            )

    def _rest(self, key: StreamKey, error: OcelogError, *, at_least: timedelta = timedelta(0)) -> None:
        with self._lock:
            trouble = self._ill.setdefault(key, StreamBackoff())
            trouble.tries += 1
            trouble.until = self.monotonic() + max(rest_after(error, trouble.tries), at_least).total_seconds()

    def _rest_of(self, key: StreamKey) -> float:
        trouble = self._ill.get(key)
        return trouble.until if trouble is not None else 0.0

    def _rests(self, key: StreamKey) -> bool:
        return self.monotonic() < self._rest_of(key)

    def _stops(self, reading: StreamReading) -> bool:
        """Whether a thread asks for no further page: everything ends, or its stream rests, or is not wanted so."""
        while not self._may_read.wait(_GLANCE) and not self.stop():
            pass
        reading.alive_at = self.monotonic()
        self.threads.went_on()
        unwanted = self.stop() or self._streams.get(reading.stream) is not reading.of or self._rests(reading.stream)
        return unwanted or self._makes_way(reading)

    def _makes_way(self, reading: StreamReading) -> bool:
        """Whether a thread that reads the past of a stream has had its turn while news of it wait for a thread."""
        if reading.is_of_news or self.monotonic() - reading.began < _PAST_TURN:
            return False
        with self._lock:
            has_news = self._due.get(reading.stream) == _NEWS
            return has_news and not any(each.stream == reading.stream and each.is_of_news for each in self._running)


def rest_after(error: OcelogError, tries: int) -> timedelta:
    """Return how long a stream rests after it has failed so many times in a row."""
    if not isinstance(error, TransientError):
        return REST
    backoff = min(LONGEST_REST, FIRST_REST * (1 << min(tries - 1, 10)))
    return max(backoff, error.retry_after or backoff)


def _names(stream: Stream, slice_: Slice | None) -> dict[str, object]:
    named: dict[str, object] = {"source": stream.row.name, "log_type": stream.kind.log_type}
    return named if slice_ is None else {**named, "slice": slice_.id}
