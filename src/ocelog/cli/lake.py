"""`ocelog lake`: where the tables are, what is published, and how other engines read them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ocelog.assemble import table_schemas
from ocelog.cli import show
from ocelog.cli.tables import check_table
from ocelog.installation import Installation, opened
from ocelog.instants import from_us
from ocelog.lake.sql import current_sql
from ocelog.lake.state import CATALOG_NAME, NAMESPACE, TableStates, catalog_path
from ocelog.quantities import write_instant

PASTE = {
    "DuckDB": "INSTALL iceberg; LOAD iceberg;\nSELECT * FROM iceberg_scan('{metadata}') LIMIT 10;",
    "Polars": 'import polars as pl\npl.scan_iceberg("{metadata}").head(10).collect()',
    "PyIceberg": (
        "from pyiceberg.catalog.sql import SqlCatalog\n"
        'catalog = SqlCatalog("{catalog_name}", uri="sqlite:///{catalog}", warehouse="{warehouse}")\n'
        'catalog.load_table("{namespace}.{table}").scan(limit=10).to_arrow()'
    ),
    "Spark": (
        "spark-sql --packages org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2,org.xerial:sqlite-jdbc:3.49.1.0 "
        "--conf spark.sql.catalog.{catalog_name}=org.apache.iceberg.spark.SparkCatalog "
        "--conf spark.sql.catalog.{catalog_name}.type=jdbc "
        "--conf spark.sql.catalog.{catalog_name}.uri=jdbc:sqlite:file:{catalog} "
        "--conf spark.sql.catalog.{catalog_name}.warehouse={warehouse}\n"
        "SELECT * FROM {catalog_name}.{namespace}.{table} LIMIT 10;"
    ),
    "Trino": (
        "CALL iceberg.system.register_table(schema_name => '{namespace}', table_name => '{table}', "
        "table_location => '{location}', metadata_file_name => '{metadata_name}');\n"
        "SELECT * FROM iceberg.{namespace}.{table} LIMIT 10;"
    ),
}
"""Lines that read a table in other engines. They see what is published."""


def command(
    table: Annotated[str | None, typer.Argument(help="Show how to read this table.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where the tables are and what is published; with a table, lines to paste into other engines."""
    schemas = table_schemas()
    if table is not None:
        check_table(table, dict.fromkeys(schemas, ""))
    with opened() as installation:
        found = [_line(installation, name) for name in ([table] if table is not None else schemas)]
        catalog = catalog_path(installation.home.path)
    if json:
        pasted = {} if table is None else {"paste": lines(catalog, found[0])}
        show.as_json({"catalog": f"sqlite:///{catalog}", "tables": found, **pasted})
        return
    typer.echo(f"catalog (SQL, named {CATALOG_NAME}): sqlite:///{catalog}")
    show.table(found)
    if table is not None:
        _print_lines(catalog, found[0], table)


def _print_lines(catalog: Path, line: dict[str, Any], table: str) -> None:
    if line["metadata"] is None:
        typer.echo("\nNothing is published yet, so other engines see nothing: ocelog publish")
        return
    for engine, text in lines(catalog, line).items():
        typer.echo(f"\n# {engine}\n{text}")
    typer.echo(f"\n# The present state of each record, as {table}_current is here\n{current_sql(table)};")


def lines(catalog: Path, line: dict[str, Any]) -> dict[str, str]:
    """Return what to paste into each engine to read a table; nothing where nothing is published."""
    if line["metadata"] is None:
        return {}
    metadata = Path(line["metadata"])
    names = {
        "catalog": catalog,
        "catalog_name": CATALOG_NAME,
        "namespace": NAMESPACE,
        "table": line["table"],
        "metadata": metadata,
        "metadata_name": metadata.name,
        "location": metadata.parent.parent,
        "warehouse": metadata.parents[3],
    }
    return {engine: text.format(**names) for engine, text in PASTE.items()}


def _line(installation: Installation, table: str) -> dict[str, Any]:
    state = TableStates(installation.home.path).state(table)
    parts, rows, _, oldest_us = installation.ledger.unpublished(table)
    return {
        "table": table,
        "published rows": sum(file.rows for file in state.files) if state is not None else 0,
        "files": len(state.files) if state is not None else 0,
        "unpublished rows": rows,
        "unpublished parts": parts,
        "waiting since": None if oldest_us is None else write_instant(from_us(oldest_us)),
        "metadata": None if state is None else state.location,
    }
