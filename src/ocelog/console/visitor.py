"""Who asks for a page, and whether they may: every route names what it takes, and is refused without it.

A request that changes something must come from a page of this console, against forgery by other sites (CSRF). Browsers
say so (Sec-Fetch-Site, else Origin), and the page's token proves it. Which hosts are answered at all: `front.py`.
"""

import hmac
import secrets
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from msgspec import Struct, field
from starlette.concurrency import run_in_threadpool

from ocelog.access import Credential, Role, User
from ocelog.app.users import users
from ocelog.app.users.users import Origin, SignedIn
from ocelog.console.front import Front
from ocelog.console.roles import demand, taking
from ocelog.installation.opening import Installation
from ocelog.secrets.secret import Secret

TOKEN_FIELD, TOKEN_HEADER = "csrf", "x-csrf-token"
_TOKEN_BYTES = 32
_LONGEST_BROWSER = 300
_HARMLESS = frozenset({"GET", "HEAD"})


class NotSignedInError(Exception):
    """Nobody has signed in, or the session is over."""


class ForeignPageError(Exception):
    """The request did not come from a page of this console."""


class Visitor(Struct, frozen=True, kw_only=True):
    """Somebody who has signed in and asks for something."""

    who: SignedIn
    origin: Origin
    _mask: bytes = field(default_factory=lambda: secrets.token_bytes(_TOKEN_BYTES))

    @property
    def user(self) -> User:
        """The user."""
        return self.who.user

    @property
    def token(self) -> str:
        """What this visitor's forms carry.

        It looks otherwise on every page, since pages are compressed: from how long one is nobody must learn it.
        """
        return self._mask.hex() + _xor(self._mask, bytes.fromhex(self.who.token)).hex()

    def may_send(self, token: object) -> bool:
        """Whether a page of this visitor's session carried the token."""
        try:
            given = bytes.fromhex(str(token))
        except ValueError:
            return False
        mask, masked = given[:_TOKEN_BYTES], given[_TOKEN_BYTES:]
        well = len(masked) == _TOKEN_BYTES and given.hex() == token
        return well and hmac.compare_digest(_xor(mask, masked).hex(), self.who.token)

    def may(self, role: str) -> bool:
        """Whether the visitor may do what asks for a role."""
        return self.user.role.covers(Role(role))


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def installation_of(request: Request) -> Installation:
    """Return the open installation that the console is of."""
    found = request.app.state.installation
    assert isinstance(found, Installation)  # noqa: S101 - put there by `site.py`
    return found


def origin_of(request: Request, credential: Credential | None = None) -> Origin:
    """Return where a request comes from."""
    browser = request.headers.get("user-agent", "")[:_LONGEST_BROWSER]
    return Origin(address=request.client.host if request.client else "", browser=browser, credential=credential)


def is_secure(request: Request) -> bool:
    """Whether the browser came by TLS."""
    return request.url.scheme == "https"


def cookie_name(request: Request) -> str:
    """Return what the cookie is called: browsers do not tell the ports of a host apart, and homes must not mix.

    With TLS its prefix makes the browser refuse one that another host of the domain set.
    """
    name = f"ocelog-{users.home_mark(installation_of(request))}"
    return f"__Host-{name}" if is_secure(request) else name


def cookie_of(request: Request) -> Secret | None:
    """Return what the session's cookie holds."""
    found = request.cookies.get(cookie_name(request))
    return None if found is None else Secret(found)


def from_here(request: Request) -> None:
    """Refuse what would change something and comes from another site. Raises ForeignPageError."""
    if request.method in _HARMLESS:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        if site != "same-origin":
            raise ForeignPageError
    elif origin not in _own_origins(request):
        raise ForeignPageError


def _own_origins(request: Request) -> tuple[str, str]:
    """Return the origins of this console's pages: by the request's own host, and as people call it behind a proxy."""
    front: Front = request.app.state.front
    scheme, host = request.url.scheme, request.headers.get("host", "")
    return f"{scheme}://{host}", front.address(scheme, host)


async def signed_in(request: Request) -> Visitor | None:
    """Return who asks, None if nobody has signed in."""
    secret = cookie_of(request)
    if secret is None:
        return None
    who = await run_in_threadpool(users.signed_in, installation_of(request), secret)
    request.state.signed_in = who is not None
    return None if who is None else Visitor(who=who, origin=origin_of(request, who.credential))


def needs(role: Role) -> Callable[..., Any]:
    """Return what lets only those pass who may do what asks for `role`; a route has it as its dependency."""

    async def visitor(request: Request, found: Annotated[Visitor | None, Depends(signed_in)]) -> Visitor:
        if found is None:
            raise NotSignedInError
        request.state.visitor = found
        demand(found.user, role)
        if request.method not in _HARMLESS:
            form = await request.form()
            request.state.named = name if isinstance(name := form.get("name"), str) else ""
            given = request.headers.get(TOKEN_HEADER) or form.get(TOKEN_FIELD)
            if not found.may_send(given):
                raise ForeignPageError
        return found

    return taking(role, visitor)


Viewer = Annotated[Visitor, Depends(needs(Role.VIEWER))]
Analyst = Annotated[Visitor, Depends(needs(Role.ANALYST))]
Admin = Annotated[Visitor, Depends(needs(Role.ADMIN))]


def own_path(text: str) -> str:
    """Return `text` if it is a path of this console, `/` otherwise: nobody is led elsewhere after signing in."""
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_own else "/"


def sign_in_path(asked: str, *, has_ended: bool) -> str:
    """Return where one signs in, to come back to what was asked for; `has_ended`: after a session that did."""
    then = own_path(asked)
    query = {**({} if then == "/" else {"next": then}), **({"ended": "yes"} if has_ended else {})}
    return f"/sign-in?{urlencode(query, quote_via=quote, safe='')}" if query else "/sign-in"
