"""Which rows of some Parquet files are wanted, found with as few bytes read as possible."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from ocelog.errors import LakeDamagedError, LakeUnavailableError
from ocelog.files import check_regular
from ocelog.lake.storage.checksums import read_error

CURSOR = "p_cursor_time"


class RowFilter(Struct, frozen=True, kw_only=True):
    """Which rows to return; None: no condition."""

    source_id: str | None = None
    by: str = CURSOR
    """Date column that must lie in [since, until]."""
    since_us: int | None = None
    until_us: int | None = None
    column: str | None = None
    """Column that must hold one of `values`."""
    values: Collection[str] = ()

    def overlaps(self, least: int | None, most: int | None) -> bool:
        """Tell whether rows with the date in [least, most] may be wanted; None: the end is not known."""
        after_end = self.until_us is not None and least is not None and least > self.until_us
        before_start = self.since_us is not None and most is not None and most < self.since_us
        return not (after_end or before_start)


def scan(path: Path, wanted: RowFilter, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the wanted rows of a file, one table per row group; columns that the file lacks are left out.

    Raises LakeUnavailableError if the file is gone, LakeDamagedError if it is damaged.
    """
    with opened(path) as file:
        names = set(file.schema_arrow.names)
        present = [name for name in columns if name in names]
        if not names.issuperset(_condition_columns(wanted)):
            # Another engine's rows: what they lack is null, which fits no condition.
            return
        cursor = _date_column(file, wanted.by)
        for group in range(file.num_row_groups):
            if wanted.overlaps(*_range(file.metadata.row_group(group), cursor)):
                rows = _group(file, group, wanted, present)
                if rows.num_rows:
                    yield rows


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a file, whose pages are checked as they are read.

    Raises LakeUnavailableError if it is gone, LakeDamagedError if it is damaged, now or while it is read.
    """
    try:
        check_regular(path)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise read_error(path, error) from error


def undecodable(path: Path) -> str | None:
    """Say what is wrong with a file without a checksum of its own, as far as reading it shows.

    Raises LakeUnavailableError if this process has run out of memory or open files.
    """
    try:
        with opened(path) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, use_threads=False)
    except LakeDamagedError:
        return "cannot be decoded"
    except LakeUnavailableError:
        if path.exists():
            raise
        return "is missing"
    return None


def _group(file: pq.ParquetFile, group: int, wanted: RowFilter, columns: list[str]) -> pa.Table:
    """Read the narrow columns that decide first, and the others only if a row is left."""
    conditions = _condition_columns(wanted)
    rows = file.read_row_group(group, columns=conditions, use_threads=False)
    mask = _mask(rows, wanted)
    if mask is None:
        return file.read_row_group(group, columns=columns, use_threads=False)
    if not pc.any(mask).as_py():
        return rows.slice(0, 0)
    rest = [name for name in columns if name not in conditions]
    if rest:
        others = file.read_row_group(group, columns=rest, use_threads=False)
        for name in rest:
            rows = rows.append_column(others.schema.field(name), others.column(name))
    return rows.filter(mask).select(columns)


def _condition_columns(wanted: RowFilter) -> list[str]:
    columns = [] if wanted.column is None else [wanted.column]
    if wanted.source_id is not None:
        columns.append("p_source_id")
    if wanted.since_us is not None or wanted.until_us is not None:
        columns.append(wanted.by)
    return columns


def _mask(rows: pa.Table, wanted: RowFilter) -> pa.ChunkedArray | None:
    masks = []
    if wanted.column is not None:
        values = pa.array(list(wanted.values), pa.string())
        masks.append(pc.is_in(rows.column(wanted.column), value_set=values))
    if wanted.source_id is not None:
        masks.append(pc.equal(rows.column("p_source_id"), wanted.source_id))
    if wanted.since_us is not None:
        masks.append(pc.greater_equal(rows.column(wanted.by).cast(pa.int64()), wanted.since_us))
    if wanted.until_us is not None:
        masks.append(pc.less_equal(rows.column(wanted.by).cast(pa.int64()), wanted.until_us))
    whole = None
    for mask in masks:
        whole = mask if whole is None else pc.and_(whole, mask)
    return whole


def _date_column(file: pq.ParquetFile, name: str) -> int | None:
    metadata = file.metadata
    if not metadata.num_row_groups:
        return None
    # Asked of a row group: `file.schema` and the metadata hold each other, and the collector of garbage, which counts
    # objects and not their bytes, leaves some hundred kilobytes of each file that was read for hours.
    first = metadata.row_group(0)
    return next((index for index in range(metadata.num_columns) if first.column(index).path_in_schema == name), None)


def _range(group: pq.RowGroupMetaData, column: int | None) -> tuple[int | None, int | None]:
    statistics = None if column is None else group.column(column).statistics
    if statistics is None or not statistics.has_min_max:
        return None, None
    return statistics.min_raw, statistics.max_raw
