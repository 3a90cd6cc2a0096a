"""Which states of a record count as the same: a hash of all that a person would call a change."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import repeat
from typing import Any

import msgspec
from msgspec import Raw

from ocelog.model import Kind
from ocelog.schema.columns.frame import Frame
from ocelog.schema.decode.typed import NO_JSON, Layout, Record
from ocelog.schema.language.fields import Array, Json, LogSchema
from ocelog.schema.versions.canonical import CanonicalJson

_encode = msgspec.json.Encoder().encode
_encode_into = msgspec.json.Encoder().encode_into


class Fingerprints:
    """Hashes the records of one log type."""

    def __init__(self, schema: LogSchema, layout: Layout, kind: Kind) -> None:
        wanted = kind.version_fields
        self._id_alone = wanted is None
        counted = set(wanted or ())
        unknown = counted - {field.name for field in schema.fields}
        if unknown:
            raise ValueError(f"{schema.log_type} has no fields {', '.join(sorted(unknown))}")
        self._left_out = [
            (at, layout.attributes[at], layout.nothing(at))
            for at, field in enumerate(layout.fields)
            if field.name not in counted
        ]
        self._parts = [
            _Parts(layout, counted, kind.set_like, kind.uncounted.union(*kind.later_fields[number:]))
            for number in range(len(kind.later_fields) + 1)
        ]
        self.former = range(len(kind.later_fields), 0, -1)
        """The algorithms before the present one, newest first."""

    def of(self, frame: Frame, algorithm: int | None = None) -> list[str]:
        """Return p_version of each record, 32 hex digits: what it is, or was by a former `algorithm`.

        The number of the algorithm is part of the hash (docs/adr/0025). The records are left as they were hashed, and
        those inside them too; `restore` undoes that.
        """
        number = len(self._parts) if algorithm is None else algorithm
        mixed_in = str(number).encode()
        if self._id_alone:
            return [sha256(b"%s#%s" % (mixed_in, name.encode())).hexdigest()[:32] for name in frame.values("id")]
        for _, name, default in self._left_out:
            _set(frame.records, name, repeat(default))
        self._parts[number - 1].canonicalise(frame)
        return _hashes(frame.records, mixed_in)

    def restore(self, frame: Frame) -> None:
        """Give the records of `frame` back what `of` changed."""
        emptied = ((at, name) for at, name, _ in self._left_out)
        for at, name in {*emptied, *(each for parts in self._parts for each in parts.touched)}:
            _set(frame.records, name, frame.columns[at])


def _hashes(records: Sequence[Record], algorithm: bytes) -> list[str]:
    buffer = bytearray(algorithm)
    after = len(algorithm)
    versions = []
    for record in records:
        _encode_into(record, buffer, after)
        versions.append(sha256(buffer).hexdigest()[:32])
    return versions


def _set(records: Sequence[Record], name: str, values: Iterable[Any]) -> None:
    deque(map(setattr, records, repeat(name), values), maxlen=0)


class _Parts:
    """The parts of an object that have more than one way to be written: JSON texts, and lists without order."""

    def __init__(
        self,
        layout: Layout,
        counted: set[str] | None,
        set_like: frozenset[str],
        uncounted: frozenset[str],
        path: str = "",
    ) -> None:
        self._emptied: list[tuple[int, str, Any]] = []
        self._json: list[tuple[int, str, CanonicalJson]] = []
        self._json_lists: list[tuple[int, str, CanonicalJson]] = []
        self._folded: list[tuple[int, str, _Parts, bool]] = []
        self._unordered: list[tuple[int, str]] = []
        for at, (name, field) in enumerate(zip(layout.attributes, layout.fields, strict=True)):
            if counted is not None and field.name not in counted:
                continue
            if path + field.name in uncounted:
                self._emptied.append((at, name, layout.nothing(at)))
                continue
            unordered = field.name in set_like
            match field.type, layout.inner[at]:
                case Json(), _:
                    self._json.append((at, name, CanonicalJson(unordered=unordered)))
                case _, Layout() as inner:
                    self._folded.append(
                        (at, name, _Parts(inner, None, frozenset(), uncounted, f"{path}{field.name}."), unordered)
                    )
                case Array(element=Json()), _:
                    self._json_lists.append((at, name, CanonicalJson(unordered=unordered)))
                case Array(), _ if unordered:
                    self._unordered.append((at, name))

    @property
    def touched(self) -> list[tuple[int, str]]:
        """The fields that `canonicalise` writes."""
        return [
            *((at, name) for at, name, _ in (*self._json, *self._json_lists)),
            *((at, name) for at, name, _, _ in self._folded),
            *self._unordered,
            *((at, name) for at, name, _ in self._emptied),
        ]

    def canonicalise(self, frame: Frame) -> None:
        """Write the members of the records in the one way that is hashed."""
        for name, values in self._written(frame):
            _set(frame.records, name, values)

    def _written(self, frame: Frame) -> Iterator[tuple[str, Iterable[Any]]]:
        for _, name, default in self._emptied:
            yield name, repeat(default)
        for at, name, canonical in self._json:
            texts = frame.texts(at)
            yield name, texts.spread(canonical.written(texts.different))
        for at, name, canonical in self._json_lists:
            yield name, [one and canonical.written_list(list(map(bytes, one))) for one in frame.columns[at]]
        for at, name, parts, unordered in self._folded:
            folded = frame.folded[at]
            parts.canonicalise(folded.frame)
            values = map(_in_order, folded.different) if unordered else folded.different
            yield name, folded.texts.spread([NO_JSON if one is None else Raw(_encode(one)) for one in values])
        for at, name in self._unordered:
            yield name, map(_in_order, frame.columns[at])


def _in_order(items: list[Any] | None) -> list[Any] | None:
    return sorted(items, key=_encode) if items and len(items) > 1 else items
