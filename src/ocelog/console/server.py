"""Serves HTTP in a thread of its own, so that no client can use up memory, threads or time that the loops need.

The only file that knows uvicorn from inside: its class for connections has no limit on how long a request may take to
come, so ours adds one. `pyproject.toml` caps the version for that.
"""

import asyncio
import functools
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from ocelog.console.tls import Tls
from ocelog.network import network_of

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI application."""

REQUEST_WITHIN = 10.0
"""Seconds within which a whole request must have come since its connection began, or the answer before it ended."""
ANSWER_WITHIN = 120.0
"""Seconds within which an answer must begin; one that goes on must end within LONGEST_ANSWER."""
TAKEN_WITHIN = 15.0
"""Seconds within which the client must have taken what was sent, once some 64 KB wait for it."""
LONGEST_ANSWER = 3_600.0
"""Seconds: a large export to a slow client."""
MOST_CONNECTIONS = 256
"""At once; another is closed at its beginning."""
MOST_OF_ADDRESS = 64
"""Of them, from one address, or one network in IPv6, that is no proxy of ours; a browser opens six."""
_LONGEST_HEAD = 16_384
"""Bytes of the head of a request."""
_GRACEFUL = 1
"""Seconds for which what has begun is answered when the server stops."""
_STOPPING = PlainTextResponse(
    "Ocelog is stopping: try again once it runs.\n", 503, {"retry-after": "5", "connection": "close"}
)
_STOPPING_CHANGE = PlainTextResponse(
    "Ocelog is stopping, and this may have been done: see whether it was before you send it again.\n",
    503,
    {"connection": "close"},
)
"""To what may change something: its thread may have done so by then, and programs repeat what they may repeat."""
STOP_WITHIN = 2.0
"""Seconds: with what the loops may take, a service ends within five. What hangs longer is left behind."""


class BoundedConnection(H11Protocol):
    """A connection that is closed if its client is too slow, or one of too many."""

    network = ""
    """Whose connection it is: one client has all addresses of a network in IPv6."""
    _timer: asyncio.TimerHandle | None = None
    _answering_since = 0.0
    _waits_for_client = False

    def __init__(self, *, trusts: Callable[[str], bool] = lambda _: False, **given: Any) -> None:
        super().__init__(**given)
        self.trusts = trusts

    def count_of(self, network: str) -> int:
        """Return how many connections a network has."""
        return sum(getattr(each, "network", "") == network for each in self.connections)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base has it
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self.network = network_of(host)
        of_one = self.count_of(self.network) > MOST_OF_ADDRESS and not self.trusts(host)
        if of_one or len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._allow(REQUEST_WITHIN)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; what comes drop by drop does not prolong its time."""
        was_waiting = self._waits_for_request()
        super().data_received(data)
        if was_waiting:
            self._note_request()

    def pause_writing(self) -> None:
        """Wait for the client, which does not take what was sent, for so long only."""
        super().pause_writing()
        self._waits_for_client = True
        self._allow(TAKEN_WITHIN)

    def resume_writing(self) -> None:
        """Go on: the client took what was sent."""
        super().resume_writing()
        self._waits_for_client = False
        self._allow(ANSWER_WITHIN if self._is_answering() else REQUEST_WITHIN)

    def on_response_complete(self) -> None:
        """Give the client time for its next request, or to take what was sent."""
        self._allow(REQUEST_WITHIN)
        super().on_response_complete()
        # It may have been sent before the client had this answer.
        self._note_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        # Last: the base resumes whoever waits to write.
        if self._timer is not None:
            self._timer.cancel()

    def _note_request(self) -> None:
        """Give us time for the answer, if a whole request is here."""
        if not self._waits_for_request():
            self._answering_since = self.loop.time()
            self._allow(ANSWER_WITHIN)

    def _waits_for_request(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _is_answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _allow(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        """Close the connection, unless it is us who take long with the next piece of an answer."""
        taken = self.loop.time() - self._answering_since
        if self._is_answering() and not self._waits_for_client and taken < LONGEST_ANSWER:
            self._allow(ANSWER_WITHIN)
        else:
            self.transport.abort()


class TlsGate(asyncio.Protocol):
    """A connection until TLS stands: it counts, too, and has no more time than a request."""

    def __init__(
        self, *, tls: Tls, waiting: "dict[TlsGate, str]", inner: Callable[..., BoundedConnection], **given: Any
    ) -> None:
        self._tls, self._waiting = tls, waiting
        self._inner = inner(**given)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin TLS, unless there are too many connections."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a socket that streams
        host = str((transport.get_extra_info("peername") or ("",))[0])
        network = network_of(host)
        of_address = sum(each == network for each in self._waiting.values()) + self._inner.count_of(network)
        in_all = len(self._waiting) + len(self._inner.connections)
        if in_all >= MOST_CONNECTIONS or (of_address >= MOST_OF_ADDRESS and not self._inner.trusts(host)):
            transport.abort()
            return
        transport.pause_reading()
        self._waiting[self] = network
        self._task = self._inner.loop.create_task(self._open(transport))

    async def _open(self, transport: asyncio.Transport) -> None:
        early = _EarlyBytes()
        try:
            secure = await self._inner.loop.start_tls(
                transport, early, self._tls.context(), server_side=True, ssl_handshake_timeout=REQUEST_WITHIN
            )
        except (OSError, ssl.SSLError):
            # Scanners, and browsers that do not know the certificate: nothing that anybody here could do.
            transport.abort()
            return
        finally:
            del self._waiting[self]
        if secure is None or early.lost:
            transport.abort()
            return
        secure.set_protocol(self._inner)
        self._inner.connection_made(secure)
        if early.data and not secure.is_closing():
            self._inner.data_received(bytes(early.data))


class _EarlyBytes(asyncio.Protocol):
    """Keeps what comes with the last words of the handshake."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as protocols have it
        self.lost = True


class _StoppableServer(uvicorn.Server):
    """Ends by itself, too, within a tenth of a second, once `stopping` says so."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], bool]) -> None:
        super().__init__(config)
        self.stopping = stopping

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.stopping()


@dataclass(slots=True)
class Server:
    """Serves `app` on a socket that listens, from `start` to `stop`."""

    app: App
    listening: socket.socket
    tls: Tls | None = None
    trusts: Callable[[str], bool] = lambda _: False
    """Whether a proxy of ours, through which many come, has an address."""
    stopping: Callable[[], bool] = lambda: False
    """Whether the process was asked to end: the server begins to at once, beside whatever else has to."""
    _server: uvicorn.Server = field(init=False)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        connection: Any = functools.partial(BoundedConnection, trusts=self.trusts)
        if self.tls is not None:
            connection = functools.partial(TlsGate, tls=self.tls, waiting={}, inner=connection)
        config = uvicorn.Config(
            self._answer,
            http=connection,
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACEFUL,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
        )
        self._server = _StoppableServer(config, self.stopping)
        # Not waited for at the end of the process, whatever hangs in it.
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that was taken."""
        return int(self.listening.getsockname()[1])

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, and end within STOP_WITHIN."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN)
        self.listening.close()

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; one that is given up since the server ends is told so."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:
            if has_begun:
                raise
            answer = _STOPPING if scope["method"] in ("GET", "HEAD") else _STOPPING_CHANGE
            await answer(dict(scope), receive, send)

    def _serve(self) -> None:
        self._server.run(sockets=[self.listening])
