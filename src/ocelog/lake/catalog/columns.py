"""Which columns a table really has: those of its schema, and those that another engine added to it."""

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_PLAIN = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "string": pa.string(),
    "binary": pa.binary(),
}
_DECIMAL = re.compile(r"decimal\((\d+), *(\d+)\)")
_FOREIGN = b"Added by another engine."


def with_table_columns(schema: pa.Schema, present: Mapping[str, Any] | None) -> pa.Schema:
    """Return `schema` with the columns, fields and wider numbers that only the table has.

    `present` is the table's schema as its metadata spells it; None: it was never made. Those come last.
    """
    return pa.schema(_merged(list(schema), [] if present is None else present["fields"], top=True))


def _merged(ours: list[pa.Field], theirs: list[Mapping[str, Any]], *, top: bool) -> list[pa.Field]:
    found = {field.name: field for field in ours}
    for field in theirs:
        name = field["name"]
        if name in found:
            found[name] = found[name].with_type(_wider(found[name].type, field["type"]))
        else:
            doc = {b"doc": str(field["doc"]).encode() if field.get("doc") else _FOREIGN} if top else None
            found[name] = pa.field(name, _arrow(field["type"]), metadata=doc)
    return list(found.values())


def _wider(ours: pa.DataType, theirs: Any) -> pa.DataType:
    """Return the type that holds what is in either of them."""
    if isinstance(theirs, Mapping):
        if theirs["type"] == "struct" and pa.types.is_struct(ours):
            fields = [ours.field(index) for index in range(ours.num_fields)]
            return pa.struct(_merged(fields, theirs["fields"], top=False))
        if theirs["type"] == "list" and pa.types.is_list(ours):
            return pa.list_(_wider(ours.value_type, theirs["element"]))
        return ours
    promoted = (theirs == "long" and pa.types.is_integer(ours)) or (theirs == "double" and pa.types.is_floating(ours))
    return _PLAIN[theirs] if promoted else ours


def _arrow(kind: Any) -> pa.DataType:
    """Return the Arrow type of an Iceberg type; a text if there is none like it."""
    match kind:
        case {"type": "struct", "fields": fields}:
            return pa.struct(_merged([], fields, top=False))
        case {"type": "list", "element": element}:
            return pa.list_(_arrow(element))
        case {"type": "map", "key": key, "value": value}:
            return pa.map_(_arrow(key), _arrow(value))
        case str() if (found := _DECIMAL.fullmatch(kind)) is not None:
            return pa.decimal128(int(found[1]), int(found[2]))
        case str() if kind.startswith("fixed["):
            return pa.binary()
        case _:
            return _PLAIN.get(str(kind), pa.string())
