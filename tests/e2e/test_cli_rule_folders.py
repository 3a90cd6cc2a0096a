"""Folders of rules are registered, listed and turned on and off, as a person and a script see it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from commands import Ocelog
from commands.terminal import bare_lines, on_a_terminal
from ocelog.app.log_types import short_names

CHECKOUT = Path(__file__).resolve().parents[1] / "rules" / "checkout"
MINE = """\
AnalysisType: rule
RuleID: Mine.{name}
Enabled: true
LogTypes: [Wiz.Audit]
Severity: High
Detection:
  - {{KeyPath: {field}, Condition: Equals, Value: Login}}
"""


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    found = Ocelog(tmp_path_factory.mktemp("rules") / "home")
    found.init()
    return found


def statuses(ocelog: Ocelog, folder: str) -> dict[str, str]:
    (found,) = ocelog("rules", "list", folder, "--json").json
    return {rule["id"]: rule["status"] for rule in found["rules"]}


@pytest.mark.slow
def test_the_built_in_rules_are_there_and_on(ocelog: Ocelog) -> None:
    found: list[dict[str, Any]] = ocelog("rules", "list", "--json").json
    built_in = found[0]
    assert (built_in["folder"], built_in["built_in"], built_in["problems"]) == ("wiz", True, [])
    assert sum(rule["status"] == "on" for rule in built_in["rules"]) >= 50
    assert "comes with Ocelog" in ocelog("rules", "remove", "wiz", code=2).err


@pytest.mark.slow
def test_a_checkout_is_registered_listed_and_forgotten_and_its_files_stay(ocelog: Ocelog) -> None:
    said = ocelog("rules", "add", str(CHECKOUT), "--name", "doors", "--network")
    assert "Registered 'doors': 0 of 9 rules on." in said.out
    assert "7 more are about log types that no source here has." in said.out
    assert "registered already" in ocelog("rules", "add", str(CHECKOUT), "--name", "again", code=2).err
    (found,) = ocelog("rules", "list", "doors", "--json").json
    assert (found["network"], found["unsafe"], found["path"]) == (True, False, str(CHECKOUT))
    blind = {"Query.Acme.Doors", "Acme.Door.Nightly"}
    assert {each["id"] for each in found["not_run"]} == {"Acme.Bucket", "Acme.Prompt", *blind}
    by_id = {rule["id"]: rule for rule in found["rules"]}
    assert (by_id["Acme.Door.Forced"]["status"], by_id["Acme.Door.Forced"]["why"]) == (
        "no source",
        f"{CHECKOUT}/simple/forced.yml:5: there is no log type 'Acme.Door'",
    )
    assert (by_id["Acme.Door.ForcedAfter"]["status"], by_id["Acme.Door.ForcedAfter"]["why"]) == (
        "no source",
        "it needs matches of Acme.Door.Located, which cannot have any here",
    )
    assert by_id["Acme.Door.Trial"]["status"] == "off"
    assert by_id["Acme.Door.Nightly"]["kind"] == "scheduled_rule"
    assert "Acme.Bucket: not run: a policy" in ocelog("rules", "list", "doors").err
    before = sorted(CHECKOUT.rglob("*"))
    ocelog("rules", "disable", "Acme.Door.Nightly")
    assert "is as it was" in ocelog("rules", "remove", "doors").out
    assert "did you mean 'doors'" not in ocelog("rules", "list", "doors", code=2).err
    ocelog("rules", "add", str(CHECKOUT), "--name", "doors")
    assert statuses(ocelog, "doors")["Acme.Door.Nightly"] == "not run"
    ocelog("rules", "remove", "doors")
    assert sorted(CHECKOUT.rglob("*")) == before


@pytest.mark.slow
def test_rules_packs_and_patterns_are_turned_on_and_off(ocelog: Ocelog) -> None:
    pack = "Ocelog.Wiz.Policies"
    before = statuses(ocelog, "wiz")
    members = {name for name in before if name.startswith(f"{pack}.")}
    assert members
    assert f"Turned off: the pack {pack}." in ocelog("rules", "disable", pack).out
    off = statuses(ocelog, "wiz")
    assert {name for name, status in off.items() if status != before[name]} <= members
    assert {off[name] for name in members} == {"off"}
    one = min(members)
    turned = ocelog("rules", "enable", one, "Ocelog.Wiz.Tenancy.*", "--json").json
    assert one in turned["rules"]
    assert len(turned["rules"]) > 2
    assert statuses(ocelog, "wiz")[one] == "on"
    assert ocelog("rules", "show", one, "--json").json["why"] == "enabled by a person"
    # What its pack says already is not noted as what a person said.
    ocelog("rules", "disable", one)
    assert ocelog("rules", "show", one, "--json").json["why"] == f"the pack {pack} is disabled"
    ocelog("rules", "enable", pack)
    assert statuses(ocelog, "wiz")[one] == "on"
    living = "Ocelog.Wiz.Vulnerabilities.Kev"
    assert f"already as {living} would have it become known" in ocelog("rules", "enable", living).out.replace("\n", " ")
    unknown = ocelog("rules", "disable", pack[:-1], code=2).err
    assert f"did you mean {pack!r}" in unknown


def test_a_rule_whose_id_is_taken_is_shadowed_and_a_bad_file_is_told(ocelog: Ocelog, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.yml").write_text(MINE.format(name="One", field="action"))
    (tmp_path / "second" / "two.yml").write_text("AnalysisType: rule\nRuleID: Mine.Two\nEnabeld: true\n")
    ocelog("rules", "add", str(tmp_path / "first"))
    said = ocelog("rules", "add", str(tmp_path / "second"))
    assert "two.yml:3: unknown key 'Enabeld'; did you mean 'Enabled'?" in said.err
    (second,) = ocelog("rules", "list", "second", "--json").json
    assert second["rules"][0]["status"] == "shadowed"
    assert second["rules"][0]["why"] == "the folder first has a rule of this id, and comes first"
    assert len(second["problems"]) == 1
    shutil.rmtree(tmp_path / "second")
    (second,) = ocelog("rules", "list", "second", "--json").json
    assert second["rules"] == []
    assert "no such file or folder" in second["problems"][0]
    for folder in ("first", "second"):
        ocelog("rules", "remove", folder)
    (tmp_path / "first" / "one.yml").unlink()
    assert "There are no rules in" in ocelog("rules", "add", str(tmp_path / "first"), code=2).err


def test_a_rule_is_shown_whole_or_the_nearest_is_named(ocelog: Ocelog) -> None:
    name = "Ocelog.Wiz.Tenancy.AccessTransparencyRevealed"
    shown = ocelog("rules", "show", name, "--json").json
    assert shown["folder"] == "wiz"
    assert shown["log_types"] == ["Wiz.Audit"]
    assert shown["tests"] >= 2
    said = ocelog("rules", "show", name).out
    assert "runbook:\n  1. Check that" in said
    assert "\\n" not in said
    assert "condition:\n  Detection:\n    - {KeyPath: status" in said
    assert (shown["matches"], shown["alerts_made"], shown["fails"]) == (0, 0, False)
    assert f"did you mean {name!r}" in ocelog("rules", "show", name.lower() + "x", code=2).err


def test_what_does_not_exist_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "nowhere")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "one.yml").write_text(MINE.format(name="One", field="actoin"))
    found = ocelog("rules", "check", str(folder), code=1)
    assert f"{folder}/one.yml:7: there is no field 'actoin'; did you mean 'action'?" in found.out
    (problem,) = ocelog("rules", "check", str(folder), "--json", code=1).json["problems"]
    assert (problem["rule"], problem["file"], problem["line"]) == ("Mine.One", "one.yml", 7)
    (folder / "one.yml").write_text(MINE.format(name="One", field="action").replace("Audit", "Audit, AWS.CloudTrail"))
    good = ocelog("rules", "check", str(folder))
    assert "1 rule checked: no problem." in good.out
    assert "No such source here: AWS.CloudTrail (1)" in good.err
    assert not ocelog.home.exists()


@pytest.mark.slow
def test_the_list_fits_a_terminal_of_80_columns(ocelog: Ocelog) -> None:
    shown = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", on_a_terminal(ocelog, "rules", "list"))
    lines = [line.rstrip() for line in shown.splitlines()]
    assert any("Ocelog.Wiz.Tokens.ServiceAccountWithWriteScopes" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_what_a_rule_says_of_itself_is_wrapped_on_a_terminal(ocelog: Ocelog) -> None:
    for rule in ("Ocelog.Wiz.Issues.NewCritical", "Ocelog.Wiz.Tokens.ServiceAccountWithWriteScopes"):
        lines = bare_lines(on_a_terminal(ocelog, "rules", "show", rule))
        assert any(line.startswith("description: ") for line in lines)
        assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("options", [(), ("--python",)])
@pytest.mark.parametrize("log_type", short_names())
def test_a_new_rule_passes_its_tests_and_names_only_what_exists(
    ocelog: Ocelog, tmp_path: Path, log_type: str, options: tuple[str, ...]
) -> None:
    new = ("rules", "new", "Mine.AtNight", "--log-type", log_type, "--in", str(tmp_path), *options)
    assert f"ocelog rules test {tmp_path}/at_night.yml" in ocelog(*new).out
    assert f"#   ocelog rules test {tmp_path}/at_night.yml " in (tmp_path / "at_night.yml").read_text()
    report = ocelog("rules", "test", str(tmp_path / "at_night.yml"), "--json").json
    assert (report["rules"], report["tests"], report["passed"]) == (1, 2, 2)
    assert "no problem" in ocelog("rules", "check", str(tmp_path)).out
    assert (tmp_path / "at_night.py").exists() is bool(options)
    before = (tmp_path / "at_night.yml").read_bytes()
    assert "is there already" in ocelog(*new, code=2).err
    assert (tmp_path / "at_night.yml").read_bytes() == before
    assert "only letters, digits" in ocelog("rules", "new", "../x", "--in", str(tmp_path), code=2).err


def test_nothing_is_unjudged_at_first(ocelog: Ocelog) -> None:
    assert ocelog("rules", "unjudged", "--json").json == []
    assert "No event was left unjudged." in ocelog("rules", "unjudged", "--dismiss").out


@pytest.mark.slow
def test_packs_tables_and_broken_files_are_shown_too(ocelog: Ocelog, tmp_path: Path) -> None:
    assert "Ocelog.Wiz.Issues.Overdue" in ocelog("rules", "show", "Ocelog.Wiz.Default", "--json").json["members"]
    (tmp_path / "two.yml").write_text("AnalysisType: rule\nRuleID: Mine.Two\nEnabeld: true\n")
    (tmp_path / "one.yml").write_text(MINE.format(name="One", field="action"))
    ocelog("rules", "add", str(tmp_path), "--name", "broken")
    ocelog("rules", "add", str(CHECKOUT), "--name", "doors")
    try:
        for name in ("Mine.Two", "two.yml"):
            shown = ocelog("rules", "show", name, "--json").json
            assert (shown["kind"], shown["status"], shown["folder"]) == ("file", "does not read", "broken")
            assert "two.yml:3: unknown key 'Enabeld'" in shown["why"]
        assert "1 of 1 rule on, 1 problem in files." in ocelog("rules", "list", "broken").out
        found = ocelog("rules", "show", "badges", "--json").json
        assert (found["kind"], found["rows"] > 0) == ("lookup_table", True)
    finally:
        for name in ("broken", "doors"):
            ocelog("rules", "remove", name)


def test_rules_fit_beside_each_other_on_a_terminal_and_queries_are_apart(ocelog: Ocelog) -> None:
    shown = on_a_terminal(ocelog, "rules", "list", "wiz", columns=80)
    lines = shown.replace("\r", "").splitlines()
    assert "…" not in shown
    assert any(line.startswith("Ocelog.Wiz.Issues.Overdue  ") and " medium" in line for line in lines)
    assert ".Rows" not in shown
    assert "ocelog rules list --queries" in shown
    (built_in,) = ocelog("rules", "list", "wiz", "--json").json
    rules = [each for each in built_in["rules"] if each["kind"] != "scheduled_query"]
    on = sum(each["status"] == "on" for each in rules)
    assert f"{on} of {len(rules)} rules on." in shown
    queries = ocelog("rules", "list", "wiz", "--queries").out
    assert "Ocelog.Wiz.Issues.Overdue.Rows" in queries
    assert "Ocelog.Wiz.Issues.Overdue " not in queries
