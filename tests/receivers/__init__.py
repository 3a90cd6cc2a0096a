"""Far ends on this machine that answer as a script says: what channels are tried against."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[socket.socket, Asked], None]
"""Writes what it likes; the connection is closed behind it."""


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer with a status, a body and headers (`retry_after` is Retry-After)."""
    head = {
        "Content-Length": str(len(body)),
        **{name.replace("_", "-").title(): each for name, each in headers.items()},
    }
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return lambda peer, _: peer.sendall("\r\n".join(lines).encode() + body)


def hangs_up(_: socket.socket, __: Asked) -> None:
    """Answer nothing."""


def breaks_off(peer: socket.socket, _: Asked) -> None:
    """Stop in the middle of the headers."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def drips(ended: threading.Event) -> Answer:
    """Return an answer whose headers go on for ten seconds: a letter now and then."""

    def answer(peer: socket.socket, _: Asked) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _letter in range(500):
            if ended.wait(0.02):
                return
            peer.sendall(b"a")

    return answer


def huge(ended: threading.Event) -> Answer:
    """Return an answer whose body never ends, as fast as it is read."""

    def answer(peer: socket.socket, _: Asked) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while not ended.is_set():
            peer.sendall(b"x" * 65_536)

    return answer


@dataclass(slots=True)
class Receiver:
    """An HTTP server that answers by its script; what it was asked is kept."""

    script: list[Answer] = field(default_factory=list)
    """Answers in their order; the last one for everything after it. Empty: 200."""
    asked: list[Asked] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError, ValueError):
            stream = peer.makefile("rb")
            while line := stream.readline(65_536):
                method, path, _ = line.decode("latin-1").split(" ", 2)
                headers = dict[str, str]()
                while (header := stream.readline(65_536)) not in {b"\r\n", b""}:
                    name, _, value = header.decode("latin-1").partition(":")
                    headers[name.strip().lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", "0")))
                asked = Asked(method=method, path=path, headers=headers, body=body)
                self.asked.append(asked)
                answer = self.script[min(len(self.asked), len(self.script)) - 1] if self.script else None
                if answer is not None:
                    answer(peer, asked)
                    return
                peer.sendall(OK)


@contextmanager
def receiver(*script: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serve on a port of this machine while the block runs."""
    far = Receiver(list(script), scheme="http" if tls is None else "https")
    listening = socket.create_server(("127.0.0.1", 0))
    far.port = listening.getsockname()[1]

    def shake_hands(peer: socket.socket) -> None:
        with suppress(OSError):
            far.serve(peer if tls is None else tls.wrap_socket(peer, server_side=True))

    def accept() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            peer.settimeout(20)
            threading.Thread(target=shake_hands, args=(peer,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield far
    finally:
        far.ended.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(10)
