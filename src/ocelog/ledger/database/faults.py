"""What a failure of the database means, and what to do about it."""

import sqlite3
from pathlib import Path
from shlex import quote

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ocelog.errors import ConfigError, HomeError, LedgerUnavailableError, OcelogError
from ocelog.files import sqlite_disk_full
from ocelog.secrets.redaction import Redactor
from ocelog.secrets.secret import Secret

_SHORTEST_PASSWORD = 3
_RESTORE = "if there is a backup (`ocelog backup DIR`), run `{restore}`"
_UNFIT = {
    "SQLITE_READONLY": "it may only be read; make the folder and the file writable for this user",
    "SQLITE_PERM": "access was denied; make the folder and the file writable for this user",
    "SQLITE_CANTOPEN": "it cannot be opened; the folder must exist and be writable for this user",
    "SQLITE_NOTADB": "it is not a SQLite file; " + _RESTORE,
    "SQLITE_CORRUPT": "the file is damaged; " + _RESTORE + ", or else copy it with sqlite3's .recover",
}
_LATER = {
    "SQLITE_BUSY": "another process has held it for too long; try again, or find that process",
    "SQLITE_LOCKED": "another connection has held it for too long; try again",
    "SQLITE_FULL": "the disk is full; free some space, nothing is lost",
    "SQLITE_IOERR": "the disk failed to read or write; look at the disk (unmounted, broken?) and try again",
    "SQLITE_NOMEM": "memory ran out; try again with less at once",
}
_UNFIT_STATES = {
    "25006": "it may only be read; connect to the primary server",
    "42501": "this user may not do that; grant it the tables of the ledger's database",
    "3D000": "there is no such database; create it first",
    "28P01": "user or password are wrong",
    "28000": "this user may not log in",
}
_LATER_CLASSES = {
    "08": "the connection broke; try again",
    "40": "two transactions blocked each other; try again",
    "53": "the server is short of disk, memory or connections; give it more, nothing is lost",
    "55": "another transaction has held it for too long; try again",
    "57": "the server ended the transaction (a restart, or a limit); try again",
    "58": "the server's system failed; look at its log and try again",
    "25": "the server ended the transaction, which took too long; try again",
}


def translated(error: SQLAlchemyError, url: URL) -> OcelogError | SQLAlchemyError:
    """Return `error` as what happens next; as it is if it can only be a bug in our own code."""
    place = url.database if url.get_backend_name() == "sqlite" else f"{url.host or 'localhost'}/{url.database}"
    if isinstance(error, PoolTimeoutError):
        return LedgerUnavailableError(f"The ledger {place}: every connection is in use; try again.")
    if not isinstance(error, DBAPIError):
        return error
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return of_sqlite(cause, str(place)) or error
    if error.statement is None and type(cause).__name__ == "ProgrammingError":
        # The driver has not talked to a server yet: it can only complain of the address.
        return ConfigError(f"The ledger's address is not one that can be used: {_told(cause, url)}.")
    return _of_postgresql(cause, url, str(place), lost=error.connection_invalidated) or error


def restore_command(file: str) -> str:
    """Return the command that makes a home of the backup DIR, beside the home whose ledger is `file`."""
    return f"ocelog restore DIR --home {quote(f'{Path(file).parent}-restored')}"


def of_sqlite(cause: sqlite3.Error, place: str) -> OcelogError | None:
    """Return what an error of SQLite about the file `place` means; None: that Ocelog has a bug."""
    # The name carries details behind the second underscore, such as SQLITE_IOERR_FSYNC.
    whole = str(getattr(cause, "sqlite_errorname", ""))
    name = "SQLITE_FULL" if sqlite_disk_full(whole, place) else "_".join(whole.split("_")[:2])
    if name in _UNFIT:
        return _unfit(name, place, str(cause))
    if name in _LATER:
        code = "disk_full" if name == "SQLITE_FULL" else None
        return LedgerUnavailableError(f"The ledger {place}: {_LATER[name]} ({cause}).", code=code)
    return None


def damaged(place: str, told: str) -> HomeError:
    """Return what to do about a ledger in the file `place` of which SQLite has told what is wrong."""
    return _unfit("SQLITE_CORRUPT", place, told)


def _unfit(name: str, place: str, told: str) -> HomeError:
    return HomeError(f"The ledger {place}: {_UNFIT[name].format(restore=restore_command(place))} ({told}).")


def _of_postgresql(cause: BaseException | None, url: URL, place: str, *, lost: bool) -> OcelogError | None:
    state = getattr(cause, "sqlstate", None)
    told = _told(cause, url)
    if state in _UNFIT_STATES:
        return HomeError(f"The ledger {place}: {_UNFIT_STATES[state]} ({told}).")
    if state is not None and state[:2] in _LATER_CLASSES:
        code = "disk_full" if state == "53100" else None
        return LedgerUnavailableError(f"The ledger {place}: {_LATER_CLASSES[state[:2]]} ({told}).", code=code)
    # By name: psycopg need not be installed. An error of a connection is a kind of one of these.
    kinds = {each.__name__ for each in type(cause).__mro__}
    if lost or (state is None and kinds & {"OperationalError", "InterfaceError"}):
        return LedgerUnavailableError(
            f"The ledger {place} does not answer: check that the server runs and that user, password and database "
            f"are right ({told})."
        )
    return None


def _told(cause: BaseException | None, url: URL) -> str:
    """Return the first line of what the driver says, without a password of `url`."""
    redactor = Redactor()
    for secret in (url.password, *(value for name, value in url.query.items() if "password" in name.lower())):
        if isinstance(secret, str):
            redactor.learn(Secret(secret), shortest=_SHORTEST_PASSWORD)
    return redactor(str(cause).strip()).splitlines()[0] if str(cause).strip() else type(cause).__name__
