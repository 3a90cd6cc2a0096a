"""A sweep by hand: by the service if one runs, else here, stream by stream, until all is there that was asked for."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime

from msgspec import Struct, field

from ocelog.app.assemble import Assembly
from ocelog.app.loops.coverage import measure_each, to_measure
from ocelog.app.loops.service import Service
from ocelog.app.loops.sweep_stages import advance
from ocelog.app.status.status import lost_lines
from ocelog.errors import ConfigError, HaltError, LostFenceError, OcelogError, OperatorError, TransientError
from ocelog.installation.home_lock import held, holder
from ocelog.installation.opening import Installation
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.pulling import holder_of
from ocelog.model import Slice, SliceState, table_name
from ocelog.pull.planner import plan_sweep, sweep_wanted
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage, Sweep
from ocelog.workers.fair import StreamKey
from ocelog.workers.heap import Heap
from ocelog.workers.threads import STOP_WITHIN, Stop, Threads

_GIVE_BACK_EVERY = 0.5
"""Seconds between two times that freed memory is given back."""
_LOOK_EVERY = 1.0
"""Seconds between two looks at how far the service is."""
_MOST_AGAIN = 20
"""So many further sweeps one acceptance may take: the first ones close 50,000 records each."""


class Swept(Struct, frozen=True, kw_only=True):
    """How the sweep of one stream ended."""

    sweep: Sweep | None
    done: bool
    """It came to its end; otherwise the service, or the next `ocelog sweep`, goes on with it."""
    error: OcelogError | None = None

    @property
    def exit_code(self) -> int:
        """0 complete, 2 action required, 3 try later."""
        if isinstance(self.error, TransientError):
            return 3
        if self.error is not None or (self.sweep is not None and self.sweep.vanished):
            return 2
        # The first sweep of a stream judges nothing, and is complete without it.
        complete = self.sweep is not None and (self.sweep.complete or self.sweep.note is None)
        return 0 if self.done and complete else 3

    @property
    def accepted_yet(self) -> bool:
        """Whether a person said that records are gone of which not all are closed yet: another sweep closes more."""
        well = self.done and self.error is None and self.sweep is not None
        return well and self.sweep is not None and self.sweep.complete and self.sweep.accepted


class SweepResult(Struct, frozen=True, kw_only=True):
    """How a sweep by hand ended."""

    streams: Sequence[Swept]
    """One for each stream that was asked for, in that order."""
    damaged: Mapping[str, ConfigError] = field(default_factory=dict)
    """Id of each wanted source whose settings cannot be read -> why."""
    publishing: OcelogError | None = None
    """Why what landed is not published; None: it is, or the service does it."""
    lost: tuple[str, ...] = ()
    """Which rows the tables of these streams lack, because the files that held them are lost, and what to do."""
    not_measured: tuple[str, ...] = ()
    """Why the coverage of a stream could not be measured afterwards."""
    stopped: bool = False
    """It was asked to stop before the end."""

    @property
    def exit_code(self) -> int:
        """0 complete and published, 2 action required, 3 try later."""
        codes = {each.exit_code for each in self.streams}
        if self.publishing is not None:
            codes.add(3 if isinstance(self.publishing, TransientError) else 2)
        if self.damaged or self.lost:
            codes.add(2)
        return 3 if self.stopped else next((each for each in (2, 3) if each in codes), 0)


def sweep(
    assembly: Assembly,
    streams: Sequence[Stream],
    *,
    damaged: Mapping[str, ConfigError],
    accept: bool,
    stop: Stop,
    begins: Callable[[bool], None],
    at: Callable[[Stage], None],
    finishing: Callable[[str], None],
) -> SweepResult:
    """Sweep `streams` from start to end, publish what landed, and measure; with a service running, wait until it has.

    `accept`: records that vanished all at once are really gone. `begins` hears, before the work, whether the service
    does it; `at` hears of each stage of a stream when it begins, and `finishing` by the name of a loop what is done
    once all is read. It is asked to stop by `stop`: what hangs then is left behind. Raises HomeError if another
    command holds the home, and what the ledger raises.
    """
    found = dict[StreamKey, Swept]()
    ended = list[SweepResult]()
    threads = Threads()
    threads.run(
        "sweep",
        lambda: ended.append(
            _sweep(
                assembly,
                streams,
                found,
                damaged=damaged,
                accept=accept,
                stop=stop,
                begins=begins,
                at=at,
                finishing=finishing,
            )
        ),
        stop,
    )
    threads.join(STOP_WITHIN)
    if ended:
        return ended[0]
    # Nothing is asked of the ledger any more: it may be what hangs.
    return SweepResult(streams=_in_order(streams, found), damaged=damaged, stopped=True)


def _sweep(
    assembly: Assembly,
    streams: Sequence[Stream],
    found: dict[StreamKey, Swept],
    *,
    damaged: Mapping[str, ConfigError],
    accept: bool,
    stop: Stop,
    begins: Callable[[bool], None],
    at: Callable[[Stage], None],
    finishing: Callable[[str], None],
) -> SweepResult:
    """Do so, and note in `found` how the sweep of each stream has ended as soon as it has."""
    installation = assembly.installation
    if accept:
        for stream in streams:
            installation.ledger.sweeps.accept_vanished(*stream.key)
    who = holder(installation.home)
    if who is not None and who.is_service:
        begins(True)  # noqa: FBT003 - the one thing that it is told
        _until_accepted(streams, stop, found, lambda left: _wait_for_service(installation, left, stop, found, at))
        return SweepResult(streams=_in_order(streams, found), damaged=damaged, stopped=stop())
    with held(installation.home, "ocelog sweep"):
        begins(False)  # noqa: FBT003 - likewise
        service = Service(assembly=assembly, stop=stop, finishing=finishing)
        unpublished: OcelogError | None = None

        def sweep_here(left: Sequence[Stream]) -> None:
            nonlocal unpublished
            for stream in left:
                found[stream.key] = _sweep_one(installation, stream, stop, at)
            if not stop():
                unpublished = service.publish_all()

        _until_accepted(streams, stop, found, sweep_here)
        not_measured, lost = list[str](), tuple[str, ...]()
        if not stop():
            finishing("coverage")
            read = {stream.row.id for stream in streams}
            measured = to_measure(installation, [each for each in assembly.streams() if each.row.id in read])
            not_measured = list(measure_each(installation, measured))
            lost = tuple(lost_lines(installation.ledger, {table_name(each.kind.log_type) for each in streams}))
        return SweepResult(
            streams=_in_order(streams, found),
            damaged=damaged,
            publishing=unpublished,
            lost=lost,
            not_measured=tuple(not_measured),
            stopped=stop(),
        )


def waiting_slices(installation: Installation, stream: Stream) -> list[Slice]:
    """Return the slices of `stream` that are planned and not read to their end."""
    source_id, log_type = stream.key
    return installation.ledger.pulling.slices(source_id=source_id, log_type=log_type, states={SliceState.WAITING})


def _in_order(streams: Sequence[Stream], found: Mapping[StreamKey, Swept]) -> list[Swept]:
    return [found.get(stream.key, Swept(sweep=None, done=False)) for stream in streams]


def _until_accepted(
    streams: Sequence[Stream],
    stop: Stop,
    found: Mapping[StreamKey, Swept],
    sweep: Callable[[Sequence[Stream]], None],
) -> None:
    """Sweep `streams`, and again those of which not all is closed yet that a person said is gone."""
    sweep(streams)
    for _ in range(_MOST_AGAIN):
        left = [each for each in streams if each.key in found and found[each.key].accepted_yet]
        if not left or stop():
            break
        sweep(left)


def _sweep_one(installation: Installation, stream: Stream, stop: Stop, at: Callable[[Stage], None]) -> Swept:
    """Sweep one stream here; what goes wrong with it stops no other."""
    ledger, home_id, threads = installation.ledger, installation.home.id, installation.settings.threads
    try:
        return run_sweep(ledger, stream, home_id=home_id, threads=threads, stop=stop, at=at)
    except OcelogError as error:
        return Swept(sweep=ledger.sweeps.newest(*stream.key), done=False, error=error)


def _wait_for_service(
    installation: Installation,
    streams: Sequence[Stream],
    stop: Stop,
    found: dict[StreamKey, Swept],
    at: Callable[[Stage], None],
) -> None:
    ledger = installation.ledger
    numbers = {stream.key: want_sweep(ledger, stream) for stream in streams}

    def ended(stream: Stream) -> Swept:
        newest = ledger.sweeps.newest(*stream.key)
        done = newest is not None and newest.round >= numbers[stream.key] and newest.stage is Stage.DONE
        return Swept(sweep=newest, done=done)

    while True:
        found |= {stream.key: ended(stream) for stream in streams}
        if all(found[stream.key].done for stream in streams) or holder(installation.home) is None or stop():
            return
        for stream in streams:
            now = found[stream.key]
            if now.sweep is not None and not now.done and now.sweep.stage is not Stage.DONE:
                at(now.sweep.stage)
                break
        time.sleep(_LOOK_EVERY)


def want_sweep(ledger: Ledger, stream: Stream) -> int:
    """Have a running service sweep `stream` at its next poll; return the number that this sweep will have at least."""
    marks = ledger.pulling.marks(*stream.key)
    wanted = sweep_wanted(marks)
    ledger.pulling.plan(marks, wanted, [])
    return wanted.sweep_round + 1


def run_sweep(
    ledger: Ledger, stream: Stream, *, home_id: str, threads: int, stop: Callable[[], bool], at: Callable[[Stage], None]
) -> Swept:
    """Sweep `stream` now, at its whole rate, and return how it went; a sweep that is under way is brought to its end.

    `home_id` is the home that this process holds; `at` hears of each stage when it begins. Raises
    OperatorError for a stream that was never pulled; what goes wrong later is in the result.
    """
    marks = ledger.pulling.marks(*stream.key)
    if marks.edge is None:
        raise OperatorError(f"{stream.row.name} {stream.kind.log_type} was never pulled. Run: ocelog pull")
    stream.source.hurry()
    stream.source.prime()
    # One that is read already, by a pull for example, may only have to be ended.
    if advance(ledger, stream):
        plan = plan_sweep(marks, stream.kind, stream.source.now())
        ledger.pulling.plan(marks, plan.after, plan.slices)
    done, error, now_at = False, None, _stage(ledger, stream)
    while not (done or error or stop()):
        at(now_at)
        error, read = _read_due(ledger, stream, home_id, threads, stop)
        with suppress(LostFenceError):
            done = error is None and advance(ledger, stream)
        stage, now_at = now_at, _stage(ledger, stream)
        if not read and stage == now_at:
            break
    return Swept(sweep=ledger.sweeps.newest(*stream.key), done=done, error=error)


def _stage(ledger: Ledger, stream: Stream) -> Stage:
    sweep = ledger.sweeps.newest(*stream.key)
    return Stage.DONE if sweep is None else sweep.stage


def _read_due(
    ledger: Ledger, stream: Stream, home_id: str, threads: int, stop: Callable[[], bool]
) -> tuple[TransientError | HaltError | None, int]:
    """Read every slice of `stream` that is due; return the first error, and how many slices were taken."""
    source_id, log_type = stream.key
    errors, read, lock = list[TransientError | HaltError](), list[int](), threading.Lock()
    holder, lease = holder_of(home_id), stream.lease

    def work() -> None:
        while not (errors or stop()):
            slice_ = ledger.pulling.take(
                holder,
                now=datetime.now(UTC),
                sources=[source_id],
                log_types=[log_type],
                lease=lease,
                sweeps_together=True,
            )
            if slice_ is None:
                return
            try:
                drained = stream.puller.drain(slice_, stop=lambda: bool(errors) or stop())
            except LostFenceError:
                continue
            finally:
                ledger.pulling.release(slice_)
            with lock:
                read.append(slice_.id)
                if drained.error is not None:
                    errors.append(drained.error)

    heap = Heap()
    with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
        left = {pool.submit(work) for _ in range(threads)}
        while left:
            ended, left = wait(left, timeout=_GIVE_BACK_EVERY)
            heap.give_back()
            for job in ended:
                job.result()
    return (errors[0] if errors else None), len(read)
