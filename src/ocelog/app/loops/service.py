"""What keeps the pipeline going: one pull from start to end, or all loops until stopped."""

import gc
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import msgspec

# The lake's catalog uses it. Imported by a thread while others use SQLAlchemy, it is met half-made by them.
import sqlalchemy.orm  # noqa: F401 - see above
import structlog
from msgspec import Struct

from ocelog.app.assemble import Assembly
from ocelog.app.loops.coverage import CoverageLoop
from ocelog.app.loops.delivering import DeliverLoop
from ocelog.app.loops.detecting import DetectLoop
from ocelog.app.loops.disk_room import DISK_FULL, DiskRoom
from ocelog.app.loops.health import HealthLoop
from ocelog.app.loops.heartbeat import HeartbeatLoop
from ocelog.app.loops.loop import Loop, Work
from ocelog.app.loops.loop_faults import TURN, WORK
from ocelog.app.loops.planning import TimeRange, lacking
from ocelog.app.loops.publishing import PublishLoop
from ocelog.app.loops.pulling import PullLoop
from ocelog.app.loops.scheduled import ScheduledLoop
from ocelog.app.status.status import lost_lines
from ocelog.errors import ConfigError, OcelogError, OperatorError, TransientError
from ocelog.installation import config
from ocelog.installation.home import free_bytes
from ocelog.languages.phrases import Phrase
from ocelog.model import HANGING, STALLED, LoopFault, SliceState, table_name
from ocelog.pull.stream import Stream
from ocelog.workers.fair import StreamKey
from ocelog.workers.heap import Heap
from ocelog.workers.threads import STOP_WITHIN, Stop, Threads

RETRY_WITHIN = timedelta(seconds=10)
"""A pull waits so long for slices to be tried again, and leaves those that must wait longer to the next one."""
TICK = 0.5
"""Seconds between two rounds of a service, at least."""
_FIRST_REST, _LONGEST_REST = 2.0, 30.0
"""Seconds until a loop that failed in its turn is run again: each time twice as long."""
_GLANCE = 0.1
WORK_HANGS_AFTER = timedelta(hours=1)
"""A loop whose work has not come any further for so long hangs.

Each step takes less: a query 10 minutes, a folder of rules half an hour for a batch.
"""
_COLLECTED_EVERY = 600.0
"""Seconds between two looks for garbage."""
_MAIN = "loop"
"""The thread in which the loops take turns."""
_FAULTS = "faults"
"""The thread that notes in the ledger which loops fail."""
log = structlog.get_logger()


class UnreadSlices(Struct, frozen=True, kw_only=True):
    """What a pull did not read of one stream, and why."""

    stream: StreamKey
    slices: int
    reason: str | None
    """Why, by what failed last."""
    due_at: datetime | None
    """When a service tries the first of it again; None: at once."""


class PullResult(Struct, frozen=True, kw_only=True):
    """How a pull ended."""

    troubles: dict[StreamKey, OcelogError] = msgspec.field(default_factory=dict)
    waiting: tuple[UnreadSlices, ...] = ()
    """What is to be tried later; what is parked is `lacking`."""
    unasked: tuple[StreamKey, ...] = ()
    """Streams that were not asked for anything new: their API did not answer, or too much of them waits already."""
    lacking: int = 0
    """Time ranges that are parked, or that were shown short."""
    damaged: Mapping[str, ConfigError] = msgspec.field(default_factory=dict)
    """Id of each source whose settings cannot be read -> why."""
    publishing: OcelogError | None = None
    """Why a table is not published."""
    failed: Mapping[str, OcelogError] = msgspec.field(default_factory=dict)
    """Name of each loop that could not do what was left -> why."""
    lost: tuple[str, ...] = ()
    """Which rows the tables of these streams lack, because the files that held them are lost, and what to do."""

    @property
    def left(self) -> int:
        """How many slices are to be tried later."""
        return sum(each.slices for each in self.waiting)

    @property
    def exit_code(self) -> int:
        """0 all read and published, 2 action required, 3 try later."""
        errors = [*self.troubles.values(), *self.failed.values(), *([self.publishing] if self.publishing else [])]
        if self.lacking or self.damaged or self.lost or any(not isinstance(error, TransientError) for error in errors):
            return 2
        return 3 if errors or self.waiting or self.unasked else 0


class TablePublished(Struct, frozen=True, kw_only=True):
    """What `publish` brought into a table."""

    table: str
    parts: int
    rows: int
    left: int
    """Parts that still wait."""


@dataclass(slots=True)
class _Backoff:
    """How long a loop that fails in its turn is left alone."""

    tries: int = 0
    until: float = 0.0

    def begin(self, now: float) -> None:
        """Rest anew, longer than before."""
        self.until = now + min(_LONGEST_REST, _FIRST_REST * 2 ** min(self.tries, 10))
        self.tries += 1


@dataclass(slots=True, kw_only=True)
class Service:
    """The loops over one open assembly, whose home this process holds."""

    assembly: Assembly
    stop: Stop
    monotonic: Callable[[], float] = time.monotonic
    alive: Callable[[], None] = lambda: None
    """Called in each round of `run`: so that others see that the service goes on."""
    failing: Callable[[Sequence[LoopFault]], None] = lambda _: None
    """Told in each round which loops fail: the ledger, which is told too, may be what fails."""
    finishing: Callable[[str], None] = lambda _: None
    """Told by `pull` the name of each loop that is about to do what is left."""
    threads: Threads = field(default_factory=Threads)
    heap: Heap = field(default_factory=Heap)
    pulling: PullLoop = field(init=False)
    publishing: PublishLoop = field(init=False)
    detecting: DetectLoop = field(init=False)
    loops: list[Loop] = field(init=False)
    """All that it keeps doing. A new loop is one more entry."""
    _work: Work = field(init=False)
    _hanging: set[str] = field(default_factory=set)
    _stalled: set[str] = field(default_factory=set)
    _collected_at: float = 0.0
    _rests: dict[str, _Backoff] = field(default_factory=dict)
    """By name of each loop that failed in its last turn."""
    _room: DiskRoom = field(init=False)

    def __post_init__(self) -> None:
        self.assembly.take_over()
        self._work = Work(assembly=self.assembly, stop=self.stop, threads=self.threads, monotonic=self.monotonic)
        self._room = DiskRoom(lambda: free_bytes(self.assembly.installation.home))
        self.pulling = PullLoop(self._work)
        self.publishing = PublishLoop(self._work)
        self.detecting = DetectLoop(self._work)
        # A pull ends with them in this order: what rules match is published too, health is looked at once all is read
        # and counted, and then people hear.
        self.loops = [
            self.pulling,
            self.detecting,
            ScheduledLoop(self._work, self.detecting.jury),
            self.publishing,
            CoverageLoop(self._work),
            HealthLoop(self._work),
            DeliverLoop(self._work),
            HeartbeatLoop(self._work),
        ]

    def run(self) -> None:
        """Keep everything going until stopped; threads that hang are left behind."""
        log.info("started", home=str(self.assembly.installation.home.path))
        _notify("READY=1")
        self.assembly.installation.loops_run = True
        try:
            self._in_a_thread(self._run)
        finally:
            self.assembly.installation.loops_run = False
        _notify("STOPPING=1")
        log.info("stopping")
        self.threads.join(STOP_WITHIN)
        log.info("stopped")

    def _run(self) -> None:
        self._work.faults.begin([loop.name for loop in self.loops])
        while not self.stop():
            began = self.monotonic()
            self.alive()
            self.threads.went_on()
            self._watch()
            self._look_for_room()
            self._collect_garbage()
            again = min(self._run_due(loop) for loop in self.loops)
            self.failing(self._work.faults.listed)
            if self._work.faults.changed:
                self.threads.start_once(_FAULTS, self._work.faults.flush)
            self._wait(max(TICK, again - self.monotonic()))
            time.sleep(max(0.0, began + TICK - self.monotonic()))

    def _watch(self) -> None:
        """Note which loops hang: they fail until their work ends, or goes on."""
        jobs = self.threads.hanging(WORK_HANGS_AFTER.total_seconds())
        # What reads has no name, and what delivers has one for each channel.
        hanging = {self.pulling.name if name is None else name.partition(" ")[0] for name in jobs}
        for loop in sorted(hanging - self._hanging):
            reason = Phrase(
                "Its work has not come any further for %(count)s minutes: a disk or a far end may hang.",
                count=WORK_HANGS_AFTER // timedelta(minutes=1),
            )
            todo = Phrase("If it goes on, restart the service.")
            error = OperatorError(reason, code="loop_hangs", todo=todo)
            self._work.faults.failed(loop, HANGING, error)
        for loop in {*self._hanging, *(each.name for each in self.loops)} - hanging:
            self._work.faults.worked(loop, HANGING)
        self._hanging = hanging
        self._watch_pieces()

    def _collect_garbage(self) -> None:
        """Free what holds itself: Python looks only once there are many such objects, however large what they hold."""
        if self.monotonic() >= self._collected_at + _COLLECTED_EVERY:
            gc.collect()
            self._collected_at = self.monotonic()

    def _watch_pieces(self) -> None:
        """Note which loops take steps, and come no further by them."""
        stalled = self._work.stalled(WORK_HANGS_AFTER.total_seconds())
        for loop in self.loops:
            of = stalled.get(loop.name)
            if of is None:
                self._work.faults.worked(loop.name, STALLED)
            elif loop.name not in self._stalled:
                reason = Phrase(
                    "It has tried the same piece of %(piece)s again and again for %(count)s minutes.",
                    piece=of,
                    count=WORK_HANGS_AFTER // timedelta(minutes=1),
                )
                todo = Phrase("See why in the log. If it says nothing, restart the service.")
                self._work.faults.failed(loop.name, STALLED, OperatorError(reason, code="loop_stalls", todo=todo))
        self._stalled = set(stalled)

    def _run_due(self, loop: Loop) -> float:
        """Run what is due of `loop`, unless it rests, and return when to look again, also if it fails."""
        now = self.monotonic()
        rest = self._rests.get(loop.name)
        if rest is not None and now < rest.until:
            return rest.until
        try:
            again = loop.run_due(now)
        except Exception as error:  # noqa: BLE001 - told, and shown until it works again
            self._work.faults.failed(loop.name, TURN, error)
            rest = self._rests.setdefault(loop.name, _Backoff())
            rest.begin(now)
            return rest.until
        self._rests.pop(loop.name, None)
        self._work.faults.worked(loop.name, TURN)
        return again

    def _look_for_room(self) -> None:
        """Have everything that a full disk kept from its work tried at once, when there is room again."""
        errors = [*self._work.faults.errors.values(), *list(self.pulling.reader.troubles.values())]
        if self._room.is_back(lacking=any(each.code == DISK_FULL for each in errors)):
            log.info("there is room on the disk again")
            self._rests.clear()
            self.pulling.reader.room_again()

    def pull(
        self,
        streams: Sequence[Stream],
        *,
        time_range: TimeRange | None = None,
        damaged: Mapping[str, ConfigError] = MappingProxyType({}),
    ) -> PullResult:
        """Read what is due in `streams`, or only the given time range, and publish all that has landed.

        `damaged` are the sources that were wanted too, and have no streams: why, by their ids. It ends when nothing is
        left that may be tried within RETRY_WITHIN. Raises what the ledger raises.
        """
        reader = self.pulling.reader
        self._work.only = {stream.key for stream in streams}
        reader.by_hand, reader.time_range = True, time_range
        reader.follow(streams)
        # One after the other: together they would hold a quarter more memory, and share one interpreter anyway.
        self.publishing.hold = reader.held
        self._in_a_thread(self._pull)
        for loop in self.loops:
            self._finish(loop)
        if not self.stop():
            self._in_a_thread(self._work.faults.flush)
        self.threads.join(STOP_WITHIN)
        if self.stop():
            # Nothing is asked of the ledger any more: it may be what hangs.
            return PullResult(
                troubles=dict(reader.troubles),
                damaged=damaged,
                publishing=self.publishing.error,
                failed=self._work.faults.errors,
            )
        ledger = self.assembly.installation.ledger
        return PullResult(
            troubles=dict(reader.troubles),
            waiting=tuple(left for stream in streams for left in self._left(stream)),
            unasked=tuple(stream.key for stream in streams if stream.key not in reader.asked),
            lacking=sum(lacking(ledger, stream) for stream in streams),
            damaged=damaged,
            publishing=self.publishing.error,
            failed=self._work.faults.errors,
            lost=tuple(lost_lines(ledger, {table_name(stream.kind.log_type) for stream in streams})),
        )

    def _pull(self) -> None:
        reader = self.pulling.reader
        self._work.faults.begin([loop.name for loop in self.loops])
        reader.hurry()
        while not self.stop():
            # Asked before: what ends during the round, such as learning the API's clock, may leave something to plan.
            was_busy = self.threads.others_than(_MAIN)
            self.pulling.follow_sources(self.monotonic())
            seconds = reader.go_round()
            busy = self.threads.others_than(_MAIN)
            if not busy and not was_busy and (seconds is None or seconds > RETRY_WITHIN.total_seconds()):
                return
            # Of all loops only publishing, so that what lands does not pile up. The others work once all is read.
            self._run_due(self.publishing)
            self._wait(TICK if busy else min(TICK, seconds or _GLANCE))

    def _left(self, stream: Stream) -> list[UnreadSlices]:
        slices = [slice_ for slice_ in self.pulling.reader.left(stream) if slice_.state is SliceState.WAITING]
        if not slices:
            return []
        first = min(slices, key=lambda slice_: slice_.due_at)
        reason = first.reason or next((slice_.reason for slice_ in slices if slice_.reason), None)
        # What failed in this pull is newer than what a slice remembers, which may not have been asked for at all.
        trouble = self.pulling.reader.troubles.get(stream.key)
        due = first.due_at if first.due_at > datetime.now(UTC) else None
        return [
            UnreadSlices(stream=stream.key, slices=len(slices), reason=str(trouble) if trouble else reason, due_at=due)
        ]

    def publish_all(self) -> OcelogError | None:
        """Publish everything that waits, which no other loop has a part in; return what went wrong."""
        self._in_a_thread(lambda: self._work.faults.begin([loop.name for loop in self.loops]))
        self._finish(self.publishing)
        if not self.stop():
            self._in_a_thread(self._work.faults.flush)
        return self._work.faults.errors.get(self.publishing.name) or self.publishing.error

    def publish(self) -> list[TablePublished]:
        """Publish everything that waits; return what came into each table. Raises what went wrong."""
        ledger, tables = self.assembly.installation.ledger.lake, self.assembly.lake.schemas
        before = {table: ledger.unpublished(table) for table in tables}
        error = self.publish_all()
        if error is not None:
            raise error
        left = {table: ledger.unpublished(table) for table in tables}
        return [
            TablePublished(
                table=table,
                parts=before[table][0] - left[table][0],
                rows=before[table][1] - left[table][1],
                left=left[table][0],
            )
            for table in tables
        ]

    def _finish(self, loop: Loop) -> None:
        """Have `loop` do what is left, in a thread, so that a signal is heard meanwhile."""

        def finish() -> None:
            self.finishing(loop.name)
            loop.finish()
            # Whatever was due is done.
            self._work.faults.worked(loop.name, TURN, WORK, HANGING, STALLED)

        while not self.stop() and not self._work.begin(loop, finish):
            self._wait(TICK)
        while not self.stop() and self.threads.others_than(_MAIN):
            self._wait(TICK)

    def _in_a_thread(self, job: Callable[[], None]) -> None:
        self.threads.run(_MAIN, job, self.stop)

    def _wait(self, seconds: float) -> None:
        """Wait until a job has ended, or for so long."""
        if self.threads.wait(seconds) or self.threads.reading:
            self.heap.give_back()


def _notify(state: str) -> None:
    """Tell systemd how we are, if it wants to know."""
    address = config.notify_socket()
    if address is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        try:
            line.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            log.warning("systemd was not reached", state=state)
