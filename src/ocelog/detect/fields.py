"""Which fields an event of a log type has, as its log schema says."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from ocelog.schema.columns.indicators import ANY_COLUMNS
from ocelog.schema.columns.table import arrow_schema
from ocelog.schema.language.fields import Array, Field, Json, LogSchema, Object, Type
from ocelog.suggest import suggest

Steps: TypeAlias = Sequence[str | None]
"""The names on the way into an event; None is the step from a list to its elements."""
_ADDED = ("p_enrichment", "p_udm")
"""What events have beside their columns."""


class MissingField(Struct, frozen=True, kw_only=True):
    """A field that no event has."""

    path: str
    """With what leads to it."""
    why: str

    def __str__(self) -> str:
        return f"there is no field {self.path!r}{self.why}"


def event_type(schema: LogSchema) -> Object:
    """Return an event of a log type as an object, its standard fields among the others; what these hold is open."""
    standard = [name for name in arrow_schema(schema).names if name.startswith("p_")]
    names = dict.fromkeys((*standard, *ANY_COLUMNS, *_ADDED))
    return Object(fields=(*schema.fields, *(Field(name=name, type=Json()) for name in names)))


def follow(type_: Type, steps: Steps, *, crosses_lists: bool = False) -> Type | MissingField | None:
    """Return what lies at `steps` below `type_`; None: that is open.

    `crosses_lists`: a name is looked for in the elements of a list, too.
    """
    here: Type = type_
    text = ""
    for step in steps:
        if isinstance(here, Json):
            return None
        while crosses_lists and step is not None and isinstance(here, Array):
            here, text = here.element, f"{text}[]"
        if isinstance(here, Json):
            return None
        if step is None:
            if not isinstance(here, Array):
                # Each value of an object, or an element of what is no list: neither has a name that can be wrong.
                return None
            here, text = here.element, f"{text}[]"
            continue
        path = f"{text}.{step}" if text else step
        if isinstance(here, Array):
            return MissingField(path=path, why=f": {text!r} is a list; use [*] or deep_walk() to reach its elements")
        if not isinstance(here, Object):
            return MissingField(path=path, why=f": {text!r} has no fields below it")
        found = next((one for one in here.fields if one.name.casefold() == step.casefold()), None)
        if found is None:
            return MissingField(path=path, why=suggest(step, [one.name for one in here.fields]))
        here, text = found.type, f"{text}.{found.name}" if text else found.name
    return here
