"""Names of sources, channels, users and folders of rules, read from the ledger without what takes long to import."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import LiteralString
from urllib.parse import quote, unquote

from ocelog.files import check_regular

_SOURCES = "SELECT id, name FROM sources WHERE removed_us IS NULL ORDER BY name"
_CHANNELS = "SELECT id, name FROM channels ORDER BY name"
_FOLDERS = "SELECT name, path FROM rule_folders ORDER BY name"
_USERS = "SELECT id, name FROM users ORDER BY name"
_WITHIN = 1.0
"""Seconds; who waits for more would rather type the name."""


def read_source_names(address: str) -> list[tuple[str, str]]:
    """Return id and name of each source of the ledger at `address`; nothing is written, not even beside its file.

    Raises OSError and sqlite3.Error. A server that does not answer at once has no names.
    """
    return _pairs(address, _SOURCES)


def read_channel_names(address: str) -> list[tuple[str, str]]:
    """Return id and name of each channel, in the same way."""
    return _pairs(address, _CHANNELS)


def read_rule_folders(address: str) -> list[tuple[str, str]]:
    """Return name and path of each folder of rules that was registered, in the same way."""
    return _pairs(address, _FOLDERS)


def read_user_names(address: str) -> list[tuple[str, str]]:
    """Return id and name of each user of the console, in the same way."""
    return _pairs(address, _USERS)


def _pairs(address: str, statement: LiteralString) -> list[tuple[str, str]]:
    if not address.startswith("sqlite:///"):
        return _from_server(address, statement)
    path = Path(unquote(address.removeprefix("sqlite:///")))
    check_regular(path)
    # Without a writer beside it SQLite would make its index anew: but then nothing changes, which it may be told.
    at_rest = not path.with_name(f"{path.name}-wal").exists()
    address = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if at_rest else ''}"
    with closing(sqlite3.connect(address, uri=True, timeout=_WITHIN)) as connection:
        return connection.execute(statement).fetchall()


def _from_server(address: str, statement: LiteralString) -> list[tuple[str, str]]:
    found = list[tuple[str, str]]()

    def ask() -> None:
        try:
            import psycopg  # noqa: PLC0415 - an extra

            with psycopg.connect(f"postgresql://{address.partition('://')[2]}") as connection:
                found.extend(connection.execute(statement).fetchall())
        except Exception:  # noqa: BLE001 - no names then
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_WITHIN)
    return found
