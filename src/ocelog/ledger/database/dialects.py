"""What the two databases do each in their own way."""

from functools import cache
from typing import Any, overload

from sqlalchemy import ColumnElement, Connection, Insert, Table, case, func, literal
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import ReturningInsert

_LONGEST = 4_000


def insert_missing(tx: Connection, table: Table, **values: object) -> bool:
    """Insert a row unless its key is there, or is just being inserted by another: then wait for that one.

    Returns whether it was inserted.
    """
    if tx.dialect.name == "postgresql":
        # Of an insert the driver does not say how many rows it was.
        return tx.execute(_insert_on_postgresql(table), values).first() is not None
    return tx.execute(_insert_on_sqlite(table), values).rowcount == 1


# Building a statement takes as long as running it: each is built once.


@cache
def _insert_on_sqlite(table: Table) -> Insert:
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def _insert_on_postgresql(table: Table) -> ReturningInsert[int]:
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - takes 40 ms, which others save

    return postgresql.insert(table).on_conflict_do_nothing().returning(literal(1))


def later(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the greater of two numbers; `one` if the other is null."""
    return case((other > func.coalesce(one, 0), other), else_=one)


@overload
def bounded(text: str) -> str: ...
@overload
def bounded(text: None) -> None: ...
def bounded(text: str | None) -> str | None:
    """Return `text` cut to a bound, with what neither UTF-8 nor PostgreSQL can hold (NUL, lone surrogates) replaced."""
    if text is None:
        return None
    return text[:_LONGEST].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
