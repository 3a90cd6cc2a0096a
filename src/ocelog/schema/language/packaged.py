"""Which log types Ocelog knows by itself: the schemas inside the package."""

from functools import cache
from importlib.resources import files

from ocelog.schema.language.fields import LogSchema
from ocelog.schema.language.parse import parse_schema


@cache
def packaged_schemas() -> dict[str, LogSchema]:
    """Return every schema of the package by log type."""
    found: dict[str, LogSchema] = {}
    folders = (files("ocelog.content") / "schemas").iterdir()
    for folder in sorted((each for each in folders if each.is_dir()), key=lambda each: each.name):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".yml"):
                schema = parse_schema(file.read_text(encoding="utf-8"), f"{folder.name}/{file.name}")
                found[schema.log_type] = schema
    return found
