"""What an event says in one line, and how to put it right: its log type's entry names the fields."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ocelog.app.log_types import kinds
from ocelog.model import Kind
from ocelog.schema.language.fields import LogSchema, Text
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.shorten import shorten
from ocelog.times import rfc3339

_BETWEEN = " · "
_FIELDS = 4
"""So many fields stand for an event whose log type does not say what sums it up."""
_LONGEST = 200
"""Characters of one field."""
_LONGEST_REMEDY = 20_000


def summary_paths(log_type: str) -> Sequence[tuple[str, ...]]:
    """Return which fields sum up an event: of each tuple of paths, the first that has a value."""
    return chosen_paths(kinds()[log_type], packaged_schemas()[log_type])


def chosen_paths(kind: Kind, schema: LogSchema) -> Sequence[tuple[str, ...]]:
    """Return what a log type's entry names, or else what a list shows of it, or else its first texts."""
    named = kind.summary or kind.columns
    if named:
        return [(each,) if isinstance(each, str) else each for each in named]
    texts = [field.name for field in schema.fields if isinstance(field.type, Text) and field.name != "id"]
    return [(each,) for each in texts[:_FIELDS]]


def summary_of(log_type: str, event: Mapping[str, Any]) -> str:
    """Return one line about an event; its record's id if none of its fields has a value."""
    found = (_first(event, paths) for paths in summary_paths(log_type))
    return _BETWEEN.join(filter(None, found)) or _written(event.get("id")) or str(event["p_row_id"])


def summary_columns(log_type: str, events: Sequence[Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """Return what sums up each of `events`, by the path where most of it stands; none if there is no such log type."""
    if log_type not in kinds():
        return {}
    found = dict[str, list[str | None]]()
    for paths in summary_paths(log_type):
        named = next((path for path in paths if any(_first(each, (path,)) for each in events)), None)
        if named is not None:
            found[named] = [_first(each, paths) or None for each in events]
    return found


def remedy_of(log_type: str, event: Mapping[str, Any]) -> str:
    """Return how to put right what an event is about, as its source words it, lines and all; empty: it does not say."""
    found = (at_path(event, path) for path in kinds()[log_type].remedy)
    return next((each.strip()[:_LONGEST_REMEDY] for each in found if isinstance(each, str) and each.strip()), "")


def _first(event: Mapping[str, Any], paths: Sequence[str]) -> str:
    return next(filter(None, (_written(at_path(event, path)) for path in paths)), "")


def at_path(value: Any, path: str) -> Any:
    """Return what stands at a path, also inside JSON that is kept as text; of a list, in its first element."""
    for name in path.split("."):
        inner = _json(value) if isinstance(value, str) else value
        inner = inner[0] if isinstance(inner, list) and inner else inner
        value = inner.get(name) if isinstance(inner, Mapping) else None
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _written(value: Any) -> str:
    """Return a value as words on one line; nothing for what cannot be read as such."""
    match value:
        case bool():
            text = str(value).lower()
        case str() | int() | float():
            text = str(value)
        case datetime():
            text = rfc3339(value)
        case list():
            return _written(", ".join(filter(None, map(_written, value))))
        case _:
            return ""
    line = " ".join(text.split())
    return shorten(line, _LONGEST)
