"""Events are judged in the process that keeps rules in: what each rule says, and what one that means harm costs."""

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from msgspec.structs import replace

from ocelog.detect.bundle import Bundle
from ocelog.detect.checkout import parse_checkout
from ocelog.detect.evaluate import RuleSet
from ocelog.errors import SandboxError
from ocelog.rule_workers.judge import Allowance, Judge, RowAnswers, SkippedRows
from ocelog.rule_workers.loaded_child import LoadedChild
from ocelog.rule_workers.wire import LONGEST_CONTEXT, WireMatch
from ocelog.sandbox.kernel import Layers, landlock_version, seccomp_supported
from ocelog.schema.columns.sent import SentRows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS
from shaping import STAMP, page

NO_PYTHON = "Python of rules is not run: this kernel has no seccomp, without which it could do whatever you can"

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
def judged(judge: Callable[..., Judge]) -> Callable[..., RowAnswers]:
    """Judge `rows` numbered rows by the rules that are given."""

    def run(rows: int = 5, *, allowance: Allowance = QUICK, **python: str) -> RowAnswers:
        made = judge(allowance=allowance)
        made.load(bundle(**python))
        return made.judge(numbered(rows), log_type="Acme.Door")

    return run


def matched(found: RowAnswers, rule: str) -> list[int]:
    return [each.row for each in found.matches if each.rule == rule]


def failed(found: RowAnswers, rule: str) -> list[tuple[int, int, str, str]]:
    return [(one.first, one.last, one.fault.function, one.fault.type) for one in found.errors if one.rule == rule]


def blamed(found: RowAnswers) -> set[str]:
    return {each.rule for each in found.errors} | {each.rule for each in found.unjudged}


def test_the_file_in_an_error_is_named_as_people_know_it(judge: Callable[..., Judge]) -> None:
    made = judge(named=lambda message: message.replace("(fails.py", "(mine/fails.py"))
    made.load(
        bundle(
            fails="""
        def rule(event):
            return event["n"].nope
    """
        )
    )
    (error,) = made.judge(numbered(2), log_type="Acme.Door").errors
    assert error.fault.message == "'int' object has no attribute 'nope' (mine/fails.py:3)"


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


@pytest.mark.slow
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


def test_a_row_on_which_a_rule_hangs_or_ends_costs_that_row_alone(judged: Callable[..., RowAnswers]) -> None:
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


@pytest.mark.slow
def test_a_rule_that_hangs_on_every_row_is_given_up_and_the_others_go_on(judged: Callable[..., RowAnswers]) -> None:
    allowance = Allowance(call_seconds=0.5, kills=4, memory_bytes=256 << 20)
    found = judged(rows=50, allowance=allowance, a_hang="def rule(event):\n    while True: pass", b_good=GOOD)
    assert failed(found, "a_hang") == [(0, 2, "rule", "TimeoutError")]
    reason = "it ended, or had to be ended, 4 times in one batch"
    assert found.unjudged == [SkippedRows(rule="a_hang", first=2, last=50, reason=reason, own_fault=True)]
    assert matched(found, "b_good") == list(range(1, 50, 2))


HANG = "def rule(event):\n    while True: pass"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """How long each answer was waited for: the rule, and seconds."""
    waited = list[tuple[str, float]]()
    ask = LoadedChild.ask

    def noted(self: LoadedChild, rule: str, first: int, last: int, *, within: float, brief: bool = False) -> Any:
        waited.append((rule, within))
        return ask(self, rule, first, last, within=within, brief=brief)

    monkeypatch.setattr(LoadedChild, "ask", noted)
    return waited


@pytest.mark.slow
def test_what_all_rules_that_hang_take_of_a_batch_is_bounded(
    judged: Callable[..., RowAnswers], patience: list[tuple[str, float]]
) -> None:
    allowance = Allowance(call_seconds=1, hurried_seconds=0.5, overtime_seconds=1, memory_bytes=256 << 20)
    found = judged(rows=50, allowance=allowance, a_hang=HANG, b_hang=HANG, c_hang=HANG, d_good=GOOD)
    reason = "it had to be ended, and such rules took more than 1 s of one batch"
    assert found.unjudged == [
        SkippedRows(rule=f"{name}_hang", first=0, last=50, reason=reason, own_fault=True) for name in "abc"
    ]
    assert found.errors == []
    assert matched(found, "d_good") == list(range(1, 50, 2))
    assert patience == [("a_hang", 1), ("b_hang", 0.5), ("c_hang", 0.5), ("d_good", 0.5)]


@pytest.mark.slow
def test_a_rule_that_has_cost_a_child_is_hurried_in_later_batches_too(
    judge: Callable[..., Judge], patience: list[tuple[str, float]]
) -> None:
    allowance = Allowance(call_seconds=2, hurried_seconds=0.1, memory_bytes=256 << 20)
    made = judge(allowance=allowance)
    made.load(bundle(a_hang="def rule(event):\n    while event['n'] == 1: pass\n    return True", b_good=GOOD))
    for _ in range(2):
        found = made.judge(numbered(3), log_type="Acme.Door")
        assert (failed(found, "a_hang"), matched(found, "a_hang")) == ([(1, 2, "rule", "TimeoutError")], [0, 2])
    assert [within for rule, within in patience if rule == "a_hang"] == [2, *[0.1] * 7]
    assert {within for rule, within in patience if rule == "b_good"} == {2}


@pytest.mark.slow
def test_a_rule_that_nobody_wants_any_more_is_not_asked_on(judge: Callable[..., Judge]) -> None:
    made = judge(allowance=QUICK)
    made.load(bundle(a_hang=HANG, b_good=GOOD))
    found = made.judge(numbered(5), log_type="Acme.Door", is_wanted=lambda rule: rule != "a_hang")
    reason = "it was turned off, or its folder removed, while rules of its folder took long"
    assert found.unjudged == [SkippedRows(rule="a_hang", first=0, last=5, reason=reason)]
    assert matched(found, "b_good") == [1, 3]


def test_a_folder_that_nobody_wants_any_more_is_let_go_where_a_rule_takes_long(judge: Callable[..., Judge]) -> None:
    made = judge(allowance=Allowance(call_seconds=5, fair_seconds=0.1, fair_each=0, memory_bytes=256 << 20))
    made.load(bundle(a_good=GOOD, b_slow=SLOW, c_good=GOOD))
    found = made.judge(numbered(30), log_type="Acme.Door", is_wanted=lambda _: False)
    assert [each.rule for each in found.unjudged] == ["b_slow", "c_good"]
    assert matched(found, "a_good") == list(range(1, 30, 2))


SLOW = "import time\ndef rule(event):\n    time.sleep(0.3)\n    return True"


@pytest.mark.slow
def test_what_rules_that_take_long_take_of_a_batch_is_bounded_and_they_come_last_the_next_time(
    judge: Callable[..., Judge], patience: list[tuple[str, float]]
) -> None:
    allowance = Allowance(call_seconds=5, fair_seconds=0.1, fair_each=0.001, overtime_seconds=1, memory_bytes=256 << 20)
    made = judge(allowance=allowance)
    made.load(bundle(a_slow=SLOW, b_slow=SLOW, c_slow=SLOW, d_good=GOOD))
    for expected in ("abcd", "dabc"):
        patience.clear()
        found = made.judge(numbered(100), log_type="Acme.Door")
        assert "".join(dict.fromkeys(rule[0] for rule, _ in patience)) == expected
        assert matched(found, "d_good") == list(range(1, 100, 2))
        reason = "it took more than 0.2 s, and such rules took more than 1 s of one batch"
        assert {(each.rule, each.reason, each.own_fault) for each in found.unjudged} == {
            (f"{name}_slow", reason, True) for name in "abc"
        }
        assert sum(len(matched(found, f"{name}_slow")) for name in "abc") <= 12


@pytest.mark.slow
def test_that_a_child_begins_is_nobodys_time_and_tables_that_take_turns_need_one_child(
    judge: Callable[..., Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, begin = list[int](), LoadedChild._begin

    def slowly(self: LoadedChild, *given: Any, **named: Any) -> Any:
        begun.append(len(begun))
        time.sleep(1.5)
        return begin(self, *given, **named)

    monkeypatch.setattr(LoadedChild, "_begin", slowly)
    made = judge(allowance=Allowance(idle_seconds=60, memory_bytes=256 << 20))
    made.load(bundle(a_good=GOOD, b_good=GOOD))
    made._child.close()
    begun.clear()
    for names in (["a_good"], ["b_good"], ["a_good"], ["b_good"], ["a_good"]):
        found = made.judge(numbered(3), log_type="Acme.Door", rules=names)
        assert matched(found, names[0]) == [1]
        assert found.seconds[names[0]] < 1.0
    assert len(begun) == 2, "one for the first, and one that has both"


@pytest.mark.slow
def test_how_long_each_rule_takes_is_told_before_the_batch_is_done(judge: Callable[..., Judge]) -> None:
    made = judge(allowance=Allowance(call_seconds=5, memory_bytes=256 << 20))
    sleeps = "import time\ndef rule(event):\n    time.sleep(1.1 if event['n'] == 0 else 0)\n    return True"
    made.load(bundle(a_good=GOOD, b_slow=sleeps))
    told = list[Mapping[str, float]]()
    found = made.judge(numbered(3), log_type="Acme.Door", slow=told.append)
    assert matched(found, "b_slow") == [0, 1, 2]
    (seconds,) = told
    assert set(seconds) == {"a_good", "b_slow"}
    assert seconds["b_slow"] >= 1.1 > seconds["a_good"]


@pytest.mark.slow
def test_a_rule_has_so_long_for_one_batch(judged: Callable[..., RowAnswers]) -> None:
    allowance = Allowance(call_seconds=5, rule_seconds=1, memory_bytes=256 << 20)
    slow = "import time\ndef rule(event):\n    time.sleep(0.3)\n    return True"
    found = judged(rows=50, allowance=allowance, a_slow=slow, b_good=GOOD)
    assert 2 <= len(matched(found, "a_slow")) <= 10
    (left,) = found.unjudged
    assert (left.rule, left.first, left.last) == ("a_slow", len(matched(found, "a_slow")), 50)
    assert left.reason == "it took more than 1 s for one batch"
    assert matched(found, "b_good") == list(range(1, 50, 2))
    assert found.errors == []
    assert found.seconds["a_slow"] >= 1 > found.seconds["b_good"]


@pytest.mark.slow
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


@pytest.mark.whole_processes
@pytest.mark.parametrize(
    "layers",
    [
        Layers(landlock=7, seccomp=True, paths=True),
        Layers(landlock=0, seccomp=True, paths=True),
        Layers(landlock=2, seccomp=True),
    ],
    ids=str,
)
def test_a_rule_reaches_nothing(
    judge: Callable[..., Judge], tmp_path: Path, layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIZ_SECRET", "hunter2")
    key = tmp_path / "key"
    key.write_text("hunter2")
    reaching = {
        "key": f"open({str(key)!r}).read()",
        "passwd": "open('/etc/passwd').read()",
        "parent": f"open('/proc/{os.getpid()}/environ').read()",
        "listing": f"os.listdir({str(tmp_path)!r})",
        **({"exists": f"os.stat({str(key)!r})", "size": f"os.open({str(key)!r}, os.O_PATH)"} if layers.paths else {}),
        "write": f"open({str(tmp_path / 'new')!r}, 'w')",
        "scratch": "tempfile.NamedTemporaryFile()",
        "fork": "os.fork()",
        "exec": "os.execv('/bin/true', ['true'])",
        "spawn": "subprocess.run(['true'])",
        "socket": "socket.socket()",
        "kill": "os.kill(os.getppid(), 9)",
        "environment": "{}[str(dict(os.environ))]",
    }
    imports = "import os, socket, subprocess, tempfile"
    rules = {name: f"{imports}\ndef rule(event):\n    {does}\n    return True" for name, does in reaching.items()}
    made = judge(only=layers, keep_out=(str(tmp_path),))
    assert made.load(bundle(**rules, good=GOOD)).layers == layers
    found = made.judge(numbered(1), log_type="Acme.Door")
    assert {each.rule for each in found.errors} == reaching.keys()
    assert {each.fault.type for each in found.errors} <= {"PermissionError", "FileNotFoundError", "KeyError"}
    assert "hunter2" not in str(found)
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_may_use_the_network_can(judge: Callable[..., Judge]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        python = f"""
            import socket
            def rule(event):
                with socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=9) as connected:
                    return connected.getpeername()[1] > 0
        """
        for network in (False, True):
            made = judge(network=network)
            made.load(bundle(asks=python))
            found = made.judge(numbered(1), log_type="Acme.Door")
            assert (matched(found, "asks"), len(found.errors)) == (([0], 0) if network else ([], 1))


def test_without_seccomp_rules_without_python_alone_run_unless_the_folder_is_trusted(
    judge: Callable[..., Judge],
) -> None:
    simple = b"AnalysisType: rule\nRuleID: simple\nEnabled: true\nLogTypes: [Acme.Door]\nSeverity: Low\n"
    simple += b"Detection: [{Key: n, Condition: Equals, Value: 1}]\n"
    given = Bundle(root=Path("/rules"), files={**files(python=GOOD), "simple.yml": simple})
    for unsafe in (False, True):
        made = judge(only=Layers(landlock=7, seccomp=False), unsafe=unsafe)
        made.load(given)
        found = made.judge(numbered(2), log_type="Acme.Door")
        assert matched(found, "simple") == [1]
        assert matched(found, "python") == ([1] if unsafe else [])
        assert [each.fault.message for each in found.errors] == ([] if unsafe else [NO_PYTHON])


def test_rows_of_a_query_are_judged_by_scheduled_rules(judge: Callable[..., Judge]) -> None:
    head = b"AnalysisType: scheduled_rule\nRuleID: s\nEnabled: true\nScheduledQueries: [Q]\nSeverity: Low\n"
    python = b"def rule(event): return event.get('n') > 1\ndef title(event): return str(event['at'])\n"
    made = judge()
    made.load(Bundle(root=Path("/rules"), files={"s.yml": head + b"Filename: s.py\n", "s.py": python}))
    at = datetime(2026, 3, 1, 5, 6, 7, tzinfo=UTC)
    table = pa.table({"n": [1, 2, 3], "at": pa.array([at] * 3, pa.timestamp("us", "UTC")), "p_extra": [None] * 3})
    found = made.judge(table, log_type=None)
    assert [(each.row, each.verdict.title) for each in found.matches] == [
        (1, "2026-03-01T05:06:07Z"),
        (2, "2026-03-01T05:06:07Z"),
    ]
    found = made.judge([{"n": 5, "at": "then"}], log_type=None, rules=["s", "t"])
    assert [(each.row, each.verdict.title) for each in found.matches] == [(0, "then")]
    assert found.unjudged == [SkippedRows(rule="t", first=0, last=1, reason="there is no such rule")]


def test_no_rule_sees_what_another_changed(judged: Callable[..., RowAnswers]) -> None:
    changes = """
        def rule(event):
            for change in (
                lambda: event.__setitem__("n", 9), lambda: event.update(n=9), lambda: event["list"].append(1),
                lambda: event["list"].__setitem__(0, 9), lambda: setattr(event, "n", 9), lambda: event.pop("n"),
            ):
                try:
                    change()
                except (TypeError, AttributeError):
                    continue
                return True
            event.to_dict()["n"] = 9
            event.copy()["list"].append(9)
            return False
    """
    found = judged(rows=3, a_changes=changes, b_good=GOOD)
    assert (matched(found, "a_changes"), matched(found, "b_good")) == ([], [1])


def test_what_rules_usually_import_is_there(judged: Callable[..., RowAnswers]) -> None:
    python = """
        import base64, collections, datetime, fnmatch, ipaddress, json, re, statistics, string, urllib.parse, zoneinfo
        from dateutil import parser, relativedelta
        from panther_core import PantherEvent
        def rule(event):
            return parser.parse("2026-01-02").day == 2 and zoneinfo.ZoneInfo("Europe/Berlin") is not None
    """
    assert matched(judged(rows=1, imports=python), "imports") == [0]


HUGE = """
    class Odd:
        def __str__(self): raise SystemExit
        __repr__ = __str__
    def rule(event): return True
    def title(event): return "x" * 10**6 + "\\ud800"
    def description(event): return Odd()
    def dedup(event): return "\\udfff" * 5000
    def unique(event): return type("S", (str,), {"__len__": lambda self: 1 / 0})("u")
    def runbook(event): raise type("E" * 10**6, (Exception,), {})("m" * 10**6)
    def reference(event): raise Exception(Odd())
    def destinations(event): return ["d" * 10**6]
    def alert_context(event): return {"x": "y" * 10**7}
"""


def test_what_a_rule_says_is_bounded_and_can_be_written_down(judged: Callable[..., RowAnswers]) -> None:
    found = judged(rows=2, huge=HUGE, deep="def rule(event):\n    raise ValueError('\\ud800' + 'x' * 10**7)")
    assert [each.row for each in found.matches] == [0, 1], found
    verdict = found.matches[0].verdict
    for text in (verdict.title, verdict.dedup, *verdict.notes, *(each.type for each in verdict.raised)):
        assert len(text.encode()) <= 3_000
    assert "_error" in verdict.context
    assert [len(each.fault.message) < 3_000 for each in found.errors] == [True]
    assert failed(found, "deep") == [(0, 2, "rule", "ValueError")]
    str(found).encode()


WORDY = "def rule(event): return True\ndef alert_context(event): return {'x': 'y' * 100_000}"


@pytest.mark.slow
def test_what_a_rule_adds_is_left_out_once_it_says_too_much_and_no_match_is(judged: Callable[..., RowAnswers]) -> None:
    allowance = Allowance(brief_bytes=3 << 20, memory_bytes=256 << 20)
    found = judged(rows=2_000, allowance=allowance, a_wordy=WORDY, b_good=GOOD)
    assert found.unjudged == []
    assert matched(found, "a_wordy") == list(range(2_000))
    contexts = [each.verdict.context for each in found.matches if each.rule == "a_wordy"]
    whole = [each for each in contexts if "x" in each]
    assert 30 <= len(whole) <= 80
    assert contexts[: len(whole)] == whole
    assert {each["_error"] for each in contexts[len(whole) :]} == {
        "alert_context: left out, as the rule says so much of these events"
    }


def test_all_that_a_rule_says_of_a_batch_is_bounded_and_is_no_reason_to_suspend_it(
    judged: Callable[..., RowAnswers],
) -> None:
    allowance = Allowance(rule_bytes=3 << 20, memory_bytes=256 << 20)
    found = judged(rows=2_000, allowance=allowance, a_wordy=WORDY, b_good=GOOD)
    assert 30 <= len(matched(found, "a_wordy")) <= 60
    (left,) = found.unjudged
    assert (left.first, left.last, left.own_fault) == (len(matched(found, "a_wordy")), 2_000, False)
    assert len(matched(found, "b_good")) == 1_000


@pytest.mark.slow
def test_what_a_rule_adds_to_its_alerts_is_kept_as_text(judged: Callable[..., RowAnswers]) -> None:
    python = "def rule(event): return True\ndef alert_context(event): return {'a': [[]] * 40_000}"
    before = len(gc.get_objects())
    found = judged(rows=12, lists=python)
    assert len(gc.get_objects()) - before < 100_000
    assert [each.verdict.context == {"a": [[]] * 40_000} for each in found.matches] == [True] * 12


@pytest.mark.parametrize("context", ["[]", "1", '{"a": }', '{"a": NaN}', '{"a": "' + "x" * LONGEST_CONTEXT + '"}'])
def test_what_is_no_object_or_too_long_is_no_answer(context: str) -> None:
    text = '{"row": 1, "title": "", "severity": "LOW", "dedup": "", "context": %s}'
    assert bytes(msgspec.json.decode(text % ' {"a" : [1]}', type=WireMatch).context) == b'{"a": [1]}'
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(text % context, type=WireMatch)


KNOWING = """
    import json, os, sys
    def rule(event):
        # It finds out what it is asked, and says what no rule can.
        frame = sys._getframe()
        while "ask" not in frame.f_locals:
            frame = frame.f_back
        asked = frame.f_locals["ask"]
        said = {"row": event["n"], "title": "x", "severity": "HIGH", "dedup": "d", "context": {}, MORE}
        answer = {"nonce": asked.nonce, "last": asked.first + 1, "matches": [said] * TIMES, "failures": []}
        text = json.dumps(answer).encode()
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"judge".ljust(16, bytes(1)) + len(text).to_bytes(8, "little") + text)
            except OSError:
                pass
        os._exit(0)
"""
FORGERIES = {
    "match": """
        import os, json
        def rule(event):
            text = json.dumps({"nonce": 1, "last": 5, "matches": [], "failures": []}).encode()
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, 3 * (b"judge".ljust(16, bytes(1)) + len(text).to_bytes(8, "little") + text))
                except OSError:
                    pass
            return True
    """,
    "ahead": """
        import os, json
        def rule(event):
            # Its own answer, and in advance those of the rule behind it.
            says_no = {"nonce": 1, "last": 6, "matches": [], "failures": []}
            for kind, told in (("judge", says_no), ("setup", {"nonce": 1, "fault": None}), ("judge", says_no)):
                text = json.dumps(told).encode()
                frame = kind.encode().ljust(16, bytes(1)) + len(text).to_bytes(8, "little") + text
                for descriptor in range(3, 20):
                    try:
                        os.write(descriptor, frame)
                    except OSError:
                        pass
            return True
    """,
    "noise": """
        import os
        def rule(event):
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, os.urandom(30_000))
                except OSError:
                    pass
            return True
    """,
    "swallow": """
        import os
        def rule(event):
            if event["n"] == 0:
                for descriptor in range(3, 20):
                    try:
                        os.close(descriptor)
                    except OSError:
                        pass
            return False
    """,
    "endless": """
        import os
        def rule(event):
            text = b"judge".ljust(16, bytes(1)) + (2**63).to_bytes(8, "little")
            while True:
                for descriptor in range(3, 20):
                    try:
                        os.write(descriptor, text)
                    except OSError:
                        pass
    """,
    "deep": """
        import os
        def rule(event):
            text = b"[" * 50_000
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, b"judge".ljust(16, bytes(1)) + len(text).to_bytes(8, "little") + text)
                except OSError:
                    pass
            return True
    """,
    "nowhere": KNOWING.replace("MORE", '"destinations": ["nowhere"]').replace("TIMES", "1"),
    "twice": KNOWING.replace("MORE", "").replace("TIMES", "2"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_rule_that_writes_in_the_place_of_its_process_spoils_its_own_answers_alone(
    judge: Callable[..., Judge], name: str
) -> None:
    made = judge()
    made.load(bundle(a_first=GOOD, b_forger=FORGERIES[name], c_last=GOOD))
    found = made.judge(numbered(6), log_type="Acme.Door", channels={"mail": "c-1"})
    assert matched(found, "a_first") == matched(found, "c_last") == [1, 3, 5]
    assert blamed(found) <= {"b_forger"}
    assert {each.verdict.destinations for each in found.matches} == {None}
    assert {each.fault.type for each in found.errors} <= {"ForeignAnswer", "ProcessEnded", "TimeoutError"}
    assert failed(found, "b_forger")
    assert len({(each.rule, each.row) for each in found.matches}) == len(found.matches)


THREAD = """
    import os, threading, time
    def haunt():
        while True:
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, os.urandom(50))
                except OSError:
                    pass
            time.sleep(0.001)
    threading.Thread(target=haunt, daemon=True).start()
    def rule(event): return True
"""


def test_a_thread_that_a_rule_leaves_behind_costs_the_others_nothing(judged: Callable[..., RowAnswers]) -> None:
    found = judged(rows=4_500, a_haunts=THREAD, b_good=GOOD, c_good=GOOD)
    assert matched(found, "b_good") == matched(found, "c_good") == list(range(1, 4_500, 2))
    assert blamed(found) == {"a_haunts"}


def test_a_thread_is_an_error_of_the_rule_that_begins_it(judged: Callable[..., RowAnswers]) -> None:
    python = """
        import threading
        def rule(event):
            threading.Thread(target=print).start()
            return True
    """
    found = judged(rows=6, a_busy=python, b_good=GOOD)
    assert failed(found, "a_busy") == [(0, 6, "rule", "RuntimeError")]
    assert matched(found, "b_good") == [1, 3, 5]
    assert blamed(found) == {"a_busy"}


def test_a_rule_that_takes_its_process_along_in_anothers_name_costs_that_one_nothing(
    judged: Callable[..., RowAnswers],
) -> None:
    harms = """
        import os, sys
        def rule(event):
            frame = sys._getframe()
            while "ask" not in frame.f_locals:
                frame = frame.f_back
            for name, other in frame.f_locals["self"]._detectors.items():
                if name != "a_harms":
                    other._ask = lambda event: os._exit(0)
            return False
    """
    found = judged(rows=6_500, allowance=replace(QUICK, kills=2), a_harms=harms, b_good=GOOD, c_good=GOOD)
    assert matched(found, "b_good") == matched(found, "c_good") == list(range(1, 6_500, 2))
    assert blamed(found) == set()


@pytest.mark.slow
def test_a_data_model_that_hangs_costs_only_what_reads_it(judge: Callable[..., Judge]) -> None:
    model = b"AnalysisType: datamodel\nDataModelID: m\nEnabled: true\nLogTypes: [Acme.Door]\nFilename: model.py\n"
    model += b"Mappings: [{Name: who, Method: who}]\n"
    found = {**files(asks="def rule(event): return event.udm('who') == 1", good=GOOD), "model.yml": model}
    found["model.py"] = b"while True: pass"
    made = judge()
    made.load(Bundle(root=Path("/rules"), files=found))
    for _ in range(2):
        answer = made.judge(numbered(2), log_type="Acme.Door")
        assert matched(answer, "good") == [1]
        (error,) = answer.errors
        assert (error.rule, error.fault.type, error.first, error.last) == ("asks", "LookupError", 0, 2)
        assert "took longer than 1 s" in error.fault.message


def test_a_file_that_does_not_read_any_more_leaves_its_rule_as_it_was(judge: Callable[..., Judge]) -> None:
    made = judge()
    before = made.load(bundle(rule_a=GOOD, rule_b=GOOD, rule_c=GOOD))
    changed = files(rule_a="def rule(event)\n  return True", rule_b="def rule(event): return True", rule_c=GOOD)
    changed["rule_c.yml"] = b"AnalysisType: rule\nRuleID: [\n"
    changed |= files(rule_d="def rule(event): return (")
    after = made.load(Bundle(root=Path("/rules"), files=changed))
    assert [each.id for each in after.kept] == ["rule_a.py", "rule_c.yml"]
    assert after.kept[0].message == "rule_a.py:1: expected ':'"
    assert after.kept[1].message.startswith("rule_c.yml:")
    assert [each.message for each in after.faults] == ["rule_d.py:1: '(' was never closed"]
    found = made.judge(numbered(4), log_type="Acme.Door")
    assert [matched(found, name) for name in ("rule_a", "rule_b", "rule_c")] == [[1, 3], [0, 1, 2, 3], [1, 3]]
    assert failed(found, "rule_d") == [(0, 4, "setup", "SyntaxError")]
    revisions = [{name: one.revision for name, one in each.rules.items()} for each in (before, after)]
    assert [name for name in revisions[0] if revisions[0][name] != revisions[1][name]] == ["rule_b"]
    # What is kept is still good for the next bundle.
    again = made.load(Bundle(root=Path("/rules"), files=changed))
    assert (again.kept, again.revision) == (after.kept, after.revision)
    # And for a judge that has just begun, if it is told.
    other = judge().load(Bundle(root=Path("/rules"), files=changed), before=after.bundle)
    assert (other.kept, other.rules) == (after.kept, after.rules)


def test_the_revision_of_a_rule_changes_with_what_it_stands_on(judge: Callable[..., Judge]) -> None:
    found = files(rule_a=GOOD)
    found["simple.yml"] = b"AnalysisType: rule\nRuleID: simple\nEnabled: true\nLogTypes: [Acme.Door]\nSeverity: Low\n"
    found["simple.yml"] += b"Detection: [{Key: n, Condition: Equals, Value: 1}]\n"
    found["derived.yml"] = b"AnalysisType: rule\nRuleID: derived\nBaseDetection: simple\nSeverity: High\n"
    found["h.yml"] = b"AnalysisType: global\nGlobalID: h\nFilename: h.py\n"
    found["h.py"] = b"x = 1"
    made = judge()

    def revisions(**changed: bytes) -> dict[str, str]:
        given = {**found, **{name.replace("_DOT_", "."): content for name, content in changed.items()}}
        return {name: one.revision for name, one in made.load(Bundle(root=Path("/r"), files=given)).rules.items()}

    before = revisions()
    for changed, expected in (
        ({"h_DOT_py": b"x = 2"}, {"rule_a"}),
        ({"rule_a_DOT_py": b"def rule(event): return False"}, {"rule_a"}),
        ({"simple_DOT_yml": found["simple.yml"] + b"Threshold: 2\n"}, {"simple", "derived"}),
        ({"other_DOT_yml": b"AnalysisType: pack\nPackID: p\nPackDefinition: {IDs: []}\n"}, set[str]()),
    ):
        after = revisions(**changed)
        assert {name for name in before if before[name] != after[name]} == expected


def test_a_judge_without_work_has_no_process_and_begins_another(judge: Callable[..., Judge]) -> None:
    made = judge(allowance=Allowance(call_seconds=1, idle_seconds=0.05, memory_bytes=256 << 20))
    made.load(bundle(good=GOOD))
    for _ in range(2):
        assert matched(made.judge(numbered(2), log_type="Acme.Door"), "good") == [1]
        thread = made._thread._thread
        if thread is not None:
            thread.join(timeout=20)
        assert (made._thread._thread, made._child._child) == (None, None)


def test_an_old_child_makes_room_for_a_new_one(judge: Callable[..., Judge]) -> None:
    made = judge(allowance=Allowance(child_seconds=0, memory_bytes=256 << 20))
    made.load(bundle(state="count = 0\ndef rule(event):\n    global count\n    count += 1\n    return count == 1"))
    for _ in range(2):
        assert matched(made.judge(numbered(2), log_type="Acme.Door"), "state") == [0]


def test_a_judge_that_is_closed_lets_go_of_a_rule_that_hangs(judge: Callable[..., Judge]) -> None:
    made = judge(allowance=Allowance(call_seconds=300, memory_bytes=256 << 20))
    # It says when it hangs: by the only way that it has.
    made.load(bundle(hangs="import os\nos.write(4, b'')\ndef rule(event):\n    while True: pass"))
    heard = list[BaseException]()

    def wait() -> None:
        try:
            made.judge(numbered(1), log_type="Acme.Door")
        except SandboxError as error:
            heard.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 30
    while "hangs" not in made._child._ran:
        assert time.monotonic() < deadline
        os.sched_yield()
    made.close()
    waiting.join(timeout=20)
    assert [str(each) for each in heard] == ["Judging was stopped: the batch was not judged."]
    made.load(bundle(good=GOOD))
    assert matched(made.judge(numbered(2), log_type="Acme.Door"), "good") == [1]


def test_a_home_that_a_rule_could_read_is_refused(judge: Callable[..., Judge]) -> None:
    with pytest.raises(SandboxError, match="move the home"):
        judge(keep_out=(str(Path(pa.__file__).parent),)).load(bundle(good=GOOD))


@pytest.mark.slow
def test_a_batch_has_so_long_for_all_rules(judged: Callable[..., RowAnswers]) -> None:
    slow = "import time\ndef rule(event):\n    time.sleep(0.2)\n    return True"
    allowance = Allowance(batch_seconds=2, memory_bytes=256 << 20)
    found = judged(rows=30, allowance=allowance, a_slow=slow, b_slow=slow, c_slow=slow)
    assert {each.rule for each in found.unjudged} >= {"b_slow", "c_slow"}
    assert {each.reason for each in found.unjudged} == {"the rules of its folder took more than 2 s for one batch"}
    assert len(found.matches) + sum(each.last - each.first for each in found.unjudged) == 90
