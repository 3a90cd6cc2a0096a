"""How the records of an answer are found when the answer as a whole is no JSON."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A text, which reaches to the end of all where its closing quote is missing, or a bracket; nothing else matters."""
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'[^\s,:"\[\]{}]++')
_WAY = (b'"data"', None, b'"nodes"')
"""From the answer to its records; None stands for the query root's own name."""


class CutShortError(ValueError):
    """The text ends, or goes astray, before the value does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """An answer taken apart: `envelope` is the answer with no records in it."""

    envelope: bytes
    records: list[bytes]


def take_apart(body: bytes, root: str) -> Malformed:
    """Find each record's text in `body` by brackets and quotes alone, in one pass, however deep they nest.

    So one record with NaN, a broken escape or 2,000 levels costs no other. Raises CutShortError where the brackets of
    the answer do not close, or something follows them.
    """
    start = _skip_space(body, 0)
    if body[start : start + 1] != b"{" or _skip_space(body, _end(body, start)) != len(body):
        raise CutShortError("not one whole JSON object")
    nodes = _nodes(body, start, f'"{root}"'.encode())
    if nodes is None:
        return Malformed(envelope=body, records=[])
    start, end = nodes
    records = [body[a:b] for a, b in _items(body, start)]
    return Malformed(envelope=body[:start] + b"[]" + body[end:], records=records)


def _nodes(body: bytes, at: int, root: bytes) -> tuple[int, int] | None:
    """Return where the array of records starts and ends; None where there is none."""
    end = at
    for name in _WAY:
        if body[at : at + 1] != b"{":
            return None
        found = [place for key, *place in _members(body, at) if key == (name or root)]
        if not found:
            return None
        at, end = found[-1]
    return (at, end) if body[at : at + 1] == b"[" else None


def _members(body: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield key (with its quotes), start and end of each value of the object at `at`."""
    at = _skip_space(body, at + 1)
    while body[at : at + 1] != b"}":
        end = _end(body, at)
        key, at = body[at:end], _skip_space(body, end)
        _expect(body, at, b":")
        at = _skip_space(body, at + 1)
        end = _end(body, at)
        yield key, at, end
        at = _next(body, end, b"}")


def _items(body: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each item of the array at `at`."""
    at = _skip_space(body, at + 1)
    while body[at : at + 1] != b"]":
        end = _end(body, at)
        yield at, end
        at = _next(body, end, b"]")


def _next(body: bytes, end: int, closing: bytes) -> int:
    """Return where the next item, or the closing bracket, is."""
    at = _skip_space(body, end)
    if body[at : at + 1] == closing:
        return at
    _expect(body, at, b",")
    return _skip_space(body, at + 1)


def _end(body: bytes, at: int) -> int:
    """Return where the value at `at` ends."""
    if body[at : at + 1] not in (b"{", b"[", b'"'):
        scalar = _SCALAR.match(body, at)
        if scalar is None:
            raise CutShortError("a value is missing")
        return scalar.end()
    depth = 0
    for token in _TOKEN.finditer(body, at):
        first = token[0][:1]
        if first != b'"':
            depth += 1 if first in b"{[" else -1
        if depth == 0:
            return token.end()
    raise CutShortError("the text ends inside a value")


def _expect(body: bytes, at: int, what: bytes) -> None:
    if body[at : at + 1] != what:
        raise CutShortError(f"{what.decode()} is missing")


def _skip_space(body: bytes, at: int) -> int:
    space = _SPACE.match(body, at)
    return space.end() if space is not None else at
