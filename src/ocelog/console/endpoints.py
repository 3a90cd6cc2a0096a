"""What is answered to which request: `/healthz` whether the service works, `/metrics` how everything is."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog
from msgspec import Struct

from ocelog.app.metrics import render
from ocelog.app.status.overview import Overview, overview
from ocelog.console.front import Front
from ocelog.console.server import Message
from ocelog.errors import OcelogError
from ocelog.installation.opening import Installation
from ocelog.model import HANGING

HANGS_AFTER = 60.0
"""Seconds without a turn of the loops after which a service does not work."""
_KEPT = 5.0
"""Seconds for which one look at everything answers all requests."""
_SHARE = 10
"""It is kept for so many times as long as it took, if that is more: with hundreds of streams it takes seconds."""
_SHOWN = 60.0
"""Seconds for which a page shows it if a newer one takes too long, or twice as long as it is kept: what is older than
that would say that all is well while the ledger or the disk hangs."""
_LOOK_WITHIN = 15.0
"""Seconds that a look may take before a request is answered without it."""
_ALLOWED = timedelta(hours=1)
"""How old data may be, as `ocelog status` has it by default."""
log = structlog.get_logger()
T = TypeVar("T")
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


class Answer(Struct, frozen=True, kw_only=True):
    """One answer to a request."""

    status: int
    body: bytes
    content_type: str = _TEXT
    more: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Looks(Generic[T]):
    """Looks for whoever asks: one at a time, in a thread of its own, and not again for some seconds."""

    look: Callable[[], T]
    monotonic: Callable[[], float] = time.monotonic
    _kept: T | None = None
    _kept_until: float = 0.0
    _shown_until: float = 0.0
    _pending: "Future[T] | None" = None
    _taking: "asyncio.Task[T] | None" = None

    async def latest(self) -> T | None:
        """Return the newest look, however old, and have a newer one taken meanwhile; None: there is none yet."""
        if self.monotonic() >= self._kept_until and (self._pending is None or self._pending.done()):
            taking = asyncio.create_task(self.take())
            # It is told of by whoever waits for it.
            taking.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._taking = taking
        return self._kept

    def forget(self, seen: T | None = None) -> None:
        """Have the next look taken anew: something was changed that the one before did not see.

        Whoever noticed it in a look gives that as `seen`: then nothing is done if a newer one is there or on its way.
        Else each of many who see the same would begin another look, and have the one before thrown away.
        """
        if seen is not None and (self._kept is not seen or (self._pending is not None and not self._pending.done())):
            return
        # What is looked at just now may have been read before the change.
        self._kept_until, self._pending = 0.0, None

    async def take(self) -> T:
        """Return a look that is at most seconds old. Raises TimeoutError, and what looking raises."""
        began = self.monotonic()
        if self._kept is not None and began < self._kept_until:
            return self._kept
        pending = self._pending
        if pending is None or pending.done():
            pending = self._pending = Future()
            # From now on nobody who stops waiting for it cancels it for the others.
            pending.set_running_or_notify_cancel()
            # Not of a pool, which waits for its threads in the end: this one may hang on a disk.
            threading.Thread(target=self._run, args=(pending, began), name="look", daemon=True).start()
        return await asyncio.wait_for(asyncio.wrap_future(pending), _LOOK_WITHIN)

    async def shown(self) -> T:
        """Return what `take` does; if that takes too long, the look before, for a while. Raises what `take` does."""
        try:
            return await self.take()
        except TimeoutError:
            if self._kept is None or self.monotonic() > self._shown_until:
                raise
            return self._kept

    def _run(self, pending: "Future[T]", began: float) -> None:
        try:
            found = self.look()
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            pending.set_exception(error)
            return
        now = self.monotonic()
        if self._pending is pending:
            # Whoever asked for it may be gone: the next one is spared the wait.
            kept = max(_KEPT, _SHARE * (now - began))
            self._kept, self._kept_until, self._shown_until = found, now + kept, now + max(_SHOWN, 2 * kept)
        pending.set_result(found)


@dataclass(slots=True)
class _WrittenLook(Generic[T]):
    """What is written of the newest look: once for all who ask, since of thousands of streams that takes seconds."""

    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _of: Overview | None = None
    _written: T | None = None

    async def of(self, found: Overview, write: Callable[[Overview], T]) -> T:
        """Return what `write` makes of a look, in a thread: others would wait for it."""
        async with self._lock:
            if self._written is None or self._of is not found:
                pending = Future[T]()
                pending.set_running_or_notify_cancel()
                # As for a look: whoever ends the process does not wait for it.
                threading.Thread(
                    target=self._run, args=(found, write, pending), name="written look", daemon=True
                ).start()
                self._written, self._of = await asyncio.wrap_future(pending), found
            return self._written

    def _run(self, found: Overview, write: Callable[[Overview], T], pending: "Future[T]") -> None:
        try:
            pending.set_result(write(found))
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            pending.set_exception(error)


@dataclass(slots=True, kw_only=True)
class Endpoints:
    """An ASGI application over an open installation whose loops run in this process."""

    looks: Looks[Overview]
    turned_at: Callable[[], float]
    """When the loops took a turn last, in seconds of the monotonic clock."""
    front: Front
    monotonic: Callable[[], float] = time.monotonic
    _routes: Mapping[str, Callable[[], Awaitable[Answer]]] = field(init=False)
    _samples: _WrittenLook[tuple[bytes, str]] = field(default_factory=_WrittenLook)
    _streams: _WrittenLook[Answer] = field(default_factory=_WrittenLook)

    def __post_init__(self) -> None:
        self._routes = {"/healthz": self._healthz, "/metrics": self._metrics}

    def answers(self, scope: Message) -> bool:
        """Whether the request is for one of them; one that is not for this console is refused here, too."""
        return scope["path"] in self._routes or self.front.refuses(scope) is not None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],  # noqa: ARG002 - no request has a body that matters
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope)
        except Exception:
            # A bug must be told, and cost one answer.
            log.exception("bug in Ocelog", path=scope["path"])
            answer = Answer(status=500, body=b"A bug in Ocelog; its log says more.\n")
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *answer.more,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Message) -> Answer:
        if (refusal := self.front.refuses(scope)) is not None:
            # A proxy may disagree about where its body ends: what comes behind it is not read as another request.
            return Answer(status=403, body=f"{refusal}\n".encode(), more=((b"connection", b"close"),))
        route = self._routes.get(scope["path"])
        if route is None:
            return Answer(status=404, body=b"There are /healthz and /metrics.\n")
        if scope["method"] not in {"GET", "HEAD"}:
            return Answer(status=405, body=b"Only GET and HEAD.\n", more=((b"allow", b"GET, HEAD"),))
        return await route()

    async def _healthz(self) -> Answer:
        """Say whether the service works: a state of a source, which a restart does not change, is told and no fault."""
        idle = self.monotonic() - self.turned_at()
        if idle > HANGS_AFTER:
            return _json(503, {"status": "hangs", "seconds_without_a_turn": int(idle)})
        try:
            found = await self.looks.take()
        except TimeoutError:
            return _json(503, {"status": "the ledger or the disk does not answer"})
        except OcelogError as error:
            return _json(503, {"status": "failing", "error_code": error.code})
        if hanging := sorted(each.loop for each in found.loop_faults if each.during == HANGING):
            return _json(503, {"status": "hangs", "loops": hanging})
        return await self._streams.of(found, _works)

    async def _metrics(self) -> Answer:
        try:
            body, content_type = await self._samples.of(await self.looks.take(), render)
        except TimeoutError:
            return Answer(status=503, body=b"The ledger or the disk does not answer.\n")
        except OcelogError as error:
            return Answer(status=503, body=f"{error.code}\n".encode())
        return Answer(status=200, body=body, content_type=content_type)


def endpoints(installation: Installation, *, turned_at: Callable[[], float], front: Front) -> Endpoints:
    """Return what answers requests about `installation`, whose loops last took a turn at `turned_at`."""

    def look() -> Overview:
        return overview(installation, allowed=_ALLOWED, now=datetime.now(UTC))

    return Endpoints(looks=Looks(look), turned_at=turned_at, front=front)


def _works(found: Overview) -> Answer:
    streams = [
        {
            "source": each.source,
            "log_type": each.log_type,
            "health": each.health.state.value,
            "no_events_alarm": each.health.alarm.value,
            "needs_attention": each.needs_attention,
            "lag_seconds": None if each.lag is None else int(each.lag.total_seconds()),
        }
        for each in found.streams
    ]
    return _json(200, {"status": "ok", "well": found.well, "streams": streams})


def _json(status: int, value: Any) -> Answer:
    return Answer(status=status, body=json.dumps(value, ensure_ascii=False).encode() + b"\n", content_type=_JSON)
