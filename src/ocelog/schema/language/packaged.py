"""Which log types Ocelog knows by itself: the schemas inside the package."""

from functools import cache
from importlib.resources import files

from ocelog.schema.language.fields import LogSchema
from ocelog.schema.language.parse import parse_schema

_FOLDERS = ("wiz",)


@cache
def packaged_schemas() -> dict[str, LogSchema]:
    """Return every schema of the package by log type."""
    found: dict[str, LogSchema] = {}
    for folder in _FOLDERS:
        place = files("ocelog.content") / "schemas" / folder
        for file in sorted(place.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".yml"):
                schema = parse_schema(file.read_text(encoding="utf-8"), f"{folder}/{file.name}")
                found[schema.log_type] = schema
    return found
