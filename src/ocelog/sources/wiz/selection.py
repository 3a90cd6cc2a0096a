"""Which fields a request asks for, and what it looks like without those that the API refuses.

graphql-core is loaded only once something is refused: a tenant where nothing is never pays for it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from ocelog.errors import AccessRefusedError, ContractBrokenError
from ocelog.languages.phrases import Phrase
from ocelog.sources.wiz.envelope import GraphError
from ocelog.sources.wiz.streams import Root

if TYPE_CHECKING:
    from graphql import SelectionSetNode

_Q = "[\"']"
_UNKNOWN_FIELD = re.compile(rf"field {_Q}(\w+){_Q} on type {_Q}(\w+){_Q}", re.IGNORECASE)
_OTHER_SHAPE = re.compile(rf"field {_Q}(\w+){_Q} (?:of type .{{1,100}} )?must (?:not )?have a selection", re.IGNORECASE)
_FRAGMENT = re.compile(rf"can never be of type {_Q}(\w+){_Q}|unknown type {_Q}(\w+){_Q}", re.IGNORECASE)
_COUNTS = frozenset({"totalCount", "maxCountReached"})


class Selection(Struct, frozen=True, kw_only=True):
    """A query's text, and the dotted paths of record fields that it no longer asks for."""

    text: str
    refused: frozenset[str] = field(default_factory=frozenset)


class _QueryField(Struct, frozen=True, kw_only=True):
    """One field or fragment of a query, and where it stands."""

    node: Any
    """graphql-core's node: identity and place in the text."""
    name: str | None
    """As the API names the field; None is a fragment."""
    owner: str | None
    """The type whose field it is, if we know it; the fragment's own type."""
    path: tuple[str, ...]
    """As in an answer, from the query root on; a fragment has the path of what it is part of."""

    @property
    def place(self) -> tuple[int, int]:
        """Line and column in the query's text."""
        return self.node.loc.start_token.line, self.node.loc.start_token.column


def without(selection: Selection, errors: Sequence[GraphError], root: Root) -> Selection:
    """Return `selection` without what `errors` refuse.

    Raises AccessRefusedError when that is a field without which records cannot be read, and ContractBrokenError when
    an error is about nothing that was asked.
    """
    chosen, asked = _parse(selection.text, root)
    doomed = set[int]()
    for error in errors:
        for found in _refused_by(error, asked):
            _check_dispensable(found, error, root)
            doomed.add(id(found.node))
    if not doomed:
        raise ContractBrokenError(
            Phrase(
                "Wiz refused a field of %(title)s that was not asked for: %(message)s",
                title=root.title,
                message=errors[0].message,
            )
        )
    text = _cut(selection.text, chosen, doomed)
    missing = record_paths(root.document(), root) - record_paths(text, root)
    topmost = {path for path in missing if path.rpartition(".")[0] not in missing}
    return Selection(text=text, refused=frozenset(topmost))


def record_paths(text: str, root: Root) -> frozenset[str]:
    """Return the dotted path of every record field that the query `text` asks for."""
    _, asked = _parse(text, root)
    return frozenset(
        ".".join(found.path[2:]) for found in asked if found.path[1:2] == ("nodes",) and len(found.path) > 2
    )


def _parse(text: str, root: Root) -> tuple["SelectionSetNode", list[_QueryField]]:
    from graphql import OperationDefinitionNode, parse  # noqa: PLC0415 - 100 ms that most processes never need

    operation = parse(text).definitions[0]
    if not isinstance(operation, OperationDefinitionNode):
        raise TypeError("a query of ours opens with its operation")
    return operation.selection_set, list(_walk(operation.selection_set, "Query", (), root))


def _walk(chosen: "SelectionSetNode", owner: str | None, path: tuple[str, ...], root: Root) -> Iterator[_QueryField]:
    from graphql import FieldNode, InlineFragmentNode  # noqa: PLC0415 - see _parse

    for node in chosen.selections:
        if isinstance(node, FieldNode):
            inner = (*path, (node.alias or node.name).value)
            yield _QueryField(node=node, name=node.name.value, owner=owner, path=inner)
            if node.selection_set is not None:
                yield from _walk(node.selection_set, _type_at(inner, root), inner, root)
        elif isinstance(node, InlineFragmentNode) and node.type_condition is not None:
            member = node.type_condition.name.value
            yield _QueryField(node=node, name=None, owner=member, path=path)
            yield from _walk(node.selection_set, member, path, root)


def _type_at(path: tuple[str, ...], root: Root) -> str | None:
    if path[1:2] != ("nodes",):
        return None
    return root.types.get(".".join(path[2:])) if len(path) > 2 else root.record_type


def _refused_by(error: GraphError, asked: Sequence[_QueryField]) -> list[_QueryField]:
    """Return what `error` is about: by its place in the query, by its path in the answer, or by the names it gives."""
    fragment = _FRAGMENT.search(error.message)
    unknown = _UNKNOWN_FIELD.search(error.message)
    shape = _OTHER_SHAPE.search(error.message)
    if fragment is not None:
        member = fragment[1] or fragment[2]
        return [found for found in asked if found.name is None and found.owner == member]
    named = unknown or shape
    if named is None:
        steps = tuple(step for step in error.path if isinstance(step, str) and step != "@")
        return [found for found in asked if found.name is not None and found.path == steps]
    candidates = [found for found in asked if found.name == named[1]]
    placed = [found for found in candidates if found.place in error.locations]
    if placed or unknown is None:
        return placed or candidates
    return [found for found in candidates if found.owner == unknown[2]]


def _check_dispensable(found: _QueryField, error: GraphError, root: Root) -> None:
    inside = found.path[1:2] == ("nodes",) and len(found.path) > 2
    if not inside and found.name is not None and found.path[-1] not in _COUNTS:
        raise ContractBrokenError(
            Phrase(
                "Wiz's API does not accept Ocelog's request for %(title)s: %(message)s",
                title=root.title,
                message=error.message,
            )
        )
    if inside and len(found.path) == 3 and found.path[2] in root.essential:
        raise AccessRefusedError(
            Phrase(
                "Wiz does not let this service account ask for `%(field)s` of %(title)s, without which they "
                "cannot be read: %(message)s. Check in Wiz that it has the scope %(scope)s.",
                field=found.path[2],
                title=root.title,
                message=error.message,
                scope=root.scope,
            )
        )


def _cut(text: str, chosen: "SelectionSetNode", doomed: set[int]) -> str:
    """Return `text` without the doomed nodes of `chosen`, from the last to the first so that places stay true."""
    for node in reversed(chosen.selections):
        inner = getattr(node, "selection_set", None)
        if node.loc is None:
            raise TypeError("graphql-core was told to leave out the places of its nodes")
        if _is_doomed(node, doomed):
            text = text[: node.loc.start].rstrip() + text[node.loc.end :]
        elif inner is not None:
            text = _cut(text, inner, doomed)
    return text


def _is_doomed(node: Any, doomed: set[int]) -> bool:
    """Whether `node` must go, or has nothing left to ask for."""
    inner = getattr(node, "selection_set", None)
    return id(node) in doomed or (inner is not None and all(_is_doomed(child, doomed) for child in inner.selections))
