"""Which states of a record count as the same: a hash of all that a person would call a change."""

from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import sha256
from itertools import repeat
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from ocelog.model import Kind
from ocelog.schema.columns.frame import Frame
from ocelog.schema.decode.typed import NO_JSON, Layout
from ocelog.schema.language.fields import Array, Json, LogSchema
from ocelog.schema.versions.canonical import CanonicalJson

_Member: TypeAlias = Callable[[Frame], Iterable[Any]]
"""Returns one member of each object in a frame as it is hashed."""

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
        self._hashed = [
            _Hashed(layout, (names - counted).union(kind.uncounted, *kind.later_fields[number:]), kind.set_like)
            for number in range(len(kind.later_fields) + 1)
        ]
        self.former = range(len(kind.later_fields), 0, -1)
        """The algorithms before the present one, newest first."""

    def of(self, frame: Frame, algorithm: int | None = None) -> list[str]:
        """Return p_version of each record, 32 hex digits: what it is, or was by a former `algorithm`.

        The number of the algorithm is part of the hash (docs/adr/0025).
        """
        number = len(self._hashed) if algorithm is None else algorithm
        prefix = str(number).encode()
        if self._id_alone:
            return [sha256(b"%b#%b" % (prefix, name.encode())).hexdigest()[:32] for name in frame.values("id")]
        buffer = bytearray(prefix)
        versions = []
        for record in self._hashed[number - 1].objects(frame):
            _encode_into(record, buffer, len(prefix))
            versions.append(sha256(buffer).hexdigest()[:32])
        return versions


class _Hashed:
    """Objects as they are hashed: what counts of them, in a struct of its own whose JSON is canonical."""

    def __init__(
        self, layout: Layout, left_out: Collection[str], set_like: Collection[str] = (), path: str = ""
    ) -> None:
        self._members: list[_Member] = []
        declared: list[tuple[str, Any, Any]] = []
        for at, field in sorted(enumerate(layout.fields), key=lambda each: each[1].name):
            null = layout.null(at)
            always_written = field.required and null is None
            if path + field.name in left_out:
                if not always_written:
                    continue
                # As null, since the first release wrote it so.
                self._members.append(lambda _: repeat(None))
            else:
                self._members.append(_member(layout, at, left_out, unordered=field.name in set_like, path=path))
            declared.append((layout.attributes[at], Any, _NEVER if always_written else null))
        self._struct = msgspec.defstruct(
            "Hashed",
            declared,
            rename=dict(zip(layout.attributes, (field.name for field in layout.fields), strict=True)),
            gc=False,
            omit_defaults=True,
        )

    def objects(self, frame: Frame) -> Iterator[msgspec.Struct]:
        """Return what is hashed of each object in `frame`."""
        if not self._members:
            return repeat(self._struct(), len(frame.records))
        return map(self._struct, *(member(frame) for member in self._members))


def _member(layout: Layout, at: int, left_out: Collection[str], *, unordered: bool, path: str) -> _Member:
    """Return what writes the field at `at` in the one way that is hashed; `unordered`: its order says nothing."""
    field, inner = layout.fields[at], layout.inner[at]
    canonical = CanonicalJson(unordered=unordered)

    def json(frame: Frame) -> Iterable[Raw]:
        texts = frame.texts(at)
        return texts.expand(canonical.written(texts.distinct))

    def json_lists(frame: Frame) -> Iterable[list[Raw] | None]:
        return [one and canonical.written_list(list(map(bytes, one))) for one in frame.columns[at]]

    def in_order(frame: Frame) -> Iterable[list[Any] | None]:
        return map(_in_order, frame.columns[at])

    match field.type:
        case Json():
            return json
        case Array(element=Json()):
            return json_lists
        case Array() if inner is None and unordered:
            return in_order
        case _ if inner is None:
            return lambda frame: frame.columns[at]

    hashed = _Hashed(inner, left_out, path=f"{path}{field.name}.")

    def objects(frame: Frame) -> Iterable[Raw]:
        column = frame.objects[at]
        values = column.regrouped(Raw(_encode(one)) for one in hashed.objects(column.frame))
        if unordered:
            values = list(map(_in_order, values))
        return column.texts.expand([NO_JSON if one is None else Raw(_encode(one)) for one in values])

    return objects


def _in_order(items: list[Any] | None) -> list[Any] | None:
    return sorted(items, key=_encode) if items and len(items) > 1 else items
