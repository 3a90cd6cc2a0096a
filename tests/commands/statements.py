"""Has SQLAlchemy compile each statement once for all the databases that a process opens, not once for each.

A program opens one ledger and keeps it; tests open thousands, and would compile the same statements for each.
"""

from typing import Any

from sqlalchemy import Engine, util
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.ddl import CreateIndex, CreateTable

from ocelog.ledger import tables

_COMPILED = util.LRUCache[Any, Any](5_000)
_DDL = dict[tuple[type, object, type[Dialect]], Any]()


def compile_once() -> None:
    """Do so in this process from now on. What is compiled is kept by its dialect: here, one kind is one dialect."""
    for kind in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        methods = {"__eq__": lambda self, other: type(self) is type(other), "__hash__": lambda self: hash(type(self))}
        for name, method in methods.items():
            setattr(kind, name, method)
    # Each engine makes a cache of its own as it begins, which is not taken.
    shared = property(lambda _: _COMPILED, lambda _, own: None)  # noqa: ARG005 - as a property's setter is called
    setattr(Engine, "_compiled_cache", shared)  # noqa: B010 - to a type checker, it is no property
    for ddl in (CreateTable, CreateIndex):
        setattr(ddl, "compile", _compile_ddl)  # noqa: B010 - see above


def _compile_ddl(self: Any, *, dialect: Dialect, **options: Any) -> Any:
    table = getattr(self.element, "table", self.element)
    if table.metadata is not tables.metadata or any(options.values()):
        return super(type(self), self).compile(dialect=dialect, **options)
    key = (type(self), self.element, type(dialect))
    if key not in _DDL:
        _DDL[key] = super(type(self), self).compile(dialect=dialect, **options)
    return _DDL[key]
