"""What the API says of its own schema."""

from typing import Any

from graphql import FieldNode, OperationDefinitionNode, OperationType, SelectionSetNode, execute_sync

from wizsim.documents import read_document
from wizsim.sdl import schema

Json = dict[str, Any]


def introspect(text: str, variables: Json, operation: OperationDefinitionNode, asked: tuple[FieldNode, ...]) -> Json:
    """Return the data of `asked`, the fields `__schema` and `__type` of an operation."""
    document = read_document(text).ast
    alone = OperationDefinitionNode(
        operation=OperationType.QUERY,
        variable_definitions=operation.variable_definitions,
        directives=(),
        selection_set=SelectionSetNode(selections=asked),
    )
    kept = tuple(d for d in document.definitions if not isinstance(d, OperationDefinitionNode))
    result = execute_sync(schema(), type(document)(definitions=(alone, *kept)), variable_values=variables)
    return getattr(result, "data", None) or {}
