"""Serves HTTP in a thread of its own, so that no client can use up memory, threads or time that the loops need.

The only file that knows uvicorn from inside: its class for connections has no limit on how long a request may take to
come, so ours adds one. `pyproject.toml` caps the version for that.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
"""An ASGI application."""

REQUEST_WITHIN = 10.0
"""Seconds within which a whole request must have come since its connection began, or the answer before it ended."""
ANSWER_WITHIN = 60.0
"""Seconds within which it must be answered, and the client have taken the answer."""
EXPORT_WITHIN = 600.0
"""The same, for a file that is made while it is sent: by then the query of one is over."""
EXPORTS = ("/search/export", "/search/sql/export")
"""Where such files are."""
MOST_CONNECTIONS = 64
"""At once; another is closed at its beginning."""
_MOST_BUSY = 32
"""If there are more of them, requests are answered 503."""
_LONGEST_HEAD = 16_384
"""Bytes of the head of a request."""
_STOP_WITHIN = 5.0


class BoundedConnection(H11Protocol):
    """A connection that is closed if its client is too slow, or one of too many."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base has it
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._allow(REQUEST_WITHIN)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; what comes drop by drop does not prolong its time."""
        was_waiting = self._waits_for_request()
        super().data_received(data)
        if was_waiting and not self._waits_for_request():
            self._allow(EXPORT_WITHIN if self.scope["path"] in EXPORTS else ANSWER_WITHIN)

    def on_response_complete(self) -> None:
        """Give the client time for its next request, or to take what was sent."""
        self._allow(REQUEST_WITHIN)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _waits_for_request(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _allow(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)


@dataclass(slots=True)
class Server:
    """Serves `app` on a socket that listens, from `start` to `stop`."""

    app: App
    listening: socket.socket
    _server: uvicorn.Server = field(init=False)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        config = uvicorn.Config(
            self.app,
            http=BoundedConnection,
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_BUSY,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
        )
        self._server = uvicorn.Server(config)
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
        """Take no more requests, and end within seconds."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_WITHIN)
        self.listening.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self.listening])
