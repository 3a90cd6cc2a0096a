"""Match expressions, by which simple detections and inline filters ask about an event, and the conditions they name.

A condition is data: its name, and a function of the event's value and of what it is compared with. What is missing: an
inline filter passes, since it can say nothing of it; a simple detection takes it as null. Null satisfies no condition
but the negative ones and those that ask for it. Values that cannot be compared raise TypeError, so that a rule error
shows it. What is not an address is in no network and of no kind: that raises nothing.
"""

import operator
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from msgspec import Struct

from ocelog.detect.event import Plain
from ocelog.detect.paths import Path, of_names, of_names_and_places, parse_path
from ocelog.yaml_nodes import Node, NodeMapping

Question: TypeAlias = Callable[[Any, Any], bool]
_MAX_DEPTH = 20


class Operand(StrEnum):
    """What a condition is compared with."""

    NOTHING = "nothing"
    VALUE = "Value"
    VALUES = "Values"
    EITHER = "Value or Values"


class Condition(Struct, frozen=True, kw_only=True):
    """A condition by name."""

    name: str
    operand: Operand
    asks: Question
    negative: bool = False
    """Whether it is true of a null."""
    of_null: bool = False
    """Whether it asks about nulls, so that it is asked with them."""


def _fold(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    return [_fold(item) for item in value] if isinstance(value, list | tuple) else value


def _folded(asks: Question) -> Question:
    return lambda value, operand: asks(_fold(value), _fold(operand))


def _contains(value: Any, operand: Any) -> bool:
    if not isinstance(value, str | list | dict):
        raise TypeError(f"a value of type {type(value).__name__} contains nothing")
    return operand in (list(value) if isinstance(value, dict) else value)


def _starts(value: Any, operand: Any) -> bool:
    return bool(_text(value).startswith(operand))


def _ends(value: Any, operand: Any) -> bool:
    return bool(_text(value).endswith(operand))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found a value of type {type(value).__name__}")
    return value


def _is_in(value: Any, operand: Any) -> bool:
    return value in (list(operand) if isinstance(operand, dict) else operand)


def _is_empty(value: Any, _: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def network(text: str) -> IPv4Network | IPv6Network:
    """Return the network that `text` writes as a CIDR. Raises ValueError."""
    return ip_network(text, strict=False)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _addresses(value: Any) -> list[IPv4Address | IPv6Address]:
    # Only text is looked up: an object or a list cannot be a key of the cache.
    found = [_address(one) for one in _listed(value) if isinstance(one, str)]
    return [one for one in found if one is not None]


def _networks(value: Any) -> list[IPv4Network | IPv6Network]:
    found = []
    for one in _listed(value):
        try:
            found.append(network(_text(one)))
        except ValueError:
            continue
    return found


def _in_cidr(value: Any, operand: Any) -> bool:
    return any(one in each for one in _addresses(value) for each in _networks(operand))


def _cidr_contains(value: Any, operand: Any) -> bool:
    return any(one in each for one in _addresses(operand) for each in _networks(value))


def _is_public(value: Any, _: Any) -> bool:
    return any(one.is_global for one in _addresses(value))


def _is_private(value: Any, _: Any) -> bool:
    return any(one.is_private for one in _addresses(value))


def _is_version(*versions: int) -> Question:
    return lambda value, _: any(one.version in versions for one in _addresses(value))


def _not(asks: Question) -> Question:
    return lambda value, operand: not asks(value, operand)


def _pair(positive: str, negative: str, operand: Operand, asks: Question) -> tuple[Condition, Condition]:
    return (
        Condition(name=positive, operand=operand, asks=asks),
        Condition(name=negative, operand=operand, asks=_not(asks), negative=True),
    )


def _ordered(name: str, asks: Question) -> Condition:
    return Condition(name=name, operand=Operand.VALUE, asks=asks)


CONDITIONS: Mapping[str, Condition] = {
    condition.name: condition
    for condition in (
        *_pair("Equals", "DoesNotEqual", Operand.VALUE, operator.eq),
        *_pair("IEquals", "IDoesNotEqual", Operand.VALUE, _folded(operator.eq)),
        _ordered("IsGreaterThan", operator.gt),
        _ordered("IsGreaterThanOrEquals", operator.ge),
        _ordered("IsLessThan", operator.lt),
        _ordered("IsLessThanOrEquals", operator.le),
        *_pair("Contains", "DoesNotContain", Operand.VALUE, _contains),
        *_pair("IContains", "IDoesNotContain", Operand.VALUE, _folded(_contains)),
        *_pair("StartsWith", "DoesNotStartWith", Operand.VALUE, _starts),
        *_pair("IStartsWith", "IDoesNotStartWith", Operand.VALUE, _folded(_starts)),
        *_pair("EndsWith", "DoesNotEndWith", Operand.VALUE, _ends),
        *_pair("IEndsWith", "IDoesNotEndWith", Operand.VALUE, _folded(_ends)),
        *_pair("IsIn", "IsNotIn", Operand.VALUES, _is_in),
        *_pair("IsIPAddressInCIDR", "IsIPAddressNotInCIDR", Operand.EITHER, _in_cidr),
        *_pair("CIDRContainsIPAddresses", "CIDRDoesNotContainIPAddresses", Operand.EITHER, _cidr_contains),
        Condition(name="IsIPAddressPublic", operand=Operand.NOTHING, asks=_is_public),
        Condition(name="IsIPAddressPrivate", operand=Operand.NOTHING, asks=_is_private),
        Condition(name="IsNullOrEmpty", operand=Operand.NOTHING, asks=_is_empty, of_null=True),
        Condition(name="IsNotNullOrEmpty", operand=Operand.NOTHING, asks=_not(_is_empty), of_null=True),
        Condition(name="IsIPAddress", operand=Operand.NOTHING, asks=_is_version(4, 6)),
        Condition(name="IsIPv4Address", operand=Operand.NOTHING, asks=_is_version(4)),
        Condition(name="IsIPv6Address", operand=Operand.NOTHING, asks=_is_version(6)),
        Condition(name="IsNull", operand=Operand.NOTHING, asks=lambda value, _: value is None, of_null=True),
        Condition(name="IsNotNull", operand=Operand.NOTHING, asks=lambda value, _: value is not None, of_null=True),
    )
}
_PRESENCE: Mapping[str, bool] = {"Exists": True, "DoesNotExist": False}
_CONSTANT: Mapping[str, bool] = {"AlwaysTrue": True, "AlwaysFalse": False}
_OF_ELEMENTS: Mapping[str, Callable[[int, int], bool]] = {
    "AnyElement": lambda true, _: true > 0,
    "AllElements": lambda true, of: true == of,
    "OnlyOneElement": lambda true, _: true == 1,
    "NoElement": lambda true, _: true == 0,
}
"""Of how many elements, out of how many, the expressions must be true."""
_OF_PARTS: Mapping[str, Callable[[int, int], bool]] = {
    "All": _OF_ELEMENTS["AllElements"],
    "Any": _OF_ELEMENTS["AnyElement"],
    "OnlyOne": _OF_ELEMENTS["OnlyOneElement"],
    "None": _OF_ELEMENTS["NoElement"],
}
COMBINATIONS = frozenset(_OF_PARTS)
"""Keys under which several expressions stand."""
SHORT: Mapping[str, str] = {
    "==": "Equals",
    "!=": "DoesNotEqual",
    ">": "IsGreaterThan",
    ">=": "IsGreaterThanOrEquals",
    "<": "IsLessThan",
    "<=": "IsLessThanOrEquals",
    "IsGreaterThanOrEqual": "IsGreaterThanOrEquals",
    "IsLessThanOrEqual": "IsLessThanOrEquals",
    "contains": "Contains",
    "does_not_contain": "DoesNotContain",
    "icontains": "IContains",
    "does_not_icontain": "IDoesNotContain",
    "starts_with": "StartsWith",
    "does_not_start_with": "DoesNotStartWith",
    "istarts_with": "IStartsWith",
    "does_not_istart_with": "IDoesNotStartWith",
    "ends_with": "EndsWith",
    "does_not_end_with": "DoesNotEndWith",
    "iends_with": "IEndsWith",
    "does_not_iend_with": "IDoesNotEndWith",
    "iequals": "IEquals",
    "does_not_iequal": "IDoesNotEqual",
    "in": "IsIn",
    "not_in": "IsNotIn",
    "in_cidr": "IsIPAddressInCIDR",
    "not_in_cidr": "IsIPAddressNotInCIDR",
    "contains_ip": "CIDRContainsIPAddresses",
    "does_not_contain_ip": "CIDRDoesNotContainIPAddresses",
    "is_public": "IsIPAddressPublic",
    "is_private": "IsIPAddressPrivate",
    "empty": "IsNullOrEmpty",
    "not_empty": "IsNotNullOrEmpty",
}
"""Other spellings of conditions."""


class Comparison(Struct, frozen=True, kw_only=True):
    """One condition on the value at one path; without a path, on the value itself."""

    path: Path | None
    condition: Condition
    operand: Any
    line: int

    def is_true(self, data: Plain, *, missing_passes: bool = False) -> bool:
        """Return whether it is true of `data`."""
        there, value = self.path.read(data) if self.path else (True, data)
        condition = self.condition
        if not there and missing_passes:
            return True
        if value is None and not condition.of_null:
            return condition.negative
        operand = self.operand
        if isinstance(operand, Path):
            found, operand = operand.read(data)
            if not found or operand is None:
                return condition.negative
        return condition.asks(value, operand)


class Presence(Struct, frozen=True, kw_only=True):
    """Whether there is anything at a path."""

    path: Path
    wanted: bool
    line: int

    def is_true(self, data: Plain, *, missing_passes: bool = False) -> bool:  # noqa: ARG002  # it is what it asks
        """Return whether it is true of `data`."""
        return self.path.read(data)[0] is self.wanted


class Constant(Struct, frozen=True, kw_only=True):
    """True or false, whatever the event."""

    value: bool

    def is_true(self, data: Plain, *, missing_passes: bool = False) -> bool:  # noqa: ARG002  # whatever they are
        """Return it."""
        return self.value


class Elements(Struct, frozen=True, kw_only=True):
    """Of how many elements of a list the expressions are all true."""

    path: Path
    name: str
    parts: "tuple[Expression, ...]"
    line: int

    def is_true(self, data: Plain, *, missing_passes: bool = False) -> bool:
        """Return whether it is true of `data`."""
        there, value = self.path.read(data)
        if not there and missing_passes:
            return True
        elements = value if isinstance(value, list) else [] if value is None else [value]
        true = sum(all(part.is_true(each) for part in self.parts) for each in elements)
        return bool(elements or self.name == "NoElement") and _OF_ELEMENTS[self.name](true, len(elements))


class Combination(Struct, frozen=True, kw_only=True):
    """All, Any, OnlyOne or None of several expressions."""

    name: str
    parts: "tuple[Expression, ...]"

    def is_true(self, data: Plain, *, missing_passes: bool = False) -> bool:
        """Return whether it is true of `data`."""
        answers = (part.is_true(data, missing_passes=missing_passes) for part in self.parts)
        if self.name == "All":
            return all(answers)
        if self.name == "Any":
            return any(answers)
        return _OF_PARTS[self.name](sum(answers), len(self.parts))


Expression: TypeAlias = Comparison | Presence | Constant | Elements | Combination


def parse_expressions(node: Node) -> Combination:
    """Read the match expressions in `node`, all of which must be true. Raises RuleFileError."""
    return Combination(name="All", parts=_parse_list(node, 0))


def _parse_list(node: Node, depth: int) -> tuple[Expression, ...]:
    if depth > _MAX_DEPTH:
        raise node.wrong(f"match expressions are nested more than {_MAX_DEPTH} deep")
    items = node.items() if node.is_list else [node]
    return tuple(_parse(item, depth) for item in items)


def _parse(node: Node, depth: int) -> Expression:
    entry = node.mapping()
    combined = [(name, value) for name, (_, value) in entry.pairs() if name in _OF_PARTS]
    if combined:
        entry.only(_OF_PARTS)
        every = tuple(Combination(name=name, parts=_parse_list(value, depth + 1)) for name, value in combined)
        return every[0] if len(every) == 1 else Combination(name="All", parts=every)
    entry.only((*_SPECIFIERS, "Condition", "Value", "Values", "Expressions"), " of a match expression")
    name = _condition_name(entry.needs("Condition"))
    path = parse_key(entry)
    if name in _CONSTANT:
        return Constant(value=_CONSTANT[name])
    if name in _PRESENCE:
        return Presence(path=_needed(path, entry), wanted=_PRESENCE[name], line=node.line)
    if name in _OF_ELEMENTS:
        parts = _parse_list(entry.needs("Expressions"), depth + 1)
        return Elements(path=_needed(path, entry), name=name, parts=parts, line=node.line)
    return _comparison(entry, CONDITIONS[name], path)


def _condition_name(node: Node) -> str:
    name = SHORT.get(node.text(), node.text())
    names = (*CONDITIONS, *_PRESENCE, *_CONSTANT, *_OF_ELEMENTS)
    return name if name in names else node.one_of((*names, *SHORT), "condition")


_SPECIFIERS = ("Key", "DeepKey", "KeyPath", "Enrichment")


def parse_key(entry: NodeMapping) -> Path | None:
    """Read the key specifier in `entry`: Key, DeepKey, KeyPath or Enrichment. None if it has none."""
    if (key := entry.get("Key")) is not None:
        return of_names([key.text()])
    if (deep := entry.get("DeepKey")) is not None:
        return of_names_and_places(map(_name_and_place, deep.items() if deep.is_list else [deep]))
    if (dotted := entry.get("KeyPath")) is not None:
        try:
            return parse_path(dotted.text())
        except ValueError as error:
            raise dotted.wrong(str(error)) from None
    if (enriched := entry.get("Enrichment")) is not None:
        parts = enriched.mapping()
        parts.only(("Table", "Selector", "FieldPath"))
        selector = parts.needs("Selector").text().removeprefix("$.")
        head = of_names(["p_enrichment", parts.needs("Table").text(), selector])
        try:
            tail = parse_path(parts.needs("FieldPath").text()).steps
        except ValueError as error:
            raise parts.needs("FieldPath").wrong(str(error)) from None
        return Path(head.text, (*head.steps, *tail))
    return None


def _name_and_place(node: Node) -> tuple[str, int | None]:
    name, value = node.text(), node.value()
    return name, value if type(value) is int else None


def _needed(path: Path | None, entry: NodeMapping) -> Path:
    if path is None:
        raise entry.wrong("which key? expected Key, DeepKey or KeyPath")
    return path


def _comparison(entry: NodeMapping, condition: Condition, path: Path | None) -> Comparison:
    line = entry.place.line
    one, several = entry.raw("Value"), entry.raw("Values")
    if path is None and several is not None and condition.operand is Operand.VALUE:
        keys = several.items()
        if len(keys) != 2:
            raise several.wrong(f"expected two keys to compare, found {len(keys)}")
        first, second = (_needed(parse_key(key.mapping()), key.mapping()) for key in keys)
        return Comparison(path=first, condition=condition, operand=second, line=line)
    if condition.operand is Operand.NOTHING:
        return Comparison(path=path, condition=condition, operand=None, line=line)
    node = one if condition.operand is Operand.VALUE else several
    if node is None and condition.operand is Operand.EITHER:
        node = one
    if node is None:
        raise entry.wrong(f"{condition.name} needs `{condition.operand}`")
    operand = _operand(node, condition)
    if condition.name in {"IsIPAddressInCIDR", "IsIPAddressNotInCIDR"}:
        _check_networks(node, operand)
    return Comparison(path=path, condition=condition, operand=operand, line=line)


def _operand(node: Node, condition: Condition) -> Any:
    if node.is_mapping and (path := parse_key(node.mapping())) is not None:
        return path
    if condition.operand is Operand.VALUES and not node.is_list:
        raise node.wrong("expected a list")
    value = node.value()
    return tuple(value) if isinstance(value, list) and condition.operand is not Operand.VALUE else value


def _check_networks(node: Node, operand: Any) -> None:
    if isinstance(operand, Path):
        return
    for one in _listed(operand):
        try:
            network(_text(one))
        except (ValueError, TypeError) as error:
            raise node.wrong(f"{one!r} is not a network such as 10.0.0.0/8: {error}") from None
