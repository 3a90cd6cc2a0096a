"""What counts as a change of a record, by each algorithm of the hash that a release had."""

import json
from collections.abc import Iterator
from typing import Any

from ocelog.schema.language.fields import Array, LogSchema, Object, Type
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.sources.wiz.streams import KINDS
from shaping.golden import FOLDER

RELEASED = FOLDER / "released_versions.jsonl"


def released() -> list[dict[str, Any]]:
    """Return what was noted: log type, number of the algorithm, and the paths that count."""
    return [json.loads(line) for line in RELEASED.read_text(encoding="utf-8").splitlines()]


def counted() -> list[dict[str, Any]]:
    """Return the same as the code has it now."""
    found = list[dict[str, Any]]()
    for log_type, schema in packaged_schemas().items():
        kind = KINDS[log_type]
        for algorithm in range(1, len(kind.later_fields) + 2):
            left_out = kind.uncounted.union(*kind.later_fields[algorithm - 1 :])
            paths = [path for path in _paths(schema, kind.version_fields) if not _within(path, left_out)]
            found.append({"log_type": log_type, "algorithm": algorithm, "counted": sorted(paths)})
    return found


def fields() -> list[dict[str, Any]]:
    """Return log type, version and the paths of all fields of each schema as it is now."""
    return [
        {
            "log_type": log_type,
            "version": schema.version,
            "fields": sorted(path for field in schema.fields for path in _inside(field.name, field.type)),
        }
        for log_type, schema in packaged_schemas().items()
    ]


def note_new() -> None:
    """Note the algorithms and schemas that are new. What was noted stays: rows of that release bear their numbers."""
    noted = {_name(each) for each in released()}
    with RELEASED.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in (*counted(), *fields()) if _name(each) not in noted)


def _name(noted: dict[str, Any]) -> tuple[str, int | None, int | None]:
    return noted["log_type"], noted.get("algorithm"), noted.get("version")


def _within(path: str, left_out: frozenset[str]) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in left_out)


def _paths(schema: LogSchema, names: tuple[str, ...] | None) -> Iterator[str]:
    for field in schema.fields:
        if field.name in (names if names is not None else ("id",)):
            yield from _inside(field.name, field.type)


def _inside(path: str, type_: Type) -> Iterator[str]:
    yield path
    inner = type_.element if isinstance(type_, Array) else type_
    if isinstance(inner, Object):
        for field in inner.fields:
            yield from _inside(f"{path}.{field.name}", field.type)
