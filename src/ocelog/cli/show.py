"""How answers are printed: tables for people, JSON for programs, remarks on stderr."""

import json as json_format
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import typer


def table_or_json(rows: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    """Print `rows` as a table, or as one JSON list."""
    if json:
        as_json(list(rows))
    else:
        table(rows)


def as_json(value: object) -> None:
    """Print `value` as one JSON document."""
    typer.echo(json_format.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print `rows` under their names, columns side by side; on a terminal long cells wrap."""
    if rows:
        _draw(list(rows[0]), [list(row.values()) for row in rows])


def table_head(names: Sequence[str]) -> None:
    """Print the names of a table without rows."""
    _draw(names, [])


def _draw(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    # Imported only here: `ocelog --help` and every command that prints JSON go without.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, column in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)
        drawn.add_column(Text(harmless(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell(value)) for value in row))
    if sys.stdout.isatty():
        Console(highlight=False).print(drawn)
        return
    written = StringIO()
    Console(file=written, width=10_000, highlight=False).print(drawn)
    typer.echo("\n".join(line.rstrip() for line in written.getvalue().splitlines()))


def cell(value: object) -> str:
    """Write one value for a person; control characters that could steer a terminal are shown, not sent."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(cell(each) for each in value) or "-"
        case dict():
            return json_format.dumps(value, ensure_ascii=False, default=str)
        case _:
            return harmless(str(value))


def harmless(text: str) -> str:
    """Return `text` with control characters written out: a record must not be able to steer the terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def remark(text: str) -> None:
    """Say something beside the answer, on stderr."""
    typer.echo(text, err=True)
