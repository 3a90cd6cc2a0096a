"""Which states of a record count as the same: a hash of all that a person would call a change."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from ocelog.model import Kind
from ocelog.schema.decode import NO_JSON, Layout, Record
from ocelog.schema.fields import Array, Json, LogSchema, Object, Type

_ALGORITHM = b"1"
"""Mixed into each hash. Another number makes every record in every lake a new version, once."""
_LONG = 128
"""Canonical JSON beyond this goes into the hash as its own hash, which is remembered."""
_MEMO_BYTES = 8_000_000

_encode = msgspec.json.Encoder().encode


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
            (name, NO_JSON if isinstance(field.type, Json) else None)
            for name, field in zip(layout.attributes, layout.fields, strict=True)
            if field.name not in counted
        ]
        self._parts = _Parts(layout, counted, kind.set_like)

    def of(self, records: Sequence[Record]) -> list[str]:
        """Return p_version of each record: 32 hex digits. The records come back as they were."""
        if self._id_alone:
            return [sha256(b"%s#%s" % (_ALGORITHM, record.id.encode())).hexdigest()[:32] for record in records]
        undo: list[tuple[Record, str, Any]] = []
        for name, default in self._left_out:
            for record in records:
                undo.append((record, name, getattr(record, name)))
                setattr(record, name, default)
        self._parts.canonicalise(records, undo)
        versions = [sha256(_ALGORITHM + _encode(record)).hexdigest()[:32] for record in records]
        for record, name, value in reversed(undo):
            setattr(record, name, value)
        return versions


class _Parts:
    """The parts of an object that have more than one way to be written: free JSON, and lists without order."""

    def __init__(self, layout: Layout, counted: set[str] | None, set_like: frozenset[str]) -> None:
        self._json: list[tuple[str, _CanonicalJson]] = []
        self._objects: list[tuple[str, _Parts]] = []
        self._lists: list[tuple[str, _Parts | None, bool]] = []
        for name, field, inner in zip(layout.attributes, layout.fields, layout.inner, strict=True):
            if counted is None or field.name in counted:
                self._add(name, field.type, inner, unordered=field.name in set_like)

    def _add(self, name: str, type_: Type, inner: Layout | None, *, unordered: bool) -> None:
        match type_:
            case Json():
                self._json.append((name, _CanonicalJson(unordered=unordered)))
            case Object() if inner is not None:
                self._objects.append((name, _Parts(inner, None, frozenset())))
            case Array(element=Object()) if inner is not None:
                self._lists.append((name, _Parts(inner, None, frozenset()), unordered))
            case Array() if unordered:
                self._lists.append((name, None, True))
            case _:
                pass

    def canonicalise(self, records: Sequence[Record], undo: list[tuple[Record, str, Any]]) -> None:
        """Write the members of `records` in the one way that is hashed; `undo` gets what they were."""
        for name, canonical in self._json:
            for record, raw in zip(records, map(attrgetter(name), records), strict=True):
                written = canonical(raw)
                if written is not raw:
                    undo.append((record, name, raw))
                    setattr(record, name, written)
        for name, parts in self._objects:
            parts.canonicalise([one for one in map(attrgetter(name), records) if one is not None], undo)
        for name, items, unordered in self._lists:
            self._canonicalise_lists(name, items, records, undo, unordered=unordered)

    def _canonicalise_lists(
        self,
        name: str,
        parts: "_Parts | None",
        records: Sequence[Record],
        undo: list[tuple[Record, str, Any]],
        *,
        unordered: bool,
    ) -> None:
        lists = [one for one in map(attrgetter(name), records) if one]
        if parts is not None:
            flat = [one for one in chain.from_iterable(lists) if one is not None]
            parts.canonicalise(flat, undo)
        if unordered:
            for record in records:
                items = getattr(record, name)
                if items and len(items) > 1:
                    undo.append((record, name, items))
                    setattr(record, name, sorted(items, key=_encode))


class _CanonicalJson:
    """Free JSON in the one way that is hashed; what was seen is remembered, since tags and rules repeat a lot."""

    def __init__(self, *, unordered: bool) -> None:
        self._unordered = unordered
        self._memo: dict[bytes, msgspec.Raw] = {b"null": NO_JSON}
        self._bytes = 0

    def __call__(self, raw: msgspec.Raw) -> msgspec.Raw:
        """Return what stands for `raw` in the hash: keys sorted, nulls left out, no spaces."""
        text = bytes(raw)
        found = self._memo.get(text)
        return found if found is not None else self._write(text)

    def _write(self, text: bytes) -> msgspec.Raw:
        canonical = _canonical(text, unordered=self._unordered)
        written = msgspec.Raw(canonical if len(canonical) <= _LONG else b"#" + sha256(canonical).digest().hex().encode())
        self._bytes += len(text) + 200
        if self._bytes > _MEMO_BYTES:
            self._memo = {b"null": NO_JSON}
            self._bytes = len(text)
        self._memo[text] = written
        return written


def _canonical(text: bytes, *, unordered: bool) -> bytes:
    """Write JSON anew; what cannot be read as such (nested very deep) stands for itself."""
    try:
        value = _without_nulls(msgspec.json.decode(text))
        if unordered and isinstance(value, list):
            value.sort(key=lambda item: msgspec.json.encode(item, order="sorted"))
        return msgspec.json.encode(value, order="sorted")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(member) for key, member in value.items() if member is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case _:
            return value

