"""Rules of a checkout, tested by the command as a person and a script see it."""

from pathlib import Path

import pytest

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
    narrow = Ocelog(ocelog.home, COLUMNS="60")("rules", "test", str(tmp_path), code=1).out
    assert max(map(len, narrow.splitlines())) <= 60
    assert not ocelog.home.exists()
    assert "There is nothing at" in ocelog("rules", "test", str(tmp_path / "nothing"), code=2).err


QUERY = """\
AnalysisType: scheduled_query
QueryName: {name}
Enabled: true
Schedule: {{RateMinutes: 60, TimeoutMinutes: 1}}
{sql}"""


@pytest.mark.slow
def test_a_query_that_cannot_run_is_told_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    queries = {
        "column": "Query: |\n  SELECT p_row_id,\n    actionn\n  FROM wiz_audit\n",
        "field": 'Query: SELECT "user".nmae FROM wiz_audit_x\n',
        "word": "Query: SELECT * FORM wiz_audit\n",
        "good": "Query: SELECT count(*) FROM open_issues, wiz_issues_current, all_logs, streams, alerts\n",
        "writes": "Query: DROP TABLE wiz_audit\n",
        "foreign": "SnowflakeQuery: >\n  SELECT * FROM wiz_audit\n  WHERE p_occurs_since('1 d')\n",
        "plain": "SnowflakeQuery: SELECT action FROM wiz_audit\n",
    }
    for name, sql in queries.items():
        (tmp_path / f"{name}.yml").write_text(QUERY.format(name=name, sql=sql))
    ocelog = Ocelog(tmp_path.parent / f"{tmp_path.name}-home")
    told = ocelog("rules", "check", str(tmp_path), "--json", code=1).json
    assert {each["rule"]: (each["line"], each["why"]) for each in told["problems"]} == {
        "column": (7, "there is no column 'actionn'; did you mean 'action'?"),
        "field": (5, "There is no table 'wiz_audit_x'; did you mean 'wiz_audit'?"),
        "word": (5, 'syntax error at or near "wiz_audit"'),
        "writes": (5, "Expected a SELECT, found DROP. Queries only read: nothing in the lake changes by them"),
    }
    (foreign,) = told["not_run"]
    assert (foreign["rule"], foreign["line"]) == ("foreign", 7)
    assert "no function 'p_occurs_since'" in foreign["why"]
    tested = ocelog("rules", "test", str(tmp_path), "--json").json
    assert {each["rule"] for each in tested["not_run"]} == {"column", "field", "word", "writes", "foreign"}
    assert "foreign: not run: There is no function" in ocelog("rules", "test", str(tmp_path)).err
    assert not ocelog.home.exists()


def test_a_folder_without_a_rule_is_not_called_good_and_files_that_are_not_yaml_are_named(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.yml").write_text("fine: 1\nnonsense: [\n")
    (folder / "b.yml").write_text("kind: Pod\n---\nkind: Service\n")
    for command in ("check", "test"):
        for path in (folder, folder / "a.yml"):
            said = ocelog("rules", command, str(path), code=2).err
            assert f"There is no rule in {path}: no YAML file there has an `AnalysisType`." in said
            assert f"{folder}/a.yml:2: this is not YAML" in said
            assert "b.yml" not in said
    (folder / "mine.yml").write_text(FAILING)
    (folder / "mine.py").write_text("def rule(event):\n    return event.get('action') == 'Login'\n")
    checked = ocelog("rules", "check", str(folder))
    assert f"{folder}/a.yml:2: not read as a rule: this is not YAML" in checked.err
    assert "1 rule checked: no problem." in checked.out
    (one,) = ocelog("rules", "check", str(folder), "--json").json["not_yaml"]
    assert (one["file"], one["line"]) == ("a.yml", 2)


def test_all_that_is_wrong_with_a_rule_is_told_at_once(tmp_path: Path) -> None:
    text = FAILING.replace("HIGH", "Hgih").replace("Wiz.Audit", "Wiz.Audti") + "Threshold: many\n"
    (tmp_path / "mine.yml").write_text(text)
    (tmp_path / "mine.py").write_text("def rule(event)\n    return True\n")
    ocelog = Ocelog(tmp_path.parent / f"{tmp_path.name}-home")
    told = [each["why"] for each in ocelog("rules", "check", str(tmp_path), "--json", code=1).json["problems"]]
    assert len(told) == 4
    assert f"{tmp_path}/mine.yml:6: unknown severity 'Hgih'; did you mean 'High'?" in told
    assert any("mine.yml:9: expected a whole number" in each for each in told)
    assert f"{tmp_path}/mine.yml:5: there is no log type 'Wiz.Audti'; did you mean 'Wiz.Audit'?" in told
    assert any("mine.py:1: " in each for each in told)
