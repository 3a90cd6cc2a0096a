"""Which rows a page of records becomes: the compiled schema of one log type."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.model import Kind, Rejection, Stamp
from ocelog.schema.columns.evidence import Evidence
from ocelog.schema.columns.fill import fill_record
from ocelog.schema.columns.frame import Frame
from ocelog.schema.columns.instants import microseconds
from ocelog.schema.columns.table import row_schema
from ocelog.schema.decode.timestamps import INSTANT
from ocelog.schema.decode.typed import Record
from ocelog.schema.language.fields import LogSchema
from ocelog.schema.records import Reader, Readout
from ocelog.schema.versions.fingerprint import Fingerprints


class Shaper:
    """The compiled schema of one log type; one object serves many threads."""

    def __init__(self, schema: LogSchema, kind: Kind) -> None:
        self.schema = schema
        self.columns = row_schema(schema)
        self.reader = Reader(schema, kind)
        self.fingerprints = Fingerprints(schema, self.reader.layout, kind)
        self.evidence = Evidence(schema)

    def shape(self, records: bytes | list[bytes]) -> "Shaped":
        """Decode a page. A record that does not fit never costs another; nothing raises."""
        return Shaped(self, self.reader.read(records))


def compile_shaper(schema: LogSchema, kind: Kind) -> Shaper:
    """Compile `schema` with the peculiarities of its log type.

    Raises ValueError where `kind` names fields that the schema does not have, or the schema has no required text `id`.
    """
    return Shaper(schema, kind)


class Shaped:
    """A page's records: events in page order as parallel lists, and rejections. See `Shaped` in the puller's ports."""

    ids: list[str]
    cursor_us: list[int]
    version_us: list[int]
    versions: list[str]
    rejections: list[Rejection]
    seen: list[str]
    unknown_fields: Mapping[str, int]
    last_event_us: int | None
    positions: Sequence[int]

    def __init__(self, shaper: Shaper, readout: Readout) -> None:
        self._shaper = shaper
        self._readout = readout
        self._frame = readout.frame
        self._filled = False
        self._restored = False
        self.ids = list(readout.frame.values("id"))
        self.cursor_us = microseconds(readout.instants.cursor)
        self.version_us = microseconds(readout.instants.version)
        self.versions = shaper.fingerprints.of(readout.frame)
        self._old_versions: list[tuple[str, ...]] | None = None
        self.rejections = readout.rejections
        self.seen = readout.seen
        self.unknown_fields = readout.unknown_fields
        self.last_event_us = pc.max(readout.instants.event.cast(pa.int64())).as_py()
        self.positions = readout.positions

    @property
    def old_versions(self) -> Sequence[Sequence[str]]:
        """What `versions` were by the hash's former algorithms, by event; see `Shaped`.

        Worked out when first asked for: only rows from before an upgrade are compared by them.
        """
        if self._old_versions is None:
            fingerprints, found = self._shaper.fingerprints, list[list[str]]()
            for algorithm in fingerprints.former:
                # A frame of its own: what was filled is in the records alone.
                frame = Frame(self._frame.layout, self._whole_records())
                found.append(fingerprints.of(frame, algorithm))
                fingerprints.restore(frame)
            self._old_versions = list(zip(*found, strict=True)) if found else [()] * len(self.ids)
        return self._old_versions

    def fill(self, event: int, paths: Collection[str], row: Mapping[str, Any]) -> None:
        """Give `event` the values that `row` (a version just before it, by column) has at `paths`; hash it anew."""
        record = self._whole_records()[event]
        layout = self._frame.layout
        for path in paths:
            fill_record(record, layout, path.replace("[]", "").split("."), row)
        filled = Frame(layout, [record])
        self.versions[event] = self._shaper.fingerprints.of(filled)[0]
        self._shaper.fingerprints.restore(filled)
        self._filled = True
        self._old_versions = None

    def table(self, keep: Sequence[int], row_ids: Sequence[str], stamp: Stamp) -> pa.Table:
        """Return the events at `keep` as rows of the log type's table."""
        every = len(keep) == len(self._frame.records)
        frame = self._frame if every and not self._filled else self._picked(keep)
        picked = None if every else pa.array(keep, pa.int64())
        arrays = [
            *frame.arrays(self._instants(picked)),
            *self._standard(keep, picked, row_ids, stamp),
            *self._shaper.evidence.arrays(frame),
            self._extra(keep),
        ]
        return pa.Table.from_arrays(arrays, schema=self._shaper.columns)

    def _whole_records(self) -> Sequence[Record]:
        """Return the records as they came: hashing has changed them."""
        if not self._restored:
            self._shaper.fingerprints.restore(self._frame)
            self._restored = True
        return self._frame.records

    def _picked(self, keep: Sequence[int]) -> Frame:
        records = self._whole_records()
        return Frame(self._frame.layout, [records[at] for at in keep])

    def _instants(self, picked: pa.Array | None) -> dict[str, pa.Array]:
        """Return the columns of instants that are made already: all but filled ones."""
        by_path = {} if self._filled else self._readout.instants.by_path
        return {path: _take(instants, picked) for path, instants in by_path.items()}

    def _standard(
        self, keep: Sequence[int], picked: pa.Array | None, row_ids: Sequence[str], stamp: Stamp
    ) -> list[pa.Array]:
        rows = len(keep)
        instants = self._readout.instants
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
            pa.repeat(pa.scalar(stamp.observed_us, INSTANT), rows),
            pa.repeat(parsed, rows),
            pa.repeat(pa.scalar(stamp.origin.value), rows),
            pa.repeat(pa.scalar(stamp.source_id), rows),
            pa.repeat(pa.scalar(stamp.source_label), rows),
            pa.nulls(rows, pa.string()),
        ]

    def _extra(self, keep: Sequence[int]) -> pa.Array:
        extras = self._readout.extras
        if extras is None:
            return pa.nulls(len(keep), pa.string())
        return pa.array([extras[at] for at in keep], pa.string())


def _take(array: pa.Array, picked: pa.Array | None) -> pa.Array:
    return array if picked is None else array.take(picked)
