"""What goes on the trail of what a request did or was refused, and how a page says it.

Each route that changes something is noted by its own name, unless what it did noted itself in words of its own: so no
route is forgotten, and none has to remember.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote_plus

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocelog.access import User
from ocelog.app.alerts.channels import TEST_FAILED
from ocelog.app.users import users
from ocelog.app.users.users import Origin
from ocelog.console.wording import SUMMARIES
from ocelog.errors import OcelogError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import catalogue, say_in, translatable

log = structlog.get_logger()
_REFUSED = "_refused"
_APART = 1.0
"""Seconds between two refusals of the same kind that are noted."""
_HARMLESS = frozenset({"GET", "HEAD"})
_READING = frozenset({"events.search_events", "events.query", "events.export_query"})
"""Routes of the API that only read, whatever their method: what is wrong with a query is no refused change."""
CHECKED = "new_source.check"
"""What the form of a new source does if it only checks."""
WORDS: Mapping[str, str] = {
    "account.add_token": translatable("make an API token"),
    "account.language": translatable("choose a language"),
    "account.password": translatable("change the password"),
    "account.revoke_token": translatable("revoke an API token"),
    "account.session": translatable("sign out another browser"),
    "alert.assigned": translatable("assigned an alert"),
    "alert.closed": translatable("closed an alert"),
    "alert.commented": translatable("commented on an alert"),
    "alert.reopened": translatable("opened an alert again"),
    "alert.resent": translatable("had an alert sent again"),
    "alert.triaged": translatable("triaged an alert"),
    "alerts.change": translatable("change an alert"),
    "alerts.change_many": translatable("change alerts"),
    "api.change": translatable("change something through the API"),
    "channel.added": translatable("added a destination"),
    "channel.edited": translatable("changed a destination"),
    "channel.paused": translatable("paused a destination"),
    "channel.removed": translatable("removed a destination"),
    "channel.resent": translatable("had alerts sent again through a destination"),
    "channel.resumed": translatable("resumed a destination"),
    "channel.routed": translatable("changed what a destination hears of"),
    "channel.test_failed": translatable("tested a destination, which did not take it"),
    "channel.tested": translatable("tested a destination"),
    "channels.answer": translatable("add a destination"),
    "channels.pause": translatable("pause a destination"),
    "channels.remove": translatable("remove a destination"),
    "channels.resend": translatable("have alerts sent again through a destination"),
    "channels.resume": translatable("resume a destination"),
    "channels.route": translatable("change what a destination hears of"),
    "channels.test": translatable("test a destination"),
    "new_source.alarm": translatable("set the alarm of a source"),
    "new_source.answer": translatable("add a source"),
    CHECKED: translatable("check a source"),
    "new_source.pack": translatable("turn a pack on or off"),
    "pack.disabled": translatable("turned a pack off"),
    "pack.enabled": translatable("turned a pack on"),
    "page.open": translatable("open a page"),
    "query.exported": translatable("exported the answer of a query"),
    "rejections.replayed": translatable("tried rejected records again"),
    "rule.disabled": translatable("turned a rule off"),
    "rule.enabled": translatable("turned a rule on"),
    "rule.unjudged_dismissed": translatable("dismissed events that rules were not asked about"),
    "rules.run_tests": translatable("run the tests of a rule"),
    "rules.try_": translatable("try a rule on the past"),
    "rules.turn": translatable("turn rules on or off"),
    "schemas.paste": translatable("check a record against a log schema"),
    "search.export": translatable("export a search"),
    "search.exported": translatable("exported a search"),
    "search.forget": translatable("forget a saved search"),
    "search.removed": translatable("forgot a saved search"),
    "search.save": translatable("save a search"),
    "search.saved": translatable("saved a search"),
    "search_sql.export": translatable("export the answer of a query"),
    "sign_in.sign_out": translatable("sign out"),
    "source.added": translatable("added a source"),
    "source.alarm_set": translatable("set the alarm of a source"),
    "source.changed": translatable("changed the settings of a source"),
    "source.check": translatable("check a source"),
    "source.checked": translatable("checked a source"),
    "source.edit": translatable("change the settings of a source"),
    "source.edited": translatable("changed the settings of a source"),
    "source.pause": translatable("pause a source"),
    "source.paused": translatable("paused a source"),
    "source.purged": translatable("began to delete a source with all rows"),
    "source.remove": translatable("remove a source"),
    "source.removed": translatable("removed a source"),
    "source.resume": translatable("resume a source"),
    "source.resumed": translatable("resumed a source"),
    "source.rotate": translatable("replace the client secret"),
    "source.rotated": translatable("replaced the client secret"),
    "source_rows.begin_purge": translatable("delete a source with all rows"),
    "source_rows.replay": translatable("try rejected records again"),
    "suppression.added": translatable("muted alerts"),
    "suppression.ended": translatable("ended a muting of alerts"),
    "token.added": translatable("made an API token"),
    "token.refused": translatable("an API token was refused"),
    "token.revoked": translatable("revoked an API token"),
    "user.added": translatable("added a user"),
    "user.added_first": translatable("made the first user"),
    "user.came": translatable("came by the identity provider for the first time"),
    "user.disabled": translatable("disabled a user"),
    "user.enabled": translatable("enabled a user"),
    "user.invited": translatable("was invited by a link"),
    "user.language_set": translatable("chose a language"),
    "user.password_set": translatable("set a password"),
    "user.password_refused": translatable("gave a wrong present password"),
    "user.role_changed": translatable("gave a user another role"),
    "user.session_ended": translatable("signed out another browser"),
    "user.sign_in_refused": translatable("signing in was refused"),
    "user.signed_in": translatable("signed in"),
    "user.signed_out": translatable("signed out"),
    "users.add": translatable("add a user"),
    "users.disable": translatable("disable a user"),
    "users.enable": translatable("enable a user"),
    "users.role": translatable("give a user another role"),
}
"""What each deed is called: of a route, as what somebody does or may not do; else as what somebody did."""
_DETAILS: Mapping[str, str] = {
    "after": translatable("after"),
    "address": translatable("address"),
    "asked": translatable("asked"),
    "by": translatable("by"),
    "changed": translatable("changed"),
    "count": translatable("how many"),
    "covers": translatable("covers"),
    "events": translatable("events"),
    "failed": translatable("what failed"),
    "kind": translatable("kind"),
    "landed": translatable("landed"),
    "language": translatable("language"),
    "page": translatable("page"),
    "reason": translatable("reason"),
    "request": translatable("request"),
    "role": translatable("role"),
    "scope": translatable("may do"),
    "settings": translatable("settings"),
    "shared": translatable("shared"),
    "source": translatable("source"),
    "token": translatable("token"),
    "tried": translatable("tried"),
    "verdict": translatable("verdict"),
}
_VALUES: Mapping[str, str] = {
    "true": translatable("yes"),
    "false": translatable("no"),
    "command": translatable("a command"),
    "passed": translatable("passed"),
}
_ADDRESSES = frozenset({"asked", "address"})
"""Details that are what stands behind the question mark of an address."""
_REASONS: Mapping[str, str] = {
    "role": translatable("their role does not allow it"),
    "foreign": translatable("the page was too old, or of another site"),
    "invalid": translatable("what was given does not hold"),
    "request_invalid": translatable("what was given does not hold"),
    "not_found": translatable("there is no such thing"),
    "bug": translatable("a bug in Ocelog"),
    "busy": translatable("too much was going on"),
}


def said(what: str, language: str) -> str:
    """Return what a page calls a deed."""
    refused = what.removesuffix(_REFUSED)
    if what not in WORDS and refused in WORDS:
        return say_in(language, "refused: %(what)s", what=say_in(language, WORDS[refused]))
    return say_in(language, WORDS[what]) if what in WORDS else what


def told(details: Mapping[str, str], language: str) -> str:
    """Return what a page says of the details of a deed."""
    parts = []
    for name, value in details.items():
        label = say_in(language, _DETAILS[name]) if name in _DETAILS else name
        text = unquote_plus(value).replace("&", ", ") if name in _ADDRESSES else value
        known = _VALUES.get(text) or (_REASONS.get(text, SUMMARIES.get(text)) if name == "reason" else None)
        parts.append(f"{label}: {catalogue(language).gettext(known or text) if text else '-'}")
    return "; ".join(parts)


def deed_of_route(route: Any) -> str:
    """Return what a deed of a route is called."""
    return f"{route.endpoint.__module__.rpartition('.')[2]}.{route.name}"


class _Who(Protocol):
    """Somebody who has signed in, or shows a token."""

    @property
    def user(self) -> User:
        """The user."""

    @property
    def origin(self) -> Origin:
        """Where the request comes from."""


class TrailMiddleware:
    """Notes each request of somebody who has signed in that changes something, or is refused, before its answer."""

    def __init__(
        self, app: ASGIApp, installation: Installation, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._installation, self._monotonic = app, installation, monotonic
        self._refused_at = dict[tuple[str, str, str], float]()
        """When a user was refused a deed for a reason, as it was noted last."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, noted)

    async def _note(self, scope: Scope, status: int) -> None:
        state = scope.get("state", {})
        who: _Who | None = state.get("visitor") or state.get("caller")
        route, reason, token = scope.get("route"), state.get("refused", ""), state.get("token", "")
        if who is None or route is None:
            return
        deed = state.get("deed") or deed_of_route(route)
        if scope["method"] in _HARMLESS:
            if reason != "role":
                return
            what, details = f"page.open{_REFUSED}", {"page": scope["path"], "reason": reason}
        elif any(each == TEST_FAILED or each.endswith(_REFUSED) for each in who.origin.noted):
            # It is on the trail already, as what came of it.
            return
        elif deed_of_route(route) in _READING:
            return
        elif status >= 400:
            what, details = deed + _REFUSED, {"reason": reason or "invalid"}
        elif token or who.origin.noted:
            # What a route of the API does is noted where it is done.
            return
        else:
            what, details = deed, {}
        if what.endswith(_REFUSED) and self._is_noted(who.user.id, what, reason):
            return
        if token and what.endswith(_REFUSED) and not what.startswith("page."):
            what, details = f"api.change{_REFUSED}", {"request": f"{scope['method']} {scope['path']}", **details}
        if token:
            details["token"] = token
        params = ", ".join(map(str, scope.get("path_params", {}).values()))
        target = state.get("target") or params or state.get("named", "")
        try:
            await run_in_threadpool(users.note, self._installation, who.user, what, target, who.origin, **details)
        except OcelogError:
            # What was done is done, and its answer must come.
            log.exception("the trail could not be written", what=what, who=who.user.name)

    def _is_noted(self, user_id: str, what: str, reason: str) -> bool:
        """Whether such a refusal was noted a moment ago: nobody fills the ledger by asking for what they may not."""
        key, now = (user_id, what, reason), self._monotonic()
        if now < self._refused_at.get(key, float("-inf")) + _APART:
            return True
        self._refused_at[key] = now
        return False
