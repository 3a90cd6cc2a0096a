"""What an HTTP answer of the API looks like: its shapes for each refusal, and what faults do to it on the way."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import msgspec

from wizsim.faults import Fault
from wizsim.instants import SECOND, http_date
from wizsim.refusals import OOPS, Refusal, error

Json = dict[str, Any]

JSON = "application/json; charset=utf-8"
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
REFUSED_WITH = {
    "token-lapsed": (401, "the access token has lapsed", "UNAUTHENTICATED"),
    "unauthorized": (401, "the access token is not valid", "UNAUTHENTICATED"),
    "forbidden": (403, "access from this address is not allowed", "FORBIDDEN_IP"),
    "throttled": (429, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED"),
    "throttled-silent": (429, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED"),
    "rate-limit": (200, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED"),
    "internal-error": (200, OOPS, "INTERNAL"),
}
"""Fault -> status, message, code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer. `cut_at` ends the connection after so many bytes; `slow` is how many seconds the body takes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None
    slow: float = 0.0

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(gzip.decompress(self.body) if "content-encoding" in self.headers else self.body)


def finish(reply: Reply, *, request_id: str, struck: Mapping[str, Fault], now: int) -> Reply:
    """Send `reply` the way that the faults which struck let it: spoilt, slow, late, or as it is."""
    if "html" in struck:
        reply = Reply(headers={"content-type": "text/html; charset=utf-8"}, body=HTML)
    body = reply.body.replace(b"@request-id@", request_id.encode()) if len(reply.body) < 4096 else reply.body
    zipped = reply.headers.get("content-encoding") == "gzip"
    cut_at = None
    if (cut := struck.get("cut-json")) or ((cut := struck.get("cut-gzip")) and zipped):
        body = body[: int(len(body) * cut.number("at", 0.5))]
    elif cut := struck.get("cut-body"):
        cut_at = int(len(body) * cut.number("at", 0.5))
    slow = struck["slow-body"].number("seconds", 2) if "slow-body" in struck else 0.0
    jump = struck["date-jump"].number("seconds", 3600) if "date-jump" in struck else 0.0
    date = http_date(now + int(jump * SECOND))
    return Reply(
        status=reply.status,
        headers={**reply.headers, "x-request-id": request_id, "date": date},
        body=body,
        cut_at=cut_at,
        slow=slow,
    )


def json_reply(status: int, value: Any) -> Reply:
    """Reply with JSON."""
    return Reply(status=status, headers={"content-type": JSON}, body=msgspec.json.encode(value))


def graphql_error(status: int, message: str, code: str) -> Reply:
    """Reply with one error and no data."""
    return json_reply(status, {"errors": [error(message, code=code, request_id="@request-id@")], "data": None})


def fault_reply(fault: Fault) -> Reply:
    """Reply as one of the faults that refuse an exchange."""
    if fault.name == "server-error":
        body = b"<html><body><h1>Bad Gateway</h1></body></html>"
        return Reply(status=int(fault.number("status", 502)), headers={"content-type": "text/html"}, body=body)
    if fault.name == "redirect":
        return Reply(status=307, headers={"location": str(fault.args.get("to", "https://elsewhere.example/graphql"))})
    said = graphql_error(*REFUSED_WITH[fault.name])
    if fault.name == "throttled":
        return replace(said, headers={**said.headers, "retry-after": str(int(fault.number("retry_after", 1)))})
    return said


def refused_reply(refusal: Refusal, request_id: str) -> Reply:
    """Reply to a request that is refused as a whole."""
    if refusal.status >= 500:
        page = f"<html><body><h1>{refusal.status} {HTTPStatus(refusal.status).phrase}</h1></body></html>".encode()
        return Reply(status=refusal.status, headers={"content-type": "text/html"}, body=page)
    said: Json = {"errors": refusal.errors(request_id)}
    return json_reply(refusal.status, {**said, "data": None} if refusal.status == 200 else said)


def token_error(status: int, code: str, description: str) -> Reply:
    """Reply as the token endpoint does to what it does not like."""
    return json_reply(status, {"error": code, "error_description": description})
