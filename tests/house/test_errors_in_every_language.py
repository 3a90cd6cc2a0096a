"""What a person may read on a page can be translated: an error there says a `Phrase`, and no text put together."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ocelog
from ocelog import errors

HOME = Path(ocelog.__file__).parent
ROOMS = (
    "sources",
    "channels",
    "app/alerts",
    "app/rule_folders/rule_folders.py",
    "app/log_types.py",
    "app/rules/rule_candidates.py",
    "app/rules/rule_showing.py",
    "app/search",
    "app/sources",
    "app/users",
    "lake/query/queries.py",
    "lake/query/statement.py",
    "ledger/channels.py",
    "ledger/rules.py",
    "ledger/rows/alert_changes.py",
    "ledger/saved_searches.py",
)
"""Folders and files none of whose errors is a bare text."""
SHELL_ONLY = {"provider_of", "read_issuer", "read_issuer_endpoint", "read_roles"}
"""Functions whose errors are read in a shell alone, by who sets up a service."""
NAMES = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
SAYS = NAMES | {"HealthItem", "Unusable", "CursorLost", "TokenRefused"}
TEXTS = ("todo", "text", "reason")


def bare_texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each error, and each thing that a check found, that says a text of its own in English."""
    module = ast.parse(source)
    module.body = [each for each in module.body if getattr(each, "name", "") not in SHELL_ONLY]
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYS:
            said = [*(node.args[:1] if node.func.id in NAMES else ())]
            said += [each.value for each in node.keywords if each.arg in TEXTS]
            branches = [
                way for each in said for way in ((each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,))
            ]
            for each in branches:
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "told":
                    each = each.args[0]  # noqa: PLW2901 - what it is made of
                if isinstance(each, ast.JoinedStr | ast.BinOp) or (isinstance(each, ast.Constant) and each.value):
                    yield node.lineno, ast.unparse(each)


@pytest.mark.parametrize("room", ROOMS)
def test_no_error_of_a_room_says_a_bare_text(room: str) -> None:
    place = HOME / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found = [
        f"{file.relative_to(HOME)}:{line}: {text}" for file in files for line, text in bare_texts(file.read_text())
    ]
    assert files
    assert found == [], "make it a Phrase, and translate it"


def test_a_bare_text_is_found() -> None:
    code = 'raise ConfigError(f"not {x}")\nraise ConfigError("no", todo="do")\nraise ConfigError(Phrase("yes"))\n'
    code += 'raise ConfigError(f"a{x}" if x else Phrase("b"))'
    assert [line for line, _ in bare_texts(code)] == [1, 2, 2, 4]
