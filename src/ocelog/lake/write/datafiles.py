"""How merged rows become the data files of one commit: one open file a partition, a sorted row group a chunk."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocelog.lake.catalog.conform import compact
from ocelog.lake.catalog.iceberg import BOUNDED, BOUNDED_TEXT, BY_DAY, file_schema
from ocelog.lake.storage.checksums import file_sum, stamped
from ocelog.lake.storage.disk import READ_ONLY, make_directory, sync_directory

if TYPE_CHECKING:
    from pyiceberg.io.pyarrow import StatisticsCollector
    from pyiceberg.manifest import DataFile
    from pyiceberg.table.metadata import TableMetadata

_MAX_OPEN = 64
"""Open files at once: a first backfill of the audit log touches a partition for each of its days."""
_MAX_COLUMN_CHUNKS = 2_500
"""In the open files together: each is remembered, with more than a kilobyte, until its file is closed."""
_NARROW = ("p_log_type", "p_origin", "status", "severity", "result", "type", "action")
"""Text columns whose least and greatest value let a reader skip row groups."""


@dataclass(slots=True)
class _Open:
    """A data file that is being written."""

    path: Path
    partition: int | None
    handle: Any
    writer: pq.ParquetWriter
    groups: int = 0


@dataclass(slots=True)
class DataFiles:
    """Writes the data files of one commit. Each is on disk, with its name, when `finish` returns."""

    table: str
    metadata: "TableMetadata"
    max_column_chunks: int = _MAX_COLUMN_CHUNKS
    written: "list[DataFile]" = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    _open: dict[int | None, _Open] = field(default_factory=dict)
    _statistics: "tuple[dict[int, StatisticsCollector], dict[str, int]] | None" = None
    """What is noted of each column, and which field it is: the same for all files, and slow to find."""
    schema: pa.Schema = field(init=False)
    """The columns that `append` takes."""
    _plain: pa.Schema = field(init=False)
    _by_day: bool = field(init=False)
    """Whether the table is cut by day, not by month."""

    def __post_init__(self) -> None:
        self._plain = file_schema(self.metadata.schema())
        self.schema = compact(self._plain)
        self._by_day = [field.name for field in self.metadata.spec().fields] == [BY_DAY]

    def append(self, rows: pa.Table) -> None:
        """Add rows, which are sorted by p_event_time, each to the file of its partition."""
        for partition, run in _runs(rows, by_day=self._by_day):
            # As plain texts: with a dictionary, each run would be written with that of the whole chunk.
            plain = run.cast(self._plain)
            file = self._file(partition)
            file.writer.write_table(plain, row_group_size=plain.num_rows)
            file.groups += 1
        if sum(file.groups for file in self._open.values()) * len(self._plain) > self.max_column_chunks:
            self.finish()

    def finish(self) -> "list[DataFile]":
        """Close every file and return what Iceberg needs to know of them."""
        while self._open:
            self._close(next(iter(self._open)))
        return self.written

    def abandon(self) -> None:
        """Delete every file: no commit names them."""
        for file in self._open.values():
            # Whatever stopped the writing, a full disk perhaps, may stop the closing too.
            with suppress(OSError, pa.ArrowException):
                file.writer.close()
            file.writer.is_open = False
            with suppress(OSError):
                file.handle.close()
        self._open.clear()
        for path in self.paths:
            path.unlink(missing_ok=True)

    def _file(self, partition: int | None) -> _Open:
        if partition not in self._open:
            if len(self._open) >= _MAX_OPEN:
                self._close(next(iter(self._open)))
            self._open[partition] = self._begin(partition)
        return self._open[partition]

    def _begin(self, partition: int | None) -> _Open:
        directory = Path(self.metadata.location) / "data" / _directory(partition, by_day=self._by_day)
        if not directory.exists():
            make_directory(directory)
        path = directory / f"{uuid4()}.draft.parquet"
        handle = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY), "wb")
        self.paths.append(path)
        writer = pq.ParquetWriter(
            handle,
            self._plain,
            compression="zstd",
            compression_level=1,
            store_schema=False,
            write_page_checksum=True,
            write_statistics=_with_statistics(self._plain),
        )
        return _Open(path, partition, handle, writer)

    def _close(self, partition: int | None) -> None:
        file = self._open[partition]
        file.writer.close()
        file.handle.flush()
        os.fsync(file.handle.fileno())
        file.handle.close()
        del self._open[partition]
        whole = file.path.with_name(stamped(file.path.name.removesuffix(".draft.parquet"), file_sum(file.path)))
        file.path.rename(whole)
        self.paths[self.paths.index(file.path)] = whole
        file.path = whole
        sync_directory(whole.parent)
        self.written.append(self._described(file))

    def _described(self, file: _Open) -> "DataFile":
        from pyiceberg.io.pyarrow import (  # noqa: PLC0415 - slow to import
            compute_statistics_plan,
            data_file_statistics_from_parquet_metadata,
            parquet_path_to_id_mapping,
        )
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat  # noqa: PLC0415 - see above
        from pyiceberg.typedef import Record  # noqa: PLC0415 - see above

        if self._statistics is None:
            schema = self.metadata.schema()
            plan = compute_statistics_plan(schema, self.metadata.properties)
            self._statistics = plan, parquet_path_to_id_mapping(schema)
        plan, mapping = self._statistics
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=file.writer.writer.metadata, stats_columns=plan, parquet_column_mapping=mapping
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=str(file.path),
            file_format=FileFormat.PARQUET,
            partition=Record(file.partition),
            file_size_in_bytes=file.path.stat().st_size,
            sort_order_id=None,
            spec_id=self.metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )


def by_event_time(rows: pa.Table) -> pa.Table:
    """Sort rows, as `DataFiles.append` takes them."""
    rows = rows.unify_dictionaries()
    return rows.take(pc.sort_indices(rows, [("p_event_time", "ascending")]))


def _runs(rows: pa.Table, *, by_day: bool) -> Iterator[tuple[int | None, pa.Table]]:
    """Cut sorted rows into runs of one partition: the day or month since 1970, negative before it."""
    # Through whole numbers: as floating point, an instant of the year 9999 is rounded into the next day.
    days = rows.column("p_event_time").combine_chunks().cast(pa.timestamp("us")).cast(pa.date32()).cast(pa.int32())
    runs = pc.run_end_encode(days)
    ends, numbers = runs.run_ends.to_pylist(), runs.values.to_pylist()
    start = 0
    for partition, run in groupby(zip(ends, numbers, strict=True), lambda one: one[1] if by_day else _month(one[1])):
        *_, (end, _) = run
        yield partition, rows.slice(start, end - start)
        start = end


def _month(day: int | None) -> int | None:
    """Return the month since 1970 of a day since 1970, as Iceberg counts them."""
    if day is None:
        return None
    year, month, _ = _civil(day)
    return (year - 1970) * 12 + month - 1


def _civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of the month of a day since 1970, also if `date` has no such year."""
    # The calendar repeats every 400 years, which are 146,097 days.
    cycles, rest = divmod(day + date(1970, 1, 1).toordinal() - 1, 146_097)
    found = date.fromordinal(rest + 1)
    return found.year + 400 * cycles, found.month, found.day


def _directory(partition: int | None, *, by_day: bool) -> str:
    name = BY_DAY if by_day else "p_event_time_month"
    if partition is None:
        return f"{name}=null"
    if by_day:
        year, month, day = _civil(partition)
        return f"{name}={year:04d}-{month:02d}-{day:02d}"
    return f"{name}={1970 + partition // 12:04d}-{partition % 12 + 1:02d}"


def _with_statistics(schema: pa.Schema) -> list[str]:
    """Return the columns whose range is worth noting: a long text's range would be as long as the text."""
    named = (*BOUNDED, *BOUNDED_TEXT, *_NARROW)
    return [field.name for field in schema if field.name in named or pa.types.is_primitive(field.type)]
