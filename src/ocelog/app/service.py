"""What keeps the pipeline going: one pull from start to end, or all loops until stopped."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

# The lake's catalog uses it. Imported by a thread while others use SQLAlchemy, it is met half-made by them.
import sqlalchemy.orm  # noqa: F401 - see above
import structlog

from ocelog.app.assemble import Assembly, Stream, maintenance
from ocelog.app.coverage import measure_each, to_measure
from ocelog.app.planning import Stretch, lacking
from ocelog.app.pulling import Reader
from ocelog.app.status import lost_lines
from ocelog.dispatch.fair import StreamKey
from ocelog.dispatch.heap import Heap
from ocelog.dispatch.threads import Stop, Threads
from ocelog.errors import ConfigError, LedgerUnavailableError, OcelogError, TransientError
from ocelog.installation import config
from ocelog.installation.config import Settings
from ocelog.lake.storage.disk import disk_errors
from ocelog.lake.storage.scratch import clear_abandoned
from ocelog.lake.upkeep.leftovers import remove_leftovers
from ocelog.lake.upkeep.maintenance import Maintenance, Tended
from ocelog.lake.write.cleaning import clean
from ocelog.model import PUBLISHING, SliceState, table_name
from ocelog.times import from_us, has_passed

STOP_WITHIN = timedelta(seconds=2.5)
"""What has not ended by then is left behind; it is safe to kill."""
PATIENCE = timedelta(seconds=10)
"""A pull waits so long for slices to be tried again, and leaves those that must wait longer to the next one."""
TICK = 0.5
"""Seconds between two rounds of a service, at least."""
LOOK_EVERY = 2.0
"""Seconds between two looks at whether sources were added, changed, paused or removed."""
_MEASURE_EVERY = 60.0
_MEASURE_AGAIN = 3600.0
_PUBLISH_EVERY = 5.0
_CLEAN_EVERY = 60.0
_GLANCE = 0.1
_LOOP = "loop"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a pull did not read of one stream, and why."""

    stream: StreamKey
    slices: int
    reason: str | None
    """Why, by what failed last."""
    due_at: datetime | None
    """When a service tries the first of it again; None: at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """How a pull ended."""

    troubles: dict[StreamKey, OcelogError] = field(default_factory=dict)
    waiting: tuple[Left, ...] = ()
    """What is to be tried later; what is parked is `lacking`."""
    unasked: tuple[StreamKey, ...] = ()
    """Streams that were not asked for anything new: their API did not answer, or too much of them waits already."""
    lacking: int = 0
    """Stretches that are parked, or that were shown short."""
    damaged: Mapping[str, ConfigError] = field(default_factory=dict)
    """Id of each source whose settings cannot be read -> why."""
    publishing: OcelogError | None = None
    lost: tuple[str, ...] = ()
    """Which rows the tables of these streams lack, because the files that held them are lost, and what to do."""
    left_behind: bool = False
    """Threads still run: end the process without waiting for them."""

    @property
    def left(self) -> int:
        """How many slices are to be tried later."""
        return sum(each.slices for each in self.waiting)

    @property
    def exit_code(self) -> int:
        """0 all read and published, 2 action required, 3 try later."""
        errors = [*self.troubles.values(), *([self.publishing] if self.publishing else [])]
        if self.lacking or self.damaged or self.lost or any(not isinstance(error, TransientError) for error in errors):
            return 2
        return 3 if errors or self.waiting or self.unasked else 0


@dataclass(slots=True, kw_only=True)
class Service:
    """The loops over one open assembly, whose home this process holds."""

    assembly: Assembly
    stop: Stop
    heap: Heap = field(init=False)
    threads: Threads = field(init=False)
    reader: Reader = field(init=False)
    maintenance: Maintenance = field(init=False)
    monotonic: Callable[[], float] = time.monotonic
    alive: Callable[[], None] = lambda: None
    """Told in each round of `run` that the loop goes on."""
    _looked_at: float = float("-inf")
    _publish_looked_at: float = float("-inf")
    _cleaned_at: float = float("-inf")
    _measured_at: float = float("-inf")
    _measure_after: dict[StreamKey, float] = field(default_factory=dict)
    _publishing: OcelogError | None = None
    _unpublishable: set[str] = field(default_factory=set)
    """Tables of which the ledger says that publishing fails."""
    _failed: Exception | None = None
    _left_alone: set[str] = field(default_factory=set)
    _read_names: dict[str, str] = field(default_factory=dict)
    """Name of each source that is read, by its id."""
    _not_expired: dict[str, str | None] = field(default_factory=dict)
    """Why the rows of a table that are too old were kept when they were last looked at."""

    def __post_init__(self) -> None:
        self.heap = Heap()
        installation = self.assembly.installation
        self.threads = Threads()
        self.reader = Reader(
            ledger=installation.ledger,
            threads=self.threads,
            stop=self.stop,
            limit=installation.settings.threads,
            home_id=installation.home.id,
            monotonic=self.monotonic,
        )
        self.maintenance = maintenance(installation)
        # Whoever of this home held slices before is gone: this process has its lock.
        installation.ledger.release_home(installation.home.id)
        clear_abandoned(installation.home.path)
        self.assembly.publisher.reconcile()
        self._unpublishable = {each.table for each in installation.ledger.table_faults() if each.what == PUBLISHING}

    def pull(
        self,
        streams: Sequence[Stream],
        *,
        stretch: Stretch | None = None,
        damaged: Mapping[str, ConfigError] = MappingProxyType({}),
    ) -> Pulled:
        """Read what is due in `streams`, or only the given stretch of time, and publish all that has landed.

        `damaged` are the sources that were wanted too, and have no streams: why, by their ids. It ends when nothing is
        left that may be tried within PATIENCE. Raises what the ledger raises.
        """
        self.reader.by_hand, self.reader.stretch = True, stretch
        self.reader.follow(streams)
        self._in_a_thread(lambda: self._pull(streams))
        if self.stop():
            # Nothing is asked of the ledger any more: it may be what hangs.
            return Pulled(
                troubles=dict(self.reader.troubles), damaged=damaged, left_behind=not self.threads.join(STOP_WITHIN)
            )
        publishing = self.publish_all()
        self._in_a_thread(lambda: self._measure_now(streams))
        ledger = self.assembly.installation.ledger
        return Pulled(
            troubles=dict(self.reader.troubles),
            waiting=tuple(left for stream in streams for left in self._left(stream)),
            unasked=tuple(stream.key for stream in streams if stream.key not in self.reader.asked),
            lacking=sum(lacking(ledger, stream) for stream in streams),
            damaged=damaged,
            publishing=publishing,
            lost=tuple(lost_lines(ledger, {table_name(stream.kind.log_type) for stream in streams})),
            left_behind=not self.threads.join(STOP_WITHIN),
        )

    def run(self) -> bool:
        """Keep everything going until stopped; True: all threads have ended."""
        log.info("started", home=str(self.assembly.installation.home.path))
        _notify("READY=1")
        self._in_a_thread(self._run)
        _notify("STOPPING=1")
        log.info("stopping")
        ended = self.threads.join(STOP_WITHIN)
        log.info("stopped")
        return ended

    def _in_a_thread(self, loop: Callable[[], None]) -> None:
        """Run `loop` until it ends or is asked to, and raise what it raised.

        The main thread must hear signals, so nothing that may hang is done in it, the ledger included.
        """

        def guarded() -> None:
            try:
                loop()
            except Exception as error:  # noqa: BLE001 - raised below
                self._failed = error

        self.threads.start_once(_LOOP, guarded)
        while self.threads.runs(_LOOP) and not self.stop():
            time.sleep(_GLANCE)
        if self._failed is not None and not self.stop():
            raise self._failed

    def _pull(self, streams: Sequence[Stream]) -> None:
        self.reader.hurry()
        wanted = {stream.key for stream in streams}
        while not self.stop():
            # Asked before: what ends during the round, such as learning the API's clock, may leave something to plan.
            was_busy = self.threads.others_than(_LOOP)
            self._look_at_sources(only=wanted)
            seconds = self.reader.go_round()
            busy = self.threads.others_than(_LOOP)
            if not busy and not was_busy and (seconds is None or seconds > PATIENCE.total_seconds()):
                return
            # One after the other: together they would hold a quarter more memory, and share one interpreter anyway.
            self._publish_at_times(self.reader.held)
            self._wait(TICK if busy else min(TICK, seconds or _GLANCE))

    def _run(self) -> None:
        failed = False
        while not self.stop():
            began, seconds = self.monotonic(), None
            self.alive()
            try:
                self._look_at_sources()
                seconds = self.reader.go_round()
                self._publish_at_times()
                self._measure_at_times()
                if failed:
                    log.info("works again")
                failed = False
            except OcelogError as error:
                failed = True
                log.error("failed", error=type(error).__name__, code=error.code, reason=str(error))  # noqa: TRY400 - told, not traced
            except Exception:
                log.exception("bug in Ocelog")
            self._wait(LOOK_EVERY if seconds is None else min(LOOK_EVERY, max(TICK, seconds)))
            time.sleep(max(0.0, began + TICK - self.monotonic()))

    def _measure_at_times(self) -> None:
        """Begin to measure the coverage that is due; what could not be measured is tried again after an hour."""
        if self.monotonic() < self._measured_at + _MEASURE_EVERY:
            return
        self._measured_at = self.monotonic()
        now = self.monotonic()
        fresh = [each for each in self.assembly.streams() if self._measure_after.get(each.key, now) <= now]
        streams = to_measure(self.assembly.installation, fresh)
        if streams and self.threads.start_once("coverage", lambda: self._measure(streams)):
            self._measure_after |= dict.fromkeys((each.key for each in streams), now + _MEASURE_AGAIN)

    def _measure_now(self, streams: Sequence[Stream]) -> None:
        due = to_measure(self.assembly.installation, streams)
        for stream in due:
            # Nothing else waits for a share of the rate any more.
            stream.source.hurried = True
        self._measure(due)

    def _measure(self, streams: Sequence[Stream]) -> None:
        try:
            for reason in measure_each(self.assembly.installation, streams):
                log.warning("coverage not measured", reason=reason)
        except OcelogError as error:
            # The ledger: nothing depends on this, and others tell of it.
            log.warning("coverage not measured", reason=str(error))

    def _look_at_sources(self, *, only: set[StreamKey] | None = None) -> None:
        """Take up sources that were added, changed, paused or removed since the last look."""
        if self.monotonic() < self._looked_at + LOOK_EVERY:
            return
        first = self._looked_at == float("-inf")
        self._looked_at = self.monotonic()
        streams = [stream for stream in self.assembly.streams() if only is None or stream.key in only]
        fresh = self.reader.follow(streams)
        names = {stream.row.id: stream.row.name for stream in streams}
        for gone in self._read_names.keys() - names.keys():
            log.info("source left", source=self._read_names[gone])
        for source_id in {stream.row.id: None for stream in fresh}:
            log.info("source taken up", source=names[source_id])
        if only is None and not streams and (first or self._read_names) and not self.assembly.damaged:
            log.warning("nothing to read", **self._why_nothing())
        self._read_names = names
        if fresh and not first:
            self.reader.hurry([stream.key for stream in fresh])

    def _why_nothing(self) -> dict[str, str]:
        if self.assembly.installation.ledger.sources():
            return {
                "reason": "All sources are paused.",
                "todo": "Go on with one of them in another terminal: ocelog source resume NAME",
            }
        return {"reason": "There is no source yet.", "todo": "Add one in another terminal: ocelog source add"}

    def _left(self, stream: Stream) -> list[Left]:
        slices = [slice_ for slice_ in self.reader.left(stream) if slice_.state is SliceState.WAITING]
        if not slices:
            return []
        first = min(slices, key=lambda slice_: slice_.due_at)
        reason = first.reason or next((slice_.reason for slice_ in slices if slice_.reason), None)
        # What failed in this pull is newer than what a slice remembers, which may not have been asked for at all.
        trouble = self.reader.troubles.get(stream.key)
        due = first.due_at if first.due_at > datetime.now(UTC) else None
        return [Left(stream=stream.key, slices=len(slices), reason=str(trouble) if trouble else reason, due_at=due)]

    def publish(self, *, force: bool, holding: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Publish each table for itself, if it is time or `force`; what goes wrong is told and kept."""
        self._publishing = None
        for table in self.assembly.lake.schemas:
            try:
                with disk_errors(self.assembly.installation.home.path):
                    self._publish(table, force=force, holding=holding)
            except LedgerUnavailableError as error:
                self._publishing = error
                log.error("publish failed", table=table, error=type(error).__name__, code=error.code, reason=str(error))  # noqa: TRY400
                # Each other table would wait as long for it, and so would a note of this.
                return
            except OcelogError as error:
                self._publishing = error
                self._note_publishing(table, str(error))
                log.error("publish failed", table=table, error=type(error).__name__, code=error.code, reason=str(error))  # noqa: TRY400
            except Exception as error:
                self._publishing = OcelogError(f"{table}: a bug in Ocelog: {type(error).__name__}: {error}")
                self._note_publishing(table, str(self._publishing))
                log.exception("bug in Ocelog", table=table)
            else:
                self._tend(table)

    def _publish(self, table: str, *, force: bool, holding: Callable[[], AbstractContextManager[None]]) -> None:
        ledger = self.assembly.installation.ledger
        if force or self._is_time(table, self.assembly.installation.settings):
            before = lost_lines(ledger, [table])
            with holding():
                published = self.assembly.publisher.publish(table, force=True)
            self._note_publishing(table, None)
            for line in lost_lines(ledger, [table]):
                if line not in before:
                    log.error("rows lost", table=table, reason=line)
            if published.parts:
                log.info("published", table=table, rows=published.rows, parts=published.parts)

    def _note_publishing(self, table: str, reason: str | None) -> None:
        """Note for `ocelog status` why `table` is not published; None: it is again."""
        ledger = self.assembly.installation.ledger
        # The ledger may be what fails.
        with suppress(OcelogError):
            if reason is not None:
                self._unpublishable.add(table)
                ledger.table_failed(table, PUBLISHING, reason)
            elif table in self._unpublishable:
                ledger.table_well(table, PUBLISHING)
                self._unpublishable.discard(table)
                log.info("publishing works again", table=table)

    def _tend(self, table: str) -> None:
        """Delete what the table does not need any more, and keep it small.

        What goes wrong is told. It stops neither the rest of the upkeep, nor publishing, nor a pull.
        """
        installation = self.assembly.installation
        home, ledger, grace = installation.home.path, installation.ledger, installation.settings.part_grace
        for work in (
            lambda: clean(home, table, ledger, grace=grace),
            lambda: remove_leftovers(home, table),
            lambda: self._told(self.maintenance.tend(table)),
        ):
            try:
                with disk_errors(home):
                    work()
            except OcelogError as error:
                log.warning(
                    "upkeep failed", table=table, error=type(error).__name__, code=error.code, reason=str(error)
                )
            except Exception:
                log.exception("bug in Ocelog", table=table, during="upkeep")

    def _told(self, tended: Tended) -> None:
        table = tended.table
        if tended.not_expired is not None and tended.not_expired != self._not_expired.get(table):
            log.warning("old rows kept", table=table, reason=tended.not_expired)
        self._not_expired[table] = tended.not_expired
        if tended.rows_expired:
            log.info("old rows deleted", table=table, rows=tended.rows_expired)
        if tended.rewritten:
            log.info("compacted", table=table, files=tended.rewritten)
        for path, reason in tended.left_alone.items():
            if path not in self._left_alone:
                log.warning("file left alone", table=table, path=path, reason=reason)
                self._left_alone.add(path)

    def _is_time(self, table: str, settings: Settings) -> bool:
        count, _, waiting, oldest_us = self.assembly.installation.ledger.unpublished(table)
        if not count or oldest_us is None:
            return False
        if waiting >= settings.publish_bytes:
            return True
        return has_passed(settings.publish_after, since=from_us(oldest_us), now=datetime.now(UTC))

    def _publish_at_times(self, holding: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Begin to publish if a table wants it, and to clean up now and then: both look at many files."""
        now = self.monotonic()
        if now < self._publish_looked_at + _PUBLISH_EVERY:
            return
        self._publish_looked_at = now
        settings = self.assembly.installation.settings
        cleans = now >= self._cleaned_at + _CLEAN_EVERY
        if cleans or any(self._is_time(table, settings) for table in self.assembly.lake.schemas):
            self._cleaned_at = now
            self.threads.start_once("publish", lambda: self.publish(force=False, holding=holding))

    def publish_all(self) -> OcelogError | None:
        """Publish everything in a thread, so that a signal is heard meanwhile; return what went wrong."""
        while not self.stop() and not self.threads.start_once("publish", lambda: self.publish(force=True)):
            self._wait(TICK)
        while not self.stop() and self.threads.others_than(_LOOP):
            self._wait(TICK)
        return self._publishing

    def _wait(self, seconds: float) -> None:
        """Wait until a job has ended, or for so long; every loop waits here."""
        if self.threads.wait(seconds) or self.threads.reading:
            self.heap.give_back()


def _notify(state: str) -> None:
    """Tell systemd how we are, where it wants to know."""
    address = config.notify_socket()
    if address is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        try:
            line.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            log.warning("systemd was not reached", state=state)
