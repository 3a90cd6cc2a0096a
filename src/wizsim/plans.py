"""What an operation asks for: compiled once for each way it is used, to plain functions that show records."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import FieldNode, GraphQLObjectType, OperationDefinitionNode, get_named_type

from wizsim.documents import operation_of, read_document
from wizsim.record_types import ROOT_TYPES
from wizsim.sdl import schema
from wizsim.selection import Compiler, Show, Use

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootField:
    """One root field of an operation, ready to be answered."""

    key: str
    """Its name in the answer."""
    name: str
    type: str
    """One of RECORD_TYPES."""
    node: FieldNode
    """Where its arguments are."""
    paged: bool
    """A list that has pages, rather than one record."""
    render: Show
    """Shows the connection, or the one record."""
    show: Show
    """Shows one record of the connection."""
    wanted: frozenset[str]
    """Fields of the connection that are asked for."""
    records_path: tuple[str, ...]
    """Where its list of records is in the answer, such as (issuesV2, nodes, @); empty where none is asked for."""
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One operation of a document."""

    operation: OperationDefinitionNode
    fields: tuple[RootField, ...]
    keys: tuple[str, ...]
    """What the answer's data holds, in the order in which it is asked for."""
    typenames: tuple[str, ...]
    introspection: tuple[FieldNode, ...]
    """What is asked of the schema itself."""


@lru_cache(maxsize=512)
def plan_of(
    text: str,
    name: str | None = None,
    flags: tuple[tuple[str, bool], ...] = (),
    nulled: frozenset[str] = frozenset(),
) -> Plan:
    """Compile an operation. `flags` are the variables that its directives name; `nulled` is shown as null."""
    document = read_document(text)
    operation = operation_of(document, name)
    compiler = Compiler(fragments=document.fragments, flags=dict(flags), nulled=nulled)
    query = schema().query_type
    if query is None:
        raise TypeError("the schema has no query type")
    collected = compiler.fields(query, [operation.selection_set])
    names = {key: nodes[0].name.value for key, nodes in collected.items()}
    return Plan(
        operation=operation,
        fields=tuple(
            _root(compiler, query, key, collected[key]) for key, name_ in names.items() if name_ in ROOT_TYPES
        ),
        keys=tuple(names),
        typenames=tuple(key for key, name_ in names.items() if name_ == "__typename"),
        introspection=tuple(
            node for key, name_ in names.items() if name_ in {"__schema", "__type"} for node in collected[key]
        ),
    )


def _root(compiler: Compiler, query: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> RootField:
    name = nodes[0].name.value
    type_ = query.fields[name].type
    compiler.uses.clear()
    render = compiler.show(type_, nodes, (key,))
    uses = tuple(compiler.uses.values())
    named = get_named_type(type_)
    if not isinstance(named, GraphQLObjectType) or "pageInfo" not in named.fields:
        return RootField(
            key=key,
            name=name,
            type=ROOT_TYPES[name],
            node=nodes[0],
            paged=False,
            render=render,
            show=render,
            wanted=frozenset(),
            records_path=(),
            uses=uses,
        )
    inside = compiler.fields(named, [n.selection_set for n in nodes if n.selection_set])
    wanted = frozenset(n[0].name.value for n in inside.values())
    show, path = _records(compiler, named, inside)
    return RootField(
        key=key,
        name=name,
        type=ROOT_TYPES[name],
        node=nodes[0],
        paged=True,
        render=render,
        show=show,
        wanted=wanted,
        records_path=(key, *path) if path else (),
        uses=uses,
    )


def _records(
    compiler: Compiler, connection: GraphQLObjectType, inside: Mapping[str, list[FieldNode]]
) -> tuple[Show, tuple[str, ...]]:
    for key, nodes in inside.items():
        name = nodes[0].name.value
        if name == "nodes":
            return compiler.show(get_named_type(connection.fields["nodes"].type), nodes, (key, "@")), (key, "@")
        if name == "edges":
            edge = get_named_type(connection.fields["edges"].type)
            if not isinstance(edge, GraphQLObjectType):
                raise TypeError(f"{edge} is not an object type")
            deeper = compiler.fields(edge, [n.selection_set for n in nodes if n.selection_set])
            for inner, inner_nodes in deeper.items():
                if inner_nodes[0].name.value == "node":
                    record = get_named_type(edge.fields["node"].type)
                    return compiler.show(record, inner_nodes, (key, "@", inner)), (key, "@", inner)
    return (lambda _record: {}), ()
