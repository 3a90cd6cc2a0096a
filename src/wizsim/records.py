"""Whether a record that a test wants shown is one that the schema can show; odd values are a fault's business."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    is_leaf_type,
)

from wizsim.instants import parse
from wizsim.nearest import did_you_mean, shown
from wizsim.record_types import RECORD_TYPES
from wizsim.sdl import concrete, object_type

Json = dict[str, Any]

PYTHON: Mapping[str, tuple[type, ...]] = {
    "Int": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
    "String": (str,),
    "ID": (str,),
    "DateTime": (str,),
}
"""What JSON holds for a scalar; anything for the others."""


class UnfitError(ValueError):
    """A field does not fit; the text names its path."""


def fitting(type_: str, given: Json) -> Json:
    """Return `given`, fields of a record of `type_`. Raises UnfitError, which names the path of what does not fit."""
    _object((object_type(RECORD_TYPES[type_].graphql),), given, "record")
    return given


def _value(type_: GraphQLOutputType, value: Any, path: str) -> None:
    if isinstance(type_, GraphQLNonNull):
        if value is None:
            raise UnfitError(f"{path} may not be null")
        type_ = type_.of_type
    if value is None:
        return
    if isinstance(type_, GraphQLList):
        if not isinstance(value, list):
            raise UnfitError(f"{path} is a list, not {shown(value)}")
        for at, each in enumerate(value):
            _value(type_.of_type, each, f"{path}[{at}]")
    elif is_leaf_type(type_):
        _leaf(type_, value, path)
    else:
        _object(concrete(get_named_type(type_)), value, path)


def _leaf(type_: Any, value: Any, path: str) -> None:
    if isinstance(type_, GraphQLEnumType):
        if not isinstance(value, str) or value not in type_.values:
            raise UnfitError(f"{path} is a {type_.name}, not {shown(value)}{did_you_mean(value, type_.values)}")
        return
    fits = PYTHON.get(type_.name)
    if fits is not None and (not isinstance(value, fits) or (isinstance(value, bool) and bool not in fits)):
        raise UnfitError(f"{path} is a {type_.name}, not {shown(value)}")
    if type_.name == "DateTime":
        try:
            parse(value)
        except ValueError as wrong:
            raise UnfitError(f"{path} is an RFC 3339 instant, not {shown(value)}") from wrong


def _object(members: tuple[GraphQLObjectType, ...], value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise UnfitError(f"{path} is an object, not {shown(value)}")
    by_name = {member.name: member for member in members}
    name = value.get("__typename", members[0].name)
    if not isinstance(name, str) or name not in by_name:
        raise UnfitError(f"{path}.__typename is not {shown(name)}{did_you_mean(name, by_name)}")
    fields = by_name[name].fields
    for key, inner in value.items():
        if key == "__typename":
            continue
        if key not in fields:
            raise UnfitError(f"{path}: {name} has no field {shown(key)}{did_you_mean(key, fields)}")
        _value(fields[key].type, inner, f"{path}.{key}")
