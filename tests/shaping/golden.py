"""What the golden files should say: columns, query and a shaped page of each log type, as text."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import graphql
import pyarrow as pa

from ocelog.model import table_name
from ocelog.schema.columns.table import REJECTION_SCHEMA, arrow_schema, rejection_rows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS, ROOTS
from ocelog.times import rfc3339
from shaping import STAMP

FOLDER = Path(__file__).parents[1] / "golden"


def golden_files() -> dict[str, str]:
    """Return the text of every golden file, by name."""
    files = {"rejections.columns.txt": _columns(REJECTION_SCHEMA)}
    for log_type, schema in packaged_schemas().items():
        name = table_name(log_type)
        files[f"{name}.columns.txt"] = _columns(arrow_schema(schema))
        files[f"{name}.query.txt"] = "".join(f"{path}\n" for path in _asked(ROOTS[log_type].document()))
        files[f"{name}.page.json"] = _page(log_type, FOLDER / f"{name}.records.jsonl")
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


def _page(log_type: str, records: Path) -> str:
    raws = [line.encode() for line in records.read_text(encoding="utf-8").splitlines()]
    shaped = compile_shaper(packaged_schemas()[log_type], KINDS[log_type]).shape(b"[" + b",".join(raws) + b"]")
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
