"""Rules that change while they judge: refused ones do not run, and what was theirs ends with them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bookkeeping.alerts import alert_of
from bookkeeping.alerts import opened as put
from commands import Ocelog
from ocelog.alert.judged import Event
from ocelog.app.jury import FAILED_TIMES, FolderJury
from ocelog.installation.opening import Installation, opened

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
def ocelog(tmp_path: Path) -> Ocelog:
    found = Ocelog(tmp_path / "home")
    found("init")
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
    jury.look_again()
    found = jury.rules("Wiz.Issues").items()
    return {name: rule.revision for name, rule in found if name.startswith("Mine.")}


def listed(ocelog: Ocelog) -> dict[str, Any]:
    found: dict[str, Any] = ocelog("rules", "list", "mine", "--json").json[0]
    return found


def statuses(ocelog: Ocelog) -> dict[str, str]:
    return {each["id"]: each["status"] for each in listed(ocelog)["rules"]}


def test_a_rule_that_names_what_nothing_has_does_not_run(ocelog: Ocelog, folder: Path, jury: FolderJury) -> None:
    write(folder, "Wrong", "stattus")
    assert mine(jury).keys() == {"Mine.Good"}
    assert statuses(ocelog) == {"Mine.Good": "on", "Mine.Wrong": "refused"}
    (wrong,) = [each for each in listed(ocelog)["rules"] if each["id"] == "Mine.Wrong"]
    assert "Wrong.yml:" in wrong["why"]
    assert "stattus" in wrong["why"]
    assert "does not run" in wrong["why"]
    (trouble,) = ocelog("status", "--json").json["rule_troubles"]
    assert trouble["rule"] == "Mine.Wrong"
    assert "Rules that are not judged by as written" in ocelog("status").out.replace("\n", " ")
    write(folder, "Wrong", "statuses")
    assert mine(jury).keys() == {"Mine.Good"}, "it was taken for a good one at the second look"
    write(folder, "Wrong")
    assert mine(jury).keys() == {"Mine.Good", "Mine.Wrong"}
    assert ocelog("status", "--json").json["rule_troubles"] == []


@pytest.mark.parametrize("text", [RULE.format(name="Good", key="stattus"), "AnalysisType: rule\nRuleID: [Mine.Good\n"])
def test_a_bad_file_leaves_the_last_good_version_of_its_rule(
    ocelog: Ocelog, folder: Path, jury: FolderJury, text: str
) -> None:
    before = mine(jury)
    (folder / "Good.yml").write_text(text)
    assert mine(jury) == before
    assert mine(jury) == before
    assert "as it was before" in json.dumps(listed(ocelog))


def test_alerts_of_records_end_with_their_rule(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    for name in ("Disabled", "Removed", "Renamed", "Suspended", "Wrong", "Broken"):
        write(folder, name)
    names = [f"Mine.{name}" for name in ("Good", "Disabled", "Removed", "Renamed", "Suspended", "Wrong", "Broken")]
    alerts = [alert_of(at, rule_id=name, record_id=f"record {at}") for at, name in enumerate(names)]
    window = alert_of(20, rule_id="Mine.Removed")
    put(installation.ledger, *alerts, window)
    assert mine(jury).keys() == set(names)
    assert still_open(installation) == {*names}
    ocelog("rules", "disable", "Mine.Disabled")
    installation.ledger.rules.suspend("Mine.Suspended", "it failed")
    (folder / "Removed.yml").unlink()
    (folder / "Renamed.yml").write_text(RULE.format(name="Other", key="status"))
    write(folder, "Wrong", "stattus")
    (folder / "Broken.yml").write_text("AnalysisType: rule\nRuleID: [Mine.Broken\n")
    mine(jury)
    assert still_open(installation) == {"Mine.Good", "Mine.Suspended", "Mine.Wrong", "Mine.Broken"}
    shown = ocelog("alerts", "show", alerts[1].id).out
    assert "disabled, removed or renamed" in " ".join(shown.split())
    assert ocelog("alerts", "show", window.id, "--json").json[0]["status"] == "OPEN", "it is no alert of a record"


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
    assert "Suspended" in {each.type for each in said.errors}
    jury.committed(said)
    jury.rules("Wiz.Issues")
    assert "failed on every event" in jury.passed("Wiz.Issues")["Mine.Bad"]
    assert installation.ledger.rules.states()["Mine.Bad"].suspended_us is not None


def test_a_folder_that_cannot_be_read_ends_no_alert(
    ocelog: Ocelog, folder: Path, jury: FolderJury, installation: Installation
) -> None:
    put(
        installation.ledger, alert_of(1, rule_id="Mine.Good", record_id="r"), alert_of(2, rule_id="Gone", record_id="r")
    )
    folder.rename(folder.with_name("away"))
    mine(jury)
    assert still_open(installation) == {"Mine.Good", "Gone"}
    assert "no such file or folder" in ocelog("status", "--json").json["rule_troubles"][0]["reason"]
    folder.with_name("away").rename(folder)
    mine(jury)
    assert still_open(installation) == {"Mine.Good"}
    ocelog("rules", "remove", "mine")
    mine(jury)
    assert still_open(installation) == set()


def still_open(installation: Installation) -> set[str]:
    return set(installation.ledger.alerts.rules_of_records())
