"""An answer as a file: CSV, NDJSON or Parquet, made piece by piece while it is computed."""

import csv
import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from ocelog.app.search.answer_values import values
from ocelog.app.search.queries import REMOTE_ROW_BYTES, Answer, Limits, Stop, ask, remarks
from ocelog.errors import OcelogError, QueryError, TransientError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase, translated

LIMITS = Limits(timeout=timedelta(minutes=9), row_bytes=REMOTE_ROW_BYTES)
"""What the query of an export may use: it takes as long as whoever downloads it."""
ENDING = b"ocelog.ending"
"""What the ending of an Arrow stream is called in the metadata of its last batch."""
_GROUP_ROWS = 100_000
_GROUP_BYTES = 32 << 20
"""A row group of a Parquet file has at most so many rows and bytes: they are held until it is written."""
_PIECE_BYTES = 1 << 20
"""Lines of more are sent before others are made."""
_HELD_BYTES = 4 << 20
"""So much is made before anything is sent: until then, whoever asked can be told on a page what is wrong."""
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""A text that begins so would be computed by spreadsheets, some of which take full-width signs for plain ones."""


class Format(StrEnum):
    """What an answer is written as."""

    CSV = "csv"
    """Of texts that a spreadsheet would compute the first character is an apostrophe."""
    NDJSON = "ndjson"
    """A JSON object per line."""
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.NDJSON: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def exported(
    installation: Installation,
    sql: str,
    form: Format,
    *,
    stop: Stop | None = None,
    limits: Limits = LIMITS,
    language: str = "en",
) -> Iterator[bytes]:
    """Yield the answer of `sql` as a file, in pieces of some megabytes at most. Raises what `ask` does.

    What is wrong with its first megabytes is raised before there is a piece. If rows have been sent, a file of text
    ends with why it is not complete, in `language`, before that is raised.
    """
    with ask(installation, sql, limits=limits, stop=stop) as answer:
        names = answer.schema.names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise QueryError(
                Phrase(
                    "The answer has several columns named %(twice)s: name them apart with AS.", twice=", ".join(twice)
                )
            )
        pieces = _WRITERS[form](answer)
        held = bytearray()
        for piece in pieces:
            held += piece
            if len(held) >= _HELD_BYTES:
                break
        yield bytes(held)
        try:
            yield from pieces
        except (QueryError, TransientError) as error:
            told = Phrase("This file is not complete: %(error)s", error=error.phrase)
            yield _cut(form, translated(told, language))
            raise


class Ending(Struct, frozen=True, kw_only=True):
    """What is known of an answer once its rows were sent: how many more there are, and what to know of its tables."""

    rows: int | None
    """How many rows there are, if those that were sent are not all; None: nobody counted them."""
    truncated: bool
    remarks: Sequence[str]
    error: OcelogError | None = None
    """Why the rows end before their end."""


def arrow(
    installation: Installation,
    sql: str,
    written: Callable[[Ending], Mapping[str, Any]],
    *,
    limits: Limits,
    most: int | None = None,
    stop: Stop | None = None,
) -> Iterator[bytes]:
    """Yield the answer of `sql` as an Arrow stream that ends with an empty batch, whose metadata `written` gives.

    With `most`, no more than so many rows are sent, and if there are others, all are counted. Raises what `ask` does,
    unless rows have been sent: then the ending says it.
    """
    sink = _Sink()
    with ask(installation, sql, limits=limits, stop=stop) as answer:
        told = [*answer.missing, *remarks(installation, answer.tables)]
        writer = pa.ipc.new_stream(sink, answer.schema)
        ending = Ending(rows=None, truncated=False, remarks=told)
        left = most
        try:
            for batch in answer.batches:
                if left is not None and batch.num_rows > left:
                    writer.write_batch(batch.slice(0, left))
                    yield sink.taken()
                    ending = Ending(rows=_counted(answer), truncated=True, remarks=told)
                    break
                writer.write_batch(batch)
                left = None if left is None else left - batch.num_rows
                yield sink.taken()
        except OcelogError as error:
            if not isinstance(error, QueryError | TransientError):
                raise
            ending = Ending(rows=None, truncated=True, remarks=(), error=error)
        last = pa.RecordBatch.from_pylist([], schema=answer.schema)
        writer.write_batch(last, custom_metadata={ENDING: json.dumps(written(ending), ensure_ascii=False)})
        writer.close()
        yield sink.taken()


def _counted(answer: Answer) -> int | None:
    try:
        return answer.count()
    except QueryError:
        return None


def _cut(form: Format, told: str) -> bytes:
    match form:
        case Format.CSV:
            line = io.StringIO(newline="")
            csv.writer(line, lineterminator="\r\n").writerow([neutral(told)])
            return line.getvalue().encode("utf-8", "replace")
        case Format.NDJSON:
            return f"{json.dumps({'error': told}, ensure_ascii=False)}\n".encode("utf-8", "replace")
        case Format.PARQUET:
            # Without its footer nothing reads it.
            return b""


def neutral(text: str) -> str:
    """Return a text of a CSV cell so that no spreadsheet computes it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(answer: Answer) -> Iterator[bytes]:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")

    def written() -> bytes:
        text = file.getvalue()
        file.seek(0)
        file.truncate()
        return text.encode("utf-8", "replace")

    writer.writerow([neutral(name) for name in answer.schema.names])
    yield written()
    for batch in answer.batches:
        writer.writerows([_cell(value) for value in row] for row in zip(*_columns(batch), strict=True))
        yield written()


def _columns(batch: pa.RecordBatch) -> list[list[Any]]:
    return [values(column) for column in batch.columns]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return neutral(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case dict() | list() | tuple():
            return neutral(json.dumps(value, ensure_ascii=False, default=_plain))
        case _:
            return neutral(str(_plain(value)))


def _ndjson(answer: Answer) -> Iterator[bytes]:
    names = answer.schema.names
    for batch in answer.batches:
        piece = bytearray()
        for row in zip(*_columns(batch), strict=True):
            line = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=_plain)
            piece += f"{line}\n".encode("utf-8", "replace")
            if len(piece) > _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)


def _plain(value: Any) -> Any:
    match value:
        case datetime() if value.tzinfo is not None:
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        case bytes():
            return b64encode(value).decode()
        case Mapping():
            return dict(value)
        case _:
            return str(value)


class _Sink(io.RawIOBase):
    """A file of which what was written is taken away again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces = list[bytes]()
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        taken = bytes(piece)
        self._pieces.append(taken)
        self._at += len(taken)
        return len(taken)

    def tell(self) -> int:
        return self._at

    def taken(self) -> bytes:
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found


def _parquet(answer: Answer) -> Iterator[bytes]:
    sink = _Sink()
    try:
        # Some types of SQL are none of Parquet's: that is told before anything is sent.
        pq.write_table(answer.schema.empty_table(), io.BytesIO())
        writer = pq.ParquetWriter(sink, answer.schema, compression="zstd")
    except pa.ArrowException as error:
        raise QueryError(
            Phrase("Parquet cannot hold a column of this answer: %(error)s. Cast it, or export CSV.", error=error)
        ) from error
    yield sink.taken()
    held, rows, size = list[pa.RecordBatch](), 0, 0
    for batch in answer.batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            writer.write_table(pa.Table.from_batches(held))
            held, rows, size = [], 0, 0
            yield sink.taken()
    if held:
        writer.write_table(pa.Table.from_batches(held))
    writer.close()
    yield sink.taken()


_WRITERS: Mapping[Format, Callable[[Answer], Iterator[bytes]]] = {
    Format.CSV: _csv,
    Format.NDJSON: _ndjson,
    Format.PARQUET: _parquet,
}
