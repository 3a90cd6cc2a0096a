"""Every command that a message tells a person to type works as printed: it exists, and lacks nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ocelog.cli.app import build

SOURCE = Path(__file__).parents[2] / "src" / "ocelog"
ROOT: Any = typer.main.get_command(build(None, whole=True))
PRINTED = re.compile(r"(?<![/\w])ocelog((?: (?:[a-z][a-z-]*|--[a-z-]+|[A-Z][A-Z_]*|\"[^\"]*\"|7d|30d|X|-o|-))+)")
"""What a person would copy: words, options and stand-ins (`X` is what a program puts in); it ends with the sentence."""


NO_COMMANDS = {"X", "backup"}
"""A version, and a command that is only named: the help of `ocelog restore` says what wrote the folder."""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) for each in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "X"


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module but its docstrings, f-strings as one."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    alone = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _is_text(node)}  # type: ignore[attr-defined] # found by _is_text
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, _text(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inner | alone):
            yield node.lineno, node.value


def _is_text(node: Any) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


def printed() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for line, text in _texts(ast.parse(path.read_text())):
            for found in PRINTED.finditer(text):
                if found[1].strip() not in NO_COMMANDS:
                    yield f"{path.relative_to(SOURCE)}:{line}", found[1].strip()


def lacking_in(words: list[str]) -> str | None:
    """Say what a printed command lacks; None: it works. What follows a whole command is the sentence around it."""
    here = ROOT
    if "--help" in words:
        return None
    while words and getattr(here, "commands", None):
        if words[0].startswith("-"):
            return None
        if words[0] not in here.commands:
            return f"there is no command {words[0]!r}"
        here, words = here.commands[words[0]], words[1:]
    if getattr(here, "commands", None):
        return f"{here.name!r} is a group, and which of its commands is not said"
    options = {name: each for each in here.params for name in each.opts}
    for word in words:
        if word.startswith("--") and word not in options:
            return f"there is no option {word}"
    given = [word for word in words if not word.startswith("-")]
    wanted = [each.name for each in here.params if each.param_type_name == "argument" and each.required]
    return f"it needs {wanted[len(given)]!r}" if len(given) < len(wanted) else None


ALL = list(printed())


def test_commands_are_found_in_the_messages() -> None:
    assert len(ALL) > 50
    assert lacking_in(["source", "resume"]) == "it needs 'name'"
    assert lacking_in(["source", "resum", "X"]) == "there is no command 'resum'"
    assert lacking_in(["pull", "--sinc"]) == "there is no option --sinc"


@pytest.mark.parametrize(("where", "command"), ALL)
def test_a_printed_command_works_as_printed(where: str, command: str) -> None:
    assert lacking_in(command.split()) is None, f"{where}: ocelog {command}"
