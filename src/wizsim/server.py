"""How the simulator is served: on a thread of a test's process, or as the whole of its own."""

import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import uvicorn

from wizsim.accounts import Accounts
from wizsim.api import Api
from wizsim.app import build_app
from wizsim.behaviour import Behaviour
from wizsim.faults import Faults
from wizsim.limits import Limiter
from wizsim.world import World


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a socket that listens there. Raises OSError or, where `host` is no name at all, ValueError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=128)
    # Connections inherit it. asyncio sets it only where the socket names its protocol, and these do not: a body that
    # follows its headers would wait 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server:
    """Serves `world` on loopback. Use as a context manager (a thread of its own), or call `serve`."""

    def __init__(
        self,
        world: World | None = None,
        *,
        behaviour: Behaviour | None = None,
        accounts: Accounts | None = None,
        faults: Faults | None = None,
        limiter: Limiter | None = None,
        latency: float = 0.0,
        listener: socket.socket | None = None,
        admin_token: str | None = None,
    ) -> None:
        self.api = Api(world or World(), behaviour=behaviour, accounts=accounts, faults=faults, limiter=limiter)
        self.world, self.faults, self.accounts = self.api.world, self.api.faults, self.api.accounts
        self.admin_token = admin_token or secrets.token_urlsafe(24)
        self._socket = listener or listen()
        host, port = self._socket.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.token_url = f"{address}/oauth/token"
        self.api_url = f"{address}/graphql"
        self.admin_url = f"{address}/admin"
        first = self.accounts.all()[0]
        self.client_id, self.client_secret = first.client_id, first.client_secret
        app = build_app(self.api, admin_token=self.admin_token, latency=latency)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve, name="wizsim", daemon=True)

    def serve(self) -> None:
        """Serve until told to stop."""
        self._server.run(sockets=[self._socket])

    def serve_until_signalled(self, announce: Callable[[], None], *, until_stdin_closes: bool = False) -> None:
        """Serve until SIGINT or SIGTERM, then write out the truth log. To be called on the main thread.

        `announce` is called once both the address and the signals are heard. With `until_stdin_closes`, it also ends
        once nobody holds the other end of standard input: however whoever started it has ended.
        """
        told = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: told.set())
        if until_stdin_closes:

            def wait_for_end() -> None:
                with suppress(OSError):
                    while os.read(0, 4096):
                        pass
                told.set()

            threading.Thread(target=wait_for_end, name="stdin", daemon=True).start()
        with self:
            announce()
            told.wait()

    def stop(self) -> None:
        """Stop serving, and close the socket."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._socket.close()
        self.world.truth.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
