"""The scripts and styles of the console, as they were bundled: read once, and sent compressed to whoever takes that."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from ocelog.console.server import Message
from ocelog.errors import HomeError

_TYPES = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8", "txt": b"text/plain"}
_ENCODINGS = ("br", "gz")
_CALLED = {"br": b"br", "gz": b"gzip"}
PREFIX = "/static/"


@dataclass(slots=True)
class Assets:
    """An ASGI application that answers with the files of `static/`, whose names change with what is in them."""

    _names: Mapping[str, str] = field(init=False)
    _bodies: Mapping[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        folder = files("ocelog.console") / "static"
        if not (folder / "files.json").is_file():
            raise HomeError(
                "The console's scripts and styles were not built: install Ocelog from its wheel, or type `make setup` "
                "in a checkout."
            )
        self._names = json.loads((folder / "files.json").read_text())
        self._bodies = {each.name: each.read_bytes() for each in folder.iterdir()}

    def path(self, name: str) -> str:
        """Return where the file is that is called `name` in the sources, such as `console.css`."""
        return f"{PREFIX}{self._names[name]}"

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],  # noqa: ARG002 - no request has a body that matters
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request. What is asked for by a name is looked up, never opened."""
        name = str(scope["path"]).removeprefix(PREFIX)
        kind = _TYPES.get(name.rpartition(".")[2])
        body = self._bodies.get(name)
        if kind is None or body is None or scope["method"] not in {"GET", "HEAD"}:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        headers = [
            (b"content-type", kind),
            (b"cache-control", b"public, max-age=31536000, immutable"),
            (b"vary", b"accept-encoding"),
            (b"x-content-type-options", b"nosniff"),
        ]
        taken = {value for key, value in scope["headers"] if key == b"accept-encoding"}
        for suffix in _ENCODINGS:
            if f"{name}.{suffix}" in self._bodies and any(_CALLED[suffix] in value for value in taken):
                body = self._bodies[f"{name}.{suffix}"]
                headers.append((b"content-encoding", _CALLED[suffix]))
                break
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
