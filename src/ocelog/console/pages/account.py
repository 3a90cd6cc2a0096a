"""One's own account: language, password, and the browsers in which one has signed in."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from ocelog.app import users
from ocelog.console.languages import LANGUAGES
from ocelog.console.rendering import page
from ocelog.console.visitor import Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, SignInRefusedError
from ocelog.secret import Secret

router = APIRouter()


def _page(request: Request, visitor: Visitor, refused: Exception | None = None) -> Response:
    sessions = installation_of(request).ledger.users.sessions(visitor.user.id)
    status = 200 if refused is None else 422
    return page(request, "account.html", visitor=visitor, status=status, sessions=sessions, refused=refused)


@router.get("/account")
def show(request: Request, visitor: Viewer) -> Response:
    """Show one's own account."""
    return _page(request, visitor)


@router.post("/account/language")
def language(request: Request, visitor: Viewer, language: Annotated[str, Form()]) -> Response:
    """Choose in which language the console speaks; an empty one: as the browser asks."""
    chosen = language if language in LANGUAGES else None
    users.set_language(installation_of(request).ledger.users, visitor.user, chosen, origin=visitor.origin)
    return RedirectResponse("/account", status_code=303)


@router.post("/account/password")
def password(
    request: Request, visitor: Viewer, present: Annotated[str, Form()], password: Annotated[str, Form()]
) -> Response:
    """Choose another password, which takes the present one; every session ends."""
    ledger = installation_of(request).ledger.users
    try:
        users.change_password(ledger, visitor.user, Secret(present), Secret(password), origin=visitor.origin)
    except (ConfigError, SignInRefusedError) as error:
        return _page(request, visitor, error)
    return RedirectResponse("/sign-in", status_code=303)


@router.post("/account/session")
def session(request: Request, visitor: Viewer, mark: Annotated[str, Form()]) -> Response:
    """End a session of one's own, such as one in a browser that was lost."""
    users.end_session(installation_of(request).ledger.users, mark, by=visitor.user, origin=visitor.origin)
    return RedirectResponse("/account", status_code=303)
