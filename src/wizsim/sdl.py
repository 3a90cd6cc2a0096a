"""Which types, fields and arguments the API has, and what stands for a value that a record does not carry."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLType,
    build_schema,
    is_abstract_type,
)

ZEROES: dict[str, Any] = {
    "Int": 0,
    "Float": 0.0,
    "Boolean": False,
    "String": "",
    "ID": "",
    "DateTime": "1970-01-01T00:00:00Z",
}


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the API's schema, parsed once."""
    return build_schema(files("wizsim").joinpath("schema.graphql").read_text(encoding="utf-8"), assume_valid=True)


@lru_cache(maxsize=1024)
def default(type_: GraphQLType) -> Any:
    """Return what a field of `type_` holds where a record says nothing: null if it may, else the emptiest value."""
    if not isinstance(type_, GraphQLNonNull):
        return None
    inner = type_.of_type
    if isinstance(inner, GraphQLList):
        return []
    if isinstance(inner, GraphQLEnumType):
        return "UNKNOWN" if "UNKNOWN" in inner.values else next(iter(inner.values))
    return ZEROES.get(inner.name, {})


def concrete(type_: GraphQLNamedType) -> tuple[GraphQLObjectType, ...]:
    """Return the object types that a value of `type_` can have."""
    if isinstance(type_, GraphQLObjectType):
        return (type_,)
    return tuple(schema().get_possible_types(type_)) if is_abstract_type(type_) else ()


def object_type(name: str) -> GraphQLObjectType:
    """Return the object type called `name`, which must exist."""
    found = schema().type_map[name]
    if not isinstance(found, GraphQLObjectType):
        raise TypeError(f"{name} is not an object type")
    return found
