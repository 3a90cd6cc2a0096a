"""Users: who may sign in, and in which role. For admins."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from ocelog.access import Role
from ocelog.app.users import users
from ocelog.console.capacity import hashing
from ocelog.console.rendering import page
from ocelog.console.visitor import Admin, Visitor, installation_of
from ocelog.errors import ConfigError
from ocelog.secrets.secret import Secret

router = APIRouter()


def _page(
    request: Request,
    visitor: Visitor,
    refused: ConfigError | None = None,
    name: str = "",
    role: Role = Role.VIEWER,
) -> Response:
    listed = users.listed(installation_of(request))
    status = 200 if refused is None else 422
    return page(
        request,
        "users.html",
        visitor=visitor,
        status=status,
        users=listed,
        roles=list(Role),
        refused=refused,
        name=name,
        role=role,
        added=next((each.name for each in listed if each.id == request.query_params.get("added")), ""),
    )


def _changed(request: Request, visitor: Visitor, change: Callable[[], Any]) -> Response:
    try:
        change()
    except ConfigError as error:
        return _page(request, visitor, error)
    return RedirectResponse("/users", status_code=303)


@router.get("/users")
def show(request: Request, visitor: Admin) -> Response:
    """List the users."""
    return _page(request, visitor)


@router.post("/users")
@hashing
def add(
    request: Request,
    visitor: Admin,
    name: Annotated[str, Form()],
    role: Annotated[Role, Form()],
    password: Annotated[str, Form()],
) -> Response:
    """Make a user."""
    installation = installation_of(request)
    try:
        made = users.add(installation, name, role, Secret(password), by=visitor.user, origin=visitor.origin)
    except ConfigError as error:
        return _page(request, visitor, error, name, role)
    return RedirectResponse(f"/users?added={made.id}", status_code=303)


@router.post("/users/role")
def role(request: Request, visitor: Admin, name: Annotated[str, Form()], role: Annotated[Role, Form()]) -> Response:
    """Give a user another role."""
    installation = installation_of(request)
    return _changed(
        request, visitor, lambda: users.change_role(installation, name, role, by=visitor.user, origin=visitor.origin)
    )


@router.post("/users/disable")
def disable(request: Request, visitor: Admin, name: Annotated[str, Form()]) -> Response:
    """Let a user in no more."""
    installation = installation_of(request)
    return _changed(request, visitor, lambda: users.disable(installation, name, by=visitor.user, origin=visitor.origin))


@router.post("/users/enable")
def enable(request: Request, visitor: Admin, name: Annotated[str, Form()]) -> Response:
    """Let a user in again."""
    installation = installation_of(request)
    return _changed(request, visitor, lambda: users.enable(installation, name, by=visitor.user, origin=visitor.origin))
