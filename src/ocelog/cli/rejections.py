"""`ocelog rejections`: records that did not fit, and trying them again."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from ocelog.app.records.rejections import replay
from ocelog.app.search.queries import ask
from ocelog.cli import remote, show
from ocelog.cli.query import Options, Output, answer_remotely, chosen_output, write_answer
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened

_NEWEST = """
SELECT path, expected, found, p_source_label AS source, p_log_type AS log_type, record_id,
       p_observed_at AS observed_at, {raw} AS record
FROM rejections ORDER BY p_observed_at DESC, p_row_id {limit}
"""


def command(
    *,
    again: Annotated[
        bool, typer.Option("--replay", help="Try them again, and land those that fit now; you may run it again.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all of them as JSON, unshortened.")] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="|".join(Output),
            help="In all forms but a table: all of them, unshortened.",
            autocompletion=lambda: list(Output),
        ),
    ] = None,
) -> None:
    """Show the newest records that did not fit their schema: where, what was expected, what was found.

    All of them, with the record as it came, are in the table `rejections`.
    """
    if json and output is not None:
        raise ConfigError("Give --json or -o, not both.")
    form = Output.JSON if json else chosen_output(output or Output.TABLE)
    short = form is Output.TABLE
    sql = _NEWEST.format(raw="left(raw, 60)" if short else "raw", limit="LIMIT 101" if short else "")
    if (other := remote.chosen()) is not None:
        if again:
            _show_replayed(other.sources.replay(), form)
        else:
            answer_remotely(other, sql, Options(output=form))
        return
    with opened(reading=not again) as installation:
        if again:
            _show_replayed(asdict(replay(installation)), form)
            return
        with ask(installation, sql, trusted=True) as answer:
            write_answer(answer, Options(output=form))


def _show_replayed(found: Mapping[str, Any], form: Output) -> None:
    show.table_or_json([found], json=form is Output.JSON)
    if found["sent_with_errors"]:
        show.remark(
            f"{found['sent_with_errors']} came with an error and cannot be trusted. Request them again: "
            "ocelog pull --since T --until T"
        )
