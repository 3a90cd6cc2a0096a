"""How a ledger comes to be, and how one of an older version becomes one of ours."""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, inspect, text

from ocelog.errors import ConfigError, HomeError, without_number
from ocelog.ledger import tables
from ocelog.ledger.database.faults import restore_command
from ocelog.ledger.database.transactions import Database, connect
from ocelog.secrets.redaction import without_password

REVISIONS = tuple(f"{number:04}" for number in range(1, 30))
"""Every revision of the tables in order; the last is the one that this program reads and writes."""
_ONE_AT_A_TIME = 0x0CE106
"""PostgreSQL's advisory lock for whoever creates or migrates."""


def open_database(address: str, *, durable: bool, create: bool) -> Database:
    """Open the ledger at `address`, migrated (after a copy) if it is older; `create` makes one if none is.

    Raises HomeError for a ledger that is lost or of a newer program, and for a database that is not ours.
    """
    with _connected(address, durable=durable) as database:
        if database.is_sqlite:
            if not create:
                _refuse_lost(database)
            _keep_private(database.url.database)
        else:
            tables.prepare_for_postgresql()
        with database.read() as connection:
            found = _revision(connection)
        if found is None and not create:
            raise HomeError(_lost(database))
        if found != REVISIONS[-1]:
            _bring_up(database, found)
    return database


def open_reading(address: str) -> Database:
    """Open the ledger at `address` without touching it. Raises HomeError, also for one that is older than we are."""
    with _connected(address, durable=True, read_only=True) as database:
        if database.is_sqlite:
            _refuse_lost(database)
        with database.read() as connection:
            found = _revision(connection)
        if found is None:
            raise HomeError(_lost(database))
        _refuse_newer(found, database)
        if found != REVISIONS[-1]:
            raise HomeError(
                f"The ledger {database.url.database} is of an older Ocelog: its owner must run a command first, such "
                "as `ocelog status`, which migrates it."
            )
    return database


def absolute(address: str) -> str:
    """Return `address` so that it names the same file from every folder. Raises ConfigError if it is none."""
    url = connect(address, durable=True).url
    if url.get_backend_name() != "sqlite":
        return address
    if not url.database:
        raise ConfigError("A ledger in memory would be lost after each command: name a file, sqlite:///PATH.")
    return address if Path(url.database).is_absolute() else f"sqlite:///{quote(str(Path(url.database).absolute()))}"


@contextmanager
def _connected(address: str, *, durable: bool, read_only: bool = False) -> Iterator[Database]:
    """Connect, and close what was opened if the block raises."""
    database = connect(address, durable=durable, read_only=read_only)
    try:
        yield database
    except BaseException:
        database.close()
        raise


def _refuse_lost(database: Database) -> None:
    """Refuse a file that is not there, or holds nothing, before SQLite makes one."""
    file = Path(str(database.url.database))
    try:
        lost = file.stat().st_size == 0
    except FileNotFoundError:
        lost = True
    except OSError as error:
        raise HomeError(f"The ledger {file} cannot be reached ({error.strerror}): see `ocelog config`.") from error
    if lost:
        raise HomeError(_lost(database))


def _lost(database: Database) -> str:
    """Say that the ledger is gone: a new one in its place would know neither sources nor parts."""
    url = database.url
    if database.is_sqlite:
        place, restore = str(url.database), restore_command(str(url.database))
    else:
        place = without_password(url.render_as_string(hide_password=False))
        restore = "ocelog restore DIR --home FOLDER --ledger URL"
    return (
        f"The ledger {place} is missing or empty. It has the sources, their secrets and all progress. If its disk "
        f"or server is away, connect it again. Otherwise, if there is a backup (`ocelog backup DIR`), run `{restore}`. "
        "Without a backup, begin with an empty home: OCELOG_HOME=FOLDER ocelog init. Nothing was changed."
    )


def _keep_private(path: str | None) -> None:
    """Make the file before SQLite does, for this user alone: sealed or not, secrets are in it."""
    if path in (None, "", ":memory:"):
        return
    try:
        os.close(os.open(str(path), os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise HomeError(
            f"The ledger {path} cannot be opened for writing ({error.strerror}); the folder must exist and be "
            "writable for this user."
        ) from error


def _revision(connection: Connection) -> str | None:
    """Return which revision the tables are; None: there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _bring_up(database: Database, found: str | None) -> None:
    if found is not None:
        _refuse_newer(found, database)
        _copy(database, found)
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ONE_AT_A_TIME})
        found = _revision(connection)
        if found is None:
            _refuse_foreign(connection, database)
            _create(connection)
        elif found != REVISIONS[-1]:
            _refuse_newer(found, database)
            migrate(connection)


def _refuse_newer(found: str, database: Database) -> None:
    if found not in REVISIONS:
        raise HomeError(
            f"The ledger {database.url.database} has revision {found}, made by a newer ocelog; this one knows "
            f"revisions up to {REVISIONS[-1]}. Upgrade ocelog; nothing was changed."
        )


def _refuse_foreign(connection: Connection, database: Database) -> None:
    in_the_way = tables.metadata.tables.keys() & set(inspect(connection).get_table_names())
    if in_the_way:
        raise HomeError(
            f"The database {database.url.database} holds tables of another program ({', '.join(sorted(in_the_way))}); "
            "give the ledger a database of its own. Nothing was changed."
        )


def _create(connection: Connection) -> None:
    """Make the tables at once: a new ledger has no history to walk through. A test holds it to the migrations."""
    tables.metadata.create_all(connection, checkfirst=False)
    version = "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
    connection.execute(text(f"CREATE TABLE alembic_version ({version})"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISIONS[-1]})
    _give_identity(connection)


def _give_identity(connection: Connection) -> None:
    """Give a new ledger its random id, which the lake's marks carry."""
    connection.execute(tables.identity.insert().values(id=secrets.token_hex(8), created_us=time.time_ns() // 1000))


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` within the open transaction."""
    # Imported only here: it costs as much as half of a short command.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", "ocelog.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _copy(database: Database, found: str) -> None:
    """Copy a SQLite ledger beside itself before it changes; a server's is its keeper's to back up."""
    if not database.is_sqlite or database.url.database is None:
        return
    copy = Path(f"{database.url.database}.{found}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.bak")
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_RDWR, 0o600))
        with (
            closing(sqlite3.connect(database.url.database)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except (OSError, sqlite3.Error) as error:
        raise HomeError(
            f"The ledger must be migrated, and its copy {copy} could not be written ({without_number(error)}): free "
            "some space, or make the folder writable. Nothing was changed."
        ) from error
