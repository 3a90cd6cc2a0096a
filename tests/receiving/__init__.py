"""A far end of a channel on this machine: it takes what is posted, or does what a test wants instead."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Posted:
    """A request that came."""

    path: str
    key: str
    body: dict[str, Any]
    status: int
    """That it was answered with."""


@dataclass(slots=True)
class FarEnd:
    """What came, and how the next requests are answered."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    status: int = 200
    answers: bool = True
    """Whether it answers at all, or lets who asks wait."""
    came: threading.Condition = field(default_factory=threading.Condition)
    _over: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int, within: float = 60) -> list[Posted]:
        """Return what came, once so much has."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.posted) >= count, within), self.posted
            return list(self.posted)

    def let_go(self) -> None:
        """Answer whoever waits."""
        self._over.set()

    def take(self, path: str, key: str, body: dict[str, Any]) -> int:
        """Note a request, and return the status to answer with."""
        with self.came:
            status, answers = self.status, self.answers
            self.posted.append(Posted(path, key, body, status if answers else 0))
            self.came.notify_all()
        if not answers:
            self._over.wait(30)
        return status


@contextmanager
def far_end() -> Iterator[FarEnd]:
    """Serve within the block."""
    found = FarEnd()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = found.take(self.path, self.headers.get("Idempotency-Key", ""), json.loads(content or b"{}"))
            try:
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
            except OSError:
                # Whoever asked is gone.
                return

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.let_go()
        server.shutdown()
        server.server_close()
