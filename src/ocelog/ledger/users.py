"""Who may use the console and the API, their sessions, and the trail of what they did."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ocelog.access import ApiToken, Credential, Deed, Role, Scope, Session, StoredAnswer, User
from ocelog.errors import ConfigError, HomeError, SignInRefusedError
from ocelog.languages.phrases import Phrase
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded, insert_missing
from ocelog.ledger.database.transactions import Database

_u = tables.users.c
_s = tables.sessions.c
_f = tables.sign_in_failures.c
_d = tables.deeds.c
_t = tables.api_tokens.c
_a = tables.api_answers.c
_SEEN_EVERY_US = 60_000_000
"""A session's last sign of life is written so rarely: a page with open tabs would write each second."""
_FORGOTTEN_AFTER_US = 86_400_000_000
"""What failed is forgotten a day after it failed last."""
_OVER_FOR_US = 30 * 86_400_000_000
"""A token that is over is listed for so long, so that whoever looks why a program is refused finds it."""
_ANSWERS_KEPT_US = 86_400_000_000
_MOST_ANSWERS = 1_000
"""Of one token; then the oldest go."""
_ANSWERED_WITHIN_US = 600_000_000
"""A request that has no answer by then has none coming: its process died."""


class UserLedger:
    """Users, sessions and the trail."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def any(self) -> bool:
        """Whether there is a user at all."""
        with self._database.read() as tx:
            return tx.execute(select(_u.id).limit(1)).first() is not None

    def listed(self) -> list[User]:
        """Return every user, by name."""
        with self._database.read() as tx:
            return [_user_of(row) for row in tx.execute(select(tables.users).order_by(_u.name)).mappings()]

    def find(self, name: str) -> tuple[User, str | None] | None:
        """Return the user of that name and the hash of their password; None: nobody is called that."""
        with self._database.read() as tx:
            row = tx.execute(select(tables.users).where(_u.name == name)).mappings().one_or_none()
            return None if row is None else (_user_of(row), row["password"])

    def find_subject(self, subject: str) -> User | None:
        """Return the user whom an identity provider knows so; None: it has sent nobody like that yet."""
        with self._database.read() as tx:
            row = tx.execute(select(tables.users).where(_u.subject == subject)).mappings().one_or_none()
            return None if row is None else _user_of(row)

    def add(
        self,
        user: User,
        password: str | None,
        deed: Deed,
        *,
        first: bool = False,
        credential: Credential | None = None,
    ) -> None:
        """Add a user with the hash of a password. Raises ConfigError for a name in use.

        `first`: only if there is none at all, else ConfigError; of two who try at once one succeeds.
        `credential`: of who does it; if it is over by now, raises SignInRefusedError.
        """
        values: dict[str, Any] = {"id": user.id, "name": user.name, "role": user.role.value, "password": password}
        values |= {"subject": user.subject}
        values |= {"language": user.language, "added_us": user.added_us, "disabled_us": None}
        with self._database.write() as tx:
            # The one row of the ledger is locked, so that on PostgreSQL too nobody else comes between.
            tx.execute(select(tables.identity.c.id).with_for_update()).all()
            _demand_valid(tx, credential)
            if first and tx.execute(select(_u.id).limit(1)).first() is not None:
                raise ConfigError(Phrase("There is a first user already: sign in."))
            try:
                tx.execute(insert(tables.users).values(values))
            except IntegrityError as error:
                raise ConfigError(Phrase("There is a user named %(name)s already.", name=repr(user.name))) from error
            add_deed(tx, deed)

    def change(
        self,
        name: str,
        to: Callable[[User], User],
        deed: Deed,
        *,
        password: str | None = None,
        ends_sessions: bool = True,
        ends_tokens: bool = False,
        credential: Credential | None = None,
    ) -> User:
        """Save what `to` makes of a user, and the hash of a new password if there is one.

        Their sessions end, unless told otherwise, and their tokens, if told so. Raises ConfigError if nobody is called
        that, or if nobody would be left who may change users; SignInRefusedError if the `credential` of who does it is
        over by now.
        """
        with self._database.write() as tx:
            tx.execute(select(tables.identity.c.id).with_for_update()).all()
            _demand_valid(tx, credential)
            row = tx.execute(select(tables.users).where(_u.name == name)).mappings().one_or_none()
            if row is None:
                raise ConfigError(Phrase("There is no user named %(name)s.", name=repr(name)))
            user = to(_user_of(row))
            values: dict[str, Any] = {"role": user.role.value, "language": user.language}
            values |= {"disabled_us": user.disabled_us} | ({} if password is None else {"password": password})
            tx.execute(update(tables.users).where(_u.id == user.id).values(values))
            admins = select(_u.id).where(_u.role == Role.ADMIN.value, _u.disabled_us.is_(None)).limit(1)
            if tx.execute(admins).first() is None:
                raise ConfigError(Phrase("%(name)s is the last admin: make another first.", name=repr(name)))
            if ends_sessions:
                tx.execute(delete(tables.sessions).where(_s.user_id == user.id))
            if ends_tokens:
                # Held first: an answer that is just being noted refers to one.
                own = select(_t.id).where(_t.user_id == user.id)
                tx.execute(own.order_by(_t.id).with_for_update()).all()
                tx.execute(delete(tables.api_answers).where(_a.token_id.in_(own)))
                tx.execute(delete(tables.api_tokens).where(_t.user_id == user.id))
            add_deed(tx, deed)
            return user

    def begin(
        self, session: Session, deed: Deed, *, instead_of: str | None = None, password: str | None = None
    ) -> bool:
        """Begin a session, in the place of the one with the mark `instead_of`; those that are over go.

        None begins, and False is returned, if its user was disabled since they were let in, or has another password
        than the one of the hash `password`: what ended their sessions must end this one, too.
        """
        with self._database.write() as tx:
            user = select(_u.password, _u.disabled_us).where(_u.id == session.user_id).with_for_update()
            present, disabled_us = tx.execute(user).one()
            if disabled_us is not None or password not in (None, present):
                return False
            tx.execute(delete(tables.sessions).where((_s.ends_us <= self._now_us()) | (_s.mark == instead_of)))
            values = {name: bounded(getattr(session, name)) for name in ("mark", "user_id", "address", "browser")}
            values |= {name: getattr(session, name) for name in ("since_us", "seen_us", "ends_us")}
            tx.execute(insert(tables.sessions).values(values))
            add_deed(tx, deed)
            return True

    def session(self, mark: str, *, idle_us: int) -> tuple[Session, User] | None:
        """Return a session and its user; None: none, over, idle for `idle_us`, or the user is disabled."""
        now = self._now_us()
        with self._database.read() as tx:
            found = tx.execute(select(tables.sessions).where(_s.mark == mark)).mappings().one_or_none()
            if found is None:
                return None
            user = _user_of(tx.execute(select(tables.users).where(_u.id == found["user_id"])).mappings().one())
        session = _session_of(found)
        if user.disabled_us is not None or now >= session.ends_us or now >= session.seen_us + idle_us:
            return None
        if not session.seen_us - _SEEN_EVERY_US <= now < session.seen_us + _SEEN_EVERY_US:
            # A home that this user may only read shows pages all the same.
            with suppress(HomeError), self._database.write() as tx:
                tx.execute(update(tables.sessions).where(_s.mark == mark).values(seen_us=now))
            session = replace(session, seen_us=now)
        return session, user

    def sessions(self, user_id: str) -> list[Session]:
        """Return the sessions of a user, the newest first."""
        with self._database.read() as tx:
            found = select(tables.sessions).where(_s.user_id == user_id).order_by(_s.since_us.desc())
            return [_session_of(row) for row in tx.execute(found).mappings()]

    def end(self, mark: str, deed: Deed) -> None:
        """End a session."""
        with self._database.write() as tx:
            if tx.execute(delete(tables.sessions).where(_s.mark == mark)).rowcount:
                add_deed(tx, deed)

    def add_token(
        self, token: ApiToken, mark: str, deed: Deed, *, most: int, credential: Credential | None = None
    ) -> None:
        """Add a token with the hash of its secret; those go that have been over for long.

        Raises ConfigError if its user has `most` of them, or one of that name, or is disabled by now;
        SignInRefusedError if the `credential` of who makes it is over by now.
        """
        with self._database.write() as tx:
            tx.execute(select(tables.identity.c.id).with_for_update()).all()
            _demand_valid(tx, credential)
            owner = tx.execute(select(_u.name, _u.disabled_us).where(_u.id == token.user_id)).one()
            if owner.disabled_us is not None:
                raise ConfigError(Phrase("%(name)s is disabled: enable them first.", name=repr(owner.name)))
            over = select(_t.id).where(_t.ends_us <= self._now_us() - _OVER_FOR_US)
            tx.execute(delete(tables.api_answers).where(_a.token_id.in_(over)))
            tx.execute(delete(tables.api_tokens).where(_t.id.in_(over)))
            names = tx.execute(select(_t.name).where(_t.user_id == token.user_id)).scalars().all()
            if token.name in names:
                raise ConfigError(
                    Phrase("There is a token named %(name)s already: choose another name.", name=repr(token.name))
                )
            if len(names) >= most:
                raise ConfigError(Phrase("A user has at most %(most)s tokens: revoke one that nobody uses.", most=most))
            values = {name: bounded(getattr(token, name)) for name in ("id", "user_id", "name", "made_by")}
            values |= {name: getattr(token, name) for name in ("made_us", "ends_us", "used_us")}
            tx.execute(insert(tables.api_tokens).values(mark=mark, scope=token.scope.value, **values))
            add_deed(tx, deed)

    def token(self, mark: str) -> tuple[ApiToken, User] | None:
        """Return a token and its user, and note that it is used; None: none, over, or the user is disabled."""
        now = self._now_us()
        with self._database.read() as tx:
            found = tx.execute(select(tables.api_tokens).where(_t.mark == mark)).mappings().one_or_none()
            if found is None:
                return None
            user = _user_of(tx.execute(select(tables.users).where(_u.id == found["user_id"])).mappings().one())
        token = _token_of(found)
        if token.ends_us <= now or user.disabled_us is not None:
            return None
        if token.used_us is None or not 0 <= now - token.used_us < _SEEN_EVERY_US:
            with self._database.write() as tx:
                tx.execute(update(tables.api_tokens).where(_t.id == token.id).values(used_us=now))
            token = replace(token, used_us=now)
        return token, user

    def tokens(self, user_id: str | None = None) -> list[tuple[ApiToken, User]]:
        """Return the tokens of a user, or of all, the newest first; those too that are over."""
        found = select(tables.api_tokens).order_by(_t.made_us.desc(), _t.id)
        if user_id is not None:
            found = found.where(_t.user_id == user_id)
        with self._database.read() as tx:
            users = {each["id"]: _user_of(each) for each in tx.execute(select(tables.users)).mappings()}
            return [(_token_of(each), users[each["user_id"]]) for each in tx.execute(found).mappings()]

    def revoke_token(self, token_id: str, deed: Deed) -> None:
        """Let nobody in with a token any more."""
        with self._database.write() as tx:
            # Held first: an answer that is just being noted refers to it.
            tx.execute(select(_t.id).where(_t.id == token_id).with_for_update()).first()
            tx.execute(delete(tables.api_answers).where(_a.token_id == token_id))
            if tx.execute(delete(tables.api_tokens).where(_t.id == token_id)).rowcount:
                add_deed(tx, deed)

    def begin_answer(self, key: str, token_id: str, request: str) -> StoredAnswer | None:
        """Note that a request is being answered; None: go on. Else it is, or was, answered already.

        Of two at once one goes on. What is older than a day, or more than a token may have, goes.
        """
        now = self._now_us()
        with self._database.write() as tx:
            unanswered = and_(_a.status.is_(None), _a.at_us <= now - _ANSWERED_WITHIN_US)
            tx.execute(delete(tables.api_answers).where((_a.at_us <= now - _ANSWERS_KEPT_US) | unanswered))
            if tx.execute(select(_t.id).where(_t.id == token_id).with_for_update()).first() is None:
                # Revoked since it was let in: its last request is answered, and nothing is kept of it.
                return None
            values = {"key": key, "token_id": token_id, "request": request, "at_us": now}
            if not insert_missing(tx, tables.api_answers, **values, status=None, body=None):
                row = tx.execute(select(tables.api_answers).where(_a.key == key)).mappings().one()
                return StoredAnswer(request=row["request"], status=row["status"], body=row["body"])
            newest = select(_a.key).where(_a.token_id == token_id).order_by(_a.at_us.desc(), _a.key)
            older = tx.execute(newest.offset(_MOST_ANSWERS)).scalars().all()
            tx.execute(delete(tables.api_answers).where(_a.key.in_(older)))
            return None

    def end_answer(self, key: str, answer: tuple[int, str] | None) -> None:
        """Note what a request was answered; None: nothing came of it, and it may be sent again."""
        with self._database.write() as tx:
            if answer is None:
                tx.execute(delete(tables.api_answers).where(_a.key == key))
            else:
                status, body = answer
                tx.execute(update(tables.api_answers).where(_a.key == key).values(status=status, body=body))

    def failures(self, key: str, *, fading_us: int) -> tuple[int, int]:
        """Return how often signing in failed of late for `key`, and when last; each so long one counts no more."""
        with self._database.read() as tx:
            row = tx.execute(select(_f.failures, _f.last_us).where(_f.key == key)).one_or_none()
        if row is None or row[1] <= self._now_us() - _FORGOTTEN_AFTER_US:
            return 0, 0
        return _left(row[0], self._now_us() - row[1], fading_us), row[1]

    def failed(self, keys: Mapping[str, int], deed: Deed) -> None:
        """Note that signing in failed, for each of the keys, with after how long one failure counts no more."""
        now = self._now_us()
        with self._database.write() as tx:
            tx.execute(delete(tables.sign_in_failures).where(_f.last_us <= now - _FORGOTTEN_AFTER_US))
            for key, fading_us in sorted((bounded(key), fading_us) for key, fading_us in keys.items()):
                insert_missing(tx, tables.sign_in_failures, key=key, failures=0, last_us=now)
                row = tx.execute(select(_f.failures, _f.last_us).where(_f.key == key).with_for_update()).one()
                failures = _left(row[0], now - row[1], fading_us) + 1
                again = update(tables.sign_in_failures).where(_f.key == key)
                tx.execute(again.values(failures=failures, last_us=now))
            add_deed(tx, deed)

    def succeeded(self, keys: list[str]) -> None:
        """Forget what failed for the keys."""
        with self._database.write() as tx:
            tx.execute(delete(tables.sign_in_failures).where(_f.key.in_(list(map(bounded, keys)))))

    def note(self, deed: Deed) -> None:
        """Add to the trail."""
        with self._database.write() as tx:
            add_deed(tx, deed)

    def trail(
        self, *, before: int | None = None, limit: int = 100, who: str | None = None, what: str | None = None
    ) -> list[Deed]:
        """Return what was done, the newest first, from the one before the number `before`; by whom, and only what."""
        found = select(tables.deeds).order_by(_d.number.desc()).limit(limit)
        if before is not None:
            found = found.where(_d.number < before)
        if who is not None:
            found = found.where(_d.who == who)
        if what is not None:
            found = found.where(_d.what == what)
        with self._database.read() as tx:
            return [_deed_of(row) for row in tx.execute(found).mappings()]

    def trail_names(self) -> tuple[list[str], list[str]]:
        """Return who stands on the trail, and what."""
        with self._database.read() as tx:
            who, what = (list(tx.execute(select(each).distinct()).scalars()) for each in (_d.who, _d.what))
        return sorted(who), sorted(what)

    def last_done(self, what: str) -> dict[str, int]:
        """Return when something was done last to each of what it was done to."""
        found = select(_d.target, func.max(_d.at_us)).where(_d.what == what).group_by(_d.target)
        with self._database.read() as tx:
            done: dict[str, int] = dict(tx.execute(found).all())
            return done

    def shorten(self, *, before_us: int) -> int:
        """Drop what was done before an instant. Returns how many deeds went."""
        with self._database.write() as tx:
            return tx.execute(delete(tables.deeds).where(_d.at_us < before_us)).rowcount


def _demand_valid(tx: Connection, credential: Credential | None) -> None:
    """Refuse what was asked for with what lets nobody in any more: what ended it must end what is done with it, too.

    Within a transaction that holds the ledger's one row, as those do that end them. Raises SignInRefusedError.
    """
    if credential is None:
        return
    if credential.session is not None:
        shown = select(_s.mark).where(_s.mark == credential.session)
    else:
        shown = select(_t.id).where(_t.id == credential.token)
    user = tx.execute(select(_u.role, _u.disabled_us).where(_u.id == credential.user_id)).one()
    lowered = not Role(user.role).covers(credential.role)
    if lowered or user.disabled_us is not None or tx.execute(shown).first() is None:
        raise SignInRefusedError(
            Phrase("You were signed out before this was done. Nothing was changed: sign in again.")
        )


def _left(failures: int, passed_us: int, fading_us: int) -> int:
    """Return how many failures still count. A clock that was set back takes nothing away."""
    return max(failures - max(passed_us, 0) // fading_us, 0)


def add_deed(tx: Connection, deed: Deed) -> None:
    """Add to the trail."""
    values = {name: bounded(getattr(deed, name)) for name in ("who", "what", "target", "address")}
    details = {name: bounded(value) for name, value in deed.details.items()}
    tx.execute(insert(tables.deeds).values(at_us=deed.at_us, details=details, **values))


def _user_of(row: RowMapping) -> User:
    return User(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        added_us=row["added_us"],
        disabled_us=row["disabled_us"],
        language=row["language"],
        subject=row["subject"],
    )


def _session_of(row: RowMapping) -> Session:
    return Session(**{name: row[name] for name in Session.__struct_fields__})


def _token_of(row: RowMapping) -> ApiToken:
    values = {name: row[name] for name in ApiToken.__struct_fields__}
    return ApiToken(**{**values, "scope": Scope(row["scope"])})


def _deed_of(row: RowMapping) -> Deed:
    return Deed(**{name: row[name] for name in Deed.__struct_fields__})
