"""What a document asks for: parsed and held against the schema once, compiled once for each way it is used."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    Node,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    validate,
    visit,
)
from graphql.execution.values import VariableValues, get_variable_values

from wizsim.refusals import Refusal, invalid
from wizsim.sdl import schema
from wizsim.selection import Compiler, Show, Use

Json = dict[str, Any]

LONGEST_DOCUMENT = 200_000
ROOT_TYPES = {
    "auditLogEntries": "audit",
    "auditLogEntry": "audit",
    "issues": "issues",
    "issuesV2": "issues",
    "issue": "issues",
    "vulnerabilityFindings": "findings",
    "vulnerabilityFinding": "findings",
}
CONNECTIONS = frozenset({"auditLogEntries", "issues", "issuesV2", "vulnerabilityFindings"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RootField:
    """One root field of an operation, ready to be answered."""

    key: str
    """Its name in the answer."""
    name: str
    type: str
    """audit, issues or findings."""
    node: FieldNode
    """Where its arguments are."""
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
    typenames: tuple[str, ...]
    introspects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that holds against the schema."""

    ast: DocumentNode
    operations: Mapping[str, OperationDefinitionNode]
    fragments: Mapping[str, FragmentDefinitionNode]
    flag_names: frozenset[str]
    fields_used: Mapping[str, str]
    """`Type.field`, by the types that the document names them on, -> `field`."""
    types_named: frozenset[str]


@lru_cache(maxsize=256)
def read_document(text: str) -> Document:
    """Parse and validate `text`. Raises Refusal."""
    if len(text) > LONGEST_DOCUMENT:
        raise Refusal("the document is too long", code="GRAPHQL_PARSE_FAILED", status=400)
    try:
        ast = parse(text, no_location=False, max_tokens=50_000)
        wrongs = validate(schema(), ast, hide_suggestions=True)
    except GraphQLError as wrong:
        raise Refusal(wrong.message, code="GRAPHQL_PARSE_FAILED", status=400) from wrong
    except RecursionError as wrong:
        raise Refusal("the document is nested too deeply", code="GRAPHQL_PARSE_FAILED", status=400) from wrong
    if wrongs:
        raise invalid(re.sub(r"'([^']*)'", r'"\1"', wrongs[0].message))
    operations = [d for d in ast.definitions if isinstance(d, OperationDefinitionNode)]
    fragments = [d for d in ast.definitions if isinstance(d, FragmentDefinitionNode)]
    used = _Used(TypeInfo(schema()))
    visit(ast, TypeInfoVisitor(used.info, used))
    return Document(
        ast=ast,
        operations={o.name.value if o.name else "": o for o in operations},
        fragments={f.name.value: f for f in fragments},
        flag_names=frozenset(used.flags),
        fields_used=used.fields,
        types_named=frozenset(used.types),
    )


def operation_of(document: Document, name: str | None) -> OperationDefinitionNode:
    """Return the operation that a request names. Raises Refusal."""
    if not name and len(document.operations) == 1:
        return next(iter(document.operations.values()))
    found = document.operations.get(name or "")
    if found is None:
        raise Refusal(f'Unknown operation named "{name}".', code="OPERATION_RESOLUTION_FAILURE", status=400)
    return found


def coerce(operation: OperationDefinitionNode, variables: Json) -> VariableValues:
    """Return the values of an operation's variables. Raises Refusal."""
    values = get_variable_values(schema(), operation.variable_definitions or (), variables, hide_suggestions=True)
    if isinstance(values, VariableValues):
        return values
    message = re.sub(r"'([^']*)'", r'"\1"', values[0].message)
    raise Refusal(message, code="VALIDATION_INVALID_TYPE_VARIABLE", status=400)


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
        typenames=tuple(key for key, name_ in names.items() if name_ == "__typename"),
        introspects=any(name_ in {"__schema", "__type"} for name_ in names.values()),
    )


def _root(compiler: Compiler, query: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> RootField:
    name = nodes[0].name.value
    type_ = query.fields[name].type
    compiler.uses.clear()
    render = compiler.show(type_, nodes, (key,))
    uses = tuple(compiler.uses.values())
    named = get_named_type(type_)
    if name not in CONNECTIONS or not isinstance(named, GraphQLObjectType):
        return _field(key, name, nodes, render, render, frozenset(), (), uses)
    inside = compiler.fields(named, [n.selection_set for n in nodes if n.selection_set])
    wanted = frozenset(n[0].name.value for n in inside.values())
    show, path = _records(compiler, named, inside)
    return _field(key, name, nodes, render, show, wanted, (key, *path) if path else (), uses)


def _field(  # noqa: PLR0913, PLR0917 - one place that fills the value in
    key: str,
    name: str,
    nodes: list[FieldNode],
    render: Show,
    show: Show,
    wanted: frozenset[str],
    path: tuple[str, ...],
    uses: tuple[Use, ...],
) -> RootField:
    return RootField(
        key=key,
        name=name,
        type=ROOT_TYPES[name],
        node=nodes[0],
        render=render,
        show=show,
        wanted=wanted,
        records_path=path,
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
                raise TypeError(f"{edge} is no object type")
            deeper = compiler.fields(edge, [n.selection_set for n in nodes if n.selection_set])
            for inner, inner_nodes in deeper.items():
                if inner_nodes[0].name.value == "node":
                    record = get_named_type(edge.fields["node"].type)
                    return compiler.show(record, inner_nodes, (key, "@", inner)), (key, "@", inner)
    return (lambda _record: {}), ()


class _Used(Visitor):
    """Notes the fields, types and directive variables that a document names."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self.info = info
        self.fields: dict[str, str] = {}
        self.types: set[str] = set()
        self.flags: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent = self.info.get_parent_type()
        if parent is not None:
            self.fields[f"{parent.name}.{node.name.value}"] = node.name.value

    def enter_named_type(self, node: Any, *_: Any) -> None:
        self.types.add(node.name.value)

    def enter_directive(self, node: Any, *_: Any) -> None:
        self.flags.update(_variables(node))


def _variables(directive: Any) -> Iterator[str]:
    for argument in directive.arguments or ():
        value: Node = argument.value
        if isinstance(value, VariableNode):
            yield value.name.value
