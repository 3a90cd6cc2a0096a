"""How an event is shown field by field: each value by its path, as a text."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from ocelog.app.search.summaries import at_path

_LONGEST = 20_000
"""Characters of one value that are shown."""
OWN = "p_"
"""What the fields that Ocelog adds have in common."""
_STEP = re.compile(r"\[[^\]]*\]|[^.\[]+")
_MOST_PARTS = 10
"""Texts of a list that a row shows with links; the event has all of them."""
_MOST_ITEMS, _DEEPEST = 50, 12
"""Of objects in a list, and of levels: the rest is shown as JSON."""


def leaves(value: Mapping[str, Any]) -> dict[str, str]:
    """Return every value of a row that is not null by its path, such as `entitySnapshot.name` or `projects[0].id`."""
    return {path: written(each) for path, each in _leaves(value)}


def instants(value: Mapping[str, Any]) -> dict[str, datetime]:
    """Return those of the values that are instants."""
    return {path: each for path, each in _leaves(value) if isinstance(each, datetime)}


def _leaves(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    def walk(path: str, each: Any, depth: int) -> Iterator[tuple[str, Any]]:
        each = _unfolded(each)
        if each is None or each in ([], {}):
            return
        if depth > _DEEPEST:
            yield path, each
        elif isinstance(each, Mapping):
            for name, inner in each.items():
                yield from walk(f"{path}.{name}", inner, depth + 1)
        elif isinstance(each, list) and any(isinstance(one, Mapping) for one in each):
            for at, inner in enumerate(each[:_MOST_ITEMS]):
                yield from walk(f"{path}[{at}]", inner, depth + 1)
            if len(each) > _MOST_ITEMS:
                yield f"{path}[{_MOST_ITEMS}...]", each[_MOST_ITEMS:]
        else:
            yield path, each

    for name, each in value.items():
        yield from walk(name, each, 1)


class Group(Struct, frozen=True, kw_only=True):
    """Fields that are part of one thing, and what of it is made of parts again."""

    path: str
    """What all of their paths begin with; empty: the record itself. OWN: what Ocelog adds."""
    fields: Mapping[str, str]
    """By the whole path."""
    inner: "Sequence[Group]" = ()

    @property
    def mark(self) -> str:
        """What it is called in every event: without its place in a list."""
        return re.sub(r"\[[^\]]*\]", "[]", self.path)


def grouped(values: Mapping[str, str]) -> list[Group]:
    """Return fields by what they are part of: first those of the record itself, last those that Ocelog adds.

    An object with a single field gets no group.
    """
    own = {path: value for path, value in values.items() if path.startswith(OWN)}
    whole = _group("", {path: value for path, value in values.items() if path not in own})
    first = [Group(path="", fields=whole.fields)] if whole.fields else []
    return [*first, *whole.inner, *([Group(path=OWN, fields=own)] if own else [])]


def _group(path: str, values: Mapping[str, str]) -> Group:
    below: dict[str, dict[str, str]] = {}
    for each, value in values.items():
        # The part of `path` in which the field lies.
        step = _STEP.search(each, len(path))
        below.setdefault(each if step is None else each[: step.end()], {})[each] = value
    single = {each: inner for each, inner in below.items() if len(inner) == 1}
    fields = {each: value for inner in single.values() for each, value in inner.items()}
    nested = [_group(each, inner) for each, inner in below.items() if each not in single]
    # Of a group with nothing but another group in it, that other one is shown.
    inner = tuple(each.inner[0] if not each.fields and len(each.inner) == 1 else each for each in nested)
    return Group(path=path, fields=fields, inner=inner)


def _unfolded(value: Any) -> Any:
    """Return what is in a field that holds JSON; anything else as it is."""
    if not isinstance(value, str) or len(value) > _LONGEST or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def raw(value: Mapping[str, Any]) -> str:
    """Return a row as JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=written)


def page_of(value: Mapping[str, Any], field: str | None) -> str | None:
    """Return the address of the record's page at the source, if it is one that a browser may be sent to."""
    found = None if field is None else at_path(value, field)
    return found if isinstance(found, str) and found.startswith("https://") else None


def parts(value: Any) -> list[str] | None:
    """Return what one can search for of a value: the first texts of a list, else itself; None: nothing."""
    if isinstance(value, list):
        return value[:_MOST_PARTS] if all(isinstance(each, str) for each in value) else None
    if isinstance(value, Mapping):
        return None
    return [] if value is None or value == "" else [written(value)]


def written(value: Any) -> str:
    """Return a value as it is shown: a text as it is, what JSON has as it is there, everything else as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)[:_LONGEST]
    if not isinstance(value, (bool, int, float, list, dict)):
        # Such as a day, a length of time or an exact number, of which an answer in SQL may consist.
        return str(value)[:_LONGEST]
    return json.dumps(value, ensure_ascii=False, default=written)[:_LONGEST]
