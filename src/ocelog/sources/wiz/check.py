"""Whether a source would work if it were pulled now, item by item, and what to do about each that does not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ocelog.errors import AccessRefusedError, OcelogError, OperatorError, SourceThrottledError, SourceUnavailableError
from ocelog.instants import EPOCH
from ocelog.pull.ports import Ask, CursorLost, Page, Unusable
from ocelog.sources.wiz.envelope import readable
from ocelog.sources.wiz.streams import AUDIT, ROOTS, Root

if TYPE_CHECKING:
    from ocelog.sources.wiz.source import WizSource

_CLOCKS_APART = timedelta(seconds=60)
_MOST_PROJECTS = 20
"""So many are tried: each costs a question a log type, at three a second."""


class HealthState(StrEnum):
    """How well one item is."""

    OK = "ok"
    WARN = "warn"
    """It works, though not as one would think."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthItem:
    """One thing that must hold for a source to be pulled."""

    name: str
    state: HealthState
    text: str
    todo: str = ""
    """What a person can do; empty where there is nothing to do."""


def check(source: "WizSource", *, our_now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[HealthItem]:
    """Try everything that a pull needs: one token, some cheap questions, and one record of each log type.

    Never raises for what Wiz or the network does: that is what the items tell. What cannot be tried, for something
    before it failed, is left out.
    """
    items = list(_way_in(source, our_now))
    if any(item.state is HealthState.FAIL for item in items):
        return items
    queries = [_query(source, ROOTS[log_type]) for log_type in source.settings.log_types]
    return [*items, *queries, *_projects(source, queries), *_project_ids(source)]


def _way_in(source: "WizSource", our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    try:
        source.fetch_token()
    except AccessRefusedError as error:
        yield HealthItem(
            name="token",
            state=HealthState.FAIL,
            text=str(error),
            todo="Compare client id, client secret and token URL with what Wiz showed when the account was made.",
        )
        return
    except OcelogError as error:
        yield _unreachable("the token URL", source.settings.token_url, error)
        return
    yield HealthItem(name="token", state=HealthState.OK, text=f"granted by {source.settings.token_url}")
    yield from _address(source, our_now)


def _address(source: "WizSource", our_now: Callable[[], datetime]) -> Iterator[HealthItem]:
    try:
        url = source.api_url()
    except OcelogError as error:
        yield HealthItem(name="address", state=HealthState.FAIL, text=str(error), todo="Set --api-url.")
        return
    try:
        apart = our_now() - source.now()
    except OcelogError as error:
        yield _unreachable("the API", url, error)
        return
    yield HealthItem(name="address", state=HealthState.OK, text=f"{url} answers")
    seconds = f"{abs(apart.total_seconds()):.0f} s {'ahead of' if apart > timedelta(0) else 'behind'}"
    if abs(apart) <= _CLOCKS_APART:
        yield HealthItem(name="clock", state=HealthState.OK, text=f"this machine is {seconds} Wiz")
    else:
        yield HealthItem(
            name="clock",
            state=HealthState.WARN,
            text=f"this machine's clock is {seconds} Wiz's. Pulling goes by Wiz's: nothing is missed, ages are off.",
            todo="Let this machine keep its clock by NTP.",
        )


def _unreachable(what: str, url: str, error: OcelogError) -> HealthItem:
    match error:
        case SourceUnavailableError():
            todo = "Check the URL, the network, HTTPS_PROXY and the CA file."
        case AccessRefusedError():
            todo = "Mend in Wiz what its answer names, then check again."
        case OperatorError():
            todo = "Do what it says, then check again."
        case SourceThrottledError():
            todo = "Try again in some minutes; where it goes on, ask for less with --rate."
        case _:
            todo = "Check the URL."
    return HealthItem(name="address", state=HealthState.FAIL, text=f"{what} {url}: {error}", todo=todo)


def _query(source: "WizSource", root: Root) -> HealthItem:
    """Ask for one record of the last day."""
    name = root.short
    try:
        now = source.now()
        answer = source.ask(
            Ask(
                log_type=root.kind.log_type,
                by=root.kind.cursor_field,
                since=now - timedelta(days=1),
                until=now,
                open_only=False,
                page_size=1,
            )
        )
    except AccessRefusedError as error:
        return HealthItem(
            name=name,
            state=HealthState.FAIL,
            text=str(error),
            todo=f"Add the scopes read:resources and {root.scope} to the service account, or leave {name} out.",
        )
    except OcelogError as error:
        return HealthItem(name=name, state=HealthState.FAIL, text=str(error), todo="Try again later.")
    match answer:
        case Page(total=total):
            return _answered(root, total, source.refused(root.kind.log_type))
        case Unusable(reason=reason) | CursorLost(reason=reason):
            return HealthItem(name=name, state=HealthState.WARN, text=reason, todo="Try again; pulling lives with it.")


def _answered(root: Root, total: int | None, refused: frozenset[str]) -> HealthItem:
    counted = "answered" if total is None else f"answered: {total} in the last day"
    if not refused:
        return HealthItem(name=root.short, state=HealthState.OK, text=counted)
    return HealthItem(
        name=root.short,
        state=HealthState.WARN,
        text=f"{counted}, without {', '.join(sorted(refused))}, which Wiz refuses to this account",
        todo="Add the scopes that these fields need, or live without: their columns stay null.",
    )


def _projects(source: "WizSource", queries: list[HealthItem]) -> Iterator[HealthItem]:
    """Tell of the audit log, which knows no projects: it comes whole or, to an account bound to some, not at all."""
    failed = {item.name for item in queries if item.state is HealthState.FAIL}
    if AUDIT.kind.log_type not in source.settings.log_types:
        return
    if AUDIT.short in failed:
        yield HealthItem(
            name="projects",
            state=HealthState.FAIL,
            text="an account that is bound to projects cannot read the audit log, whatever its scopes",
            todo="If it is bound, make one that is not, for audit alone, and leave audit out here.",
        )
    elif source.settings.projects:
        yield HealthItem(
            name="projects",
            state=HealthState.WARN,
            text="the project filter holds for issues and findings; the audit log has none and comes whole",
            todo="Leave audit out of this source if it must hold nothing of other projects.",
        )


def _project_ids(source: "WizSource") -> Iterator[HealthItem]:
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
            todo="Check the ids in Wiz (the end of a project's address there). A project that is new may have nothing.",
        )
    elif all(any(found) for found in counts.values()):
        more = len(source.settings.projects) - len(projects)
        untried = f"; {more} more were not tried" if more else ""
        yield HealthItem(name="project ids", state=HealthState.OK, text=f"something belongs to each{untried}")


def _count(source: "WizSource", root: Root, project: str) -> int | None:
    """Return how many records of `root` belong to `project`; None where that cannot be known: other items say why."""
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
