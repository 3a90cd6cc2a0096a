"""How fast pages become durable parts: ours, beside the least that it can cost, and beside the usual way."""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
from pages import pages_of

from ocelog.lake.parts import write_part
from ocelog.model import Origin, Stamp, table_name
from ocelog.pull.versions import History
from ocelog.schema.decode import layout_of, page_decoder
from ocelog.schema.fields import Array, Boolean, Field, Integer, Json, LogSchema, Object, Real, Text, Timestamp, Type
from ocelog.schema.packaged import packaged_schemas
from ocelog.schema.shape import Shaper, compile_shaper
from ocelog.sources.wiz.streams import KINDS

LOG_TYPES = {"audit": "Wiz.Audit", "issues": "Wiz.Issues", "findings": "Wiz.VulnerabilityFinding"}
PAGES = 12
ROUNDS = 5
rounds: list[None] = []
STAMP = Stamp(
    source_id="5f3c1d2e9a8b7c6d",
    source_label="Wiz",
    origin=Origin.BACKFILL,
    observed_us=1_780_000_000_000_000,
    parsed_us=1,
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Records a second, medians."""

    floor: float
    ours: float
    usual: float


def seconds(work: Callable[[], None]) -> float:
    gc.collect()
    began = time.process_time() if "--cpu" in sys.argv else time.perf_counter()
    work()
    return (time.process_time() if "--cpu" in sys.argv else time.perf_counter()) - began


def ours(shaper: Shaper, pages: Sequence[bytes], folder: Path, tables: list[pa.Table] | None = None) -> None:
    history = History(source_id=STAMP.source_id, log_type=shaper.schema.log_type)
    rounds.append(None)
    for number, page in enumerate(pages):
        shaped = shaper.shape(page)
        placed = history.place(shaped, STAMP.observed_us)
        table = shaped.table(placed.keep, placed.row_ids, STAMP)
        write_part(folder, table_name(shaper.schema.log_type), f"{len(rounds)}-1-{number}", table)
        history.commit(placed)
        if tables is not None:
            tables.append(table)


def floor(schema: LogSchema, pages: Sequence[bytes], tables: Sequence[pa.Table], folder: Path) -> None:
    decode = page_decoder(layout_of(schema.fields))
    for page, table in zip(pages, tables, strict=True):
        decode(page)
        pq.write_table(table, folder / "floor.parquet", compression="zstd", compression_level=1)


def model_of(fields: Sequence[Field], name: str) -> Any:
    members: dict[str, Any] = {field.name: (_annotation(field.type, field.name) | None, None) for field in fields}
    return pydantic.create_model(name, **members)


def _annotation(type_: Type, name: str) -> Any:
    from datetime import datetime

    match type_:
        case Text(sent_as_boolean=True):
            return bool | str
        case Text():
            return str
        case Integer():
            return int
        case Real():
            return float
        case Boolean():
            return bool
        case Timestamp():
            return datetime
        case Json():
            return dict[str, Any] | list[Any]
        case Array(element=element):
            return list[_annotation(element, name)]  # type: ignore[misc]  # a type made at run time
        case Object(fields=fields):
            return model_of(fields, name)


def usual(shaper: Shaper, model: Any, pages: Sequence[bytes], folder: Path) -> None:
    own = pa.schema([shaper.columns.field(field.name) for field in shaper.schema.fields])
    json_fields = [field.name for field in shaper.schema.fields if isinstance(field.type, Json)]
    for page in pages:
        rows = []
        for record in json.loads(page):
            row = model.model_validate(record).model_dump()
            for name in json_fields:
                row[name] = None if row[name] is None else json.dumps(row[name])
            _inner_json(row)
            rows.append(row)
        pq.write_table(
            pa.Table.from_pylist(rows, schema=own), folder / "usual.parquet", compression="zstd", compression_level=1
        )


def _inner_json(row: dict[str, Any]) -> None:
    if isinstance(row.get("validatedInRuntime"), bool):
        row["validatedInRuntime"] = str(row["validatedInRuntime"]).lower()
    for project in row.get("projects") or ():
        project["riskProfile"] = json.dumps(project["riskProfile"])
    for name in ("vulnerableAsset", "entitySnapshot"):
        for key in ("tags", "subscriptionTags"):
            if key in (row.get(name) or ()):
                row[name][key] = json.dumps(row[name][key])


def measure(short: str, folder: Path) -> Figures:
    schema = packaged_schemas()[LOG_TYPES[short]]
    shaper = compile_shaper(schema, KINDS[schema.log_type])
    pages = pages_of(short, pages=PAGES)
    model = model_of(schema.fields, "Record")
    tables: list[pa.Table] = []
    ours(shaper, pages, folder, tables)
    floor(schema, pages, tables, folder)
    records = sum(table.num_rows for table in tables)
    times: dict[str, list[float]] = {"floor": [], "ours": [], "usual": []}
    for _ in range(ROUNDS):
        times["floor"].append(seconds(lambda: floor(schema, pages, tables, folder)))
        times["ours"].append(seconds(lambda: ours(shaper, pages, folder)))
        times["usual"].append(seconds(lambda: usual(shaper, model, pages[:2], folder)) * PAGES / 2)
    return Figures(**{name: records / statistics.median(took) for name, took in times.items()})


def main() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    print(f"{'':10}{'floor/s':>12}{'ours/s':>12}{'usual/s':>12}{'of floor':>12}{'x usual':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for short in LOG_TYPES:
            found = measure(short, Path(folder))
            print(
                f"{short:10}{found.floor:12,.0f}{found.ours:12,.0f}{found.usual:12,.0f}"
                f"{found.ours / found.floor:12.0%}{found.ours / found.usual:12.1f}"
            )


if __name__ == "__main__":
    main()
