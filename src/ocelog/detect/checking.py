"""Whether the rules of a checkout name only what exists: log types, fields, queries, rules and channels.

No rule runs for it: fields are found in match expressions, and in the Python of a rule where it reads its event by
names that are written there. What a log schema leaves open is taken as it is, and so is a log type that others have.
"""

import ast
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from ocelog.detect.checkout import Checkout
from ocelog.detect.conditions import COMBINATIONS, parse_key
from ocelog.detect.document import parse
from ocelog.detect.fields import MissingField, Steps, event_type, follow
from ocelog.detect.paths import parse_path
from ocelog.detect.python_fields import destinations, field_reads
from ocelog.detect.rule import SUPPRESSED, CorrelationRule, DataModel, Global, Place, Rule
from ocelog.schema.language.fields import Array, Json, LogSchema, Type
from ocelog.suggest import Suggestions, suggest
from ocelog.yaml_nodes import Node


@cache
def other_log_types() -> frozenset[str]:
    """Return what exists and is not read here: products, all of whose log types are meant, and whole log types."""
    text = files("ocelog.content").joinpath("other_log_types.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(name for line in lines for name in line.split())


class WrongName(Struct, frozen=True, kw_only=True):
    """A name in a rule that nothing has."""

    rule: str
    place: Place
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


class Names(Struct, frozen=True, kw_only=True):
    """What there is to name."""

    schemas: Mapping[str, LogSchema]
    """By log type."""
    rules: Collection[str] = ()
    """In other folders."""
    channels: Collection[str] | None = None
    """Names and ids; None: that is not known here."""

    def lacks_source(self, log_type: str) -> bool:
        """Whether events of `log_type` exist, but no source here has them."""
        if log_type in self.schemas:
            return False
        return not other_log_types().isdisjoint((log_type, log_type.partition(".")[0]))

    def unknown(self, log_type: str) -> str | None:
        """Say that there is no such log type; None: there is one, here or elsewhere."""
        if log_type in self.schemas or self.lacks_source(log_type):
            return None
        others = {one if "." in one else f"{one}.{log_type.partition('.')[2]}" for one in other_log_types()}
        nearest = suggest(log_type, self.schemas) or suggest(log_type, others, cutoff=0.9)
        return f"there is no log type {log_type!r}{nearest}"


Checked: TypeAlias = dict[str, tuple[Hashable, list[WrongName]]]
"""What was found in each rule by its id, and in which texts: the same texts need not be looked at again."""


def check(checkout: Checkout, names: Names, checked: Checked | None = None) -> list[WrongName]:
    """Return every name in the rules of `checkout` that does not exist, in the order of their places.

    `checked`, which is of the same `names`, holds what was found before, and afterwards what was found now.
    """
    found, events = list[WrongName](), dict[str, Type]()
    rules = Suggestions({*checkout.rules, *names.rules})
    meant = _Meant(Suggestions(checkout.queries), Suggestions(names.channels or ()))
    queries = frozenset(checkout.queries)
    for rule in checkout.rules.values():
        stands_on = _stands_on(checkout, rule, queries)
        before = None if checked is None else checked.get(rule.id)
        if before is None or before[0] != stands_on:
            before = (stands_on, list(_Checking(checkout, names, rule, events, meant).run()))
            if checked is not None:
                checked[rule.id] = before
        found += before[1]
    for correlation in checkout.correlations.values():
        found += _correlation(correlation, rules)
    return sorted(dict.fromkeys(found), key=lambda one: (one.place, one.rule))


def _stands_on(checkout: Checkout, rule: Rule, queries: Hashable) -> Hashable:
    """Return what is looked at in a rule; of its texts, which may be long, only what tells them from others."""
    python = None if rule.file is None else hash(checkout.sources.get(rule.file))
    text = hash(checkout.texts[rule.place.file])
    return rule.place, text, rule.file, python, rule.base, tuple(rule.log_types), queries


def check_helpers(checkout: Checkout) -> list[WrongName]:
    """Return which files of globals and data models are missing, or are not Python: rules stand on them."""
    found = list[WrongName]()
    helpers: list[Global | DataModel] = [*checkout.globals.values(), *checkout.models.values()]
    for each in helpers:
        if each.file is None:
            continue
        text = checkout.sources.get(each.file)
        if text is None:
            found.append(WrongName(rule=each.id, place=each.place, why=f"the file {each.file!r} cannot be read"))
        elif isinstance(tree := _parsed(each.id, each.file, text), WrongName):
            found.append(tree)
    return found


def _parsed(name: str, file: str, text: str) -> ast.Module | WrongName:
    try:
        return ast.parse(text, file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = (error.lineno if isinstance(error, SyntaxError) else None) or 1
        what = error.msg if isinstance(error, SyntaxError) else str(error) or "it is nested too deep"
        return WrongName(rule=name, place=Place(file, at), why=f"this is not Python: {what}")


class _Meant(NamedTuple):
    """What may be meant by names of a checkout's rules that are not there."""

    queries: Suggestions
    channels: Suggestions


def _correlation(correlation: CorrelationRule, rules: Suggestions) -> Iterator[WrongName]:
    for each in correlation.correlations:
        for step in each.steps:
            if step.rule not in rules.known:
                why = f"there is no rule {step.rule!r}{rules.suggest(step.rule)}"
                yield WrongName(rule=correlation.id, place=correlation.place, why=why)


@dataclass(slots=True)
class _Checking:
    """One rule, while it is checked."""

    checkout: Checkout
    names: Names
    rule: Rule
    types: dict[str, Type]
    """Events of log types that were looked at before."""
    meant: _Meant
    _events: list[Type] = field(default_factory=list)
    """Events of its log types; a field must be in one of them."""

    def run(self) -> Iterator[WrongName]:
        types = [one for one in self.rule.log_types if one in self.names.schemas]
        is_open = len(types) < len(self.rule.log_types) or not types
        self._events = [Json()] if is_open else [self._event(one) for one in types]
        file = self.rule.place.file
        top = parse(self.checkout.texts[file], file).mapping()
        for name, (_, node) in top.pairs():
            if not node.is_null:
                yield from self._key(name, node)
        if self.rule.file is not None and self.rule.base is None:
            yield from self._python(self.rule.file)

    def _event(self, log_type: str) -> Type:
        if log_type not in self.types:
            self.types[log_type] = event_type(self.names.schemas[log_type])
        return self.types[log_type]

    def _key(self, name: str, node: Node) -> Iterator[WrongName]:
        match name:
            case "LogTypes":
                for item in _listed(node):
                    if (why := self.names.unknown(item.text())) is not None:
                        yield self._wrong(item, why)
            case "ScheduledQueries":
                for item in _listed(node):
                    if item.text() not in self.checkout.queries:
                        nearest = self.meant.queries.suggest(item.text())
                        yield self._wrong(item, f"there is no query {item.text()!r}{nearest}")
            case "OutputIds":
                for item in _listed(node):
                    if (why := self._no_channel(item.text())) is not None:
                        yield self._wrong(item, why)
            case "Detection" | "InlineFilters":
                yield from self._expressions(node, self._events)
            case "DynamicSeverities":
                for item in node.items():
                    yield from self._expressions(item.mapping().needs("Conditions"), self._events)
            case "GroupBy":
                for item in node.items():
                    yield from self._specifier(item) if item.is_mapping else self._path(item, item.text())
            case "AlertContext":
                for item in node.items():
                    yield from self._specifier(item.mapping().needs("KeyValue"))
            case "AlertTitle":
                for piece in node.text().split("{")[1:]:
                    inner, closed, _ = piece.partition("}")
                    if closed:
                        yield from self._path(node, inner)

    def _expressions(self, node: Node, events: list[Type]) -> Iterator[WrongName]:
        if node.is_list:
            for item in node.items():
                yield from self._expressions(item, events)
            return
        entry = node.mapping()
        combined = [value for name, (_, value) in entry.pairs() if name in COMBINATIONS]
        for value in combined:
            yield from self._expressions(value, events)
        if combined:
            return
        yield from self._specifier(node, events)
        for key in ("Value", "Values"):
            for operand in _listed(compared) if (compared := entry.get(key)) is not None else ():
                if operand.is_mapping:
                    yield from self._specifier(operand, events)
        if (below := entry.get("Expressions")) is not None and (path := parse_key(entry)) is not None:
            elements = [_element(follow(one, path.outline)) for one in events]
            yield from self._expressions(below, elements)

    def _specifier(self, node: Node, events: list[Type] | None = None) -> Iterator[WrongName]:
        """Check the key that a mapping names, if it names one."""
        if node.is_mapping and (path := parse_key(node.mapping())) is not None:
            yield from self._field(node, path.outline, events)

    def _path(self, node: Node, text: str) -> Iterator[WrongName]:
        yield from self._field(node, parse_path(text).outline)

    def _field(self, node: Node, steps: Steps, events: list[Type] | None = None) -> Iterator[WrongName]:
        if (missing := _missing(self._events if events is None else events, steps)) is not None:
            yield self._wrong(node, str(missing))

    def _wrong(self, node: Node, why: str) -> WrongName:
        return WrongName(rule=self.rule.id, place=Place(node.origin, node.line), why=why)

    def _no_channel(self, name: str) -> str | None:
        known = self.names.channels
        if known is None or name in known:
            return None
        return f"there is no destination {name!r}{self.meant.channels.suggest(name)}"

    def _python(self, file: str) -> Iterator[WrongName]:
        text = self.checkout.sources.get(file)
        if text is None:
            yield WrongName(rule=self.rule.id, place=self.rule.place, why=f"the file {file!r} cannot be read")
            return
        tree = _parsed(self.rule.id, file, text)
        if isinstance(tree, WrongName):
            yield tree
            return
        for read in field_reads(tree):
            missing = _missing(self._events, read.steps, crosses_lists=read.crosses_lists)
            if missing is not None:
                yield WrongName(rule=self.rule.id, place=Place(file, read.line), why=str(missing))
        for line, name in destinations(tree):
            if name != SUPPRESSED and (unknown := self._no_channel(name)) is not None:
                yield WrongName(rule=self.rule.id, place=Place(file, line), why=unknown)


def _listed(node: Node) -> list[Node]:
    return node.items() if node.is_list else [node]


def _element(found: Type | MissingField | None) -> Type:
    """Return what each element of a list is; what is no list stands for one of it."""
    if found is None or isinstance(found, MissingField):
        return Json()
    return found.element if isinstance(found, Array) else found


def _missing(events: list[Type], steps: Steps, *, crosses_lists: bool = False) -> MissingField | None:
    """Return what none of `events` has; None: one has it, or is open."""
    found = [follow(one, steps, crosses_lists=crosses_lists) for one in events]
    missing = [one for one in found if isinstance(one, MissingField)]
    return missing[0] if len(missing) == len(found) else None
