"""How what a check found is told."""

from collections.abc import Sequence

import typer

from ocelog.cli import show
from ocelog.errors import ConfigError
from ocelog.sources.wiz.check import HealthItem, HealthState

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def report(items: Sequence[HealthItem], *, json: bool) -> None:
    """Print every item and exit 2 where one fails."""
    if json:
        show.as_json([_plain(item) for item in items])
    else:
        for item in items:
            typer.echo(_line(item))
    if any(item.state is HealthState.FAIL for item in items):
        raise typer.Exit(2)


def demand(items: Sequence[HealthItem], otherwise: str) -> None:
    """Say on stderr what was found. Raises ConfigError where something fails."""
    for item in items:
        show.remark(_line(item))
    if any(item.state is HealthState.FAIL for item in items):
        raise ConfigError(f"Wiz does not let this source work as it is set up. {otherwise}")


def _line(item: HealthItem) -> str:
    todo = f"\n      To do: {show.harmless(item.todo)}" if item.todo else ""
    return f"{_SIGNS[str(item.state)]}  {item.name}: {show.harmless(item.text)}{todo}"


def _plain(item: HealthItem) -> dict[str, object]:
    return {"name": item.name, "state": str(item.state), "text": item.text, "todo": item.todo}
