"""What a YAML file holds, and on which line: nodes that can say `file:line: what is wrong, nearest valid name`."""

import re
from collections.abc import Collection, Mapping
from typing import TypeAlias

import yaml

from ocelog.errors import SchemaError
from ocelog.suggest import suggest

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_NESTING = 200
"""libyaml composes by recursion in C, without a limit: deeper text would end the process."""
_NAME = re.compile(r"[A-Za-z_@$][\w@$:/ -]{0,127}")
_LOG_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}(\.[A-Za-z0-9_]{1,64}){0,7}")
_TRUTHS: Mapping[str, bool] = {"true": True, "false": False}


def parse(text: str, origin: str) -> "YamlNode":
    """Return the root of the YAML in `text`. Raises SchemaError if it is not YAML, or there is nothing in it."""
    try:
        _refuse_deep(text, origin)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SchemaError(f"{origin}:{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise SchemaError(f"{origin}:{line}: this is not YAML: {getattr(error, 'reason', error)}") from error
    if node is None:
        raise SchemaError(f"{origin}:1: the file is empty; expected a log schema with `schema` and `fields`")
    return YamlNode(node, origin)


def _line(place: yaml.Node | yaml.Event) -> int:
    return place.start_mark.line + 1 if place.start_mark else 1


def _refuse_deep(text: str, origin: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        match event:
            case yaml.CollectionStartEvent():
                depth += 1
            case yaml.CollectionEndEvent():
                depth -= 1
        if depth > _MAX_NESTING:
            raise SchemaError(f"{origin}:{_line(event)}: nested more than {_MAX_NESTING} deep")


Node: TypeAlias = yaml.Node


class YamlNode:
    """A YAML value with its place."""

    def __init__(self, node: Node, origin: str) -> None:
        self._node = node
        self._origin = origin

    def wrong(self, problem: str) -> SchemaError:
        """Return the error that says `problem` of this place."""
        return SchemaError(f"{self._origin}:{_line(self._node)}: {problem}")

    def mapping(self) -> "YamlMapping":
        """Return the keys and values here."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.wrong(f"expected a mapping of keys to values, found {self._found()}")
        pairs: dict[str, tuple[YamlNode, YamlNode]] = {}
        for key_node, value_node in self._node.value:
            key = YamlNode(key_node, self._origin)
            name = key.text()
            if name in pairs:
                raise key.wrong(f"the key {name!r} appears twice")
            pairs[name] = (key, YamlNode(value_node, self._origin))
        return YamlMapping(self, pairs)

    def items(self) -> "list[YamlNode]":
        """Return the items of the list here."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.wrong(f"expected a list, found {self._found()}")
        return [YamlNode(item, self._origin) for item in self._node.value]

    def some(self, what: str) -> "list[YamlNode]":
        """Return the items of the list here, of which there must be one; `what` is one of them."""
        items = self.items()
        if not items:
            raise self.wrong(f"expected at least one {what}, found an empty list")
        return items

    def text(self) -> str:
        """Return the scalar here as it is written."""
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag.endswith(":null"):
            raise self.wrong(f"expected text, found {self._found()}")
        return str(self._node.value)

    def truth(self) -> bool:
        """Return the true or false here."""
        if self.text().lower() not in _TRUTHS:
            raise self.wrong(f"expected true or false, found {self.text()!r}")
        return _TRUTHS[self.text().lower()]

    def natural(self) -> int:
        """Return the whole number here, 0 to 1,000,000."""
        if not re.fullmatch(r"\d{1,6}", self.text(), re.ASCII):
            raise self.wrong(f"expected a whole number of 0 or more, found {self.text()!r}")
        return int(self.text())

    def one_of(self, known: Collection[str], *, besides: str = "") -> str:
        """Return the text here, which must be one of `known`."""
        name = self.text()
        if name not in known:
            raise self.wrong(f"{name!r} is not one of {', '.join(known)}{besides}{suggest(name, known)}")
        return name

    def log_type(self) -> str:
        """Return the text here, which must do as the name of a log type, and of a table."""
        name = self.text()
        if not _LOG_TYPE.fullmatch(name):
            raise self.wrong(
                f"{name[:80]!r} is not a valid name for a log type: letters, digits and _, in parts such as Acme.Door"
            )
        return name

    def field_name(self) -> str:
        """Return the text here, which must do as the name of a field, and of a column."""
        name = self.text()
        if not _NAME.fullmatch(name):
            raise self.wrong(
                f"{name!r} is not a valid name for a field: use letters, digits, spaces and _@$:/-, at most 128"
            )
        if name.lower().startswith("p_"):
            raise self.wrong(f"the field {name!r} would hide a standard field: names that begin with p_ are reserved")
        return name

    def _found(self) -> str:
        match self._node:
            case yaml.MappingNode():
                return "a mapping"
            case yaml.SequenceNode():
                return "a list"
            case yaml.ScalarNode(value="") | yaml.ScalarNode(tag="tag:yaml.org,2002:null"):
                return "nothing"
            case _:
                return repr(self._node.value)


class YamlMapping:
    """The keys and values of a YAML mapping."""

    def __init__(self, place: YamlNode, pairs: Mapping[str, tuple[YamlNode, YamlNode]]) -> None:
        self._place = place
        self._pairs = pairs
        """Name -> the key and the value, each with its place."""

    def wrong(self, problem: str) -> SchemaError:
        """Return the error that says `problem` of the mapping as a whole."""
        return self._place.wrong(problem)

    def get(self, key: str) -> YamlNode | None:
        """Return the value of `key`, None if it is missing."""
        return self._pairs[key][1] if key in self._pairs else None

    def needs(self, key: str) -> YamlNode:
        """Return the value of `key`, which must be there."""
        if key not in self._pairs:
            raise self.wrong(f"`{key}` is missing")
        return self._pairs[key][1]

    def not_later(self, later: Mapping[str, str]) -> None:
        """Refuse keys of the language that this version does not read."""
        for name, (key, _) in self._pairs.items():
            if name in later:
                raise key.wrong(f"`{name}` ({later[name]}) is not supported yet")

    def only(self, known: Collection[str], *, later: Mapping[str, str], context: str = "") -> None:
        """Refuse keys that are not in `known`."""
        self.not_later(later)
        for name, (key, _) in self._pairs.items():
            if name not in known:
                raise key.wrong(f"unknown key {name!r}{context}{suggest(name, known)}")
