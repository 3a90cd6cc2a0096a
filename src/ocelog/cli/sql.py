"""`ocelog sql`: a shell in which one query follows the other."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import typer
from msgspec.structs import replace

from ocelog.app.search.queries import MAX_LENGTH
from ocelog.app.search.tables import check_table, columns, meanings
from ocelog.cli import show, tables
from ocelog.cli.history import history_file
from ocelog.cli.query import (
    NoPager,
    Options,
    Output,
    OutputOption,
    Timeout,
    Unsafe,
    answer_sql,
    chosen_output,
    chosen_timeout,
)
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import opened

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+ | --[^\n]*)
  | (?P<end>;)
  | (?P<opens>/\* | (?<!\w)[eE]' | ['"] | \$\w*\$)
  | \w+
  | .
    """,
    re.VERBOSE | re.DOTALL,
)
"""`opens`: a semicolon may hide in texts, quoted names and comments."""
_ESCAPED = re.compile(r"(?:[^'\\]|\\.|'')*+'", re.DOTALL)
"""The rest of a text that began with E', in which a backslash hides a quote."""
_LEAVING = frozenset({"exit", "quit", ".exit", ".quit", "\\q"})
_HELP = """\
Type a SELECT and end it with a semicolon; it may have many lines.
  .tables         list the tables and views
  .schema TABLE   list the columns of a table, and what each means
  .mode FORM      write answers as table, line (a field per line), json, ndjson,
                  csv or parquet; .mode alone says which
  .help           show this
  .exit           leave (or Ctrl-D)
Tab completes names and words; the arrow keys bring back earlier lines, Ctrl-R
searches them. Ctrl-C stops a query."""
_WORDS = re.findall(
    r"\w+",
    """
SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET QUALIFY DISTINCT AS ON USING JOIN LEFT RIGHT FULL INNER CROSS SEMI
ANTI UNION ALL INTERSECT EXCEPT EXCLUDE REPLACE WITH RECURSIVE VALUES AND OR NOT IN IS NULL LIKE ILIKE BETWEEN EXISTS
CASE WHEN THEN ELSE END CAST ASC DESC NULLS FIRST LAST OVER PARTITION WINDOW FILTER INTERVAL DAYS HOURS TIMESTAMPTZ
DESCRIBE SUMMARIZE SHOW TABLES TRUE FALSE count sum avg min max median quantile arg_max arg_min string_agg list
list_contains unnest coalesce nullif date_trunc date_diff now age epoch lower upper trim length contains starts_with
regexp_matches regexp_extract regexp_replace split_part round generate_series row_number rank lag lead
""",
)


def command(
    *,
    output: OutputOption = None,
    timeout: Timeout = None,
    no_pager: NoPager = False,
    unsafe: Unsafe = False,
) -> None:
    """Ask the lake in SQL, one query after the other, with history and completion.

    On a terminal a query ends with a semicolon and may have many lines; .help lists what else there is. Otherwise the
    queries on stdin are answered until one fails, and its exit code is the command's.
    """
    options = Options(
        output=chosen_output(output),
        timeout=None if timeout is None else chosen_timeout(timeout),
        paged=not no_pager,
        unsafe=unsafe,
        chosen_by=".mode",
    )
    if sys.stdin.isatty() and sys.stdout.isatty():
        _converse(options)
        return
    for text in statements(sys.stdin):
        options = _answer(text, options)


class Splitter:
    """Splits SQL that comes line by line into statements, each character looked at once however long a text is open."""

    def __init__(self) -> None:
        self._pieces = list[str]()
        self._open: str | None = None
        """What began the text, quoted name or comment that is not closed yet."""
        self._empty = True

    def feed(self, lines: str) -> list[str]:
        """Take whole lines and return the statements that end in them, without the semicolon.

        What holds nothing but blanks and comments is no statement.
        """
        found, begin, at = list[str](), 0, 0
        while at < len(lines):
            if self._open is not None:
                at = _closed(self._open, lines, at)
                if at < 0:
                    break
                self._open = None
                continue
            token = _TOKEN.match(lines, at)
            if token is None:
                raise AssertionError("any character is a token")
            at = token.end()
            if token["end"] is not None:
                self._pieces.append(lines[begin : token.start()])
                found += [] if self._empty else ["".join(self._pieces).strip()]
                self._pieces.clear()
                begin, self._empty = at, True
                continue
            self._open = token["opens"]
            if token["blank"] is None and self._open != "/*":
                self._empty = False
        self._pieces.append(lines[begin:])
        if not self.unfinished:
            self._pieces.clear()
        return found

    @property
    def unfinished(self) -> bool:
        """Whether a statement or a comment has begun and not ended."""
        return not self._empty or self._open is not None

    @property
    def rest(self) -> str:
        """What follows the last semicolon; empty if that is nothing but blanks and comments."""
        return "".join(self._pieces)


def _closed(opened: str, lines: str, at: int) -> int:
    """Return where what `opened` began is over, -1 if not in these lines. A doubled quote opens the next at once."""
    if opened in {"e'", "E'"}:
        found = _ESCAPED.match(lines, at)
        return -1 if found is None else found.end()
    closing = "*/" if opened == "/*" else opened
    place = lines.find(closing, at)
    return -1 if place < 0 else place + len(closing)


def split(text: str) -> tuple[list[str], str]:
    """Return the statements of `text` that end with a semicolon, without it, and what follows the last of them."""
    splitter = Splitter()
    found = splitter.feed(text)
    return found, splitter.rest


def statements(lines: TextIO) -> Iterator[str]:
    """Yield each statement as soon as it is there, and at last what ends without a semicolon.

    Raises ConfigError for a line or a statement that is too long: neither may fill the memory.
    """
    splitter, length = Splitter(), 0
    try:
        while line := lines.readline(MAX_LENGTH + 1):
            if len(line) > MAX_LENGTH:
                raise ConfigError(
                    f"A line on stdin is longer than {MAX_LENGTH:,} characters: begin a new line after each query, and "
                    "end each query with a semicolon."
                )
            if not splitter.unfinished and line.strip().startswith((".", "\\")):
                yield line.strip()
                continue
            found = splitter.feed(line)
            yield from found
            length = len(line) if found or not splitter.unfinished else length + len(line)
            if length > MAX_LENGTH and splitter.unfinished:
                raise ConfigError(
                    f"A query on stdin is longer than {MAX_LENGTH:,} characters: end each query with a semicolon."
                )
    except UnicodeDecodeError:
        raise ConfigError("stdin is not UTF-8 text.") from None
    if splitter.unfinished:
        # Also a text or comment that nothing closes: the engine says what is wrong with it.
        yield splitter.rest.strip()


def _answer(text: str, options: Options) -> Options:
    """Answer one statement, or a command that begins with a dot or a backslash, as people know them from elsewhere.

    Returns how the next one is answered.
    """
    if text.startswith((".", "\\")):
        name, _, rest = text.removesuffix(";").strip().partition(" ")
        match name, rest.strip():
            case (".tables" | "\\dt", "") | ("\\d", ""):
                show.fitting_table(["table", "meaning"], list(meanings().items()))
            case (".schema" | "\\d", table) if table:
                tables.command(table, json=False)
            case (".schema", _):
                raise ConfigError("Which table? Such as: .schema open_findings")
            case ((".tables" | "\\dt"), table):
                raise ConfigError(f"{name} lists all tables. Did you mean: .schema {table}")
            case (".mode", "") | ("\\x", "" | "on" | "off"):
                if name == "\\x":
                    line = rest == "on" or (rest == "" and options.output is not Output.LINE)
                    options = replace(options, output=Output.LINE if line else Output.TABLE)
                show.remark(f"Answers are written as: {options.output}")
            case (".mode", form):
                return replace(options, output=chosen_output(form, by=".mode"))
            case (".help" | "\\?" | "\\h", _):
                typer.echo(_HELP)
            case _:
                raise ConfigError(f"There is no command {name}. See: .help")
        return options
    # Opened anew each time: settings and ledger may have changed since the last one.
    with opened(reading=True) as installation:
        answer_sql(installation, text, options)
    return options


def _converse(options: Options) -> None:
    # Slow to import, and only needed here.
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - see above
    from prompt_toolkit.application import get_app  # noqa: PLC0415 - see above
    from prompt_toolkit.completion import WordCompleter  # noqa: PLC0415 - see above
    from prompt_toolkit.filters import Condition  # noqa: PLC0415 - see above
    from prompt_toolkit.output.defaults import create_output  # noqa: PLC0415 - see above
    from prompt_toolkit.shortcuts import CompleteStyle  # noqa: PLC0415 - see above

    with opened(reading=True) as installation:
        home = installation.home.path
    words = Words(home)
    # It would ask the terminal where its cursor is, and not every terminal answers.
    terminal = create_output(stdout=sys.stdout)
    terminal.enable_cpr = False  # type: ignore[attr-defined]
    session = PromptSession[str](
        history=history_file(home / "sql_history"),
        completer=WordCompleter(lambda: words.fitting(get_app().current_buffer.text), ignore_case=True),
        complete_style=CompleteStyle.READLINE_LIKE,
        complete_while_typing=False,
        multiline=Condition(lambda: not _is_whole(get_app().current_buffer.text)),
        prompt_continuation=lambda width, _, __: "...> ".rjust(width),
        output=terminal,
    )
    typer.echo("SELECT ...; asks the lake. .help says what else there is, Ctrl-D leaves.")
    while True:
        try:
            # Python's own handling of the signal: theirs fails if it comes while the prompt is being set up.
            text = session.prompt("ocelog> ", handle_sigint=False).strip()
            if text.removesuffix(";").strip().lower() in _LEAVING:
                return
            if _asks_for_help(text):
                text = ".help"
            for statement in [text] if text.startswith((".", "\\")) else split(text)[0]:
                options = _try(statement, options)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _try(text: str, options: Options) -> Options:
    """Answer as `_answer` does, and say what goes wrong: nothing of that ends the shell."""
    try:
        options = _answer(text, options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        show.remark("Stopped.")
    except OcelogError as error:
        show.remark(str(error))
    except Exception as error:  # noqa: BLE001 - as in `main`: a bug costs one query
        first = (str(error).splitlines() or [""])[0][:300]
        show.remark(f"Unexpected {type(error).__name__}: {first}\nThis is a bug in Ocelog.")
    return options


def _is_whole(text: str) -> bool:
    """Whether Enter sends what was typed, rather than beginning another line of it."""
    text = text.strip()
    if not text or text.startswith((".", "\\")) or text.lower() in _LEAVING or _asks_for_help(text):
        return True
    found, rest = split(text)
    return bool(found) and not rest


def _asks_for_help(text: str) -> bool:
    return text.removesuffix(";").strip().lower() in {"help", "?"}


class Words:
    """What Tab completes: tables, the columns of those that are named, commands and words of SQL."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._tables = meanings()
        self._columns = dict[str, list[str]]()

    def fitting(self, text: str) -> list[str]:
        """Return the words that may stand in `text`; of structs also the fields."""
        if text.startswith("."):
            # As far as the completer is concerned the dot is a word of its own.
            return [
                *(f"{dot}{name}" for name in ("tables", "schema", "mode", "help", "exit") for dot in ("", ".")),
                *self._tables,
            ]
        named = [name for name in dict.fromkeys(re.findall(r"\w+", text)) if name in self._tables]
        return list(dict.fromkeys([*self._tables, *(name for each in named for name in self._names(each)), *_WORDS]))

    def _names(self, table: str) -> list[str]:
        if table not in self._columns:
            check_table(table, self._tables)
            try:
                self._columns[table] = [name for each in columns(table, self._home) for name in _names_in(each)]
            except OcelogError:
                # A damaged table: what is wrong is said when it is asked.
                return []
        return self._columns[table]


def _names_in(column: pa.Field) -> Iterator[str]:
    yield column.name
    kind = column.type
    if pa.types.is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        for at in range(kind.num_fields):
            yield from _names_in(kind.field(at))
