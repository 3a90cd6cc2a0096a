"""`ocelog rejections`: records that did not fit, and trying them again."""

from dataclasses import asdict
from typing import Annotated

import typer

from ocelog.app.queries import ask
from ocelog.app.rejections import replay
from ocelog.cli import answers, show
from ocelog.installation.opening import opened

_NEWEST = """
SELECT p_observed_at AS observed_at, p_source_label AS source, p_log_type AS log_type, record_id, path, expected, found,
       {raw} AS record
FROM rejections ORDER BY p_observed_at DESC, p_row_id {limit}
"""


def command(
    *,
    again: Annotated[
        bool, typer.Option("--replay", help="Try them again, and land those that fit now; you may run it again.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all of them as JSON, unshortened.")] = False,
) -> None:
    """Show the newest records that did not fit their schema: where, what was expected, what was found.

    All of them, with the record as it came, are in the table `rejections`.
    """
    with opened(reading=not again) as installation:
        if again:
            found = replay(installation)
            show.table_or_json([asdict(found)], json=json)
            if found.sent_with_errors:
                show.remark(
                    f"{found.sent_with_errors} came with an error and cannot be trusted. Request them "
                    "again: ocelog pull --since T --until T"
                )
            return
        sql = _NEWEST.format(raw="raw" if json else "left(raw, 60)", limit="" if json else "LIMIT 101")
        with ask(installation, sql, trusted=True) as answer:
            if json:
                answers.as_json(answer)
            else:
                answers.as_table(answer)
