"""One's own account: language, password, the browsers in which one has signed in, and tokens for programs."""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from ocelog.access import Scope
from ocelog.app.users import users
from ocelog.console.capacity import hashing
from ocelog.console.rendering import page
from ocelog.console.visitor import Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, SignInRefusedError
from ocelog.languages.phrases import LANGUAGES
from ocelog.secrets.secret import Secret
from ocelog.units import duration

router = APIRouter()
LASTS = ("7d", "30d", "90d", "365d")
"""How long a token works, of which the form offers these."""


def _page(
    request: Request,
    visitor: Visitor,
    refused: Exception | None = None,
    *,
    made: Secret | None = None,
    typed: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    installation = installation_of(request)
    return page(
        request,
        "account.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        sessions=users.sessions(installation, visitor.user),
        tokens=[token for token, _ in users.tokens(installation, of=visitor.user)],
        scopes=[each for each in Scope if visitor.user.role.covers(each.role)],
        lasts=LASTS,
        typed=typed,
        made=None if made is None else made.reveal(),
        now_us=time.time_ns() // 1_000,
        refused=refused,
    )


@router.get("/account")
def show(request: Request, visitor: Viewer) -> Response:
    """Show one's own account."""
    return _page(request, visitor)


@router.post("/account/language")
def language(request: Request, visitor: Viewer, language: Annotated[str, Form()] = "") -> Response:
    """Choose in which language the console speaks; an empty one: as the browser asks."""
    chosen = language if language in LANGUAGES else None
    users.set_language(installation_of(request), visitor.user, chosen, origin=visitor.origin)
    return RedirectResponse("/account", status_code=303)


@router.post("/account/password")
@hashing
def password(
    request: Request,
    visitor: Viewer,
    present: Annotated[str, Form()],
    password: Annotated[str, Form()],
    revoke: Annotated[str, Form()] = "",
) -> Response:
    """Choose another password, which takes the present one; every session ends, and each token if that is wanted."""
    installation = installation_of(request)
    try:
        users.change_password(
            installation,
            visitor.user,
            Secret(present),
            Secret(password),
            origin=visitor.origin,
            revokes_tokens=bool(revoke),
        )
    except (ConfigError, SignInRefusedError) as error:
        return _page(request, visitor, error)
    return RedirectResponse("/sign-in", status_code=303)


@router.post("/account/session")
def session(request: Request, visitor: Viewer, mark: Annotated[str, Form()]) -> Response:
    """End a session of one's own, such as one in a browser that was lost."""
    users.end_session(installation_of(request), mark, by=visitor.user, origin=visitor.origin)
    return RedirectResponse("/account", status_code=303)


@router.post("/account/tokens")
def add_token(
    request: Request,
    visitor: Viewer,
    name: Annotated[str, Form()],
    scope: Annotated[Scope, Form()],
    lasts: Annotated[str, Form()],
) -> Response:
    """Make a token of one's own, and show it this once."""
    installation = installation_of(request)
    try:
        _, secret = users.add_token(
            installation, visitor.user, name, scope, by=visitor.user, origin=visitor.origin, lasts=duration(lasts)
        )
    except ConfigError as error:
        typed = {"name": name, "scope": scope.value, "lasts": lasts}
        return _page(request, visitor, error, typed=typed)
    return _page(request, visitor, made=secret)


@router.post("/account/tokens/revoke")
def revoke_token(request: Request, visitor: Viewer, token: Annotated[str, Form()]) -> Response:
    """Let nobody in with a token any more."""
    installation = installation_of(request)
    try:
        found, owner = users.find_token(installation, token, of=visitor.user)
        users.revoke_token(installation, found, owner, by=visitor.user, origin=visitor.origin)
    except ConfigError as error:
        return _page(request, visitor, error)
    return RedirectResponse("/account", status_code=303)
