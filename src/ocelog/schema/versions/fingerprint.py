"""Which states of a record count as the same: a hash of all that a person would call a change."""

from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from itertools import repeat
from typing import Any

import msgspec
from msgspec import Raw

from ocelog.model import Kind
from ocelog.schema.columns.frame import Frame
from ocelog.schema.decode.typed import NO_JSON, Layout
from ocelog.schema.language.fields import Array, Json, LogSchema, Type
from ocelog.schema.versions.canonical import CanonicalJson

_encode = msgspec.json.Encoder().encode
_encode_into = msgspec.json.Encoder().encode_into
_NEVER = object()
"""No value is this, so a member that has it as default is always written."""


class Fingerprints:
    """Hashes the records of one log type."""

    def __init__(self, schema: LogSchema, layout: Layout, kind: Kind) -> None:
        names = {field.name for field in schema.fields}
        counted = names if kind.version_fields is None else set(kind.version_fields)
        if counted - names:
            raise ValueError(f"{schema.log_type} has no fields {', '.join(sorted(counted - names))}")
        self._id_alone = kind.version_fields is None
        self._algorithms = [
            _HashedObject(layout, (names - counted).union(kind.uncounted, *kind.later_fields[number:]), kind.set_like)
            for number in range(len(kind.later_fields) + 1)
        ]
        self.former = range(len(kind.later_fields), 0, -1)
        """The algorithms before the present one, newest first."""

    def of(self, frame: Frame, algorithm: int | None = None) -> list[str]:
        """Return p_version of each record, 32 hex digits: what it is, or was by a former `algorithm`.

        The number of the algorithm is part of the hash (docs/adr/0025).
        """
        number = len(self._algorithms) if algorithm is None else algorithm
        prefix = str(number).encode()
        if self._id_alone:
            return [sha256(b"%b#%b" % (prefix, name.encode())).hexdigest()[:32] for name in frame.values("id")]
        buffer = bytearray(prefix)
        versions = []
        for record in self._algorithms[number - 1].objects(frame):
            _encode_into(record, buffer, len(prefix))
            versions.append(sha256(buffer).hexdigest()[:32])
        return versions


class _HashedObject:
    """Objects as they are hashed: what counts of them, in a struct of its own whose JSON is canonical."""

    def __init__(
        self, layout: Layout, left_out: Collection[str], set_like: Collection[str] = (), path: str = ""
    ) -> None:
        self._members: list[_Member | None] = []
        """None: null in every object."""
        declared: list[tuple[str, Any, Any]] = []
        for at, field in sorted(enumerate(layout.fields), key=lambda each: each[1].name):
            name, inner, null = path + field.name, layout.inner[at], layout.null(at)
            always_written = field.required and null is None
            if name not in left_out:
                member = _Member(
                    at=at,
                    type=field.type,
                    unordered=field.name in set_like,
                    canonical=CanonicalJson(unordered=field.name in set_like),
                    inner=None if inner is None else _HashedObject(inner, left_out, path=f"{name}."),
                )
                self._members.append(member)
            elif always_written:
                # The first release wrote such a field as null, so all hashes have it.
                self._members.append(None)
            else:
                continue
            declared.append((layout.attributes[at], Any, _NEVER if always_written else null))
        names = {attribute: field.name for attribute, field in zip(layout.attributes, layout.fields, strict=True)}
        self._struct = msgspec.defstruct("HashedObject", declared, rename=names, gc=False, omit_defaults=True)

    def objects(self, frame: Frame) -> Iterator[msgspec.Struct]:
        """Return what is hashed of each object in `frame`."""
        if not self._members:
            return repeat(self._struct(), len(frame.records))
        return map(
            self._struct, *(repeat(None) if member is None else member.values(frame) for member in self._members)
        )


class _Member(msgspec.Struct, frozen=True, kw_only=True):
    """A field that counts."""

    at: int
    """Its place in the layout."""
    type: Type
    unordered: bool
    """The order of a list says nothing."""
    canonical: CanonicalJson
    inner: _HashedObject | None
    """What counts of the objects in it."""

    def values(self, frame: Frame) -> Iterable[Any]:
        """Return the field of each object in `frame`, written in the one way that is hashed."""
        if self.inner is not None:
            column = frame.objects[self.at]
            values = column.regrouped(Raw(_encode(one)) for one in self.inner.objects(column.frame))
            if self.unordered:
                values = list(map(_in_order, values))
            return column.texts.expand([NO_JSON if one is None else Raw(_encode(one)) for one in values])
        match self.type:
            case Json():
                texts = frame.texts(self.at)
                return texts.expand(self.canonical.texts(texts.distinct))
            case Array(element=Json()):
                return [one and self.canonical.list_texts(list(map(bytes, one))) for one in frame.columns[self.at]]
            case Array() if self.unordered:
                return map(_in_order, frame.columns[self.at])
            case _:
                return frame.columns[self.at]


def _in_order(items: Any) -> Any:
    return sorted(items, key=_encode) if isinstance(items, list) and len(items) > 1 else items
