"""How a path into an event is written, and followed: `user.name`, `$.events[*].parameters[?(@.name == 'x')].value`.

This is the part of JSONPath that data models and simple detections use. Names are found whatever their case, as
everywhere in an event.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from ocelog.detect.event import Plain, find

_STEP = re.compile(
    r"""
      (?P<deep>\.\.)(?P<deep_name>[^.\[\]*'"?()`|]+)
    | \.?\*(?P<every_name>)
    | \.?(?P<name>[^.\[\]*'"?()`|]+)
    | \.?(?P<in_quotes>'[^']*'|"[^"]*")
    | \.?\[(?P<index>-?\d{1,6})\]
    | \.?\[\*\](?P<every>)
    | \.?\[(?P<quoted>'[^']*'|"[^"]*")\]
    | \.?\[\?\(?(?P<filter>@[^\[\]]*?)\)?\]
    """,
    re.VERBOSE,
)
_TEST = re.compile(
    r"""\s*@\.?(?P<path>[^=!<>\s]*)\s*(?:(?P<op>==|!=|<=|>=|<|>|=)\s*(?P<value>'[^']*'|"[^"]*"|[^\s'"]+)\s*)?"""
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_MAX_STEPS = 64
_Place: TypeAlias = "tuple[_Place, str] | None"
"""The place that holds it, and the step from there; None: the event. Written out only once it is asked for."""
_Placed: TypeAlias = tuple[_Place, Plain]
"""Where a value is, and the value."""


class _Name(Struct, frozen=True):
    name: str

    def follow(self, value: Plain) -> Iterable[Plain]:
        there, inner = find(value, self.name)
        return (inner,) if there else ()

    def places(self, place: _Place, value: Plain) -> Iterable[_Placed]:
        return (((place, self.name), inner) for inner in self.follow(value))


class _Index(Struct, frozen=True):
    at: int
    name: str | None = None
    """If it may be the name of a field as well."""

    def follow(self, value: Plain) -> Iterable[Plain]:
        if self.name is not None and type(value) is dict:
            return _Name(self.name).follow(value)
        return (value[self.at],) if type(value) is list and -len(value) <= self.at < len(value) else ()

    def places(self, place: _Place, value: Plain) -> Iterable[_Placed]:
        return (((place, f"[{self.at}]"), inner) for inner in self.follow(value))


class _Every(Struct, frozen=True):
    def follow(self, value: Plain) -> Iterable[Plain]:
        if type(value) is dict:
            return value.values()
        return value if type(value) is list else ()

    def places(self, place: _Place, value: Plain) -> Iterable[_Placed]:
        if type(value) is dict:
            return (((place, str(name)), inner) for name, inner in value.items())
        return (((place, f"[{at}]"), inner) for at, inner in enumerate(self.follow(value)))


class _Anywhere(Struct, frozen=True):
    name: str

    def follow(self, value: Plain) -> Iterable[Plain]:
        there, inner = find(value, self.name)
        if there:
            yield inner
        for child in _Every().follow(value):
            yield from self.follow(child)

    def places(self, place: _Place, value: Plain) -> Iterable[_Placed]:
        yield from _Name(self.name).places(place, value)
        for inside, child in _Every().places(place, value):
            yield from self.places(inside, child)


class _Filter(Struct, frozen=True):
    tests: "tuple[tuple[Path, str | None, Any], ...]"

    def follow(self, value: Plain) -> Iterable[Plain]:
        return [item for item in _Every().follow(value) if self._lets_through(item)]

    def places(self, place: _Place, value: Plain) -> Iterable[_Placed]:
        return (one for one in _Every().places(place, value) if self._lets_through(one[1]))

    def _lets_through(self, item: Plain) -> bool:
        return all(_passes(item, *test) for test in self.tests)


_Step: TypeAlias = _Name | _Index | _Every | _Anywhere | _Filter


class Path(Struct, frozen=True):
    """A path, ready to be followed."""

    text: str
    steps: tuple[_Step, ...]

    def __call__(self, data: Plain) -> list[Plain]:
        """Return every value that the path leads to in `data`."""
        values = [data]
        for step in self.steps:
            values = [inner for value in values for inner in step.follow(value)]
        return values

    def places(self, data: Plain) -> Iterator[str]:
        """Yield where in `data` each value is that the path leads to, such as `client.ip` or `items.[0].name`."""
        placed: list[_Placed] = [(None, data)]
        for step in self.steps:
            placed = [inner for place, value in placed for inner in step.places(place, value)]
        return (_written(place) for place, _ in placed)

    @property
    def is_single(self) -> bool:
        """Whether it leads to one value at most."""
        return all(isinstance(step, _Name | _Index) for step in self.steps)

    @property
    def outline(self) -> tuple[str | None, ...]:
        """The names on the way, None for a step to the elements of a list; it ends where the path leads anywhere."""
        found = list[str | None]()
        for step in self.steps:
            if isinstance(step, _Anywhere):
                break
            found.append(step.name if isinstance(step, _Name) else None)
        return tuple(found)

    def read(self, data: Plain) -> tuple[bool, Plain]:
        """Return whether there is anything at the path, and what: a list, if the path may lead to several values."""
        found = self(data)
        if self.is_single:
            return (True, found[0]) if found else (False, None)
        return bool(found), found


def _written(place: _Place) -> str:
    steps = list[str]()
    while place is not None:
        place, step = place
        steps.append(step)
    return ".".join(reversed(steps))


def of_names(names: Iterable[str]) -> Path:
    """Return the path through `names`, which are taken as they are."""
    steps = tuple(map(_Name, names))
    return Path(".".join(step.name for step in steps), steps)


def of_names_and_places(steps: Iterable[tuple[str, int | None]]) -> Path:
    """Return the path through names, of which some may as well be the places of items in lists."""
    found = [(_Name(name), name) if at is None else (_Index(at, name), f"[{at}]") for name, at in steps]
    return Path(".".join(text for _, text in found), tuple(step for step, _ in found))


def parse_path(text: str) -> Path:
    """Read `text` as a path. Raises ValueError, whose message says what cannot be read."""
    rest = text.strip()
    rest = rest[1:] if rest == "$" or rest.startswith(("$.", "$[")) else rest
    steps: list[_Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or len(steps) == _MAX_STEPS:
            raise ValueError(f"the path {text[:80]!r} cannot be read from {rest[at : at + 40]!r} on")
        steps.append(_step(found))
        at = found.end()
    if not steps:
        raise ValueError("the path is empty")
    return Path(text, tuple(steps))


def _step(found: re.Match[str]) -> _Step:
    parts = {key: part for key, part in found.groupdict().items() if part is not None}
    if "deep" in parts:
        return _Anywhere(parts["deep_name"].strip())
    if "name" in parts:
        return _Name(parts["name"].strip())
    if "index" in parts:
        return _Index(int(parts["index"]))
    if (quoted := parts.get("quoted", parts.get("in_quotes"))) is not None:
        return _Name(quoted[1:-1])
    if "filter" in parts:
        return _Filter(tuple(_test(one) for one in re.split(r"&&?", parts["filter"])))
    return _Every()


def _test(text: str) -> tuple[Path, str | None, Any]:
    if (found := _TEST.fullmatch(text)) is None or not found["path"]:
        raise ValueError(f"the filter {text[:80]!r} cannot be read")
    return parse_path(found["path"]), found["op"], _literal(found["value"]) if found["op"] else None


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    if text in _WORDS:
        return _WORDS[text]
    return float(text) if "." in text else int(text)


def _passes(item: Plain, path: Path, name: str | None, value: Any) -> bool:
    found = path(item)
    if name is None:
        return bool(found)
    try:
        return any(_OPERATORS[name](one, value) for one in found)
    except TypeError:
        return False
