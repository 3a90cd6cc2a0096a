"""When events happened, changed and count for the cursor: the instants of a page, column by column."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, field

from ocelog.model import Kind
from ocelog.schema.columns.frame import Frame
from ocelog.schema.decode.timestamps import INSTANT, all_canonical
from ocelog.schema.language.fields import LogSchema, Timestamp, leaves


class Instants(Struct, frozen=True, kw_only=True):
    """The instants of a page's events."""

    cursor: pa.Array
    version: pa.Array
    event: pa.Array
    """Null if an event has no time of its own."""
    by_path: dict[str, pa.Array] = field(default_factory=dict)


class InstantReader:
    """Reads the instants of one log type."""

    def __init__(self, schema: LogSchema, kind: Kind) -> None:
        stamped = {path: found.type for path, found in leaves(schema.fields) if isinstance(found.type, Timestamp)}
        self._paths = [path for path in stamped if "[]" not in path]
        self._in_lists = [path for path in stamped if "[]" in path]
        self._event = [path for path, type_ in stamped.items() if type_.event_time and path in self._paths]
        self._cursor = (kind.cursor_field, kind.created_field)
        self._version = (*kind.version_times, *self._cursor)
        missing = {*self._version} - {*self._paths}
        if missing:
            raise ValueError(f"{schema.log_type} has no timestamps {', '.join(sorted(missing))}")

    def read(self, frame: Frame) -> Instants | None:
        """Return the instants in `frame`; None if one is written unusually, or a record has no place in time."""
        texts: list[str | None] = []
        for path in self._paths:
            texts += frame.values(path)
        for path in self._in_lists:
            for found in frame.values(path):
                texts += found
        instants = all_canonical(texts)
        if instants is None:
            return None
        rows = len(frame.records)
        by_path = {path: instants.slice(at * rows, rows) for at, path in enumerate(self._paths)}
        cursor = _first(by_path, self._cursor, rows)
        if cursor.null_count:
            return None
        version = _first(by_path, self._version, rows)
        return Instants(cursor=cursor, version=version, event=_first(by_path, self._event, rows), by_path=by_path)

    @property
    def place(self) -> tuple[str, str]:
        """The fields that give a record its place in time."""
        return self._cursor


def _first(by_path: dict[str, pa.Array], paths: Sequence[str], rows: int) -> pa.Array:
    """Return the first of the columns that is not null, row by row."""
    found = pa.nulls(rows, INSTANT)
    for path in paths:
        found = by_path[path] if found.null_count == rows else pc.coalesce(found, by_path[path])
        if not found.null_count:
            break
    return found


def microseconds(instants: pa.Array) -> list[int]:
    """Return instants, none of them null, as counts."""
    data = memoryview(instants.buffers()[1]).cast("q")
    return data[instants.offset : instants.offset + len(instants)].tolist()
