"""What each operator of a filter demands of the values that it finds."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from wizsim.instants import DAY, HOUR, MINUTE, parse
from wizsim.patterns import matcher

Json = dict[str, Any]
Condition: TypeAlias = Callable[[list[Any]], bool]

UNITS = {"Minutes": MINUTE, "Hours": HOUR, "Days": DAY, "Weeks": 7 * DAY, "Months": 30 * DAY}


def relative(how: str, value: Json, now: int) -> Condition:
    """Return the condition of inLast, beforeLast, inNext or afterNext."""
    unit = str(value.get("unit") or "DurationFilterValueUnitDays").removeprefix("DurationFilterValueUnit")
    span = (value.get("amount") or 0) * UNITS.get(unit, DAY)
    if how == "inLast":
        return lambda found: any(v is not None and now - span <= parse(v) <= now for v in found)
    if how == "beforeLast":
        return lambda found: any(v is not None and parse(v) < now - span for v in found)
    if how == "inNext":
        return lambda found: any(v is not None and now <= parse(v) <= now + span for v in found)
    return lambda found: any(v is not None and parse(v) > now + span for v in found)


def _members(value: Any) -> set[Any]:
    return {v for v in value if not isinstance(v, dict)} if isinstance(value, list) else {value}


def _any_text(holds: Callable[[str, str], bool]) -> Callable[[Any], Condition]:
    def made(value: Any) -> Condition:
        parts = [str(part).lower() for part in _members(value)]
        return lambda found: any(holds(str(v).lower(), part) for v in found if v is not None for part in parts)

    return made


def _negated(made: Callable[[Any], Condition]) -> Callable[[Any], Condition]:
    def other(value: Any) -> Condition:
        positive = made(value)
        return lambda found: not positive(found)

    return other


def _equals(value: Any) -> Condition:
    members = _members(value)
    return lambda found: not members.isdisjoint(plain(found))


def _contains(value: Any) -> Condition:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return lambda found: any(_tagged(tags, wanted) for tags in found for wanted in value)
    return _any_text(lambda have, part: part in have)(value)


def _contains_all(value: Any) -> Condition:
    if value and isinstance(value[0], dict):
        return lambda found: any(all(_tagged(tags, wanted) for wanted in value) for tags in found)
    parts = [str(v).lower() for v in value]
    return lambda found: all(any(part in str(v).lower() for v in found if v is not None) for part in parts)


def _tagged(tags: Any, wanted: Json) -> bool:
    if not isinstance(tags, dict) or wanted["key"] not in tags:
        return False
    return wanted.get("value") is None or tags[wanted["key"]] == wanted["value"]


def _matches(value: Any) -> Condition:
    matches = matcher([str(pattern) for pattern in value])
    return lambda found: any(matches(str(v)) for v in plain(found))


OPERATORS: Mapping[str, Callable[[Any], Condition]] = {
    "equals": _equals,
    "equalsAny": _equals,
    "equalsAll": lambda value: lambda found: _members(value) <= set(found),
    "notEquals": _negated(_equals),
    "isSet": lambda value: lambda found: any(v is not None for v in found) == value,
    "contains": _contains,
    "containsAny": _contains,
    "hasAnyPart": _contains,
    "containsAll": _contains_all,
    "doesNotContain": _negated(_contains),
    "doesNotContainAny": _negated(_contains),
    "doesNotHaveAnyPart": _negated(_contains),
    "doesNotContainAll": _negated(_contains_all),
    "startsWith": _any_text(str.startswith),
    "endsWith": _any_text(str.endswith),
    "doesNotStartWith": _negated(_any_text(str.startswith)),
    "doesNotEndWith": _negated(_any_text(str.endswith)),
    "matchesRegex": _matches,
    "greaterThan": lambda value: lambda found: any(v is not None and v > value for v in found),
    "lessThan": lambda value: lambda found: any(v is not None and v < value for v in found),
    "search": _contains,
    "id": _equals,
    "ids": _equals,
    "severity": _equals,
    "isIgnoredByRule": lambda value: lambda found: any(v is not None for v in found) == value,
    "ignoreRules": _equals,
    "hasResponseAction": lambda value: lambda _found: not value,
    "keyContains": _contains,
    "valueContains": _contains,
    "category": _equals,
    "stackLayer": _equals,
    "endOfLife": lambda _value: lambda _found: False,
    "serviceTicket": lambda _value: lambda _found: False,
    "tags": lambda _value: lambda _found: False,
}


def plain(found: list[Any]) -> list[Any]:
    """Return what of `found` can be compared with a plain value."""
    return [v for v in found if v is not None and not isinstance(v, dict)]
