"""Alerts, listed, worked with and kept quiet by the command as a person and a script see it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import insert

from bookkeeping.alerts import NOW_US, alert_of, channel, opened, told
from bookkeeping.records import source_row
from commands import Ocelog
from commands.terminal import bare_lines, on_a_terminal
from ocelog.alert.alert import Alert, TimelineEntry
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts as rows
from ocelog.model import Severity
from ocelog.times import to_us

HOSTILE = "\x1b[2Jgone\u202e <script> @here"
ONE, TWO = "1" * 32, "12" + "0" * 30


@pytest.fixture
def ocelog(tmp_path: Path) -> Ocelog:
    found = Ocelog(tmp_path / "home", OCELOG_USER="ann")
    found.init()
    return found


@pytest.fixture
def ledger(ocelog: Ocelog) -> Iterator[Ledger]:
    found = Ledger.open(f"sqlite:///{ocelog.home}/ledger.db", create=False)
    yield found
    found.close()


def alerts() -> tuple[Alert, Alert]:
    return (
        alert_of(1, id=ONE, title=HOSTILE, context={"actor": HOSTILE}, runbook="First.\nThen."),
        alert_of(2, id=TWO, severity=Severity.CRITICAL, title="A bucket is public"),
    )


def test_a_list_shows_the_beginning_of_a_very_long_title(ocelog: Ocelog, ledger: Ledger) -> None:
    opened(ledger, alert_of(1, id=ONE, title="long " * 200))
    shown = " ".join(ocelog("alerts", "list").out.split())
    assert "long…" in shown.replace("long …", "long…")
    assert shown.count("long") < 45
    assert " ".join(ocelog("alerts", "show", ONE).out.split()).count("long") == 200


def test_a_list_as_json_is_written_like_any_other(ocelog: Ocelog, ledger: Ledger) -> None:
    odd = "one\ntwo\u2028three\x85four"
    opened(ledger, *(alert_of(n, context={"text": odd}) for n in range(1, 4)))
    shown = ocelog("alerts", "list", "--json")
    assert [each["context"] for each in shown.json] == [{"text": odd}] * 3
    assert shown.out == json.dumps(shown.json, indent=2, ensure_ascii=False) + "\n"


def test_alerts_are_listed_newest_first_and_page_by_page(ocelog: Ocelog, ledger: Ledger) -> None:
    assert "There are no such alerts." in ocelog("alerts", "list").out
    ledger.sources.add(source_row("acme"))
    opened(ledger, *alerts(), alert_of(3, to_be_told=False), alert_of(4, status=AlertStatus.CLOSED, ended_us=1))
    shown = ocelog("alerts", "list")
    assert "1 more alert was not sent to anyone; add --untold to list it." in shown.err
    # A long title goes on below itself.
    first = [line.split()[0] for line in shown.out.splitlines() if not line.startswith(" ")]
    assert first == ["id", TWO[:10], ONE[:10]]
    assert [each["id"] for each in ocelog("alerts", "list", "--json").json] == [TWO, ONE]
    assert len(ocelog("alerts", "list", "--all", "--json").json) == 4
    page = ocelog("alerts", "list", "--limit", "1")
    assert f"--after {TWO[:10]}" in page.err
    assert [each["id"] for each in ocelog("alerts", "list", "--after", TWO[:10], "--json").json] == [ONE]
    for option, value in (("--severity", "critical"), ("--text", "BUCKET is"), ("--since", "2026-03-23T22:00:00Z")):
        assert [each["id"] for each in ocelog("alerts", "list", option, value, "--json").json] == [TWO]
    assert len(ocelog("alerts", "list", "--source", "acme", "--unassigned", "--log-type", "issues", "--json").json) == 2
    assert ocelog("alerts", "list", "--rule", "Wiz.*.Secret", "--json").json == []
    assert ocelog("alerts", "list", "--assignee", "bob", "--json").json == []


def test_what_a_record_says_does_not_steer_the_terminal(ocelog: Ocelog, ledger: Ledger) -> None:
    opened(ledger, *alerts())
    for arguments in (("list",), ("show", ONE), ("show", ONE, "--json"), ("comment", ONE, "--text", HOSTILE)):
        shown = on_a_terminal(ocelog, "alerts", *arguments)
        assert "\x1b[2J" not in shown, arguments
        assert "\u202e" not in shown, arguments
    # A program gets what was there.
    (found,) = ocelog("alerts", "show", ONE, "--json").json
    assert found["title"] == found["context"]["actor"] == HOSTILE


def test_everything_about_an_alert_is_shown(ocelog: Ocelog, ledger: Ledger) -> None:
    opened(ledger, *alerts(), told=[channel(ledger, "mail")])
    ocelog("alerts", "comment", TWO, "--text", "I look at it")
    shown = ocelog("alerts", "show", TWO[:3]).out
    for line in (
        "status:",
        "rule:     Wiz.Issue.Public (Public bucket)",
        "Timeline",
        "I look at it",
        "Still to be told",
    ):
        assert line in shown
    assert "I look at it" in ocelog("alerts", "comment", ONE, "--text", "I look at it").out
    assert "bob" in ocelog("alerts", "assign", ONE, "--to", "bob").out
    (found,) = ocelog("alerts", "show", TWO, "--json").json
    assert [(each["who"], each["what"]) for each in found["timeline"]] == [("ocelog", "opened"), ("ann", "comment")]
    assert [each["happened"] for each in found["waiting"]] == ["opened", "acknowledged"]


def test_an_alert_is_worked_with_from_first_to_last(ocelog: Ocelog, ledger: Ledger) -> None:
    to = channel(ledger, "mail")
    opened(ledger, *alerts(), told=[to])
    (found,) = ocelog("alerts", "triage", ONE, "--json").json
    assert (found["status"], found["changed"]) == ("TRIAGED", True)
    assert not ocelog("alerts", "triage", ONE, "--json").json[0]["changed"]
    assert ocelog("alerts", "assign", ONE, "--json").json[0]["assignee"] == "ann"
    assert ocelog("alerts", "assign", ONE, "--to", "bob", "--as", "eve", "--json").json[0]["assignee"] == "bob"
    assert ocelog("alerts", "assign", ONE, "--nobody", "--json").json[0]["assignee"] is None
    closed = ocelog("alerts", "close", ONE, TWO, "--reason", "False-Positive", "--comment", "a test").out
    assert closed.count("closed") == 2
    assert told(ledger, ONE)[-1] == (to, "closed", "by ann: false_positive: a test")
    assert ocelog("alerts", "list", "--json").json == []
    assert ocelog("alerts", "reopen", TWO, "--json").json[0]["status"] == "OPEN"
    timeline = ocelog("alerts", "show", ONE, "--json").json[0]["timeline"]
    assert [(each["who"], each["what"]) for each in timeline][-4:] == [
        ("ann", "assigned"),
        ("eve", "assigned"),
        ("ann", "unassigned"),
        ("ann", "closed"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "1"], "More than one alert begins with '1': 111111111111, 120000000000."),
        (["show", "1111111112"], "did you mean '1111111111'?"),
        (["show", "fff"], "See: ocelog alerts list"),
        (["show", "bucket"], "is not the id of an alert"),
        (["close", ONE, "--reason", "benin"], "did you mean 'benign'?"),
        (["close", ONE], "--reason"),
        (["triage", ONE, "fff"], "No alert begins with 'fff'"),
        (["comment", ONE, "--text", " "], "cannot be empty"),
        (["assign", ONE, "--to", "b\x07b"], "one line of 1 to 200 characters"),
        (["list", "--severity", "hgh"], "did you mean 'high'? Expected info, low, medium, high or critical."),
        (["list", "--severity", "hihg"], "--severity: 'hihg' is not known; did you mean 'high'?"),
        (["list", "--since", "7x"], "--since: invalid time '7x'"),
        (["triage", "--severity", "hihg"], "--severity: 'hihg' is not known"),
        (["suppress", "R", "--for", "4x", "--reason", "r"], "--for: invalid duration '4x'"),
        (["list", "--sort", "worst"], "--sort: 'worst' is not known. Expected opened, severity or last_match."),
        (["list", "--sort", "last-mtch"], "did you mean 'last_match'?"),
        (["list", "--type", "sytem-error"], "did you mean 'system_error'? Expected alert, detection_error or"),
        (["list", "--source", "prd"], "There is no source"),
        (["suppress", "R", "--reason", "x"], "--for 7d"),
        (["suppress", "R", "--reason", "x", "--for", "400d"], "at most 366d"),
        (["suppress", "R", "--reason", "x", "--for", "1h", "--from", "2d"], "is past"),
        (["suppress", "R", "--reason", "x", "--until", "2020-01-01"], "before it begins"),
        (["suppress", "R", "--reason", "", "--for", "1h"], "--reason: A reason is one line"),
        (["suppress", "R", "--reason", "x", "--for", "1h", "--owner", "b\x07"], "--owner: An owner is one line"),
        (["suppress", "R", "--reason", "x", "--until", "+4x"], "--until: invalid duration '4x'"),
        (["mute", "--reason", "x", "--for", "1h", "--from", "noon"], "--from: invalid time 'noon'"),
        (["suppress", "R", "--for", "1h"], "--reason"),
        (
            ["mute", "--reason", "x", "--for", "1h", "--where", "sevrity=LOW"],
            "--where: There is no field",
        ),
        (["suppress", "R", "--reason", "x", "--for", "1h", "--where", "x"], "--where: invalid condition 'x'"),
        (["unsuppress", "abc"], "See: ocelog alerts suppressions"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(
    ocelog: Ocelog, ledger: Ledger, arguments: list[str], says: str
) -> None:
    opened(ledger, *alerts())
    assert says in ocelog("alerts", *arguments, code=2).err
    assert len(ocelog("alerts", "list", "--unassigned", "--json").json) == 2
    assert ocelog("alerts", "suppressions", "--json").json == []


def test_a_rule_without_an_alert_is_suppressed_without_a_guess_at_another(ocelog: Ocelog, ledger: Ledger) -> None:
    for rule in ("R", "Ocelog.Wiz.Actors.DeniedWav"):
        opened(ledger, alert_of(len(rule), id=f"{len(rule):032}", rule_id=rule))

    def said(rule: str) -> str:
        done = ocelog("alerts", "suppress", rule, "--for", "1h", "--reason", "x")
        return " ".join(f"{done.out} {done.err}".split())

    assert "No alert so far is of the rule 'Ocelog.Wiz.Actors.DeniedWave'." in said("Ocelog.Wiz.Actors.DeniedWave")
    assert "did you mean 'Ocelog.Wiz.Actors.DeniedWave'?" in said("Ocelog.Wiz.Actors.DeniedWaves")
    assert "of a rule 'Zzz', and there is no such rule." in said("Zzz")


def test_an_alert_is_sent_again_to_those_who_were_told_or_to_another(ocelog: Ocelog, ledger: Ledger) -> None:
    mail, chat = channel(ledger, "mail"), channel(ledger, "chat")
    opened(ledger, alerts()[0], told=[mail])
    opened(ledger, alerts()[1])
    assert ocelog("alerts", "resend", ONE, "--json").json[0]["changed"]
    assert told(ledger, ONE)[1:] == [(mail, "resent", "")]
    sent = ocelog("alerts", "resend", ONE, "--channel", "chat").out
    assert re.search(r"yes +open +\S+ +chat ", sent), sent
    assert "The next pull sends it, or the service within seconds." in sent
    assert told(ledger, ONE)[2:] == [(chat, "resent", "")]
    assert "did you mean 'mail'?" in ocelog("alerts", "resend", ONE, "--channel", "mial", code=2).err
    # Nobody was told of it: the channels that take it now.
    ocelog("alerts", "resend", TWO)
    assert sorted(told(ledger, TWO)) == [(chat, "resent", ""), (mail, "resent", "")]
    timeline = ocelog("alerts", "show", TWO, "--json").json[0]["timeline"]
    assert (timeline[-1]["what"], timeline[-1]["who"]) == ("resent", "ann")


def test_without_a_channel_nothing_is_sent_again(ocelog: Ocelog, ledger: Ledger) -> None:
    opened(ledger, *alerts())
    assert "--channel NAME" in ocelog("alerts", "resend", ONE, code=2).err
    assert "There is none yet." in ocelog("alerts", "resend", ONE, "--channel", "mail", code=2).err


def test_what_is_kept_quiet_is_listed_until_it_is_over(ocelog: Ocelog, ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    opened(ledger, *alerts())
    made = ocelog(
        *("alerts", "suppress", "Wiz.Issue.Pubic", "--for", "7d", "--reason", "known", "--owner", "bob"),
        *("--where", "severity=LOW", "--where", "severity=INFO", "--json"),
    )
    assert "did you mean 'Wiz.Issue.Public'?" in made.err
    assert made.json["where"] == {"severity": ["LOW", "INFO"]}
    start = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    past = ocelog("alerts", "mute", "--from", "2h", "--for", "1h", "--reason", "x", code=2).err
    assert "--from 2h is past: leave it out to begin now, or write +2h for that time from now." in " ".join(
        past.split()
    )
    muted = ocelog("alerts", "mute", "--source", "acme", "--from", start, "--for", "4h", "--reason", "they move").out
    assert "Every alert, source=acme: nobody is told from" in muted
    shown = ocelog("alerts", "suppressions").out
    assert "ends in 6d 23h" in shown
    assert "begins in 1d 23h" in shown
    assert "ended" in ocelog("alerts", "unsuppress", made.json["id"][:6]).out
    assert "over already" in ocelog("alerts", "unsuppress", made.json["id"]).out
    (left,) = ocelog("alerts", "suppressions", "--json").json
    assert (left["rule"], left["owner"], left["reason"]) == (None, "ann", "they move")
    assert len(ocelog("alerts", "suppressions", "--all", "--json").json) == 2


@pytest.mark.slow
def test_sql_sees_alerts_and_their_timelines(ocelog: Ocelog, ledger: Ledger) -> None:
    opened(ledger, *alerts(), *(alert_of(n, to_be_told=False) for n in range(10, 1100)))
    ocelog("alerts", "close", ONE, "--reason", "benign")
    (row,) = ocelog("query", "SELECT * FROM alerts WHERE status = 'CLOSED'", "-o", "json").json
    assert (row["status"], row["close_reason"], row["title"]) == ("CLOSED", "benign", HOSTILE)
    assert row["acknowledged"] == row["ended"] > row["opened"]
    (row,) = ocelog("query", "SELECT context->>'actor' AS actor FROM alerts WHERE status = 'CLOSED'", "-o", "json").json
    assert row["actor"] == HOSTILE
    by_hour = "SELECT count(*) AS n, count(DISTINCT alert_id) AS ids FROM alerts JOIN alert_events USING (alert_id)"
    assert ocelog("query", by_hour, "-o", "json").json == [{"n": 1093, "ids": 1092}]
    last = "SELECT who, what, detail FROM alert_events ORDER BY number DESC LIMIT 1"
    assert ocelog("query", last, "-o", "json").json == [{"who": "ann", "what": "closed", "detail": "benign"}]


def test_status_says_which_alerts_are_open_and_what_was_not_judged(ocelog: Ocelog, ledger: Ledger) -> None:
    opened(ledger, *alerts(), alert_of(3, to_be_told=False))
    with ledger._database.write() as tx:
        for rule, rows in (("Wiz.Slow", 7), ("Wiz.Slow", 5), ("", 1)):
            passed = {"table_name": "wiz_issues", "rule_id": rule, "source_id": "acme", "first_row_id": "1"}
            span = {"first_us": NOW_US, "last_us": NOW_US + rows, "rows": rows, "reason": f"why {rows}"}
            tx.execute(insert(tables.unjudged).values(noted_us=NOW_US, **passed, **span))
    shown = ocelog("status").out
    assert re.search(r"Open alerts: 1 CRITICAL, 1 HIGH, the oldest since 20\S+Z\. See: ocelog alerts list", shown)
    assert (
        "12 rows (2026-05-04T12:00:00Z to 2026-05-04T12:00:00Z) were not judged by the rule Wiz.Slow: why 5." in shown
    )
    assert "ocelog rules unjudged Wiz.Slow --dismiss" in shown, "there is no such rule to replay"
    assert "were not judged by any rule: why 1." in shown
    found = ocelog("status", "--json").json
    assert found["open_alerts"] == {"CRITICAL": 1, "HIGH": 1, "MEDIUM": 0, "LOW": 0, "INFO": 0}
    assert found["open_alerts_untold"] == 1
    assert [(each["rule"], each["rows"]) for each in found["not_judged"]] == [(None, 1), ("Wiz.Slow", 12)]


def test_status_names_a_few_of_the_rules_that_did_not_judge_and_who_lists_all(
    ocelog: Ocelog, ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.yml").write_text("AnalysisType: rule\nRuleID: Wiz.Broken\nEnable: true\n")
    ocelog("rules", "add", str(folder))
    with ledger._database.write() as tx:
        for rule in ("Wiz.Broken", *(f"Wiz.Gone{n}" for n in range(6))):
            passed = {"table_name": "wiz_issues", "rule_id": rule, "source_id": "acme", "first_row_id": "1"}
            span = {"first_us": NOW_US, "last_us": NOW_US, "rows": 3, "reason": "did you mean 'Enabled'?"}
            tx.execute(insert(tables.unjudged).values(noted_us=NOW_US, **passed, **span))
    shown = " ".join(ocelog("status").out.split())
    assert shown.count("were not judged by") == 5
    assert "More rows were not judged, by 2 rules. Which, and what to do: ocelog rules unjudged" in shown
    replay = "ocelog rules replay Wiz.Broken --since 2026-05-04T12:00:00Z"
    todo = f"Correct its file first. To have them judged: {replay}"
    assert f"did you mean 'Enabled'? {todo}" in shown
    (row,) = ocelog("rules", "unjudged", "Wiz.Broken", "--json").json
    assert row["to_do"] == todo, "the rule is there: nobody should forget what it missed"


def test_alerts_go_a_year_after_their_end_if_the_clock_can_be_trusted(ocelog: Ocelog, ledger: Ledger) -> None:
    ago = {days: to_us(datetime.now(UTC) - timedelta(days=days)) for days in (366, 364)}
    over = {"status": AlertStatus.RESOLVED}
    opened(
        ledger, *(alert_of(n, ended_us=us, **over) for n, us in enumerate(ago.values(), 1)), alert_of(3, opened_us=1)
    )
    listed = ("alerts", "list", "--all", "--json")
    ocelog("upkeep")
    assert len(ocelog(*listed).json) == 3, "no source says that the clock is right"
    ocelog("upkeep", "--trust-clock", "--dry-run")
    assert len(ocelog(*listed).json) == 3
    ocelog("upkeep", "--trust-clock")
    assert [each["id"] for each in ocelog(*listed).json] == [alert_of(2).id, alert_of(3).id]
    ocelog.environment["OCELOG_ALERT_RETENTION"] = "30d"
    ocelog("upkeep", "--trust-clock")
    assert [each["id"] for each in ocelog(*listed).json] == [alert_of(3).id]


def test_status_says_who_muted_what_until_when_and_every_system_error(ocelog: Ocelog, ledger: Ledger) -> None:
    kinds = ("ALERT_DELIVERY", "DETECTION_ALERT_LIMIT_EXCEEDED")
    opened(
        ledger,
        *(alert_of(at, type=AlertType.SYSTEM_ERROR, rule_id=kind, title=kind) for at, kind in enumerate(kinds)),
        alert_of(7, type=AlertType.DETECTION_ERROR, rule_id="A.B"),
    )
    assert "Muted" not in ocelog("status").out
    assert "muted_by" not in ocelog("rules", "show", "Ocelog.Wiz.Actors.DeniedWave").out
    ahead = ocelog("alerts", "mute", "--from", "+2h", "--until", "+3h", "--reason", "later", "--json").json
    begins, ends = (datetime.fromisoformat(ahead[each]) for each in ("from", "until"))
    assert ends - begins == timedelta(hours=1)
    assert timedelta(minutes=110) < begins - datetime.now(UTC) <= timedelta(hours=2)
    ocelog("alerts", "unsuppress", ahead["id"])
    window = ocelog("alerts", "mute", "--for", "4h", "--reason", "we move", "--owner", "bob", "--json").json
    ocelog("alerts", "suppress", "A.B", "--for", "7d", "--reason", "known")
    later = ocelog("alerts", "mute", "--from", "2099-01-01T00:00:00Z", "--for", "1h", "--reason", "later", code=2)
    assert "begins within" in later.err
    shown = ocelog("status").out
    assert f"Muted: nobody is told of any alert until {window['until'][:19]}" in shown
    assert "by bob: we move" in shown
    assert f"ocelog alerts unsuppress {window['id']}" in shown
    assert "alerts of A.B (1 suppression)" in shown
    found = ocelog("status", "--json").json
    assert [each["type"] for each in found["system_errors"]] == list(kinds)
    rule = "Ocelog.Wiz.Actors.DeniedWave"
    assert f"maintenance {window['id']} of bob until" in ocelog("rules", "show", rule).out
    assert [each["rule"] for each in found["suppressions"]] == [None, "A.B"]
    assert found["failing_rules"] == ["A.B"]
    ocelog("alerts", "unsuppress", window["id"])
    assert "Muted" not in ocelog("status").out


def test_alerts_are_readable_at_80_columns(ocelog: Ocelog, ledger: Ledger) -> None:
    url = f"https://app.wiz.io/issues#~(issue~'{'a' * 90})"
    title = "A publicly readable bucket of the project Payments holds credentials of the production database"
    runbook = f"1. Open the bucket.\n2. See who read it{' or wrote to it' * 5}, and tell its owner.\n\nEnd."
    opened(ledger, alert_of(1, id=ONE, title=title, runbook=runbook, context={"link": url, "who": "b " * 60}))
    listed = bare_lines(on_a_terminal(ocelog, "alerts", "list"))
    assert max(map(len, listed)) <= 80
    assert re.match(rf"{ONE[:10]}  \S+ +open +\S.* +1  acme$", listed[1])
    assert " ".join(line.strip() for line in listed[2:4]) == title
    assert not "".join(listed[4:])
    shown = bare_lines(on_a_terminal(ocelog, "alerts", "show", ONE))
    at = shown.index("Runbook")
    assert shown[at + 1] == "  1. Open the bucket."
    assert shown[at + 2].startswith("  2. See who read it")
    assert re.match(r"     \w", shown[at + 3]), "what goes on stands below its words"
    assert "  End." in shown
    context = shown[shown.index("Context") + 1 : shown.index("Timeline")]
    assert json.loads("\n".join(context)) == {"link": url, "who": "b " * 60}


def test_many_are_closed_at_once_and_quietly(ocelog: Ocelog, ledger: Ledger) -> None:
    to = channel(ledger, "mail")
    ledger.sources.add(source_row("acme"))
    opened(
        ledger,
        *(alert_of(at, severity=Severity.LOW) for at in range(1, 6)),
        alert_of(7, rule_id="A.B"),
        alert_of(8, to_be_told=False),
        told=[to],
    )
    assert "Which alerts?" in ocelog("alerts", "close", "--reason", "benign", code=2).err
    assert "not both" in ocelog("alerts", "triage", ONE, "--rule", "x", code=2).err
    storm = ("--rule", "Wiz.*", "--severity", "low", "--since", "2000-01-01")
    assert (
        "5 alerts (5 LOW) selected. Nothing was changed."
        in ocelog("alerts", "close", "--reason", "benign", *storm, "--dry-run").out
    )
    assert "Add --yes." in ocelog("alerts", "close", "--reason", "benign", *storm, code=2).err
    assert len(ocelog("alerts", "list", "--json").json) == 6
    assert "Changed 5 alerts." in ocelog("alerts", "triage", *storm, "--yes").out
    assert told(ledger, alert_of(1).id)[-1][1] == "acknowledged"
    done = ocelog("alerts", "close", "--reason", "benign", *storm, "--yes", "--quiet", "--json").json
    assert done == {"selected": 5, "changed": 5}
    assert told(ledger, alert_of(1).id) == [], "what waits is not told any more"
    timeline = ocelog("alerts", "show", alert_of(1).id, "--json").json[0]["timeline"]
    assert (timeline[-1]["what"], timeline[-1]["detail"]) == ("closed", "benign; nobody was told")
    assert [each["rule_id"] for each in ocelog("alerts", "list", "--json").json] == ["A.B"]
    assert ocelog("alerts", "reopen", *storm, "--yes", "--quiet", "--json").json == {"selected": 5, "changed": 5}
    assert told(ledger, alert_of(1).id) == []
    assigned = ocelog("alerts", "assign", "--source", "acme", "--untold", "--to", "bob", "--yes", "--json").json
    assert assigned == {"selected": 7, "changed": 7}


@pytest.mark.slow
def test_an_alert_that_did_not_arrive_says_why(ocelog: Ocelog, ledger: Ledger) -> None:
    def why(alert: Alert) -> str:
        (told,) = re.findall(r"^Told: (.*)$", ocelog("alerts", "show", alert.id).out, re.MULTILINE)
        assert ocelog("alerts", "show", alert.id, "--json").json[0]["untold"] == told.removesuffix(".")
        return str(told)

    known, few, muted, told_, taken = (alert_of(at, to_be_told=at > 3) for at in range(1, 6))
    known, few = replace(known, known=True), replace(few, matches=3, rule_id="Ocelog.Wiz.Actors.DeniedWave")
    opened(ledger, known, few, muted, told_)
    assert "was there already" in why(known)
    assert re.search(r"below the threshold of its rule, 3 of \d+ matches so far", why(few))
    with ledger._database.write() as tx:
        entry = TimelineEntry(
            alert_id=muted.id, at_us=1, who="ocelog", what="suppressed", detail="suppression 1 of bob until 2026: x"
        )
        rows.add_to_timeline(tx, [entry])
    assert why(muted) == "no: suppression 1 of bob until 2026: x."
    assert "there is no channel" in why(told_)
    ocelog("channel", "add", "file", "log", "--set", f"path={ocelog.home.parent / 'log'}", "--severity", "low")
    assert "no channel takes it. See what each takes: ocelog channel list" in why(told_)
    opened(ledger, taken, told=["log"])
    assert "log: it is sent by the service" in why(taken)
    ocelog("channel", "pause", "log")
    assert "not yet: log: it is paused. To go on: ocelog channel resume log" in why(taken)
    ocelog("channel", "resume", "log")
    hours = "-".join(f"{datetime.now(UTC) + timedelta(hours=by):%H:%M}" for by in (-1, 1))
    ocelog("channel", "edit", "log", "--quiet-hours", f"{hours} UTC")
    assert "log: it has quiet hours until" in why(taken)
    # Another channel was told: this one is explained all the same.
    with ledger._database.write() as tx:
        told_by = {"outbox_id": 99, "alert_id": taken.id, "channel_id": "mail", "happened": "opened", "at_us": 1}
        tx.execute(
            insert(tables.deliveries).values(told_by | {"delivered": True, "final": True, "merged": 1, "answer": "ok"})
        )
    shown = ocelog("alerts", "show", taken.id).out
    assert "Told: " not in shown
    assert "log: it has quiet hours until" in shown.partition("Still to be told")[2]
    (held_up,) = ocelog("alerts", "show", taken.id, "--json").json[0]["held_up"]
    assert held_up.startswith("log: it has quiet hours until")
    listed = ocelog("alerts", "list", "--all").out.splitlines()
    assert "told" in listed[0].split()
    marks = {line[-7:]: re.split(r" +", line)[-3] for line in listed[1:]}
    assert marks == {f"Alert {at}": "yes" if at > 3 else "no" for at in range(1, 6)}
