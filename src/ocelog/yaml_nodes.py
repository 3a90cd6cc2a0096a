"""What a YAML file that people write holds: plain values, each with the line that it stands on.

Scalars are read as YAML 1.2 has them, since that is how the rules that people bring are read elsewhere: `on`, `yes` and
`12:30` are text, and so is a date. So is `0189`, since programs that write YAML 1.1 leave out the quotes of such text,
which may be the id of an account. What is wrong is told as `file:line: what is wrong, nearest valid name`.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ocelog.errors import OperatorError
from ocelog.shorten import shorten
from ocelog.suggest import suggest

_MAX_NESTING = 200
"""libyaml composes by recursion in C, without a limit: deeper text would end the process."""
LONGEST_NAME = 250
"""Characters."""
_SHOWN = 40
_MAX_NODES = 200_000
"""Aliases let a small file describe a huge one."""
_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_MERGE = "tag:yaml.org,2002:merge"


def is_name(text: str) -> bool:
    """Whether `text` is one line that can be shown, and that every database takes."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()


class _TooDeepError(Exception):
    def __init__(self, parent: yaml.Node | None) -> None:
        super().__init__()
        self.parent = parent


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # libyaml's, if it is there
    """Resolves plain scalars as YAML 1.2 does, and refuses deep text as it composes."""

    yaml_implicit_resolvers: Mapping[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def descend_resolver(self, parent: yaml.Node | None, _index: object) -> None:
        self.depth += 1
        if self.depth > _MAX_NESTING + 1:
            raise _TooDeepError(parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """As its base does, without what no file needs: it is called for every node."""
        if kind is not yaml.ScalarNode:
            return _MAP if kind is yaml.MappingNode else _SEQ
        if implicit[0]:
            for tag, pattern in self.yaml_implicit_resolvers.get(value[:1], ()):
                if pattern.match(value):
                    return tag
        return _STR


for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", "~nN\0"),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_INT, r"[-+]?(0o[0-7]+|0x[0-9a-fA-F]+|0[0-7_]*|[1-9][0-9_]*)", "-+0123456789"),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*|(?=[eE])))([eE][-+]?[0-9]+)?", "-+.0123456789"),
    (_FLOAT, r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    (_MERGE, r"<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first])
_HALVES = re.compile(r"(?P<backslash>\\\\)|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


@dataclass(slots=True)
class _File:
    name: str
    error: type[OperatorError]
    merged: int = 0
    """Keys that were merged so far. Merges of merges let a small file describe a huge one."""

    def wrong(self, line: int, problem: str) -> OperatorError:
        return self.error(f"{self.name}:{line}: {problem}")


def parse(text: str, origin: str, error: type[OperatorError], *, expected: str) -> "Node":
    """Return the root of the YAML in `text`; `origin` is what errors call the file.

    Raises `error` for whatever is wrong, also later; `expected` is what should be in a file in which there is nothing.
    """
    file = _File(origin, error)
    text = _with_whole_letters(text)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except _TooDeepError as problem:
        line = 1 if problem.parent is None else _line(problem.parent)
        raise file.wrong(line, f"nested more than {_MAX_NESTING} deep") from problem
    except yaml.MarkedYAMLError as problem:
        raise file.wrong(*fault_of(problem, text)) from problem
    except yaml.YAMLError as problem:
        line = text.count("\n", 0, getattr(problem, "position", 0)) + 1
        raise file.wrong(line, f"this is not YAML: {getattr(problem, 'reason', problem)}") from problem
    if node is None:
        raise file.wrong(1, f"the file is empty; expected {expected}")
    return Node(node, file)


def _with_whole_letters(text: str) -> str:
    """Return JSON with what it writes as two halves, such as emoji, written as it is; any other text as it is.

    Of all that programs write as JSON, YAML does not know these alone.
    """
    if not text.lstrip("\ufeff \t\r\n").startswith("{") or not _HALVES.search(text):
        return text
    try:
        json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return text
    return _HALVES.sub(lambda found: found[0] if found["backslash"] else json.loads(f'"{found[0]}"'), text)


def syntax_fault(text: str) -> tuple[int, str] | None:
    """Return the line, and what is wrong there, if `text` is no YAML at all, be it of one document or several."""
    text = _with_whole_letters(text)
    try:
        for _ in yaml.parse(text, _Loader):
            pass
    except yaml.MarkedYAMLError as problem:
        return fault_of(problem, text)
    except yaml.YAMLError as problem:
        line = text.count("\n", 0, getattr(problem, "position", 0)) + 1
        return line, f"this is not YAML: {getattr(problem, 'reason', problem)}"
    return None


def fault_of(problem: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the line of `text`, and what is wrong there; what breaks off does so in its last line."""
    mark, lines = problem.problem_mark, text.splitlines()
    line = mark.line + 1 if mark else 1
    what = str(problem.problem).replace("but got '<stream end>'", "but the file ends here")
    if what == "but found another document":
        return line, "expected one YAML document, found another after it"
    if mark and line <= len(lines) and lines[line - 1][mark.column : mark.column + 1] == "\t":
        what = "a tab where only spaces may stand"
    return min(line, max(1, len(lines))), f"this is not YAML: {what}"


def _line(place: yaml.Node) -> int:
    return place.start_mark.line + 1 if place.start_mark else 1


class Node:
    """A YAML value with its place."""

    __slots__ = ("_file", "_node")

    def __init__(self, node: yaml.Node, file: _File) -> None:
        self._node = node
        self._file = file

    @property
    def origin(self) -> str:
        """The file."""
        return self._file.name

    @property
    def line(self) -> int:
        """The line, counted from 1."""
        return _line(self._node)

    @property
    def is_mapping(self) -> bool:
        """Whether keys and values are here."""
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether a list is here."""
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_null(self) -> bool:
        """Whether nothing is here, or null."""
        return self._node.tag == _NULL

    def wrong(self, problem: str) -> OperatorError:
        """Return the error that says `problem` of this place."""
        return self._file.wrong(self.line, problem)

    def mapping(self, depth: int = 0) -> "NodeMapping":
        """Return the keys and values here."""
        if depth > _MAX_NESTING:
            raise self.wrong("it merges itself")
        if not isinstance(self._node, yaml.MappingNode):
            raise self.wrong(f"expected a mapping of keys to values, found {self._found()}")
        pairs: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in self._node.value:
            key = Node(key_node, self._file)
            if key_node.tag == _MERGE:
                for name, pair in Node(value_node, self._file).mapping(depth + 1).pairs():
                    merged.setdefault(name, pair)
                    self._count_merged()
                self._count_merged()
                continue
            name = key.text()
            if name in pairs:
                raise key.wrong(f"the key {name!r} appears twice")
            pairs[name] = (key, Node(value_node, self._file))
        return NodeMapping(self, {**merged, **pairs})

    def _count_merged(self) -> None:
        self._file.merged += 1
        if self._file.merged > _MAX_NODES:
            raise self.wrong(f"merges more than {_MAX_NODES:,} values")

    def items(self) -> "list[Node]":
        """Return the items of the list here."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.wrong(f"expected a list, found {self._found()}")
        return [Node(item, self._file) for item in self._node.value]

    def texts(self) -> tuple[str, ...]:
        """Return the texts in the list here; a single text stands for a list of one, and nothing for none."""
        if self.is_null:
            return ()
        return tuple(item.text() for item in self.items()) if self.is_list else (self.text(),)

    def text(self) -> str:
        """Return the scalar here as it is written."""
        if not isinstance(self._node, yaml.ScalarNode) or self.is_null:
            raise self.wrong(f"expected text, found {self._found()}")
        return str(self._node.value)

    def filled(self) -> str:
        """Return the text here, of which there must be some."""
        if not (text := self.text()).strip():
            raise self.wrong("expected text, found nothing")
        return text

    def name(self) -> str:
        """Return the name here: one line that can be shown, and that every database takes."""
        text = self.filled()
        if not is_name(text):
            shown = repr(shorten(text, _SHOWN))
            raise self.wrong(f"expected a name of one line, up to {LONGEST_NAME} characters, found {shown}")
        return text

    def truth(self) -> bool:
        """Return the true or false here."""
        if self.text().lower() not in {"true", "false"}:
            raise self.wrong(f"expected true or false, found {self.text()!r}")
        return self.text().lower() == "true"

    def whole(self, least: int, most: int) -> int:
        """Return the whole number here, which must lie from `least` to `most`."""
        text = self.text()
        if not re.fullmatch(r"[-+]?\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise self.wrong(f"expected a whole number from {least:,} to {most:,}, found {text!r}")
        return int(text)

    def one_of(self, known: Collection[str], what: str) -> str:
        """Return the text here, which must be one of `known`; `what` is what they are."""
        name = self.text()
        if name not in known:
            raise self.wrong(f"unknown {what} {name!r}{suggest(name, known) or f'; known: {_few(known)}'}")
        return name

    def value(self, *, last_wins: bool = False) -> Any:
        """Return what is here as plain Python values: dict, list, str, int, float, bool, None.

        `last_wins`: of keys that appear twice, the last one counts, as in JSON; otherwise they are refused.
        """
        return _Builder(self._file, last_wins=last_wins).build(self._node)

    def _found(self) -> str:
        match self._node:
            case yaml.MappingNode():
                return "a mapping"
            case yaml.SequenceNode():
                return "a list"
            case _:
                return "nothing" if self.is_null else repr(self._node.value)


def _few(known: Collection[str]) -> str:
    names = sorted(known)
    return ", ".join(names[:8]) + (" and others" if len(names) > 8 else "")


class NodeMapping:
    """The keys and values of a YAML mapping."""

    __slots__ = ("_pairs", "place")

    def __init__(self, place: Node, pairs: Mapping[str, tuple[Node, Node]]) -> None:
        self.place = place
        self._pairs = pairs

    def wrong(self, problem: str) -> OperatorError:
        """Return the error that says `problem` of the mapping as a whole."""
        return self.place.wrong(problem)

    def pairs(self) -> Iterator[tuple[str, tuple[Node, Node]]]:
        """Yield each name with its key and its value."""
        yield from self._pairs.items()

    def __contains__(self, key: object) -> bool:
        return key in self._pairs

    def get(self, key: str) -> Node | None:
        """Return the value of `key`; None if it is missing or null."""
        pair = self._pairs.get(key)
        return None if pair is None or pair[1].is_null else pair[1]

    def raw(self, key: str) -> Node | None:
        """Return the value of `key`, also if it is null; None if it is missing."""
        pair = self._pairs.get(key)
        return pair[1] if pair else None

    def needs(self, key: str) -> Node:
        """Return the value of `key`, which must be there."""
        if (node := self.get(key)) is None:
            raise self.wrong(f"`{key}` is missing")
        return node

    def only(self, known: Collection[str], context: str = "") -> None:
        """Refuse keys that are not in `known`."""
        for name, (key, _) in self._pairs.items():
            if name not in known:
                raise key.wrong(f"unknown key {name!r}{context}{suggest(name, known)}")


class _Builder:
    """Builds plain values of nodes; counts them, since aliases let a small file describe a huge one."""

    def __init__(self, file: _File, *, last_wins: bool) -> None:
        self._file = file
        self._last_wins = last_wins
        self._count = 0

    def build(self, node: yaml.Node, depth: int = 0) -> Any:
        self._count += 1
        if self._count > _MAX_NODES or depth > _MAX_NESTING:
            raise self._file.wrong(_line(node), f"holds more than {_MAX_NODES:,} values, or itself")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, depth)
            case yaml.SequenceNode():
                return [self.build(item, depth + 1) for item in node.value]
            case _:
                return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[Any, Any]:
        built: dict[Any, Any] = {}
        merged: list[dict[Any, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                found = self.build(value_node, depth + 1)
                merged += [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._file.wrong(_line(key_node), "a key must be text or a number")
            key = self._scalar(key_node)
            if key in built and not self._last_wins:
                raise self._file.wrong(_line(key_node), f"the key {key!r} appears twice")
            built[key] = self.build(value_node, depth + 1)
        for one in merged:
            built = {**one, **built}
        return built

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        try:
            match node.tag:
                case "tag:yaml.org,2002:null":
                    return None
                case "tag:yaml.org,2002:bool":
                    return text.lower() == "true"
                case "tag:yaml.org,2002:int":
                    return _whole(text)
                case "tag:yaml.org,2002:float":
                    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
                case _:
                    return text
        except ValueError as error:
            raise self._file.wrong(_line(node), f"{text[:40]!r} is not a number: {error}") from None


def _whole(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits.removeprefix("+"))
    if digits.startswith(("0o", "0x")):
        return sign * int(digits, 0)
    return sign * int(digits)
