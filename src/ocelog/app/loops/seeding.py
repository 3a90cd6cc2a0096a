"""What is so already when a rule is turned on whose alerts live with a record, so that it is not taken for news."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa
import structlog

from ocelog.alert.judged import Event, Judgement
from ocelog.app.judging.jury import FolderJury
from ocelog.app.log_types import table_schemas
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import ExtraTable, Limits, Queries
from ocelog.lake.read.current import NEWEST_ORDER
from ocelog.lake.read.quoting import literal
from ocelog.model import RULE_MATCHES, Kind, Position

PAGE_ROWS = 20_000
"""Records that are read at once."""
_EVERY = 1_000_000
"""More parts than ever wait."""
_LIMITS = Limits(timeout=timedelta(minutes=9))
_AHEAD = "rows_ahead"
_AHEAD_SCHEMA = pa.schema([("p_row_id", pa.string())])
_ALERTED = "records_alerted"
_ALERTED_SCHEMA = pa.schema([("source_id", pa.string()), ("record_id", pa.string())])
_PAGE = f"""
WITH versions AS (
  SELECT p_source_id, id, {{opened}} AS opened, coalesce(p_row_id, '') AS p_row_id, {NEWEST_ORDER} AS version
  FROM {{table}}
  WHERE p_source_id IN ({{sources}}) AND {{after}} AND p_row_id NOT IN (SELECT p_row_id FROM {_AHEAD})
),
newest AS (
  SELECT p_source_id, id, arg_max({{{{'p_row_id': p_row_id, 'opened': opened}}}}, version) AS found
  FROM versions GROUP BY p_source_id, id
),
page AS (
  SELECT found.p_row_id AS p_row_id FROM newest
  WHERE found.opened OR (p_source_id, id) IN (SELECT (source_id, record_id) FROM {_ALERTED})
  ORDER BY p_source_id, id LIMIT {{most}}
)
SELECT * FROM {{table}} WHERE p_row_id IN (SELECT p_row_id FROM page) ORDER BY p_source_id, id
"""  # noqa: S608 - ours
log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class CurrentRecords:
    """The records of each table that are open, or have an alert that stands, as of the mark of the loop that judges.

    While no rules judged at all, a record may have ended whose alert nothing else would end. Of one that a person
    closed, too, it must be known that it ended: then it opens again with its record. Fits Seeder.
    """

    installation: Installation
    lake: FileLake
    jury: FolderJury
    page_rows: int = PAGE_ROWS
    _ahead: dict[str, list[str]] = field(default_factory=dict)
    """The rows of each part that lies ahead of the mark, by its path."""

    def page(self, table: str, kind: Kind, after: tuple[str, str] | None, mark: Position) -> tuple[pa.Table, bool]:
        """Return those records as they were at the mark, in the order of source and id, and whether no more follow."""
        ledger = self.installation.ledger
        schema = table_schemas()[table]
        snapshot = self.lake.snapshots.take(table)
        passed = mark.sequence + bool(mark.row)
        sources = [row.id for row in ledger.sources.listed()]
        if not sources or not (snapshot.files or any(part.sequence <= passed for part in snapshot.parts)):
            return schema.empty_table(), True
        text = _PAGE.format(
            table=table,
            opened=_opened(kind, schema),
            sources=", ".join(map(literal, sources)),
            after="id IS NOT NULL" if after is None else _behind(*after),
            most=self.page_rows,
        )
        ahead = ExtraTable(schema=_AHEAD_SCHEMA, rows=lambda _: iter(self._rows_ahead(table).to_batches()))
        alerted = ExtraTable(schema=_ALERTED_SCHEMA, rows=lambda _: iter(self._alerted(kind).to_batches()))
        extra = {_AHEAD: ahead, _ALERTED: alerted}
        queries = Queries(self.installation.home.path, ledger.lake, table_schemas(), extra)
        with queries.run(text, limits=_LIMITS, trusted=True) as answer:
            rows = pa.Table.from_batches(answer.batches, answer.schema)
        log.info("records that were there", table=table, rows=len(rows), after=after)
        return rows, len(rows) < self.page_rows

    def judge(self, rules: Collection[str], rows: pa.Table, log_type: str, events: Sequence[Event]) -> Judgement:
        """Ask some of the rules that the jury has. Raises SandboxError."""
        return self.jury.judge_by(rules, rows, log_type, events)

    def landed(self, matches: Collection[str]) -> Collection[str]:
        """Return those of `matches` that the lake has: the ledger forgets them after some weeks."""
        return self.lake.rows(RULE_MATCHES, matches, ()).keys()

    def _alerted(self, kind: Kind) -> pa.Table:
        """Return the records of which an alert is not resolved."""
        found = self.installation.ledger.alerts.alerted_records(kind.log_type)
        rows = [{"source_id": source, "record_id": record} for source, record in found]
        return pa.Table.from_pylist(rows, schema=_ALERTED_SCHEMA)

    def _rows_ahead(self, table: str) -> pa.Table:
        """Return the rows that the loop has not passed. Ask once it is settled what is read: no more come to that."""
        waiting = self.installation.ledger.judging.waiting(table, most_parts=_EVERY)
        known, self._ahead = self._ahead, {}
        found = list[str]()
        for part in waiting.parts:
            if part.source_id in waiting.removed:
                # Nothing of it is read. A purge that goes on, or was killed, may have deleted its file.
                continue
            rows = self._ahead[part.path] = known.get(part.path) or self.lake.part_row_ids(part)
            found += rows[waiting.since.row if part.sequence == waiting.since.sequence + 1 else 0 :]
        return pa.table({"p_row_id": found}, schema=_AHEAD_SCHEMA)


def _opened(kind: Kind, schema: pa.Schema) -> str:
    """Write in SQL whether a version is that of an open record."""
    shown = "p_inferred IS NULL" if "p_inferred" in schema.names else "true"
    if not kind.open_statuses or "status" not in schema.names:
        return shown
    return f"coalesce(status, '') IN ({', '.join(map(literal, kind.open_statuses))}) AND {shown}"


def _behind(source_id: str, record_id: str) -> str:
    """Write in SQL that a record comes after another."""
    source, record = literal(source_id), literal(record_id)
    return f"(p_source_id > {source} OR (p_source_id = {source} AND id > {record}))"
