"""What counts as a change of a record, by each algorithm of the hash that a release had."""

import json
from collections.abc import Iterator
from typing import Any

from ocelog.app.log_types import kinds
from ocelog.schema.language.fields import Array, LogSchema, Object, Type
from ocelog.schema.language.packaged import packaged_schemas
from shaping.golden import FOLDER

RELEASED = FOLDER / "released_versions.jsonl"


def released(log_type: str) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return what was noted of `log_type`: the paths that count by algorithm, and the fields by schema version."""
    noted = [each for each in _noted() if each["log_type"] == log_type]
    counted = {each["algorithm"]: each["counted"] for each in noted if "algorithm" in each}
    return counted, {each["version"]: each["fields"] for each in noted if "version" in each}


def counted(log_type: str) -> dict[int, list[str]]:
    """Return the paths that count by each algorithm as the code has them now."""
    schema, kind = packaged_schemas()[log_type], kinds()[log_type]
    found = dict[int, list[str]]()
    for algorithm in range(1, len(kind.later_fields) + 2):
        left_out = kind.uncounted.union(*kind.later_fields[algorithm - 1 :])
        paths = [path for path in _paths(schema, kind.version_fields) if not _within(path, left_out)]
        found[algorithm] = sorted(paths)
    return found


def fields(log_type: str) -> dict[int, list[str]]:
    """Return the paths of all fields of the schema as it is now, by its version."""
    schema = packaged_schemas()[log_type]
    return {schema.version: sorted(path for field in schema.fields for path in _inside(field.name, field.type))}


def note_new() -> None:
    """Note the algorithms and schemas that are new. What was noted stays: rows of that release bear their numbers."""
    now = list[dict[str, Any]]()
    for log_type in packaged_schemas():
        now += [{"log_type": log_type, "algorithm": n, "counted": paths} for n, paths in counted(log_type).items()]
        now += [{"log_type": log_type, "version": n, "fields": paths} for n, paths in fields(log_type).items()]
    noted = {_name(each) for each in _noted()}
    with RELEASED.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in now if _name(each) not in noted)


def _noted() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RELEASED.read_text(encoding="utf-8").splitlines()]


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
