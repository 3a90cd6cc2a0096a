"""The rules in a folder, before they are registered: their tests, the names in them, and new ones."""

import re
import shlex
from collections.abc import Callable, Collection
from importlib import resources
from itertools import islice
from pathlib import Path, PurePosixPath
from string import Template

from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.log_types import changing
from ocelog.app.rule_folders.rule_folders import near
from ocelog.app.rules.query_checks import query_faults
from ocelog.detect.bundle import read_inside
from ocelog.detect.checking import Names, WrongName, check, check_helpers
from ocelog.detect.checkout import Checkout, Problem, problem_of, read_checkout
from ocelog.detect.parse import read_each
from ocelog.detect.rule import Place
from ocelog.detect.testing import Failure, Report, TestsNotRun
from ocelog.errors import ConfigError, RuleFileError
from ocelog.installation.config import home_path
from ocelog.rule_workers.trials import Trials
from ocelog.schema.language.fields import LogSchema, Text
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.secrets.secret import shown
from ocelog.yaml_nodes import syntax_fault

__all__ = ["CheckResult", "Failure", "Report", "TestsNotRun", "check_rules", "new_rule", "run_tests"]
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,199}", re.ASCII)
_MOST_TOLD = 3
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-_]+")
"""What lies between two words of an id."""


class CheckResult(Struct, frozen=True, kw_only=True):
    """What checking rules came to."""

    root: Path
    """What the files of problems are relative to."""
    rules: int
    unreadable: tuple[tuple[str, str], ...]
    """Rule or file, and why it cannot be read; the reason opens with `file:line:`."""
    wrong: tuple[WrongName, ...]
    no_source: dict[str, list[str]]
    """Log types that exist, and no source here has -> the rules about them."""
    not_yaml: tuple[WrongName, ...] = ()
    """Files that may be meant as rules, and cannot be read."""
    not_run: tuple[WrongName, ...] = ()
    """Queries that were written for another engine, and why they do not run here."""


def run_tests(path: Path, *, told: Callable[[int, int], None]) -> Report:
    """Run the tests of the rules at `path`, a folder or a file of a checkout, and return what came of them.

    `told` hears how many tests of how many are done. Raises RuleFileError if there is nothing that can be read, and
    SandboxError if this machine cannot keep rules in.
    """
    checkout = _read(path)
    report = Trials(path=path, changing=changing(), keep_out=(str(home_path()),), told=told).run()
    left = [
        TestsNotRun(rule=each.query, why=each.why) for each in query_faults(checkout.queries.values(), checkout.root)
    ]
    return replace(report, not_run=(*report.not_run, *left))


def check_rules(path: Path, *, rules: Collection[str] = (), channels: Collection[str] | None = None) -> CheckResult:
    """Find the names in the rules at `path` that nothing has: log types, fields, queries, rules, destinations, columns.

    Each query is planned, on tables without rows.

    `rules` are those of other folders, `channels` names and ids of those there are; None: they are not looked at.
    Raises RuleFileError if there is nothing that can be read.
    """
    checkout = _read(path)
    names = Names(schemas=packaged_schemas(), rules=rules, channels=channels)
    no_source = dict[str, list[str]]()
    for name, rule in checkout.rules.items():
        for log_type in rule.log_types:
            if names.lacks_source(log_type):
                no_source.setdefault(log_type, []).append(name)
    faults = query_faults(checkout.queries.values(), checkout.root)
    told = [(each.is_foreign, WrongName(rule=each.query, place=each.place, why=each.why)) for each in faults]
    wrong = [*check(checkout, names), *check_helpers(checkout), *(one for foreign, one in told if not foreign)]
    return CheckResult(
        root=checkout.root,
        rules=len(checkout.rules) + len(checkout.correlations),
        not_run=tuple(one for foreign, one in told if foreign),
        unreadable=tuple(
            (one.id, f"{checkout.root}/{message}")
            for one in checkout.problems
            for message in (one.message, *_more_wrong(checkout, one, names))
        ),
        wrong=tuple(sorted(wrong, key=lambda one: (one.place, one.rule))),
        no_source=dict(sorted(no_source.items())),
        not_yaml=_not_yaml(checkout),
    )


def new_rule(rule: str, *, folder: Path, log_type: str, python: bool) -> list[Path]:
    """Write the files of a new rule into `folder`, and return them; the first is its YAML.

    Its tests pass: a person changes it from there. Raises ConfigError if one of the files is there already.
    """
    if not _ID.fullmatch(rule):
        raise ConfigError(f"A rule's id has only letters, digits, points, dashes and underscores, not {shown(rule)}.")
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}.")
    stem = _WORDS.sub("_", rule.rpartition(".")[2]).lower()
    values = {
        "id": rule,
        "name": _WORDS.sub(" ", rule.rpartition(".")[2]).replace("_", " ").capitalize(),
        "log_type": log_type,
        "field": _example_field(packaged_schemas()[log_type]),
        # As whoever types the commands names it, from the folder where they are.
        "file": shlex.quote(str(folder / f"{stem}.yml")),
        "python": f"{stem}.py",
    }
    kinds = ("python_rule.yml", "python_rule.py") if python else ("simple_rule.yml",)
    paths = [folder / f"{stem}{Path(kind).suffix}" for kind in kinds]
    for path in paths:
        if path.exists():
            raise ConfigError(f"{path} is there already: give the rule another id, or another folder with --in.")
    templates = resources.files("ocelog.content").joinpath("templates")
    for path, kind in zip(paths, kinds, strict=True):
        text = Template(templates.joinpath(f"{kind}.txt").read_text("utf-8")).substitute(values)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return paths


def _example_field(schema: LogSchema) -> str:
    """Return a text field that says something of an event."""
    texts = [field.name for field in schema.fields if isinstance(field.type, Text)]
    return next((name for name in ("action", "severity", "status", *texts) if name in texts), texts[0])


def _not_yaml(checkout: Checkout) -> tuple[WrongName, ...]:
    """Return which files of `checkout` are not YAML, of those that seem to be nothing of rules, and why."""
    found = list[WrongName]()
    for file in checkout.passed_over:
        text = (checkout.root / file).read_bytes().decode("utf-8", "replace")
        if (fault := syntax_fault(text)) is not None:
            found.append(WrongName(rule=file, place=Place(file, fault[0]), why=fault[1]))
    return tuple(found)


def _more_wrong(checkout: Checkout, problem: Problem, names: Names) -> list[str]:
    """Return what else is wrong with a file that does not read: with its other keys, its log types, and its Python."""
    content = read_inside(checkout.root, problem.file)
    if content is None or PurePosixPath(problem.file).suffix not in {".yml", ".yaml"}:
        return []
    good, found = read_each(content.decode("utf-8-sig", "replace"), problem.file)
    if (types := good.get("LogTypes")) is not None and not types.is_null:
        each = types.items() if types.is_list else [types]
        found += [str(one.wrong(why)) for one in each if (why := names.unknown(one.text())) is not None]
    if (name := good.get("Filename")) is not None and not (name.is_null or name.is_list or name.is_mapping):
        file = (PurePosixPath(problem.file).parent / name.text()).as_posix()
        if ".." not in file and (code := read_inside(checkout.root, file)) is not None:
            found.append(problem_of(file, code) or "")
    return [one for one in dict.fromkeys(found) if one not in {"", problem.message}]


def _read(path: Path) -> Checkout:
    """Read the rules at `path`. Raises RuleFileError if there are none: then nothing would be checked."""
    if not path.exists():
        raise RuleFileError(f"There is nothing at {path}: name a folder of rules, or one rule's YAML file.")
    checkout = read_checkout(path, changing())
    if checkout.is_empty:
        told = (f"{near(checkout.root / one.place.file)}:{one.place.line}: {one.why}" for one in _not_yaml(checkout))
        why = "".join(f" {each}." for each in islice(told, _MOST_TOLD))
        raise RuleFileError(f"There is no rule in {path}: no YAML file there has an `AnalysisType`.{why}")
    return checkout
