"""Who may use the console and the API, and what they did there."""

from enum import StrEnum

from msgspec import Struct, field


class Role(StrEnum):
    """What a user may do. Each role may do all that those before it may."""

    VIEWER = "viewer"
    """See everything but users, tokens and the trail; change nothing but one's own password."""
    ANALYST = "analyst"
    """Triage alerts, try rules, replay what was rejected, save searches."""
    ADMIN = "admin"
    """Change sources, rules, channels, users and tokens, and read the trail."""

    def covers(self, other: "Role") -> bool:
        """Whether who has this role may do what asks for the `other`."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


class User(Struct, frozen=True, kw_only=True):
    """Somebody who may sign in."""

    id: str
    name: str
    role: Role
    added_us: int
    disabled_us: int | None = None
    language: str | None = None
    """In which the console speaks to them; None: as the browser asks."""
    subject: str | None = None
    """Who they are to an identity provider; None: they sign in with a password."""


class Scope(StrEnum):
    """What a token is for: its user's role lowered to that, never raised."""

    READ = "read"
    TRIAGE = "triage"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        """The role that it is at most."""
        return {Scope.READ: Role.VIEWER, Scope.TRIAGE: Role.ANALYST, Scope.ADMIN: Role.ADMIN}[self]


class ApiToken(Struct, frozen=True, kw_only=True):
    """What a program shows to be let in. The ledger knows a hash of its secret only."""

    id: str
    user_id: str
    name: str
    """What it is for, as a person says."""
    scope: Scope
    made_by: str
    """Name of the user who made it, for themselves or for another."""
    made_us: int
    ends_us: int
    """When it is over, whatever happens."""
    used_us: int | None = None
    """When it was used last, within a minute."""


class StoredAnswer(Struct, frozen=True, kw_only=True):
    """What was answered to a request that may be sent twice."""

    request: str
    """A hash of what was asked."""
    status: int | None
    """None: it is being answered just now."""
    body: str | None


class Session(Struct, frozen=True, kw_only=True):
    """A browser in which a user has signed in. The ledger knows a hash of its secret only."""

    mark: str
    """The hash by which it is found."""
    user_id: str
    since_us: int
    seen_us: int
    ends_us: int
    """When it is over, whatever happens."""
    address: str
    browser: str
    """What the browser calls itself."""


class Credential(Struct, frozen=True, kw_only=True):
    """What somebody was let in by."""

    user_id: str
    role: Role
    """In which they were let in."""
    session: str | None = None
    """The mark of a session."""
    token: str | None = None
    """The id of a token; either this or `session`."""


class SavedSearch(Struct, frozen=True, kw_only=True):
    """A search that somebody keeps."""

    id: str
    owner_id: str
    owner: str
    """The owner's name."""
    name: str
    address: str
    """Path and query of its page."""
    shared: bool
    """Whether everybody sees it."""
    saved_us: int


class Deed(Struct, frozen=True, kw_only=True):
    """Something that was done, or refused, through the console or the API."""

    at_us: int
    who: str
    """The name of the user; empty: nobody who had signed in."""
    what: str
    """Such as `user.signed_in`: stable, while what is shown for it is not."""
    target: str = ""
    details: dict[str, str] = field(default_factory=dict)
    """Never a secret."""
    address: str = ""
    number: int = 0
    """Counts them up; 0: not written yet."""
