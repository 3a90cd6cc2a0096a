"""How a field that an answer could not show takes the value that the version before has."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec
from msgspec import Raw

from ocelog.schema.decode.timestamps import canonical
from ocelog.schema.decode.typed import NO_JSON, Layout, Record
from ocelog.schema.language.fields import Array, Field, Json, Object, Timestamp, Type

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


def fill_record(record: Record, layout: Layout, path: Sequence[str], row: Mapping[str, Any]) -> Record:
    """Return `record` with the value that `row`, a row of the lake by column, has at `path`.

    If the path goes through a list, elements are matched by their id, else by their place. An object that is null
    on either side has nothing to give or to take.
    """
    name, *rest = path
    for at, (field, attribute, inner) in enumerate(zip(layout.fields, layout.attributes, layout.inner, strict=True)):
        if field.name != name or (rest and inner is None and field.type != Json()):
            continue
        present, before = getattr(record, attribute), row.get(name)
        value: Any
        if not rest:
            value = _from_row(field.type, inner, before)
        elif inner is None:
            value = Raw(fill_json(bytes(present), rest, (before or "null").encode()))
        else:
            (value,) = layout.decoders[at](b"[%b]" % bytes(present))
            value = _fill_objects(value, inner, rest, before)
        record = msgspec.structs.replace(record, **{attribute: _held(layout, at, value)})
    return record


def record_of_row(fields: Sequence[Field], layout: Layout, row: Mapping[str, Any]) -> Record:
    """Return the record that `row`, a row of the lake by column, was made of."""
    return _from_row(Object(fields=tuple(fields)), layout, row)


def _held(layout: Layout, at: int, value: Any) -> Any:
    """Return `value` as a record holds it: objects as JSON text."""
    if value is None:
        return layout.null(at)
    return value if layout.inner[at] is None else Raw(msgspec.json.encode(value))


def _fill_objects(value: Any, layout: Layout, path: Sequence[str], before: Any) -> Any:
    """Do the same for an object, or for those in a list."""
    if value is None or before is None:
        return value
    if not isinstance(value, list):
        return fill_record(value, layout, path, before)
    by_id = {one["id"]: one for one in before if isinstance(one, Mapping) and one.get("id") is not None}
    sources = [one and by_id.get(one.id) for one in value] if by_id else chain(before, repeat(None))
    return [_fill_objects(one, layout, path, source) for one, source in zip(value, sources, strict=False)]


def _from_row(type_: Type, inner: Layout | None, value: Any) -> Any:  # one answer for each kind of field
    if value is None:
        return None
    match type_:
        case Json():
            return Raw(value.encode())
        case Timestamp():
            return canonical(value)
        case Array(element=Json()):
            return [NO_JSON if item is None else Raw(item.encode()) for item in value]
        case Array(element=element):
            return [_from_row(element, inner, item) for item in value]
        case Object() if inner is not None:
            members = enumerate(zip(inner.fields, inner.attributes, inner.inner, strict=True))
            return inner.struct(
                **{
                    attribute: _held(inner, at, _from_row(field.type, below, value.get(field.name)))
                    for at, (field, attribute, below) in members
                }
            )
        case _:
            return value


def fill_json(present: bytes, path: Sequence[str], before: bytes) -> bytes:
    """Return the JSON `present` with what `before` has at `path`; all else in it stays the text that came.

    Lists on the way are gone through: their elements are matched by their id, else by their place. If either side has
    no object on the way, there is nothing to give or to take.
    """
    match present[:1], before[:1]:
        case b"{", b"{":
            now, then = _OBJECT.decode(present), _OBJECT.decode(before)
            name, *rest = path
            if rest:
                if name in now and name in then:
                    now[name] = Raw(fill_json(bytes(now[name]), rest, bytes(then[name])))
            elif name in then:
                now[name] = then[name]
            else:
                now.pop(name, None)
            return msgspec.json.encode(now)
        case b"[", b"[":
            items = _LIST.decode(present)
            for at, other in _json_pairs(items, _LIST.decode(before)):
                items[at] = Raw(fill_json(bytes(items[at]), path, bytes(other)))
            return msgspec.json.encode(items)
        case _:
            return present


def _json_pairs(present: Sequence[Raw], before: Sequence[Raw]) -> Iterator[tuple[int, Raw]]:
    """Yield the position of each element that has one in `before`, and that one."""
    by_id = {name: one for one in before if (name := _json_id(one)) is not None}
    if not by_id:
        yield from enumerate(before[: len(present)])
        return
    for at, one in enumerate(present):
        name = _json_id(one)
        if name in by_id:
            yield at, by_id[name]


def _json_id(item: Raw) -> bytes | None:
    """Return the id of `item` as it is written; None if it has none, or is not an object."""
    text = bytes(item)
    name = _OBJECT.decode(text).get("id") if text.startswith(b"{") else None
    return None if name is None else bytes(name)
