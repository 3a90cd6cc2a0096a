"""How a fault is written, which arguments each takes, and what is wrong with one that does not fit."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from graphql import GraphQLInterfaceType, GraphQLObjectType

from wizsim.nearest import did_you_mean, shown
from wizsim.record_types import RECORD_TYPES
from wizsim.sdl import schema

Check: TypeAlias = Callable[[Any], Any]
"""Returns the value as it is kept. Raises ValueError, whose text goes on after the argument's name."""

ODD_KINDS = (
    "bad-timestamp",
    "wrong-type",
    "null-required",
    "missing-required",
    "huge-integer",
    "nan",
    "infinity",
    "surrogate",
    "invalid-utf8",
    "duplicate-key",
    "deep",
    "long",
)
BAD_ANSWERS = (
    "500",
    "502",
    "503",
    "504",
    "400",
    "413",
    "422",
    "forbidden",
    "not-found",
    "bad-input",
    "cut",
    "garbled",
    "timeout",
)
TYPES = (*RECORD_TYPES, "token")
_NEXT = re.compile(r":(?=[A-Za-z_-]+=)")
_DIGITS = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")
_SCOPE = re.compile(r"[a-z_]+:[a-z_]+")
_URL = re.compile(r"https?://[!-~]+")


def split(written: str) -> tuple[str, str, dict[str, str]]:
    """Take NAME[:PROBABILITY][:key=value]... apart. A value runs to the next `:key=`, so that it may hold a colon."""
    first, *pairs = _NEXT.split(written)
    name, colon, probability = first.partition(":")
    parts = [part.partition("=") for part in pairs]
    given = {key: value for key, _, value in parts}
    if len(given) < len(parts):
        raise ValueError(f"{shown(written)} gives an argument twice")
    return name, probability if colon else "1", given


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the fault `name` as they are kept. Raises ValueError."""
    known = {**ARGUMENTS.get(name, {}), **EVERY}
    missing = [key for key in REQUIRED.get(name, ()) if given.get(key) is None]
    if missing:
        raise ValueError(f"{name} needs {missing[0]}=..., such as {name}:{missing[0]}=Issue.dueAt")
    kept = {}
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"{name} takes no {shown(key)}{did_you_mean(key, known)}")
        if value is None:
            continue
        try:
            kept[key] = known[key](value)
        except ValueError as wrong:
            raise ValueError(f"{name}: {key} {wrong}") from wrong
    return kept


def probability(value: Any) -> float:
    """Return a share from 0 to 1. Raises ValueError."""
    return float(_number(0, 1)(value))


def _number(least: float, most: float) -> Check:
    def check(value: Any) -> float:
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if not least <= number <= most:
            raise ValueError(f"is a number from {least} to {most}, not {shown(value)}")
        return number

    return check


def _whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise ValueError(f"is a whole number from {least} to {most}, not {shown(value)}")
        return number

    return check


def _one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is one of {', '.join(choices)}, not {shown(value)}{_nearest(value, choices)}")
        return str(value)

    return check


def _nearest(value: Any, choices: tuple[str, ...]) -> str:
    said = did_you_mean(value, choices)
    return said if said.endswith("?") else ""


def _like(pattern: re.Pattern[str], what: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"is {what}, not {shown(value)}")
        return value

    return check


def _url(value: Any) -> str:
    written = str(_like(_URL, "a URL such as https://elsewhere.example/graphql")(value))
    try:
        good = bool(urlsplit(written).hostname) and urlsplit(written).port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"is a URL with a host and, if any, a port up to 65535, not {shown(value)}")
    return written


def _field(value: Any) -> str:
    """Check that `Type.name` is a field of the schema that answers show."""
    type_name, dot, name = str(value).partition(".")
    fielded = {n: t.fields for n, t in schema().type_map.items() if isinstance(t, _FIELDED) and n[:2] != "__"}
    if not isinstance(value, str) or not dot:
        raise ValueError(f"is written Type.name, such as Issue.dueAt, not {shown(value)}")
    if type_name not in fielded:
        raise ValueError(f"names {shown(type_name)}, which is not a type{_nearest(type_name, tuple(fielded))}")
    if name not in fielded[type_name]:
        raise ValueError(
            f"names {shown(name)}, which {type_name} does not have{did_you_mean(name, fielded[type_name])}"
        )
    return value


def _field_or_type(value: Any) -> str:
    if isinstance(value, str) and value and "." not in value:
        known = tuple(name for name in schema().type_map if not name.startswith("__"))
        if value not in known:
            raise ValueError(f"names {shown(value)}, which is not a type{_nearest(value, known)}")
        return value
    return str(_field(value))


_FIELDED = (GraphQLObjectType, GraphQLInterfaceType)
_PART = _number(0, 0.999)
_ID = _like(re.compile(r".{1,200}"), "the id of a record")
_KEY = _like(_NAME, "the name of a field of the answer")
_SECONDS = _number(0, 10**9)
EVERY: Mapping[str, Check] = {
    "type": _one_of(*TYPES),
    "times": _whole(1, 10**9),
    "after": _SECONDS,
    "for": _SECONDS,
}
"""What every fault takes."""
ARGUMENTS: Mapping[str, Mapping[str, Check]] = {
    "throttled": {"retry_after": _whole(0, 10**9)},
    "server-error": {"status": _whole(500, 599)},
    "redirect": {"to": _url},
    "heavy-page": {"above": _whole(0, 10**9), "as": _one_of("null")},
    "partial": {"field": _KEY, "nth": _whole(0, 10**9)},
    "bad-record": {"id": _ID},
    "bad-record-null": {"id": _ID},
    "bad-record-answer": {"id": _ID, "as": _one_of(*BAD_ANSWERS), "seconds": _SECONDS},
    "bad-time-range": {"as": _one_of(*BAD_ANSWERS), "ago": _SECONDS, "seconds": _SECONDS},
    "overcount": {"by": _whole(1, 10**6), "id": _ID},
    "hidden-records": {"every": _whole(1, 10**6), "id": _ID},
    "cut-body": {"at": _PART},
    "cut-json": {"at": _PART},
    "cut-gzip": {"at": _PART},
    "slow-body": {"seconds": _number(0, 86_400)},
    "overlap": {"by": _whole(1, 10**6)},
    "absent-keys": {"field": _KEY},
    "odd-record": {"kind": _one_of(*ODD_KINDS), "id": _ID, "key": _KEY},
    "hidden-field": {"field": _field_or_type},
    "refused-field": {"field": _field, "scope": _like(_SCOPE, "a scope such as admin:all")},
    "date-jump": {"seconds": _number(-(10**9), 10**9)},
}
"""What a fault takes besides."""
REQUIRED: Mapping[str, tuple[str, ...]] = {"hidden-field": ("field",), "refused-field": ("field",)}
