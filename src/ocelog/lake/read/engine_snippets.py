"""Where a table is, what it holds, and how other engines read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocelog.lake.catalog.state import CATALOG_NAME, NAMESPACE, catalog_path, catalog_uri
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.sql import literal
from ocelog.lake.read.view import Views

_PACKAGES = ("org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.1", "org.xerial:sqlite-jdbc:3.50.3.0")

# The SQL here is shown to a person, and run by no one.
# ruff: noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeInfo:
    """A table as other engines see it, and what waits to become part of it."""

    table: str
    catalog: str
    """Path of the SQLite database that is the Iceberg catalog."""
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
    """Lines to paste, by engine."""


def lake_info(home: Path, ledger: LakeLedger, table: str) -> LakeInfo:
    """Describe `table` as of now."""
    view = Views(home, ledger).take(table)
    metadata = None if view.state is None else view.state.location
    return LakeInfo(
        table=table,
        catalog=str(catalog_path(home)),
        metadata=metadata,
        published_through=0 if view.state is None else view.state.mark,
        files=len(view.files),
        rows=sum(file.rows for file in view.files),
        bytes=sum(file.bytes for file in view.files),
        waiting_parts=len(view.parts),
        waiting_rows=sum(part.rows for part in view.parts),
        waiting_bytes=sum(part.bytes for part in view.parts),
        lines={} if metadata is None else _lines(home, table, metadata),
    )


def _lines(home: Path, table: str, metadata: str) -> dict[str, str]:
    warehouse = str(home / "lake" / "warehouse")
    return {
        "DuckDB": f"INSTALL iceberg; LOAD iceberg;\nSELECT count(*) FROM iceberg_scan({literal(metadata)});",
        "Polars": f"import polars as pl\nprint(pl.scan_iceberg({metadata!r}).head().collect())",
        "PyIceberg": _pyiceberg(home, table, warehouse),
        "Spark": _spark(home, table, warehouse),
        "Trino": _trino(home, table, warehouse),
    }


def _pyiceberg(home: Path, table: str, warehouse: str) -> str:
    uri = catalog_uri(home)
    return "\n".join(
        (
            "from pyiceberg.catalog.sql import SqlCatalog",
            f"catalog = SqlCatalog({CATALOG_NAME!r}, uri={uri!r}, warehouse={warehouse!r})",
            f'print(catalog.load_table("{NAMESPACE}.{table}").scan(limit=10).to_arrow())',
        )
    )


def _spark(home: Path, table: str, warehouse: str) -> str:
    """Return a command for Spark 4.0; the version in the package's name must fit one's own Spark and Scala."""
    catalog = f"spark.sql.catalog.{CATALOG_NAME}"
    settings = {
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "jdbc",
        f"{catalog}.uri": f"jdbc:sqlite:{catalog_path(home)}",
        f"{catalog}.jdbc.schema-version": "V1",
        f"{catalog}.warehouse": warehouse,
    }
    return " \\\n  ".join(
        (
            f"spark-sql --packages {','.join(_PACKAGES)}",
            *(f"--conf {_shell(f'{name}={value}')}" for name, value in settings.items()),
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


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
