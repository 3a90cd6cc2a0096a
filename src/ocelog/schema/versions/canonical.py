"""Which free JSON counts as the same: keys in any order, spaces or none, nulls or nothing."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from ocelog.schema.decode.typed import NO_JSON

_LONG = 1_024
"""Longer canonical JSON stands in the hash as its own hash, which is remembered."""
_MEMO_BYTES = 1_000_000


class CanonicalJson:
    """Writes free JSON in the one way that is hashed; remembers what it wrote, since tags and rules repeat a lot."""

    def __init__(self, *, unordered: bool) -> None:
        self._unordered = unordered
        self._memo: dict[bytes, msgspec.Raw] = {b"null": NO_JSON}
        self._bytes = 0

    def texts(self, texts: Sequence[bytes]) -> list[msgspec.Raw]:
        """Return what stands for each of `texts` in the hash: keys sorted, nulls left out, no spaces."""
        get = self._memo.get
        return [get(text) or self._write(text) for text in texts]

    def list_texts(self, texts: Sequence[bytes]) -> list[msgspec.Raw]:
        """Return what stands for each in a list of `texts`; sorted if its order says nothing."""
        found = self.texts(texts)
        return sorted(found, key=bytes) if self._unordered else found

    def _write(self, text: bytes) -> msgspec.Raw:
        canonical = _canonical(text, unordered=self._unordered)
        if len(canonical) > _LONG:
            canonical = b"#" + sha256(canonical).hexdigest().encode()  # no JSON begins so: nothing can be taken for it
        written = msgspec.Raw(canonical)
        self._bytes += len(text) + 200
        if self._bytes > _MEMO_BYTES:
            self._memo = {b"null": NO_JSON}
            self._bytes = len(text)
        self._memo[text] = written
        return written


def _canonical(text: bytes, *, unordered: bool) -> bytes:
    """Write JSON anew; what cannot be read as such (a number beyond all bounds) stands for itself."""
    try:
        value = msgspec.json.decode(text)
        if b"null" in text:
            value = _without_nulls(value)
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
