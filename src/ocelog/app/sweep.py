"""One sweep of a stream from start to end, for whoever asks for it by hand."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ocelog.app.sweep_stages import advance
from ocelog.dispatch.heap import Heap
from ocelog.errors import HaltError, LostFenceError, OcelogError, OperatorError, TransientError
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows.slices import holder_of
from ocelog.pull.planner import plan_sweep
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage, Sweep

_GIVE_BACK_EVERY = 0.5
"""Seconds between two times that freed memory is given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How a sweep by hand ended."""

    sweep: Sweep | None
    done: bool
    """It came to its end; otherwise the service, or the next `ocelog sweep`, goes on with it."""
    error: OcelogError | None = None


def want_sweep(ledger: Ledger, stream: Stream) -> int:
    """Have a running service sweep `stream` at its next poll; return the number that this sweep will have at least."""
    marks = ledger.pulling.marks(*stream.key)
    counted = marks.sweep_round or int(marks.swept_at is not None)
    ledger.pulling.plan(marks, replace(marks, swept_at=None, sweep_round=counted), [])
    return counted + 1


def run_sweep(ledger: Ledger, stream: Stream, *, home_id: str, threads: int, stop: Callable[[], bool]) -> Swept:
    """Sweep `stream` now, at its whole rate, and return how it went; a sweep that is under way is brought to its end.

    `home_id` is the home that this process holds. Raises OperatorError for a stream that was never pulled; what goes
    wrong later is in the result.
    """
    marks = ledger.pulling.marks(*stream.key)
    if marks.edge is None:
        raise OperatorError(f"{stream.row.name} {stream.kind.log_type} was never pulled. Run: ocelog pull")
    stream.source.hurry()
    stream.source.prime()
    # One that is read already, by a pull for example, may only have to be ended.
    if advance(ledger, stream):
        counted = replace(marks, sweep_round=marks.sweep_round or int(marks.swept_at is not None))
        plan = plan_sweep(counted, stream.kind, stream.source.now())
        ledger.pulling.plan(marks, plan.after, plan.slices)
    done, error, now_at = False, None, Stage.READING
    while not (done or error or stop()):
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
