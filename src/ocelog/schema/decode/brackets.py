"""What brackets and quotes alone tell of a JSON text, whatever is wrong in it: its pieces, and how deep it nests."""

import re
from collections.abc import Sequence
from itertools import accumulate

import msgspec
from msgspec import Struct

MOST_NESTED = 250
"""Levels of free JSON that whatever reads it later can follow, on any interpreter and any stack.
Canonical JSON takes two calls a level, and Python 3.11 allows 1,000 in all. The deepest log known to us has about 10.
"""
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_NAME = msgspec.json.Decoder(str)
# Possessive, since what a long string matched so far would be kept otherwise: 100 times its length.
_STRING = rb'"(?:[^"\\]++|\\.)*+"?'
_STRINGS = re.compile(_STRING, re.DOTALL)
_TOKEN = re.compile(_STRING + rb"|[\[\]{},]", re.DOTALL)
_NAMED = re.compile(rb'("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:', re.DOTALL)
_OPENS = {b"]": b"[", b"}": b"{"}
_SPACE = b" \t\r\n"
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(code for code in range(256) if code not in _STEPS)


class Members(Struct, frozen=True, kw_only=True):
    """What can be told of an object's members."""

    texts: dict[str, bytes]
    """Name -> value as it came, which may not be JSON; if a name is there twice, the last."""
    whole: bool
    """That is all of it: the object begins and ends as it should, and each piece has a name and a value."""


def split_array(page: bytes) -> list[bytes] | None:
    """Return the elements of the JSON array `page` as they came, None if it is not an array.

    One element that is not JSON, or nested too deep to be read, costs no other.
    """
    try:
        return [bytes(raw) for raw in _RAWS.decode(page)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        page = page.strip(_SPACE)
    if not page.startswith(b"["):
        return None
    elements, rest = _cut(page)
    return [*elements, *([rest] if rest else [])]


def split_object(text: bytes) -> Members:
    """Return the members of the JSON object `text`; what is wrong in one costs no other, and is not looked at."""
    text = text.strip(_SPACE)
    if not text.startswith(b"{"):
        return Members(texts={}, whole=False)
    pieces, rest = _cut(text)
    texts: dict[str, bytes] = {}
    whole = rest == b""
    for piece in pieces:
        named = _NAMED.match(piece)
        try:
            name = _NAME.decode(named[1]) if named else None
        except (msgspec.MsgspecError, ValueError):
            name = None
        if named is None or name is None:
            whole = False
        else:
            texts[name] = piece[named.end() :].strip(_SPACE)
    return Members(texts=texts, whole=whole)


def _cut(text: bytes) -> tuple[list[bytes], bytes | None]:
    """Return what lies between the commas of the list or object `text`, and what follows its end, None if it has none.

    A bracket that closes what is not open is passed over, and one that leaves others open closes those too: so what
    is wrong in one piece mostly ends with it.
    """
    pieces: list[bytes] = []
    start = 1
    opened = bytearray(text[:1])
    inside = {b"[": 0, b"{": 0}
    for token in _TOKEN.finditer(text, 1):
        match text[token.start() : token.start() + 1]:
            case b"[" | b"{" as bracket:
                opened += bracket
                inside[bracket] += 1
            case b"," if len(opened) == 1:
                pieces.append(text[start : token.start()].strip(_SPACE))
                start = token.end()
            case b"]" | b"}" as bracket:
                wanted = _OPENS[bracket]
                if len(opened) == 1 and opened == wanted:
                    last = text[start : token.start()].strip(_SPACE)
                    return [*pieces, *([last] if last or pieces else [])], text[token.end() :].strip(_SPACE)
                if inside[wanted]:
                    # Close the innermost `wanted`, and all that is open in it.
                    at = opened.rindex(wanted)
                    for each in inside:
                        inside[each] -= opened.count(each, at)
                    del opened[at:]
    last = text[start:].strip(_SPACE)
    return [*pieces, *([last] if last else [])], None


def too_deep(text: bytes) -> bool:
    """Tell whether the JSON `text` is nested deeper than MOST_NESTED."""
    if len(text) <= 2 * MOST_NESTED or text.count(b"[") + text.count(b"{") <= MOST_NESTED:
        return False
    brackets = _STRINGS.sub(b"", text).translate(None, _OTHERS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MOST_NESTED


def any_too_deep(texts: Sequence[bytes]) -> bool:
    """Tell whether one of the JSON `texts` is nested deeper than MOST_NESTED; it mostly takes no look at them."""
    return max(map(len, texts), default=0) > 2 * MOST_NESTED and any(map(too_deep, texts))
