"""Which fields the Python of a rule reads from its event, by names that are written in it."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec import Struct

from ocelog.detect.fields import Steps

ASKED = frozenset(
    {
        *("rule", "title", "description", "reference", "severity", "runbook", "destinations", "dedup"),
        *("alert_context", "unique"),
    }
)
"""Functions that are called with the event, whatever they call it; so are those whose first argument is `event`."""


_MOST_STEPS = 64
"""Python that goes a longer way to a field is not followed: each step is several calls deep."""


class FieldRead(Struct, frozen=True, kw_only=True):
    """A place where a field is read."""

    line: int
    steps: Steps
    crosses_lists: bool = False


def field_reads(tree: ast.Module) -> list[FieldRead]:
    """Return the fields that the functions of a rule's module read, in the order of their lines."""
    found = list[FieldRead]()
    for each in tree.body:
        if isinstance(each, ast.FunctionDef) and each.args.args:
            event = each.args.args[0].arg
            if each.name in ASKED or event == "event":
                found += _Function(each, event).reads()
    return sorted(dict.fromkeys(found), key=lambda one: one.line)


def destinations(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the names that a rule's module may return as destinations, as far as they are written in it."""
    for each in tree.body:
        if isinstance(each, ast.FunctionDef) and each.name == "destinations":
            for returned in ast.walk(each):
                if isinstance(returned, ast.Return) and isinstance(returned.value, ast.List):
                    for one in returned.value.elts:
                        if isinstance(one, ast.Constant) and isinstance(one.value, str):
                            yield one.lineno, one.value


class _Value(Struct, frozen=True, kw_only=True):
    """Where in the event an expression lies."""

    steps: tuple[str | None, ...]
    crosses_lists: bool = False


@dataclass(slots=True)
class _Function:
    """One function, and what its variables stand for: those that are given a value once."""

    node: ast.FunctionDef
    event: str
    _variables: dict[str, ast.expr] = field(default_factory=dict)
    _elements: dict[str, ast.expr] = field(default_factory=dict)
    """Variables that stand for each element of a list."""
    _open: set[str] = field(default_factory=set)
    """Variables that are being looked up."""
    _depth: int = 0

    def reads(self) -> Iterator[FieldRead]:
        nodes = list(ast.walk(self.node))
        if not self._collect(nodes):
            return
        for node in nodes:
            if isinstance(node, ast.Call | ast.Subscript) and (value := self._value(node)) is not None:
                yield FieldRead(line=node.lineno, steps=value.steps, crosses_lists=value.crosses_lists)

    def _collect(self, nodes: list[ast.AST]) -> bool:
        """Note what variables stand for. False: the event's name stands for something else somewhere."""
        stored = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        stored.update(node.arg for node in nodes if isinstance(node, ast.arg))
        for node in nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if stored[name] == 1:
                    self._variables[name] = value
                case ast.NamedExpr(target=ast.Name(id=name), value=value) if stored[name] == 1:
                    self._variables[name] = value
                case ast.For(target=ast.Name(id=name), iter=value) if stored[name] == 1:
                    self._elements[name] = value
                case ast.comprehension(target=ast.Name(id=name), iter=value) if stored[name] == 1:
                    self._elements[name] = value
        return stored[self.event] == 1

    def _value(self, node: ast.expr) -> _Value | None:
        """Return where in the event `node` lies; None: nowhere, or that cannot be told."""
        self._depth += 1
        try:
            return self._followed(node) if self._depth <= _MOST_STEPS else None
        finally:
            self._depth -= 1

    def _followed(self, node: ast.expr) -> _Value | None:
        match node:
            case ast.Name(id=self.event):
                return _Value(steps=())
            case ast.Name(id=name) if name in self._variables and name not in self._open:
                return self._looked_up(name, self._variables[name])
            case ast.Name(id=name) if name in self._elements and name not in self._open:
                found = self._looked_up(name, self._elements[name])
                return _Value(steps=(*found.steps, None), crosses_lists=found.crosses_lists) if found else None
            case ast.NamedExpr(value=value):
                return self._value(value)
            case ast.BoolOp(op=ast.Or(), values=[first, *_]):
                return self._value(first)
            case ast.Call(func=ast.Attribute(value=holder, attr=name), args=args):
                return self._called(holder, name, args)
            case ast.Call(func=ast.Name(id="deep_get" | "deep_walk" as name), args=[holder, *args]):
                # Helpers of older checkouts, which are given the event.
                return self._called(holder, name, args)
            case ast.Subscript(value=holder, slice=ast.Constant(value=str() as name)):
                return self._below(holder, (name,))
            case ast.Subscript(value=holder, slice=ast.Constant(value=int())):
                return self._below(holder, (None,))
            case _:
                return None

    def _looked_up(self, name: str, value: ast.expr) -> _Value | None:
        self._open.add(name)
        try:
            return self._value(value)
        finally:
            self._open.discard(name)

    def _called(self, holder: ast.expr, function: str, args: list[ast.expr]) -> _Value | None:
        names = args[:1] if function == "get" else args if function in {"deep_get", "deep_walk"} else []
        steps = [one.value for one in names if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if not steps or len(steps) != len(names):
            return None
        return self._below(holder, tuple(steps), crosses_lists=function == "deep_walk")

    def _below(self, holder: ast.expr, steps: tuple[str | None, ...], *, crosses_lists: bool = False) -> _Value | None:
        above = self._value(holder)
        if above is None or above.crosses_lists:
            # What deep_walk() returns is one value or several.
            return None
        return _Value(steps=(*above.steps, *steps), crosses_lists=crosses_lists)
