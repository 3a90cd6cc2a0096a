"""`ocelog query`: ask the lake in SQL."""

import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from msgspec import Struct

from ocelog.app.search.queries import MAX_LENGTH, Answer, Limits, ask, remarks
from ocelog.cli import answers, remote, show
from ocelog.cli.limits import bound_memory
from ocelog.cli.option_values import option_value
from ocelog.cli.output import in_utf8
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation, opened
from ocelog.units import duration

if TYPE_CHECKING:
    # What speaks HTTP takes long to import.
    from ocelog.remote.remote import Remote

_MEMORY_MB = 1_000
"""For the rows of a remote Ocelog."""


class Output(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    LINE = "line"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


OutputOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="|".join(Output),
        help="Default: a table on a terminal, else ndjson.",
        autocompletion=lambda: list(Output),
    ),
]
Timeout: TypeAlias = Annotated[
    str | None, typer.Option("--timeout", metavar="60s", help="Interrupt a query after this long, at most 9m.")
]
NoPager: TypeAlias = Annotated[
    bool, typer.Option("--no-pager", help="Print also what is longer than the screen, instead of through $PAGER.")
]
Unsafe: TypeAlias = Annotated[
    bool,
    typer.Option("--unsafe", help="Run SQL on another user's home even if this kernel has no seccomp to confine it."),
]


def command(
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help="One SELECT, in DuckDB's SQL.")] = None,
    *,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Read the SQL from a file; - is stdin.")] = None,
    output: OutputOption = None,
    timeout: Timeout = None,
    csv_safe: Annotated[
        bool, typer.Option("--csv-safe", help="In CSV, put ' before text that a spreadsheet would run as a formula.")
    ] = False,
    no_pager: NoPager = False,
    unsafe: Unsafe = False,
) -> None:
    """Ask the lake in SQL; what has landed is there at once, published or not. `ocelog tables` lists what there is.

    The SQL is an argument, a file, or comes on stdin. A table shows 100 rows and says how many there are;
    on a terminal it names the columns that do not fit, and -o line writes every field on a line of its own. What is
    longer than the screen goes through $PAGER (less), unless stdin is not a terminal.
    """
    form = chosen_output(output)
    if csv_safe and form is not Output.CSV:
        raise ConfigError("--csv-safe is for CSV: add -o csv, or leave it out.")
    text = _utf8(_sql(sql, file))
    options = Options(
        output=form,
        timeout=None if timeout is None else chosen_timeout(timeout),
        csv_safe=csv_safe,
        paged=not no_pager,
        unsafe=unsafe,
    )
    if (other := remote.chosen()) is not None:
        if unsafe:
            raise ConfigError("--unsafe is about the machine of the home: use it there.")
        answer_remotely(other, text, options)
        return
    with opened(reading=True, ledger_later=True) as installation:
        answer_sql(installation, text, options)


class Options(Struct, frozen=True, kw_only=True):
    """How SQL is answered."""

    output: Output
    timeout: timedelta | None = None
    """None: as the settings say."""
    csv_safe: bool = False
    paged: bool = True
    unsafe: bool = False
    chosen_by: str = "-o"
    """What a person chooses `output` by."""


def answer_sql(installation: Installation, sql: str, options: Options) -> None:
    """Print the answer to one SELECT, and what a person should know of it. Raises what `ask` does."""
    settings = installation.settings
    limits = Limits(
        timeout=options.timeout or settings.query_timeout, memory_mb=max(1, settings.query_memory // 1_000_000)
    )
    bound_memory(limits.memory_mb)
    with ask(installation, sql, limits=limits, trusted=options.unsafe) as answer:
        write_answer(answer, options)
    for line in answer.missing:
        show.remark(line)
    for line in remarks(installation, answer.tables):
        show.remark(line)


def answer_remotely(other: "Remote", sql: str, options: Options) -> None:
    """Print the answer of a remote Ocelog to one SELECT. Raises OcelogError."""
    bound_memory(_MEMORY_MB)
    # A table shows some rows, and how many there are.
    most = answers.SHOWN + 1 if options.output is Output.TABLE else None
    with other.lake.ask(sql, timeout=options.timeout, most=most) as (answer, stream):
        write_answer(answer, options)
        told = stream.remarks()
    for line in told:
        show.remark(line)


def _sql(sql: str | None, file: Path | None) -> str:
    if sql is not None and file is not None:
        raise ConfigError("Give the SQL as an argument or with -f, not both.")
    if sql is not None and sql.strip() != "-":
        return sql
    if file == Path("-"):
        file = None
    elif file is None and sql is None and sys.stdin.isatty():
        raise ConfigError('No SQL was given. An example: ocelog query "SELECT count(*) FROM wiz_issues_current"')
    try:
        if file is None:
            text = sys.stdin.read(MAX_LENGTH + 1)
        else:
            with file.open(encoding="utf-8") as opened_file:
                text = opened_file.read(MAX_LENGTH + 1)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{file or 'stdin'} is not UTF-8 text.") from None
    if len(text) > MAX_LENGTH:
        raise ConfigError(
            f"The SQL in {file or 'stdin'} is longer than {MAX_LENGTH:,} characters, the most that one query may have. "
            "To run several queries, end each with a semicolon and give them to: ocelog sql"
        )
    return text


def _utf8(sql: str) -> str:
    """Return `sql` with the bytes that Python could not read, under a locale that is not UTF-8, read as such."""
    try:
        return sql.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise ConfigError("The SQL is not UTF-8 text.") from None


def chosen_timeout(text: str) -> timedelta:
    """Read `--timeout`. Raises ConfigError."""
    found = option_value("--timeout", duration, text)
    if not timedelta(seconds=1) <= found <= timedelta(minutes=9):
        raise ConfigError(f"--timeout {text}: choose something from 1s to 9m.")
    return found


def chosen_output(word: str | None, *, by: str = "-o") -> Output:
    """Read what was given `by` -o or .mode; None: a table on a terminal, else ndjson.

    Raises ConfigError with the nearest name.
    """
    if word is None:
        return Output.TABLE if sys.stdout.isatty() else Output.NDJSON
    return Output(show.chosen_output(word, [each.value for each in Output], by=by))


def write_answer(answer: Answer, options: Options) -> None:
    """Print `answer` in the form that was chosen."""
    if options.output is not Output.TABLE:
        in_utf8()
    match options.output:
        case Output.TABLE:
            answers.as_table(answer, paged=options.paged, chosen_by=options.chosen_by)
        case Output.LINE:
            answers.as_lines(answer, paged=options.paged)
        case Output.JSON:
            answers.as_json(answer)
        case Output.NDJSON:
            answers.as_ndjson(answer)
        case Output.CSV:
            answers.as_csv(answer, safe=options.csv_safe)
        case Output.PARQUET:
            answers.as_parquet(answer)
