"""Which fields of which records are unknown when a page comes with errors beside it."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ocelog.sources.wiz.envelope import GraphError
from ocelog.sources.wiz.streams import Root

EVERY = "@"
"""Stands in an error's path for every position of a list."""


def failed_fields(
    records: bytes | list[bytes], errors: Sequence[GraphError], root: Root
) -> dict[int, frozenset[str]] | None:
    """Return position -> dotted paths that `errors` left null there; None if the page cannot be used.

    GraphQL puts null where a field failed or, if that may not be null, in its nearest parent that may. So what failed
    is the first null on an error's way through a record. An error that leads to no null, to a whole record, or to a
    field by which records are placed and told apart, makes the page unusable.
    """
    decoded = _decode(records)
    if decoded is None:
        return None
    found: dict[int, set[str]] = {}
    for path in {error.path for error in errors}:
        hits = list(_nulls(decoded, path, root))
        if not hits or any(not trail or trail[0] in root.essential for _, trail in hits):
            return None
        for at, trail in hits:
            found.setdefault(at, set()).add(_kept_whole(trail, root))
    return {at: frozenset(paths) for at, paths in found.items()}


def _kept_whole(trail: tuple[str, ...], root: Root) -> str:
    """Return the dotted path of `trail`, no deeper than the first value that is kept as its text."""
    paths = [".".join(trail[:depth]) for depth in range(1, len(trail) + 1)]
    return next((path for path in paths if path in root.kept_whole), paths[-1])


def _decode(records: bytes | list[bytes]) -> list[Any] | None:
    """Return the records as Python values; None if one of them, or all together, are no JSON."""
    try:
        if isinstance(records, bytes):
            return list(msgspec.json.decode(records, type=list[Any]))
        return [msgspec.json.decode(record) for record in records]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _nulls(records: list[Any], path: tuple[str | int, ...], root: Root) -> Iterator[tuple[int, tuple[str, ...]]]:
    if len(path) < 4 or path[0] != root.root or path[1] != "nodes":
        return
    where, way = path[2], path[3:]
    positions = range(len(records)) if where == EVERY else (where,)
    for at in positions:
        if isinstance(at, int) and 0 <= at < len(records):
            for trail in _first_nulls(records[at], way, ()):
                yield at, trail


def _first_nulls(value: Any, way: tuple[str | int, ...], trail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each first null that `way` leads to from `value`; several where it goes through a list."""
    if value is None:
        yield trail
    elif not way:
        return
    elif isinstance(value, list):
        yield from _through_list(value, way, trail)
    elif isinstance(value, dict) and isinstance(way[0], str) and way[0] in value:
        yield from _first_nulls(value[way[0]], way[1:], (*trail, way[0]))


def _through_list(items: list[Any], way: tuple[str | int, ...], trail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    where = way[0]
    if where == EVERY:
        for item in items:
            yield from _first_nulls(item, way[1:], trail)
    elif isinstance(where, int) and 0 <= where < len(items):
        yield from _first_nulls(items[where], way[1:], trail)
