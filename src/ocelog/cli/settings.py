"""`ocelog config`: each setting, its value, and where it came from."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.log_types import retentions
from ocelog.cli import show
from ocelog.installation import config, home
from ocelog.sandbox.child import describe
from ocelog.secrets.secret import Secret
from ocelog.units import write_duration


def command(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each setting, its value, and where it came from.

    Set one in config.yml in the home, or as a variable OCELOG_<NAME>, which goes first. Secrets are never shown.
    """
    # Asked first: if the home is another user's, this names the owner.
    home.exists(config.home_path())
    found = config.explain()
    for each in found:
        if each.name == "retention":
            retentions(str(each.value), config.home_path())
    rows = [
        {
            "setting": each.name,
            "value": _plain(each.value) if json else config.as_written(each.name, each.value),
            "origin": each.origin,
            "meaning": each.doc,
        }
        for each in found
    ]
    rows.append(_key())
    rows.append(_ledger())
    rows.append(_sandbox())
    if not json:
        rows = list(map(_shortened, rows))
    show.table_or_json(rows, json=json)


def _shortened(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row as it fits on a terminal: the home as a shell writes it, and a file in it by its name."""
    origin, value = str(row["origin"]), row["value"]
    if row["setting"] == "home" and isinstance(value, str) and Path(value).is_relative_to(Path.home()):
        value = str(Path("~") / Path(value).relative_to(Path.home()))
    elif row["setting"] == "ledger" and origin == "default":
        value = "ledger.db in the home"
    return {**row, "value": None if value == "" else value, "origin": Path(origin).name}


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return write_duration(value)
        case None | bool() | int():
            return value
        case Secret():
            return "(hidden)"
        case other:
            return str(other)


def _key() -> dict[str, object]:
    meaning = "The key that encrypts secrets, 64 hex digits; used instead of a key file."
    given = config.key_text() is not None
    return {
        "setting": "key",
        "value": "(hidden)" if given else None,
        "origin": "OCELOG_KEY" if given else "default",
        "meaning": meaning,
    }


def _ledger() -> dict[str, object]:
    meaning = "Where the ledger is; chosen once, by `ocelog init --ledger`."
    path = config.home_path()
    if not home.exists(path):
        return {"setting": "ledger", "value": None, "origin": "no home yet", "meaning": meaning}
    found = home.open_home(path, reading=True)
    chosen = found.ledger_url != home.default_ledger(found.path)
    return {
        "setting": "ledger",
        "value": home.without_password(found.ledger_url),
        "origin": str(found.path / "home.json") if chosen else "default",
        "meaning": meaning,
    }


def _sandbox() -> dict[str, object]:
    return {
        "setting": "SQL sandbox",
        "value": describe(),
        "origin": "this kernel",
        "meaning": "What confines the process of a query: Landlock, seccomp.",
    }
