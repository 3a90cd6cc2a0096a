"""How answers are printed: tables for people, JSON for programs, remarks on stderr."""

import json as json_format
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

import typer

from ocelog.cli.output import in_utf8

_PAGE = 120
"""Columns of what is printed where no terminal says how many it has."""
_ENDLESS = 100_000
_LONGEST_CELL = 40
"""Columns of one value on a terminal."""
_GAP = 2


def table_or_json(rows: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    """Print `rows` as a table, or as one JSON list."""
    if json:
        as_json(list(rows))
    else:
        table(rows)


def as_json(value: object) -> None:
    """Print `value` as one JSON document."""
    in_utf8()
    text = json_format.dumps(value, indent=2, ensure_ascii=False, default=str)
    typer.echo("\n".join(map(harmless_json, text.split("\n"))) if sys.stdout.isatty() else text)


def table(rows: Sequence[Mapping[str, Any]], *, whole_lines: bool = False) -> None:
    """Print `rows` under their names, columns side by side; long cells wrap between words.

    On a terminal that is too narrow for that, each row is a list of its own, a line per column. Without a terminal
    `whole_lines` keeps each row on one line, however long.
    """
    if rows:
        _draw(list(rows[0]), [list(row.values()) for row in rows], whole_lines=whole_lines)


def fitting_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Print `rows` under their names, on a terminal no more columns than fit beside each other; return the others.

    Long values are cut there. A single row of which columns do not fit is not printed. Elsewhere each row is whole.
    """
    if not sys.stdout.isatty():
        _draw(names, rows, whole_lines=True)
        return []
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - see below
    from rich.console import Console  # noqa: PLC0415 - see below

    room, kept, hidden = Console().width, list[int](), list[str]()
    cells = [[cell(value) for value in row] for row in rows]
    longest = [max(map(cell_len, column)) for column in zip(map(harmless, names), *cells, strict=True)]
    cut = sum(longest) + _GAP * (len(longest) - 1) > room
    for at, name in enumerate(names):
        width = min(_LONGEST_CELL, longest[at]) if cut else longest[at]
        if kept and room < width:
            hidden.append(name)
            continue
        kept.append(at)
        room -= width + _GAP
        for row in cells:
            if cell_len(row[at]) > width:
                row[at] = f"{set_cell_size(row[at], width - 1).rstrip()}…"
    if not (hidden and len(rows) == 1):
        numeric = [_is_numeric(row[at] for row in rows) for at in kept]
        _print([harmless(names[at]) for at in kept], [[row[at] for at in kept] for row in cells], numeric)
    return hidden


def _is_numeric(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    from rich.console import Console  # noqa: PLC0415 - see below
    from rich.table import Table  # noqa: PLC0415 - see below
    from rich.text import Text  # noqa: PLC0415 - see below

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for head, right in zip(heads, numeric, strict=True):
        drawn.add_column(Text(head), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console(highlight=False).print(drawn)


def _draw(names: Sequence[str], rows: Sequence[Sequence[Any]], *, whole_lines: bool) -> None:
    # Imported only here: `ocelog --help` and every command that prints JSON go without.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    terminal = sys.stdout.isatty()
    written = StringIO()
    console = Console(highlight=False) if terminal else Console(file=written, width=_ENDLESS, highlight=False)
    heads, cells = [harmless(name) for name in names], [[cell(value) for value in row] for row in rows]
    columns = list(zip(heads, *cells, strict=True))
    room = console.width if terminal else _ENDLESS if whole_lines else _PAGE
    if terminal and cells and widths(columns, room)[0] is None:
        for row in cells:
            record = Table(box=None, pad_edge=False, show_header=False, padding=(0, _GAP, 0, 0))
            record.add_column(style="bold", overflow="fold", max_width=room // 3)
            record.add_column(overflow="fold")
            for head, value in zip(heads, row, strict=True):
                record.add_row(Text(head), Text(value))
            console.print(record)
            console.print()
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for head, width, values in zip(
        heads, widths(columns, room), zip(*rows, strict=True) if rows else [()] * len(heads), strict=True
    ):
        right = _is_numeric(values)
        drawn.add_column(Text(head), justify="right" if right else "left", overflow="fold", width=width)
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    if not terminal:
        typer.echo("\n".join(line.rstrip() for line in written.getvalue().splitlines()))


def widths(columns: Sequence[Sequence[str]], room: int) -> list[int | None]:
    """Return how wide each column is drawn: the widest are narrowed until all fit, but never to less than a word.

    None for each if even that does not fit on a terminal.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - see above

    least = [max(cell_len(word) for text in column for word in text.split() or [""]) for column in columns]
    found = [max(map(cell_len, column)) for column in columns]
    room -= _GAP * (len(columns) - 1)
    if sum(least) > room and sys.stdout.isatty():
        return [None] * len(columns)
    while sum(found) > room:
        widest = max(range(len(found)), key=lambda index: (found[index] - least[index] > 0) * found[index])
        if found[widest] == least[widest]:
            break
        found[widest] -= 1
    return list(found)


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
    """Return `text` with control and invisible characters written out: a record must not steer the terminal."""
    return "".join(each if _visible(each) else each.encode("unicode_escape").decode() for each in text)


def harmless_lines(text: str) -> str:
    """Return `text` as `harmless` does, but with its lines as they are."""
    return "\n".join(map(harmless, text.split("\n")))


def harmless_json(text: str) -> str:
    """Return a line of JSON with the same written as JSON escapes, so that it means what it meant."""
    return "".join(each if _visible(each) else json_format.dumps(each)[1:-1] for each in text)


def _visible(each: str) -> bool:
    # Python counts spaces other than the plain one among what cannot be printed.
    return each.isprintable() or unicodedata.category(each) == "Zs"


def paragraph(text: str) -> None:
    """Print a line; on a terminal it wraps between words, with what is wrapped indented further than its beginning."""
    text = harmless(text)
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - see above

        indent = " " * (len(text) - len(text.lstrip()) + 4)
        text = textwrap.fill(
            text, Console().width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    typer.echo(text)


def fields(values: Mapping[str, Any]) -> None:
    """Print each value on a line of its own, behind its name."""
    width = max(map(len, values)) + 1
    for name, value in values.items():
        typer.echo(f"{name + ':':<{width}} {cell(value)}")


def remark(text: str) -> None:
    """Say something in addition to the answer, on stderr."""
    typer.echo(harmless_lines(text), err=True)
