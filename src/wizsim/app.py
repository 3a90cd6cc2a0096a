"""How the simulator's answers travel: an ASGI application with Wiz's two endpoints and the admin calls."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wizsim.admin import ADMIN_CALLS, AdminError, answered
from wizsim.api import LONGEST_BODY, Api
from wizsim.replies import Reply, json_reply

LOOPBACK = frozenset({"127.0.0.1", "::1"})
STEPS = 20
"""In how many pieces a slow body comes."""


class Wire:
    """Sends a Reply as it says: whole, slowly, or with the connection ended in the middle."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it."""
        reply = self._reply
        headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if reply.cut_at is not None:
            # Less than Content-Length promised, and no end: the server closes the connection.
            await send({"type": "http.response.body", "body": reply.body[: reply.cut_at], "more_body": True})
            return
        if reply.slow:
            await self._drip(send, reply.slow)
            return
        await send({"type": "http.response.body", "body": reply.body})

    async def _drip(self, send: Send, seconds: float) -> None:
        body = self._reply.body
        step = max(1, len(body) // STEPS)
        for at in range(0, len(body), step):
            await asyncio.sleep(seconds / STEPS)
            await send({"type": "http.response.body", "body": body[at : at + step], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def build_app(api: Api, *, admin_token: str, latency: float = 0.0) -> Starlette:
    """Return the application. `latency` is how many seconds every answer of the API is held back."""

    async def token(request: Request) -> Wire:
        body = await _body(request)
        if body is None:
            return await _later(api.refuse_long())
        return await _later(api.token(_form(body)))

    async def graphql(request: Request) -> Wire:
        body = await _body(request)
        if body is None:
            return await _later(api.refuse_long())
        return await _later(api.graphql(body, request.headers))

    async def _later(reply: Reply) -> Wire:
        if latency:
            await asyncio.sleep(latency)
        return Wire(reply)

    return Starlette(
        routes=[
            Route("/oauth/token", token, methods=["POST"]),
            Route("/graphql", graphql, methods=["POST"]),
            Route("/admin/{call}", _admin(api, admin_token), methods=["GET", "POST"]),
        ]
    )


def _admin(api: Api, admin_token: str) -> Callable[[Request], Awaitable[Wire]]:
    async def admin(request: Request) -> Wire:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        near = request.client is not None and request.client.host in LOOPBACK
        if not near or not hmac.compare_digest(given.encode(), admin_token.encode()):
            return _said(403, {"error": "admin calls come from loopback and carry the admin token"})
        body = await _body(request)
        if body is None:
            return _said(413, {"error": f"an admin call has at most {LONGEST_BODY} bytes"})
        try:
            answer = answered(api, request.method, request.path_params["call"], body)
        except AdminError as wrong:
            return _said(400, {"error": str(wrong)})
        if answer is None:
            known = [f"{method} /admin/{name}" for method, name in sorted(ADMIN_CALLS)]
            return _said(404, {"error": "no such call", "calls": known})
        if isinstance(answer, bytes):
            return Wire(Reply(headers={"content-type": "application/x-ndjson"}, body=answer))
        return _said(200, answer)

    return admin


def _said(status: int, value: Any) -> Wire:
    return Wire(json_reply(status, value))


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=100))
    except ValueError:
        return {}


async def _body(request: Request) -> bytes | None:
    """Read the body; None where it is longer than any question."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > LONGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)
