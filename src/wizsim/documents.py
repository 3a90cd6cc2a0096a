"""What was sent as a document: parsed and held against the schema once, its operations, and their variables' values."""

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
    Node,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    parse,
    validate,
    visit,
)
from graphql import (
    Visitor as DocumentVisitor,
)
from graphql.execution.values import VariableValues, get_variable_values

from wizsim.record_types import ROOT_TYPES
from wizsim.refusals import Refusal, invalid
from wizsim.sdl import schema

Json = dict[str, Any]

LONGEST_DOCUMENT = 200_000
_NO_OPERATION = "Must provide an operation."


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
        raise invalid(*(re.sub(r"'([^']*)'", r'"\1"', wrong.message) for wrong in wrongs))
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


def types_asked(text: str) -> frozenset[str]:
    """Return which types of records a document is about, none where it does not hold."""
    try:
        used = read_document(text).fields_used
    except Refusal:
        return frozenset()
    return frozenset(type_ for root, type_ in ROOT_TYPES.items() if f"Query.{root}" in used)


def operation_of(document: Document, name: str | None) -> OperationDefinitionNode:
    """Return the operation that a request names. Raises Refusal."""
    if not name and len(document.operations) == 1:
        return next(iter(document.operations.values()))
    found = document.operations.get(name or "")
    if found is None:
        several = "Must provide operation name if query contains multiple operations."
        said = f'Unknown operation named "{name}".' if name else several if document.operations else _NO_OPERATION
        raise Refusal(said, code="OPERATION_RESOLUTION_FAILURE", status=400)
    return found


def coerce(operation: OperationDefinitionNode, variables: Json) -> VariableValues:
    """Return the values of an operation's variables. Raises Refusal."""
    values = get_variable_values(schema(), operation.variable_definitions or (), variables, hide_suggestions=True)
    if isinstance(values, VariableValues):
        return values
    message = re.sub(r"'([^']*)'", r'"\1"', values[0].message)
    raise Refusal(message, code="VALIDATION_INVALID_TYPE_VARIABLE", status=400)


class _Used(DocumentVisitor):
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
