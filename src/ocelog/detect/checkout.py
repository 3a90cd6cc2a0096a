"""What a folder or a checkout of rules holds, with the helpers and data models that its rules stand on."""

import csv
import io
import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.detect.bundle import STOOD_ON, Bundle, kind_of, read_bundle, written_in_json
from ocelog.detect.parse import parse_item
from ocelog.detect.rule import (
    About,
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
from ocelog.suggest import Suggestions
from ocelog.yaml_nodes import is_name

_MAX_ROWS = 200_000


class _HasPlace(Protocol):
    @property
    def place(self) -> Place: ...


class _WithAbout(Protocol):
    @property
    def about(self) -> About: ...


_T = TypeVar("_T", bound=_HasPlace)


class Problem(Struct, frozen=True, kw_only=True):
    """A file that does not read, or does not fit with the others."""

    id: str
    """What it is about: the id of a rule, or the file."""
    message: str
    """Opens with `file:line`."""
    file: str = ""
    """Where it is."""


class NetworkRows(Mapping[str, Any]):
    """Rows whose primary keys are networks, as CIDR: an address finds that of the smallest network that it is in."""

    def __init__(self, rows: Mapping[str, Any]) -> None:
        self._rows = rows
        self.has_networks = False
        within: dict[tuple[int, int], dict[int, Any]] = {}
        """Version of the protocol and unused bits -> used bits -> row."""
        for key, row in rows.items():
            try:
                found = ip_network(key, strict=False)
            except ValueError:
                continue
            unused = found.max_prefixlen - found.prefixlen
            within.setdefault((found.version, unused), {})[int(found.network_address) >> unused] = row
            self.has_networks |= "/" in key
        self._within = sorted(within.items(), key=lambda one: one[0])

    def __getitem__(self, key: str) -> Any:
        if key in self._rows:
            return self._rows[key]
        try:
            address = ip_address(key)
        except ValueError:
            raise KeyError(key) from None
        for (version, unused), rows in self._within:
            if version == address.version and (at := int(address) >> unused) in rows:
                return rows[at]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Checkout(Struct, frozen=True, kw_only=True):
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
    refused: Mapping[str, str] = field(default_factory=dict)
    """Python file -> why its text is not here."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """YAML file of a rule -> its text."""
    passed_over: tuple[str, ...] = ()
    """YAML files that seem to be nothing of rules."""
    is_empty: bool = False
    """Whether there is neither a rule nor anything that rules stand on."""

    def members(self, pack: Pack) -> tuple[str, ...]:
        """Return the ids that `pack` turns on: all that it lists but rules that are experimental or deprecated."""
        return members(pack, (*self.rules.values(), *self.correlations.values()))

    @property
    def shared_files(self) -> tuple[str, ...]:
        """The files that any rule may stand on: helpers, data models and lookup tables."""
        every: list[Global | DataModel | LookupTable] = [*self.globals.values(), *self.models.values()]
        every += self.tables.values()
        return tuple(sorted({name for one in every for name in (one.place.file, one.file) if name is not None}))


def members(pack: Pack, rules: Iterable[_WithAbout]) -> tuple[str, ...]:
    """Return the ids that `pack` turns on, if these are all rules that there are."""
    unstable = {one.about.id for one in rules if one.about.status is not Status.STABLE}
    return tuple(one for one in pack.ids if one not in unstable)


def read_checkout(path: Path, changing: Collection[str] | None = None) -> Checkout:
    """Read the rules in `path`, a folder or a file, and what they stand on from all of their checkout.

    Raises RuleFileError if there is nothing at `path`. A file that is wrong is a problem of the result, and the others
    are read.

    `changing`: log types whose records change. A rule whose alerts are to live with the records of another is a
    problem; None: that is not looked at.
    """
    return parse_checkout(read_bundle(path), changing)


def parse_checkout(bundle: Bundle, changing: Collection[str] | None = None) -> Checkout:
    """Read the rules of a bundle, as `read_checkout` does."""
    found = _Reader(bundle).read()
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
            problems.append(Problem(id=rule.id, message=problem, file=rule.place.file))
    wrong = {one.id for one in problems}
    kept = {name: rule for name, rule in checkout.rules.items() if name not in wrong}
    return replace(checkout, rules=kept, problems=(*checkout.problems, *problems))


def keep_good(bundle: Bundle, before: Bundle) -> tuple[Bundle, tuple[Problem, ...]]:
    """Put the files of `before` in the place of those that do not read any more, and say which these are, and why.

    Compiles Python and runs none; that alone is for a process that may do nothing else.
    """
    wrong = {file: why for file, why in bundle.refused.items() if file in before.files}
    for file, content in bundle.files.items():
        if content != before.files.get(file, content) and (why := problem_of(file, content)) is not None:
            wrong[file] = why
    wrong = {file: why for file, why in wrong.items() if problem_of(file, before.files[file]) is None}
    files = {**bundle.files, **{file: before.files[file] for file in wrong}}
    refused = {file: why for file, why in bundle.refused.items() if file not in wrong}
    kept = replace(bundle, files=dict(sorted(files.items())), refused=refused)
    return kept, tuple(Problem(id=file, message=why, file=file) for file, why in sorted(wrong.items()))


def problem_of(file: str, content: bytes) -> str | None:
    """Say why a file does not read; None if it does. Compiles Python, and runs none."""
    try:
        text = content.decode("utf-8-sig")
        match posixpath.splitext(file)[1].lower():
            case ".py":
                compile(text, file, "exec", dont_inherit=True)
            case ".yml" | ".yaml":
                parse_item(text, file)
            case suffix:
                for _ in _parsed_rows(suffix, text):
                    pass
    except RuleFileError as error:
        return str(error)
    except SyntaxError as error:
        return f"{file}:{error.lineno or 1}: {error.msg}"
    except UnicodeDecodeError as error:
        return f"{file}:1: the file is not UTF-8 text (byte {error.start})"
    except (ValueError, csv.Error, RecursionError, MemoryError) as error:
        return f"{file}:1: {error or type(error).__name__}"
    return None


class _Reader:
    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._problems: list[Problem] = [
            Problem(id=file, message=why, file=file)
            for file, why in bundle.refused.items()
            if (file.endswith((".yml", ".yaml")) or why == written_in_json(file)) and bundle.holds(file)
        ]
        self._sources: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._refused: dict[str, str] = dict(bundle.refused)
        self._unread: dict[str, str] = {}
        """Id of a rule, or file -> why it does not read."""

    def read(self) -> Checkout:
        mine: list[Item] = []
        stood_on: list[Item] = []
        out_of_scope: list[tuple[str, str]] = []
        for file in self._bundle.files:
            in_scope = self._bundle.holds(file)
            if not file.endswith((".yml", ".yaml")) or (text := self._text(file, report=in_scope)) is None:
                continue
            kind = kind_of(text)
            if in_scope or kind in STOOD_ON:
                (mine if in_scope else stood_on).extend(self._items(file, text, report=in_scope))
            elif kind == "rule":
                out_of_scope.append((file, text))
        for derived in [one for one in mine if isinstance(one, Derived)]:
            stood_on += self._bases(derived, [*mine, *stood_on], out_of_scope)
        return self._assemble(mine, stood_on)

    def _text(self, file: str, *, report: bool) -> str | None:
        """Return what is in `file`; None if it is not in the bundle, or is not text."""
        if (content := self._bundle.files.get(file)) is None:
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._refused[file] = f"{file}:1: the file is not UTF-8 text (byte {error.start})"
            if report:
                self._problems.append(Problem(id=file, message=self._refused[file], file=file))
            return None

    def _items(self, file: str, text: str, *, report: bool) -> list[Item]:
        self._texts[file] = text
        try:
            return [parse_item(text, file)]
        except RuleFileError as error:
            found = re.search(r"""^["']?RuleID["']?[ \t]*:[ \t]*["']?([^"'\n#]+)""", text, re.MULTILINE)
            name = found[1].strip() if found and is_name(found[1].strip()) else file
            self._unread[name] = str(error)
            if report:
                self._problems.append(Problem(id=name, message=str(error), file=file))
            return []

    def _bases(self, derived: Derived, known: list[Item], out_of_scope: list[tuple[str, str]]) -> list[Item]:
        """Return the rules that `derived` takes its logic from, as far as they are not in `known`."""
        found = list[Item]()
        seen = set[str]()
        wanted = derived.base
        while wanted not in seen:
            seen.add(wanted)
            bases = [one for one in known if isinstance(one, Rule | Derived) and one.id == wanted]
            if not bases:
                items = [self._items(file, text, report=False) for file, text in out_of_scope if wanted in text]
                bases = [one for each in items for one in each if isinstance(one, Rule | Derived) and one.id == wanted]
                found += bases[:1]
            if bases and isinstance(bases[0], Derived):
                wanted = bases[0].base
        return found

    def _assemble(self, mine: list[Item], stood_on: list[Item]) -> Checkout:
        every = [*mine, *stood_on]
        bases = self._by_id([one for one in every if isinstance(one, Rule | Derived)], lambda one: one.id)
        rules: dict[str, Rule] = {}
        meant = Suggestions(bases)
        for one in mine:
            if isinstance(one, Rule | Derived) and bases[one.id] is one and (rule := self._resolve(one, bases, meant)):
                rules[one.id] = rule
        globals_ = self._by_id([one for one in every if isinstance(one, Global)], lambda one: one.id)
        models: dict[str, DataModel] = {}
        for model in sorted((one for one in every if isinstance(one, DataModel)), key=lambda one: one.place):
            for log_type in model.log_types if model.enabled else ():
                first = models.setdefault(log_type, model)
                if first is not model and self._bundle.holds(model.place.file):
                    problem = f"{model.place}: {log_type} has a data model already, in {first.place.file}"
                    self._problems.append(Problem(id=model.id, message=problem, file=model.place.file))
        tables = self._by_id([one for one in every if isinstance(one, LookupTable)], lambda one: one.name)
        for file in {
            *(one.file for one in rules.values()),
            *(one.file for one in globals_.values()),
            *(one.file for one in models.values()),
        }:
            if file is not None and (source := self._text(file, report=False)) is not None:
                self._sources[file] = source
        return Checkout(
            root=self._bundle.root,
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
            refused=self._refused,
            texts={file: self._texts[file] for file in {one.place.file for one in rules.values()}},
            passed_over=self._bundle.passed_over,
            is_empty=not mine and not self._problems,
        )

    def _by_id(self, items: Iterable[_T], id_of: Callable[[_T], str]) -> dict[str, _T]:
        """Key `items` by their ids; one whose id is taken is a problem."""
        keyed: dict[str, _T] = {}
        for item in items:
            name = id_of(item)
            if name in keyed:
                place, first = item.place, keyed[name].place
                problem = f"{place}: the id {name!r} is taken by {first.file}"
                self._problems.append(Problem(id=name, message=problem, file=place.file))
            else:
                keyed[name] = item
        return keyed

    def _resolve(self, rule: Rule | Derived, bases: Mapping[str, Rule | Derived], meant: Suggestions) -> Rule | None:
        chain: list[Derived] = []
        while isinstance(rule, Derived):
            chain.append(rule)
            if rule.base not in bases:
                unread = self._unread.get(rule.base)
                problem = f"there is no rule {rule.base!r} to derive from{meant.suggest(rule.base)}"
                if unread is not None:
                    problem = f"the rule {rule.base!r}, which it is derived from, has an error: {unread}"
                self._problems.append(Problem(id=chain[0].id, message=f"{rule.place}: {problem}", file=rule.place.file))
                return None
            rule = bases[rule.base]
            if rule in chain:
                problem = f"{rule.place}: the rule is derived from itself"
                self._problems.append(Problem(id=chain[0].id, message=problem, file=rule.place.file))
                return None
        for derived in reversed(chain):
            about = replace(rule.about, **{**derived.about, "id": derived.id, "place": derived.place})
            files = (*rule.base_files, rule.place.file)
            # Its base's tests say what the base must do.
            fields = {"tests": (), **derived.rule}
            rule = replace(rule, about=about, base=derived.base, base_files=files, **fields)
        return rule

    def _rows(self, table: LookupTable) -> Mapping[str, Any] | str:
        if not table.enabled:
            return "it is not enabled"
        if table.file is None:
            return "they come from outside the checkout"
        text = self._text(table.file, report=False)
        if text is None:
            why = self._refused.get(table.file, f"{table.place}: {table.file} cannot be read")
            self._problems.append(Problem(id=table.name, message=why, file=table.place.file))
            return f"{table.file} cannot be read"
        try:
            return _keyed(_parsed_rows(posixpath.splitext(table.file)[1].lower(), text), table)
        except (ValueError, csv.Error) as error:
            problem = f"{table.file}: {error}"
            self._problems.append(Problem(id=table.name, message=problem, file=table.place.file))
            return problem


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
    # Whether they are networks is said by the schema, which need not be in the checkout.
    within = NetworkRows(keyed) if any("/" in key for key in keyed) else None
    return within if within is not None and within.has_networks else keyed
