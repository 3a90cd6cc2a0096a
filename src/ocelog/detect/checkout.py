"""What a folder or a checkout of rules holds, with the helpers and data models that its rules stand on.

Files are read, never written. Links to folders are not followed, and no file outside the checkout is read.
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ocelog.detect.document import MAX_BYTES
from ocelog.detect.parse import parse_item
from ocelog.detect.rule import (
    CorrelationRule,
    DataModel,
    Derived,
    Global,
    Item,
    LookupTable,
    NotRun,
    Pack,
    Place,
    Query,
    Rule,
    Status,
)
from ocelog.errors import RuleFileError
from ocelog.suggest import suggest

_MARKS = ("global_helpers", "data_models", "packs", ".panther_settings.yml")
"""What only the root of a checkout has."""
_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_KIND = re.compile(r"""^(?:\{[ \t]*)?["']?AnalysisType["']?[ \t]*:[ \t]*["']?(\w+)""", re.MULTILINE)
_LIKELY = re.compile(
    r"""^(?:\{[ \t]*)?["']?(AnalysisType|RuleID|GlobalID|DataModelID|PackID|LookupName|QueryName)["']?[ \t]*:""",
    re.MULTILINE,
)
_STOOD_ON = frozenset({"global", "datamodel", "lookup_table"})
"""Kinds that rules need, wherever in the checkout they are."""
_MAX_FILES = 50_000
_MAX_ROWS = 200_000
_MAX_TABLE_BYTES = 64_000_000


class _Placed(Protocol):
    @property
    def place(self) -> Place: ...


_T = TypeVar("_T", bound=_Placed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that does not read, or does not fit with the others."""

    id: str
    """What it is about: the id of a rule, or the file."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The rules under a path, and what they stand on; all of it has been read."""

    root: Path
    rules: Mapping[str, Rule]
    """By id; derived rules have the logic of their base."""
    correlations: Mapping[str, CorrelationRule] = field(default_factory=dict)
    queries: Mapping[str, Query] = field(default_factory=dict)
    globals: Mapping[str, Global] = field(default_factory=dict)
    models: Mapping[str, DataModel] = field(default_factory=dict)
    """By log type."""
    packs: Mapping[str, Pack] = field(default_factory=dict)
    tables: Mapping[str, LookupTable] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Any] | str] = field(default_factory=dict)
    """Lookup table -> primary key -> row; a text says why the rows are not here."""
    not_run: tuple[NotRun, ...] = ()
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """Python file -> its text."""

    def members(self, pack: Pack) -> tuple[str, ...]:
        """Return the ids that `pack` turns on: all that it lists but rules that are experimental or deprecated."""
        statuses: dict[str, Status] = {one.id: one.about.status for one in self.rules.values()}
        statuses |= {one.id: one.about.status for one in self.correlations.values()}
        return tuple(one for one in pack.ids if statuses.get(one, Status.STABLE) is Status.STABLE)


def find_root(path: Path) -> Path:
    """Return the root of the checkout that `path` lies in: the nearest folder that looks like one, else `path`."""
    start = path.resolve()
    start = start if start.is_dir() else start.parent
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in _MARKS):
            return folder
        if (folder / ".git").exists():
            return folder
    return start


def read_checkout(path: Path, changing: Collection[str] | None = None) -> Checkout:
    """Read the rules in `path`, a folder or a file, and what they stand on from all of their checkout.

    Raises RuleFileError if there is nothing at `path`. A file that is wrong is a problem of the result, and the others
    are read.

    `changing`: log types whose records change. A rule whose alerts are to live with the records of another is a
    problem; None: that is not looked at.
    """
    if not path.exists():
        raise RuleFileError(f"{path}:1: there is no such file or folder")
    found = _Reader(path).read()
    return found if changing is None else _without_fixed_records(found, changing)


def _without_fixed_records(checkout: Checkout, changing: Collection[str]) -> Checkout:
    """Take out rules whose alerts are to live with records that never change: such alerts would never end."""
    problems = []
    for rule in checkout.rules.values():
        fixed = [one for one in rule.log_types if one not in changing]
        if rule.about.lives_with_record and fixed:
            problem = f"{rule.place}: `AlertLivesWithRecord`: records of {fixed[0]} never change"
            if changing:
                problem += f"; those of {' and '.join(sorted(changing))} do"
            problems.append(Problem(id=rule.id, message=problem))
    wrong = {one.id for one in problems}
    kept = {name: rule for name, rule in checkout.rules.items() if name not in wrong}
    return replace(checkout, rules=kept, problems=(*checkout.problems, *problems))


class _Reader:
    def __init__(self, path: Path) -> None:
        self._root = find_root(path)
        self._scope = _described_by(path.resolve())
        self._problems: list[Problem] = []
        self._sources: dict[str, str] = {}

    def read(self) -> Checkout:
        mine: list[Item] = []
        stood_on: list[Item] = []
        elsewhere: list[tuple[Path, str]] = []
        for file in self._files():
            in_scope = file.is_relative_to(self._scope)
            if (text := self._text(file, report=in_scope)) is None:
                continue
            kind = found[1] if (found := _KIND.search(text)) else None
            if kind is None and not (in_scope and _LIKELY.search(text)):
                continue
            if in_scope or kind in _STOOD_ON:
                (mine if in_scope else stood_on).extend(self._items(file, text, report=in_scope))
            elif kind == "rule":
                elsewhere.append((file, text))
        for derived in [one for one in mine if isinstance(one, Derived)]:
            stood_on += self._bases(derived, [*mine, *stood_on], elsewhere)
        return self._assemble(mine, stood_on)

    def _files(self) -> Iterator[Path]:
        count = 0
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
            for name in sorted(names):
                if name.endswith((".yml", ".yaml")) and not name.startswith("."):
                    count += 1
                    if count > _MAX_FILES:
                        raise RuleFileError(f"{self._root}:1: holds more than {_MAX_FILES:,} YAML files")
                    yield Path(folder, name)

    def _name(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()

    def _text(self, file: Path, *, report: bool, most: int = MAX_BYTES) -> str | None:
        name = self._name(file)
        try:
            return _read_text(self._root, file, name, most)
        except RuleFileError as error:
            if report:
                self._problems.append(Problem(id=name, message=str(error)))
            return None

    def _items(self, file: Path, text: str, *, report: bool) -> list[Item]:
        name = self._name(file)
        try:
            return [parse_item(text, name)]
        except RuleFileError as error:
            if report:
                found = re.search(r"""^["']?RuleID["']?[ \t]*:[ \t]*["']?([^"'\n#]+)""", text, re.MULTILINE)
                self._problems.append(Problem(id=found[1].strip() if found else name, message=str(error)))
            return []

    def _bases(self, derived: Derived, known: list[Item], elsewhere: list[tuple[Path, str]]) -> list[Item]:
        """Return the rules that `derived` takes its logic from, as far as they are not in `known`."""
        found = list[Item]()
        seen = set[str]()
        wanted = derived.base
        while wanted not in seen:
            seen.add(wanted)
            bases = [one for one in known if isinstance(one, Rule | Derived) and one.id == wanted]
            if not bases:
                items = [self._items(file, text, report=False) for file, text in elsewhere if wanted in text]
                bases = [one for each in items for one in each if isinstance(one, Rule | Derived) and one.id == wanted]
                found += bases[:1]
            if bases and isinstance(bases[0], Derived):
                wanted = bases[0].base
        return found

    def _assemble(self, mine: list[Item], stood_on: list[Item]) -> Checkout:
        every = [*mine, *stood_on]
        bases = self._by_id([one for one in every if isinstance(one, Rule | Derived)], lambda one: one.id)
        rules: dict[str, Rule] = {}
        for one in mine:
            if isinstance(one, Rule | Derived) and bases[one.id] is one and (rule := self._resolve(one, bases)):
                rules[one.id] = rule
        globals_ = self._by_id([one for one in every if isinstance(one, Global)], lambda one: one.id)
        models: dict[str, DataModel] = {}
        for model in sorted((one for one in every if isinstance(one, DataModel)), key=lambda one: one.place):
            for log_type in model.log_types if model.enabled else ():
                models.setdefault(log_type, model)
        tables = self._by_id([one for one in every if isinstance(one, LookupTable)], lambda one: one.name)
        for file in {
            *(one.file for one in rules.values()),
            *(one.file for one in globals_.values()),
            *(one.file for one in models.values()),
        }:
            if file is not None and (source := self._text(self._root / file, report=False)) is not None:
                self._sources[file] = source
        return Checkout(
            root=self._root,
            rules=rules,
            correlations=self._by_id([one for one in mine if isinstance(one, CorrelationRule)], lambda one: one.id),
            queries=self._by_id([one for one in mine if isinstance(one, Query)], lambda one: one.name),
            globals=globals_,
            models=models,
            packs=self._by_id([one for one in mine if isinstance(one, Pack)], lambda one: one.id),
            tables=tables,
            rows={name: self._rows(table) for name, table in tables.items()},
            not_run=tuple(one for one in mine if isinstance(one, NotRun)),
            problems=tuple(self._problems),
            sources=self._sources,
        )

    def _by_id(self, items: Iterable[_T], id_of: Callable[[_T], str]) -> dict[str, _T]:
        """Key `items` by their ids; one whose id is taken is a problem."""
        keyed: dict[str, _T] = {}
        for item in items:
            name = id_of(item)
            if name in keyed:
                place, first = item.place, keyed[name].place
                problem = f"{place}: the id {name!r} is taken by {first.file}"
                self._problems.append(Problem(id=name, message=problem))
            else:
                keyed[name] = item
        return keyed

    def _resolve(self, rule: Rule | Derived, bases: Mapping[str, Rule | Derived]) -> Rule | None:
        chain: list[Derived] = []
        while isinstance(rule, Derived):
            chain.append(rule)
            if rule.base not in bases:
                problem = f"{rule.place}: there is no rule {rule.base!r} to derive from{suggest(rule.base, bases)}"
                self._problems.append(Problem(id=chain[0].id, message=problem))
                return None
            rule = bases[rule.base]
            if rule in chain:
                problem = f"{rule.place}: the rule is derived from itself"
                self._problems.append(Problem(id=chain[0].id, message=problem))
                return None
        for derived in reversed(chain):
            about = replace(rule.about, **{**derived.about, "id": derived.id, "place": derived.place})
            # Its base's tests say what the base must do.
            rule = replace(rule, about=about, base=derived.base, **{"tests": (), **derived.rule})
        return rule

    def _rows(self, table: LookupTable) -> Mapping[str, Any] | str:
        if not table.enabled:
            return "it is not enabled"
        if table.file is None:
            return "they come from outside the checkout"
        file = self._root / table.file
        text = self._text(file, report=False, most=_MAX_TABLE_BYTES)
        if text is None:
            return f"{table.file} cannot be read"
        try:
            return _keyed(_parsed_rows(file.suffix.lower(), text), table)
        except (ValueError, csv.Error) as error:
            problem = f"{table.file}: {error}"
            self._problems.append(Problem(id=table.name, message=problem))
            return problem


def _described_by(path: Path) -> Path:
    """Return the YAML file beside a Python file, which says what it is; any other path as it is."""
    beside = [path.with_suffix(suffix) for suffix in (".yml", ".yaml")] if path.suffix == ".py" else []
    return next((one for one in beside if one.exists()), path)


def _read_text(root: Path, file: Path, name: str, most: int) -> str:
    try:
        if not file.resolve().is_relative_to(root):
            raise RuleFileError(f"{name}:1: the file lies outside the checkout")
        with file.open("rb") as opened:
            # The size of a device, or of a pipe, is not known before.
            content = opened.read(most + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise RuleFileError(f"{name}:1: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RuleFileError(f"{name}:1: the file is not UTF-8 text (byte {error.start})") from error
    if len(content) > most:
        raise RuleFileError(f"{name}:1: has more than {most:,} bytes")
    return text


def _parsed_rows(suffix: str, text: str) -> Iterable[Any]:
    if suffix == ".csv":
        return csv.DictReader(io.StringIO(text, newline=""))
    if suffix == ".json":
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise ValueError("expected a list of rows")
        return rows
    return (json.loads(line) for line in text.splitlines() if line.strip())


def _keyed(rows: Iterable[Any], table: LookupTable) -> Mapping[str, Any]:
    keyed: dict[str, Any] = {}
    for count, row in enumerate(rows, start=1):
        if count > _MAX_ROWS:
            raise ValueError(f"holds more than {_MAX_ROWS:,} rows")
        if not isinstance(row, dict) or row.get(table.primary_key) is None:
            raise ValueError(f"row {count} has no {table.primary_key!r}, the primary key of {table.name!r}")
        keyed[str(row[table.primary_key])] = row
    return keyed
