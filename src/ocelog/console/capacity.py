"""How much is done at once: what waits for a far end or costs a lot must not take the threads of all other pages."""

import asyncio
import contextvars
import functools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, cast

from ocelog.console.asking import Asker

P = ParamSpec("P")
T = TypeVar("T")


class BusyError(Exception):
    """So much of this is going on that no more is taken for now."""


@dataclass(slots=True, kw_only=True)
class Room:
    """Runs functions in threads of its own: so many at once, some more wait, and what comes then is refused."""

    at_once: int
    waiting: int
    most_of_one: int | None = None
    """Of so many, running or waiting, one user may be the cause."""
    _inside: int = 0
    _of: Counter[str] = field(default_factory=Counter)
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.at_once)

    async def run(self, do: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
        """Return what `do` returns. Raises BusyError, and what it raises."""
        return await self.run_for("", do, *args, **named)

    async def run_for(self, user: str, do: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
        """Return what `do` returns, which this user wants. Raises BusyError, and what it raises."""
        if self._inside >= self.at_once + self.waiting:
            raise BusyError
        if user and self.most_of_one is not None and self._of[user] >= self.most_of_one:
            raise BusyError
        self._inside += 1
        self._of[user] += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._left(user)
            raise
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            # Whoever waited may be gone; the thread was busy until now all the same.
            self._free.release()
            self._left(user)
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(functools.partial(do, *args, **named))
            except Exception as raised:  # noqa: BLE001 - whoever asked is told
                error = raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, error)

        # Not of a pool, which waits for its threads when the process ends.
        threading.Thread(target=work, name="slow page", daemon=True).start()
        return await done

    def _left(self, user: str) -> None:
        self._inside -= 1
        self._of[user] -= 1
        if not self._of[user]:
            del self._of[user]


SIGNING_IN = Room(at_once=3, waiting=9)
"""Each takes a tenth of a second and 64 MiB."""
PROVIDER = Room(at_once=4, waiting=12)
"""What asks the identity provider, whoever comes: each waits for several answers, for seconds if there are none."""
SLOW = Room(at_once=8, waiting=8, most_of_one=4)
"""What asks a source or a channel, which may take half a minute, runs the tests of a rule, or waits for its files."""


def slowly(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Run a handler of a route, which has a `visitor` or a `caller`, among those that may take long."""
    return _in(SLOW, handler)


def hashing(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Run a handler of a route, which has a `visitor`, among those that make a hash of a password."""
    return _in(SIGNING_IN, handler)


def _in(room: Room, handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    @functools.wraps(handler)
    async def run(*args: P.args, **named: P.kwargs) -> T:
        asker = cast("Asker", named.get("visitor") or named["caller"])
        return await room.run_for(asker.user.id, handler, *args, **named)

    return run
