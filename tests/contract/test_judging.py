"""Events are judged in the process that keeps rules in: what each rule says, and what one that means harm costs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pytest

from ocelog.detect.bundle import Bundle
from ocelog.detect.checkout import parse_checkout
from ocelog.detect.evaluate import RuleSet
from ocelog.judging.judge import Allowance, Judge, Judged, Unjudged
from ocelog.sandbox.kernel import landlock_version, seccomp_supported
from ocelog.schema.columns.sent import SentRows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS
from shaping import STAMP, page

pytestmark = pytest.mark.skipif(
    landlock_version() < 7 or not seccomp_supported(), reason="this kernel offers less than what is tested here"
)

AUDIT = "Wiz.Audit"
GOOD = "def rule(event): return event['n'] % 2 == 1"
QUICK = Allowance(call_seconds=1.0, memory_bytes=256 << 20)


def files(**python: str) -> dict[str, bytes]:
    """Return a folder of rules of a log type, each with its Python."""
    found = dict[str, bytes]()
    for name, text in python.items():
        head = f"AnalysisType: rule\nRuleID: {name}\nEnabled: true\nLogTypes: [Acme.Door]\nSeverity: High\n"
        found[f"{name}.yml"] = f"{head}Filename: {name}.py\n".encode()
        found[f"{name}.py"] = dedent(text).encode()
    return found


def bundle(**python: str) -> Bundle:
    return Bundle(root=Path("/rules"), files=files(**python))


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"n": at} for at in range(count)]


@pytest.fixture
def judge() -> Iterator[Callable[..., Judge]]:
    made = list[Judge]()

    def make(**more: Any) -> Judge:
        made.append(Judge(**{"allowance": QUICK, **more}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def judged(judge: Callable[..., Judge]) -> Callable[..., Judged]:
    """Judge `rows` numbered rows by the rules that are given."""

    def run(rows: int = 5, *, allowance: Allowance = QUICK, **python: str) -> Judged:
        made = judge(allowance=allowance)
        made.load(bundle(**python))
        return made.judge(numbered(rows), log_type="Acme.Door")

    return run


def matched(found: Judged, rule: str) -> list[int]:
    return [each.row for each in found.matches if each.rule == rule]


def failed(found: Judged, rule: str) -> list[tuple[int, int, str, str]]:
    return [(one.first, one.last, one.fault.function, one.fault.type) for one in found.errors if one.rule == rule]


def audit_rows() -> tuple[pa.Table, list[dict[str, Any]]]:
    actions = ["Login", "DeleteUser", "UpdateSAMLIdentityProvider", "CreateServiceAccount"]
    records = [
        {
            "id": f"{at:08}",
            "action": actions[at % len(actions)],
            "requestId": None,
            "status": "SUCCESS",
            "timestamp": f"2026-03-25T05:46:{at % 60:02}.{at:06}Z",
            "userAgent": "curl",
            "sourceIP": f"10.1.2.{at % 250}",
            "actionParameters": {"input": {"patch": {"name": f"n{at}"}}, "Selection": ["id"]},
            "user": {"id": f"u{at % 7}", "name": "Ada"},
            "serviceAccount": None,
        }
        for at in range(5_000)
    ]
    schema = packaged_schemas()[AUDIT]
    shaped = compile_shaper(schema, KINDS[AUDIT]).shape(page(records))
    names = [f"{at:032x}" for at in range(len(shaped.ids))]
    table = shaped.table(range(len(names)), names, STAMP)
    return table, SentRows(schema, table).dicts()


@pytest.mark.whole_processes
def test_rules_say_of_rows_of_the_lake_what_they_say_in_this_process(judge: Callable[..., Judge]) -> None:
    python = """
        def rule(event): return event.get("action") == "DeleteUser" and event.deep_get("user", "id") == "u3"
        def title(event): return f"{event.udm('who')} from {event.get('SOURCEIP')}"
        def severity(event): return "critical" if event["timestamp"] > "2026-03-25T05:46:30" else "DEFAULT"
        def destinations(event): return ["mail"]
        def alert_context(event): return {"parameters": event.get("actionParameters"), "big": 10**40, "odd": "\\ud800"}
        def unique(event): return event.get("p_row_id")
        def runbook(event): raise KeyError("none")
    """
    found = {name: content.replace(b"Acme.Door", AUDIT.encode()) for name, content in files(deleted=python).items()}
    found["simple.yml"] = (
        f"AnalysisType: rule\nRuleID: simple\nEnabled: true\nLogTypes: [{AUDIT}]\nSeverity: Low\nDescription: said\n"
        "Detection: [{KeyPath: actionParameters.input.patch.name, Condition: StartsWith, Value: n4}]\n"
    ).encode()
    found["model.yml"] = (
        f"AnalysisType: datamodel\nDataModelID: m\nEnabled: true\nLogTypes: [{AUDIT}]\nFilename: model.py\n"
        "Mappings: [{Name: who, Method: who}]\n"
    ).encode()
    found["model.py"] = b"def who(event): return event.deep_get('user', 'name').upper()\n"
    given = Bundle(root=Path("/rules"), files=found)
    table, rows = audit_rows()
    channels = {"mail": "c-1", "c-1": "c-1"}
    rules = RuleSet(parse_checkout(given))
    expected = [
        (name, at, verdict)
        for name in ("deleted", "simple")
        for at, row in enumerate(rows)
        if (verdict := rules.detectors[name].judge(rules.event(row, AUDIT), channels)).matched
    ]
    made = judge()
    loaded = made.load(given)
    assert (loaded.faults, loaded.kept, loaded.layers.seccomp) == ((), (), True)
    assert {name: one.has_python for name, one in loaded.rules.items()} == {"deleted": True, "simple": False}
    for batch in (table, table.combine_chunks().to_batches()[0]):
        answer = made.judge(batch, log_type=AUDIT, channels=channels)
        assert (answer.errors, answer.unjudged) == ([], [])
        said = sorted(((each.rule, each.row, each.verdict) for each in answer.matches), key=lambda each: each[:2])
        assert said == expected
    assert len(expected) > 100
    assert {each[2].destinations for each in expected} == {("c-1",), None}


def test_a_row_on_which_a_rule_hangs_or_ends_costs_that_row_alone(judged: Callable[..., Judged]) -> None:
    bad = {
        "a_hang": "while event['n'] == 7: pass",
        "b_gone": "if event['n'] == 8: os._exit(3)",
        "c_exit": "if event['n'] == 9: sys.exit(1)",
        "d_crash": "if event['n'] == 10: ctypes.string_at(0)",
        "e_memory": "if event['n'] == 11: len([0] * 10**9)",
        "f_deep": "if event['n'] == 12: rule(event)",
        "g_signal": "if event['n'] == 13: signal.raise_signal(40)",
    }
    rule = "import ctypes, os, signal, sys\ndef rule(event):\n    {}\n    return event['n'] > 36"
    found = judged(rows=40, **{name: rule.format(does) for name, does in bad.items()}, h_good=GOOD)
    rows = {"a_hang": 7, "b_gone": 8, "c_exit": 9, "d_crash": 10, "e_memory": 11, "f_deep": 12, "g_signal": 13}
    kinds = [
        ("a_hang", "TimeoutError"),
        ("b_gone", "ProcessEnded"),
        ("c_exit", "SystemExit"),
        ("d_crash", "ProcessEnded"),
        ("e_memory", "MemoryError"),
        ("f_deep", "RecursionError"),
        ("g_signal", "ProcessEnded"),
    ]
    for rule, kind in kinds:
        assert failed(found, rule) == [(rows[rule], rows[rule] + 1, "rule", kind)]
        assert matched(found, rule) == [37, 38, 39]
    assert matched(found, "h_good") == list(range(1, 40, 2))
    assert (failed(found, "h_good"), found.unjudged) == ([], [])


def test_a_rule_that_hangs_on_every_row_is_given_up_and_the_others_go_on(judged: Callable[..., Judged]) -> None:
    allowance = Allowance(call_seconds=0.5, kills=4, memory_bytes=256 << 20)
    found = judged(rows=50, allowance=allowance, a_hang="def rule(event):\n    while True: pass", b_good=GOOD)
    assert failed(found, "a_hang") == [(0, 2, "rule", "TimeoutError")]
    reason = "it ended, or had to be ended, 4 times in one batch"
    assert found.unjudged == [Unjudged(rule="a_hang", first=2, last=50, reason=reason)]
    assert matched(found, "b_good") == list(range(1, 50, 2))


def test_a_rule_has_so_long_for_one_batch(judged: Callable[..., Judged]) -> None:
    allowance = Allowance(call_seconds=5, rule_seconds=1, memory_bytes=256 << 20)
    slow = "import time\ndef rule(event):\n    time.sleep(0.3)\n    return True"
    found = judged(rows=50, allowance=allowance, a_slow=slow, b_good=GOOD)
    assert 2 <= len(matched(found, "a_slow")) <= 10
    (left,) = found.unjudged
    assert (left.rule, left.first, left.last) == ("a_slow", len(matched(found, "a_slow")), 50)
    assert left.reason == "it took more than 1 s for one batch"
    assert matched(found, "b_good") == list(range(1, 50, 2))
    assert found.errors == []


def test_a_module_that_does_not_load_is_one_error_and_is_not_tried_again(judge: Callable[..., Judge]) -> None:
    made = judge()
    rules = {
        "a_hang": "while True: pass\ndef rule(event): return True",
        "b_gone": "import os\nos._exit(0)\ndef rule(event): return True",
        "c_raises": "import nowhere\ndef rule(event): return True",
        "d_none": "def title(event): return 'x'",
        "e_good": GOOD,
    }
    made.load(bundle(**rules))
    for rows in (5_000, 3):
        found = made.judge(numbered(rows), log_type="Acme.Door")
        assert failed(found, "a_hang") == [(0, rows, "setup", "TimeoutError")]
        assert failed(found, "b_gone") == [(0, rows, "setup", "ProcessEnded")]
        assert failed(found, "c_raises") == [(0, rows, "setup", "ModuleNotFoundError")]
        assert failed(found, "d_none") == [(0, rows, "setup", "AttributeError")]
        assert matched(found, "e_good") == list(range(1, rows, 2))
        assert found.unjudged == []
