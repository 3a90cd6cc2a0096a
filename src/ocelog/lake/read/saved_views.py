"""The views and macros that come with Ocelog: an `.sql` file each, in `content/views`."""

import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import pyarrow as pa
from msgspec import Struct

from ocelog.lake.read.quoting import quoted
from ocelog.lake.read.sql import create_view
from ocelog.schema.decode.timestamps import INSTANT

_HEAD = re.compile(r"\A-- (\w+)(?:\((\w+)\))?: (.*(?:\n-- .*)*)\n")
"""`-- name: what it holds`, or `-- name(argument): ...` of a macro; more lines may follow."""
_COLUMN = re.compile(r"^ *-- (\w+) ([A-Z]+): (.*(?:\n *--   .*)*)$", re.MULTILINE)
"""`-- name TYPE: what it means` above the expression; more lines are indented."""
_FRAGMENT = re.compile(r"^\{(\w+)\}", re.MULTILINE)
_READ = re.compile(r"\b(?:FROM|JOIN) (\w+)")
_TYPES = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMPTZ": INSTANT,
}


class SavedView(Struct, frozen=True, kw_only=True):
    """A view; or, if it takes an argument, also a macro that stands where a table does: `FROM issues_at('2026-11-01')`.

    As a view, such as `FROM issues_at`, that is the macro as of now.
    """

    name: str
    argument: str | None
    meaning: str
    sql: str

    def columns(self) -> pa.Schema:
        """Return its columns, each with what it means in its metadata under `doc`."""
        return pa.schema(
            pa.field(name, _TYPES[kind], metadata={b"doc": _joined(doc).encode()})
            for name, kind, doc in _COLUMN.findall(self.sql)
        )

    def reads(self, names: Collection[str]) -> list[str]:
        """Return which of `names`, tables and views, it is made of."""
        return [name for name in dict.fromkeys(_READ.findall(self.sql)) if name in names]

    def create(self) -> list[str]:
        """Return the statements that make it, in DuckDB."""
        if self.argument is None:
            return [create_view(self.name, self.sql)]
        name = quoted(self.name)
        macro = f"CREATE OR REPLACE MACRO {name}({self.argument}) AS TABLE {self.sql}"
        return [macro, create_view(self.name, f"SELECT * FROM {name}(now())")]  # noqa: S608 - quoted


@cache
def saved_views() -> dict[str, SavedView]:
    """Return every view and macro of the package by name."""
    folder = files("ocelog.content") / "views"
    listed = (_parse(file, folder) for file in folder.iterdir() if file.name.endswith(".sql"))
    return {view.name: view for view in sorted(listed, key=lambda view: (view.argument is not None, view.name))}


def _parse(file: Traversable, folder: Traversable) -> SavedView:
    text = file.read_text(encoding="utf-8")
    head = _HEAD.match(text)
    if head is None or f"{head[1]}.sql" != file.name:
        raise AssertionError(f"{file.name} does not begin with `-- {file.name.removesuffix('.sql')}: what it holds`")

    def fragment(found: re.Match[str]) -> str:
        return (folder / "shared" / f"{found[1]}.sql").read_text(encoding="utf-8").rstrip()

    sql = _FRAGMENT.sub(fragment, text[head.end() :]).strip()
    meaning = _joined(head[3]) if head[2] is None else f"Written as {head[1]}('2026-11-01 08:00Z'). {_joined(head[3])}"
    return SavedView(name=head[1], argument=head[2], meaning=meaning, sql=sql)


def _joined(lines: str) -> str:
    return " ".join(line.strip().removeprefix("--").strip() for line in lines.split("\n"))
