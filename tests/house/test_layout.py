"""The house is in order: layers, names, the tree of errors, who reads settings."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocelog import errors
from parsed import nodes, parsed

ROOT = Path(__file__).parents[2]
CODE = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "scripts").rglob("*.py"))
BANNED = {"utils", "helpers", "common", "base", "core", "manager", "types", "constants", "misc"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_dependencies_point_down() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_is_a_shared_drawer() -> None:
    found = [relative(path) for path in CODE if path.stem in BANNED or path.parent.name in BANNED]
    assert found == [], "name each after the question that it answers"


def test_a_module_opens_with_a_sentence() -> None:
    sentence = re.compile(r"[A-Z`].*?[.:?](\s|$)", re.DOTALL)
    found = [relative(path) for path in CODE if not sentence.match(ast.get_docstring(parsed(path)) or "")]
    assert found == [], "a module says first, in a sentence, which question it answers"


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in CODE:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                yield path, node


def test_no_class_of_ours_is_subclassed_but_errors() -> None:
    there = list(classes())
    ours = {node.name for _, node in there}
    found = [
        f"{relative(path)}: {node.name}({ast.unparse(base)})"
        for path, node in there
        for base in node.bases
        if ast.unparse(base) in ours
        and not ast.unparse(base).endswith("Error")
        # What an answer of the API looks like holds no code: one may have another's fields and more.
        and path.parent != ROOT / "src/ocelog/console/api"
    ]
    assert found == [], "hand the other in, and call it"


def test_what_changes_files_of_tables_keeps_the_views_for_other_tools_as_they_are() -> None:
    reads_only = {"inspect", "leftovers"}
    looked_at = set[str]()
    for path in sorted((ROOT / "src/ocelog/app").rglob("*.py")):
        text = path.read_text()
        assert "ViewsFile" not in text or path.stem in {"other_tools", "publishing"}, path
        # `assemble` makes the parts for others, and calls none of them.
        upkeep = set(re.findall(r"ocelog\.lake\.upkeep(?:\.| import )(\w+)", text)) - reads_only
        changes = ".publish(" in text or (upkeep and path.stem != "assemble")
        assert not changes or "tables_change(" in text, path
        looked_at |= {path.stem} if changes else set()
    assert looked_at >= {"publishing", "purge"}, "what changes tables is found"


_MESSAGES = {"error", "message", "note", "reason", "text", "todo", "trouble", "what"}
_TO_LOOK = {"count", "endswith", "find", "findall", "finditer", "fullmatch", "index", "match", "search", "startswith"}
_TO_CUT = {"partition", "removeprefix", "replace", "rpartition", "split", "sub"}


def _is_message(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"str", "repr"} and len(node.args) == 1:
        return ast.unparse(node.args[0]).rpartition(".")[2] in {"cause", "error", "failure", "trouble", "wrong"}
    return isinstance(node, ast.Attribute) and node.attr in _MESSAGES


def test_nothing_is_decided_by_the_words_of_a_message() -> None:
    theirs = {
        "sources/wiz/answers.py": "Wiz's errors have no code that says it",
        "sources/wiz/selection.py": "only the message says which field is meant",
        "sources/wiz/client.py": "an error number is left out of what the system says",
        "remote/client.py": "the same",
        "installation/config.py": "a message of YAML becomes one line",
        "ledger/lake.py": "the name of a loop, which is no message",
    }
    found = list[str]()
    for path in sorted((ROOT / "src/ocelog").rglob("*.py")):
        if str(path.relative_to(ROOT / "src/ocelog")) in theirs:
            continue
        for node in nodes(path):
            looked_at = list[ast.expr]()
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                looked_at = node.comparators
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                looked_at = [node.func.value, *node.args] if node.func.attr in _TO_LOOK | _TO_CUT else []
            if any(map(_is_message, looked_at)):
                found.append(f"{relative(path)}:{node.lineno}: {ast.unparse(node)}")  # type: ignore[attr-defined] # both have
    assert found == [], "go by the type of an error, its code, or a field of its own"


_PRIVATE = re.compile(
    r"^(?:(?:async )?def|class) (_[^\W_]\w*)\b|^(_[^\W_]\w*)(?:: [^=]+)? = |^type (_[^\W_]\w*)\b", re.MULTILINE
)


def test_no_private_name_of_a_module_is_unused() -> None:
    found = list[str]()
    for path in [*CODE, *sorted((ROOT / "tests").rglob("*.py"))]:
        text = path.read_text()
        # By their lines: to parse all tests takes seconds.
        names = {name for each in _PRIVATE.finditer(text) for name in each.groups() if name}
        times = Counter(re.findall(r"\b_\w+\b", text))
        found += [f"{relative(path)}: {name}" for name in sorted(names) if times[name] == 1]
    assert found == [], "delete them"


def contracts() -> dict[str, dict[str, Any]]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {each["name"]: each for each in found}


def faces() -> list[str]:
    """Return the folders above app/: what people and programs see of it."""
    layers = contracts()["Dependencies point down; the edges do not know each other"]["layers"]
    return [face.strip() for layer in layers[: layers.index("app")] for face in layer.split("|")]


def test_the_contract_of_faces_covers_each_of_them() -> None:
    contract = contracts()["A face parses, calls and renders: what is done is in app/"]
    assert contract["source_modules"] == [f"ocelog.{face}" for face in faces()], (
        "the contract of faces in pyproject.toml has in source_modules what is above `app` in the layers"
    )


def test_no_face_reaches_for_the_ledger() -> None:
    found = [
        f"{relative(path)}:{node.lineno}: {ast.unparse(node)}"
        for face in faces()
        for path in sorted((ROOT / "src/ocelog" / face).rglob("*.py"))
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr == "ledger"
    ]
    assert found == [], "what is done with it is a use case: a function in app/"


def test_settings_are_read_in_one_place() -> None:
    readers = {relative(path) for path in CODE if re.search(r"os\.environ|getenv", path.read_text())}
    allowed = {
        "src/ocelog/installation/config.py",
        "src/ocelog/cli/__init__.py",  # does a shell ask for completions, a person for a traceback?
        "src/ocelog/app/maintenance/host_service.py",  # where systemd looks for a user, and what a terminal is told
        "src/ocelog/cli/typed.py",  # how `service exec` was typed
        "src/ocelog/cli/pager.py",  # PAGER, LESS and TERM, which are those of the terminal
        "src/ocelog/cli/secret_input.py",  # --client-secret-env
        "src/ocelog/ledger/vault.py",  # --client-secret-ref env:NAME
        "src/ocelog/app/users/oidc.py",  # oidc_secret: env:NAME
        "src/ocelog/sources/wiz/opening.py",  # which variable of the HTTP client's own does not hold?
    }
    found = {name for name in readers if name.startswith("src/ocelog/")}
    assert sorted(found - allowed) == [], "make it a setting in src/ocelog/installation/config.py"


def drawn(parent: type[BaseException], indent: str = "") -> Iterator[str]:
    children = sorted(parent.__subclasses__(), key=lambda each: list(vars(errors)).index(each.__name__))
    for child in children:
        last = child is children[-1]
        yield f"{indent}{'└── ' if last else '├── '}{child.__name__}"
        yield from drawn(child, indent + ("    " if last else "│   "))


def test_the_drawn_tree_of_errors_is_the_class_tree() -> None:
    tree = "\n".join(["OcelogError", *drawn(errors.OcelogError)])
    assert errors.__doc__ is not None
    assert tree in errors.__doc__


NO_STRUCTS = {
    "sandbox/channel.py": "it runs in the process of a query, which has no msgspec to load",
    "sandbox/kernel.py": "the same",
    "lake/query/clock.py": "the same",
    "lake/query/statement.py": "the same",
    "channels/http_post.py": "it fits into classes of httpcore2",
    "channels/deadline.py": "it has a field that nobody gives",
    "detect/correlation.py": "it has a field that does not count when two are compared",
}
"""Modules with a value that is a dataclass, and why."""


def test_values_are_structs_and_what_is_not_says_why() -> None:
    frozen = re.compile(r"^@dataclass\(.*frozen=True", re.MULTILINE)
    inside = ROOT / "src" / "ocelog"
    found = {str(path.relative_to(inside)) for path in inside.rglob("*.py") if frozen.search(path.read_text())}
    assert sorted(found - NO_STRUCTS.keys()) == [], (
        "make it a msgspec.Struct, or say in NO_STRUCTS in this file which exception of docs/adr/0053 it is"
    )
    assert sorted(NO_STRUCTS.keys() - found) == [], "these have none any more: delete their lines in NO_STRUCTS"


NAMES_A_LOG_TYPE = {
    "src/ocelog/cli/demo.py": "it shows Wiz's",
    "src/ocelog/cli/demo_alerts.py": "it shows Wiz's",
    "src/ocelog/cli/query.py": "an example",
    "src/ocelog/cli/schema.py": "an example",
    "src/ocelog/units.py": "an example",
    "src/ocelog/installation/config.py": "an example",
    "src/ocelog/schema/columns/table.py": "an example",
}


def test_a_log_type_is_named_by_its_entry_alone() -> None:
    names = re.compile(r"Wiz\.[A-Z]|wiz_(audit|issues|vuln)|\b(audit|findings)\b.?[\"|]")
    inside = [path for path in CODE if path.is_relative_to(ROOT / "src" / "ocelog")]
    found = {relative(path) for path in inside if names.search(path.read_text()) and names.search(_code(path))}
    others = {name for name in found if "/sources/wiz/" not in name} - NAMES_A_LOG_TYPE.keys()
    assert sorted(others) == [], "take what differs from the log type's entry in src/ocelog/sources/wiz/streams.py"


def _code(path: Path) -> str:
    """Return a module without its docstrings and comments."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [each for each in node.body if not _is_docstring(each)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
