"""What the libraries of the lake raise, in our words."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from ocelog.errors import LakeDamagedError, LakeUnavailableError, OcelogError, SchemaError
from ocelog.files import disk_full
from ocelog.lake.storage.checksums import REPAIR
from ocelog.lake.storage.disk import refusal

# Imported where an error is there to be sorted: publishing has imported them already.
# ruff: noqa: PLC0415


@contextmanager
def translated(table: str) -> Iterator[None]:
    """Turn what PyIceberg, its catalog's database, Arrow and the disk raise into OcelogErrors; the cause is kept."""
    try:
        yield
    except OcelogError:
        raise
    except Exception as error:
        found = _sorted_out(table, error)
        if found is None:
            raise
        raise found from error


def _sorted_out(table: str, error: Exception) -> OcelogError | None:
    from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationError
    from sqlalchemy.exc import DatabaseError

    match error:
        case CommitFailedException() | TableAlreadyExistsError():
            return LakeUnavailableError(
                "another program committed first; nothing was appended. Run it again.", table=table
            )
        case DatabaseError() | sqlite3.DatabaseError():
            told = error if isinstance(error, sqlite3.DatabaseError) else error.orig
            # The name carries details behind the second underscore, such as SQLITE_READONLY_DBMOVED.
            name = "_".join(str(getattr(told, "sqlite_errorname", "")).split("_")[:2])
            if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
                return LakeDamagedError(f"the lake's catalog is damaged: {told}.", table=table, todo=REPAIR)
            if name == "SQLITE_FULL":
                return disk_full(OSError(errno.ENOSPC, str(told)), "lake/catalog.db in the home")
            if name == "SQLITE_READONLY":
                return LakeUnavailableError(
                    f"the lake's catalog, lake/catalog.db in the home, may not be written: {told}. Let "
                    "the owner of the home write the folder lake and what is in it (chmod, chattr -i, mount).",
                    table=table,
                )
            return LakeUnavailableError(f"the lake's catalog cannot be used: {told}. Run it again.", table=table)
        case FileNotFoundError():
            return LakeDamagedError(f"{error.filename or error} is missing, although {table} names it.", todo=REPAIR)
        case pa.ArrowInvalid() | pa.ArrowNotImplementedError() | ValidationError():
            return SchemaError(f"waiting rows do not fit the table: {error}.", table=table)
        case OSError():
            return refusal(error, error.filename or table)
        case _:
            return None
