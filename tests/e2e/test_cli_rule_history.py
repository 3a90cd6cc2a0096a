"""A rule is tried on events that are in the lake: what it would have said, and what it costs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Ocelog, simulator
from commands.terminal import conversation, on_a_terminal

RULE = """\
AnalysisType: rule
RuleID: Mine.Tried
Enabled: false
LogTypes: [Wiz.Audit]
Severity: High
Filename: tried.py
{more}
"""
PYTHON = """\
def rule(event):
    return {when}


def title(event):
    return f"Login of {{event.deep_get('user', 'name')}}"


def dedup(event):
    return "all logins"
"""
LOGIN = 'event.get("action") == "Login"'


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ocelog]:
    found = Ocelog(tmp_path_factory.mktemp("tried") / "home")
    found.init()
    with simulator("--audit", "400", "--issues", "40", "--findings", "20") as tenant:
        found.add(tenant, "prod", "--backfill", "30d")
        found("pull")
        yield found


def written(folder: Path, when: str, more: str = "") -> str:
    (folder / "tried.yml").write_text(RULE.format(more=more))
    (folder / "tried.py").write_text(PYTHON.format(when=when))
    return str(folder / "tried.yml")


@pytest.mark.slow
def test_a_rule_is_tried_on_every_event_and_grouped_as_alerts_are(ocelog: Ocelog, tmp_path: Path) -> None:
    file = written(tmp_path, LOGIN, "DedupPeriodMinutes: 525600")
    tried: dict[str, Any] = ocelog("rules", "try", file, "--since", "30d", "--json").json
    (counted,) = ocelog(
        "query", "-o", "json", "SELECT count(*) AS n, count(*) FILTER (action = 'Login') AS logins FROM wiz_audit"
    ).json
    assert (tried["events"], tried["matches"]) == (counted["n"], counted["logins"])
    assert counted["logins"] > 10
    assert sum(day["matches"] for day in tried["by_day"].values()) == tried["matches"]
    assert sum(day["events"] for day in tried["by_day"].values()) == tried["events"]
    assert [alert["matches"] for alert in tried["first_alerts"]] == [tried["matches"]]
    assert (tried["alerts"], tried["told"], tried["errors"]) == (1, 1, [])
    assert len(tried["samples"]) == 5
    assert tried["samples"][0]["title"].startswith("Login of ")
    assert tried["samples"][0]["summary"].startswith("Login ")
    assert 0 < tried["us_per_event"] < 100_000
    shown = ocelog("rules", "try", file, "--since", "30d").out
    assert f"{tried['matches']:,} of {tried['events']:,} events of Wiz.Audit" in shown
    assert re.search(r"^20\d\d-\d\d-\d\d +\d+  ━+$", shown, re.MULTILINE)
    assert "People would have been told of 1 alert." in shown
    assert "µs per event" in shown


@pytest.mark.slow
def test_below_its_threshold_nobody_would_have_been_told(ocelog: Ocelog, tmp_path: Path) -> None:
    file = written(tmp_path, LOGIN, "Threshold: 1000\nDedupPeriodMinutes: 525600")
    tried = ocelog("rules", "try", file, "--since", "30d", "--json").json
    assert (tried["alerts"], tried["told"], tried["first_alerts"]) == (1, 0, [])
    assert "1 more would have stayed below the threshold" in ocelog("rules", "try", file, "--since", "30d").out


@pytest.mark.slow
def test_a_signal_makes_no_alerts_and_a_rule_that_fails_says_on_how_many_events(ocelog: Ocelog, tmp_path: Path) -> None:
    signal = ocelog("rules", "try", written(tmp_path, LOGIN, "CreateAlert: false"), "--since", "30d")
    assert "It is a signal" in signal.out
    file = written(tmp_path, 'event["nothing"] == 1')
    broken = ocelog("rules", "try", file, "--since", "30d", code=1)
    assert re.search(r"The rule failed on \d+ events: rule: KeyError: .*tried.py:2", broken.err)
    assert f"ocelog rules test {file}" in broken.err
    assert re.match(r"Mine.Tried: 0 of \d+ events of Wiz.Audit since .* match.\n\nCost: ", broken.out)
    shown = on_a_terminal(ocelog, "rules", "try", file, "--since", "30d")
    assert shown.index("The rule failed on") < shown.index("Mine.Tried: 0 of")


def test_a_registered_rule_is_tried_by_its_id_also_if_it_is_off(ocelog: Ocelog) -> None:
    tried = ocelog("rules", "try", "Ocelog.Wiz.Issues.NewCritical", "--since", "30d", "--json").json
    assert tried["log_types"] == ["Wiz.Issues"]
    assert tried["events"] > 10
    assert tried["alerts"] <= tried["matches"]


def test_what_cannot_be_tried_says_why(ocelog: Ocelog, tmp_path: Path) -> None:
    assert "did you mean" in ocelog("rules", "try", "Ocelog.Wiz.Issues.NewCriticl", code=2).err
    assert "must lie in the past" in ocelog("rules", "try", "x", "--since", "2999-01-01", code=2).err
    file = Path(written(tmp_path, LOGIN))
    file.write_text(file.read_text().replace("Wiz.Audit", "AWS.CloudTrail"))
    assert "No source here has events for Mine.Tried" in ocelog("rules", "try", str(file), code=2).err
    file.write_text(file.read_text().replace("Enabled", "Enabeld"))
    assert f"{file}:3: unknown key 'Enabeld'" in ocelog("rules", "try", str(file), code=2).err


@pytest.mark.slow
@pytest.mark.whole_processes
def test_ctrl_c_ends_it_while_a_rule_hangs(ocelog: Ocelog, tmp_path: Path) -> None:
    file = written(tmp_path, "sum(iter(int, 1)) == 1")
    with conversation(ocelog, "rules", "try", file, "--since", "30d") as typed:
        typed.until("events")
        assert typed.interrupt() == 130
