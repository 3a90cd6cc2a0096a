"""How what a check found is told."""

from collections.abc import Sequence

import typer

from ocelog.app.sources.source_changes import Listener
from ocelog.cli import show
from ocelog.pull.ports import HealthItem, HealthState

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
_COLUMNS = 80
_TRY_LATER = 3
_ACTION_REQUIRED = 2


def report(items: Sequence[HealthItem], *, json: bool, printed: bool = False) -> None:
    """Print every item that is not `printed` yet. Exit 2 if one fails that needs attention, 3 if all may work later."""
    if json:
        show.as_json([_plain(item) for item in items])
    elif not printed:
        for item in items:
            print_item(item)
    failed = [item for item in items if item.state is HealthState.FAIL]
    if failed:
        raise typer.Exit(_TRY_LATER if all(item.later for item in failed) else _ACTION_REQUIRED)


def print_item(item: HealthItem) -> None:
    """Print what was found of one item."""
    show.hint(_lines(item))


def begins() -> None:
    """Say on stderr that the account is tried, before anything is known."""
    show.remark("Trying the account; an answer may take up to a minute ...")


def _found(item: HealthItem) -> None:
    """Say on stderr what was found of one item."""
    show.remark(_lines(item))


def _stopped(otherwise: str) -> None:
    # Behind ^C, which the terminal has shown.
    show.remark(f"\nStopped. {otherwise}")


def waiting(text: str) -> None:
    """Say on stderr that a check waits, and why."""
    show.remark(_filled(f"wait  {show.harmless(text)}", indent=6))


LISTENER = Listener(begins=begins, waits=waiting, item=_found, conflict=show.remark, stopped=_stopped)
"""Says on stderr how a check goes."""


def _lines(item: HealthItem) -> str:
    found = _filled(f"{_SIGNS[str(item.state)]}  {item.name}: {show.harmless(item.text)}", indent=6)
    return f"{found}\n{_filled(f'      To do: {show.harmless(item.todo)}', indent=13)}" if item.todo else found


def _filled(text: str, *, indent: int) -> str:
    """Return `text` in lines of at most 80 columns. Addresses stay whole, so that they can be copied."""
    return show.wrapped(text, _COLUMNS, indent=indent - (len(text) - len(text.lstrip())))


def _plain(item: HealthItem) -> dict[str, object]:
    return {"name": item.name, "state": str(item.state), "text": item.text, "todo": item.todo, "later": item.later}
