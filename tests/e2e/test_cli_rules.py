"""Rules of a checkout, tested by the command as a person and a script see it."""

from pathlib import Path

from commands import Ocelog

CHECKOUT = Path(__file__).resolve().parents[1] / "rules" / "checkout"
FAILING = """\
AnalysisType: rule
RuleID: Mine
Enabled: true
Filename: mine.py
LogTypes: [Wiz.Audit]
Severity: HIGH
Tests:
  - {Name: meant to match, ExpectedResult: true, Log: {action: Login}}
"""


def test_a_checkout_of_every_shape_passes_and_says_what_is_not_run(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    report = ocelog("rules", "test", str(CHECKOUT), "--json").json
    assert report["failed"] == []
    assert report["passed"] == report["tests"] > 10
    assert {each["rule"] for each in report["not_run"]} >= {"Acme.Bucket", "Acme.Prompt"}
    shown = ocelog("rules", "test", str(CHECKOUT))
    assert f"{report['passed']} of {report['tests']} tests of {report['rules']} rules passed." in shown.out
    assert "Acme.Bucket: not run: " in shown.err


def test_a_test_that_fails_is_told_with_exit_code_1_and_without_a_home(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(FAILING)
    (tmp_path / "mine.py").write_text("def rule(event):\n    return event.get('ACTION') == 'Logout'\n")
    ocelog = Ocelog(tmp_path.parent / f"{tmp_path.name}-home")
    report = ocelog("rules", "test", str(tmp_path), "--json", code=1).json
    (failed,) = report["failed"]
    assert (failed["rule"], failed["test"], report["passed"]) == ("Mine", "meant to match", 0)
    assert "returned False" in ocelog("rules", "test", str(tmp_path), code=1).out
    assert not ocelog.home.exists()
    assert "There is nothing at" in ocelog("rules", "test", str(tmp_path / "nothing"), code=2).err
