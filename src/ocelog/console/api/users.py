"""Users, their tokens, and the trail of what they did. For admins."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from ocelog.access import ApiToken, Role, Scope
from ocelog.access import User as UserRow
from ocelog.app.users import users
from ocelog.app.users.passwords import check_password
from ocelog.app.users.trail import deeds
from ocelog.console.api.caller import Admin, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of, read_cursor, write_cursor
from ocelog.console.api.problems import not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name, instant
from ocelog.secrets.secret import Secret
from ocelog.times import from_us
from ocelog.units import duration

router = APIRouter(tags=["Users and tokens"])
Password = Annotated[SecretStr, Field(min_length=1, max_length=1_024)]


class User(BaseModel):
    """Somebody who may sign in."""

    name: str
    role: Role
    added_at: AwareDatetime
    disabled_at: AwareDatetime | None


_GOOD = "At least 12 characters, and not mostly a name, words that many people use, or a run such as 1234."


class NewUser(BaseModel):
    """A user to be added."""

    model_config = ConfigDict(extra="forbid")
    name: Line = Field(examples=["ann@example.com"])
    role: Role
    password: Password = Field(description=_GOOD)


class UserEdit(BaseModel):
    """What to change of a user; what is left out stays. Their sessions end."""

    model_config = ConfigDict(extra="forbid")
    role: Role | None = None
    disabled: bool | None = None
    password: Password | None = Field(default=None, description=_GOOD)


class Token(BaseModel):
    """What a program shows to be let in."""

    id: str
    user: str
    name: str
    scope: Scope
    made_by: str
    made_at: AwareDatetime
    ends_at: AwareDatetime
    used_at: AwareDatetime | None = Field(description="Within a minute; null: never.")


class NewToken(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")
    user: Line | None = Field(default=None, description="None: for the user of this token.")
    name: Line = Field(description="What it is for.")
    scope: Scope = Field(default=Scope.READ, description="It may not do more than its user.")
    lasts: Annotated[str, Field(max_length=20)] = Field(default="90d", description="At most 366d.")


class MadeToken(Token):
    """A token that was just made."""

    token: str | None = Field(description="The token itself. It is shown once: null in an answer that is repeated.")


class CurrentUser(BaseModel):
    """Who asks."""

    user: str
    role: Role = Field(description="The user's role, lowered to the token's scope.")
    token: Token


class Deed(BaseModel):
    """Something that was done, or refused, through the console or the API."""

    number: int
    at: AwareDatetime
    who: str
    what: str
    target: str
    details: dict[str, str]
    address: str


def _shown(user: UserRow) -> User:
    return User(name=user.name, role=user.role, added_at=from_us(user.added_us), disabled_at=instant(user.disabled_us))


def _shown_token(token: ApiToken, owner: UserRow) -> Token:
    return Token(
        id=token.id,
        user=owner.name,
        name=token.name,
        scope=token.scope,
        made_by=token.made_by,
        made_at=from_us(token.made_us),
        ends_at=from_us(token.ends_us),
        used_at=instant(token.used_us),
    )


@router.get("/me")
def get_me(caller: Viewer) -> CurrentUser:
    """Return whose token this is, and what it may do."""
    return CurrentUser(
        user=caller.user.name, role=caller.user.role, token=_shown_token(caller.bearer.token, caller.user)
    )


@router.get("/users")
def list_users(caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> Page[User]:
    """List the users."""
    every = users.listed(caller.installation)
    found, further = page_of(every, lambda each: each.name, limit=limit, cursor=cursor)
    return Page(items=[_shown(each) for each in found], next=further)


@router.post("/users", status_code=201, response_model=User)
def add_user(request: Request, caller: Admin, body: NewUser, idempotency_key: IdempotencyKey = None) -> Response:
    """Add a user, who signs in with the password."""

    def make() -> User:
        installation, secret = caller.installation, Secret(body.password.get_secret_value())
        return _shown(users.add(installation, body.name, body.role, secret, by=caller.user, origin=caller.origin))

    return once(request, caller, idempotency_key, body, make)


@router.get("/users/{user}")
def get_user(caller: Admin, user: Name) -> User:
    """Return one user."""
    with not_found():
        return _shown(users.find(caller.installation, user))


@router.patch("/users/{user}")
def edit_user(caller: Admin, user: Name, body: UserEdit) -> User:
    """Give a user another role or password, or let them in no more. Nobody deletes a user: the trail names them."""
    installation = caller.installation
    with not_found():
        found = users.find(installation, user)
    secret = None if body.password is None else Secret(body.password.get_secret_value())
    if secret is not None:
        # First, since what comes before it would be done already.
        check_password(secret, found.name)
    if body.role is not None and body.role is not found.role:
        users.change_role(installation, found.name, body.role, by=caller.user, origin=caller.origin)
    if body.disabled is not None:
        turn = users.disable if body.disabled else users.enable
        turn(installation, found.name, by=caller.user, origin=caller.origin)
    if secret is not None:
        users.set_password(installation, found.name, secret, by=caller.user, origin=caller.origin)
    return _shown(users.find(installation, found.name))


@router.get("/tokens")
def list_tokens(caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> Page[Token]:
    """List the tokens of all users; those too that are over, for a month."""
    every = users.tokens(caller.installation, of=None)
    found, further = page_of(every, lambda each: each[0].id, limit=limit, cursor=cursor)
    return Page(items=[_shown_token(*each) for each in found], next=further)


@router.post("/tokens", status_code=201, response_model=MadeToken)
def add_token(request: Request, caller: Admin, body: NewToken, idempotency_key: IdempotencyKey = None) -> Response:
    """Make a token, for oneself or for another user. It is in this answer, and nowhere else."""
    installation = caller.installation

    def make() -> MadeToken:
        owner = users.find(installation, body.user or caller.user.name)
        made, secret = users.add_token(
            installation,
            owner,
            body.name,
            body.scope,
            by=caller.user,
            origin=caller.origin,
            lasts=duration(body.lasts),
        )
        return MadeToken(**_shown_token(made, owner).model_dump(), token=secret.reveal())

    return once(request, caller, idempotency_key, body, make, kept=lambda made: made.model_copy(update={"token": None}))


@router.delete("/tokens/{token}", status_code=204)
def revoke_token(caller: Admin, token: Name) -> None:
    """Let nobody in with a token any more; by its id."""
    installation = caller.installation
    with not_found():
        found, owner = users.find_token(installation, token, of=None)
    users.revoke_token(installation, found, owner, by=caller.user, origin=caller.origin)


@router.get("/trail")
def list_trail(caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> Page[Deed]:
    """List what was done, the newest first."""
    before = None if cursor is None else int(read_cursor(cursor, int)[0])
    found = deeds(caller.installation, before=before, limit=limit + 1)
    return Page(
        items=[
            Deed(
                number=each.number,
                at=from_us(each.at_us),
                who=each.who,
                what=each.what,
                target=each.target,
                details=each.details,
                address=each.address,
            )
            for each in found[:limit]
        ],
        next=write_cursor(found[limit - 1].number) if len(found) > limit else None,
    )
