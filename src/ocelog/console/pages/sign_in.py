"""Signing in and out, and the first user."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.app.users import users
from ocelog.console.capacity import PROVIDER, SIGNING_IN
from ocelog.console.front import Front
from ocelog.console.rendering import page
from ocelog.console.visitor import (
    Viewer,
    cookie_name,
    cookie_of,
    installation_of,
    is_secure,
    origin_of,
    own_path,
)
from ocelog.errors import ConfigError, OcelogError, SignInRefusedError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import Secret

router = APIRouter()
anonymous = APIRouter()
"""Routes that take nobody in particular."""


def _may_be_first(request: Request, given: str) -> bool:
    return hmac.compare_digest(given.encode(), str(request.app.state.first_token).encode())


@anonymous.get("/first")
def first(request: Request, token: str = "") -> Response:
    """Show the form that makes the first user, to whoever has the link that `ocelog run` printed."""
    if users.is_there_any(installation_of(request)):
        return _was_first(request)
    if not _may_be_first(request, token):
        return page(request, "first_refused.html", visitor=None, status=403, is_wrong=bool(token))
    return page(request, "first.html", visitor=None, token=token, name="", refused=None)


@anonymous.post("/first")
async def make_first(
    request: Request,
    token: Annotated[str, Form()],
    name: Annotated[str, Form()],
    password: Annotated[str, Form()],
) -> Response:
    """Make the first user, and sign them in."""
    if await run_in_threadpool(users.is_there_any, installation_of(request)):
        return await run_in_threadpool(_was_first, request)
    if not _may_be_first(request, token):
        return page(request, "first_refused.html", visitor=None, status=403, is_wrong=bool(token))
    return await SIGNING_IN.run(_made_first, request, token, name, password)


def _made_first(request: Request, token: str, name: str, password: str) -> Response:
    installation, secret = installation_of(request), Secret(password)
    try:
        users.add_first(installation, name, secret, origin_of(request))
    except ConfigError as error:
        return page(request, "first.html", visitor=None, status=422, token=token, name=name, refused=error)
    return _let_in(request, name, secret, "/")


def _was_first(request: Request) -> Response:
    """Let in whoever is signed in, and tell others that the link was used, where they sign in."""
    known = cookie_of(request)
    if known is not None and users.signed_in(installation_of(request), known) is not None:
        return RedirectResponse("/", status_code=303)
    return _asked(request, status=410, was_first=True)


def _asked(
    request: Request,
    *,
    status: int = 200,
    then: str = "/",
    name: str = "",
    refused: OcelogError | None = None,
    was_first: bool = False,
    has_ended: bool = False,
) -> Response:
    return page(
        request,
        "sign_in.html",
        visitor=None,
        status=status,
        next=then,
        name=name,
        refused=refused,
        was_first=was_first,
        has_ended=has_ended,
    )


@anonymous.get("/demo")
def take_invitation(request: Request, token: str = "") -> Response:
    """Sign in whoever opens the link that `ocelog demo` printed, once."""
    invitation = request.app.state.invitation
    if invitation is None or not invitation.take(token):
        known = cookie_of(request)
        if known is not None and users.signed_in(installation_of(request), known) is not None:
            # The same browser, which opens the link again.
            return RedirectResponse("/", status_code=303)
        return page(request, "demo_refused.html", visitor=None, status=403)
    who = users.sign_in_invited(
        installation_of(request), invitation.name, origin=origin_of(request), instead_of=cookie_of(request)
    )
    return _with_cookie(request, who, "/")


@anonymous.post("/demo")
def invite_again(request: Request) -> Response:
    """Have `ocelog demo` print a new link where it runs, if the one before was used."""
    if request.app.state.invitation is not None:
        request.app.state.invitation.renew()
    return RedirectResponse("/sign-in", status_code=303)


@anonymous.get("/sign-in")
def ask(
    request: Request,
    next: str = "/",  # noqa: A002 - what such a parameter is called everywhere
    ended: str = "",
) -> Response:
    """Show the form in which one signs in."""
    if not users.is_there_any(installation_of(request)) and request.app.state.provider is None:
        return page(request, "first_refused.html", visitor=None, is_wrong=False)
    return _asked(request, then=own_path(next), has_ended=ended == "yes")


def _state_name(request: Request) -> str:
    """Return what the cookie is called that binds a browser to its way to the identity provider."""
    return f"{cookie_name(request)}-sign-in"


def _answer_address(request: Request) -> str:
    front: Front = request.app.state.front
    return front.address(request.url.scheme, request.headers.get("host", "")) + "/sign-in/provider/answer"


@anonymous.get("/sign-in/provider")
async def to_provider(request: Request, next: str = "/") -> Response:  # noqa: A002 - as above
    """Send the browser to the identity provider, bound to this browser by a cookie."""
    if request.app.state.provider is None:
        return RedirectResponse("/sign-in", status_code=303)
    return await PROVIDER.run(_sent_there, request, own_path(next))


def _sent_there(request: Request, then: str) -> Response:
    try:
        address, state = request.app.state.provider.begin(_answer_address(request), then, origin_of(request).address)
    except SignInRefusedError as error:
        return _ask_again(request, error)
    answer = RedirectResponse(address, status_code=303)
    name, secure = _state_name(request), is_secure(request)
    answer.set_cookie(name, state, max_age=600, secure=secure, httponly=True, samesite="lax")
    return answer


@anonymous.get("/sign-in/provider/answer")
async def from_provider(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Sign in whom the identity provider sends back, in the browser that was sent there."""
    return await PROVIDER.run(_sent_back, request, state, code, error)


def _sent_back(request: Request, state: str, code: str, error: str) -> Response:
    provider, installation = request.app.state.provider, installation_of(request)
    asked = request.cookies.get(_state_name(request), "")
    if provider is None or not state or not hmac.compare_digest(asked.encode(), state.encode()):
        return _ask_again(request, SignInRefusedError(Phrase("This browser did not ask to sign in so: begin again.")))
    if error or not code:
        return _ask_again(request, SignInRefusedError(Phrase("The identity provider let nobody in.")))
    try:
        identity, then = provider.finish(state, code, _answer_address(request))
        who = users.sign_in_known(installation, identity, origin=origin_of(request), instead_of=cookie_of(request))
    except SignInRefusedError as refused:
        return _ask_again(request, refused)
    answer = _with_cookie(request, who, own_path(then))
    answer.delete_cookie(_state_name(request), secure=is_secure(request), httponly=True, samesite="lax")
    return answer


def _ask_again(request: Request, error: SignInRefusedError) -> Response:
    return _asked(request, status=403, refused=error)


@anonymous.post("/sign-in")
async def sign_in(
    request: Request,
    name: Annotated[str, Form()],
    password: Annotated[str, Form()],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - as above
) -> Response:
    """Sign somebody in, under a new secret: what a browser had before is worth nothing any more."""
    return await SIGNING_IN.run(_signed_in, request, name, password, next)


def _signed_in(request: Request, name: str, password: str, then: str) -> Response:
    try:
        return _let_in(request, name, Secret(password), own_path(then))
    except SignInRefusedError as error:
        status = 429 if error.code == "sign_in_throttled" else 403
        return _asked(request, status=status, then=own_path(then), name=name, refused=error)


@router.post("/sign-out")
def sign_out(request: Request, visitor: Viewer) -> Response:
    """End the session."""
    users.sign_out(installation_of(request), visitor.who, origin=visitor.origin)
    invitation = request.app.state.invitation
    if invitation is not None and visitor.user.name == invitation.name:
        # They have no password: only another link lets them come back.
        invitation.renew()
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(cookie_name(request), secure=is_secure(request), httponly=True, samesite="lax")
    return answer


def _let_in(request: Request, name: str, password: Secret, then: str) -> Response:
    installation = installation_of(request)
    who = users.sign_in(installation, name, password, origin=origin_of(request), instead_of=cookie_of(request))
    return _with_cookie(request, who, then)


def _with_cookie(request: Request, who: users.SignedIn, then: str) -> Response:
    answer = RedirectResponse(then, status_code=303)
    answer.set_cookie(
        cookie_name(request),
        who.secret.reveal(),
        max_age=int(users.LASTS.total_seconds()),
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
    return answer
