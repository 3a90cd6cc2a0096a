import os
from pathlib import Path
from typing import Any

import pytest

from ocelog.detect import bundle
from ocelog.detect.checkout import read_checkout
from ocelog.detect.evaluate import RuleSet
from ocelog.detect.roots import find_root
from ocelog.errors import RuleFileError
from ocelog.model import Severity
from ocelog.yaml_nodes import is_name

CHECKOUT = Path(__file__).parents[1] / "rules" / "checkout"


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def rule(name: str, more: str = "Filename: x.py\nLogTypes: [X]\nEnabled: true\nSeverity: Low") -> str:
    return f"AnalysisType: rule\nRuleID: {name}\n{more}\n"


def test_a_rule_that_is_written_in_json_is_named(tmp_path: Path) -> None:
    rows = '{"rows": [{"AnalysisType": "rule"}]}'
    write(tmp_path, a_DOT_json='{"AnalysisType": "rule", "RuleID": "A"}', rows_DOT_json=rows, cut_DOT_json="{")
    write(tmp_path, b_DOT_yml=rule("B"), x_DOT_py="def rule(event):\n    return True\n")
    write(tmp_path, policy_DOT_json='{"AnalysisType": "policy", "PolicyID": "P"}')
    found = read_checkout(tmp_path)
    assert list(found.rules) == ["B"]
    (problem,) = found.problems
    assert problem.message.startswith("a.json:1: rules are read from YAML alone: rename this file to end with .yml")


@pytest.mark.parametrize("inside", [".", "rules", "rules/door", "rules/door/opened.yml", "packs/acme.yml"])
def test_the_root_of_a_checkout_is_found_upward(inside: str) -> None:
    assert find_root(CHECKOUT / inside) == CHECKOUT


def test_a_folder_that_looks_like_no_checkout_is_its_own_root(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    assert find_root(folder) == folder
    (tmp_path / ".git").mkdir()
    assert find_root(folder) == tmp_path


def test_everything_in_a_checkout_is_found() -> None:
    found = read_checkout(CHECKOUT)
    assert sorted(found.rules) == [
        "Acme.Door.Forced",
        "Acme.Door.Located",
        "Acme.Door.Modelled",
        "Acme.Door.Morning",
        "Acme.Door.Nightly",
        "Acme.Door.Opened",
        "Acme.Door.Trial",
    ]
    assert sorted(found.correlations) == ["Acme.Door.ForcedAfter", "Acme.Door.Unanswered"]
    assert sorted(found.queries) == ["Query.Acme.Doors", "Query.Acme.Saved"]
    assert {name: one.file for name, one in found.globals.items()} == {
        "door_helpers": "global_helpers/door_words.py",
        "door_config": "global_helpers/door_config.py",
    }
    assert list(found.models) == ["Acme.Door"]
    assert found.rows["badges"] == {"17": {"badge": "17", "name": "Ada"}, "18": {"badge": "18", "name": "Bo"}}
    assert found.rows["away"] == "they come from outside the checkout"
    assert [one.id for one in found.not_run] == ["Acme.Bucket", "Acme.Prompt"]
    assert found.problems == ()


def test_a_pack_leaves_out_what_is_experimental_or_deprecated() -> None:
    found = read_checkout(CHECKOUT)
    assert found.members(found.packs["Acme.Doors"]) == ("Acme.Door.Opened", "door_helpers")


def test_part_of_a_checkout_stands_on_the_whole_of_it() -> None:
    found = read_checkout(CHECKOUT / "rules/door/morning.yml")
    assert list(found.rules) == ["Acme.Door.Morning"]
    assert set(found.globals) == {"door_helpers", "door_config"}
    assert list(found.models) == ["Acme.Door"]
    assert set(found.tables) == {"badges", "away"}
    assert (found.correlations, found.queries, found.packs, found.not_run) == ({}, {}, {}, ())


def test_the_python_of_a_rule_stands_for_its_file() -> None:
    assert list(read_checkout(CHECKOUT / "rules/door/opened.py").rules) == ["Acme.Door.Opened"]


def test_a_derived_rule_has_its_bases_logic_and_fields_but_those_it_replaces() -> None:
    found = read_checkout(CHECKOUT).rules["Acme.Door.Morning"]
    assert found.file == "rules/door/opened.py"
    assert (found.base, found.log_types) == ("Acme.Door.Opened", ("Acme.Door",))
    assert (found.about.severity, found.about.dedup_minutes) == (Severity.LOW, 720)
    assert found.about.name == "A door was opened in the morning"
    assert found.about.description == "Someone opened a door."
    assert found.inline_filters is not None
    assert [test.name for test in found.tests] == ["In the morning", "In the evening"]
    assert found.place.file == "rules/door/morning.yml"


def test_an_override_replaces_its_field_whole(tmp_path: Path) -> None:
    base = rule("A", "Filename: x.py\nLogTypes: [X]\nEnabled: true\nSeverity: Low\nTags: [a, b]\nReports: {M: [x]}")
    base += "Tests: [{Name: n, ExpectedResult: true, Log: {}}]"
    derived = rule("B", "BaseDetection: A\nTags: [c]\nReports: {N: [y]}\nEnabled: false")
    twice = rule("C", "BaseDetection: B\nSeverity: High")
    found = read_checkout(write(tmp_path, a_DOT_yml=base, b_DOT_yml=derived, c_DOT_yml=twice)).rules
    assert (found["B"].about.tags, found["B"].about.reports) == (("c",), {"N": ("y",)})
    assert (found["B"].about.enabled, found["A"].about.enabled) == (False, True)
    assert (found["C"].about.tags, found["C"].about.severity) == (("c",), Severity.HIGH)
    assert found["C"].base == "B"
    # A test of the base says what the base must do.
    assert (len(found["A"].tests), found["B"].tests) == (1, ())


def test_the_base_of_a_base_is_found_elsewhere_in_the_checkout(tmp_path: Path) -> None:
    write(tmp_path, packs__x_DOT_txt="", rules__a_DOT_yml=rule("A"), other__b_DOT_yml=rule("B", "BaseDetection: A"))
    write(tmp_path, mine__c_DOT_yml=rule("C", "BaseDetection: B"))
    found = read_checkout(tmp_path / "mine")
    assert list(found.rules) == ["C"]
    assert found.rules["C"].file == "rules/x.py"


@pytest.mark.parametrize(
    ("files", "rule_id", "message"),
    [
        ({"a_DOT_yml": rule("A", "BaseDetection: Acn")}, "A", "a.yml:1: there is no rule 'Acn' to derive from"),
        ({"a_DOT_yml": rule("A", "BaseDetection: A")}, "A", "derived from itself"),
        (
            {"a_DOT_yml": rule("A", "BaseDetection: B"), "b_DOT_yml": rule("B", "BaseDetection: A")},
            "A",
            "derived from itself",
        ),
        ({"a_DOT_yml": rule("A"), "b_DOT_yml": rule("A")}, "A", "b.yml:1: the id 'A' is taken by a.yml"),
        ({"a_DOT_yml": rule("A", "Enabled: 5")}, "A", "a.yml:"),
        ({"a_DOT_yml": "RuleID: A\nEnabled: true"}, "A", "`AnalysisType` is missing"),
        ({"a_DOT_yml": "AnalysisType: [\n"}, "a.yml", "this is not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_a_problem_and_the_others_are_read(
    tmp_path: Path, files: dict[str, str], rule_id: str, message: str
) -> None:
    found = read_checkout(write(tmp_path, good_DOT_yml=rule("Good"), **files))
    assert "Good" in found.rules
    assert any(one.id == rule_id and message in one.message for one in found.problems)


@pytest.mark.parametrize("part", [".", "rules"])
def test_a_rule_whose_base_has_an_error_says_so(tmp_path: Path, part: str) -> None:
    base, derived = rule("Base", "Enabled: 5"), rule("Derived", "BaseDetection: Base")
    write(tmp_path, **{"packs/x": "", "a.yml": base, "rules/b.yml": derived})
    told = [one.message for one in read_checkout(tmp_path / part).problems if one.id == "Derived"]
    why = "which it is derived from, has an error: a.yml:1: `Severity` is missing"
    assert told == [f"rules/b.yml:1: the rule 'Base', {why}"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffAnalysisType: global\nGlobalID: words\nFilename: w.py\n",
        "# Words.\n\n  AnalysisType: global\n  GlobalID: words\n  Filename: w.py\n",
        '{\n  "GlobalID": "words",\n  "AnalysisType": "global", "Filename": "w.py"\n}\n',
        '{"Filename": "w.py", "GlobalID": "words", "AnalysisType": "global"}',
        "%YAML 1.2\n---\r\nGlobalID: words\r\nAnalysisType: global\r\nFilename: w.py\r\n",
    ],
)
@pytest.mark.parametrize("part", [".", "rules"])
def test_a_helper_is_found_however_its_file_begins(tmp_path: Path, text: str, part: str) -> None:
    write(tmp_path, **{"global_helpers/w.yml": text, "global_helpers/w.py": "", "rules/a.yml": rule("A")})
    assert list(read_checkout(tmp_path / part).globals) == ["words"]


def test_a_rule_may_be_written_as_json(tmp_path: Path) -> None:
    text = '{"AnalysisType": "rule", "RuleID": "J", "Enabled": true, "Severity": "Low", "LogTypes": ["X"],'
    text += ' "Filename": "x"}'
    assert list(read_checkout(write(tmp_path, j_DOT_yml=text)).rules) == ["J"]


def test_files_that_are_no_rules_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, _DOT_hidden__a_DOT_yml=rule("A"), node_modules__b_DOT_yml=rule("B"), ci_DOT_yml="on: [push]")
    (tmp_path / "binary.yml").write_bytes(b"AnalysisType: rule\n\xff")
    found = read_checkout(tmp_path)
    assert found.rules == {}
    assert [one.message for one in found.problems] == ["binary.yml:1: the file is not UTF-8 text (byte 19)"]


def test_examples_of_a_checkout_are_read_only_if_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, templates__a_DOT_yml=rule("Example"), rules__b_DOT_yml=rule("B"))
    assert list(read_checkout(tmp_path).rules) == ["B", "Example"], "any folder may be called that"
    write(tmp_path, global_helpers__x_DOT_py="")
    assert list(read_checkout(tmp_path).rules) == ["B"]
    assert list(read_checkout(tmp_path / "templates").rules) == ["Example"]
    assert list(read_checkout(tmp_path / "templates" / "a.yml").rules) == ["Example"]


def test_no_file_outside_the_checkout_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("x = 1")
    root = tmp_path / "checkout"
    write(root, a_DOT_yml=rule("A"), b_DOT_yml=rule("B", "Filename: l.py\nLogTypes: [X]\nEnabled: true\nSeverity: Low"))
    (root / "l.py").symlink_to(secret)
    (root / "c.yml").symlink_to(write(tmp_path, c_DOT_yml=rule("C")) / "c.yml")
    found = read_checkout(root)
    assert found.sources == {}
    assert set(found.rules) == {"A", "B"}
    assert [one.message for one in found.problems] == ["c.yml:1: the file lies outside the checkout"]


def test_the_first_enabled_data_model_of_a_log_type_is_taken(tmp_path: Path) -> None:
    model = "AnalysisType: datamodel\nDataModelID: {}\nEnabled: {}\nLogTypes: [X]\nMappings: []\n"
    write(tmp_path, a_DOT_yml=model.format("A", "false"), c_DOT_yml=model.format("C", "true"))
    write(tmp_path, b_DOT_yml=model.format("B", "true"))
    found = read_checkout(tmp_path)
    assert {name: one.id for name, one in found.models.items()} == {"X": "B"}
    assert [one.message for one in found.problems] == ["c.yml:1: X has a data model already, in b.yml"]


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("r.csv", "id,v\n1,a\n2,b\n", {"1": {"id": "1", "v": "a"}, "2": {"id": "2", "v": "b"}}),
        (
            "r.jsonl",
            '{"id": 1, "v": "a"}\n\n{"id": 2, "v": null}\n',
            {"1": {"id": 1, "v": "a"}, "2": {"id": 2, "v": None}},
        ),
        ("r.json", '[{"id": 1}]', {"1": {"id": 1}}),
        ("r.jsonl", '{"v": "a"}\n', "row 1 has no 'id', the primary key of 'T'"),
        ("r.json", "{}", "expected a list of rows"),
        ("r.json", "{", "Expecting"),
    ],
)
def test_lookup_tables_are_read_from_files(tmp_path: Path, name: str, text: str, rows: object) -> None:
    table = f"AnalysisType: lookup_table\nLookupName: T\nEnabled: true\nFilename: {name}\nSchema: S\n"
    write(tmp_path, t_DOT_yml=table + "LogTypeMap: {PrimaryKey: id, AssociatedLogTypes: []}")
    (tmp_path / name).write_text(text)
    found = read_checkout(tmp_path)
    if isinstance(rows, str):
        assert rows in str(found.rows["T"])
        assert rows in found.problems[0].message
    else:
        assert found.rows["T"] == rows


def test_an_address_finds_the_row_of_the_smallest_network_that_it_is_in(tmp_path: Path) -> None:
    rows = "net,office\n10.0.0.0/8,any\n10.1.0.0/16,HQ\n10.1.2.3,door\n2001:db8::/32,six\nnone/such,x\n"
    table = "AnalysisType: lookup_table\nLookupName: T\nEnabled: true\nFilename: r.csv\nSchema: S\n"
    more = "LogTypeMap: {PrimaryKey: net, AssociatedLogTypes: [{LogType: X, Selectors: [ip]}]}"
    root = write(tmp_path, **{"t.yml": table + more, "r.csv": rows})
    rules = RuleSet(read_checkout(root))

    def office(address: Any) -> Any:
        event = rules.event({"ip": address}, "X")
        enriched = event.deep_get("p_enrichment", "T", "ip", "office")
        looked_up = event.lookup("T", address)
        assert enriched == (looked_up and looked_up["office"])
        return enriched

    found = ["10.9.9.9", "10.1.9.9", "10.1.2.3", "2001:db8::1", "11.0.0.1", "::1", "no address", "10.1.0.0/16", 7]
    assert [office(one) for one in found] == ["any", "HQ", "door", "six", None, None, None, "HQ", None]


def test_a_lookup_table_whose_file_is_too_large_or_missing_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_MOST", {".csv": 10})
    table = "AnalysisType: lookup_table\nLookupName: {}\nEnabled: {}\nFilename: {}\nSchema: S\n"
    more = "LogTypeMap: {PrimaryKey: id, AssociatedLogTypes: []}"
    write(tmp_path, a_DOT_yml=table.format("Big", "true", "big.csv") + more)
    write(tmp_path, b_DOT_yml=table.format("Gone", "true", "gone.csv") + more)
    write(tmp_path, c_DOT_yml=table.format("Off", "false", "gone.csv") + more)
    (tmp_path / "big.csv").write_text("id,v\n1,a\n2,b\n")
    assert {(one.id, one.message) for one in read_checkout(tmp_path).problems} == {
        ("Big", "big.csv:1: has more than 10 bytes"),
        ("Gone", "b.yml:1: gone.csv cannot be read"),
    }


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="no such file or folder"):
        read_checkout(tmp_path / "nowhere")


def test_no_alert_lives_with_a_record_that_never_changes(tmp_path: Path) -> None:
    lives = "\nAlertLivesWithRecord: true"
    files = {f"{name}.yml": rule(name) + lives for name in ("a", "b")} | {
        "c.yml": rule("c").replace("[X]", "[Y]") + lives
    }
    root = write(tmp_path, **files, **{"d.yml": rule("d").replace("[X]", "[Y]")})
    found = read_checkout(root, {"X"})
    assert set(found.rules) == {"a", "b", "d"}
    assert [(one.id, "records of Y never change; those of X do" in one.message) for one in found.problems] == [
        ("c", True)
    ]
    assert read_checkout(root).problems == ()


@pytest.mark.parametrize("name", ['"P.Nul\\0Id"', "x" * 251, '"two\\nlines"', '"\\u202eDI"', '"a\\tb"'], ids=range(5))
@pytest.mark.parametrize(
    "item",
    [
        "AnalysisType: rule\nRuleID: {name}\nFilename: x.py\nLogTypes: [X]\nEnabled: true\nSeverity: Low\n",
        "AnalysisType: scheduled_query\nQueryName: {name}\nQuery: SELECT 1\nSchedule: {{RateMinutes: 5}}\n",
        "AnalysisType: pack\nPackID: {name}\nPackDefinition: {{IDs: [Good]}}\n",
        "AnalysisType: global\nGlobalID: {name}\nFilename: x.py\n",
        "AnalysisType: datamodel\nDataModelID: {name}\nLogTypes: [X]\nMappings: []\nEnabled: true\n",
    ],
    ids=lambda item: item.split()[1],
)
def test_a_name_that_a_database_or_a_terminal_does_not_take_is_a_problem_of_its_file(
    tmp_path: Path, item: str, name: str
) -> None:
    write(tmp_path, a_DOT_yml=item.format(name=name), b_DOT_yml=rule("Good"))
    (tmp_path / "x.py").write_text("def rule(event):\n    return True\n")
    found = read_checkout(tmp_path)
    (problem,) = found.problems
    assert problem.message.startswith("a.yml:2: ")
    assert "expected a name of one line" in problem.message
    # By its own name nobody could be told of it.
    assert is_name(problem.id)
    assert list(found.rules) == ["Good"]


def test_a_file_whose_name_is_no_text_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path, ok_DOT_yml=rule("Good"), x_DOT_py="def rule(event):\n    return True\n")
    (tmp_path / os.fsdecode(b"\xff.yml")).write_text(rule("Bad"))
    (tmp_path / os.fsdecode(b"\xfe")).mkdir()
    (tmp_path / os.fsdecode(b"\xfe/bad.yml")).write_text(rule("Worse"))
    found = read_checkout(folder)
    assert list(found.rules) == ["Good"]
    assert sorted(one.message.partition(":")[0] for one in found.problems) == ["\\xfe/bad.yml", "\\xff.yml"]
    assert all("rename it" in one.message for one in found.problems)
    # What has such files besides is read as if they were not there.
    assert read_checkout(folder / "ok.yml").problems == ()


def test_a_folder_whose_yaml_is_too_much_is_refused_before_it_is_all_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.detect.bundle._MAX_WHOLE", 1_000)
    write(tmp_path, **{f"r{at}_DOT_yml": rule(f"R{at}") + "#" * 300 for at in range(5)})
    with pytest.raises(RuleFileError, match="more than 1,000 bytes"):
        read_checkout(tmp_path)
