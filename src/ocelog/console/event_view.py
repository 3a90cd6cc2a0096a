"""How an event is shown field by field: each value by its path, as a text."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_LONGEST = 20_000
"""Characters of one value that are shown."""


def leaves(value: Mapping[str, Any]) -> dict[str, str]:
    """Return every value of a row that is not null by its path, such as `entitySnapshot.name`."""
    found = dict[str, str]()

    def add(path: str, each: Any) -> None:
        if each is None or each in ([], {}):
            return
        if isinstance(each, Mapping):
            for name, inner in each.items():
                add(f"{path}.{name}" if path else str(name), inner)
        else:
            found[path] = written(each)

    add("", {**value, "p_extra": _unfolded(value.get("p_extra"))})
    return found


def _unfolded(text: Any) -> Any:
    """Return the fields that no schema knows, which are kept as JSON."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def raw(value: Mapping[str, Any]) -> str:
    """Return a row as JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=written)


def at_path(value: Any, path: str) -> Any:
    """Return what stands at a path of a row."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def page_of(value: Mapping[str, Any], field: str | None) -> str | None:
    """Return the address of the record's page at the source, if it is one that a browser may be sent to."""
    found = None if field is None else at_path(value, field)
    return found if isinstance(found, str) and found.startswith("https://") else None


def parts(value: Any) -> list[str] | None:
    """Return what one can search for of a value: each text of a list, else itself; None: nothing."""
    if isinstance(value, list):
        return [each[:_LONGEST] for each in value] if all(isinstance(each, str) for each in value) else None
    if isinstance(value, Mapping):
        return None
    return [] if value is None or value == "" else [written(value)]


def written(value: Any) -> str:
    """Return a value as it is shown: a text as it is, everything else as JSON has it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)[:_LONGEST]
    return json.dumps(value, ensure_ascii=False, default=written)[:_LONGEST]
