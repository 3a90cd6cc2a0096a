"""The console as one ASGI application: its routes, what every answer carries, and what becomes of errors."""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import structlog
from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocelog.app.search.activity import activity
from ocelog.app.search.query_slots import QuerySlots
from ocelog.app.users.oidc import provider_of
from ocelog.console.api import application as api
from ocelog.console.api import problems
from ocelog.console.assets import PREFIX, Assets
from ocelog.console.background import Background
from ocelog.console.capacity import BusyError
from ocelog.console.deeds import TrailMiddleware
from ocelog.console.endpoints import Endpoints, Looks
from ocelog.console.invitation import Invitation
from ocelog.console.pages import (
    account,
    alerts,
    channels,
    new_source,
    rules,
    schemas,
    search,
    search_sql,
    sign_in,
    source,
    source_rows,
    sources,
    trail,
    users,
)
from ocelog.console.rendering import page
from ocelog.console.roles import NotAllowedError
from ocelog.console.visitor import (
    ForeignPageError,
    NotSignedInError,
    Visitor,
    cookie_of,
    from_here,
    sign_in_path,
    signed_in,
)
from ocelog.console.wording import summary
from ocelog.errors import (
    HaltError,
    HomeError,
    LakeDamagedError,
    OcelogError,
    SandboxError,
    SignInRefusedError,
    TransientError,
)
from ocelog.installation.opening import Installation
from ocelog.network import network_of

log = structlog.get_logger()
ROUTERS = (
    sign_in.anonymous,
    sign_in.router,
    sources.router,
    new_source.router,
    source.router,
    source_rows.router,
    search.router,
    search_sql.router,
    alerts.router,
    rules.router,
    schemas.router,
    channels.router,
    users.router,
    trail.router,
    account.router,
)
"""Every page and what can be done there."""
_LARGEST_BODY = 1_048_576
"""Bytes of a request."""
_LARGEST_OPEN_BODY = 16_384
"""Bytes of a request to a route for whoever comes."""
_MOST_INCOMING, _SMALL_BODY = 32 * 1_048_576, 65_536
"""Bytes of all requests that are on their way: above that those that are larger than small are refused for now."""
_MOST_OF_CLIENT = 8 * 1_048_576
"""Bytes of those of one client, who may be anybody: what others send must find room."""
_MOST_FIELDS = 2_000
"""Of a form: reading each takes a while, in which nobody else is answered."""
_MOST_BUSY = 64
"""Requests that are answered at once, once they are here; others are refused for now."""
_THREADS = 16
"""In which they are made: more would take the interpreter from the loops."""
_TOO_BUSY = PlainTextResponse("Too much is going on: try again in some seconds.\n", 503, {"retry-after": "3"})
_OURS = (TransientError, HaltError, HomeError, LakeDamagedError, SandboxError)
"""Errors that say nothing of what was asked for."""
_LEAST_COMPRESSED, _COMPRESSED = 1_000, 4
"""Bytes of an answer that is compressed, and how hard: more costs twice the time for some hundred bytes."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]


@dataclass(slots=True, kw_only=True)
class Site:
    """Answers every request: `/healthz` and `/metrics` first, which must work when nothing else does."""

    endpoints: Endpoints
    assets: Assets
    pages: ASGIApp
    api: ASGIApp
    first_token: str
    """Whoever knows it may make the first user."""
    _making: int = 0
    _incoming: Counter[str] = field(default_factory=Counter)
    """Bytes of bodies of which the rest is not here yet, by the network that they come from."""

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if self.endpoints.answers(scope):
            await self.endpoints(scope, receive, send)
        elif path.startswith(PREFIX):
            await self.assets(scope, receive, send)
        else:
            # Who sends a body drop by drop takes no place from those whose requests are here.
            whole, is_api = await self._received(scope, receive), path.startswith(api.PREFIX)
            if whole is None or self._making >= _MOST_BUSY:
                refusal = problems.busy() if is_api else _TOO_BUSY
                await refusal(scope, whole or receive, send)
                return
            current_default_thread_limiter().total_tokens = _THREADS
            self._making += 1
            try:
                asked = self.api if is_api else self.pages
                await asked(self.endpoints.front.seen(scope), whole, send)
            finally:
                self._making -= 1

    async def _received(self, scope: Scope, receive: Receive) -> Receive | None:
        """Return what gives the request once it is here, or as much of it as is refused for its size.

        None: it is not small, and too much is on its way.
        """
        body, most = bytearray(), _largest_body(scope)
        host, _ = self.endpoints.front.seen(scope).get("client") or ("", 0)
        client, incoming = network_of(host), self._incoming
        try:
            while (message := await receive())["type"] == "http.request":
                piece = message.get("body", b"")
                body += piece
                incoming[client] += len(piece)
                is_crowded = incoming[client] > _MOST_OF_CLIENT or incoming.total() > _MOST_INCOMING
                if is_crowded and len(body) > _SMALL_BODY:
                    return None
                if not message.get("more_body", False) or len(body) > most:
                    message = {**message, "body": bytes(body)}
                    break
        finally:
            incoming[client] -= len(body)
            if not incoming[client]:
                del incoming[client]
        first: list[Message] = [message]

        async def whole() -> Message:
            return first.pop() if first else await receive()

        return whole


_OPEN_PATHS = {each.path for each in sign_in.anonymous.routes if isinstance(each, APIRoute)}


def _largest_body(scope: Scope) -> int:
    return _LARGEST_OPEN_BODY if scope["path"] in _OPEN_PATHS else _LARGEST_BODY


def _is_form(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(b"urlencoded" in each.lower() for each in kinds)


class _GuardMiddleware:
    """What every page carries, and what no request may exceed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken, fields = 0, 0
        largest = _largest_body(scope)

        async def bounded() -> Any:
            nonlocal taken, fields
            message = await receive()
            body = message.get("body", b"")
            taken += len(body)
            fields += body.count(b"&") if scope["method"] != "GET" else 0
            if taken > largest or (fields > _MOST_FIELDS and _is_form(scope)):
                raise HTTPException(413)
            return message

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                named = {name.lower() for name, _ in message["headers"]}
                headers = [*message["headers"], *_HEADERS]
                if b"cache-control" not in named:
                    headers.append((b"cache-control", b"no-store"))
                if scope["scheme"] == "https":
                    headers.append((b"strict-transport-security", b"max-age=31536000"))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, bounded, guarded)


def site(installation: Installation, endpoints: Endpoints, invitation: Invitation | None = None) -> Site:
    """Return the console of an open installation. Raises HomeError if its scripts and styles were not built."""
    assets, token = Assets(), secrets.token_urlsafe(24)
    app = FastAPI(
        title="Ocelog",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # It would lead to the host that the request names.
        redirect_slashes=False,
        dependencies=[Depends(from_here)],
    )
    app.state.installation, app.state.assets, app.state.first_token = installation, assets, token
    app.state.invitation, app.state.front = invitation, endpoints.front
    app.state.provider = provider_of(installation.settings)
    app.state.overviews = endpoints.looks
    app.state.activities = Looks(lambda: activity(installation))
    app.state.query_slots, app.state.background = QuerySlots(), Background()
    for each in ROUTERS:
        app.include_router(each)
    app.add_exception_handler(NotSignedInError, _not_signed_in)
    app.add_exception_handler(NotAllowedError, _not_allowed)
    app.add_exception_handler(ForeignPageError, _foreign)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(TimeoutError, _busy)
    app.add_exception_handler(OcelogError, _known)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    return Site(
        endpoints=endpoints,
        assets=assets,
        pages=_GuardMiddleware(
            GZipMiddleware(
                TrailMiddleware(app, installation), minimum_size=_LEAST_COMPRESSED, compresslevel=_COMPRESSED
            )
        ),
        api=_GuardMiddleware(api.api(installation, endpoints.looks, app.state.query_slots)),
        first_token=token,
    )


def _not_signed_in(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    has_ended = cookie_of(request) is not None
    if request.headers.get("hx-request") == "true":
        # Not back to the part that was asked for, but to the page that it was for.
        shown = _path_of(request.headers.get("hx-current-url"))
        then = sign_in_path(shown, has_ended=has_ended or bool(shown))
        return Response(status_code=401, headers={"hx-redirect": then})
    if request.method not in {"GET", "HEAD"}:
        then = sign_in_path(_path_of(request.headers.get("referer")), has_ended=has_ended)
        told = {"kind": "signed out", "needed": "", "error": None, "then": then}
        return page(request, "trouble.html", visitor=None, status=401, **told)
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    then = sign_in_path(asked if request.method == "GET" else "/", has_ended=has_ended)
    return RedirectResponse(then, status_code=303)


def _path_of(address: str | None) -> str:
    """Return path and query of an address that a browser says it comes from; empty: it is none."""
    try:
        at = urlsplit(address or "")
    except ValueError:
        return ""
    return at.path + (f"?{at.query}" if at.query else "")


def _visitor(request: Request) -> Visitor | None:
    """Return who asked, as far as that was found out before it failed."""
    found = getattr(request.state, "visitor", None)
    return found if isinstance(found, Visitor) else None


def _not_allowed(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotAllowedError)  # noqa: S101 - registered for it
    visitor = _visitor(request)
    return page(
        request, "trouble.html", visitor=visitor, status=403, kind="role", needed=error.needed.value, error=None
    )


def _foreign(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    visitor = _visitor(request)
    return page(request, "trouble.html", visitor=visitor, status=403, kind="foreign", needed="", error=None)


def _gone(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    return Response(status_code=499)


def _busy(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    answer = page(request, "trouble.html", visitor=None, status=503, kind="busy", needed="", error=None)
    answer.headers["retry-after"] = "3"
    return answer


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, OcelogError)  # noqa: S101 - registered for it
    if isinstance(error, SignInRefusedError) and _visitor(request) is not None:
        # What they came with ended while it was being done.
        return _not_signed_in(request, error)
    status = 503 if isinstance(error, _OURS) else 404 if request.method == "GET" else 422
    if not getattr(request.state, "signed_in", False):
        # It may name hosts, paths and users of this installation.
        log.warning("a page failed", path=request.url.path, error_code=error.code, reason=str(error))
        error = OcelogError(summary(error), code=error.code)
    visitor = _visitor(request)
    return page(request, "trouble.html", visitor=visitor, status=status, kind="known", needed="", error=error)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    kind = "missing" if error.status_code == 404 else "refused"
    visitor = _visitor(request)
    if visitor is None:
        # No route was found that would have asked who it is.
        with suppress(OcelogError):
            visitor = await signed_in(request)
    return page(request, "trouble.html", visitor=visitor, status=error.status_code, kind=kind, needed="", error=None)


def _invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001 - no form of ours is so, and no link
    visitor = _visitor(request)
    return page(request, "trouble.html", visitor=visitor, status=422, kind="invalid", needed="", error=None)


def _bug(request: Request, error: Exception) -> Response:
    log.error("bug in Ocelog", path=request.url.path, exc_info=error)
    return page(request, "trouble.html", visitor=None, status=500, kind="bug", needed="", error=None)
