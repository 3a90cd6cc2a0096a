"""How a field that an answer could not show takes the value that the version before has."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ocelog.schema.decode import NO_JSON, Layout, Record
from ocelog.schema.fields import Array, Json, Object, Timestamp, Type
from ocelog.schema.timestamps import canonical


def fill_record(record: Record, layout: Layout, path: Sequence[str], row: Mapping[str, Any]) -> None:
    """Give `record` the value that `row`, a row of the lake by column, has at `path`.

    Where the path goes through a list, elements are matched by their id, else by their place. An object that is null
    on either side has nothing to give or to take.
    """
    name, *rest = path
    for field, attribute, inner in zip(layout.fields, layout.attributes, layout.inner, strict=True):
        if field.name != name:
            continue
        if not rest:
            setattr(record, attribute, _from_row(field.type, inner, row.get(name)))
        elif inner is not None:
            present, before = getattr(record, attribute), row.get(name)
            for child, source in _pairs(present, before):
                fill_record(child, inner, rest, source)


def _pairs(present: Any, before: Any) -> list[tuple[Record, Mapping[str, Any]]]:
    if not present or not before:
        return []
    if not isinstance(present, list):
        return [(present, before)]
    by_id = {one["id"]: one for one in before if one and one.get("id") is not None}
    if by_id:
        return [(one, by_id[one.id]) for one in present if one is not None and one.id in by_id]
    return [(one, other) for one, other in zip(present, before, strict=False) if one is not None and other]


def _from_row(type_: Type, inner: Layout | None, value: Any) -> Any:
    if value is None:
        return NO_JSON if isinstance(type_, Json) else None
    match type_:
        case Json():
            return msgspec.Raw(value.encode())
        case Timestamp():
            return canonical(value)
        case Array(element=element):
            return [_from_row(element, inner, item) for item in value]
        case Object() if inner is not None:
            members = zip(inner.fields, inner.attributes, inner.inner, strict=True)
            return inner.struct(
                **{
                    attribute: _from_row(field.type, below, value.get(field.name))
                    for field, attribute, below in members
                }
            )
        case _:
            return value
