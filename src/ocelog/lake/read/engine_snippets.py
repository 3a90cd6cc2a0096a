"""Where a table is, what it holds, and how other engines read it."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ocelog.lake.catalog.state import CATALOG_NAME, NAMESPACE, catalog_path, catalog_uri
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.quoting import literal
from ocelog.lake.read.snapshot import Snapshots
from ocelog.lake.read.views_file import views_folder

_SPARK = "3.5.6"
_PACKAGES = ("org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.2", "org.xerial:sqlite-jdbc:3.50.3.0")

# The SQL here is shown to a person, and run by no one.
# ruff: noqa: S608


class LakeInfo(Struct, frozen=True, kw_only=True):
    """A table as other engines see it, and what waits to become part of it."""

    table: str
    catalog: str
    """Path of the SQLite database that is the Iceberg catalog."""
    views: str
    """Path of the folder by which DuckDB gets every table and view: `IMPORT DATABASE`."""
    metadata: str | None
    """Path of the table's present metadata file; None: nothing was published yet."""
    published_through: int
    files: int
    rows: int
    bytes: int
    waiting_parts: int
    waiting_rows: int
    waiting_bytes: int
    lines: Mapping[str, str]
    """Lines to paste, by engine; how to install it is a comment in them."""


def lake_info(home: Path, ledger: LakeLedger, table: str) -> LakeInfo:
    """Describe `table` as of now."""
    snapshot = Snapshots(home, ledger).take(table)
    metadata = None if snapshot.state is None else snapshot.state.location
    return LakeInfo(
        table=table,
        catalog=str(catalog_path(home)),
        views=str(views_folder(home)),
        metadata=metadata,
        published_through=0 if snapshot.state is None else snapshot.state.mark,
        files=len(snapshot.files),
        rows=sum(file.rows for file in snapshot.files),
        bytes=sum(file.bytes for file in snapshot.files),
        waiting_parts=len(snapshot.parts),
        waiting_rows=sum(part.rows for part in snapshot.parts),
        waiting_bytes=sum(part.bytes for part in snapshot.parts),
        lines={} if metadata is None else _lines(home, table, metadata),
    )


def _lines(home: Path, table: str, metadata: str) -> dict[str, str]:
    warehouse = str(home / "lake" / "warehouse")
    return {
        "DuckDB": "\n".join(
            (
                "-- pip install duckdb",
                f"IMPORT DATABASE {literal(str(views_folder(home)))};",
                f"SELECT count(*) FROM {table};",
            )
        ),
        "DuckDB with its iceberg extension": "\n".join(
            (
                "-- pip install duckdb; the first line downloads the extension",
                "INSTALL iceberg; LOAD iceberg;",
                f"SELECT count(*) FROM iceberg_scan({literal(metadata)});",
            )
        ),
        "Polars": "\n".join(
            (
                "# pip install polars 'pyiceberg[pyarrow]'",
                "import polars as pl",
                f"print(pl.scan_iceberg({metadata!r}).head().collect())",
            )
        ),
        "PyIceberg": _pyiceberg(home, table, warehouse),
        "ClickHouse": "\n".join(
            (
                "-- pip install chdb, or clickhouse-local.",
                "-- Start it in a folder above the lake: it reads no other.",
                "-- A server reads only below its user_files_path.",
                f"SELECT count() FROM icebergLocal({literal(f'{warehouse}/{NAMESPACE}/{table}/')});",
            )
        ),
        "Spark": _spark(home, table, warehouse),
        "Trino": _trino(home, table, warehouse),
    }


def _pyiceberg(home: Path, table: str, warehouse: str) -> str:
    uri = catalog_uri(home)
    return "\n".join(
        (
            "# pip install 'pyiceberg[sql-sqlite,pyarrow]'",
            "from pyiceberg.catalog.sql import SqlCatalog",
            f"catalog = SqlCatalog({CATALOG_NAME!r}, uri={uri!r}, warehouse={warehouse!r})",
            f'print(catalog.load_table("{NAMESPACE}.{table}").scan(limit=10).to_arrow())',
        )
    )


def _spark(home: Path, table: str, warehouse: str) -> str:
    """Return a command for Spark 3.5; the version in the package's name must fit one's own Spark and Scala."""
    catalog = f"spark.sql.catalog.{CATALOG_NAME}"
    settings = {
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "jdbc",
        f"{catalog}.uri": f"jdbc:sqlite:{catalog_path(home)}",
        f"{catalog}.jdbc.schema-version": "V1",
        f"{catalog}.warehouse": warehouse,
    }
    note = f"# pip install pyspark=={_SPARK}, and Java 17.\n# For Spark 4.0 write iceberg-spark-runtime-4.0_2.13.\n"
    return note + " \\\n  ".join(
        (
            f"spark-sql --packages {','.join(_PACKAGES)}",
            *(f"--conf {shlex.quote(f'{name}={value}')}" for name, value in settings.items()),
            f'-e "SELECT count(*) FROM {CATALOG_NAME}.{NAMESPACE}.{table}"',
        )
    )


def _trino(home: Path, table: str, warehouse: str) -> str:
    """Return a catalog file, and a statement; Trino needs SQLite's JDBC driver beside its Iceberg plugin."""
    return "\n".join(
        (
            f"# etc/catalog/{CATALOG_NAME}.properties, with sqlite-jdbc in plugin/iceberg",
            "connector.name=iceberg",
            "iceberg.catalog.type=jdbc",
            f"iceberg.jdbc-catalog.catalog-name={CATALOG_NAME}",
            "iceberg.jdbc-catalog.driver-class=org.sqlite.JDBC",
            f"iceberg.jdbc-catalog.connection-url=jdbc:sqlite:{catalog_path(home)}",
            f"iceberg.jdbc-catalog.default-warehouse-dir={warehouse}",
            "fs.hadoop.enabled=true",
            f"# then: SELECT count(*) FROM {CATALOG_NAME}.{NAMESPACE}.{table};",
        )
    )
