"""Every text that the ledger keeps is written so that it is found again in other languages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ocelog
from ocelog.alert.deciding import TITLES
from ocelog.alert.in_language import DEEDS, KINDS
from ocelog.alert.notice import Happened
from ocelog.health.telling import ErrorType
from ocelog.languages.phrases import catalogue
from parsed import nodes, parsed

KEPT = catalogue("ko").kept
ROOT = Path(ocelog.__file__).parent
CODE = sorted(ROOT.rglob("*.py"))


def test_every_word_for_what_happened_has_a_translation() -> None:
    written = {each.value for each in Happened} | set(deeds())
    assert written >= {"opened", "told later", "untold", "comment", "unassigned", "visible again"}
    here = "in src/ocelog/alert/in_language.py"
    assert sorted(written - set(DEEDS)) == [], f"add these to DEEDS {here}"
    untranslated = [each for each in DEEDS if not catalogue("ko").has(each)]
    assert untranslated == [], "run scripts/catalogue.py, then fill these msgids in src/ocelog/languages/ko.po"
    assert sorted({each.value for each in ErrorType} - set(KINDS)) == [], f"add these to KINDS {here}"
    assert sorted(set(TITLES) - set(KEPT)) == [], "fill these msgids in src/ocelog/languages/ko.po"


def test_no_text_of_ours_goes_to_the_ledger_but_one_that_is_found_again() -> None:
    found = {f"{path.relative_to(ROOT)}: {text}" for path in CODE for text in unmarked(parsed(path))}
    # What a timeline says of a severity is taken apart by its word.
    assert found == {"alert/deciding.py: {} to {}"}, "write it with kept_text"


def test_a_text_that_nothing_finds_again_is_seen() -> None:
    source = (
        "def f(x):\n    title = f'no {x}'\n    return Alert(title=title, runbook='Do', description='' + kept_text('a'))"
    )
    assert unmarked(ast.parse(source)) == ["no {}", "Do"]
    assert unmarked(ast.parse("over(x, note='it ends')\nself._note(x, 'opened', 'bb' if x else kept_text('c'))")) == [
        *("it ends", "bb"),
    ]


TEXTS = {
    "Alert": ("title", "description", "runbook"),
    "Notice": ("title", "description", "runbook"),
    "ErrorNotice": ("text",),
    "over": ("note",),
    "raised": ("again",),
    "end_rules": (1,),
    "end_errors": (1,),
    "resolve": (0,),
    "_note": (2,),
    "_made": ("title", "description", "runbook"),
    "_recovered": (2,),
}
"""Calls that make what the ledger keeps, and which arguments are texts."""


def deeds() -> Iterator[str]:
    """Yield each word that a timeline gets as a constant."""
    for path in CODE:
        for call in nodes(path):
            if not isinstance(call, ast.Call):
                continue
            match name_of(call):
                case "_note" if len(call.args) > 1 and isinstance(call.func, ast.Attribute):
                    words = [call.args[1]]
                case "_entry" if len(call.args) > 3:
                    words = [call.args[3]]
                case "TimelineEntry":
                    words = [each.value for each in call.keywords if each.arg == "what"]
                case _:
                    words = []
            yield from (each.value for each in words if isinstance(each, ast.Constant) and isinstance(each.value, str))
    # It is chosen by a condition, in assign().
    yield from ("assigned", "unassigned")


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def unmarked(tree: ast.Module) -> list[str]:
    """Return the texts that calls of TEXTS are given, straight or by a name, and that are not marked."""
    found = list[str]()
    for function in [tree, *(each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))]:
        assigned = dict[str, list[ast.expr]]()
        inside = list(own(function))
        for each in inside:
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                assigned.setdefault(each.targets[0].id, []).append(each.value)
        for call in inside:
            if isinstance(call, ast.Call) and (wanted := TEXTS.get(name_of(call))):
                values = [each.value for each in call.keywords if each.arg in wanted]
                values += [call.args[at] for at in wanted if isinstance(at, int) and at < len(call.args)]
                for value in values:
                    named = assigned.get(value.id, []) if isinstance(value, ast.Name) else [value]
                    found += [text for each in named for text in bare(each)]
    return found


def own(function: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from own(child)


def bare(value: ast.AST) -> Iterator[str]:
    """Yield the texts in an expression with letters, but for what is given to a call."""
    match value:
        case ast.Constant(value=str(text)):
            yield from [text] if re.search(r"\w{2}", text) else []
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            yield from [text] if re.search(r"\w{2}", text) else []
        case ast.IfExp(body=body, orelse=orelse):
            yield from bare(body)
            yield from bare(orelse)
        case ast.BinOp(left=left, right=right):
            yield from bare(left)
            yield from bare(right)
        case _:
            return
