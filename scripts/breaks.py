"""Whether each rule is kept by a test: leave the rule out of the code, and the tests named beside it must turn red.

While nothing is left out they must be green. Tried are the breaks of tests/break, without which most would be lost,
doubled, leaked or hang; with `--all` those of tests/break/further, too; with words, those of both whose rule has all of
them, as whole words. Each YAML file is a list of breaks: `rule` (what is left out); `in` (a file, or `FILE::function`);
`code`, an expression or statements that occur there once, however they are laid out; `becomes`, what takes their place
(nothing, if it is not there); or several of these three in `changes`; `tests` (pytest arguments); maybe `env`.
"""

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "break"
LEFT = {".git", ".venv", ".demo", "build", "dist"}
"""What no test reads, or is made anew."""
_LEFT_WITHIN = shutil.ignore_patterns("__pycache__", "node_modules")
LONGEST = 300
"""Seconds that the tests of one break may take; more of them says nothing about the rule, and counts as unnoticed."""
_ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "break"}
_FAILED = re.compile(r"(?:FAILED|ERROR) (.+?)(?: - |$)")
"""A line of pytest's summary about one test."""
RED = 1
"""How pytest ends when a test failed; its other endings say that nothing was tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A piece of code in one place, and what takes its place."""

    file: str
    function: str
    """Dotted, as `Publisher.publish`; empty: the module."""
    code: str
    becomes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One rule left out on purpose."""

    rule: str
    changes: Sequence[Change]
    tests: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the tests ended; `code` is None where they were still running when their time was up."""

    code: int | None
    seconds: float
    last_line: str
    failing: str = ""
    """The first test that failed, as pytest takes it."""

    @property
    def red(self) -> bool:
        """Whether a test noticed: one that still runs when its time is up has not."""
        return self.code == RED

    def fits(self, each: Break) -> bool:
        """Whether it is as it must be: red with a break, green with none."""
        return self.code == (RED if each.changes else 0)


def read(pattern: str = "**/*.yml") -> list[Break]:
    """Read every break of the files that fit `pattern`, in the order of files and lines."""
    return [_parse(each) for path in sorted(FOLDER.glob(pattern)) for each in _loaded(path) or ()]


def _loaded(path: Path) -> Any:
    # libyaml's, if it is there: each worker that collects the tests reads these files.
    return yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def _parse(entry: dict[str, Any]) -> Break:
    changes = [_change(each) for each in entry.get("changes", [entry])]
    env = {name: str(value) for name, value in entry.get("env", {}).items()}
    return Break(rule=entry["rule"], changes=changes, tests=entry["tests"], env=env)


def _change(entry: dict[str, Any]) -> Change:
    file, _, function = entry["in"].partition("::")
    return Change(file=file, function=function, code=entry["code"], becomes=entry.get("becomes", ""))


def problems(each: Break, root: Path = ROOT) -> list[str]:
    """Say what keeps `each` from being carried out on the tree at `root`."""
    found = list[str]()
    for change in each.changes:
        path = root / change.file
        count = len(_places(_parsed(path.read_text()), change)) if path.exists() else 0
        if count != 1:
            place = f"{change.file}::{change.function}" if change.function else change.file
            found.append(f"{each.rule}: {place} holds the code {count} times, not once")
    files = {name.split("::")[0] for name in each.tests if not name.startswith("-") and ".py" in name}
    return found + [f"{each.rule}: there is no {name}" for name in sorted(files) if not (root / name).exists()]


@lru_cache(maxsize=128)
def _parsed(text: str) -> ast.Module:
    """Return the tree of a module. It is shared by all that look for their code in it, and none of them changes it."""
    return ast.parse(text)


def apply(each: Break, root: Path) -> None:
    """Leave the rule out of the tree at `root`."""
    for change in each.changes:
        path = root / change.file
        tree = ast.parse(path.read_text())
        (replace,) = _places(tree, change)
        replace(ast.parse(change.becomes).body)
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)) + "\n")


Replace = Callable[[list[ast.stmt]], None]


def _places(tree: ast.Module, change: Change) -> list[Replace]:
    """Return, for each place where the code of `change` stands in its function, what puts something else there."""
    code = ast.parse(change.code).body
    wanted, kind = [ast.dump(each) for each in code], type(code[0])
    # What may stand within a line.
    part = type(code[0].value) if isinstance(code[0], ast.Expr) else None
    inner = _function(tree, change.function.split(".") if change.function else [])
    found = list[Replace]()
    for node in () if inner is None else ast.walk(inner):
        for name, value in ast.iter_fields(node):
            several = isinstance(value, list)
            for at, child in enumerate(value if several else [value]):
                if several and isinstance(child, kind):
                    if [ast.dump(each) for each in value[at : at + len(wanted)]] == wanted:
                        found.append(_for_statements(value, at, len(wanted)))
                elif (
                    part
                    and isinstance(child, part)
                    and wanted == [ast.dump(ast.Expr(child))]
                    and not isinstance(node, ast.Expr)
                ):
                    found.append(_for_expression(node, name, at if several else None))
    return found


def _function(tree: ast.AST, names: list[str]) -> ast.AST | None:
    if not names:
        return tree
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    inner = (each for each in ast.iter_child_nodes(tree) if isinstance(each, kinds) and each.name == names[0])
    return next((found for each in inner if (found := _function(each, names[1:])) is not None), None)


def _for_statements(body: list[ast.stmt], at: int, count: int) -> Replace:
    def replace(by: list[ast.stmt]) -> None:
        body[at : at + count] = by or [ast.Pass()]

    return replace


def _for_expression(node: ast.AST, name: str, at: int | None) -> Replace:
    def replace(by: list[ast.stmt]) -> None:
        value = by[0].value if by and isinstance(by[0], ast.Expr) else ast.Constant(None)
        if at is None:
            setattr(node, name, value)
        else:
            getattr(node, name)[at] = value

    return replace


def copy_tree(to: Path) -> None:
    """Copy the checkout to `to`, and link the folder `shared` beside the checkout, which some tests read if there.

    All of it: a test that misses a file turns red, and so would look as if it had noticed the break.
    """
    to.mkdir()
    for source in ROOT.iterdir():
        if source.name in LEFT or source.name.endswith("_cache"):
            continue
        if source.is_dir():
            shutil.copytree(source, to / source.name, ignore=_LEFT_WITHIN)
        else:
            shutil.copy(source, to / source.name)
    if (ROOT.parent / "shared").exists():
        (to.parent / "shared").symlink_to(ROOT.parent / "shared")


def run_tests(tests: Sequence[str], tree: Path, env: Mapping[str, str], *, longest: float = LONGEST) -> Outcome:
    """Run `tests` on the code in `tree` (and not on the code that is installed), for `longest` seconds at most."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | _ENVIRONMENT | {"PYTHONPATH": str(tree / "src")} | dict(env),
            capture_output=True,
            text=True,
            timeout=longest,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(code=None, seconds=longest, last_line="still running")
    lines = (done.stdout + done.stderr).strip().splitlines() or [""]
    failing = next((found[1] for line in lines if (found := _FAILED.match(line)) is not None), "")
    return Outcome(
        code=done.returncode, seconds=time.monotonic() - began, last_line=lines[-1].strip("= "), failing=failing
    )


def try_break(each: Break) -> Outcome:
    """Run the tests of `each` on a copy of the tree that lacks its rule."""
    with tempfile.TemporaryDirectory(prefix="break-") as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        apply(each, tree)
        return run_tests(each.tests, tree, each.env)


def main(arguments: Sequence[str]) -> int:
    """Try the breaks that `arguments` choose; 0 where each turned a test red that is green without it."""
    parser = argparse.ArgumentParser(
        prog="scripts/breaks.py",
        description="Leave rules out of the code, one at a time: the tests named beside each must turn red. Without "
        "words, the breaks of tests/break are tried, which takes minutes.",
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="only rules that have all of these, as whole words")
    parser.add_argument("--all", action="store_true", help="those of tests/break/further, too")
    parser.add_argument("--list", action="store_true", help="only say which rules would be tried, and by which tests")
    given = parser.parse_args(arguments)
    breaks = [each for each in read("**/*.yml" if given.all or given.words else "*.yml") if has_all(each, given.words)]
    wrong = [problem for each in breaks for problem in problems(each)]
    if wrong or not breaks:
        print("\n".join(wrong) or "No rule has all of these words. See them all: python scripts/breaks.py --list --all")
        return 2
    if given.list:
        print("\n".join(f"{each.rule}: {' '.join(each.tests)}" for each in breaks))
        return 0
    tried, failed = [*_unbroken(breaks), *breaks], 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for each, outcome in zip(tried, pool.map(try_break, tried), strict=True):
            failed += not outcome.fits(each)
            print(line_of(each, outcome), flush=True)
    print(
        f"{len(breaks)} breaks, and {len(tried) - len(breaks)} files of tests with nothing left out: {failed} did not "
        "end as expected."
    )
    return 1 if failed else 0


def has_all(each: Break, words: Sequence[str]) -> bool:
    """Whether the rule has all `words`, whatever their case."""
    return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", each.rule, re.IGNORECASE) for word in words)


def _unbroken(breaks: Sequence[Break]) -> list[Break]:
    """Return, for each file of tests that `breaks` name, what runs these tests while nothing is left out."""
    env = {name: value for each in breaks for name, value in each.env.items()}
    files: dict[str, set[str]] = {}
    for test in (test for each in breaks for test in each.tests):
        files.setdefault(test.split("::")[0], set()).add(test)
    return [
        Break(
            rule=f"{file}, with nothing left out", changes=(), tests=[file] if file in tests else sorted(tests), env=env
        )
        for file, tests in sorted(files.items())
    ]


def line_of(each: Break, outcome: Outcome) -> str:
    """Say how the tests of `each` ended; if they are red with nothing left out, which failed, and how to see it."""
    colour = "red" if outcome.red else "green" if outcome.code == 0 else "broken"
    verdict = "" if outcome.fits(each) else f"NOT {'RED' if each.changes else 'GREEN'}: "
    line = f"{colour:6} {outcome.seconds:5.0f} s  {verdict}{each.rule}: {outcome.last_line}"
    if each.changes or outcome.fits(each):
        return line
    env = "".join(f"{name}={shlex.quote(value)} " for name, value in each.env.items())
    again = shlex.join([outcome.failing] if outcome.failing else each.tests)
    failing = f"{outcome.failing} fails. " if outcome.failing else ""
    return f"{line}\n          {failing}See it: {env}{sys.executable} -m pytest -x {again}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
