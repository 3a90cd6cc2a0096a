"""Whether a source would work if it were pulled now, item by item, and what to do about each that does not."""

import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from ocelog.errors import (
    AccessRefusedError,
    ConfigError,
    OcelogError,
    OperatorError,
    SourceThrottledError,
    SourceUnavailableError,
    TransientError,
)
from ocelog.languages.phrases import Phrase, translatable
from ocelog.pull.ports import Answer, Ask, CursorLost, HealthItem, HealthState, Page, Unusable
from ocelog.sources.wiz.envelope import readable
from ocelog.sources.wiz.settings import WizSettings
from ocelog.sources.wiz.streams import ROOTS, Root
from ocelog.times import EPOCH
from ocelog.units import list_phrase

_CLOCKS_APART = timedelta(seconds=60)
_MOST_PROJECTS = 20
"""So many are tried: each costs a request per log type, at three per second."""
_TOKEN, _ADDRESS, _CLOCK = translatable("token"), translatable("address"), translatable("clock")
_PROJECTS, _PROJECT_IDS = translatable("projects"), translatable("project ids")
_BUSY_SECONDS = 30.0
"""Seconds that a check waits in all for Wiz to get over HTTP 429, 502 or 503; a pull would wait for longer."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0

Result = TypeVar("Result")


class CheckableSource(Protocol):
    """What is checked: one tenant as one service account sees it."""

    @property
    def settings(self) -> WizSettings:
        """What the source is set to."""

    def fetch_token(self) -> None:
        """Make sure that there is a token."""

    def api_url(self) -> str:
        """Return the address of the API."""

    def now(self) -> datetime:
        """Return the API's present instant."""

    def ask(self, ask: Ask, *, projects: tuple[str, ...] | None = None) -> Answer:
        """Ask once, about `projects` instead of those of the settings."""

    def refused(self, log_type: str) -> frozenset[str]:
        """Return the dotted paths of fields that this account may not ask for."""


class _Tries:
    """Calls that are tried again while Wiz is busy, for `_BUSY_SECONDS` in all."""

    def __init__(self, source: CheckableSource, told: Callable[[str], None], sleep: Callable[[float], None]) -> None:
        self._told = told
        self._sleep = sleep
        # At a rate far below 1 the requests of a check alone take longer.
        self._left = max(_BUSY_SECONDS, 12 / source.settings.rate)

    def of(self, call: Callable[[], Result]) -> Result:
        """Return what `call` returns. Raises what it raises if that does not pass in time."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return call()
            except (SourceThrottledError, SourceUnavailableError) as error:
                asked = error.retry_after.total_seconds() if error.retry_after is not None else pause
                wait = max(asked, pause)
                # What has a cause came from the network, not from Wiz: an address that is wrong stays so.
                if error.__cause__ is not None or wait > self._left:
                    raise
                self._told(f"{str(error).removesuffix('.')}. Trying again in {wait:.0f} s.")
                self._left -= wait
                self._sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)


def check(
    source: CheckableSource,
    *,
    our_now: Callable[[], datetime] = lambda: datetime.now(UTC),
    told: Callable[[str], None] = lambda _: None,
    found: Callable[[HealthItem], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[HealthItem]:
    """Try everything that a pull needs: one token, some cheap requests, and one record of each log type.

    Never raises for what Wiz or the network does: that is what the items tell. What cannot be tried, because something
    before it failed, is left out. What passes by itself is waited for, some 30 s in all, and `told`. `found` hears of
    each item as soon as it is known.
    """
    items = list[HealthItem]()
    for item in _items(source, _Tries(source, told, sleep), our_now):
        found(item)
        items.append(item)
    return items


def _items(source: CheckableSource, tries: _Tries, our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    for item in _way_in(source, tries, our_now):
        yield item
        if item.state is HealthState.FAIL:
            return
    queries, denied = list[HealthItem](), list[str]()
    for log_type in source.settings.log_types:
        item, error = _query(source, tries, ROOTS[log_type])
        yield item
        queries.append(item)
        if error is not None and error.code == "access_denied":
            denied.append(item.name)
    yield from _projects(source, queries, denied)
    yield from _project_ids(source)


def _way_in(source: CheckableSource, tries: _Tries, our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    try:
        tries.of(source.fetch_token)
    except AccessRefusedError as error:
        todo = error.todo or _AS_WIZ_SAYS
        yield HealthItem(name=_TOKEN, state=HealthState.FAIL, text=error.what, todo=todo, code=error.code)
        return
    except OcelogError as error:
        yield _unreachable(Phrase("the token URL"), source.settings.token_url, error)
        return
    yield HealthItem(
        name=_TOKEN, state=HealthState.OK, text=Phrase("granted by %(token_url)s", token_url=source.settings.token_url)
    )
    yield from _address(source, tries, our_now)


def _address(source: CheckableSource, tries: _Tries, our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    try:
        url = source.api_url()
    except OcelogError as error:
        yield HealthItem(
            name=_ADDRESS, state=HealthState.FAIL, text=error.phrase, todo=Phrase("Give the API URL (--api-url).")
        )
        return
    try:
        now = tries.of(source.now)
    except OcelogError as error:
        yield _unreachable(Phrase("the API"), url, error)
        return
    apart = our_now() - now
    yield HealthItem(name=_ADDRESS, state=HealthState.OK, text=Phrase("%(url)s answers", url=url))
    ahead = apart > timedelta(0)
    size = f"{abs(apart.total_seconds()):.0f}"
    seconds = Phrase("%(size)s s ahead of", size=size) if ahead else Phrase("%(size)s s behind", size=size)
    if abs(apart) <= _CLOCKS_APART:
        yield HealthItem(
            name=_CLOCK, state=HealthState.OK, text=Phrase("this machine is %(seconds)s Wiz", seconds=seconds)
        )
    else:
        yield HealthItem(
            name=_CLOCK,
            state=HealthState.WARN,
            text=Phrase(
                "this machine's clock is %(seconds)s Wiz's. Ocelog uses Wiz's: nothing is missed, but ages are wrong.",
                seconds=seconds,
            ),
            todo=Phrase("Synchronize this machine's clock (NTP), unless it is right."),
        )


def _unreachable(what: str, url: str, error: OcelogError) -> HealthItem:
    """Return the item of a way in that does not lead in: what to do depends on what is known, no more."""
    text, later = Phrase("%(what)s %(url)s: %(error)s", what=what, url=url, error=error.phrase), False
    todo: str
    match error:
        case SourceThrottledError():
            text, todo, later = Phrase("rate-limited: %(text)s", text=text), _THROTTLED, True
        case SourceUnavailableError(__cause__=None):
            todo, later = (
                Phrase("Try again in some minutes. If it stays so, check the URL, and any proxy on the way."),
                True,
            )
        case SourceUnavailableError():
            todo, later = Phrase("Check the URL, the network, HTTPS_PROXY and the CA file."), True
        case ConfigError():
            # Nothing was asked, and so nothing is known of the account.
            todo = Phrase("Check the URL.")
        case AccessRefusedError() | OperatorError():
            todo = _AS_WIZ_SAYS
        case _ if error.todo:
            # It says itself which address it is about.
            text, todo = Phrase("%(url)s: %(error)s", url=url, error=error.what), error.todo
        case _:
            todo = Phrase("Check the URL.")
    return HealthItem(name=_ADDRESS, state=HealthState.FAIL, text=text, todo=todo, later=later)


_AS_WIZ_SAYS = Phrase("Check the client ID, the client secret and the service account in Wiz; then try again.")
_THROTTLED = Phrase(
    "Try again in some minutes. If it goes on, send fewer requests (--rate 1). Other programs that use the same "
    "service account share its limit."
)


def _query(source: CheckableSource, tries: _Tries, root: Root) -> tuple[HealthItem, AccessRefusedError | None]:
    """Ask for one record of the last day; return what was found, and the refusal if it was refused."""
    name = root.kind.log_type

    def ask() -> Answer:
        now = source.now()
        return source.ask(
            Ask(
                log_type=root.kind.log_type,
                by=root.kind.cursor_field,
                since=now - timedelta(days=1),
                until=now,
                open_only=False,
                page_size=1,
            )
        )

    try:
        answer = tries.of(ask)
    except AccessRefusedError as error:
        if error.todo:
            return HealthItem(name=name, state=HealthState.FAIL, text=error.what, todo=error.todo), error
        todo = _AS_WIZ_SAYS
        if error.code in ("scope_missing", "access_denied"):
            missing = error.code == "scope_missing"
            text = (
                translatable("Add the scope %(scope)s in Wiz, or leave %(name)s out (--log-type).")
                if missing
                else translatable("Check the scope %(scope)s in Wiz, or leave %(name)s out (--log-type).")
            )
            todo = Phrase(text, scope=root.scope, name=name)
        return HealthItem(name=name, state=HealthState.FAIL, text=error.phrase, todo=todo), error
    except SourceThrottledError as error:
        text = Phrase("rate-limited: %(text)s", text=error.phrase)
        return HealthItem(name=name, state=HealthState.FAIL, text=text, todo=_THROTTLED, later=True), None
    except TransientError as error:
        todo = Phrase("Try again in some minutes.")
        return HealthItem(name=name, state=HealthState.FAIL, text=error.phrase, todo=todo, later=True), None
    except OcelogError as error:
        todo = Phrase("Check the API URL. If it is right, please report this message.")
        return HealthItem(name=name, state=HealthState.FAIL, text=error.phrase, todo=todo), None
    match answer:
        case Page(total=total):
            return _answered(root, total, source.refused(root.kind.log_type)), None
        case Unusable(reason=reason) | CursorLost(reason=reason):
            todo = Phrase("Try again. `pull` can handle it.")
            return HealthItem(name=name, state=HealthState.WARN, text=reason, todo=todo), None


def _answered(root: Root, total: int | None, refused: frozenset[str]) -> HealthItem:
    counted = Phrase("answered") if total is None else Phrase("answered: %(total)s in the last day", total=total)
    if not refused:
        return HealthItem(name=root.kind.log_type, state=HealthState.OK, text=counted)
    return HealthItem(
        name=root.kind.log_type,
        state=HealthState.WARN,
        text=Phrase(
            "%(counted)s, without %(refused)s, which Wiz refuses to this account",
            counted=counted,
            refused=", ".join(sorted(refused)),
        ),
        todo=Phrase("Add the scopes that these fields need, or accept that their columns stay null."),
    )


def _projects(source: CheckableSource, queries: list[HealthItem], denied: Collection[str]) -> Iterator[HealthItem]:
    """Report the log types without projects: they come whole or, to an account bound to some, not at all.

    Nothing is said of a binding unless Wiz denied access: an outage or a missing scope says nothing about it.
    """
    failed = {item.name for item in queries if item.state is HealthState.FAIL}
    limited = list_phrase(root.kind.log_type for root in ROOTS.values() if root.project_filter is not None)
    for root in (ROOTS[name] for name in source.settings.log_types if ROOTS[name].project_filter is None):
        if root.kind.log_type in denied:
            yield HealthItem(
                name=_PROJECTS,
                state=HealthState.FAIL,
                text=Phrase(
                    "an account that is bound to projects cannot read %(title)s, whatever its scopes", title=root.title
                ),
                todo=(
                    Phrase(
                        "If yours is, make another one for %(short)s only, without projects, and leave %(short)s "
                        "out of this source.",
                        short=root.kind.log_type,
                    )
                ),
            )
        elif source.settings.projects and root.kind.log_type not in failed:
            yield HealthItem(
                name=_PROJECTS,
                state=HealthState.WARN,
                text=Phrase(
                    "the projects limit %(limited)s only; all of %(title)s is read", limited=limited, title=root.title
                ),
                todo=Phrase(
                    "To read nothing of other projects, leave %(short)s out of this source.", short=root.kind.log_type
                ),
            )


def _project_ids(source: CheckableSource) -> Iterator[HealthItem]:
    """Tell which projects nothing belongs to.

    The API answers for an id that no project has as for one without records, and nothing that the scopes of a log type
    open looks a project up (introspection): so this is all that can be known.
    """
    projects = source.settings.projects[:_MOST_PROJECTS]
    roots = [ROOTS[name] for name in source.settings.log_types if ROOTS[name].project_filter is not None]
    if not projects or not roots:
        return
    counts = {project: [_count(source, root, project) for root in roots] for project in projects}
    empty = [project for project, found in counts.items() if all(count == 0 for count in found)]
    if empty:
        yield HealthItem(
            name=_PROJECT_IDS,
            state=HealthState.WARN,
            text=(
                Phrase(
                    "Wiz shows this account no %(roots)s of %(empty)s",
                    roots=list_phrase((root.title for root in roots), "nor"),
                    empty=", ".join(map(readable, empty)),
                )
            ),
            todo=Phrase("Check the ids in Wiz (the end of a project's URL). A new project may have no records yet."),
        )
    elif all(any(found) for found in counts.values()):
        more = len(source.settings.projects) - len(projects)
        untried = Phrase("; %(more)s more were not tried", more=more) if more else ""
        yield HealthItem(
            name=_PROJECT_IDS, state=HealthState.OK, text=Phrase("each has records%(untried)s", untried=untried)
        )


def _count(source: CheckableSource, root: Root, project: str) -> int | None:
    """Return how many records of `root` belong to `project`; None if that cannot be known: other items say why."""
    try:
        ask = Ask(
            log_type=root.kind.log_type,
            by=root.kind.sweep_by or root.kind.cursor_field,
            since=EPOCH,
            until=source.now(),
            open_only=False,
            page_size=1,
        )
        answer = source.ask(ask, projects=(project,))
    except OcelogError:
        return None
    return answer.total if isinstance(answer, Page) else None
