"""Rules that mean harm, tested in the process that keeps them in: each fails by itself, and the others go on."""

import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ocelog.errors import RuleFileError, SandboxError
from ocelog.rule_workers.trials import Allowance, Trials
from ocelog.sandbox.kernel import EVERY, Layers, landlock_version, seccomp_supported

pytestmark = pytest.mark.skipif(
    landlock_version() < 7 or not seccomp_supported(), reason="this kernel offers less than what is tested here"
)

CHECKOUT = Path(__file__).resolve().parents[1] / "rules" / "checkout"
GOOD = "def rule(event): return True"


def write(folder: Path, name: str, python: str, *, tests: int = 1) -> None:
    cases = "\n".join(f"  - {{Name: t{n}, ExpectedResult: true, Log: {{n: {n}}}}}" for n in range(tests))
    (folder / f"{name}.py").write_text(dedent(python))
    (folder / f"{name}.yml").write_text(
        f"AnalysisType: rule\nRuleID: {name}\nEnabled: true\nFilename: {name}.py\nLogTypes: [Wiz.Audit]\n"
        f"Severity: HIGH\nTests:\n{cases}\n"
    )


def tried(folder: Path, **more: Any) -> dict[str, list[tuple[str | None, str]]]:
    """Return which rules failed in which tests, and why; a rule that passed has none."""
    report = Trials(path=folder, **{"allowance": Allowance(seconds=2, memory_bytes=256 << 20), **more}).run()
    assert report.passed == report.tests - sum(each.test is not None for each in report.failed)
    found = dict[str, list[tuple[str | None, str]]]()
    for each in report.failed:
        found.setdefault(each.rule, []).append((each.test, each.why))
    return found


@pytest.mark.parametrize("layers", [EVERY, Layers(landlock=2, seccomp=True)], ids=str)
def test_a_rule_reaches_nothing(tmp_path: Path, layers: Layers) -> None:
    home, rules = tmp_path / "home", tmp_path / "rules"
    home.mkdir()
    rules.mkdir()
    (home / "key").write_text("hunter2")
    reaching = {
        "key": f"open({str(home / 'key')!r}).read()",
        "passwd": "open('/etc/passwd').read()",
        "parent": f"open('/proc/{os.getpid()}/environ').read()",
        "listing": f"__import__('os').listdir({str(home)!r})",
        "write": f"open({str(rules / 'new')!r}, 'w')",
        "rewrite": f"open({str(rules / 'good.py')!r}, 'r+').truncate()",
        "remove": f"__import__('os').remove({str(rules / 'good.py')!r})",
        "mode": f"__import__('os').chmod({str(rules / 'good.py')!r}, 0)",
        "scratch": "__import__('tempfile').NamedTemporaryFile()",
        "fork": "__import__('os').fork()",
        "exec": "__import__('os').execv('/bin/true', ['true'])",
        "spawn": "__import__('subprocess').run(['true'])",
        "socket": "__import__('socket').socket()",
        "kill": "__import__('os').kill(__import__('os').getppid(), 9)",
    }
    for name, does in reaching.items():
        write(rules, name, f"def rule(event):\n    {does}\n    return True\n")
    write(rules, "good", GOOD)
    failed = tried(rules, only=layers, keep_out=(str(home),))
    assert failed.keys() == reaching.keys()
    for name, ((_, why),) in failed.items():
        assert "Error" in why, f"{name}: {why}"
    assert (rules / "good.py").read_text() == GOOD


@pytest.mark.whole_processes
def test_a_rule_is_shown_no_setting_of_whoever_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIZ_SECRET", "hunter2")
    write(tmp_path, "env", "import os\ndef rule(event): raise ValueError(dict(os.environ))")
    write(tmp_path, "proc", "def rule(event): raise ValueError(open('/proc/self/environ').read())")
    write(tmp_path, "open", "import os\ndef rule(event): raise ValueError(sorted(os.listdir('/proc/self/fd')))")
    failed = tried(tmp_path)
    assert failed.keys() == {"env", "proc", "open"}
    assert "hunter2" not in str(failed)


@pytest.mark.slow
def test_a_rule_that_ends_or_hangs_costs_its_own_test_alone(tmp_path: Path) -> None:
    write(tmp_path, "a_loop", "def rule(event):\n    while event['n'] == 1: pass\n    return True", tests=3)
    write(tmp_path, "b_gone", "import os\ndef rule(event):\n    os._exit(event['n'])", tests=2)
    write(tmp_path, "c_exit", "import sys\ndef rule(event):\n    sys.exit(1)")
    write(tmp_path, "d_crash", "import ctypes\ndef rule(event):\n    ctypes.string_at(0)")
    write(tmp_path, "e_memory", "def rule(event):\n    return len([0] * 10**9) > 0")
    write(tmp_path, "f_deep", "def rule(event):\n    return rule(event)")
    write(tmp_path, "g_good", GOOD, tests=2)
    failed = tried(tmp_path)
    assert failed["a_loop"] == [("t1", "took longer than 2 s")]
    assert failed["b_gone"] == [("t0", "ended itself"), ("t1", "ended itself with code 1")]
    assert failed["c_exit"] == [("t0", "rule: SystemExit: 1 (c_exit.py:3)")]
    assert "SIGSEGV" in failed["d_crash"][0][1]
    assert "MemoryError" in failed["e_memory"][0][1]
    assert "RecursionError" in failed["f_deep"][0][1]
    assert "g_good" not in failed


@pytest.mark.slow
def test_a_rule_that_hangs_when_it_loads_fails_in_all_its_tests_at_once(tmp_path: Path) -> None:
    write(tmp_path, "bad", "while True: pass\ndef rule(event): return True", tests=5)
    write(tmp_path, "worse", "import os\nos._exit(0)\ndef rule(event): return True", tests=0)
    write(tmp_path, "good", GOOD)
    told = list[tuple[int, int]]()
    failed = tried(tmp_path, told=lambda done, of: told.append((done, of)))
    assert failed["bad"] == [(f"t{n}", "setup: took longer than 2 s") for n in range(5)]
    assert failed.keys() == {"bad", "worse"} or failed.keys() == {"bad"}
    assert told[-1][0] == told[-1][1]


def test_a_rule_cannot_tell_of_another(tmp_path: Path) -> None:
    forged = """
        import os
        def rule(event):
            text = b'{"why":null}'
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, 2 * (b"done".ljust(16, bytes(1)) + len(text).to_bytes(8, "little") + text))
                except OSError:
                    pass
            return True
    """
    write(tmp_path, "a_forger", forged)
    write(tmp_path, "b_other", "def rule(event): return False")
    assert tried(tmp_path).keys() == {"a_forger", "b_other"}


FORGED = """
    import json, os
    def rule(event):
        text = json.dumps({told}).encode()
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, {times} * (b"{kind}".ljust(16, bytes(1)) + len(text).to_bytes(8, "little") + text))
            except OSError:
                pass
        return True
"""


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("begin", '{"number": 3}'),
        ("begin", '{"number": 1}'),
        ("begin", '{"number": -1}'),
        ("begin", '{"number": 10**30}'),
        ("begin", '{"number": "3"}'),
        ("found", '{"trials": []}'),
        ("found", '{"trials": [["b_other", "t0"]] * 4}'),
        ("done", "[]"),
        ("end", '{"rules": 2, "failed": [], "not_run": []}'),
        ("refused", '{"why": "no rules here"}'),
    ],
)
@pytest.mark.parametrize("times", [1, 50])
def test_a_rule_that_writes_in_the_place_of_its_process_fails_and_the_next_is_tried(
    tmp_path: Path, kind: str, told: str, times: int
) -> None:
    forged = FORGED.replace("{told}", told).replace("{kind}", kind).replace("{times}", str(times))
    write(tmp_path, "a_forger", forged)
    write(tmp_path, "b_other", "def rule(event): return False")
    failed = tried(tmp_path)
    assert failed["b_other"] == [("t0", "expected the rule to return True, and it returned False")]
    assert failed.keys() == {"a_forger", "b_other"}


def test_what_a_rule_says_of_its_failure_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, "long", "def rule(event): raise ValueError('x' * 10**7)")
    write(tmp_path, "type", "def rule(event): raise type('E' * 10**6, (Exception,), {})()")
    for ((_, why),) in tried(tmp_path).values():
        assert len(why) <= 1_000


def test_the_checkout_of_every_shape_passes() -> None:
    report = Trials(path=CHECKOUT).run()
    assert report.failed == ()
    assert report.passed == report.tests > 10


def test_a_path_inside_a_checkout_finds_its_helpers() -> None:
    whole = Trials(path=CHECKOUT).run()
    (some,) = {each.parent for each in CHECKOUT.rglob("forced.yml")}
    part = Trials(path=some).run()
    assert 0 < part.tests < whole.tests
    assert part.failed == ()


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="nothing"):
        Trials(path=tmp_path / "nothing").run()


def test_a_home_inside_the_checkout_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    key = tmp_path / "home" / "key"
    key.write_text("hunter2")
    write(tmp_path, "bad", f"def rule(event): return open({str(key)!r}).read() == 'hunter2'")
    write(tmp_path, "worse", f"def rule(event): return bool(open({str(tmp_path / 'bad.py')!r}).read())")
    failed = tried(tmp_path, keep_out=(str(tmp_path / "home"),))
    assert ["FileNotFoundError" in why for ((_, why),) in failed.values()] == [True, True]


def test_without_seccomp_no_rule_runs(tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    with pytest.raises(SandboxError, match="no seccomp"):
        Trials(path=tmp_path, only=Layers(landlock=7, seccomp=False)).run()
