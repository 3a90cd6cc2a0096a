"""How a page asks the lake: in a slot of its user, and no longer than somebody waits for the answer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ocelog.access import User
from ocelog.app.search.queries import Stop
from ocelog.app.search.query_slots import QuerySlots

T = TypeVar("T")
_LONGEST_TAB = 64


class Asker(Protocol):
    """Whoever asks: by a page, or with a token."""

    @property
    def user(self) -> User:
        """Whose slots these are."""
        ...


class Worker:
    """A thread that takes one step after another. A query ends with the thread that began it, so it must stay."""

    def __init__(self) -> None:
        self._steps: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        # Not waited for at the end of the process.
        threading.Thread(target=self._run, name="query", daemon=True).start()

    def step(self, what: Callable[[], T]) -> "asyncio.Future[T]":
        """Have the thread do something."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._steps.put((what, done))
        return done

    def end(self) -> None:
        """End the thread after its steps."""
        self._steps.put(None)

    def _run(self) -> None:
        while (step := self._steps.get()) is not None:
            what, done = step
            found: Any = None
            error: BaseException | None = None
            try:
                found = what()
            except StopIteration:
                error = RuntimeError("a step ended an iteration")
            except Exception as raised:  # noqa: BLE001 - whoever asked is told
                error = raised
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_settle, done, found, error)


async def answered(request: Request, asker: Asker, work: Callable[[Stop], T]) -> T:
    """Return what `work` does, in a slot of whoever asks. If they go away, its query ends: raises ClientDisconnect.

    So does that of a search when a newer one is made in the same tab. Raises QueryBusyError if no slot is free, and
    what `work` raises.
    """
    stop, slots, place = Stop(), slots_of(request), _place_of(request)

    def run() -> T:
        with slots.taken(asker.user.id, stop, place=place):
            return work(stop)

    worker = Worker()
    try:
        return await _unless_gone(request, worker.step(run))
    finally:
        stop.set()
        worker.end()


class StreamedResponse(StreamingResponse):
    """An answer that is made while it is sent, and ended with the request."""

    def __init__(self, pieces: AsyncIterator[bytes], end: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(pieces, headers=headers)
        self.end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.end()


async def streamed(
    request: Request, asker: Asker, pieces: Callable[[Stop], Iterator[bytes]], headers: Mapping[str, str]
) -> StreamedResponse:
    """Return an answer of pieces, the first of which is there: what is wrong from the beginning is raised.

    A slot is held until the last; no piece is made before the one before it was taken.
    """
    stop, slots = Stop(), slots_of(request)

    def all_of_them() -> Generator[bytes, None, None]:
        with slots.taken(asker.user.id, stop):
            yield from pieces(stop)

    made, worker = all_of_them(), Worker()

    def end() -> None:
        stop.set()
        worker.step(made.close)
        worker.end()

    try:
        first = await _unless_gone(request, worker.step(lambda: next(made, None)))
    except BaseException:
        end()
        raise
    return StreamedResponse(_rest(first, made, worker), end, headers)


async def _rest(first: bytes | None, made: Iterator[bytes], worker: Worker) -> AsyncIterator[bytes]:
    piece = first
    while piece is not None:
        yield piece
        piece = await worker.step(lambda: next(made, None))


def slots_of(request: Request) -> QuerySlots:
    """Return the slots of the queries of this console."""
    found = request.app.state.query_slots
    assert isinstance(found, QuerySlots)  # noqa: S101 - put there by `site.py`
    return found


def _place_of(request: Request) -> str:
    """Return where the answer of a search goes: the tab, as its script names it, and the part of the page."""
    tab = request.headers.get("x-ocelog-tab", "")[:_LONGEST_TAB]
    return f"{tab} {request.url.path}" if tab and request.url.path.startswith("/search/") else ""


async def _unless_gone(request: Request, done: "asyncio.Future[T]") -> T:
    gone = asyncio.ensure_future(_gone(request))
    either: set[asyncio.Future[Any]] = {done, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise ClientDisconnect
        return done.result()
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _settle(done: "asyncio.Future[Any]", found: Any, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(found)
    else:
        done.set_exception(error)
        # Nobody may wait for it any more.
        done.exception()
