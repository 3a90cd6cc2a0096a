"""Users of the console: the first admin, signing in and out, roles, passwords, tokens, and notes of what they did."""

import hashlib
import hmac
import secrets
import threading
import time
import unicodedata
from datetime import timedelta
from functools import cache
from uuid import uuid4

import argon2
from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.access import ApiToken, Credential, Deed, Role, Scope, Session, StoredAnswer, User
from ocelog.app.users.oidc import Identity
from ocelog.app.users.passwords import LONGEST_PASSWORD, check_password
from ocelog.errors import ConfigError, SignInRefusedError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.network import network_of
from ocelog.secrets.secret import Secret

LASTS = timedelta(hours=12)
"""A session is over after so long, whatever happens in it."""
IDLE = timedelta(hours=2)
"""A session is over when nothing was asked in it for so long."""
_LONGEST_NAME = 100
_LONGEST_WAIT_S = 900
_SHORT_WAIT_S = 5
_SLOWLY, _QUICKLY = timedelta(minutes=15), timedelta(minutes=1)
TOKEN_PREFIX = "ocelog_"  # noqa: S105 - what tokens begin with, so that scanners for secrets know them
TOKEN_LASTS = timedelta(days=90)
"""How long a token works, unless somebody says otherwise."""
LONGEST_TOKEN = timedelta(days=366)
_SHORTEST_TOKEN = timedelta(minutes=1)
_MOST_TOKENS = 50
_TOKEN_BYTES = 32
_WRONG = Phrase("Name or password are wrong.")
_NOT_LET_IN = Phrase("You are let in no more: ask an admin.")
_hasher = argon2.PasswordHasher()
# Each takes 64 MiB: a flood of sign-ins must not take the memory of the loops.
_hashing = threading.BoundedSemaphore(2)


class _AttemptLimit(Struct, frozen=True, kw_only=True):
    """How often what has a key may fail: then one waits, twice as long each time."""

    key: str
    free: int
    """So often at once."""
    longest_s: int
    """At most one waits so long."""
    fading: timedelta
    """After so long one failure counts no more."""

    @property
    def fading_us(self) -> int:
        return self.fading // timedelta(microseconds=1)


class Origin(Struct, frozen=True, kw_only=True):
    """Where a request comes from."""

    address: str
    browser: str = ""
    noted: list[str] = field(default_factory=list)
    """What went on the trail of it already."""
    credential: Credential | None = None
    """What whoever asks was let in by; None: a command, or nobody yet."""


class SignedIn(Struct, frozen=True, kw_only=True):
    """A user whose session goes on."""

    user: User
    session: Session
    secret: Secret
    """What the cookie holds."""

    @property
    def credential(self) -> Credential:
        """What they were let in by."""
        return Credential(user_id=self.user.id, role=self.user.role, session=self.session.mark)

    @property
    def token(self) -> str:
        """What a form of this session must carry: nobody can know it who cannot read its pages."""
        return hmac.new(self.secret.reveal().encode(), b"csrf", hashlib.sha256).hexdigest()


class Bearer(Struct, frozen=True, kw_only=True):
    """Whoever shows a token: its user, with a role that is lowered to what the token is for."""

    user: User
    token: ApiToken

    @property
    def credential(self) -> Credential:
        """What they were let in by."""
        return Credential(user_id=self.user.id, role=self.user.role, token=self.token.id)


def is_there_any(installation: Installation) -> bool:
    """Tell whether there is a user at all."""
    return installation.ledger.users.any()


def listed(installation: Installation) -> list[User]:
    """Return every user, by name."""
    return installation.ledger.users.listed()


def sessions(installation: Installation, user: User) -> list[Session]:
    """Return the sessions of a user, the newest first."""
    return installation.ledger.users.sessions(user.id)


def home_mark(installation: Installation) -> str:
    """Return what tells the cookies of this home from those of another on the same host."""
    return installation.ledger.id[:8]


def add_first(installation: Installation, name: str, password: Secret, origin: Origin) -> User:
    """Make the first user, an admin. Raises ConfigError if there is one, or for a name or password that will not do."""
    user = _new(name, Role.ADMIN)
    installation.ledger.users.add(
        user, _hashed(password, user.name), _deed(user.name, "user.added_first", user.name, origin), first=True
    )
    return user


def add(installation: Installation, name: str, role: Role, password: Secret, *, by: User, origin: Origin) -> User:
    """Make a user. Raises ConfigError for a name that is used, or a name or password that will not do."""
    user = _new(name, role)
    installation.ledger.users.add(
        user,
        _hashed(password, user.name),
        _deed(by.name, "user.added", user.name, origin, role=role.value),
        credential=origin.credential,
    )
    return user


def change_role(installation: Installation, name: str, role: Role, *, by: User, origin: Origin) -> User:
    """Give a user another role; their sessions end. Raises ConfigError if no admin would be left."""
    deed = _deed(by.name, "user.role_changed", name, origin, role=role.value)
    return installation.ledger.users.change(
        _clean(name), lambda user: replace(user, role=role), deed, credential=origin.credential
    )


def disable(installation: Installation, name: str, *, by: User, origin: Origin) -> User:
    """Let a user in no more; their sessions end. Raises ConfigError if no admin would be left."""
    deed = _deed(by.name, "user.disabled", name, origin)
    return installation.ledger.users.change(
        _clean(name),
        lambda user: replace(user, disabled_us=user.disabled_us or deed.at_us),
        deed,
        credential=origin.credential,
    )


def enable(installation: Installation, name: str, *, by: User, origin: Origin) -> User:
    """Let a user in again."""
    deed = _deed(by.name, "user.enabled", name, origin)
    return installation.ledger.users.change(
        _clean(name), lambda user: replace(user, disabled_us=None), deed, credential=origin.credential
    )


def set_password(
    installation: Installation,
    name: str,
    password: Secret,
    *,
    by: User,
    origin: Origin,
    revokes_tokens: bool = False,
) -> User:
    """Give a user another password; their sessions end, and their tokens if told so.

    Raises ConfigError for one that will not do, and SignInRefusedError if whoever asks has been signed out meanwhile.
    """
    details = {"tokens": "revoked"} if revokes_tokens else {}
    deed = _deed(by.name, "user.password_set", name, origin, **details)
    return installation.ledger.users.change(
        _clean(name),
        lambda user: user,
        deed,
        password=_hashed(password, name),
        ends_tokens=revokes_tokens,
        credential=origin.credential,
    )


def change_password(
    installation: Installation,
    user: User,
    present: Secret,
    password: Secret,
    *,
    origin: Origin,
    revokes_tokens: bool = False,
) -> User:
    """Give a user another password, who must know the present one. Raises SignInRefusedError and ConfigError."""
    _known(installation, user.name, present, origin, changing=True)
    return set_password(installation, user.name, password, by=user, origin=origin, revokes_tokens=revokes_tokens)


def set_language(installation: Installation, user: User, language: str | None, *, origin: Origin) -> User:
    """Note in which language the console speaks to a user."""
    deed = _deed(user.name, "user.language_set", user.name, origin, language=language or "")
    return installation.ledger.users.change(
        user.name, lambda found: replace(found, language=language), deed, ends_sessions=False
    )


def sign_in(
    installation: Installation, name: str, password: Secret, *, origin: Origin, instead_of: Secret | None = None
) -> SignedIn:
    """Begin a session of the user who knows the password, in the place of that of the cookie `instead_of`.

    Raises SignInRefusedError.
    """
    user, hashed = _known(installation, name, password, origin)
    return _begun(installation, user, origin, instead_of, hashed)


def _begun(
    installation: Installation, user: User, origin: Origin, instead_of: Secret | None, hashed: str | None = None
) -> SignedIn:
    """Begin a session. Raises SignInRefusedError if the user is not let in any more, or not by that password."""
    now, secret = _now_us(), Secret(secrets.token_urlsafe(32))
    session = Session(
        mark=_mark(secret),
        user_id=user.id,
        since_us=now,
        seen_us=now,
        ends_us=now + LASTS // timedelta(microseconds=1),
        address=origin.address,
        browser=origin.browser,
    )
    before = None if instead_of is None else _mark(instead_of)
    deed = _deed(user.name, "user.signed_in", user.name, origin)
    if not installation.ledger.users.begin(session, deed, instead_of=before, password=hashed):
        raise SignInRefusedError(_WRONG if hashed is not None else _NOT_LET_IN)
    return SignedIn(user=user, session=session, secret=secret)


def sign_in_known(
    installation: Installation, identity: Identity, *, origin: Origin, instead_of: Secret | None = None
) -> SignedIn:
    """Begin a session of whom an identity provider knows, who is a user from then on, in the role that it says.

    Raises SignInRefusedError for a user who was disabled, and for one who is called as another user is.
    """
    user = installation.ledger.users.find_subject(identity.subject)
    if user is None:
        try:
            user = replace(_new(identity.name, identity.role), subject=identity.subject)
        except ConfigError as error:
            raise SignInRefusedError(error.phrase) from error
        try:
            installation.ledger.users.add(
                user, None, _deed(user.name, "user.came", user.name, origin, role=identity.role.value)
            )
        except ConfigError as error:
            raise SignInRefusedError(
                Phrase(
                    "Another user is called %(name)s: an admin must choose who it is. Nothing was changed.",
                    name=repr(user.name),
                )
            ) from error
    elif user.disabled_us is not None:
        installation.ledger.users.note(_deed("", "user.sign_in_refused", user.name, origin))
        raise SignInRefusedError(_NOT_LET_IN)
    elif user.role is not identity.role:
        deed = _deed(user.name, "user.role_changed", user.name, origin, role=identity.role.value)
        try:
            user = installation.ledger.users.change(user.name, lambda found: replace(found, role=identity.role), deed)
        except ConfigError as error:
            raise SignInRefusedError(error.phrase) from error
    return _begun(installation, user, origin, instead_of)


def invited(installation: Installation, name: str) -> User:
    """Return the admin of that name, who is made if there is none, and has no password: only a link lets them in."""
    found = installation.ledger.users.find(_clean(name))
    if found is not None:
        return found[0]
    user = _new(name, Role.ADMIN)
    installation.ledger.users.add(user, None, Deed(at_us=_now_us(), who="", what="user.invited", target=user.name))
    return user


def sign_in_invited(
    installation: Installation, name: str, *, origin: Origin, instead_of: Secret | None = None
) -> SignedIn:
    """Begin a session of whoever took an invitation. Raises SignInRefusedError for a user who was disabled."""
    user = find(installation, name)
    if user.disabled_us is not None:
        raise SignInRefusedError(_NOT_LET_IN)
    return _begun(installation, user, origin, instead_of)


def signed_in(installation: Installation, secret: Secret) -> SignedIn | None:
    """Return whose session the secret of a cookie is; None: of nobody any more."""
    found = installation.ledger.users.session(_mark(secret), idle_us=IDLE // timedelta(microseconds=1))
    return None if found is None else SignedIn(user=found[1], session=found[0], secret=secret)


def sign_out(installation: Installation, who: SignedIn, *, origin: Origin) -> None:
    """End a session."""
    installation.ledger.users.end(who.session.mark, _deed(who.user.name, "user.signed_out", who.user.name, origin))


def end_session(installation: Installation, mark: str, *, by: User, origin: Origin) -> None:
    """End a session of the user `by`, from another browser."""
    if any(each.mark == mark for each in installation.ledger.users.sessions(by.id)):
        installation.ledger.users.end(mark, _deed(by.name, "user.session_ended", by.name, origin))


def add_token(
    installation: Installation,
    owner: User,
    name: str,
    scope: Scope,
    *,
    by: User,
    origin: Origin,
    lasts: timedelta = TOKEN_LASTS,
) -> tuple[ApiToken, Secret]:
    """Make a token for `owner`, by themselves or by an admin; return its secret, which is kept nowhere.

    Raises ConfigError for one that may do more than its user or than `by`, and for a name or time that will not do.
    """
    if by.id != owner.id and by.role is not Role.ADMIN:
        raise ConfigError(Phrase("Only an admin makes tokens for others."))
    if not owner.role.covers(scope.role) or not by.role.covers(scope.role):
        raise ConfigError(
            Phrase(
                "A token of %(name)s may not do more than they may, who are %(role)s.",
                name=repr(owner.name),
                role=owner.role.value,
            )
        )
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            Phrase(
                "A token's name is one line of 1 to %(longest_name)s characters: say what it is for.",
                longest_name=_LONGEST_NAME,
            )
        )
    if not _SHORTEST_TOKEN <= lasts <= LONGEST_TOKEN:
        raise ConfigError(Phrase("A token works for at most %(days)s days, such as 90d.", days=LONGEST_TOKEN.days))
    now, secret = _now_us(), Secret(TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES))
    token = ApiToken(
        id=secrets.token_hex(8),
        user_id=owner.id,
        name=name,
        scope=scope,
        made_by=by.name,
        made_us=now,
        ends_us=now + lasts // timedelta(microseconds=1),
    )
    deed = _deed(by.name, "token.added", owner.name, origin, token=name, scope=scope.value)
    installation.ledger.users.add_token(token, _mark(secret), deed, most=_MOST_TOKENS, credential=origin.credential)
    return token, secret


def find(installation: Installation, name: str) -> User:
    """Return the user of that name. Raises ConfigError."""
    found = installation.ledger.users.find(_clean(name))
    if found is None:
        raise ConfigError(
            Phrase("There is no user named %(name)s.", name=repr(_clean(name))),
            todo=Phrase("See who there is with `ocelog user list`. How to make one: ocelog user add --help"),
        )
    return found[0]


def tokens(installation: Installation, *, of: User | None) -> list[tuple[ApiToken, User]]:
    """Return the tokens of a user, or of all, with whose they are."""
    return installation.ledger.users.tokens(None if of is None else of.id)


def find_token(installation: Installation, named: str, *, of: User | None) -> tuple[ApiToken, User]:
    """Return the token of that id, or of that name of a user's. Raises ConfigError."""
    for token, user in installation.ledger.users.tokens(None if of is None else of.id):
        if token.id == named or (of is not None and token.name == named):
            return token, user
    raise ConfigError(Phrase("There is no such token."))


def revoke_token(installation: Installation, token: ApiToken, owner: User, *, by: User, origin: Origin) -> None:
    """Let nobody in with a token any more. Raises ConfigError if it is somebody else's, and `by` is no admin."""
    if by.id != owner.id and by.role is not Role.ADMIN:
        raise ConfigError(Phrase("There is no such token."))
    installation.ledger.users.revoke_token(
        token.id, _deed(by.name, "token.revoked", owner.name, origin, token=token.name)
    )


def bearer(installation: Installation, secret: Secret, *, origin: Origin) -> Bearer:
    """Return whose token it is. Raises SignInRefusedError, also for who tried too often.

    A token that is right is let in whatever others tried from the same address: nobody guesses 256 bits, and whoever
    shows one that is over must not shut out all who come by the same proxy.
    """
    text = secret.reveal()
    found = installation.ledger.users.token(_mark(secret)) if text.startswith(TOKEN_PREFIX) else None
    if found is not None:
        token, user = found
        role = user.role if token.scope.role.covers(user.role) else token.scope.role
        return Bearer(user=replace(user, role=role), token=token)
    network = network_of(origin.address)
    bounds = [_AttemptLimit(key=f"token {network}", free=5, longest_s=_LONGEST_WAIT_S, fading=_SLOWLY)]
    _refuse_flood(installation, bounds)
    installation.ledger.users.failed(_fading(bounds), _deed("", "token.refused", "", origin))
    raise SignInRefusedError(Phrase("This token is not known: it is wrong, over or revoked."))


def deed_of(who: User, what: str, target: str, origin: Origin, **details: str) -> Deed:
    """Return what somebody does now, as the trail has it."""
    return _deed(who.name, what, target, origin, **details)


def begin_answer(installation: Installation, key: str, token: str, request: str) -> StoredAnswer | None:
    """Note that a request with an idempotency key is being answered; None: go on. Else it is, or was, already."""
    return installation.ledger.users.begin_answer(key, token, request)


def end_answer(installation: Installation, key: str, answer: tuple[int, str] | None) -> None:
    """Note what a request was answered, status and body; None: nothing came of it, and it may be sent again."""
    installation.ledger.users.end_answer(key, answer)


def note(installation: Installation, who: User, what: str, target: str, origin: Origin, **details: str) -> None:
    """Add to the trail what somebody did."""
    installation.ledger.users.note(_deed(who.name, what, target, origin, **details))


def note_command(installation: Installation, who: str, what: str, target: str, **details: str) -> None:
    """Add to the trail what somebody did by a command, under the name that the machine knows them by."""
    installation.ledger.users.note(
        Deed(at_us=_now_us(), who=who, what=what, target=target, details={"by": "command", **details})
    )


def _known(
    installation: Installation, name: str, password: Secret, origin: Origin, *, changing: bool = False
) -> tuple[User, str]:
    """Return the user of that name, whose password it is, and its hash.

    Raises SignInRefusedError, also for who tried too often.

    `changing`: the user has signed in, and changes it.
    """
    name = _clean(name)
    of_name = _bounds_of_name(name, origin)
    bounds = [
        *of_name,
        _AttemptLimit(key=f"address {network_of(origin.address)}", free=20, longest_s=_LONGEST_WAIT_S, fading=_QUICKLY),
    ]
    _refuse_flood(installation, bounds)
    user, hashed = installation.ledger.users.find(name) or (None, None)
    if user is not None and user.disabled_us is not None:
        user = None
    # Without a user it takes as long.
    matches = _matches(hashed or _nobody(), password)
    if user is None or hashed is None or not matches:
        who, what = (name, "user.password_refused") if changing else ("", "user.sign_in_refused")
        installation.ledger.users.failed(_fading(bounds), _deed(who, what, name, origin))
        raise SignInRefusedError(Phrase("The present password is wrong.") if changing else _WRONG)
    # Not of the address: whoever has a password of their own could guess those of others in between.
    installation.ledger.users.succeeded([each.key for each in of_name])
    return user, hashed


def _bounds_of_name(name: str, origin: Origin) -> list[_AttemptLimit]:
    """Return what bounds guesses of one password.

    From one address it takes long soon. From all of them together one waits for seconds only, so that nobody can be
    kept out by others who guess.
    """
    network = network_of(origin.address)
    return [
        _AttemptLimit(key=f"name {name} at {network}", free=5, longest_s=_LONGEST_WAIT_S, fading=_SLOWLY),
        _AttemptLimit(key=f"name {name}", free=20, longest_s=_SHORT_WAIT_S, fading=_QUICKLY),
    ]


def _fading(bounds: list[_AttemptLimit]) -> dict[str, int]:
    return {each.key: each.fading_us for each in bounds}


@cache
def _nobody() -> str:
    """Return what is compared with where nobody has that name, so that time does not tell who is there."""
    return _hasher.hash(secrets.token_hex())


def _new(name: str, role: Role) -> User:
    name = _clean(name)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            Phrase(
                "A user's name is one line of 1 to %(longest_name)s characters, such as an e-mail address.",
                longest_name=_LONGEST_NAME,
            )
        )
    return User(id=uuid4().hex, name=name, role=role, added_us=_now_us())


def _clean(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _hashed(password: Secret, name: str) -> str:
    """Return how the password of the user of that name is kept. Raises ConfigError for one that will not do."""
    check_password(password, name)
    with _hashing:
        return _hasher.hash(password.reveal())


def _matches(hashed: str, password: Secret) -> bool:
    with _hashing:
        try:
            return _hasher.verify(hashed, password.reveal()[: LONGEST_PASSWORD + 1])
        except argon2.exceptions.VerificationError:
            return False


def _refuse_flood(installation: Installation, bounds: list[_AttemptLimit]) -> None:
    for each in bounds:
        failures, last_us = installation.ledger.users.failures(each.key, fading_us=each.fading_us)
        over = failures - each.free
        wait = min(2.0 ** min(over, 30), each.longest_s) if over >= 0 else 0.0
        passed = (_now_us() - last_us) / 1_000_000
        # A clock that was set back must not keep anybody out for longer than the wait itself.
        if 0 <= passed < wait:
            raise SignInRefusedError(
                Phrase(
                    "Signing in failed %(failures)s times: try again in %(passed)s s.",
                    failures=failures,
                    passed=int(wait - passed) + 1,
                ),
                code="sign_in_throttled",
            )


def _mark(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()


def _deed(who: str, what: str, target: str, origin: Origin, **details: str) -> Deed:
    origin.noted.append(what)
    return Deed(at_us=_now_us(), who=who, what=what, target=target, details=details, address=origin.address)


def _now_us() -> int:
    return time.time_ns() // 1_000
