"""How a part of free JSON that an answer could not show takes the value that the version before has."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


def fill_json(present: bytes, path: Sequence[str], before: bytes) -> bytes:
    """Return the JSON `present` with what `before` has at `path`; all else in it stays the text that came.

    Lists on the way are gone through: their elements are matched by their id, else by their place. Where either side
    has no object on the way, there is nothing to give or to take.
    """
    match present[:1], before[:1]:
        case b"{", b"{":
            now, then = _OBJECT.decode(present), _OBJECT.decode(before)
            _fill_member(now, path, then)
            return msgspec.json.encode(now)
        case b"[", b"[":
            items = _LIST.decode(present)
            for at, other in _pairs(items, _LIST.decode(before)):
                items[at] = Raw(fill_json(bytes(items[at]), path, bytes(other)))
            return msgspec.json.encode(items)
        case _:
            return present


def _fill_member(now: dict[str, Raw], path: Sequence[str], then: dict[str, Raw]) -> None:
    name, *rest = path
    if rest:
        if name in now and name in then:
            now[name] = Raw(fill_json(bytes(now[name]), rest, bytes(then[name])))
    elif name in then:
        now[name] = then[name]
    else:
        now.pop(name, None)


def _pairs(present: Sequence[Raw], before: Sequence[Raw]) -> Iterator[tuple[int, Raw]]:
    """Yield the position of each element that has one in `before`, and that one."""
    by_id = {name: one for one in before if (name := _id(one)) is not None}
    if not by_id:
        yield from enumerate(before[: len(present)])
        return
    for at, one in enumerate(present):
        name = _id(one)
        if name in by_id:
            yield at, by_id[name]


def _id(item: Raw) -> bytes | None:
    """Return the id of `item` as it is written; None where it has none, or is no object."""
    text = bytes(item)
    name = _OBJECT.decode(text).get("id") if text.startswith(b"{") else None
    return None if name is None else bytes(name)
