"""How a record looks through the selection of a query: compiled once to plain functions, as pages are shown often."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    is_abstract_type,
    is_leaf_type,
)

from wizsim.refusals import Refusal
from wizsim.sdl import concrete, default, schema

Json = dict[str, Any]
MOST_FIELDS = 100_000
"""Fields of an operation once fragments are in their places: fragments of fragments grow without end."""
Show: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A field that a document asks for: where, and whether it may be null."""

    coordinates: frozenset[str]
    """`Type.field` of the object type and of the interfaces that declare the field."""
    path: tuple[str, ...]
    nullable: bool


@dataclass(slots=True, kw_only=True)
class Compiler:
    """What compiling one operation needs to know, and what it learns on the way."""

    fragments: Mapping[str, FragmentDefinitionNode]
    flags: Mapping[str, bool]
    """Values of the variables that @skip and @include name."""
    nulled: frozenset[str] = frozenset()
    """Coordinates that are shown as null."""
    uses: dict[tuple[str, ...], Use] = field(default_factory=dict)
    collected: int = 0

    def fields(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        """Collect what `sets` select on `type_`, by response key, in order."""
        found: dict[str, list[FieldNode]] = {}
        for set_ in sets:
            self._collect(type_, set_, found)
        return found

    def show(self, type_: GraphQLOutputType, nodes: list[FieldNode], path: tuple[str, ...]) -> Show:
        """Compile the function that shows a value of `type_` through the selections of `nodes`."""
        if isinstance(type_, GraphQLNonNull):
            return self.show(type_.of_type, nodes, path)
        if isinstance(type_, GraphQLList):
            each = self.show(type_.of_type, nodes, (*path, "@"))
            return lambda values: None if values is None else [each(value) for value in values]
        if is_leaf_type(type_):
            return lambda value: value
        return self._composite(type_, [n.selection_set for n in nodes if n.selection_set], path)

    def _composite(self, type_: GraphQLNamedType, sets: list[SelectionSetNode], path: tuple[str, ...]) -> Show:
        if isinstance(type_, GraphQLObjectType):
            return self.object(type_, sets, path)
        members = concrete(type_)
        by_name = {member.name: self.object(member, sets, path) for member in members}
        first = members[0].name
        return lambda value: None if value is None else by_name[value.get("__typename", first)](value)

    def object(self, type_: GraphQLObjectType, sets: list[SelectionSetNode], path: tuple[str, ...]) -> Show:
        """Compile the function that shows a value of the object type `type_`."""
        plain: list[tuple[str, str, Any]] = []
        deeper: list[tuple[str, Show]] = []
        for key, nodes in self.fields(type_, sets).items():
            name = nodes[0].name.value
            if name == "__typename":
                plain.append((key, "", type_.name))
                continue
            declared = type_.fields[name]
            if self._note(type_, name, declared, (*path, key)):
                plain.append((key, "", None))
                continue
            plain.append((key, name, default(declared.type)))
            if not _is_plain(declared.type):
                deeper.append((key, self.show(declared.type, nodes, (*path, key))))

        def shown(value: Json | None) -> Json | None:
            if value is None:
                return None
            get = value.get
            out = {key: get(name, otherwise) for key, name, otherwise in plain}
            for key, inner in deeper:
                out[key] = inner(out[key])
            return out

        return shown

    def _note(self, type_: GraphQLObjectType, name: str, declared: GraphQLField, path: tuple[str, ...]) -> bool:
        owners = (type_.name, *(i.name for i in type_.interfaces if name in i.fields))
        coordinates = frozenset(f"{owner}.{name}" for owner in owners)
        nullable = not isinstance(declared.type, GraphQLNonNull)
        known = self.uses.get(path)
        also = known.coordinates if known else frozenset()
        self.uses[path] = Use(coordinates=coordinates | also, path=path, nullable=nullable)
        return bool(coordinates & self.nulled)

    def _collect(self, type_: GraphQLObjectType, set_: SelectionSetNode, found: dict[str, list[FieldNode]]) -> None:
        for node in set_.selections:
            if not self._included(node.directives or ()):
                continue
            if isinstance(node, FieldNode):
                self.collected += 1
                if self.collected > MOST_FIELDS:
                    raise Refusal("the document asks for too many fields", code="GRAPHQL_VALIDATION_FAILED", status=400)
                found.setdefault((node.alias or node.name).value, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                if condition is None or _applies(condition.name.value, type_):
                    self._collect(type_, node.selection_set, found)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.fragments[node.name.value]
                if _applies(fragment.type_condition.name.value, type_):
                    self._collect(type_, fragment.selection_set, found)

    def _included(self, directives: Iterable[DirectiveNode]) -> bool:
        for directive in directives:
            if directive.name.value in {"skip", "include"}:
                value: Any = directive.arguments[0].value if directive.arguments else None
                given = self.flags.get(value.name.value, False) if isinstance(value, VariableNode) else value.value
                if given is (directive.name.value == "skip"):
                    return False
        return True


def _is_plain(type_: GraphQLOutputType) -> bool:
    inner: Any = type_
    while isinstance(inner, (GraphQLNonNull, GraphQLList)):
        inner = inner.of_type
    return isinstance(inner, GraphQLLeafType)


def _applies(condition: str, type_: GraphQLObjectType) -> bool:
    if condition == type_.name:
        return True
    named = schema().type_map[condition]
    return is_abstract_type(named) and schema().is_sub_type(named, type_)
