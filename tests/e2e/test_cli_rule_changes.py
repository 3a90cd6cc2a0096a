"""Rules that change while they judge: refused ones do not run, and what was theirs ends with them."""

import os
import shlex
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from bookkeeping.alerts import alert_of, channel, told
from bookkeeping.alerts import opened as put
from commands import Ocelog
from ocelog.alert.deciding import Decision
from ocelog.alert.ids import system_alert_id
from ocelog.alert.judged import Event, Judgement, UnjudgedEvents
from ocelog.alert.listing import AlertFilter
from ocelog.alert.notice import AlertType
from ocelog.alert.ports import CommitSuccess, Piece
from ocelog.app.judging.jury import FolderJury
from ocelog.app.judging.rule_suspending import FAILED_TIMES, Suspending
from ocelog.app.rule_folders import folder_reading
from ocelog.detect.folders import RULE_FILES
from ocelog.installation.opening import Installation, opened
from ocelog.ledger.rows.unjudged import add_unjudged
from ocelog.model import Position
from ocelog.rule_workers.judge import Allowance, Judge

RULE = """\
AnalysisType: rule
RuleID: Mine.{name}
Enabled: true
LogTypes: [Wiz.Issues]
Severity: HIGH
AlertLivesWithRecord: true
Detection:
  - {{Key: {key}, Condition: Equals, Value: OPEN}}
"""


@pytest.fixture
def soon_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rules that are missing be taken for deleted while a jury waits."""
    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading._SETTLED", 1.0)
    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading._RESTED", 2.0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelog.app.judging.jury._WAITING_EVERY", 0.01)


@pytest.fixture
def ocelog(tmp_path: Path) -> Ocelog:
    found = Ocelog(tmp_path / "home")
    found.init()
    return found


@pytest.fixture
def folder(ocelog: Ocelog, tmp_path: Path) -> Path:
    """Return a registered folder with a rule."""
    rules = tmp_path / "rules"
    rules.mkdir()
    write(rules, "Good")
    ocelog("rules", "add", str(rules), "--name", "mine")
    return rules


def write(folder: Path, name: str, key: str = "status") -> None:
    (folder / f"{name}.yml").write_text(RULE.format(name=name, key=key))


@pytest.fixture
def installation(ocelog: Ocelog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    with opened() as found:
        yield found


@pytest.fixture
def jury(installation: Installation) -> Iterator[FolderJury]:
    found = FolderJury(installation, channels=dict)
    yield found
    found.close()


def mine(jury: FolderJury) -> dict[str, str]:
    """Return the rules of the folder that judge issues now, and in which revision."""
    jury.look_again(waits=True)
    found = jury.rules("Wiz.Issues").items()
    return {name: rule.revision for name, rule in found if name.startswith("Mine.")}


def listed(ocelog: Ocelog) -> dict[str, Any]:
    found: dict[str, Any] = ocelog("rules", "list", "mine", "--json").json[0]
    return found


def statuses(ocelog: Ocelog) -> dict[str, str]:
    return {each["id"]: each["status"] for each in listed(ocelog)["rules"]}


PAIR = """\
AnalysisType: correlation_rule
RuleID: Mine.{name}
Enabled: true
Severity: HIGH
Detection:
  - Group:
      - {{ID: one, RuleID: Mine.Good}}
      - {{ID: two, RuleID: {other}}}
    {least}LookbackWindowMinutes: 60
    Schedule: {{RateMinutes: 10, TimeoutMinutes: 5}}
"""


def test_a_correlation_sees_nothing_only_if_too_few_rules_can_match(
    ocelog: Ocelog, folder: Path, tmp_path: Path
) -> None:
    pairs = {
        "Both": ("Mine.Gone", ""),
        "Either": ("Mine.Gone", "MinMatchCount: 1\n    "),
        "Broken": ("Mine.Broken", ""),
    }
    for name, (other, least) in pairs.items():
        (folder / f"{name}.yml").write_text(PAIR.format(name=name, other=other, least=least))
    (folder / "Broken2.yml").write_text(RULE.format(name="Broken", key="status") + "Surprise: 1\n")
    found = statuses(ocelog)
    assert {name: found[f"Mine.{name}"] for name in pairs} == {"Both": "no source", "Either": "on", "Broken": "on"}
    # Of what is in a folder that cannot be read nobody knows whether it can match.
    away = tmp_path / "away"
    away.mkdir()
    write(away, "Gone")
    ocelog("rules", "add", str(away))
    assert statuses(ocelog)["Mine.Both"] == "on"
    away.rename(tmp_path / "elsewhere")
    assert statuses(ocelog)["Mine.Both"] == "on"


def test_refused_rules_are_counted_with_the_command_that_says_why(ocelog: Ocelog, tmp_path: Path) -> None:
    rules = tmp_path / "new rules"
    rules.mkdir()
    write(rules, "Wrong", "stattus")
    write(rules, "Good")
    added = ocelog("rules", "add", str(rules))
    check = f"ocelog rules check '{rules}'"
    why = "something that does not exist. Why: "
    assert f"1 rule does not run, as it names {why}{check}" in added.out
    assert f"Refused rules do not run, as they name {why}{check}" in ocelog("rules", "list", "new rules").out
    assert "stattus" in ocelog("rules", "check", str(rules), code=1).out


def test_a_rule_that_names_what_nothing_has_does_not_run(ocelog: Ocelog, folder: Path, jury: FolderJury) -> None:
    write(folder, "Wrong", "stattus")
    assert mine(jury).keys() == {"Mine.Good"}
    assert statuses(ocelog) == {"Mine.Good": "on", "Mine.Wrong": "refused"}
    (wrong,) = [each for each in listed(ocelog)["rules"] if each["id"] == "Mine.Wrong"]
    assert "Wrong.yml:" in wrong["why"]
    assert "stattus" in wrong["why"]
    assert "does not run" in wrong["why"]
    (trouble,) = ocelog("status", "--json", code=1).json["rule_troubles"]
    assert (trouble["folder"], trouble["rule"]) == ("mine", "Mine.Wrong")
    assert "Rules of the folder mine:" in ocelog("status", code=1).out
    assert "stattus" in jury.passed("Wiz.Issues")["Mine.Wrong"]
    write(folder, "Wrong", "statuses")
    assert mine(jury).keys() == {"Mine.Good"}, "it was taken for a good one at the second look"
    write(folder, "Wrong")
    assert mine(jury).keys() == {"Mine.Good", "Mine.Wrong"}
    assert ocelog("status", "--json").json["rule_troubles"] == []


def test_a_rule_that_was_never_good_has_no_last_good_version(
    folder: Path, jury: FolderJury, installation: Installation
) -> None:
    write(folder, "Wrong", "stattus")
    assert mine(jury).keys() == {"Mine.Good"}
    (folder / "Wrong.yml").write_text("AnalysisType: rule\nRuleID: [Mine.Wrong\n")
    assert mine(jury).keys() == {"Mine.Good"}
    with closing(FolderJury(installation, channels=dict)) as again:
        assert mine(again).keys() == {"Mine.Good"}


@pytest.mark.parametrize("text", [RULE.format(name="Good", key="stattus"), "AnalysisType: rule\nRuleID: [Mine.Good\n"])
def test_a_bad_file_leaves_the_last_good_version_of_its_rule(
    ocelog: Ocelog, folder: Path, jury: FolderJury, text: str
) -> None:
    before = mine(jury)
    (folder / "Good.yml").write_text(text)
    assert mine(jury) == before
    assert mine(jury) == before
    assert statuses(ocelog) == {"Mine.Good": "last good"}
    assert "last good version runs" in str(ocelog("status", "--json", code=1).json["rule_troubles"])


@pytest.mark.slow
@pytest.mark.usefixtures("soon_settled")
def test_alerts_of_records_end_with_their_rule(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    for name in ("Disabled", "Removed", "Renamed", "Suspended", "Wrong", "Broken"):
        write(folder, name)
    names = [f"Mine.{name}" for name in ("Good", "Disabled", "Removed", "Renamed", "Suspended", "Wrong", "Broken")]
    alerts = [alert_of(at, rule_id=name, record_id=f"record {at}") for at, name in enumerate(names)]
    window = alert_of(20, rule_id="Mine.Removed")
    put(installation.ledger, *alerts, window)
    (here,) = [each.id for each in installation.ledger.rules.folders() if each.name == "mine"]
    made_known(installation, here, names)
    assert mine(jury).keys() == set(names)
    assert not unseeded(installation, here, names)
    assert still_open(installation) == {*names}
    ocelog("rules", "disable", "Mine.Disabled")
    installation.ledger.rules.suspend("Mine.Suspended", "it failed")
    (folder / "Removed.yml").unlink()
    (folder / "Renamed.yml").write_text(RULE.format(name="Other", key="status"))
    write(folder, "Wrong", "stattus")
    (folder / "Broken.yml").write_text("AnalysisType: rule\nRuleID: [Mine.Broken\n")
    mine(jury)
    assert still_open(installation) == {"Mine.Good", "Mine.Suspended", "Mine.Wrong", "Mine.Broken"}
    # Turned on again, they get to know anew what is so by then.
    assert unseeded(installation, here, names) == set(names) - still_open(installation)
    shown = ocelog("alerts", "show", alerts[1].id).out
    assert "disabled, removed or renamed" in " ".join(shown.split())
    assert ocelog("alerts", "show", window.id, "--json").json[0]["status"] == "OPEN", "it is no alert of a record"


def test_files_that_a_bug_keeps_from_being_read_leave_the_last_good_rules_and_every_other_folder(
    ocelog: Ocelog, folder: Path, jury: FolderJury, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, ours = mine(jury), len(jury.rules("Wiz.Issues"))

    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading.refused_rules", fail)
    write(folder, "Other")
    assert mine(jury) == before
    assert len(jury.rules("Wiz.Issues")) == ours
    (trouble,) = ocelog("status", "--json", code=1).json["rule_troubles"]
    assert "a bug in Ocelog keeps its files from being read: RecursionError" in trouble["reason"]


def test_a_rule_that_keeps_failing_is_suspended_once_that_is_committed(
    folder: Path, jury: FolderJury, installation: Installation
) -> None:
    (folder / "bad.py").write_text("def rule(event):\n    raise ValueError('always')\n")
    (folder / "bad.yml").write_text(
        "AnalysisType: rule\nRuleID: Mine.Bad\nEnabled: true\nFilename: bad.py\nLogTypes: [Wiz.Issues]\nSeverity: LOW\n"
    )
    assert "Mine.Bad" in mine(jury)
    event = Event(
        row_id="r",
        log_type="Wiz.Issues",
        source_id="s",
        source_label="prod",
        event_us=1,
        version_us=1,
        observed_us=1,
    )
    for _ in range(FAILED_TIMES):
        said = jury.judge(pa.table({"id": ["i"]}), "Wiz.Issues", [event])
        assert jury.passed("Wiz.Issues") == {}
        jury.committed(said)
    assert "Suspended" in {each.type for each in said.errors}
    jury.rules("Wiz.Issues")
    assert "failed on every event" in jury.passed("Wiz.Issues")["Mine.Bad"]
    assert installation.ledger.rules.states()["Mine.Bad"].suspended_us is not None


def failing(folder: Path, name: str = "Bad") -> None:
    (folder / f"{name}.py").write_text("def rule(event):\n    raise ValueError('always')\n")
    (folder / f"{name}.yml").write_text(
        f"AnalysisType: rule\nRuleID: Mine.{name}\nEnabled: true\nFilename: {name}.py\nLogTypes: [Wiz.Issues]\n"
        "Severity: LOW\n"
    )


def suspended_by(jury: FolderJury, times: int) -> set[str]:
    """Return which rules are suspended by a number of batches, each with one event."""
    found = set[str]()
    for _ in range(times):
        said = jury.judge(pa.table({"id": ["i"]}), "Wiz.Issues", [event_of()])
        found |= {each.rule.id for each in said.errors if each.type == "Suspended"}
        jury.committed(said)
    return found


def test_a_rule_that_is_mended_while_a_batch_runs_is_not_suspended_for_how_it_was(
    folder: Path, jury: FolderJury, installation: Installation
) -> None:
    failing(folder)
    mine(jury)
    assert not suspended_by(jury, FAILED_TIMES - 1)
    (folder / "Bad.py").write_text("def rule(event):\n    raise ValueError('otherwise')\n")
    # This one still runs by the files of before.
    assert not suspended_by(jury, 1)
    mine(jury)
    assert not suspended_by(jury, FAILED_TIMES - 1), "its failures of before count"
    assert suspended_by(jury, 1) == {"Mine.Bad"}
    assert installation.ledger.rules.states()["Mine.Bad"].suspended_us is not None


def test_what_a_rule_did_before_it_was_turned_off_and_on_counts_no_more(
    ocelog: Ocelog, folder: Path, jury: FolderJury
) -> None:
    failing(folder)
    mine(jury)
    assert not suspended_by(jury, FAILED_TIMES - 1)
    ocelog("rules", "disable", "Mine.Bad")
    mine(jury)
    ocelog("rules", "enable", "Mine.Bad")
    mine(jury)
    assert not suspended_by(jury, FAILED_TIMES - 1)
    assert suspended_by(jury, 1) == {"Mine.Bad"}


def test_what_was_found_of_a_piece_that_was_not_committed_suspends_nothing_later(
    folder: Path, jury: FolderJury, installation: Installation
) -> None:
    failing(folder)
    mine(jury)
    suspended_by(jury, FAILED_TIMES - 1)
    assert jury.judge(pa.table({"id": ["i"]}), "Wiz.Issues", [event_of()]).errors
    (folder / "Bad.py").write_text("def rule(event):\n    return False\n")
    mine(jury)
    assert not suspended_by(jury, 1)
    assert "Mine.Bad" not in installation.ledger.rules.states()


def test_the_list_says_of_a_rule_that_is_on_that_it_fails(
    ocelog: Ocelog, folder: Path, installation: Installation
) -> None:
    write(folder, "Bad")
    error = alert_of(1, rule_id="Mine.Bad", type=AlertType.DETECTION_ERROR, rule_revision="r")
    put(installation.ledger, error)
    (listed,) = ocelog("rules", "list", "mine", "--json").json
    said = {
        each["id"]: (each["status"], each["fails"], each["why"].startswith("it fails; ")) for each in listed["rules"]
    }
    assert said == {"Mine.Bad": ("on", True, True), "Mine.Good": ("on", False, False)}
    assert "it fails" in " ".join(ocelog("rules", "list", "mine").out.split())


def in_turn(installation: Installation, batches: Iterable[Judgement]) -> list[str]:
    """Return why a rule is suspended by batches, each of which another process judges."""
    found = list[str]()
    for said in batches:
        suspending = Suspending(installation.ledger)
        found += [each.message for each in suspending.found(said, lambda _: False)]
        suspending.committed(said)
    return found


def batch(jury: FolderJury, *, seconds: float = 0, events: int = 1, spent: str = "", revision: str = "") -> Judgement:
    """Return what a rule said that took so long, or was given up for what it `spent`."""
    rule = jury.rules("Wiz.Issues")["Mine.Good"]
    asked = {"Mine.Good": replace(rule, revision=revision or rule.revision)}
    given_up = [UnjudgedEvents(rule_id="Mine.Good", reason=spent, own_fault=True, events=[event_of()])] if spent else []
    return Judgement(events=[event_of()] * events, rules=asked, seconds={"Mine.Good": seconds}, unjudged=given_up)


@pytest.mark.usefixtures("folder")
def test_a_rule_that_takes_long_for_few_events_is_suspended(installation: Installation, jury: FolderJury) -> None:
    (why,) = in_turn(installation, [batch(jury, seconds=14, events=40)] * 3)
    assert (
        why
        == "it used up what it may take in 3 of its last 10 batches, the last time because it took 14 s for 40 events"
    )
    assert not in_turn(installation, [batch(jury, seconds=9)] * 3)


@pytest.mark.usefixtures("folder")
def test_a_rule_that_is_suspended_is_told_what_it_used_up(installation: Installation, jury: FolderJury) -> None:
    ended = "it ended, or had to be ended, 8 times in one batch"
    (why,) = in_turn(
        installation, [batch(jury, seconds=14), batch(jury, spent="it took more"), batch(jury, spent=ended)]
    )
    assert why == f"it used up what it may take in 3 of its last 10 batches, the last time because {ended}"


@pytest.mark.usefixtures("folder")
def test_a_rule_that_takes_long_for_many_events_is_not(installation: Installation, jury: FolderJury) -> None:
    assert not in_turn(installation, [batch(jury, seconds=34, events=5_000)] * 3)
    assert in_turn(installation, [batch(jury, seconds=36, events=5_000)] * 3)


@pytest.mark.usefixtures("folder")
def test_a_rule_that_takes_long_now_and_then_is_suspended_too(installation: Installation, jury: FolderJury) -> None:
    def found(*seconds: float) -> int:
        return len(in_turn(installation, [batch(jury, seconds=took) for took in seconds]))

    assert not found(14, *[0] * 9, 14, *[0] * 9), "long ago is forgotten"
    assert installation.ledger.rules.failures()
    assert not found(0)
    assert installation.ledger.rules.failures() == {}
    assert found(14, 0, 0, 14, 0, 0, 14) == 1


@pytest.mark.usefixtures("folder")
def test_how_a_rule_failed_before_counts_no_more_once_it_was_changed_or_enabled(
    ocelog: Ocelog, installation: Installation, jury: FolderJury
) -> None:
    twice, once = [batch(jury, seconds=14)] * 2, [batch(jury, seconds=14)]
    assert not in_turn(installation, twice)
    assert not in_turn(installation, [batch(jury, seconds=14, revision="another")])
    assert not in_turn(installation, twice)
    ocelog("rules", "enable", "Mine.Good")
    assert not in_turn(installation, twice)
    assert in_turn(installation, once)


@pytest.mark.slow
def test_a_rule_that_hangs_in_three_pulls_is_suspended(
    folder: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(folder)
    (folder / "Bad.py").write_text("def rule(event):\n    while True:\n        pass\n")
    quick = Allowance(call_seconds=1, hurried_seconds=0.2, overtime_seconds=0.2)
    monkeypatch.setattr("ocelog.rule_workers.judge.Allowance", lambda: quick)
    for _ in range(3):
        assert "Mine.Bad" not in {
            name for name, state in installation.ledger.rules.states().items() if state.suspended_us
        }
        # As each pull does, with what has landed.
        with closing(FolderJury(installation, channels=dict)) as jury:
            assert "Mine.Bad" in mine(jury)
            jury.committed(jury.judge(pa.table({"id": ["i", "j"]}), "Wiz.Issues", [event_of()] * 2))
    reason = installation.ledger.rules.states()["Mine.Bad"].reason
    assert reason.endswith("because it had to be ended, and such rules took more than 0.2 s of one batch")


def test_no_folder_waits_for_another(
    ocelog: Ocelog, folder: Path, jury: FolderJury, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder.with_name("other")
    other.mkdir()
    write(other, "Other")
    ocelog("rules", "add", str(other), "--name", "other")
    assert {"Mine.Good", "Mine.Other"} <= mine(jury).keys()
    both = threading.Barrier(2, timeout=10)
    judge = Judge.judge

    def meeting(self: Judge, rows: Any, **more: Any) -> Any:
        both.wait()
        return judge(self, rows, **more)

    monkeypatch.setattr(Judge, "judge", meeting)
    said = jury.judge_by({"Mine.Good", "Mine.Other"}, pa.table({"id": ["i"]}), "Wiz.Issues", [event_of()])
    assert said.rules.keys() == {"Mine.Good", "Mine.Other"}


@pytest.mark.usefixtures("folder")
def test_a_rule_that_hangs_is_let_go_once_it_is_turned_off_or_its_folder_is_removed(
    ocelog: Ocelog, jury: FolderJury
) -> None:
    mine(jury)
    (bench,) = (each for each in jury.benches.values() if each.folder.name == "mine")
    assert jury._is_wanted(bench.folder.id, "Mine.Good")
    ocelog("rules", "disable", "Mine.Good")
    assert not jury._is_wanted(bench.folder.id, "Mine.Good")
    ocelog("rules", "enable", "Mine.Good")
    ocelog("rules", "remove", "mine")
    assert not jury._is_wanted(bench.folder.id, "Mine.Good")


def test_a_suspension_ends_once_a_file_turns_its_rule_off(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    write(folder, "Other")
    mine(jury)
    for name in ("Mine.Good", "Mine.Other"):
        installation.ledger.rules.suspend(name, "it failed")
    path = folder / "Other.yml"
    path.write_text(path.read_text().replace("Enabled: true", "Enabled: false"))
    mine(jury)
    assert ocelog("status", "--json", code=1).json["suspended_rules"] == ["Mine.Good"]


def test_a_folder_that_cannot_be_read_ends_no_alert(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    put(
        installation.ledger, alert_of(1, rule_id="Mine.Good", record_id="r"), alert_of(2, rule_id="Gone", record_id="r")
    )
    folder.rename(folder.with_name("away"))
    mine(jury)
    assert still_open(installation) == {"Mine.Good", "Gone"}
    assert "no such file or folder" in ocelog("status", "--json", code=1).json["rule_troubles"][0]["reason"]
    folder.with_name("away").rename(folder)
    mine(jury)
    assert still_open(installation) == {"Mine.Good"}
    ocelog("rules", "remove", "mine")
    mine(jury)
    assert still_open(installation) == set()


def test_a_folder_that_was_emptied_ends_nothing_and_its_rules_go_on(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    before = mine(jury)
    put(installation.ledger, alert_of(1, rule_id="Mine.Good", record_id="r"))
    (folder / "Good.yml").rename(folder / "Good.yml.old")
    assert mine(jury) == before
    with closing(FolderJury(installation, channels=dict)) as again:
        assert mine(again) == before, "its rules ended with the process"
    assert still_open(installation) == {"Mine.Good"}
    assert "ocelog rules remove mine" in troubles(installation)[""]
    assert installation.ledger.alerts.details(system_alert_id(RULE_FILES, folder_id(installation))) is not None
    assert statuses(ocelog) == {"Mine.Good": "last good"}
    ocelog("rules", "remove", "mine")
    mine(jury)
    assert still_open(installation) == set()


def test_what_a_person_disabled_ends_though_another_file_does_not_read(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    write(folder, "Other")
    write(folder, "Error")
    revisions = mine(jury)
    error = alert_of(3, rule_id="Mine.Error", type=AlertType.DETECTION_ERROR, rule_revision=revisions["Mine.Error"])
    records = [alert_of(n, rule_id=f"Mine.{name}", record_id="r") for n, name in enumerate(("Good", "Other"))]
    put(installation.ledger, *records, error)
    (folder / "Broken.yml").write_text("AnalysisType: rule\nLogTypes: [Wiz.Audit]\nFoo: [\n")
    ocelog("rules", "disable", "Mine.Good")
    mine(jury)
    alerts = installation.ledger.alerts
    assert (still_open(installation), set(alerts.failing_rules())) == ({"Mine.Other"}, {"Mine.Error"})
    ocelog("rules", "disable", "Mine.Error")
    mine(jury)
    assert (still_open(installation), alerts.failing_rules()) == ({"Mine.Other"}, {})


@pytest.mark.slow
@pytest.mark.usefixtures("soon_settled")
def test_alerts_about_errors_end_with_their_rule(folder: Path, jury: FolderJury, installation: Installation) -> None:
    write(folder, "Other")
    revisions = mine(jury)
    put(
        installation.ledger,
        *(
            alert_of(n, rule_id=f"Mine.{name}", type=AlertType.DETECTION_ERROR, rule_revision=revisions[f"Mine.{name}"])
            for n, name in enumerate(("Good", "Other"))
        ),
    )
    (folder / "Good.yml").unlink()
    mine(jury)
    assert installation.ledger.alerts.failing_rules().keys() == {"Mine.Other"}


@pytest.mark.slow
def test_a_rule_that_moves_to_another_folder_is_read_again(folder: Path, jury: FolderJury) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
    write(folder / "a", "Moved")
    mine(jury)
    (bench,) = [each for each in jury.benches.values() if each.folder.name == "mine"]
    before = bench.mark
    (folder / "a" / "Moved.yml").rename(folder / "b" / "Moved.yml")
    mine(jury)
    assert bench.mark != before


def test_which_rules_a_query_has_is_read_of_one_look(jury: FolderJury) -> None:
    taken = list[bool]()

    class Lock:
        def __enter__(self) -> None:
            taken.append(True)

        def __exit__(self, *_: object) -> None:
            taken.append(False)

    jury.lock = Lock()
    assert jury.rules_of("no query") == {}
    assert taken == [True, False]


@pytest.mark.slow
@pytest.mark.usefixtures("soon_settled")
def test_the_last_good_version_outlives_the_process(
    folder: Path, jury: FolderJury, installation: Installation, ocelog: Ocelog
) -> None:
    write(folder, "Other")
    before = mine(jury)
    kept = installation.home.path / "rules"
    (file,) = kept.iterdir()
    assert (kept.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    written = file.stat().st_ino
    mine(jury)
    (folder / "Good.yml").write_text("AnalysisType: rule\nRuleID: [Mine.Good\n")
    (folder / "Other.yml").write_text(RULE.format(name="Other", key="stattus"))
    with closing(FolderJury(installation, channels=dict)) as again:
        assert mine(again) == before
        assert again.passed("Wiz.Issues") == {}
    assert file.stat().st_ino == written, "it was written anew though nothing of it changed"
    assert statuses(ocelog) == {"Mine.Good": "last good", "Mine.Other": "last good"}
    assert f"{folder}/Good.yml:" in ocelog("rules", "show", "Mine.Good", "--json").json["why"]
    folder.rename(folder.with_name("away"))
    assert statuses(ocelog) == {"Mine.Good": "last good", "Mine.Other": "last good"}
    ocelog("rules", "disable", "Mine.Other")
    with closing(FolderJury(installation, channels=dict)) as again:
        assert mine(again).keys() == {"Mine.Good"}, "it cannot be turned off"
    ocelog("rules", "enable", "Mine.Other")
    with closing(FolderJury(installation, channels=dict)) as again:
        assert mine(again) == before
        assert "no such file or folder" in troubles(installation)[""]
        folder.with_name("away").rename(folder)
        (folder / "Good.yml").unlink()
        write(folder, "Other")
        assert mine(again).keys() == {"Mine.Other"}, "a deleted file came back"
    assert troubles(installation) == {}
    file.write_bytes(file.read_bytes()[:-1])
    with closing(FolderJury(installation, channels=dict)) as again:
        assert mine(again).keys() == {"Mine.Other"}, "a damaged copy kept rules from being read"
    ocelog("rules", "remove", "mine")
    assert list(kept.iterdir()) == []


def test_a_rule_of_which_no_good_version_is_known_is_named(folder: Path, installation: Installation) -> None:
    (folder / "Told.yml").write_text("AnalysisType: rule\nRuleID: Mine.Told\nLogTypes: [Wiz.Issues]\nFoo: [\n")
    (folder / "Elsewhere.yml").write_text("AnalysisType: rule\nRuleID: E\nLogTypes:\n  - AWS.S3\nFoo: [\n")
    (folder / "Off.yml").write_text("AnalysisType: rule\nRuleID: O\nEnabled: false\nFoo: [\n")
    (folder / "Base.yml").write_text("AnalysisType: rule\nRuleID: Mine.Base\nLogTypes:\n  - Wiz.Issues\nFoo: [\n")
    (folder / "Child.yml").write_text(
        "AnalysisType: rule\nRuleID: Mine.Child\nBaseDetection: Mine.Base\nEnabled: true\n"
    )
    python = RULE.format(name="Python", key="status").partition("Detection:")[0]
    (folder / "Python.yml").write_text(f"{python}Filename: python.py\n")
    (folder / "python.py").write_text("def rule(event):\n    return (\n")
    with closing(FolderJury(installation, channels=dict)) as jury:
        assert mine(jury).keys() == {"Mine.Good"}
        passed = jury.passed("Wiz.Issues")
        assert passed.keys() == {"Mine.Told", "Mine.Base", "Mine.Child", "Mine.Python"}
        assert passed["Mine.Told"].startswith("mine/Told.yml:")
        assert jury.passed("Wiz.Audit").keys() == {"Mine.Child"}, "what it stands on is not known"
        assert "Off.yml" not in str(troubles(installation))
        assert "Elsewhere.yml" not in str(troubles(installation))
        installation.ledger.rules.enable(["Mine.Told", "Mine.Child"], enabled=False)
        (folder / "None.yml").write_text("AnalysisType: rule\nLogTypes: [Wiz.Audit]\nFoo: [\n")
        mine(jury)
        assert jury.passed("Wiz.Issues").keys() == {"Mine.Base", "Mine.Python"}
        assert jury.passed("Wiz.Audit").keys() == {"mine/*"}


def test_what_else_changes_in_the_checkout_is_no_news(
    folder: Path, jury: FolderJury, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / ".git").mkdir()
    read: list[str] = []
    mine(jury)
    monkeypatch.setattr(folder_reading.log, "info", lambda event, **_: read.append(event))
    (folder.parent / "notes.txt").write_text("other work")
    before = mine(jury)
    assert read == []
    (folder / "Good.yml").write_text(RULE.format(name="Good", key="status") + "Description: mended\n")
    assert mine(jury) != before
    assert read == ["rules read"]


@pytest.mark.slow
def test_people_hear_once_of_files_with_errors_and_that_it_is_over(folder: Path, installation: Installation) -> None:
    ops = channel(installation.ledger, "ops")

    def heard() -> list[str]:
        details = installation.ledger.alerts.details(system_alert_id(RULE_FILES, folder_id(installation)))
        return [] if details is None else [each.what for each in details.timeline]

    def look() -> None:
        with closing(FolderJury(installation, channels=dict)) as jury:
            mine(jury)
            mine(jury)

    look()
    assert heard() == []
    (folder / "Good.yml").write_text("AnalysisType: rule\nRuleID: [Mine.Good\n")
    look()
    look()
    assert heard() == ["opened"]
    write(folder, "Wrong", "stattus")
    look()
    assert heard() == ["opened", "escalated"]
    write(folder, "Good")
    look()
    assert heard() == ["opened", "escalated"]
    write(folder, "Wrong")
    look()
    assert heard() == ["opened", "escalated", "resolved"]
    folder.rename(folder.with_name("away"))
    look()
    assert heard()[3:] == ["reopened"]
    waiting = installation.ledger.alerts.told_channels(system_alert_id(RULE_FILES, folder_id(installation)))
    assert waiting == [ops]


def test_alerts_about_errors_end_once_the_rule_was_changed_and_judges(
    folder: Path, jury: FolderJury, installation: Installation
) -> None:
    ledger, event = (
        installation.ledger,
        event_of(),
    )
    (before,) = mine(jury).values()
    ops = channel(ledger, "ops")
    failed = alert_of(1, rule_id="Mine.Good", type=AlertType.DETECTION_ERROR, rule_revision=before)
    put(ledger, failed, alert_of(2, rule_id="Mine.Good"), told=[ops])

    def judge() -> dict[str, str]:
        mine(jury)
        jury.committed(jury.judge(pa.table({"id": ["i"], "status": ["OPEN"]}), "Wiz.Issues", [event]))
        every = ledger.alerts.listed(AlertFilter(), limit=9)
        return {str(each.type): str(each.status) for each in every}

    assert judge() == {"DETECTION_ERROR": "OPEN", "ALERT": "OPEN"}, "the rule is as it was when it failed"
    (folder / "Good.yml").write_text(RULE.format(name="Good", key="status") + "Description: mended\n")
    assert judge() == {"DETECTION_ERROR": "RESOLVED", "ALERT": "OPEN"}
    assert [happened for _, happened, _ in told(ledger, failed.id)] == ["opened", "resolved"]


def test_what_is_to_be_done_about_unjudged_rows_works(ocelog: Ocelog, folder: Path, installation: Installation) -> None:
    write(folder, "Off")
    ocelog("rules", "disable", "Mine.Off")
    names = ["mine/*", "it's/*", "Mine.Good", "Mine.Off", "Mine.None", ""]
    event = event_of()
    with installation.ledger._database.write() as tx:
        add_unjudged(
            tx, "wiz_issues", [UnjudgedEvents(rule_id=name, reason="why", events=[event]) for name in names], 1
        )
    said = {each["rule"]: each["to_do"] for each in ocelog("rules", "unjudged", "--json").json}
    forget = "ocelog rules unjudged {} --dismiss"
    assert said["Mine.Good"].endswith("ocelog rules replay Mine.Good --since 1970-01-01T00:00:00Z")
    assert forget.format("'mine/*'") in said["mine/*"]
    assert "no such folder" in said["it's/*"]
    assert forget.format("Mine.Off") in said["Mine.Off"]
    assert "no such rule" in said["Mine.None"]
    assert "ocelog rules replay RULE --since 1970-01-01T00:00:00Z" in said["every rule"]
    listed = " ".join(ocelog("rules", "unjudged").out.split())
    assert sum(what in " ".join(ocelog("status").out.split()) for what in said.values()) == 5
    # Of every rule at last: that forgets all.
    for what in said.values():
        assert what in listed
        _, _, command = what.rpartition(": ocelog ")
        ocelog(*shlex.split(command))
    assert {each["rule"] for each in ocelog("rules", "unjudged", "--json").json} <= {"Mine.Good"}


def test_what_a_folder_that_was_removed_did_not_judge_is_forgotten_by_a_pattern(
    ocelog: Ocelog, installation: Installation
) -> None:
    names = ["Acme.One", "Acme.Two", "Acme/*", "Other", ""]
    with installation.ledger._database.write() as tx:
        add_unjudged(
            tx, "wiz_issues", [UnjudgedEvents(rule_id=name, reason="why", events=[event_of()]) for name in names], 1
        )
    assert {each["rule"] for each in ocelog("rules", "unjudged", "Acme.*", "--json").json} == {"Acme.One", "Acme.Two"}
    assert "Forgot 2 events" in ocelog("rules", "unjudged", "Acme.*", "--dismiss").out
    assert ocelog("rules", "unjudged", "Acme.*").out == "No event was left unjudged by Acme.*.\n"
    assert "Forgot 1 event" in ocelog("rules", "unjudged", "Acme/*", "--dismiss").out
    assert {each["rule"] for each in ocelog("rules", "unjudged", "--json").json} == {"Other", "every rule"}


def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(
    folder: Path, jury: FolderJury, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = mine(jury)
    real = os.scandir

    def refused(path: Any) -> Any:
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refused)
    write(folder, "Other")
    assert mine(jury) == before
    assert "Permission denied" in troubles(installation)[""]


def event_of() -> Event:
    log_type = "Wiz.Issues"
    return Event(
        row_id="r", log_type=log_type, source_id="acme", source_label="acme", event_us=1, version_us=1, observed_us=1
    )


def troubles(installation: Installation) -> dict[str, str]:
    return {each.rule_id: each.reason for each in installation.ledger.rules.troubles()}


def folder_id(installation: Installation) -> str:
    return next(each.id for each in installation.ledger.rules.folders() if each.name == "mine")


def still_open(installation: Installation) -> set[str]:
    return set(installation.ledger.alerts.rules_of_records())


def made_known(installation: Installation, folder_id: str, names: list[str]) -> None:
    """Let rules know what is there."""
    seeds = installation.ledger.judging.unseeded("wiz_issues", dict.fromkeys(names, folder_id))
    known = [(each, replace(each, done=True)) for each in seeds]
    start = Position()
    piece = Piece(table="wiz_issues", since=start, to=start, source_id=None, decision=Decision(), seeds=known)
    assert isinstance(installation.ledger.judging.commit(piece), CommitSuccess)


def unseeded(installation: Installation, folder_id: str, names: list[str]) -> set[str]:
    left = installation.ledger.judging.unseeded("wiz_issues", dict.fromkeys(names, folder_id))
    return {each.rule_id for each in left}
