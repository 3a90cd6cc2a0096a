"""What a rule sees of an event: a read-only mapping whose keys are found whatever their case, at every level.

Nothing is copied: values are wrapped as they are asked for, and the plain dictionary answers first. One event may be
shown to many rules, since none can change it by what is offered here.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, overload
from uuid import UUID

from msgspec import Struct, field

from ocelog.suggest import suggest

Plain: TypeAlias = Any
"""What JSON can hold: dict, list, str, int, float, bool, None."""
_MISSING = object()
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?)? ?(Z|UTC|[+-]\d{2}:?\d{2})?", re.ASCII
)


class PathReader(Protocol):
    """Follows a path into plain values."""

    def __call__(self, data: Plain, /) -> list[Plain]:
        """Return every value that the path leads to in `data`."""

    def places(self, data: Plain, /) -> Iterator[str]:
        """Yield where in `data` each of those values is, such as `client.ip` or `items.[0].name`."""


class ModelField(Struct, frozen=True, kw_only=True):
    """Where a log type keeps a field of the unified data model: at a path, or in what a method answers."""

    name: str
    path: str | None = None
    reads: PathReader | None = None
    method: Callable[[Any], Any] | None = None
    method_name: str | None = None


Tables: TypeAlias = Mapping[str, Mapping[str, Plain] | str]
"""Name of a lookup table -> primary key -> row; a text says why the rows are not here."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What an event can be asked for beyond its own fields: its data model, and tables to look things up in."""

    model_id: str | None = None
    mappings: Mapping[str, ModelField] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)


_NOWHERE = Surroundings()


class Event(Mapping[str, Any]):
    """A JSON object as a rule sees it. Give it a `dict` of plain values that nobody changes any more."""

    __slots__ = ("_around", "_data", "_lower")

    def __init__(self, data: dict[str, Any], around: Surroundings = _NOWHERE) -> None:
        self._data = data
        self._around = around
        self._lower: dict[Any, Any] | None = None

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of `key`, or `default` if it is missing; a null is there, and is None."""
        data = self._data
        if key in data:
            value = data[key]
        elif (value := self._other_case(key)) is _MISSING:
            return default
        kind = type(value)
        if kind is dict:
            return Event(value)
        if kind is list:
            return EventList(value)
        return value

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._data or self._other_case(key) is not _MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def _other_case(self, key: object) -> Any:
        lower = self._lower
        if lower is None:
            lower = self._lower = {}
            for name, value in self._data.items():
                lower.setdefault(name.lower() if isinstance(name, str) else name, value)
        return lower.get(key.lower() if isinstance(key, str) else key, _MISSING)

    def deep_get(self, *keys: Any, default: Any = None) -> Any:
        """Return the value at the end of `keys`; `default` if one is missing, or if it is null at the end."""
        value: Any = self
        for key in keys:
            if type(value) is Event:
                data = value._data  # noqa: SLF001  # its own class; a call each would double the cost
                value = data[key] if key in data else value._other_case(key)  # noqa: SLF001
            elif type(value) is dict:
                value = value[key] if key in value else _scan(value, key)
            else:
                return default
            if value is _MISSING:
                return default
        if value is None:
            return default
        return _wrap(value)

    def deep_walk(self, *keys: Any, default: Any = None, return_val: str = "all") -> Any:
        """Return the values at the end of `keys`, through every list on the way.

        Values that are equal come once, in order; a single one comes by itself. `return_val` may ask for the `first` or
        the `last` of them. An item of a list that lacks a key counts as `default`, unless that is None.

        What comes is a copy of plain dictionaries and lists: rules ask whether it is a `list`, and write it as JSON.
        """
        if return_val not in {"all", "first", "last"}:
            raise ValueError(f"return_val must be all, first or last, not {return_val!r}")
        return _unwrap(_walk(self._data, keys, default, return_val))

    def lookup(self, table: str, key: Any) -> Any:
        """Return the row of the lookup table `table` whose primary key is `key`, or None if it has none."""
        tables = self._around.tables
        if table not in tables:
            raise LookupError(f"no lookup table {table!r}{suggest(table, tables)}")
        rows = tables[table]
        if not isinstance(rows, str):
            return _wrap(rows.get(key if isinstance(key, str) else str(key)))
        raise LookupError(f"the rows of the lookup table {table!r} are not here: {rows}")

    def udm(self, *keys: Any, default: Any = None) -> Any:
        """Return a field of the unified data model: by the log type's data model, if that has it.

        What the data model says is the answer, also if it is empty or zero; a path that leads nowhere gives `default`.
        A field that it does not have is looked for in p_udm, then in the event itself; there, a value that is empty,
        zero, false or null counts as missing.
        """
        mapped = self._around.mappings.get(keys[0]) if len(keys) == 1 else None
        if mapped is not None:
            return self._mapped(mapped, default)
        for path in (("p_udm", *keys), keys):
            if found := self.deep_get(*path):
                return found
        return default

    def _mapped(self, mapped: ModelField, default: Any) -> Any:
        if mapped.method is not None:
            return _wrap(mapped.method(self))
        if mapped.reads is None:
            return default
        found = mapped.reads(self._data)
        _check_single(mapped, found)
        return _wrap(found[0]) if found else default

    def udm_path(self, name: str) -> str | None:
        """Return where in this event the data model finds `name`, or the name of the method that reads it.

        None if the data model has no such field, or its path leads nowhere in this event.
        """
        if self._around.model_id is None:
            raise LookupError("this event's log type has no data model")
        mapped = self._around.mappings.get(name)
        if mapped is None or mapped.reads is None:
            return mapped.method_name if mapped else None
        _check_single(mapped, mapped.reads(self._data))
        # Only now: where very much is, is longer than all of the event.
        return next(mapped.reads.places(self._data), None)

    def event_time_epoch(self) -> int:
        """Return p_event_time in seconds since 1970, or 0 if there is none."""
        text = self.get("p_event_time")
        if not text:
            return 0
        if isinstance(text, int | float):
            return int(text)
        return int(instant(str(text)).timestamp())

    def to_dict(self) -> dict[str, Any]:
        """Return a copy, down to the last level, of plain dictionaries and lists that may be changed."""
        return {key: to_plain(value) for key, value in self._data.items()}

    copy = to_dict

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Event):
            return self._data == other._data
        return bool(self._data == other) if isinstance(other, dict) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset((key, _wrap(value)) for key, value in self._data.items()))

    def __repr__(self) -> str:
        return repr(self._data)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return self.to_dict()

    __copy__ = to_dict


class EventList(Sequence[Any]):
    """A JSON array as a rule sees it: equal to the list and to the tuple of the same items, and unchangeable."""

    __slots__ = ("_data",)

    def __init__(self, data: list[Any]) -> None:
        self._data = data

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> "EventList": ...
    def __getitem__(self, index: int | slice) -> Any:
        return _wrap(self._data[index])

    def __iter__(self) -> Iterator[Any]:
        return map(_wrap, self._data)

    def __contains__(self, item: object) -> bool:
        return item in self._data

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        match other:
            case EventList():
                return self._data == other._data
            case list():
                return self._data == other
            case tuple():
                return tuple(self._data) == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __add__(self, other: Sequence[Any]) -> list[Any]:
        return [*self, *other] if isinstance(other, list | tuple | EventList) else NotImplemented

    def __radd__(self, other: Sequence[Any]) -> list[Any]:
        return [*other, *self] if isinstance(other, list | tuple) else NotImplemented

    def __repr__(self) -> str:
        return repr(self._data)

    def copy(self) -> list[Any]:
        """Return a copy, down to the last level, that may be changed."""
        return [to_plain(item) for item in self._data]

    def __deepcopy__(self, memo: object) -> list[Any]:
        return self.copy()

    __copy__ = copy


def data_of(event: Event) -> dict[str, Any]:
    """Return the plain values that `event` shows, which nobody may change."""
    return event._data  # noqa: SLF001  # a method would offer them to rules


def _wrap(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return Event(value)
    if kind is list:
        return EventList(value)
    return value


def _unwrap(value: Any) -> Any:
    match value:
        case Event():
            return value.to_dict()
        case EventList():
            return value.copy()
        case list():
            return [_unwrap(item) for item in value]
    return value


def _check_single(mapped: ModelField, found: list[Any]) -> None:
    if len(found) > 1:
        raise ValueError(f"{mapped.path!r}, the path of {mapped.name!r}, leads to {len(found)} values")


def _scan(data: dict[Any, Any], key: Any) -> Any:
    if not isinstance(key, str):
        return _MISSING
    lower = key.lower()
    for name, value in data.items():
        if isinstance(name, str) and name.lower() == lower:
            return value
    return _MISSING


def find(data: Plain, key: Any) -> tuple[bool, Plain]:
    """Return whether plain `data` is an object that has `key`, in whatever case, and the value."""
    if type(data) is not dict:
        return False, None
    value = data[key] if key in data else _scan(data, key)
    return (False, None) if value is _MISSING else (True, value)


def _walk(value: Any, keys: tuple[Any, ...], default: Any, return_val: str) -> Any:
    if not keys:
        return default if _is_hollow(value) else _wrap(value)
    if type(value) is dict:
        _, inner = find(value, keys[0])
        return default if inner is None else _walk(inner, keys[1:], default, return_val)
    if type(value) is not list:
        return default
    found: dict[Any, None] = {}
    for item in value:
        inner = _walk(item, keys, default, return_val)
        if isinstance(inner, list | tuple | EventList):
            found.update(dict.fromkeys(inner))
        elif inner is not None:
            found[inner] = None
    values = list(found)
    if not values:
        return default
    if return_val == "first":
        return values[0]
    if return_val == "last":
        return values[-1]
    return values[0] if len(values) == 1 else values


def _is_hollow(value: Any) -> bool:
    return type(value) is list and all(map(_is_hollow, value))


def instant(text: str) -> datetime:
    """Return the instant in `text`: a date and a time, with an offset or in UTC. Raises ValueError if it is none."""
    if (found := _INSTANT.fullmatch(text.strip())) is None:
        raise ValueError(f"{text[:60]!r} is not a date and time")
    day, clock, fraction, offset = found.groups()
    at = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}").replace(tzinfo=UTC)
    at = at.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))
    if offset in {None, "Z", "UTC"}:
        return at
    digits = offset[1:].replace(":", "")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return at - ahead if offset[0] == "+" else at + ahead


def to_plain(value: Any) -> Plain:
    """Return `value` as JSON can hold it, copied down to the last level. Raises TypeError if it cannot be."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Event():
            return value.to_dict()
        case EventList():
            return value.copy()
        case Mapping():
            return {key if isinstance(key, str) else _as_key(key): to_plain(item) for key, item in value.items()}
        case list() | tuple():
            return [to_plain(item) for item in value]
        case set() | frozenset():
            return sorted(map(to_plain, value), key=repr)
        case datetime():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case Sequence():
            return [to_plain(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if type(value).__module__ == "ipaddress":
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _as_key(key: Any) -> str:
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    return str(key)


class EventEncoder(json.JSONEncoder):
    """Writes events, their lists and what else rules return as JSON: `json.dumps(value, cls=EventEncoder)`."""

    def default(self, o: Any) -> Any:
        """Return `o` as plain values."""
        return to_plain(o)
