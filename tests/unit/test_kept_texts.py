"""What the ledger keeps in English is read in other languages, whatever its values are, and no text is missed."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ocelog
from ocelog.alert.deciding import TITLES
from ocelog.alert.in_language import DEEDS, KINDS
from ocelog.alert.notice import Happened
from ocelog.health.telling import ErrorType
from ocelog.kept_texts import FORMER, kept_text, recognised, reworded
from ocelog.phrases import Phrase, catalogue, translated
from ocelog.units import about, write_moment

KEPT = sorted(catalogue("ko").kept)
NAMED = re.compile(r"%\((\w+)\)s")
SHAPED = {
    "count": "1,234",
    "time": about(timedelta(days=2, hours=3)),
    "instant": write_moment(datetime(2026, 11, 28, 11, 20, tzinfo=UTC)),
    "severity": "HIGH",
    "before": "LOW",
    "log_type": "Wiz.Audit",
    "id": "f00",
    "kind": "webhook",
}
HOSTILE = ["%(count)s", "%s%%", "<b>", "a.b; c: d (e)", "\\1 \\g<x> [", ".*", "가나다", "$^", "{0}", "\x00", "a\nb"]
ROOT = Path(ocelog.__file__).parent


def of(template: str, value: str) -> Phrase:
    names = set(NAMED.findall(template))
    return Phrase(template, **{name: SHAPED.get(name, value) for name in sorted(names)})


@pytest.mark.parametrize("value", HOSTILE)
def test_each_text_comes_back_with_whatever_it_was_made_of(value: str) -> None:
    for template in KEPT:
        made = of(template, value)
        found = recognised(str(made), [template])
        assert found is not None, template
        assert dict(found.values) == {name: str(each) for name, each in made.values.items()}, template
        assert reworded(str(made), "ko") == translated(made, "ko")
        assert reworded(str(made), "en") == made


@given(template=st.sampled_from(KEPT), value=st.text(min_size=1, max_size=30))
def test_no_value_is_lost_or_taken_for_what_it_is_not(template: str, value: str) -> None:
    made = of(template, value)
    found = recognised(str(made), [template])
    assert found is not None
    assert found == made
    if "%(" in template:
        assert set(found.values) == set(made.values)
    reworded(str(made), "ko")


@given(text=st.text(max_size=200))
def test_what_nobody_of_us_wrote_stays_as_it_is(text: str) -> None:
    assert reworded(f"x{text}", "ko") == f"x{text}"


def test_it_is_known_sentence_by_sentence_and_line_by_line() -> None:
    lasted = kept_text("It lasted %(time)s.", time="2d 3h")
    told = (
        f"{kept_text('The alarm was turned off.')} Somebody wrote this. {lasted}\n{kept_text('it is still so')}; nobody"
    )
    assert (
        reworded(told, "ko") == "알람을 껐습니다. Somebody wrote this. 지속 시간: 2일 3시간.\n여전히 그 상태임; nobody"
    )
    both = f"{kept_text('it works again')}; {kept_text('it is muted')}"
    assert reworded(both, "ko") == "다시 동작함; 음소거됨"


def test_what_was_written_before_is_known_too() -> None:
    assert FORMER
    for template in FORMER:
        assert re.search("[가-힣]", reworded(str(of(template, "ops")), "ko"))


def test_a_text_of_an_error_is_known_with_what_it_says_to_do() -> None:
    told = "Its work has not come any further for 60 minutes: a disk or a far end may hang. If it goes on, restart the "
    told += "service."
    assert re.findall("[A-Za-z]{2,}", reworded(told, "ko")) == []


def test_a_text_that_takes_long_to_look_for_is_let_be() -> None:
    long = "No event has come for " + "a; b. " * 5_000
    assert reworded(long, "ko") == long
    assert reworded("; ".join(["it is muted"] * 500), "ko").startswith("음소거됨; 음소거됨")


def test_every_word_for_what_happened_has_a_translation() -> None:
    written = {each.value for each in Happened} | set(deeds())
    assert written >= {"opened", "told later", "untold", "comment", "unassigned", "visible again"}
    assert written <= set(DEEDS)
    assert [each for each in DEEDS if not catalogue("ko").has(each)] == []
    assert {each.value for each in ErrorType} <= set(KINDS)
    assert set(TITLES) <= set(KEPT)


def test_no_text_of_ours_goes_to_the_ledger_but_one_that_is_found_again() -> None:
    found = {f"{path.relative_to(ROOT)}: {text}" for path, tree in trees() for text in unmarked(tree)}
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


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def deeds() -> Iterator[str]:
    """Yield each word that a timeline gets as a constant."""
    for _, tree in trees():
        for call in ast.walk(tree):
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
