"""Who asks: every request shows a token, no more often than it may, and every route names the role that it takes.

No cookie counts here, so that no page of another site can use a session that a browser has.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Any

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocelog.access import Role, User
from ocelog.app.users import users
from ocelog.app.users.users import Bearer, Origin
from ocelog.console.api.problems import CODES, RefusedError, of_error, of_refusal
from ocelog.console.roles import demand, taking
from ocelog.console.visitor import origin_of
from ocelog.console.wording import summary
from ocelog.errors import OcelogError, SignInRefusedError
from ocelog.installation.opening import Installation
from ocelog.secrets.secret import Secret

log = structlog.get_logger()
PER_SECOND, AT_ONCE = 10.0, 100
"""Requests of one token: so many a second in the long run, and so many at once."""
VERSION = version("ocelog").encode()
"""What each answer to whoever has a token names, in `Ocelog-Version`."""
_MOST_TOKENS = 10_000
_LONGEST_TOKEN = 200


class Caller(Struct, frozen=True, kw_only=True):
    """Whoever shows a token and asks for something."""

    bearer: Bearer
    origin: Origin
    installation: Installation

    @property
    def user(self) -> User:
        """The token's user, with the role that the token leaves them."""
        return self.bearer.user

    def note(self, what: str, target: str, **details: str) -> None:
        """Add to the trail what was done."""
        users.note(self.installation, self.user, what, target, self.origin, token=self.bearer.token.name, **details)


@dataclass(slots=True, kw_only=True)
class Rates:
    """How often each token has asked of late. Used by one thread: that of the event loop."""

    per_second: float = PER_SECOND
    at_once: int = AT_ONCE
    monotonic: Callable[[], float] = time.monotonic
    _free_at: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """When a token has asked for nothing again; what lies in the past needs no entry."""

    def take(self, token_id: str) -> None:
        """Count a request. Raises RefusedError that says when it may be sent again."""
        now = self.monotonic()
        free_at = max(self._free_at.get(token_id, now), now)
        wait = free_at + 1 / self.per_second - now - self.at_once / self.per_second
        if wait > 1e-9:
            detail = CODES["too_many_requests"]
            raise RefusedError(429, "too_many_requests", detail, retry_after=math.ceil(wait))
        self._free_at[token_id] = free_at + 1 / self.per_second
        self._free_at.move_to_end(token_id)
        if len(self._free_at) > _MOST_TOKENS:
            self._free_at.popitem(last=False)


@dataclass(slots=True, kw_only=True)
class Door:
    """Lets in whoever shows a token, before anything else of a request is looked at."""

    app: ASGIApp
    installation: Installation
    rates: Rates = field(default_factory=Rates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        try:
            found = await self._bearer(request)
            self.rates.take(found.token.id)
        except RefusedError as error:
            await of_refusal(error)(scope, receive, send)
            return
        except SignInRefusedError as error:
            await of_error(error)(scope, receive, send)
            return
        except OcelogError as error:
            # Nobody knows yet who it is: the message may name hosts, paths and users of this installation.
            log.warning("a request failed", path=request.url.path, error_code=error.code, reason=str(error))
            await of_error(error, summary(error))(scope, receive, send)
            return
        caller = Caller(bearer=found, origin=origin_of(request, found.credential), installation=self.installation)
        scope.setdefault("state", {}).update(caller=caller, token=found.token.name)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"ocelog-version", VERSION)]
            await send(message)

        await self.app(scope, receive, told)

    async def _bearer(self, request: Request) -> Bearer:
        given = request.headers.getlist("authorization")
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise RefusedError(401, "token_missing", CODES["token_missing"])
        secret = Secret(token[:_LONGEST_TOKEN])
        return await run_in_threadpool(users.bearer, self.installation, secret, origin=origin_of(request))


_scheme = HTTPBearer(
    scheme_name="token",
    bearerFormat="ocelog_...",
    description="A token, made in the console (*Your account*) or by a command. See `ocelog user token add --help`.",
    auto_error=False,
)


def needs(role: Role) -> Callable[..., Any]:
    """Return what lets only those pass who may do what asks for `role`; a route has it as its dependency."""

    def caller(request: Request, scheme: Annotated[Any, Depends(_scheme)]) -> Caller:  # noqa: ARG001 - for the specification
        found = request.state.caller
        assert isinstance(found, Caller)  # noqa: S101 - put there by `Door`
        demand(found.user, role)
        return found

    return taking(role, caller)


Viewer = Annotated[Caller, Depends(needs(Role.VIEWER))]
Analyst = Annotated[Caller, Depends(needs(Role.ANALYST))]
Admin = Annotated[Caller, Depends(needs(Role.ADMIN))]
