"""Events: searched without SQL, or asked for in SQL."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ocelog.app.log_types import kinds, log_types
from ocelog.app.search import search
from ocelog.app.search.answer_values import rows as rows_of
from ocelog.app.search.export import Ending, arrow, exported
from ocelog.app.search.export import Format as ExportFormat
from ocelog.app.search.queries import MAX_LENGTH, REMOTE_ROW_BYTES, Limits, Stop, ask, remarks
from ocelog.app.search.search import Condition, Key, Operator, Search
from ocelog.app.search.summaries import summary_of
from ocelog.console.api.caller import Viewer
from ocelog.console.api.paging import MOST, Page, read_cursor, write_cursor
from ocelog.console.api.problems import CODES, RefusedError, not_found
from ocelog.console.api.values import Line, Name, Row, row, written
from ocelog.console.asking import answered, streamed
from ocelog.errors import ConfigError, QueryError, TransientError
from ocelog.times import from_us, to_us
from ocelog.units import instant

router = APIRouter(tags=["Events"])
NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"
MOST_ROWS = 10_000
_MOST_BYTES = 32 << 20
"""Of an answer as JSON."""
_LONGEST_QUERY_S = 50
"""Seconds: a connection is closed after 60."""
Given = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]


class EventCondition(BaseModel):
    """What one field must be like."""

    model_config = ConfigDict(extra="forbid")
    field: Line = Field(description="A column, or a path in one: `entitySnapshot.name`.")
    operator: Operator
    value: Given = ""


class EventSearch(BaseModel):
    """What is looked for."""

    model_config = ConfigDict(extra="forbid")
    log_type: Line | None = Field(default=None, description="None: all of them, by the standard fields.")
    since: Given = Field(default="24h", description="An instant, or how long ago.")
    until: Given | None = Field(default=None, description="An instant, or how long ago; null: now.")
    text: Given = Field(default="", description="Stands anywhere in the row, in any case of letters.")
    indicator: Given = Field(
        default="", description="An address, a name, an account: one of the `p_any_` lists has it."
    )
    conditions: list[EventCondition] = Field(default=[], max_length=20)
    columns: list[Line] = Field(
        default=[], max_length=50, description="Besides `p_event_time`, `p_log_type` and `p_row_id`."
    )
    limit: int = Field(default=50, ge=1, le=MOST)
    cursor: Annotated[str, Field(max_length=2_000)] | None = None


@router.post("/events/search", response_model=Page[Row])
async def search_events(request: Request, caller: Viewer, body: EventSearch) -> Response:
    """Return a page of events, the newest first. A page takes as long, however far into the list it is."""
    now = datetime.now(UTC)
    after = None
    if body.cursor is not None:
        us, row_id = read_cursor(body.cursor, int, str)
        after = _key(us, row_id)
    wanted = Search(
        since=instant(body.since, now=now),
        until=instant(body.until, now=now) if body.until else now + timedelta(minutes=1),
        log_type=None if body.log_type is None else log_types([body.log_type])[0],
        text=body.text.strip(),
        indicator=body.indicator.strip(),
        conditions=[Condition(field=each.field, operator=each.operator, value=each.value) for each in body.conditions],
    )

    def look(stop: Stop) -> Response:
        found = search.find(caller.installation, wanted, body.columns, after=after, limit=body.limit, stop=stop)
        further = None if found.further is None else write_cursor(to_us(found.further.at), found.further.row_id)
        return written(Page[Row](items=[row(each) for each in found.rows], next=further))

    return await answered(request, caller, look)


def _key(us: int | str, row_id: int | str) -> Key:
    try:
        return Key(at=from_us(int(us)), row_id=str(row_id))
    except OverflowError:
        raise RefusedError(422, "cursor_invalid", CODES["cursor_invalid"]) from None


class EventRecord(BaseModel):
    """One event, and the versions of its record."""

    event: Row
    summary: str = Field(description="The event in one line.")
    versions: list[Row] = Field(description="All versions of the record, the oldest first; none if it never changes.")


@router.get("/events/{log_type}/{row_id}", response_model=EventRecord)
async def get_event(request: Request, caller: Viewer, log_type: Name, row_id: Name) -> Response:
    """Return one event with every field, by its `p_log_type` and `p_row_id`."""
    with not_found():
        (named,) = log_types([log_type])

    def look(stop: Stop) -> Response:
        found = search.event(caller.installation, named, row_id, stop=stop)
        if found is None:
            raise RefusedError(404, "not_found", f"There is no such event of {named}.")
        changes = kinds()[named].version_fields is not None
        history = search.versions(caller.installation, named, str(found["id"]), stop=stop) if changes else []
        versions = [row(each) for each in history]
        return written(EventRecord(event=row(found), summary=summary_of(named, found), versions=versions))

    return await answered(request, caller, look)


class Format(StrEnum):
    """How rows are written."""

    JSON = "json"
    NDJSON = "ndjson"


class Query(BaseModel):
    """One SELECT, in DuckDB's SQL."""

    model_config = ConfigDict(extra="forbid")
    sql: str = Field(min_length=1, max_length=MAX_LENGTH, examples=["SELECT count(*) AS n FROM all_logs"])
    limit: int = Field(default=1_000, ge=1, le=MOST_ROWS, description="Rows that are returned.")
    timeout_seconds: int = Field(default=30, ge=1, le=_LONGEST_QUERY_S)
    format: Format = Field(
        default=Format.JSON, description="`ndjson`: one row per line, of type `application/x-ndjson`."
    )


class Column(BaseModel):
    """A column of an answer."""

    name: str
    type: str


class QueryAnswer(BaseModel):
    """What a query returned."""

    columns: list[Column]
    rows: list[Row]
    truncated: bool = Field(description="There are more rows than `limit`.")
    remarks: list[str] = Field(description="What is to be known of the tables: rows that are lost, or not read yet.")


@router.post(
    "/query",
    response_model=QueryAnswer,
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}, "description": "The rows."}},
)
async def query(request: Request, caller: Viewer, body: Query) -> Response:
    """Answer one SELECT. It runs in a process that can read the lake and nothing else."""
    settings = caller.installation.settings
    limits = Limits(
        timeout=min(timedelta(seconds=body.timeout_seconds), settings.query_timeout),
        memory_mb=max(1, settings.query_memory // 1_000_000),
        row_bytes=REMOTE_ROW_BYTES,
    )

    def look(stop: Stop) -> Response:
        rows, size, truncated = list[str](), 0, False
        with ask(caller.installation, body.sql, limits=limits, stop=stop) as answer:
            for each in (each for batch in answer.batches for each in rows_of(batch)):
                if len(rows) >= body.limit:
                    truncated = True
                    break
                rows.append(json.dumps(row(each), ensure_ascii=False))
                size += len(rows[-1])
                if size > _MOST_BYTES:
                    raise QueryError(f"The answer has more than {_MOST_BYTES:,} bytes: ask for fewer rows or columns.")
            columns = [{"name": each.name, "type": str(each.type)} for each in answer.schema]
            told = [*answer.missing, *remarks(caller.installation, answer.tables)]
        if body.format is Format.NDJSON:
            headers = {"ocelog-truncated": str(truncated).lower()}
            return Response(_utf8("".join(f"{each}\n" for each in rows)), media_type=NDJSON, headers=headers)
        # Rows are written already.
        about = json.dumps({"columns": columns, "truncated": truncated, "remarks": told}, ensure_ascii=False)
        return Response(_utf8(f'{about[:-1]}, "rows": [{", ".join(rows)}]}}'), media_type="application/json")

    return await answered(request, caller, look)


class FileFormat(StrEnum):
    """What a whole answer is written as."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return ARROW if self is FileFormat.ARROW else ExportFormat(self.value).media_type


class Export(BaseModel):
    """One SELECT, whose answer is wanted as a file, however many rows it has."""

    model_config = ConfigDict(extra="forbid")
    sql: str = Field(min_length=1, max_length=MAX_LENGTH, examples=["SELECT * FROM all_logs"])
    format: FileFormat = Field(
        default=FileFormat.NDJSON,
        description="In `csv`, what a spreadsheet would compute begins with an apostrophe. The last batch of `arrow` "
        "is empty; its metadata `ocelog.ending` says in JSON whether the rows are whole, and what is to be known of "
        "the tables.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        le=MOST_ROWS,
        description="Of `arrow`: rows that are returned; null: all. Others are counted.",
    )
    timeout_seconds: int | None = Field(
        default=None, ge=1, le=540, description="null: the setting `query_timeout`. It includes sending the answer."
    )


@router.post(
    "/query/export",
    response_class=Response,
    responses={
        200: {
            "content": {each.media_type: {"schema": {"type": "string"}} for each in FileFormat},
            "description": "The file, sent while it is made.",
        }
    },
)
async def export_query(request: Request, caller: Viewer, body: Export) -> Response:
    """Answer one SELECT with a file that may be as long as it will."""
    if body.limit is not None and body.format is not FileFormat.ARROW:
        raise ConfigError("`limit` is for `arrow`; in other files, write LIMIT in the SQL.")
    installation, settings = caller.installation, caller.installation.settings
    seconds = body.timeout_seconds
    limits = Limits(
        timeout=settings.query_timeout if seconds is None else timedelta(seconds=seconds),
        memory_mb=max(1, settings.query_memory // 1_000_000),
        row_bytes=REMOTE_ROW_BYTES,
    )

    def pieces(stop: Stop) -> Iterator[bytes]:
        if body.format is FileFormat.ARROW:
            return arrow(installation, body.sql, _ending, limits=limits, most=body.limit, stop=stop)
        return exported(installation, body.sql, ExportFormat(body.format.value), limits=limits, stop=stop)

    answer = await streamed(request, caller, pieces, {"content-type": body.format.media_type})
    try:
        # On the trail before its first byte.
        await run_in_threadpool(partial(caller.note, "query.exported", body.format.value, asked=body.sql))
    except BaseException:
        answer.end()
        raise
    return answer


def _ending(ending: Ending) -> dict[str, Any]:
    error = ending.error
    return {
        "rows": ending.rows,
        "truncated": ending.truncated,
        "remarks": list(ending.remarks),
        "error": None if error is None else str(error),
        "code": None if error is None else error.code,
        "later": isinstance(error, TransientError),
    }


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
