"""Which stream is read next: a pure decision, fair between sources and streams, whatever hangs."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Protocol, TypeAlias

StreamKey: TypeAlias = tuple[str, str]
"""Source id and log type."""

ROOM = 16
"""So many threads read at once if there are so many streams, however few the settings allow one stream."""
HANGS = 15.0
"""Seconds without an answer after which a reading takes no room from the others any more."""
TROUBLED_ROOM = 32
"""So many threads may wait for sources that hang or failed last: beyond that, only healthy ones are begun."""
MOST = 96
"""Threads in all. Sources that have begun to hang all at once may fill it for as long as their first requests last."""


class StreamThread(Protocol):
    """A thread that reads a stream, or has been promised one."""

    @property
    def stream(self) -> StreamKey:
        """What it reads."""
        ...

    @property
    def alive_at(self) -> float:
        """When it last had an answer, in seconds of the monotonic clock."""
        ...


def next_stream(
    due: Mapping[StreamKey, int],
    running: Collection[StreamThread],
    *,
    limit: int,
    now: float,
    troubled: Collection[StreamKey],
    served: Mapping[StreamKey, int],
) -> StreamKey | None:
    """Return which of the streams that are `due` a free thread reads; None: none.

    `due` says how pressing each is: 0 before 1, and below 0 what goes first of all, and is for one thread only.

    Every stream may have one thread as long as there is room. Up to `limit` threads, a stream may have more; they go to
    whoever has the fewest. Of those that have as few, the most pressing goes first, then the source with the fewest,
    then who was `served` (a count that grows) longest ago. `troubled` failed last: one request at a time shows whether
    their source is back, and they, like those that hang, take no room from the others.
    """
    own = Counter(each.stream for each in running)
    of_source = Counter(each.stream[0] for each in running)
    stuck = [each for each in running if each.stream in troubled or now - each.alive_at >= HANGS]
    stuck_streams, stuck_sources = {each.stream for each in stuck}, {each.stream[0] for each in stuck}
    quick = len(running) - len(stuck)
    if len(running) >= MOST:
        return None

    def has_room(stream: StreamKey) -> bool:
        if stream in troubled:
            return stream[0] not in stuck_sources and len(stuck) < TROUBLED_ROOM
        if own[stream]:
            return due[stream] >= 0 and stream not in stuck_streams and quick < limit
        return quick < max(limit, ROOM)

    def turn(stream: StreamKey) -> tuple[int, int, int, int]:
        return own[stream], due[stream], of_source[stream[0]], served.get(stream, 0)

    return min((stream for stream in due if has_room(stream)), key=turn, default=None)
