"""Whether a source would work if it were pulled now, item by item, and what to do about each that does not."""

import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from ocelog.errors import (
    AccessRefusedError,
    OcelogError,
    OperatorError,
    SourceThrottledError,
    SourceUnavailableError,
    TransientError,
)
from ocelog.pull.ports import Answer, Ask, CursorLost, HealthItem, HealthState, Page, Unusable
from ocelog.sources.wiz.envelope import readable
from ocelog.sources.wiz.settings import WizSettings
from ocelog.sources.wiz.streams import ROOTS, Root
from ocelog.times import EPOCH
from ocelog.units import write_list

_CLOCKS_APART = timedelta(seconds=60)
_MOST_PROJECTS = 20
"""So many are tried: each costs a request per log type, at three per second."""
_PATIENCE = 30.0
"""Seconds that a check waits in all for Wiz to get over HTTP 429, 502 or 503; a pull would wait for longer."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0

Found = TypeVar("Found")


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
    """Calls that are tried again while Wiz is busy, until the check's patience is used up."""

    def __init__(self, source: CheckableSource, told: Callable[[str], None], sleep: Callable[[float], None]) -> None:
        self._told = told
        self._sleep = sleep
        # At a rate far below 1 the requests of a check alone take longer.
        self._left = max(_PATIENCE, 12 / source.settings.rate)

    def of(self, call: Callable[[], Found]) -> Found:
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
    sleep: Callable[[float], None] = time.sleep,
) -> list[HealthItem]:
    """Try everything that a pull needs: one token, some cheap requests, and one record of each log type.

    Never raises for what Wiz or the network does: that is what the items tell. What cannot be tried, because something
    before it failed, is left out. What passes by itself is waited for, some 30 s in all, and `told`.
    """
    tries = _Tries(source, told, sleep)
    items = list(_way_in(source, tries, our_now))
    if any(item.state is HealthState.FAIL for item in items):
        return items
    checked = [_query(source, tries, ROOTS[log_type]) for log_type in source.settings.log_types]
    queries = [item for item, _ in checked]
    denied = [item.name for item, error in checked if error is not None and error.code == "access_denied"]
    return [*items, *queries, *_projects(source, queries, denied), *_project_ids(source)]


def _way_in(source: CheckableSource, tries: _Tries, our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    try:
        tries.of(source.fetch_token)
    except AccessRefusedError as error:
        yield HealthItem(name="token", state=HealthState.FAIL, text=str(error), todo=_AS_WIZ_SAYS)
        return
    except OcelogError as error:
        yield _unreachable("the token URL", source.settings.token_url, error)
        return
    yield HealthItem(name="token", state=HealthState.OK, text=f"granted by {source.settings.token_url}")
    yield from _address(source, tries, our_now)


def _address(source: CheckableSource, tries: _Tries, our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    try:
        url = source.api_url()
    except OcelogError as error:
        yield HealthItem(name="address", state=HealthState.FAIL, text=str(error), todo="Set --api-url.")
        return
    try:
        now = tries.of(source.now)
    except OcelogError as error:
        yield _unreachable("the API", url, error)
        return
    apart = our_now() - now
    yield HealthItem(name="address", state=HealthState.OK, text=f"{url} answers")
    seconds = f"{abs(apart.total_seconds()):.0f} s {'ahead of' if apart > timedelta(0) else 'behind'}"
    if abs(apart) <= _CLOCKS_APART:
        yield HealthItem(name="clock", state=HealthState.OK, text=f"this machine is {seconds} Wiz")
    else:
        yield HealthItem(
            name="clock",
            state=HealthState.WARN,
            text=f"this machine's clock is {seconds} Wiz's. Ocelog uses Wiz's: nothing is missed, but ages are wrong.",
            todo="Synchronize this machine's clock (NTP), unless it is right.",
        )


def _unreachable(what: str, url: str, error: OcelogError) -> HealthItem:
    """Return the item of a way in that does not lead in: what to do depends on what is known, no more."""
    text, later = f"{what} {url}: {error}", False
    match error:
        case SourceThrottledError():
            text, todo, later = f"rate-limited: {text}", _THROTTLED, True
        case SourceUnavailableError(__cause__=None):
            todo, later = "Try again in some minutes. If it stays so, check the URL, and any proxy on the way.", True
        case SourceUnavailableError():
            todo, later = "Check the URL, the network, HTTPS_PROXY and the CA file.", True
        case AccessRefusedError() | OperatorError():
            todo = _AS_WIZ_SAYS
        case _:
            todo = "Check the URL."
    return HealthItem(name="address", state=HealthState.FAIL, text=text, todo=todo, later=later)


_AS_WIZ_SAYS = "Check the client ID, the client secret and the service account in Wiz; then try again."
_THROTTLED = (
    "Try again in some minutes. If it goes on, send fewer requests (--rate 1). Other programs that use the same "
    "service account share its limit."
)


def _query(source: CheckableSource, tries: _Tries, root: Root) -> tuple[HealthItem, AccessRefusedError | None]:
    """Ask for one record of the last day; return what was found, and the refusal if it was refused."""
    name = root.short

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
        todo = _AS_WIZ_SAYS
        if error.code in ("scope_missing", "access_denied"):
            missing = error.code == "scope_missing"
            todo = f"{'Add' if missing else 'Check'} the scope {root.scope} in Wiz, or leave {name} out (--log-type)."
        return HealthItem(name=name, state=HealthState.FAIL, text=str(error), todo=todo), error
    except SourceThrottledError as error:
        text = f"rate-limited: {error}"
        return HealthItem(name=name, state=HealthState.FAIL, text=text, todo=_THROTTLED, later=True), None
    except TransientError as error:
        todo = "Try again in some minutes."
        return HealthItem(name=name, state=HealthState.FAIL, text=str(error), todo=todo, later=True), None
    except OcelogError as error:
        todo = "Check the API URL. If it is right, please report this message."
        return HealthItem(name=name, state=HealthState.FAIL, text=str(error), todo=todo), None
    match answer:
        case Page(total=total):
            return _answered(root, total, source.refused(root.kind.log_type)), None
        case Unusable(reason=reason) | CursorLost(reason=reason):
            todo = "Try again. `pull` can handle it."
            return HealthItem(name=name, state=HealthState.WARN, text=reason, todo=todo), None


def _answered(root: Root, total: int | None, refused: frozenset[str]) -> HealthItem:
    counted = "answered" if total is None else f"answered: {total} in the last day"
    if not refused:
        return HealthItem(name=root.short, state=HealthState.OK, text=counted)
    return HealthItem(
        name=root.short,
        state=HealthState.WARN,
        text=f"{counted}, without {', '.join(sorted(refused))}, which Wiz refuses to this account",
        todo="Add the scopes that these fields need, or accept that their columns stay null.",
    )


def _projects(source: CheckableSource, queries: list[HealthItem], denied: Collection[str]) -> Iterator[HealthItem]:
    """Report the log types without projects: they come whole or, to an account bound to some, not at all.

    Nothing is said of a binding unless Wiz denied access: an outage or a missing scope says nothing about it.
    """
    failed = {item.name for item in queries if item.state is HealthState.FAIL}
    limited = write_list(root.short for root in ROOTS.values() if root.project_filter is not None)
    for root in (ROOTS[name] for name in source.settings.log_types if ROOTS[name].project_filter is None):
        if root.short in denied:
            yield HealthItem(
                name="projects",
                state=HealthState.FAIL,
                text=f"an account that is bound to projects cannot read {root.title}, whatever its scopes",
                todo=(
                    f"If yours is, make another one for {root.short} only, without projects, and leave "
                    f"{root.short} out of this source."
                ),
            )
        elif source.settings.projects and root.short not in failed:
            yield HealthItem(
                name="projects",
                state=HealthState.WARN,
                text=f"the projects limit {limited} only; all of {root.title} is read",
                todo=f"To read nothing of other projects, leave {root.short} out of this source.",
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
            name="project ids",
            state=HealthState.WARN,
            text=(
                f"Wiz shows this account no {' nor '.join(root.title for root in roots)} of "
                f"{', '.join(map(readable, empty))}"
            ),
            todo="Check the ids in Wiz (the end of a project's URL). A new project may have no records yet.",
        )
    elif all(any(found) for found in counts.values()):
        more = len(source.settings.projects) - len(projects)
        untried = f"; {more} more were not tried" if more else ""
        yield HealthItem(name="project ids", state=HealthState.OK, text=f"each has records{untried}")


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
