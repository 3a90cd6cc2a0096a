"""Why a piece of JSON is not what it should be, in words for a person."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from ocelog.schema.decode.brackets import MOST_NESTED, split_array, split_object, too_deep

BROKEN = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What reading foreign JSON can raise; UnicodeDecodeError is a ValueError."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder(msgspec.Raw)

_KINDS = {"{": "an object", "[": "a list", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_SHOWN = 80
_LONGEST_PATH = 500


class Mismatch(Exception):  # noqa: N818  # it never leaves the schema package: shaping makes a rejection of it
    """A record does not fit its schema."""

    def __init__(self, path: str, expected: str, found: str, *, unreadable: bool = False) -> None:
        """Say what is wrong at `path`.

        `unreadable`: a value of the right kind that no column can hold (nested too deep, too large, no instant, text
        that is not text). It costs the record only the field, if the record can do without.
        """
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.unreadable = unreadable
        self.path = path if len(path) <= _LONGEST_PATH else path[:_LONGEST_PATH] + "..."
        self.expected = expected
        self.found = found

    def afresh(self) -> "Mismatch":
        """Return one that says the same and was not raised: that one, kept, would hold the frames that it passed."""
        return Mismatch(self.path, self.expected, self.found, unreadable=self.unreadable)


def members(raw: bytes, path: str) -> Mapping[str, bytes | msgspec.Raw]:
    """Return the members of the object `raw`; of a name that is there twice, the last. Raises Mismatch.

    If something inside is not JSON, or nested too deep to be read, they still are what came: whoever reads a member
    finds what is wrong with it, and can say where.
    """
    try:
        return _OBJECT.decode(raw)
    except msgspec.ValidationError:
        raise Mismatch(path, "an object", description(raw), unreadable=too_deep(raw)) from None
    except BROKEN as error:
        split = split_object(raw)
        if split.whole:
            return split.texts
        raise _unreadable(raw, path, "an object", error) from None


def elements(raw: bytes, path: str) -> Sequence[bytes | msgspec.Raw]:
    """Return the elements of the list `raw`; for those that are not JSON, see `members`. Raises Mismatch."""
    try:
        return _LIST.decode(raw)
    except msgspec.ValidationError:
        raise Mismatch(path, "a list", description(raw), unreadable=too_deep(raw)) from None
    except BROKEN as error:
        split = split_array(raw)
        if split is not None:
            return split
        raise _unreadable(raw, path, "a list", error) from None


def string(raw: bytes, path: str, expected: str) -> str:
    """Return the text of the JSON string `raw`. Raises Mismatch."""
    try:
        return _STRING.decode(raw)
    except BROKEN as error:
        raise _unreadable(raw, path, expected, error) from None


def free_json(raw: bytes, path: str, expected: str = "JSON") -> str:
    """Return the JSON `raw` as text; what can be read is no deeper than MOST_NESTED, and UTF-8. Raises Mismatch."""
    if too_deep(raw):
        raise Mismatch(path, f"JSON nested {MOST_NESTED} deep at most", "JSON nested deeper", unreadable=True)
    try:
        _ANY.decode(raw)
        return raw.decode()
    except BROKEN as error:
        raise _unreadable(raw, path, expected, error) from None


def _unreadable(raw: bytes, path: str, expected: str, error: Exception) -> Mismatch:
    """Return what is wrong with `raw`, which could not be read at all; `error` is what the decoder said."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as broken:
        no_text = f"text that is not UTF-8 (byte {broken.start})"
    else:
        no_text = "text with half of a surrogate pair" if _has_half_a_pair(raw) else ""
    if isinstance(error, RecursionError):
        why = "JSON nested too deep to be read, or never closed"
    elif no_text:
        why = no_text
    else:
        why = f"not JSON{f', {text}' if 0 < len(raw) <= _SHOWN else ''} ({error})"
    return Mismatch(path, expected, why, unreadable=bool(no_text) or too_deep(raw))


def is_not_text(raw: bytes) -> bool:
    """Tell whether `raw` holds what no text can: bytes that are not UTF-8, or half of a surrogate pair."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return _has_half_a_pair(raw)


def description(raw: bytes) -> str:
    """Say in a few words what `raw` is."""
    start = raw.lstrip()[:_SHOWN].decode("utf-8", "replace")
    kind = _KINDS.get(start[:1], "a number")
    if kind in {"null", "an object", "a list"}:
        return kind
    return f"{kind}, {start}{'...' if len(raw) > _SHOWN else ''}"


def _has_half_a_pair(data: bytes) -> bool:
    """Tell whether an escape in `data` stands for half a character: no UTF-8 text can hold it."""
    high_ends_at = -1
    for escape in _ESCAPE.finditer(data):
        code = int(escape[1], 16) if escape[1] else 0
        after_high = high_ends_at == escape.start()
        if after_high != (0xDC00 <= code < 0xE000) or (high_ends_at >= 0 and not after_high):
            return True
        high_ends_at = escape.end() if 0xD800 <= code < 0xDC00 else -1
    return high_ends_at >= 0
