"""Who gets the demo's alerts by webhook: a receiver on this machine that verifies each signature."""

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ocelog.secrets.secret import Secret

_FRESH = 300
"""Seconds for which a signature holds: an older one may be a replay."""
_LARGEST = 1 << 20


@dataclass(slots=True)
class Receiver:
    """What came, once each."""

    url: Secret = field(default_factory=lambda: Secret(""))
    key: Secret = field(default_factory=lambda: Secret(secrets.token_hex(32)))
    messages: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    """How many had a signature that does not hold."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, signature: str, body: bytes) -> int:
        """Take a message, and return the status to answer with."""
        with self._lock:
            if not is_signed(self.key, signature, body):
                self.refused += 1
                return 401
            message = json.loads(body)
            if message["key"] not in {each["key"] for each in self.messages}:
                self.messages.append(message)
            return 204


def is_signed(key: Secret, signature: str, body: bytes) -> bool:
    """Tell whether `body` was signed with `key`, a moment ago. docs/how-to/receive-webhooks.md explains it."""
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    signed = hmac.new(key.reveal().encode(), parts.get("t", "").encode() + b"." + body, hashlib.sha256).hexdigest()
    fresh = parts.get("t", "").isdecimal() and abs(time.time() - int(parts["t"])) < _FRESH
    return fresh and hmac.compare_digest(parts.get("v1", "").encode(), signed.encode())


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receive on a free port of this machine within the block."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            within = length.isdecimal() and int(length) <= _LARGEST
            body = self.rfile.read(int(length)) if within else b""
            self.send_response(found.take(self.headers.get("Ocelog-Signature", ""), body) if within else 413)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = Secret(f"http://127.0.0.1:{server.server_port}/alerts")
    thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
