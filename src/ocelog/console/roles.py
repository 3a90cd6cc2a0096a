"""Which role a route takes, of a page and of the API alike."""

from collections.abc import Callable
from typing import Any, TypeVar

from ocelog.access import Role, User

T = TypeVar("T", bound=Callable[..., Any])


class NotAllowedError(Exception):
    """Whoever asks may not do that."""

    def __init__(self, needed: Role) -> None:
        super().__init__(needed)
        self.needed = needed


def demand(user: User, role: Role) -> None:
    """Let `user` pass if they may do what asks for `role`. Raises NotAllowedError."""
    if not user.role.covers(role):
        raise NotAllowedError(role)


def taking(role: Role, dependency: T) -> T:
    """Note on a dependency of routes which role it demands: tests and the reference ask each route."""
    dependency.role = role  # type: ignore[attr-defined] # as described
    return dependency
