import json
from pathlib import Path

import pytest

from ocelog.detect import testing
from ocelog.errors import RuleFileError

CHECKOUT = Path(__file__).parents[1] / "rules" / "checkout"
HEAD = "AnalysisType: rule\nRuleID: A.B\nEnabled: true\nFilename: r.py\nLogTypes: [X]\nSeverity: Low\n"


def run(tmp_path: Path, source: str, tests: str, head: str = HEAD, **files: str) -> testing.Report:
    (tmp_path / "r.py").write_text(source)
    (tmp_path / "r.yml").write_text(f"{head}Tests:\n{tests}")
    for name, text in files.items():
        (tmp_path / name.replace("_DOT_", ".")).write_text(text)
    return testing.run(tmp_path)


def why(tmp_path: Path, source: str, tests: str, head: str = HEAD) -> str | None:
    """Return why the only test failed, None if it passed."""
    found = run(tmp_path, source, tests, head)
    assert found.tests == 1
    assert found.passed == 1 - len(found.failed)
    return found.failed[0].why if found.failed else None


EXPECTED_TRUE = "  - {Name: n, ExpectedResult: true, Log: {a: 1}}"
EXPECTED_FALSE = "  - {Name: n, ExpectedResult: false, Log: {a: 1}}"


def test_every_test_of_a_checkout_passes() -> None:
    found = testing.run(CHECKOUT)
    assert found.failed == ()
    assert (found.rules, found.tests, found.passed) == (9, 20, 20)
    assert [one.rule for one in found.not_run] == ["Acme.Bucket", "Acme.Prompt"]
    assert json.loads(json.dumps(found.as_json())) == {
        "rules": 9,
        "tests": 20,
        "passed": 20,
        "failed": [],
        "not_run": [{"rule": one.rule, "why": one.why} for one in found.not_run],
    }


@pytest.mark.parametrize(("inside", "rules", "tests"), [("rules/door", 6, 13), ("simple", 1, 3), ("correlation", 2, 4)])
def test_part_of_a_checkout_is_tested_alone(inside: str, rules: int, tests: int) -> None:
    found = testing.run(CHECKOUT / inside)
    assert (found.rules, found.tests, found.passed, found.failed) == (rules, tests, tests, ())


def test_expecting_true_takes_a_match(tmp_path: Path) -> None:
    assert why(tmp_path, "def rule(event): return event.get('a') == 1", EXPECTED_TRUE) is None
    failed = why(tmp_path, "def rule(event): return False", EXPECTED_TRUE)
    assert failed == "expected the rule to return True, and it returned False"


@pytest.mark.parametrize("name", ["title", "severity", "destinations", "dedup", "alert_context", "unique", "runbook"])
@pytest.mark.parametrize("error", ["ValueError('no')", "SystemExit('no')"])
def test_expecting_true_fails_if_an_optional_function_raises(tmp_path: Path, name: str, error: str) -> None:
    source = f"def rule(event): return True\ndef {name}(event): raise {error}"
    failed = why(tmp_path, source, EXPECTED_TRUE)
    assert failed == f"{name}: {error.partition('(')[0]}: no (r.py:2)"


@pytest.mark.parametrize(
    ("name", "answer", "problem"),
    [
        ("title", "None", "title: expected text, found None"),
        ("dedup", "5", "dedup: expected text, found int 5"),
        ("description", "['a']", "description: expected text, found list ['a']"),
        ("unique", "None", "unique: expected text, found None"),
        ("severity", "'WORSE'", "severity: expected one of INFO, LOW, MEDIUM, HIGH, CRITICAL, found str 'WORSE'"),
        ("destinations", "'ops'", "destinations: expected a list of names, found str 'ops'"),
        ("alert_context", "[]", "alert_context: expected a mapping, found list []"),
        ("alert_context", "{'a': object}", "alert_context: it cannot be written as JSON: "),
    ],
)
def test_expecting_true_fails_if_an_optional_function_answers_what_cannot_be_used(
    tmp_path: Path, name: str, answer: str, problem: str
) -> None:
    source = f"def rule(event): return event['a'] == 1\ndef {name}(event): return {answer}"
    assert str(why(tmp_path, source, EXPECTED_TRUE)).startswith(problem)
    assert why(tmp_path, source, EXPECTED_FALSE.replace("a: 1", "a: 2")) is None


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("title", "''"),
        ("description", "''"),
        ("runbook", "'x' * 2000"),
        ("severity", "'Default'"),
        ("destinations", "None"),
        ("alert_context", "{}"),
        ("alert_context", "{'a': 'x' * 300_000}"),
    ],
)
def test_expecting_true_passes_if_an_answer_is_empty_or_long(tmp_path: Path, name: str, answer: str) -> None:
    assert why(tmp_path, f"def rule(event): return True\ndef {name}(event): return {answer}", EXPECTED_TRUE) is None


def test_expecting_false_takes_a_false_and_no_error(tmp_path: Path) -> None:
    assert why(tmp_path, "def rule(event): return False", EXPECTED_FALSE) is None
    assert "returned True" in str(why(tmp_path, "def rule(event): return True", EXPECTED_FALSE))
    assert "ValueError" in str(why(tmp_path, "def rule(event): raise ValueError", EXPECTED_FALSE))
    assert "expected True or False, found None" in str(why(tmp_path, "def rule(event): pass", EXPECTED_FALSE))


def test_a_filter_that_lets_nothing_through_is_a_false(tmp_path: Path) -> None:
    head = HEAD + "InlineFilters: [{Key: a, Condition: Equals, Value: 2}]\n"
    assert why(tmp_path, "def rule(event): return True", EXPECTED_FALSE, head) is None


@pytest.mark.parametrize(
    ("answer", "expected", "passes"),
    [
        ("['x', 'y']", "[y, x]", True),
        ("['x']", "[x, y]", False),
        ("[]", "[]", True),
        ("None", "[]", True),
        ("['SKIP']", "[]", True),
        ("['SKIP']", "[SKIP]", True),
        ("['x']", "[SKIP]", False),
        ("['x']", "[]", False),
    ],
)
def test_expected_destinations_are_compared(tmp_path: Path, answer: str, expected: str, passes: bool) -> None:
    source = f"def rule(event): return True\ndef destinations(event): return {answer}"
    test = f"  - {{Name: n, ExpectedResult: true, ExpectedDestinations: {expected}, Log: {{}}}}"
    failed = why(tmp_path, source, test)
    assert (failed is None) is passes
    assert passes or "expected the destinations" in str(failed)


def test_mocks_replace_names_of_the_rules_module_for_one_test(tmp_path: Path) -> None:
    source = """
def ask(what): raise RuntimeError("would ask the network")
def rule(event): return ask(event.get("a")) == "yes"
def title(event): return ask("title")
"""
    tests = """
  - {Name: yes, ExpectedResult: true, Log: {}, Mocks: [{objectName: ask, returnValue: "yes"}]}
  - {Name: no, ExpectedResult: false, Log: {}, Mocks: [{objectName: ask, returnValue: "no"}]}
  - {Name: none, ExpectedResult: true, Log: {}}
  - Name: whole
    ExpectedResult: true
    Log: {}
    Mocks: [{objectName: rule, returnValue: true}, {objectName: title, returnValue: x}]
  - {Name: after, ExpectedResult: true, Log: {}}
"""
    found = run(tmp_path, source, tests)
    assert [one.test for one in found.failed] == ["none", "after"]
    assert "would ask the network" in found.failed[0].why


def test_a_mock_may_replace_what_python_has_built_in(tmp_path: Path) -> None:
    tests = """
  - {Name: mocked, ExpectedResult: true, Log: {}, Mocks: [{objectName: open, returnValue: "yes"}]}
  - {Name: after, ExpectedResult: false, Log: {}}
"""
    found = run(tmp_path, "def rule(event): return open('x') == 'yes'", tests)
    assert [one.test for one in found.failed] == ["after"]
    assert "FileNotFoundError" in found.failed[0].why


def test_of_a_key_that_an_event_has_twice_the_last_counts_as_in_json(tmp_path: Path) -> None:
    test = '  - {Name: n, ExpectedResult: true, Log: {"a": 1, "b": {"c": 1, "c": 2}, "a": 3}}'
    assert why(tmp_path, "def rule(event): return (event['a'], event['b']['c']) == (3, 2)", test) is None


def test_a_mock_that_names_nothing_fails(tmp_path: Path) -> None:
    simple = HEAD.replace("Filename: r.py", "Detection: [{Key: a, Condition: Exists}]")
    built_in = "  - {Name: n, ExpectedResult: true, Log: {a: 1}, Mocks: [{objectName: len, returnValue: 1}]}"
    assert "names nothing" in str(why(tmp_path, "", built_in, simple))
    test = "  - {Name: n, ExpectedResult: true, Log: {}, Mocks: [{objectName: asks, returnValue: 1}]}"
    assert "names nothing" in str(why(tmp_path, "def rule(event): return True", test))


def test_the_data_model_is_chosen_by_the_logs_type_and_scheduled_rules_have_none(tmp_path: Path) -> None:
    model = "AnalysisType: datamodel\nDataModelID: M\nEnabled: true\nLogTypes: [X]\nMappings: [{Name: u, Path: a.b}]\n"
    source = "def rule(event): return event.udm('u') == 1"
    tests = """
  - {Name: model, ExpectedResult: true, Log: {p_log_type: X, a: {b: 1}}}
  - {Name: another, ExpectedResult: false, Log: {p_log_type: Y, a: {b: 1}}}
  - {Name: none, ExpectedResult: false, Log: {a: {b: 1}}}
"""
    assert run(tmp_path, source, tests, m_DOT_yml=model).failed == ()
    head = HEAD.replace(": rule", ": scheduled_rule").replace("LogTypes", "ScheduledQueries")
    found = run(tmp_path, source, tests, head, m_DOT_yml=model)
    assert [one.test for one in found.failed] == ["model"]
    assert run(tmp_path, source, tests, m_DOT_yml=model.replace("true", "false")).failed[0].test == "model"


def test_a_data_model_that_cannot_be_loaded_says_so_where_it_is_used(tmp_path: Path) -> None:
    model = "AnalysisType: datamodel\nDataModelID: M\nEnabled: true\nLogTypes: [X]\nFilename: m.py\n"
    model += "Mappings: [{Name: u, Method: read}]\n"
    test = "  - {Name: n, ExpectedResult: true, Log: {p_log_type: X}}"
    source = "def rule(event): return event.udm('u') == 1"
    for text, message in (("x = 1", "m.py has no function read()"), ("import no_such_package", "'no_such_package'")):
        found = run(tmp_path, source, test, m_DOT_yml=model, m_DOT_py=text)
        assert message in found.failed[0].why
    assert run(tmp_path, source, test, m_DOT_yml=model, m_DOT_py="def read(event): return 1").failed == ()


def test_a_rule_that_cannot_be_loaded_fails_each_of_its_tests(tmp_path: Path) -> None:
    found = run(tmp_path, "import no_such_package", EXPECTED_TRUE + "\n" + EXPECTED_FALSE.replace("Name: n", "Name: m"))
    assert [one.test for one in found.failed] == ["n", "m"]
    assert all("'no_such_package' is not installed" in one.why for one in found.failed)


def test_a_rule_without_tests_that_cannot_be_loaded_fails_by_itself(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(HEAD)
    (found,) = testing.run(tmp_path).failed
    assert (found.rule, found.test, found.why) == ("A.B", None, "setup: FileNotFoundError: there is no file r.py")


def test_a_file_that_does_not_read_fails_and_counts_as_a_rule(tmp_path: Path) -> None:
    found = run(tmp_path, "def rule(event): return True", EXPECTED_TRUE, bad_DOT_yml="AnalysisType: rule\nRuleID: C\n")
    assert (found.rules, found.tests, found.passed) == (2, 1, 1)
    assert [(one.rule, one.test, one.why) for one in found.failed] == [("C", None, "bad.yml:1: `Enabled` is missing")]


def test_a_rule_that_is_there_twice_counts_once_and_fails(tmp_path: Path) -> None:
    found = run(tmp_path, "def rule(event): return True", EXPECTED_TRUE, s_DOT_yml=HEAD)
    assert (found.rules, found.tests, found.passed) == (1, 1, 1)
    assert [one.why for one in found.failed] == ["s.yml:1: the id 'A.B' is taken by r.yml"]


def test_a_correlation_that_finds_too_much_or_too_little_fails(tmp_path: Path) -> None:
    text = (CHECKOUT / "correlation/forced_after.yml").read_text()
    text = text.replace("ExpectedResult: true", "ExpectedResult: maybe").replace(
        "ExpectedResult: false", "ExpectedResult: true"
    )
    (tmp_path / "c.yml").write_text(text.replace("ExpectedResult: maybe", "ExpectedResult: false"))
    assert [one.why for one in testing.run(tmp_path).failed] == [
        "expected nothing to be found",
        "expected something to be found, found nothing",
    ]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="no such file"):
        testing.run(tmp_path / "nowhere")


def test_a_test_brings_the_rows_that_lookup_finds(tmp_path: Path) -> None:
    table = "AnalysisType: lookup_table\nLookupName: {}\nEnabled: true\nFilename: {}\nLogTypeMap: {{PrimaryKey: id}}\n"
    source = """
def rule(event):
    return event.lookup("here", event["a"])["name"] == "ada"
"""
    tests = """
  - {Name: of the checkout, ExpectedResult: true, Log: {a: 1}}
  - {Name: of the test, ExpectedResult: true, Log: {a: 7, _mocked_lookup_data_: {here: {'7': {name: ada}}}}}
  - {Name: of the test alone, ExpectedResult: true, Log: {a: 1, _mocked_lookup_data_: {here: {'7': {name: ada}}}}}
"""
    files = {"here_DOT_yml": table.format("here", "here.csv"), "here_DOT_csv": "id,name\n1,ada\n"}
    found = run(tmp_path, source, tests, **files)
    assert [one.test for one in found.failed] == ["of the test alone"]


def test_in_a_test_a_table_without_rows_has_no_row(tmp_path: Path) -> None:
    table = "AnalysisType: lookup_table\nLookupName: far\nEnabled: true\nRefresh: {}\nLogTypeMap: {PrimaryKey: id}\n"
    source = "def rule(event): return (event.lookup('far', 'k'), event.lookup('nowhere', 'k')) != (None, None)"
    found = run(tmp_path, source, EXPECTED_FALSE, far_DOT_yml=table)
    assert found.failed == ()
