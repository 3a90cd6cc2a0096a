"""How answers are printed: tables for people, JSON for programs, remarks on stderr."""

import json as json_format
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import typer
from msgspec import Struct

from ocelog.cli.output import in_utf8
from ocelog.cli.pager import paging
from ocelog.cli.typed import as_typed, values_as_typed
from ocelog.errors import ConfigError, OcelogError
from ocelog.suggest import suggest

_PAGE = 120
"""Columns of what is printed if no terminal says how many it has."""
_ENDLESS = 100_000
_LEAST_CELL = 20
"""What is longer may be cut to so many columns before another column is hidden."""
_LEAST_CHOSEN = 12
"""The same if a person has named the columns: then few of them should be hidden."""
_INSTANT = re.compile(r"-|\d{4}-\d\d-\d\d(T[\d:.]+Z?)?")
"""What is worth nothing if it is cut."""
_SHORT = 30
"""Columns of what is no uuid and no JSON, mostly."""
_LEAST_PROSE = 16
"""Columns of a last column of prose; longer words are broken."""
_GAP = 2
_WORD = re.compile(r"[^ \t\n\r\f\v]+")
_COPIED = re.compile(
    r"`[^`]+`|(?:\bsudo )?(?:(?<!\S)\S*/)?(?<![\w.-])(?:ocelog|systemctl|loginctl|mv|chmod|chown|kill|jq|pip|uv)"
    r"(?: (?:\"[^\"]*\"|'[^']*'|\w+:(?= /)|[^\s\"'`(),;]*[^\s\"'`(),;:.]))+"
)
"""A command within a sentence, up to where its clause ends, or what stands between backticks."""


OUTPUTS = ("table", "json")
"""Ways to print rows, of which -o chooses one."""


def chosen_output(word: str, known: Sequence[str] = OUTPUTS, *, by: str = "-o") -> str:
    """Return `word`, which was given `by` an option, if it is `known`. Raises ConfigError with the nearest name."""
    if word not in known:
        raise ConfigError(f"{by} {word}: choose one of {', '.join(known)}{suggest(word, known) or '.'}")
    return word


def table_or_json(rows: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    """Print `rows` as a table, or as one JSON list."""
    if json:
        as_json(list(rows))
    else:
        table(rows, paged=True)


def as_json(value: object) -> None:
    """Print `value` as one JSON document; texts in it are messages of ours, not records."""
    in_utf8()
    text = json_format.dumps(values_as_typed(value), indent=2, ensure_ascii=False, default=str)
    typer.echo("\n".join(map(harmless_json, text.split("\n"))) if sys.stdout.isatty() else text)


def error(found: OcelogError | None) -> dict[str, str | None]:
    """Return what JSON says of an error: its text and its code."""
    return {"error": None if found is None else str(found), "error_code": None if found is None else found.code}


def table(rows: Sequence[Mapping[str, Any]], *, whole_lines: bool = False, paged: bool = False) -> None:
    """Print `rows` under their names, columns side by side; long cells wrap between words.

    On a terminal that is too narrow for that, each row is a list of its own, a line per column. So it is in a pipe if
    stderr is such a terminal: the pipe may end there. Without a terminal `whole_lines` keeps each row on one line,
    however long. If `paged`, what is longer than the screen goes through a pager.
    """
    if rows:
        with paging(wanted=paged) as write:
            _write_table(rows, write, whole_lines=whole_lines)


def _write_table(rows: Sequence[Mapping[str, Any]], write: Callable[[str], object], *, whole_lines: bool) -> None:
    heads = [harmless(name) for name in rows[0]]
    cells = [[cell(value) for value in row.values()] for row in rows]
    numeric = [_is_numeric(values) for values in zip(*(row.values() for row in rows), strict=True)]
    terminal = sys.stdout.isatty()
    page = _ENDLESS if whole_lines else page_columns()
    plain = None if terminal else _plain(heads, cells, numeric, page)
    if plain is not None:
        write(plain)
        return
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - see _drawn
    from rich.console import Console  # noqa: PLC0415 - see _drawn

    columns = list(zip(heads, *cells, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    # Not narrower than a word.
    least = [max(cell_len(word) for text in column for word in text.split() or [""]) for column in columns]
    if any(" " in text for text in columns[-1][1:]):
        # One endless word in prose must not cost the whole table.
        least[-1] = min(least[-1], _LEAST_PROSE)
    page = Console().width if terminal else page
    room = page - _GAP * (len(columns) - 1)
    if (terminal or page < _PAGE) and sum(least) > room:
        width = min(max(map(cell_len, heads)), page // 2)
        for row in cells:
            for head, text in zip(heads, row, strict=True):
                lines = _folded(text, max(20, page - width - _GAP))
                write(f"{set_cell_size(head, width)}  " + f"\n{' ' * (width + _GAP)}".join(lines) + "\n")
            write("\n")
        return
    # rich narrows columns, too, but not to a least width and to the page at once: it would cut words.
    while sum(widths) > max(room, sum(least)):
        widest = max(range(len(widths)), key=lambda at: (widths[at] > least[at]) * widths[at])
        widths[widest] -= 1
    drawn = _drawn(heads, cells, numeric, widths=widths, page=page if terminal else _ENDLESS)
    write(drawn if terminal else "".join(f"{line.rstrip()}\n" for line in drawn.splitlines()))


def page_columns() -> int:
    """Return how wide a table may be. That of a pipe may end on a terminal, as with `| head`, which may be narrow."""
    if sys.stdout.isatty():
        return displayed_columns()
    if columns := shutil.get_terminal_size((0, 0)).columns:  # COLUMNS: stdout is no terminal
        return min(_PAGE, columns)
    try:
        return min(_PAGE, os.get_terminal_size(2).columns or _PAGE)
    except OSError:
        return _PAGE


class Fitted(Struct, frozen=True, kw_only=True):
    """What of a table did not fit on a terminal."""

    hidden: tuple[str, ...] = ()
    """Columns that are not shown."""
    cut: bool = False
    """Whether a value is shown in part."""


def fitting_table(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    write: Callable[[str], object] | None = None,
    *,
    first: Sequence[str] = (),
    whole: Sequence[str] = (),
    added: Mapping[str, Sequence[Any]] | None = None,
) -> Fitted:
    """Print `rows` under their names, on a terminal no more columns than fit beside each other; return what did not.

    There, the widest columns are cut before others are hidden, but no numbers and instants. A single row of which
    columns do not fit is not printed. Elsewhere each row is whole. `write` takes what is printed; by default it goes to
    stdout. If not all fits and `first` names columns, they come first, then those that are short, and at last what is
    empty or repeats another column. Columns in `whole` are not cut as long as they fit. Those that are `added` are
    shown only if not all fits: what they hold is in others that are too wide.
    """
    write = write or sys.stdout.write
    heads, cells = [harmless(name) for name in names], [[cell(value) for value in row] for row in rows]
    numeric = [_is_numeric(row[at] for row in rows) for at in range(len(heads))]
    if not sys.stdout.isatty():
        plain = _plain(heads, cells, numeric, _ENDLESS)
        if plain is None:
            drawn = _drawn(heads, cells, numeric, page=_ENDLESS)
            plain = "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())
        write(plain)
        return Fitted()
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - see _drawn
    from rich.console import Console  # noqa: PLC0415 - see _drawn

    room = Console().width
    longest = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    cut = sum(longest) + _GAP * (len(longest) - 1) > room
    own = list(names)
    if cut and added:
        names, heads = [*names, *added], [*heads, *map(harmless, added)]
        more = [[cell(value) for value in values] for values in added.values()]
        cells = [[*row, *rest] for row, rest in zip(cells, zip(*more, strict=True), strict=True)]
        numeric += [False] * len(added)
        longest = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    order = list(range(len(names)))
    if cut and first:
        ranks = {name: rank for rank, name in enumerate(first)}
        seen = set[tuple[str, ...]]()
        keys = dict[int, tuple[bool, int, bool]]()
        for at in sorted(order, key=lambda at: ranks.get(names[at], len(ranks))):
            values = tuple(row[at] for row in cells)
            worthless = values in seen or set(values) == {"-"}
            seen.add(values)
            keys[at] = (worthless, ranks.get(names[at], len(ranks)), longest[at] > _SHORT)
        order.sort(key=keys.__getitem__)
    floor = _LEAST_CELL if first else _LEAST_CHOSEN
    least = [
        width
        if names[at] in whole or numeric[at] or all(_INSTANT.fullmatch(row[at]) for row in cells)
        else min(width, max(floor, cell_len(heads[at])))
        for at, width in enumerate(longest)
    ]
    kept, hidden, was_cut = list[int](), list[str](), False
    left = room
    for at in order:
        if kept and left < min(least[at], _LEAST_CELL):
            hidden.append(names[at])
            continue
        if kept:
            least[at] = min(least[at], left)
        kept.append(at)
        left -= least[at] + _GAP
    # A value may be a whole record, and each turn takes one column off.
    widths = {at: min(longest[at], max(least[at], room)) for at in kept}
    room -= _GAP * (len(kept) - 1)
    while sum(widths.values()) > room and any(widths[at] > least[at] for at in kept):
        widest = max(kept, key=lambda at: (widths[at] > least[at]) * widths[at])
        widths[widest] -= 1
    for at in kept:
        for row in cells:
            if cell_len(row[at]) > widths[at]:
                row[at], was_cut = f"{set_cell_size(row[at], widths[at] - 1).rstrip()}…", True
    if not (hidden and len(rows) == 1):
        shown = [[row[at] for at in kept] for row in cells]
        write(_drawn([heads[at] for at in kept], shown, [numeric[at] for at in kept]))
    return Fitted(hidden=tuple(name for name in own if name in hidden), cut=was_cut)


def _is_numeric(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values)


def _plain(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], room: int) -> str | None:
    """Draw a table of ASCII without rich, which takes 40 ms to import; None if it does not fit."""
    columns = list(zip(heads, *rows, strict=True))
    longest = [max(map(len, column)) for column in columns]
    if sum(longest) + _GAP * (len(longest) - 1) > room or not all(map(str.isascii, chain(*columns))):
        return None
    lines = (
        (" " * _GAP).join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, longest, numeric, strict=True)
        )
        for line in (heads, *rows)
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _drawn(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    *,
    widths: Sequence[int] | None = None,
    page: int | None = None,
) -> str:
    """Draw a table; in columns of `widths` text wraps between words. `page` is by default as wide as the terminal."""
    # Imported only here: `ocelog --help` and every command that prints JSON go without.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for at, head in enumerate(heads):
        drawn.add_column(
            Text(head),
            justify="right" if numeric[at] else "left",
            overflow="fold",
            no_wrap=widths is None,
            width=None if widths is None else widths[at],
        )
    for row in rows:
        drawn.add_row(*map(Text, row))
    console = Console(highlight=False, width=page)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


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
            return "; ".join(_named(str(name), each) for name, each in value.items()) or "-"
        case _:
            return harmless(str(value))


def _named(name: str, value: object) -> str:
    """Write a value of a mapping behind its name; a mapping within it stands in brackets."""
    return f"{harmless(name)} ({cell(value)})" if isinstance(value, dict) else f"{harmless(name)}: {cell(value)}"


def harmless(text: str) -> str:
    """Return `text` with control and invisible characters written out: a record must not steer the terminal."""
    return "".join(each if _visible(each) else each.encode("unicode_escape").decode() for each in text)


def harmless_lines(text: str) -> str:
    """Return `text` as `harmless` does, but with its lines as they are, and tabs as blanks."""
    return "\n".join(map(harmless, text.expandtabs(4).split("\n")))


def harmless_json(text: str) -> str:
    """Return a line of JSON with the same written as JSON escapes, so that it means what it meant."""
    return "".join(each if _visible(each) else json_format.dumps(each)[1:-1] for each in text)


def _visible(each: str) -> bool:
    # Python counts spaces other than the plain one among what cannot be printed.
    return each.isprintable() or unicodedata.category(each) == "Zs"


def near(line: str) -> str:
    """Return what opens with the path of a file as it is named from the current folder, if the file lies in it."""
    return line.removeprefix(f"{os.path.realpath(Path.cwd())}/")


def paragraph(text: str) -> None:
    """Print a line; on a terminal it is `wrapped`."""
    typer.echo(fitted(as_typed(harmless(text)), sys.stdout))


def fitted(text: str, stream: TextIO, *, indent: int = 4) -> str:
    """Return `text` as it goes to `stream`: each of its lines `wrapped` if that is a terminal."""
    if not stream.isatty():
        return text
    try:
        own = os.get_terminal_size(stream.fileno())
    except OSError:
        own = os.terminal_size((80, 24))
    columns = shutil.get_terminal_size(own).columns
    # A terminal that does not know its size says 0.
    return "\n".join(wrapped(line, columns if columns > indent else 80, indent=indent) for line in text.split("\n"))


def faint(text: str) -> None:
    """Print a line on stderr as a terminal shows what matters less, if it can."""
    from rich.console import Console  # noqa: PLC0415 - see _drawn
    from rich.text import Text  # noqa: PLC0415 - see _drawn

    Console(stderr=True, highlight=False).print(Text(text, style="dim"), soft_wrap=True)


def displayed_columns() -> int:
    """Return how many columns the terminal has."""
    return shutil.get_terminal_size().columns or 80


def wrapped(line: str, columns: int, *, indent: int) -> str:
    """Return `line` in lines of at most `columns`, the further ones indented by `indent` more than its beginning.

    Nothing that a person would copy is cut: neither a word, a path or an address, nor a command.
    """
    whole = _COPIED.sub(lambda found: found[0].replace(" ", "\0"), line)
    before = len(line) - len(line.lstrip())
    # What may not be cut is indented less if it only fits then.
    room = columns - before - max(map(displayed_width, whole.split()), default=0)
    further = " " * (before + (indent if indent <= room else min(indent, 4)))
    return "\n".join(_folded(whole, columns, further=further)).replace("\0", " ")


def _folded(text: str, columns: int, *, further: str = "") -> list[str]:
    """Return `text` in lines that end between words, each but the first behind `further`; NUL is as wide as a blank."""
    # The library counts characters, so each word is stood in for by one that has as many of them as columns.
    stand_in = _WORD.sub(lambda word: "x" * max(1, displayed_width(word[0].replace("\0", " "))), text)
    words = iter(_WORD.findall(text))
    lines = textwrap.wrap(stand_in, columns, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
    return [re.sub("x+", lambda _: next(words), line) for line in lines]


def displayed_width(text: str) -> int:
    """Return how many columns of a terminal `text` takes: two for Korean and emoji, none for a combining mark."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - see _drawn

    return cell_len(text)


def fields(values: Mapping[str, Any]) -> None:
    """Print each value on a line of its own, behind its name; on a terminal it is `wrapped`, below its beginning."""
    begins = max((displayed_width(harmless(name)) for name in values), default=0) + len(": ")
    for line in named_lines(values, values.values()):
        typer.echo(fitted(line, sys.stdout, indent=begins if begins <= _SHORT else 4))


def named_lines(names: Iterable[str], values: Iterable[object]) -> Iterator[str]:
    """Yield each value behind its name, the values below each other."""
    heads = [harmless(f"{name}:") for name in names]
    width = max(map(displayed_width, heads), default=0)
    for head, value in zip(heads, values, strict=True):
        yield f"{head}{' ' * (width - displayed_width(head))} {cell(value)}"


def remark(text: str) -> None:
    """Say something in addition to the answer, on stderr; on a terminal its lines are `wrapped`."""
    typer.echo(fitted(as_typed(harmless_lines(text)), sys.stderr), err=True)


def hint(text: str) -> None:
    """Print a line that may say what to type next; on a terminal its lines are `wrapped`."""
    typer.echo(fitted(as_typed(text), sys.stdout))
