"""What the API says of its own schema."""

from typing import Any

from graphql import FieldNode, OperationDefinitionNode, OperationType, SelectionSetNode, execute_sync

from wizsim.plans import read_document
from wizsim.sdl import schema

Json = dict[str, Any]


def introspect(text: str, variables: Json, operation: OperationDefinitionNode) -> Json:
    """Return the data of the fields `__schema` and `__type` of an operation."""
    asked = [
        node
        for node in operation.selection_set.selections
        if isinstance(node, FieldNode) and node.name.value in {"__schema", "__type"}
    ]
    document = read_document(text).ast
    alone = OperationDefinitionNode(
        operation=OperationType.QUERY,
        variable_definitions=operation.variable_definitions,
        directives=(),
        selection_set=SelectionSetNode(selections=tuple(asked)),
    )
    kept = tuple(d for d in document.definitions if not isinstance(d, OperationDefinitionNode))
    result = execute_sync(schema(), type(document)(definitions=(alone, *kept)), variable_values=variables)
    return getattr(result, "data", None) or {}
