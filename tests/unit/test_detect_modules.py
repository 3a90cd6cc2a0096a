import sys
from types import ModuleType

import pytest

from ocelog.detect.event import Event
from ocelog.detect.modules import Fault, Modules


def load(source: str, **helpers: str) -> ModuleType | Fault:
    sources = {"rules/r.py": source, **{f"helpers/{name}_file.py": text for name, text in helpers.items()}}
    return Modules(sources, {name: f"helpers/{name}_file.py" for name in helpers}).load("rules/r.py")


def loaded(source: str, **helpers: str) -> ModuleType:
    found = load(source, **helpers)
    assert isinstance(found, ModuleType), found
    return found


def fault(source: str, **helpers: str) -> Fault:
    found = load(source, **helpers)
    assert isinstance(found, Fault)
    assert found.function == "setup"
    return found


def test_a_helper_is_imported_by_its_id_and_not_by_the_name_of_its_file() -> None:
    found = loaded("from words import X\nimport words\nY = words.X", words="X = 5")
    assert (found.X, found.Y) == (5, 5)
    assert "words_file" in fault("import words_file", words="X = 5").message


def test_helpers_import_helpers_also_in_a_circle_and_while_a_function_runs() -> None:
    found = loaded(
        "def late():\n    from one import TWO\n    return TWO",
        one="import two\nTWO = two.NUMBER + 1",
        two="import one\nNUMBER = 1",
    )
    assert found.late() == 2


def test_a_helper_goes_before_a_package_of_the_same_name() -> None:
    assert loaded("import json\nX = json.X", json="X = 5").X == 5
    assert loaded("import json\nX = json.dumps({})").X == "{}"


def test_no_rule_sees_what_another_changed_in_a_helper() -> None:
    modules = Modules(
        {"a.py": "import h\nh.LIST.append(1)\nh.NEW = 1", "b.py": "import h", "h.py": "LIST = []"}, {"h": "h.py"}
    )
    first, second = modules.load("a.py"), modules.load("b.py")
    assert first.h.LIST == [1]  # type: ignore[union-attr]
    assert second.h.LIST == []  # type: ignore[union-attr]
    assert not hasattr(second.h, "NEW")  # type: ignore[union-attr]


def test_a_rule_keeps_nothing_from_when_it_was_loaded_before() -> None:
    modules = Modules({"a.py": "LIST = []"}, {})
    first, again = modules.load("a.py"), modules.load("a.py")
    first.LIST.append(1)  # type: ignore[union-attr]
    assert again.LIST == []  # type: ignore[union-attr]


def test_the_names_of_the_events_types_can_be_imported() -> None:
    source = """
import panther_core
from panther_core import PantherEvent
from panther_core.enriched_event import PantherEvent as Again
import panther_core.immutable
SAME = panther_core.PantherEvent is PantherEvent is Again
LIST = panther_core.immutable.ImmutableList
"""
    found = loaded(source)
    assert found.SAME
    assert found.PantherEvent is Event


def test_dataclasses_and_enums_can_be_made() -> None:
    source = """
from __future__ import annotations
import dataclasses, enum, typing
@dataclasses.dataclass
class A:
    x: typing.ClassVar[int] = 1
    y: int = 2
class B(enum.Enum):
    ONE = 1
"""
    assert loaded(source).A().y == 2


def test_a_package_that_is_missing_is_named() -> None:
    found = fault("import no_such_package.deep")
    assert found.type == "ModuleNotFoundError"
    assert "'no_such_package' is not installed here" in found.message
    assert "did you mean 'door_helpers'" in fault("import door_helper", door_helpers="").message
    assert "'no_such_package' is not installed" in fault("import h", h="import no_such_package").message


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("x = (", "SyntaxError", "rules/r.py:1: '(' was never closed"),
        ("x = '\0'", "SyntaxError", "source code string cannot contain null bytes"),
        ("x = 1 / 0", "ZeroDivisionError", "division by zero (rules/r.py:1)"),
        ("import sys\nsys.exit(3)", "SystemExit", "3 (rules/r.py:2)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "(rules/r.py:1)"),
        ("from words import Y", "ImportError", "cannot import name 'Y'"),
        ("import broken", "NameError", "name 'y' is not defined (helpers/broken_file.py:1)"),
        ("def f(): f()\nf()", "RecursionError", "recursion"),
        (
            "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
            "E",
            "(it cannot say what is wrong) (rules/r.py:3)",
        ),
    ],
)
def test_a_module_that_does_not_import_says_why_and_where(source: str, kind: str, message: str) -> None:
    found = fault(source, words="X = 1", broken="x = y")
    assert found.type == kind
    assert message in found.message


def test_what_a_rule_raised_is_said_without_a_look_at_any_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule may raise at each event, and where it is judged, each look is asked for and refused."""
    looked = list[object]()
    with monkeypatch.context() as patch:
        for name in ("checkcache", "lazycache"):
            patch.setattr(f"linecache.{name}", lambda *of: looked.append(of))
        found = fault("import h", h="def f(): return {}['x']\nf()"), fault("def f(): f()\nf()")
    assert looked == []
    assert found[0].message == "'x' (helpers/h_file.py:1)"
    assert found[1].message.endswith("(rules/r.py:1)")


def test_a_rule_whose_file_has_the_name_of_a_helper_imports_the_helper() -> None:
    modules = Modules(
        {"rules/words.py": "import words\nY = words.X", "words_file.py": "X = 5"}, {"words": "words_file.py"}
    )
    assert modules.load("rules/words.py").Y == 5  # type: ignore[union-attr]


def test_a_helper_without_its_file_cannot_be_imported() -> None:
    found = Modules({"r.py": "import words"}, {"words": "gone.py"}).load("r.py")
    assert isinstance(found, Fault)
    assert found.message == "the helper 'words' is missing: there is no file gone.py"
    unread = Modules({"r.py": "import words"}, {"words": "w.py"}, {"w.py": "w.py:1: is too large"}).load("r.py")
    assert "the helper 'words' is missing: w.py:1: is too large" in str(unread)


def test_a_helper_that_importlib_looks_for_is_not_said_to_be_missing() -> None:
    found = fault("import importlib\nimportlib.import_module('words')", words="X = 1")
    assert found.message.startswith("import the helper 'words' by an import statement")


def test_modules_of_rules_are_not_left_among_those_of_the_process() -> None:
    before = set(sys.modules)
    loaded("import words", words="X = 1")
    fault("x = y")
    assert set(sys.modules) == before


def test_a_file_that_is_not_there_is_named() -> None:
    assert "no file rules/x.py" in str(Modules({}, {}).load("rules/x.py"))
