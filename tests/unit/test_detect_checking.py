"""A rule that names what does not exist is told so, with its line and the nearest name."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from ocelog.app.rules.rules import check_rules
from ocelog.detect import checking
from ocelog.detect.checking import Checked, Names, check
from ocelog.detect.checkout import read_checkout
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.suggest import suggest

NAMES = Names(schemas=packaged_schemas(), channels={"pager", "night-shift"})
IS_A_LIST = "'projects' is a list; use [*] or deep_walk() to reach its elements"
HEAD = "AnalysisType: rule\nRuleID: Mine\nEnabled: true\nSeverity: High\n"


def wrong(folder: Path, yaml: str = "Filename: mine.py\n", python: str = "", log_types: str = "Wiz.Audit") -> list[str]:
    """Return what is wrong with a rule of `yaml` and `python`."""
    (folder / "mine.yml").write_text(f"{HEAD}LogTypes: [{log_types}]\n{yaml}")
    (folder / "mine.py").write_text(python or "def rule(event):\n    return True\n")
    checkout = read_checkout(folder)
    assert checkout.problems == ()
    return [str(each) for each in check(checkout, NAMES)]


def simple(expressions: str) -> str:
    return f"Detection:\n{expressions}"


@pytest.mark.parametrize(
    ("log_type", "said"),
    [
        ("Wiz.Audit", None),
        ("Wiz.Detections", None),
        ("AWS.CloudTrail", None),
        ("Databricks.Audit", None),
        ("Docusign.Connect", None),
        ("MicrosoftIntune.AuditLogs", None),
        ("Upwind.Detections", None),
        ("Custom.Door", None),
        ("Wiz.Audits", "there is no log type 'Wiz.Audits'; did you mean 'Wiz.Audit'?"),
        ("Oktta.SystemLog", "there is no log type 'Oktta.SystemLog'; did you mean 'Okta.SystemLog'?"),
        ("Acme.Door", "there is no log type 'Acme.Door'"),
    ],
)
def test_log_types_are_those_here_and_those_that_others_have(tmp_path: Path, log_type: str, said: str | None) -> None:
    assert wrong(tmp_path, log_types=log_type) == ([] if said is None else [f"mine.yml:5: {said}"])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("KeyPath: action", None),
        ("Key: ACTION", None),
        ("DeepKey: [user, id]", None),
        ("KeyPath: actionParameters.anything.at.all", None),
        ("KeyPath: p_any_emails", None),
        ("KeyPath: p_enrichment.badges.id", None),
        ("KeyPath: actoin", "there is no field 'actoin'; did you mean 'action'?"),
        ("DeepKey: [user, nmae]", "there is no field 'user.nmae'; did you mean 'name'?"),
        ("KeyPath: action.id", "there is no field 'action.id': 'action' has no fields below it"),
        ("KeyPath: p_sorce_id", "there is no field 'p_sorce_id'; did you mean 'p_source_id'?"),
    ],
)
def test_the_keys_of_match_expressions_are_fields(tmp_path: Path, key: str, said: str | None) -> None:
    found = wrong(tmp_path, simple(f"  - Any:\n      - {key}\n        Condition: Exists\n"))
    assert found == ([] if said is None else [f"mine.yml:8: {said}"])


def test_fields_are_found_wherever_a_rule_may_name_them(tmp_path: Path) -> None:
    yaml = """\
Detection:
  - KeyPath: action
    Condition: Equals
    Value: {KeyPath: first}
InlineFilters:
  - {KeyPath: second, Condition: Exists}
DynamicSeverities:
  - ChangeTo: Low
    Conditions: [{KeyPath: third, Condition: Exists}]
AlertTitle: "By {fourth} with {action}"
AlertContext:
  - {KeyName: a, KeyValue: {KeyPath: fifth}}
  - {KeyName: b, KeyValue: always}
GroupBy:
  - sixth
  - KeyPath: seventh
OutputIds: [pager, pagger]
"""
    found = wrong(tmp_path, yaml)
    assert [each.partition("; ")[0] for each in found] == [
        "mine.yml:9: there is no field 'first'",
        "mine.yml:11: there is no field 'second'",
        "mine.yml:14: there is no field 'third'",
        "mine.yml:15: there is no field 'fourth'",
        "mine.yml:17: there is no field 'fifth'",
        "mine.yml:20: there is no field 'sixth'",
        "mine.yml:21: there is no field 'seventh'",
        "mine.yml:22: there is no destination 'pagger'",
    ]


def test_the_elements_of_a_list_have_fields_of_their_own(tmp_path: Path) -> None:
    yaml = """\
Detection:
  - KeyPath: projects
    Condition: AnyElement
    Expressions:
      - {KeyPath: name, Condition: Exists}
      - {KeyPath: nmae, Condition: Exists}
  - {KeyPath: "projects[*].slgu", Condition: Exists}
  - {KeyPath: projects.name, Condition: Exists}
"""
    assert wrong(tmp_path, yaml, log_types="Wiz.Issues") == [
        "mine.yml:11: there is no field 'nmae'; did you mean 'name'?",
        "mine.yml:12: there is no field 'projects[].slgu'; did you mean 'slug'?",
        "mine.yml:13: there is no field 'projects.name': " + IS_A_LIST,
    ]


def test_the_python_of_a_rule_reads_fields(tmp_path: Path) -> None:
    python = """\
def rule(event):
    user = event.get("user") or {}
    if event.deep_get("user", "nmae", default="") or user.get("idd"):
        return event["acton"] == "Login"
    return event.deep_walk("user", "name") == event.get("actionParameters", {}).get("any").get("thing")


def title(event):
    word = "constructed" + event.get("whatever" if event else "x", "")
    return word + event.get("requestIdd", "").upper()


def helper(other):
    return other.get("not an event")


def destinations(event):
    if event.get("status"):
        return ["SKIP"]
    return ["pager", "nihgt-shift"]
"""
    assert wrong(tmp_path, python=python) == [
        "mine.py:3: there is no field 'user.nmae'; did you mean 'name'?",
        "mine.py:3: there is no field 'user.idd'; did you mean 'id'?",
        "mine.py:4: there is no field 'acton'; did you mean 'action'?",
        "mine.py:10: there is no field 'requestIdd'; did you mean 'requestId'?",
        "mine.py:20: there is no destination 'nihgt-shift'; did you mean 'night-shift'?",
    ]


def test_python_that_goes_a_long_way_to_a_field_hides_no_other(tmp_path: Path) -> None:
    variables = [f"    x{at} = x{at - 1} or x{at - 1}" for at in range(1, 2_000)]
    lines = ["def rule(event):", "    x0 = event.get('action')", *variables, "    return event.get('acton') or x1999"]
    chained = ".get('action')" * 400
    chain = ["", "", "def dedup(event):", f"    return event{chained}", ""]
    assert wrong(tmp_path, python="\n".join(lines + chain)) == [
        "mine.py:2002: there is no field 'acton'; did you mean 'action'?",
        "mine.py:2006: there is no field 'action.action': 'action' has no fields below it",
    ]


def test_loops_and_walks_lead_into_lists(tmp_path: Path) -> None:
    python = """\
def rule(event):
    for project in event.get("projects", []):
        if project.get("nmae"):
            return True
    names = [each.get("slug") for each in event.get("projects", [])]
    return bool(names or event.deep_walk("projects", "slgu") or event["projects"][0]["id"])


def dedup(event):
    event = event.to_dict()
    return event.get("this is not looked at")
"""
    assert wrong(tmp_path, python=python, log_types="Wiz.Issues") == [
        "mine.py:3: there is no field 'projects[].nmae'; did you mean 'name'?",
        "mine.py:6: there is no field 'projects[].slgu'; did you mean 'slug'?",
    ]


def test_a_field_of_one_of_the_log_types_will_do_and_those_of_others_are_not_known(tmp_path: Path) -> None:
    exists = simple("  - {KeyPath: dueAt, Condition: Exists}\n")
    assert wrong(tmp_path, exists, log_types="Wiz.Audit, Wiz.Issues") == []
    assert wrong(tmp_path, exists, log_types="Wiz.Audit, AWS.CloudTrail") == []
    assert len(wrong(tmp_path, exists)) == 1


def test_python_that_does_not_compile_is_told_with_its_line(tmp_path: Path) -> None:
    assert wrong(tmp_path, python="def rule(event):\n    return (\n") == [
        "mine.py:2: this is not Python: '(' was never closed"
    ]


def test_queries_and_rules_that_are_named_exist(tmp_path: Path) -> None:
    head = HEAD.replace("AnalysisType: rule", "AnalysisType: scheduled_rule")
    (tmp_path / "mine.yml").write_text(f"{head}Filename: mine.py\nScheduledQueries:\n  - Nightly\n")
    (tmp_path / "mine.py").write_text("def rule(event):\n    return event.get('doors') > 3\n")
    (tmp_path / "both.yml").write_text(
        "AnalysisType: correlation_rule\nRuleID: Both\nEnabled: true\nSeverity: Low\nDetection:\n"
        "  - Group:\n      - {ID: a, RuleID: Mine}\n      - {ID: b, RuleID: Theris}\n"
        "    Schedule: {RateMinutes: 15, TimeoutMinutes: 5}\n"
    )
    checkout = read_checkout(tmp_path)
    assert checkout.problems == ()
    found = [str(each) for each in check(checkout, Names(schemas=packaged_schemas(), rules={"Theirs"}))]
    assert found == [
        "both.yml:1: there is no rule 'Theris'; did you mean 'Theirs'?",
        "mine.yml:7: there is no query 'Nightly'",
    ]


@pytest.mark.parametrize("linked", [True, False])
def test_nothing_is_told_of_files_outside_the_checkout(tmp_path: Path, linked: bool) -> None:
    away, folder = tmp_path / "away", tmp_path / "folder"
    folder.mkdir()
    away.write_text("hidden:hidden\n")
    code = folder / "rule.py"
    head = "AnalysisType: rule\nRuleID: Mine\nSeverity: none\nLogTypes: [Wiz.Audit]\n"
    (folder / "rule.yml").write_text(f"{head}Filename: {code.name if linked else away}\n")
    if linked:
        (folder / "away.yml").symlink_to(away)
        code.symlink_to(away)
    told = [message for _, message in check_rules(folder).unreadable]
    assert told
    assert not [each for each in told if "hidden" in each or "away:" in each or "rule.py:" in each]


@pytest.mark.parametrize("wrong_keys", ["LogTypes:", "LogTypes: [X]\nFilename: [a]", "LogTypes: {a: b}\nFilename:"])
def test_a_file_that_does_not_read_hides_no_other(tmp_path: Path, wrong_keys: str) -> None:
    (tmp_path / "a.yml").write_text(f"{HEAD}{wrong_keys}\n")
    (tmp_path / "b.yml").write_text(f"{HEAD}LogTypes: [Wiz.Audit]\nFilename: gone.py\n".replace("Mine", "Other"))
    found = check_rules(tmp_path)
    assert "a.yml:" in found.unreadable[0][1]
    assert ["b.yml" in str(one) for one in found.wrong] == [True]


def test_helpers_that_do_not_read_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(f"{HEAD}LogTypes: [Wiz.Audit]\nFilename: mine.py\n")
    (tmp_path / "mine.py").write_text("import helper\n\n\ndef rule(event):\n    return helper.verdict(event)\n")
    for name in ("helper", "gone"):
        described = f"AnalysisType: global\nGlobalID: {name}\nFilename: {name}.py\n"
        (tmp_path / f"{name}.yml").write_text(described)
    (tmp_path / "helper.py").write_text("def verdict(event:\n")
    assert [str(each) for each in check_rules(tmp_path).wrong] == [
        "gone.yml:1: the file 'gone.py' cannot be read",
        "helper.py:1: this is not Python: '(' was never closed",
    ]


def test_after_an_edit_only_what_was_edited_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A", "B", "C"):
        (tmp_path / f"{name}.yml").write_text(
            f"{HEAD.replace('Mine', name)}LogTypes: [Wiz.Audit]\nFilename: {name}.py\n"
        )
        (tmp_path / f"{name}.py").write_text("def rule(event):\n    return event.get('actoin')\n")
    asked, run, checked = list[str](), checking._Checking.run, Checked()

    def noted(self: checking._Checking) -> Iterator[checking.WrongName]:
        asked.append(self.rule.id)
        return run(self)

    monkeypatch.setattr(checking._Checking, "run", noted)

    def rules() -> list[str]:
        return [each.rule for each in check(read_checkout(tmp_path), NAMES, checked)]

    assert (rules(), rules()) == (["A", "B", "C"], ["A", "B", "C"])
    assert asked == ["A", "B", "C"]
    (tmp_path / "B.py").write_text("def rule(event):\n    return event.get('action')\n")
    assert rules() == ["A", "C"]
    (tmp_path / "C.yml").write_text((tmp_path / "C.yml").read_text().replace("Wiz.Audit", "Custom.Door"))
    assert rules() == ["A"]
    assert asked == ["A", "B", "C", "B", "C"]


CORRELATION = """
AnalysisType: correlation_rule
RuleID: Many.{number}
Enabled: true
Severity: High
Detection:
  - Sequence:
      - {{ID: First, RuleID: Missing.Rule.{number}}}
      - {{ID: Second, RuleID: Missing.Rule.{number}}}
    Transitions:
      - {{ID: Next, From: First, To: Second}}
    LookbackWindowMinutes: 60
    Schedule: {{RateMinutes: 60, TimeoutMinutes: 5}}
"""
ROWS = """
AnalysisType: scheduled_rule
RuleID: Rows.{number}
Enabled: true
Severity: High
ScheduledQueries: [Missing.Query.{number}]
OutputIds: [missing-{number}]
Filename: rows.py
"""
DERIVED = "AnalysisType: rule\nRuleID: Derived.{number}\nBaseDetection: Missing.Base.{number}\nEnabled: true\n"
QUERY = "AnalysisType: saved_query\nQueryName: Some.Query.{number}\nQuery: SELECT {number}\n"


def test_names_that_are_missing_by_the_hundred_are_compared_with_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def counted(name: str, known: Collection[str], **_: float) -> str:
        nonlocal compared
        compared += len(known)
        return suggest(name, known)

    monkeypatch.setattr("ocelog.suggest._MOST_COMPARED", 1000)
    monkeypatch.setattr("ocelog.suggest.suggest", counted)
    for number in range(60):
        for kind, text in {"c": CORRELATION, "r": ROWS, "q": QUERY, "d": DERIVED}.items():
            (tmp_path / f"{kind}{number}.yml").write_text(text.format(number=number))
    (tmp_path / "rows.py").write_text("def rule(event):\n    return True\n")
    checkout = read_checkout(tmp_path)
    assert len(checkout.problems) == 60
    assert {each.message.partition(": ")[2].partition(" '")[0] for each in checkout.problems} == {"there is no rule"}
    others, channels = [f"Missing.Rules.{number}" for number in range(40)], [f"missing-x{one}" for one in range(100)]
    names = Names(schemas=packaged_schemas(), rules=others, channels=channels)
    wrong = [str(each) for each in check(checkout, names)]
    assert len(wrong) == 180
    assert "c0.yml:2: there is no rule 'Missing.Rule.0'; did you mean 'Missing.Rules.0'?" in wrong
    assert "r0.yml:6: there is no query 'Missing.Query.0'; did you mean 'Some.Query.0'?" in wrong
    assert [each for each in wrong if each.endswith("there is no rule 'Missing.Rule.59'")]
    assert compared <= 4 * (1000 + 120)
