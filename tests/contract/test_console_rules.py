"""What a person sees of a rule: whether its tests pass, and what it would have told of the past."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ocelog.access import Role
from ocelog.app.rule_folders import rule_folders
from ocelog.app.rules import rule_showing
from ocelog.console import trying
from ocelog.detect.roots import find_root
from ocelog.lake.query.plans import Planned, Plans
from ocelog.languages.rule_texts import title_in
from visiting import Console, console_of
from visiting.events import land, row

AUDIT = "Wiz.Audit"
RULE = """
AnalysisType: rule
RuleID: Mine.Deleted
DisplayName: Something was <b>deleted</b>
Enabled: false
LogTypes: [Wiz.Audit]
Severity: High
Runbook: "1. Ask who `user.<i>name</i>` is."
Reports: {MITRE ATT&CK: ['TA0005:T1562']}
AlertTitle: "{action} happened"
Detection:
  - {Key: action, Condition: Equals, Value: Delete}
Tests:
  - {Name: deleted, ExpectedResult: true, Log: {action: Delete}}
  - {Name: wrong, ExpectedResult: true, Log: {action: Create}}
"""

PACK = """
AnalysisType: pack
PackID: Mine.Pack
DisplayName: "100% <b>mine</b>"
Description: "Open <i>%(all)s</i>"
PackDefinition: {IDs: [Mine.Deleted]}
"""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "deleted.yml").write_text(RULE, encoding="utf-8")
    (folder / "pack.yml").write_text(PACK, encoding="utf-8")
    with console_of(tmp_path_factory.mktemp("console") / "home") as opened:
        rule_folders.register(opened.installation, Path(folder))
        now = datetime.now(UTC)
        ages = {"old": timedelta(days=9), "late": timedelta(days=3), "new": timedelta(hours=1)}
        rows = [
            row(AUDIT, name, now - age, action="Delete", user={"id": name, "name": f"{name}@example.com"})
            for name, age in ages.items()
        ]
        land(opened.installation, AUDIT, rows)
        land(opened.installation, AUDIT, [row(AUDIT, "other", now - timedelta(hours=2), action="Create")])
        yield opened


def test_a_rule_that_is_off_is_tried_over_some_days(console: Console) -> None:
    analyst = console.as_(Role.ANALYST)
    answer = analyst.post("/rules/Mine.Deleted/try", days="7")
    assert answer.status_code == 200, answer.text
    assert "2 matches" in answer.text
    assert "people would have heard of 2 alerts" in answer.text
    assert "3 events were judged" in answer.text
    counts = re.search(r'data-counts="([\d,]+)"', answer.text)
    assert counts
    days = [int(each) for each in counts[1].split(",")]
    assert (len(days), sum(days)) == (8, 2)
    assert 'data-address="/search?log=Wiz.Audit"' in answer.text
    # All have one title: it says whom each is about.
    for who in ("late@example.com", "new@example.com"):
        assert answer.text.count(who) == 2
    assert answer.text.count("Delete happened") == 4
    events = set(re.findall(r'href="(/events/Wiz.Audit/\w+)"', answer.text))
    assert [analyst.get(each).status_code for each in events] == [200, 200]
    assert "3 matches" in analyst.post("/rules/Mine.Deleted/try", days="30").text
    # Nothing is kept of it.
    assert console.installation.ledger.alerts.open().told == {}


def test_where_nothing_matched_it_says_so(console: Console) -> None:
    rules = rule_folders.listed(console.installation)[0].rules
    rule = next(each.id for each in rules if each.log_types == (AUDIT,))
    answer = console.as_(Role.ANALYST).post(f"/rules/{rule}/try", days="1")
    assert answer.status_code == 200
    assert "Nothing matched." in answer.text


@pytest.mark.parametrize("days", ["0", "31", "-1", "x"])
def test_it_is_not_tried_over_whatever_somebody_asks(console: Console, days: str) -> None:
    assert console.as_(Role.ANALYST).post("/rules/Mine.Deleted/try", days=days).status_code == 422


def test_what_is_not_there_is_not_found_and_a_viewer_tries_nothing(console: Console) -> None:
    assert console.as_(Role.ANALYST).post("/rules/Mine.None/try").status_code == 404
    assert console.as_(Role.ANALYST).post("/rules/Mine.None/tests").status_code == 404
    assert console.as_(Role.VIEWER).post("/rules/Mine.Deleted/try").status_code == 403
    assert "/try" not in console.as_(Role.VIEWER).get("/rules/Mine.Deleted").text


def test_its_tests_are_run_and_the_one_that_fails_is_named(console: Console) -> None:
    answer = console.as_(Role.ANALYST).post("/rules/Mine.Deleted/tests")
    assert "1 of 2 tests passed." in answer.text
    assert "wrong:" in answer.text
    assert "<b>deleted</b>" not in answer.text


@pytest.mark.parametrize(
    ("path", "told"), [("tests", "ocelog rules test /"), ("try", "try a shorter past, or a command. See: ocelog rules")]
)
def test_what_takes_too_long_says_which_command_waits_for_it(
    console: Console, monkeypatch: pytest.MonkeyPatch, path: str, told: str
) -> None:
    monkeypatch.setattr(trying, "_WITHIN_S", 0.0)
    answer = console.as_(Role.ANALYST).post(f"/rules/Mine.Deleted/{path}")
    assert told in answer.text
    assert ("past" in told) == ("a shorter past" in answer.text)


def test_rules_are_listed_by_the_name_that_people_call_them_with_their_severity(console: Console) -> None:
    listed = console.as_(Role.VIEWER).get("/rules").text
    (row_of_it,) = re.findall(r'<tr data-href="/rules/Mine.Deleted">.*?</tr>', listed, re.DOTALL)
    assert "Something was &lt;b&gt;deleted&lt;/b&gt;" in row_of_it
    assert "HIGH" in row_of_it


def test_a_rule_says_what_it_is_about_what_to_do_and_what_came_of_it(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    shown = viewer.get("/rules/Mine.Deleted").text
    for each in ("HIGH", "TA0005:T1562", "<code>user.&lt;i&gt;name&lt;/i&gt;</code>", "at the first match"):
        assert each in shown
    assert 'hx-get="/rules/Mine.Deleted/past"' in shown
    came = viewer.get("/rules/Mine.Deleted/past").text
    assert "0 matches" in came
    assert "/alerts?rule=Mine.Deleted&amp;everything=1" in came
    assert "There is no rule" in viewer.get("/rules/Mine.Lost/past").text


def test_it_says_how_many_were_turned_on_or_off(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    for on, said in (("true", "1 was turned on."), ("false", "1 was turned off.")):
        answer = admin.post("/rules", names="Mine.Deleted", on=on)
        assert said in admin.get(answer.headers["location"]).text
    assert "was turned" not in admin.get(f"/rules?said=nonsense&count={'9' * 5000}").text


@pytest.mark.parametrize("language", ["en", "ko"])
def test_names_of_own_packs_are_shown_as_they_are_written(console: Console, language: str) -> None:
    text = console.as_(Role.ADMIN).get("/rules", headers={"accept-language": language}).text
    assert "<strong>100% &lt;b&gt;mine&lt;/b&gt;</strong>" in text
    assert "Open &lt;i&gt;%(all)s&lt;/i&gt;" in text


def test_rules_that_come_along_have_titles_in_the_language_of_the_reader(console: Console) -> None:
    viewer, korean = console.as_(Role.VIEWER), {"accept-language": "ko"}
    rule = "/rules/Ocelog.Wiz.Blinding.OutpostRemoved"
    assert '<h1 class="long">Wiz 아웃포스트 제거</h1>' in viewer.get(rule, headers=korean).text
    assert '<h1 class="long">Wiz outpost removed</h1>' in viewer.get(rule).text
    for asked in ("아웃포스트", "Outpost removed"):
        listed = viewer.get(f"/rules?text={asked}", headers=korean).text
        assert re.findall(r'<a href="(/rules/[^"]+)">([^<]*)', listed) == [(rule, "Wiz 아웃포스트 제거")]
    assert "Something was &lt;b&gt;deleted" in viewer.get("/rules/Mine.Deleted", headers=korean).text


def test_rules_that_come_along_say_what_to_do_in_the_language_of_the_reader(console: Console) -> None:
    viewer, korean = console.as_(Role.VIEWER), {"accept-language": "ko"}
    path = "/rules/Ocelog.Wiz.Leaving.AutomationDeleted"
    in_korean, in_english = viewer.get(path, headers=korean).text, viewer.get(path).text
    assert "누군가 자동화를 삭제했습니다." in in_korean
    assert "1. <code>actionParameters.input.id</code>가 무엇을 했는지 알아보고, <code>user.id</code>의" in in_korean
    assert "<code>user.id</code>, or the owner of" not in in_korean
    assert "Someone deleted an automation" in in_english
    assert "1. Find out what <code>actionParameters.input.id</code> did; ask the person in" in in_english
    mine = viewer.get("/rules/Mine.Deleted", headers=korean).text
    assert "1. Ask who <code>user.&lt;i&gt;name&lt;/i&gt;</code> is." in mine


@pytest.mark.parametrize(("language", "name"), [("en", "Wiz: the default set"), ("ko", None)])
def test_a_rule_names_its_packs_as_its_reader_calls_them(console: Console, language: str, name: str | None) -> None:
    viewer, asked = console.as_(Role.VIEWER), {"accept-language": language}
    called = name or title_in("ko", "Wiz: the default set", "Ocelog.Wiz.Default")
    shown = viewer.get("/rules/Ocelog.Wiz.Identity.ProviderChanged", headers=asked).text
    assert f'<span title="Ocelog.Wiz.Default">{called}</span>' in shown
    assert '<span title="Mine.Pack">100% &lt;b&gt;mine&lt;/b&gt;</span>' in viewer.get("/rules/Mine.Deleted").text
    listed = viewer.get("/rules", params={"text": called}, headers=asked).text
    assert "/rules/Ocelog.Wiz.Identity.ProviderChanged" in listed
    assert "/rules/Mine.Deleted" not in listed


def test_the_beginning_of_a_checkout_is_looked_for_no_more_often_for_more_files_that_do_not_read(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, asked = tmp_path / "twins", list[Path]()
    place.mkdir()
    for number in range(20):
        text = (
            "AnalysisType: rule\nRuleID: Mine.Twin\nEnabled: true\nLogTypes: [Wiz.Audit]\nSeverity: Low\nDetection:\n"
        )
        (place / f"{number:02}.yml").write_text(text + "  - {KeyPath: action, Condition: Exists}\n")
    registered = rule_folders.register(console.installation, place)

    def counted(path: Path) -> Path:
        asked.append(path)
        return find_root(path)

    monkeypatch.setattr("ocelog.detect.folders.find_root", counted)
    (found,) = (each for each in rule_folders.listed(console.installation) if each.folder.id == registered.folder.id)
    assert len(found.problems) == 19
    assert found.problems[0] == f"{place}/01.yml:1: the id 'Mine.Twin' is taken by 00.yml"
    assert asked == []


QUERY = """
AnalysisType: scheduled_query
QueryName: Mine.Rows.{number}
Enabled: true
Schedule: {{RateMinutes: 60, TimeoutMinutes: 1}}
Query: SELECT {column} FROM wiz_audit -- {number}
"""
OF_ROWS = """
AnalysisType: scheduled_rule
RuleID: Mine.OfRows
Enabled: true
Severity: Low
ScheduledQueries: [Mine.Rows.3]
Filename: rule.py
"""


def test_for_one_rule_only_its_own_queries_are_planned(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, planned = tmp_path / "queries", list[list[str]]()
    place.mkdir()
    for number in range(9):
        column = "actionn" if number == 3 else "action"
        (place / f"{number}.yml").write_text(QUERY.format(number=number, column=column))
    (place / "rule.yml").write_text(OF_ROWS)
    (place / "rule.py").write_text("def rule(event):\n    return True\n")
    rule_folders.register(console.installation, place)
    plan = Plans.plan

    def counted(self: Plans, statements: Iterable[str]) -> Iterator[Planned]:
        planned.append(list(statements))
        return plan(self, planned[-1])

    monkeypatch.setattr(Plans, "plan", counted)
    shown = rule_showing.report(console.installation, "Mine.OfRows")
    assert shown["why"] == "its query Mine.Rows.3 cannot run"
    rule_showing.report(console.installation, "Mine.Rows.5")
    assert planned == [["SELECT actionn FROM wiz_audit -- 3"], ["SELECT action FROM wiz_audit -- 5"]]
