"""How the tables are made, and what their columns are called in Iceberg."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from ocelog.errors import HomeError
from ocelog.lake.catalog.file_io import IMPLEMENTATION
from ocelog.lake.catalog.state import CATALOG_NAME, NAMESPACE, catalog_path, catalog_uri
from ocelog.lake.ports import traits_of
from ocelog.lake.storage.disk import make_directory

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.transforms import Transform
    from pyiceberg.types import IcebergType

# PyIceberg takes more than a second to import: only who publishes waits for it.
# ruff: noqa: PLC0415

BY_DAY = "p_event_time_day"
"""What the partition is called in a table that is cut by day."""

BOUNDED = ("p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time")
BOUNDED_TEXT = ("p_source_id", "id", "p_row_id")
"""Columns with least and greatest value in the metadata. For free text they cost space and prune nothing."""

SNAPSHOT_AGE = "history.expire.max-snapshot-age-ms"
"""A table property of Iceberg's: how long other engines can read the table as it was."""

MERGE_COUNT = "commit.manifest.min-count-to-merge"
"""A table property of Iceberg's: whoever opens a table reads as many manifests, by default 100."""

PROPERTIES = {
    "format-version": "2",
    # A commit that lost a race would be appended again on top of the winner, whose rows may be the same.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    MERGE_COUNT: "12",
    SNAPSHOT_AGE: str(24 * 60 * 60 * 1000),
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
    "write.metadata.metrics.default": "none",
    **{f"write.metadata.metrics.column.{name}": "full" for name in BOUNDED},
    **{f"write.metadata.metrics.column.{name}": "truncate(16)" for name in BOUNDED_TEXT},
}


@contextmanager
def opened_catalog(home: Path) -> "Iterator[SqlCatalog]":
    """Open the catalog of `home`, made if it is missing."""
    from pyiceberg.catalog.sql import SqlCatalog

    path = catalog_path(home)
    if not path.parent.exists():
        make_directory(path.parent)
    catalog = SqlCatalog(
        CATALOG_NAME,
        **{"uri": catalog_uri(home), "warehouse": str(home / "lake" / "warehouse"), "py-io-impl": IMPLEMENTATION},
    )
    try:
        yield catalog
    finally:
        catalog.engine.dispose()


def table_location(home: Path, table: str) -> Path:
    """Return the directory of a table's files."""
    return home / "lake" / "warehouse" / NAMESPACE / table


def open_table(
    catalog: "SqlCatalog", home: Path, table: str, schema: pa.Schema, *, named: str | None = None
) -> "Table":
    """Load `table`, made if it is missing with the columns of `schema`. Raises HomeError on foreign partitions.

    `named` is its name in the catalog, if that is another one for now.
    """
    name = named or table
    from pyiceberg.exceptions import NoSuchTableError

    try:
        loaded = catalog.load_table((NAMESPACE, name))
    except NoSuchTableError:
        catalog.create_namespace_if_not_exists(NAMESPACE)
        loaded = _create(catalog, home, table, schema, name)
    check_partitions(loaded, table)
    return loaded


def change(loaded: "Table") -> "Transaction":
    """Begin a change of `loaded`; nothing is there before it is committed."""
    from ocelog.lake.catalog.changing import Change

    return Change(loaded)


def check_partitions(loaded: "Table", table: str) -> None:
    """Raise HomeError if another engine changed the partitions of `table` to some that Ocelog does not write."""
    found = [(field.name, field.transform) for field in loaded.spec().fields]
    ours = [_partition("day"), _partition("month")]
    if len(found) != 1 or found[0] not in ours:
        raise HomeError(
            f"Another engine changed the partitions of the table {table}: they are {found}, but Ocelog writes one of "
            f"{ours}. Set them back there."
        )


def _create(catalog: "SqlCatalog", home: Path, table: str, schema: pa.Schema, named: str) -> "Table":
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
    from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
    from pyiceberg.schema import assign_fresh_schema_ids

    columns = assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(optional(schema)))
    name, transform = _partition(traits_of(schema).partition)
    cut = PartitionField(columns.find_field("p_event_time").field_id, PARTITION_FIELD_ID_START, transform, name)
    return catalog.create_table(
        (NAMESPACE, named),
        schema=columns,
        location=str(table_location(home, table)),
        partition_spec=PartitionSpec(cut),
        properties=PROPERTIES,
    )


def _partition(by: Literal["day", "month"]) -> "tuple[str, Transform[int, int]]":
    from pyiceberg.transforms import DayTransform, MonthTransform

    if by == "day":
        return BY_DAY, DayTransform()
    return "p_event_time_month", MonthTransform()


def optional(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with every field optional, since a required one could never be added to a table later."""
    return pa.schema([_optional(field) for field in schema])


def _optional(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_optional(kind.field(i)) for i in range(kind.num_fields)])
    elif pa.types.is_list(kind):
        kind = pa.list_(_optional(kind.value_field))
    return field.with_type(kind).with_nullable(nullable=True)


def file_schema(schema: "Schema") -> pa.Schema:
    """Return the columns of a data file of a table with `schema`: each field carries its Iceberg id."""
    from pyiceberg.types import StructType

    kind = _arrow_type(StructType(*schema.fields))
    return pa.schema([kind.field(i) for i in range(kind.num_fields)])


def _arrow_type(kind: "IcebergType") -> pa.DataType:
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.types import ListType, NestedField, StringType, StructType

    def field(of: NestedField) -> pa.Field:
        return pa.field(of.name, _arrow_type(of.field_type), metadata={b"PARQUET:field_id": str(of.field_id).encode()})

    match kind:
        case StructType():
            return pa.struct([field(one) for one in kind.fields])
        case ListType():
            return pa.list_(field(kind.element_field))
        case StringType():
            return pa.string()
        case _:
            return schema_to_pyarrow(kind)
