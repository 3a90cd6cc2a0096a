"""Who is read next: fair between streams and sources, and nobody waits for one that hangs."""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

from ocelog.workers.fair import HANGS, MOST, ROOM, TROUBLED_ROOM, StreamKey, next_stream

LIVE, BACKFILL = 0, 2
A, B, C = ("a", "audit"), ("a", "issues"), ("b", "audit")


def running(*streams: StreamKey, silent: float = 0) -> list[Any]:
    return [SimpleNamespace(stream=stream, alive_at=100 - silent) for stream in streams]


def chosen(
    due: Mapping[StreamKey, int],
    threads: Collection[Any] = (),
    *,
    limit: int = 4,
    troubled: Collection[StreamKey] = (),
    served: Mapping[StreamKey, int] | None = None,
) -> StreamKey | None:
    return next_stream(due, threads, limit=limit, now=100, troubled=troubled, served=served or {})


def many(count: int, prefix: str = "s") -> list[StreamKey]:
    return [(f"{prefix}{n}", "audit") for n in range(count)]


def test_the_most_pressing_goes_first_among_those_that_nobody_reads() -> None:
    assert chosen({A: BACKFILL, B: LIVE}) == B
    assert chosen({A: BACKFILL, B: LIVE}, running(B)) == A


def test_what_the_limit_leaves_goes_to_whoever_has_the_fewest() -> None:
    assert chosen({A: LIVE, C: BACKFILL}, running(A, A, C)) == C
    assert chosen({A: LIVE, C: BACKFILL}, running(A, A, C, C)) is None
    assert chosen({A: LIVE}, running(A), limit=1) is None


def test_every_stream_may_have_one_slice_read_however_slow_others_are() -> None:
    assert chosen({A: BACKFILL, C: BACKFILL}, running(A, A, A, A)) == C


def test_a_source_with_fewer_threads_goes_before_one_with_more() -> None:
    assert chosen({B: LIVE, C: LIVE}, running(A)) == C


def test_who_was_served_longest_ago_goes_first() -> None:
    assert chosen({A: LIVE, C: LIVE}, served={A: 7, C: 3}) == C
    assert chosen({A: LIVE, C: LIVE}, served={A: 7}) == C


def test_the_pool_is_bounded() -> None:
    busy = running(*many(ROOM))
    assert chosen({A: LIVE}, busy) is None
    assert chosen({A: LIVE}, busy[1:]) == A
    assert chosen({A: LIVE}, running(*many(ROOM + 3)), limit=ROOM + 4) == A


def test_threads_that_hang_take_no_room_from_the_others() -> None:
    hanging = running(*many(ROOM), silent=HANGS)
    assert chosen({A: LIVE}, hanging) == A
    assert chosen({A: BACKFILL}, running(A, silent=HANGS)) is None, "a stream that hangs gets no second thread"
    assert chosen({A: LIVE}, running(*many(MOST), silent=HANGS)) is None


def test_a_source_that_failed_is_tried_by_one_thread_at_a_time() -> None:
    assert chosen({A: LIVE}, troubled=[A, B]) == A
    assert chosen({A: LIVE}, running(B), troubled=[A, B]) is None
    assert chosen({A: LIVE, C: BACKFILL}, running(B), troubled=[A, B]) == C


def test_many_sources_that_failed_leave_room_for_those_that_did_not() -> None:
    failed = many(TROUBLED_ROOM + 1)
    due: dict[StreamKey, int] = {failed[-1]: LIVE, A: BACKFILL}
    assert chosen(due, running(*failed[:-1]), troubled=failed) == A
    assert chosen({failed[-1]: LIVE}, running(*failed[:-1]), troubled=failed) is None


def test_what_goes_first_of_all_is_for_one_thread() -> None:
    assert chosen({A: -1, B: LIVE}) == A
    assert chosen({A: -1}, running(A)) is None
