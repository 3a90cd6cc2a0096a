"""What keeps the pipeline going: one pull from start to end, or all loops until stopped."""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

# The lake's catalog uses it. Imported by a thread while others use SQLAlchemy, it is met half-made by them.
import sqlalchemy.orm  # noqa: F401 - see above
import structlog

from ocelog import config
from ocelog.assemble import Assembly, Stream
from ocelog.config import Settings
from ocelog.dispatch.heap import Heap
from ocelog.dispatch.threads import Stop, Threads
from ocelog.errors import OcelogError, TransientError
from ocelog.instants import from_us
from ocelog.lake.leftovers import remove_leftovers
from ocelog.lake.maintenance import Maintenance
from ocelog.lake.upkeep import clean
from ocelog.planning import Stretch, lacking
from ocelog.reading import Reader, StreamKey

STOP_WITHIN = timedelta(seconds=3)
"""What has not ended by then is left behind; it is safe to kill."""
PATIENCE = timedelta(seconds=10)
"""A pull waits so long for slices to be tried again, and leaves those that must wait longer to the next one."""
_TICK = 0.5
_PUBLISH_EVERY = 5.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """How a pull ended."""

    troubles: dict[StreamKey, OcelogError]
    left: int
    """Slices that are to be tried later."""
    lacking: int
    """Stretches that are parked, or that were shown short."""
    publishing: OcelogError | None
    left_behind: bool
    """Threads still run: end the process without waiting for them."""

    @property
    def exit_code(self) -> int:
        """0 all read and published, 2 a person must act, 3 try later."""
        errors = [*self.troubles.values(), *([self.publishing] if self.publishing else [])]
        if self.lacking or any(not isinstance(error, TransientError) for error in errors):
            return 2
        return 3 if errors or self.left else 0


@dataclass(slots=True, kw_only=True)
class Service:
    """The loops over one open assembly, whose home this process holds."""

    assembly: Assembly
    stop: Stop
    heap: Heap = field(init=False)
    threads: Threads = field(init=False)
    reader: Reader = field(init=False)
    maintenance: Maintenance = field(init=False)
    _published_at: float = 0.0
    _publishing: OcelogError | None = None
    _left_alone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.heap = Heap()
        installation = self.assembly.installation
        self.threads = Threads()
        self.reader = Reader(
            ledger=installation.ledger, threads=self.threads, stop=self.stop, limit=installation.settings.threads
        )
        self.maintenance = Maintenance(
            installation.home.path, installation.ledger, grace=installation.settings.part_grace
        )
        # Whoever held slices before is gone: this process holds the home.
        installation.ledger.release_all()
        self.assembly.publisher.reconcile()

    def pull(self, streams: Sequence[Stream], *, stretch: Stretch | None = None) -> Pulled:
        """Read what is due in `streams`, or only the given stretch of time, and publish all that has landed."""
        self.reader.hurry(streams)
        for source_id, group in _by_source(streams):
            job = _planning(self.reader, group, stretch)
            self.threads.start_once(f"plan {source_id}", job)
        while not self.stop():
            self.reader.start_due(streams)
            if not self.threads.busy:
                wait = self.reader.waits(streams)
                if wait is None or wait > PATIENCE:
                    break
            # One after the other: together they would hold a quarter more memory, and share one interpreter anyway.
            self._publish_at_times(self.reader.held)
            self._wait(_TICK / 2)
        left = sum(len(self.reader.left(stream)) for stream in streams)
        publishing = self.publish_all()
        return Pulled(
            troubles=dict(self.reader.troubles),
            left=left,
            lacking=sum(lacking(self.assembly.installation.ledger, stream) for stream in streams),
            publishing=publishing,
            left_behind=not self.threads.join(STOP_WITHIN),
        )

    def run(self) -> bool:
        """Keep everything going until stopped; True: all threads have ended."""
        log.info("started", home=str(self.assembly.installation.home.path))
        _notify("READY=1")
        known = list[Stream]()
        while not self.stop():
            try:
                known = self._changed(known)
                for source_id, group in _by_source(known):
                    self.threads.start_once(f"plan {source_id}", _planning(self.reader, group, None, poll_now=False))
                self.reader.start_due(known)
                self._publish_at_times()
            except OcelogError as error:
                log.error("failed", error=type(error).__name__, reason=str(error))  # noqa: TRY400 - told, not traced
            except Exception:
                log.exception("mistake in Ocelog")
            self._wait(_TICK)
        _notify("STOPPING=1")
        log.info("stopping")
        ended = self.threads.join(STOP_WITHIN)
        log.info("stopped")
        return ended

    def publish(self, *, force: bool, holding: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """Publish each table for itself, where it is time or `force`; what goes wrong is told and kept."""
        self._publishing = None
        for table in self.assembly.lake.schemas:
            try:
                self._publish(table, force=force, holding=holding)
            except OcelogError as error:
                self._publishing = error
                log.error("publish failed", table=table, error=type(error).__name__, reason=str(error))  # noqa: TRY400
            except Exception as error:
                self._publishing = OcelogError(f"{table}: a mistake in Ocelog: {type(error).__name__}: {error}")
                log.exception("mistake in Ocelog", table=table)

    def _publish(self, table: str, *, force: bool, holding: Callable[[], AbstractContextManager[None]]) -> None:
        publisher, installation = self.assembly.publisher, self.assembly.installation
        settings = installation.settings
        if force or self._is_time(table, settings):
            with holding():
                published = publisher.publish(table, force=True)
            if published.parts:
                log.info("published", table=table, rows=published.rows, parts=published.parts)
        clean(installation.home.path, table, installation.ledger, grace=settings.part_grace)
        remove_leftovers(installation.home.path, table)
        self._tend(table)

    def _tend(self, table: str) -> None:
        """Keep the table small. What goes wrong is told, and stops neither publishing nor a pull."""
        try:
            tended = self.maintenance.tend(table)
        except OcelogError as error:
            log.warning("upkeep failed", table=table, error=type(error).__name__, reason=str(error))
            return
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
        return waiting >= settings.publish_bytes or datetime.now(UTC) >= from_us(oldest_us) + settings.publish_after

    def _publish_at_times(self, holding: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        if time.monotonic() < self._published_at + _PUBLISH_EVERY:
            return
        self._published_at = time.monotonic()
        self.threads.start_once("publish", lambda: self.publish(force=False, holding=holding))

    def publish_all(self) -> OcelogError | None:
        """Publish everything in a thread, so that a signal is heard meanwhile; return what went wrong."""
        while not self.stop() and not self.threads.start_once("publish", lambda: self.publish(force=True)):
            self._wait(_TICK)
        while not self.stop() and self.threads.busy:
            self._wait(_TICK)
        return self._publishing

    def _wait(self, seconds: float) -> None:
        self.heap.give_back()
        self.threads.wait(seconds)

    def _changed(self, before: Sequence[Stream]) -> list[Stream]:
        """Take up sources that were added, changed, paused or removed since."""
        streams = self.assembly.streams()
        old = {id(stream) for stream in before}
        self.reader.active = frozenset(id(stream) for stream in streams)
        fresh = {stream.row.id: stream.row.name for stream in streams if id(stream) not in old}
        for source_id, name in fresh.items():
            self.reader.forget_rests(source_id)
            log.info("source taken up", source=name)
        return streams


def _by_source(streams: Sequence[Stream]) -> list[tuple[str, list[Stream]]]:
    return [(source_id, list(group)) for source_id, group in groupby(streams, key=lambda stream: stream.row.id)]


def _planning(
    reader: Reader,
    group: Sequence[Stream],
    stretch: Stretch | None,
    *,
    poll_now: bool = True,
) -> Callable[[], None]:
    return lambda: reader.plan(group, poll_now=poll_now, stretch=stretch)


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
