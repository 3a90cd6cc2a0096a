"""Which rows a page of records becomes: the compiled schema of one log type."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ocelog.model import Kind, Stamp
from ocelog.schema.columns.fill import fill_record
from ocelog.schema.columns.frame import Frame
from ocelog.schema.columns.indicator_columns import IndicatorColumns
from ocelog.schema.columns.instants import microseconds
from ocelog.schema.columns.table import row_schema
from ocelog.schema.decode.timestamps import INSTANT
from ocelog.schema.decode.typed import Record
from ocelog.schema.language.fields import Json, LogSchema, leaves
from ocelog.schema.page import DecodedPage, PageReader
from ocelog.schema.versions.fingerprint import Fingerprints


class Shaper:
    """The compiled schema of one log type; one object serves many threads."""

    def __init__(self, schema: LogSchema, kind: Kind) -> None:
        self.schema = schema
        self.columns = row_schema(schema)
        self.reader = PageReader(schema, kind)
        self.fingerprints = Fingerprints(schema, self.reader.layout, kind)
        self.indicators = IndicatorColumns(schema)
        self.free_json = {path for path, found in leaves(schema.fields) if isinstance(found.type, Json)}

    def shape(self, records: bytes | list[bytes]) -> "ShapedPage":
        """Decode a page. A record that does not fit never costs another; nothing raises."""
        return ShapedPage(self, self.reader.read(records))


def compile_shaper(schema: LogSchema, kind: Kind) -> Shaper:
    """Compile `schema` with what its log type's entry says.

    Raises ValueError if `kind` names fields that the schema does not have, or the schema has no required text `id`.
    """
    return Shaper(schema, kind)


class ShapedPage:
    """A page's records: events in page order as parallel lists, and rejections. Fits `ShapedRecords` of `pull`."""

    def __init__(self, shaper: Shaper, page: DecodedPage) -> None:
        self._shaper = shaper
        self._page = page
        self._frame: Frame | None = page.frame
        self._records: list[Record] = list(page.frame.records)
        self._filled = False
        self._versions: list[str] | None = None
        self._old_versions: list[tuple[str, ...]] | None = None
        self.ids = list(page.frame.values("id"))
        self.cursor_us = microseconds(page.instants.cursor)
        self.version_us = microseconds(page.instants.version)
        self.last_event_us: int | None = pc.max(page.instants.event.cast(pa.int64())).as_py()
        self.positions = page.positions
        self.rejections = page.rejections
        self.seen = page.seen
        self.unknown_fields: Mapping[str, int] = page.unknown_fields

    @property
    def versions(self) -> list[str]:
        """Return p_version of each event."""
        if self._versions is None:
            self._versions = self._shaper.fingerprints.of(self._whole())
        return self._versions

    @property
    def old_versions(self) -> Sequence[Sequence[str]]:
        """Return what `versions` were by the hash's former algorithms, by event.

        Worked out when first asked for: only rows from before an upgrade are compared by them.
        """
        if self._old_versions is None:
            fingerprints, frame = self._shaper.fingerprints, self._whole()
            found = [fingerprints.of(frame, algorithm) for algorithm in fingerprints.former]
            self._old_versions = list(zip(*found, strict=True)) if found else [()] * len(self.ids)
        return self._old_versions

    def texts(self, path: str) -> list[str | None]:
        """Return the text at `path` of each event; None if there is none. Its last step may lead into free JSON."""
        parent, _, member = path.rpartition(".")
        if parent in self._shaper.free_json:
            wanted, texts = f'"{member}"'.encode(), map(bytes, self._page.frame.values(parent))
            return [_member(text, member) if wanted in text else None for text in texts]
        return [value if isinstance(value, str) else None for value in self._page.frame.values(path)]

    def latest_event_us(self, besides: Collection[int]) -> int | None:
        """Return the latest time of an event other than those; None if none has a time of its own."""
        if not besides:
            return self.last_event_us
        others = pa.array([at for at in range(len(self.ids)) if at not in besides], pa.int64())
        latest: int | None = pc.max(self._page.instants.event.take(others).cast(pa.int64())).as_py()
        return latest

    def fill(self, event: int, paths: Collection[str], row: Mapping[str, Any]) -> None:
        """Give `event` the values that `row` (a version just before it, by column) has at `paths`."""
        layout = self._shaper.reader.layout
        for path in paths:
            self._records[event] = fill_record(self._records[event], layout, path.replace("[]", "").split("."), row)
        self._filled = True
        self._frame = self._versions = self._old_versions = None

    def table(self, keep: Sequence[int], row_ids: Sequence[str], stamp: Stamp) -> pa.Table:
        """Return the events at `keep` as rows of the log type's table."""
        every = len(keep) == len(self.ids)
        frame = self._whole() if every else Frame(self._shaper.reader.layout, [self._records[at] for at in keep])
        picked = None if every else pa.array(keep, pa.int64())
        by_path = {} if self._filled else self._page.instants.by_path
        extras = self._page.extras
        arrays = [
            *frame.arrays({path: _take(instants, picked) for path, instants in by_path.items()}),
            *self._standard(keep, picked, row_ids, stamp),
            *self._shaper.indicators.arrays(frame),
            pa.nulls(len(keep), pa.string()) if extras is None else pa.array([extras[at] for at in keep], pa.string()),
        ]
        return pa.Table.from_arrays(arrays, schema=self._shaper.columns)

    def _whole(self) -> Frame:
        """Return all events, with what was filled."""
        if self._frame is None:
            self._frame = Frame(self._shaper.reader.layout, [*self._records])
        return self._frame

    def _standard(
        self, keep: Sequence[int], picked: pa.Array | None, row_ids: Sequence[str], stamp: Stamp
    ) -> list[pa.Array]:
        rows = len(keep)
        instants = self._page.instants
        parsed = pa.scalar(stamp.parsed_us, INSTANT)
        event = _take(instants.event, picked)
        return [
            pa.repeat(pa.scalar(self._shaper.schema.log_type), rows),
            pa.repeat(pa.scalar(self._shaper.schema.version, pa.int32()), rows),
            pa.array(row_ids, pa.string()),
            pa.array([self.versions[at] for at in keep], pa.string()),
            event.fill_null(parsed) if event.null_count else event,
            _take(instants.cursor, picked),
            _take(instants.version, picked),
            pa.repeat(pa.scalar(stamp.observed_us, INSTANT), rows)
            if stamp.each_observed_us is None
            else pa.array(stamp.each_observed_us, INSTANT),
            pa.repeat(parsed, rows),
            pa.repeat(pa.scalar(stamp.origin.value), rows),
            pa.repeat(pa.scalar(stamp.source_id), rows),
            pa.repeat(pa.scalar(stamp.source_label), rows),
            pa.nulls(rows, pa.string()),
        ]


def _member(text: bytes, name: str) -> str | None:
    """Return a text that free JSON has under `name`, if it is an object."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _take(array: pa.Array, picked: pa.Array | None) -> pa.Array:
    return array if picked is None else array.take(picked)
