"""SQL on the lake of a remote Ocelog: whole answers, as they come; its tables and its log schemas."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa
from msgspec import Struct

from ocelog.app.search.export import ENDING
from ocelog.app.search.queries import Answer
from ocelog.errors import QueryError, RemoteUnavailableError
from ocelog.remote.client import Client, error_of

_WHOLE = {32: pa.int32(), 64: pa.int64()}


@dataclass(slots=True)
class _Stream:
    """An Arrow stream as it comes, and what it says at its end."""

    client: Client
    reader: pa.RecordBatchReader
    ending: dict[str, Any] | None = field(default=None)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield what comes. Raises OcelogError if it does not come to its end."""
        while self.ending is None:
            try:
                found = self.reader.read_next_batch_with_custom_metadata()
            except (StopIteration, pa.ArrowException, EOFError):
                raise RemoteUnavailableError(f"The answer of {self.client.host} broke off. Run it again.") from None
            said = None if found.custom_metadata is None else found.custom_metadata.get(ENDING)
            if said is None:
                self._refuse_malformed(found.batch)
                yield found.batch
                continue
            with self.client.reading():
                self.ending = dict(json.loads(said))
                if (error := self.ending["error"]) is not None:
                    raise error_of(self.ending["code"], error, later=self.ending["later"])

    def _refuse_malformed(self, batch: pa.RecordBatch) -> None:
        """Refuse a batch that would have us read memory that is not its own. Raises RemoteUnavailableError."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            # 24:00:00, which SQL has and Arrow has not, is no sign of anything.
            is_time = pa.types.is_time(column.type)
            try:
                (column.view(_WHOLE[column.type.bit_width]) if is_time else column).validate(full=True)
            except pa.ArrowException as error:
                raise RemoteUnavailableError(
                    f"The answer of {self.client.host} is malformed in the column {name!r}: {error}"
                ) from None

    def count(self) -> int:
        """Return how many rows there are, those too that were not sent."""
        for _ in self.batches():
            pass
        rows = None if self.ending is None else self.ending["rows"]
        if rows is None:
            raise QueryError("How many rows there are is not known.")
        return int(rows)

    def remarks(self) -> list[str]:
        """Return what is to be known of the tables that were read."""
        for _ in self.batches():
            pass
        return list(self.ending["remarks"]) if self.ending is not None else []


class _Pieces(io.RawIOBase):
    """A file of the pieces of an answer."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


class Lake(Struct, frozen=True):
    """The lake there."""

    client: Client

    @contextmanager
    def ask(
        self, sql: str, *, timeout: timedelta | None = None, most: int | None = None
    ) -> Iterator[tuple[Answer, "_Stream"]]:
        """Yield the answer to one SELECT, of which no more than `most` rows are sent; the others are counted.

        What is to be known of its tables is known after its rows. Raises OcelogError.
        """
        body = {
            "sql": sql,
            "format": "arrow",
            "limit": most,
            "timeout_seconds": None if timeout is None else max(1, int(timeout.total_seconds())),
        }
        with self.client.stream("POST", "query", "export", body=body) as answer:
            pieces = io.BufferedReader(_Pieces(answer.iter_bytes()), 1 << 16)
            try:
                reader = pa.ipc.open_stream(pieces)
            except pa.ArrowException:
                raise RemoteUnavailableError(f"The answer of {self.client.host} broke off. Run it again.") from None
            stream = _Stream(self.client, reader)
            found = Answer(schema=reader.schema, batches=stream.batches(), count=stream.count, tables=frozenset())
            yield found, stream

    def tables(self) -> dict[str, str]:
        """Return every table and view with what it holds."""
        found = self.client.get("tables")
        with self.client.reading():
            return {each["table"]: each["meaning"] for each in found}

    def columns(self, table: str) -> list[dict[str, str]]:
        """Return the columns of a table. Raises OcelogError."""
        found = self.client.get("tables", table)
        with self.client.reading():
            return list(found["columns"])

    def schemas(self) -> list[dict[str, Any]]:
        """Return the log types there."""
        names = ("log_type", "table", "version", "fields", "description")
        items = list(self.client.pages("schemas"))
        with self.client.reading():
            return [{name: each[name] for name in names} for each in items]

    def fields(self, log_type: str) -> list[dict[str, Any]]:
        """Return every field of a log type. Raises OcelogError."""
        found = self.client.get("schemas", log_type)
        with self.client.reading():
            return list(found["every_field"])
