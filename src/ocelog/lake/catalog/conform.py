"""How rows written under an older schema become rows of the table's present one."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `rows` with exactly the columns of `schema`: those that are missing are null, the others are cast.

    `schema` must cover that of `rows`. Raises pa.ArrowInvalid if a value does not fit.
    """
    columns = [_column(rows, field) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(rows: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    index = rows.schema.get_field_index(field.name)
    if index < 0:
        return pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
    column = rows.column(index)
    return pa.chunked_array([_array(chunk, field.type) for chunk in column.chunks], type=field.type)


def _array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind):
        return _struct(array, kind)
    if pa.types.is_list(kind):
        return _list(array, kind)
    return array if array.type == kind else array.cast(kind)


def _struct(array: pa.StructArray, kind: pa.StructType) -> pa.StructArray:
    fields = _children(kind)
    children = []
    for field in fields:
        index = array.type.get_field_index(field.name)
        child = pa.nulls(len(array), field.type) if index < 0 else _array(pc.struct_field(array, [index]), field.type)
        children.append(child)
    return pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null())


def _list(array: pa.ListArray, kind: pa.ListType) -> pa.ListArray:
    # Offsets count from the begin of `values`, whatever slice of it this array is: no offset may be lost.
    whole = pa.concat_arrays([array]) if array.offset else array
    values = _array(whole.values, kind.value_type)
    return pa.ListArray.from_arrays(whole.offsets, values, type=kind, mask=whole.is_null())


UNIQUE = frozenset({"id", "p_row_id", "p_version"})
"""Texts that do not repeat."""


def compact(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with its texts as dictionaries: most repeat, and the rows are held in a third of the memory."""
    return pa.schema([_compact(field) if field.name not in UNIQUE else field for field in schema])


def _compact(field: pa.Field) -> pa.Field:
    if pa.types.is_string(field.type):
        return field.with_type(pa.dictionary(pa.int32(), pa.string()))
    if pa.types.is_struct(field.type):
        return field.with_type(pa.struct([_compact(child) for child in _children(field.type)]))
    return field


def dictionaries(schema: pa.Schema) -> list[str]:
    """Return the paths of the dictionary columns of `schema`, as Parquet spells them."""
    return [path for field in schema for path in _paths(field, field.name)]


def _paths(field: pa.Field, path: str) -> list[str]:
    if pa.types.is_struct(field.type):
        return [found for child in _children(field.type) for found in _paths(child, f"{path}.{child.name}")]
    return [path] if pa.types.is_dictionary(field.type) else []


def covers(schema: pa.Schema, other: pa.Schema) -> bool:
    """Tell whether `schema` has every field of `other`, nested ones too, with the same type."""
    return _has_all(list(schema), list(other))


def _has_all(fields: Iterable[pa.Field], others: Iterable[pa.Field]) -> bool:
    kinds = {field.name: field.type for field in fields}
    return all(other.name in kinds and _holds(kinds[other.name], other.type) for other in others)


def _holds(kind: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and pa.types.is_struct(other):
        return _has_all(_children(kind), _children(other))
    if pa.types.is_list(kind) and pa.types.is_list(other):
        return _holds(kind.value_type, other.value_type)
    return bool(kind == other)


def _children(kind: pa.StructType) -> list[pa.Field]:
    return [kind.field(index) for index in range(kind.num_fields)]
