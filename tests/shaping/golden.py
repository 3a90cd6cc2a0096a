"""What the golden files should say: columns, query and a shaped page of each log type, as text."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import graphql
import pyarrow as pa

from ocelog.app.log_types import kinds
from ocelog.model import table_name
from ocelog.schema.columns.table import REJECTION_SCHEMA, arrow_schema, rejection_rows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import ROOTS
from ocelog.times import rfc3339
from shaping import STAMP
from shaping.samples import sample_records

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "golden"
API_TYPES = ROOT / "src" / "wizsim" / "schema.graphql"
QUERIES = ROOT / "src" / "ocelog" / "sources" / "wiz"


def check_api_types(path: Path = API_TYPES) -> None:
    """Read the types that the simulator serves. Raises ValueError if they do not hold, such as one defined twice."""
    try:
        graphql.build_schema(path.read_text(encoding="utf-8"))
    except (graphql.GraphQLError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def golden_files() -> dict[str, str]:
    """Return the text of every golden file, by name. Raises LookupError if a file is missing."""
    schemas, entries = packaged_schemas(), kinds()
    for log_type in schemas.keys() - entries.keys():
        raise LookupError(
            f"{log_type} has a schema but no entry: add it to LOG_TYPES in src/ocelog/sources/wiz/streams.py, or "
            "to the log types of its product"
        )
    for log_type in entries.keys() - schemas.keys():
        raise LookupError(f"{log_type} has an entry but no schema: add one below src/ocelog/content/schemas/")
    files = {"rejections.columns.txt": _columns(REJECTION_SCHEMA)}
    for log_type, schema in schemas.items():
        name = table_name(log_type)
        files[f"{name}.columns.txt"] = _columns(arrow_schema(schema))
        if log_type in ROOTS:
            query = QUERIES / f"{entries[log_type].short}.graphql"
            if not query.exists():
                raise LookupError(f"{log_type} has no query: {query.relative_to(ROOT)} is missing (it goes by `short`)")
            files[f"{name}.query.txt"] = "".join(f"{path}\n" for path in _asked(ROOTS[log_type].document()))
        records = FOLDER / f"{name}.records.jsonl"
        if not records.exists():
            files[records.name] = sample_records(schema, entries[log_type])
        text = files.get(records.name) or records.read_text(encoding="utf-8")
        files[f"{name}.page.json"] = _page(log_type, text)
    return files


def _columns(schema: pa.Schema) -> str:
    return "".join(_column(field, "") for field in schema)


def _column(field: pa.Field, prefix: str) -> str:
    inner = field.type.value_type if pa.types.is_list(field.type) else field.type
    shown = "list" if pa.types.is_list(field.type) else "struct" if pa.types.is_struct(field.type) else str(field.type)
    if pa.types.is_list(field.type) and not pa.types.is_struct(inner):
        shown = str(field.type)
    doc = (field.metadata or {}).get(b"doc", b"").decode()
    line = f"{prefix}{field.name}: {shown}  {doc}".rstrip() + "\n"
    below = [_column(child, prefix + "  ") for child in inner] if pa.types.is_struct(inner) else []
    return line + "".join(below)


def _asked(document: str) -> Iterator[str]:
    (operation,) = [
        one for one in graphql.parse(document).definitions if isinstance(one, graphql.OperationDefinitionNode)
    ]
    yield from _selected(operation.selection_set, "")


def _selected(selections: graphql.SelectionSetNode, prefix: str) -> Iterator[str]:
    for one in selections.selections:
        if isinstance(one, graphql.FieldNode):
            path = prefix + one.name.value
            yield from _selected(one.selection_set, path + ".") if one.selection_set else [path]
        elif isinstance(one, graphql.InlineFragmentNode):
            condition = f"({one.type_condition.name.value})" if one.type_condition else ""
            yield from _selected(one.selection_set, f"{prefix}{condition}")


def _page(log_type: str, records: str) -> str:
    raws = [line.encode() for line in records.splitlines()]
    shaped = compile_shaper(packaged_schemas()[log_type], kinds()[log_type]).shape(b"[" + b",".join(raws) + b"]")
    events = shaped.table(range(len(shaped.ids)), [f"{at:032x}" for at in range(len(shaped.ids))], STAMP)
    keys = [f"{at:032x}" for at in range(len(shaped.rejections))]
    rejected = rejection_rows(shaped.rejections, log_type=log_type, keys=keys, stamp=STAMP)
    shown = {
        "events": events.to_pylist(),
        "rejections": rejected.to_pylist(),
        "unknown_fields": shaped.unknown_fields,
        "seen": shaped.seen,
    }
    return json.dumps(shown, indent=2, default=_instant, ensure_ascii=False) + "\n"


def _instant(value: Any) -> str:
    assert isinstance(value, datetime)
    return rfc3339(value)
