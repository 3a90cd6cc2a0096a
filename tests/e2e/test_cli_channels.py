"""A channel's whole life at the command line, and what it is sent, by processes that are killed."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bookkeeping.alerts import alert_of
from bookkeeping.alerts import opened as put
from commands import Ocelog, simulator
from commands.kept import Kept
from commands.terminal import conversation, on_a_terminal
from ocelog.alert.alert import Alert, Telling
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import keeps_incidents
from ocelog.channels.registry import CHANNELS
from ocelog.installation.opening import opened
from ocelog.ledger.rows import alerts
from ocelog.model import Severity
from ocelog.times import from_us
from ocelog.units import write_instant
from receiving import FarEnd, far_end


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    made = Ocelog(tmp_path_factory.mktemp("channels") / "home")
    made.init()
    return Kept(made)


@pytest.fixture
def ocelog(once: Kept) -> Ocelog:
    """Put back a home without sources."""
    return once.again()


@pytest.fixture
def far() -> Iterator[FarEnd]:
    with far_end() as found:
        yield found


def tell(ocelog: Ocelog, name: str, happened: Happened, channel: str, **changes: object) -> None:
    """Put into the outbox of a home what happened to an alert, as whoever judges does."""
    now_us = time.time_ns() // 1000
    with opened(ocelog.home) as installation, installation.ledger._database.write() as tx:
        before = alerts.of_ids(tx, [name]).get(name) or Alert(
            id=name,
            severity=Severity.HIGH,
            title=f"about {name}",
            rule_id="r",
            to_be_told=True,
            opened_us=now_us,
            updated_us=now_us,
        )
        assert alerts.save(tx, replace(before, updated_us=now_us, **changes))
        alerts.add_tellings(tx, [Telling(alert_id=name, channel_id=channel, happened=happened, due_us=now_us)], now_us)


def add_webhook(ocelog: Ocelog, far: FarEnd, name: str = "ops", *options: str) -> str:
    """Add a channel to the far end, and return the secret part of its address."""
    path = "/hooks/4f8a1c99e0d2"
    ocelog(
        *("channel", "add", "webhook", name, "--set", "allow_private=yes", "--secret-file", "url=-", *options),
        stdin=f"{far.url}{path}\n",
    )
    return path


def test_a_channel_is_removed_at_a_terminal_only_after_a_yes(ocelog: Ocelog, far: FarEnd) -> None:
    add_webhook(ocelog, far, "ops")
    question = "Remove the channel 'ops', with its settings and secrets? [y/N]:"
    for answer in ("", "no"):
        with conversation(ocelog, "channel", "remove", "ops", columns=120) as person:
            person.until(question)
            person.type(answer)
            assert person.ended() == 2
            assert "Nothing was removed: the answer was no." in person.shown
    with conversation(ocelog, "channel", "remove", "ops", columns=120) as person:
        person.until(question)
        assert person.interrupt() == 2
        assert "Nothing was removed: you stopped at the question." in person.shown
    assert [each["name"] for each in ocelog("channel", "list", "--json").json] == ["ops"]
    with conversation(ocelog, "channel", "remove", "ops", columns=120) as person:
        person.until(question)
        person.type("y")
        assert person.ended() == 0
        assert "Removed 'ops'." in person.shown
    assert ocelog("channel", "list", "--json").json == []
    # Whoever says so beforehand is not asked.
    add_webhook(ocelog, far, "ops")
    with conversation(ocelog, "channel", "remove", "ops", "--yes") as person:
        assert person.ended() == 0
        assert "[y/N]" not in person.shown


def test_who_removes_a_channel_hears_whether_others_get_what_waited(ocelog: Ocelog, tmp_path: Path) -> None:
    for name in ("one", "two"):
        ocelog("channel", "add", "file", name, "--set", f"path={tmp_path / name}")
    tell(ocelog, "a", Happened.OPENED, "one")
    assert "1 message waited: each goes to the channels that take it now." in ocelog("channel", "remove", "one").out
    assert "1 message waited: there is no other channel, so nobody gets it." in ocelog("channel", "remove", "two").out


def test_a_secret_among_the_settings_is_refused_before_anything_is_asked(ocelog: Ocelog) -> None:
    typed = ["channel", "add", "webhook", "ops", "--set", "url=https://example.com/hush"]
    with conversation(ocelog, *typed, columns=200) as person:
        assert person.ended() == 2
        assert "Give it with --secret-file url=FILE" in " ".join(person.shown.split())


def test_a_secret_that_does_not_hold_is_asked_again(ocelog: Ocelog) -> None:
    with conversation(ocelog, "channel", "add", "apprise", "people") as person:
        person.until("url of the apprise channel: ")
        person.type("slak://s3cr3t/s3cr3t/s3cr3t")
        assert "did you mean 'slack'?" in " ".join(person.until("url of the apprise channel: ").split())
        person.type("ntfy://topic-s3cr3t")
        person.until("Added 'people'")
        assert person.ended() == 0
        assert "s3cr3t" not in person.shown


def test_a_secret_that_does_not_hold_is_asked_again_when_it_is_changed(ocelog: Ocelog) -> None:
    ocelog("channel", "add", "apprise", "people", "--secret-file", "url=-", stdin="ntfy://topic-s3cr3t")
    with conversation(ocelog, "channel", "edit", "people") as person:
        person.until("url of the apprise channel: ")
        person.type("slak://s3cr3t/s3cr3t/s3cr3t")
        assert "did you mean 'slack'?" in " ".join(person.until("url of the apprise channel: ").split())
        person.type("ntfy://other-s3cr3t")
        person.until("Changed 'people'")
        assert person.ended() == 0
        assert "s3cr3t" not in person.shown


def test_under_a_new_key_each_command_that_is_named_enters_all_that_is_lost(
    ocelog: Ocelog, far: FarEnd, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("k" * 32)
    path = add_webhook(ocelog, far, "ops", "--secret-file", f"signing_key={tmp_path / 'key'}")
    ocelog("channel", "add", "file", "log", "--set", f"path={tmp_path / 'log.jsonl'}")
    (tmp_path / "url").write_text("ntfy://topic")
    ocelog("channel", "add", "apprise", "people", "--secret-ref", f"url=file:{tmp_path / 'url'}")
    (ocelog.home / "key").unlink()
    assert ocelog("init").err == "It is a new key: enter each secret again. Run:\n    ocelog channel edit ops\n"
    with conversation(ocelog, "channel", "edit", "ops") as person:
        person.until("url of the webhook channel: ")
        person.type(f"{far.url}{path}")
        person.until("signing_key of the webhook channel: ")
        person.type("another key of 32 characters ....")
        person.until("Changed 'ops'")
        assert person.ended() == 0
    assert "took it: 200 ok" in ocelog("channel", "test", "ops").out
    (ocelog.home / "key").write_bytes(b"damaged")
    ocelog("channel", "remove", "ops", "--yes")
    # Nothing is left that a key opens.
    said = ocelog("init").err
    assert said.startswith("The key in the home was not usable.")
    assert "enter each secret again" not in said


def test_a_setting_that_does_not_hold_is_not_asked_for_as_a_secret(ocelog: Ocelog) -> None:
    with conversation(ocelog, "channel", "add", "webhook", "ops", "--set", "allow_private=maybe") as person:
        person.until("url of the webhook channel: ")
        person.type("https://hooks.example.com/T0")
        assert person.ended() == 2
        assert "maybe" in person.shown


def test_a_channel_is_added_tested_changed_and_removed_and_its_secrets_are_never_shown(
    ocelog: Ocelog, far: FarEnd
) -> None:
    path = add_webhook(ocelog, far, "on call", "--severity", "high+", "--type", "alert", "--per-hour", "20")
    tested = ocelog("channel", "test", "on call")
    assert "took it: 200 ok" in tested.out
    (posted,) = far.posted
    assert posted.path == path
    assert "TEST" in str(posted.body).upper()
    changed = ocelog(
        *("channel", "edit", "on call", "--severity", "any", "--quiet-hours", "22:00-07:00 Europe/Berlin"),
        *("--log-type", "issues", "--rule", "Wiz.*", "--escalate-after", "30m", "--name", "night"),
    )
    (listed,) = ocelog("channel", "list", "--json").json
    assert (listed["name"], listed["severities"], listed["types"]) == ("night", [], ["ALERT"])
    assert (listed["log_types"], listed["rules"], listed["per_hour"]) == (["Wiz.Issues"], ["Wiz.*"], 20)
    assert (listed["quiet_hours"], listed["escalate_after"]) == ("22:00-07:00 Europe/Berlin", "30m")
    assert listed["secrets"] == {"url": "copied in, encrypted"}
    far.status = 401
    refused = ocelog("channel", "test", "night", code=2)
    assert refused.err.startswith("ocelog: 'night': 127.0.0.1 answered 401")
    assert refused.err.endswith(" To see its settings: ocelog channel show night\n")
    far.status = 503
    assert ocelog("channel", "test", "night", "--json", code=3).json["error_code"] == "channel_unavailable"
    with opened(ocelog.home) as installation:
        noted = installation.ledger.users.trail(limit=3)
        known = channels.tries(installation, channels.statuses(installation))
    assert [(each.what, each.target, each.details["by"]) for each in noted] == [
        ("channel.test_failed", "night", "command"),
        ("channel.test_failed", "night", "command"),
        ("channel.tested", "on call", "command"),
    ]
    assert known.test_failed == known.tried == {listed["id"]}
    everything = "".join(
        each.out + each.err
        for each in (
            tested,
            changed,
            refused,
            ocelog("channel", "list"),
            ocelog("channel", "show", "night"),
            ocelog("channel", "remove", "night"),
        )
    )
    assert path not in everything
    assert path.encode() not in b"".join(each.read_bytes() for each in ocelog.home.glob("ledger.db*"))
    assert ocelog("channel", "list", "--json").json == []


def test_a_secret_may_be_left_where_it_is(ocelog: Ocelog, far: FarEnd, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{far.url}/one\n")
    ocelog("channel", "add", "webhook", "ops", "--set", "allow_private=yes", "--secret-ref", f"url=file:{file}")
    file.write_text(f"{far.url}/two\n")
    ocelog("channel", "test", "ops")
    assert [each.path for each in far.posted] == ["/two"]
    file.unlink()
    assert "cannot be read" in ocelog("channel", "test", "ops", code=2).err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "webhook", "ops"), "needs url"),
        (("add", "webhok", "ops"), "did you mean 'webhook'"),
        (("add", "slack", "on call"), "shows. Run: ocelog channel add apprise 'on call'\n"),
        (("add", "slack", "https://hooks.example.com/T0/s3cr3t"), "Run: ocelog channel add apprise NAME\n"),
        (("add", "webhook", "https://hooks.example.com/T0/s3cr3t"), "may be a secret"),
        (("add", "webhook", "ops", "--set", "url=https://hooks.example.com/T0/s3cr3t"), "is a secret"),
        (("add", "stdout", "ops", "--secret-env", "token=PATH"), "has no secret 'token'"),
        (("add", "stdout", "ops", "--set", "colour=blue"), "no setting 'colour'"),
        (("add", "stdout", "ops", "--severity", "hihg"), "did you mean 'HIGH'?"),
        (("add", "stdout", "ops", "--severity", "hihg+"), "did you mean 'HIGH+'?"),
        (("add", "stdout", "ops", "--type", "allert"), "did you mean 'alert'? There are alert, detection_error and"),
        (("add", "stdout", "ops", "--log-type", "isues"), "did you mean 'issues'"),
        (("add", "stdout", "ops", "--quiet-hours", "at night"), "invalid quiet hours"),
        (("add", "stdout", "ops", "--per-hour", "0"), "from 1 to 10000"),
        (("add", "stdout", "ops", "--escalate-after", "1s"), "is not between"),
        (("add", "stdout", "ops", "--set", "colour"), "takes a name and a value"),
        (("edit", "ops", "--severity", "high"), "There is no channel 'ops'"),
        (("test", "ops"), "There is no channel 'ops'"),
    ],
)
def test_what_does_not_hold_is_refused_and_nothing_is_kept(
    ocelog: Ocelog, arguments: tuple[str, ...], says: str
) -> None:
    done = ocelog("channel", *arguments, code=2)
    assert says in done.err
    assert "s3cr3t" not in done.err
    assert ocelog("channel", "list", "--json").json == []


@pytest.mark.slow
def test_a_pull_delivers_and_what_was_given_up_is_sent_again_by_hand(ocelog: Ocelog, far: FarEnd) -> None:
    add_webhook(ocelog, far)
    far.status = 404
    tell(ocelog, "a", Happened.OPENED, "ops")
    with simulator("--audit", "1", "--issues", "0", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--log-type", "audit")
        ocelog("pull")
    (listed,) = ocelog("channel", "list", "--json").json
    assert (listed["state"], listed["given_up"], listed["trouble_code"]) == ("failing", 1, "channel_refused")
    assert "ocelog channel resend ops" in ocelog("channel", "list").err
    status = ocelog("status", code=1)
    assert "Alerts do not reach the channel ops, since" in status.err + status.out
    assert "ocelog channel test ops" in status.err + status.out
    # The channel works again, and what was given up is not forgotten. No tenant answers; people are told all the same.
    far.status = 200
    tell(ocelog, "b", Happened.OPENED, "ops")
    ocelog("pull", code=None)
    assert len(far.posted) == 2
    said = " ".join(ocelog("status", code=1).out.split())
    assert "Alerts do not reach" not in said
    assert "1 alert did not reach the channel ops: its message was given up." in said
    assert "If so, send them again: ocelog channel resend ops" in said
    ocelog("channel", "resend", "ops")
    ocelog("channel", "pause", "ops")
    ocelog("pull", code=None)
    assert "given up" not in ocelog("status", code=None).out
    assert len(far.posted) == 2
    ocelog("channel", "resume", "ops")
    ocelog("pull", code=None)
    assert len(far.posted) == 3
    assert len({each.key for each in far.posted}) == 3
    (listed,) = ocelog("channel", "list", "--json").json
    assert (listed["state"], listed["given_up"], listed["waiting"]) == ("active", 0, 0)


def test_how_many_messages_wait_and_since_when_is_told_of_a_slow_channel(ocelog: Ocelog, far: FarEnd) -> None:
    add_webhook(ocelog, far)
    with opened(ocelog.home) as installation:
        several = [alert_of(number) for number in range(1, 30)]
        put(installation.ledger, *several, told=["ops"])
        since = write_instant(from_us(several[-1].opened_us))
    (listed,) = ocelog("channel", "list", "--json").json
    assert (listed["state"], listed["waiting"]) == ("behind", 29)
    assert f"ops: 29 messages wait, the oldest since {listed['waiting_since']}." in " ".join(
        ocelog("channel", "list").err.split()
    )
    said = " ".join(ocelog("status", code=None).out.split())
    assert f"29 messages wait for the channel ops, the oldest since {listed['waiting_since']}: they come faster" in said
    (told,) = ocelog("status", "--json", code=None).json["channels"]
    assert (told["waiting"], told["is_behind"], told["waiting_since"]) == (29, True, listed["waiting_since"])
    assert listed["waiting_since"] < since


def test_only_kinds_that_open_and_end_something_for_each_alert_are_never_sent_a_digest_unasked() -> None:
    rows = [ChannelRow(id=name, name=name, kind=name, added_us=1) for name in CHANNELS]
    assert {row.kind for row in rows if keeps_incidents(row)} == {"opsgenie", "pagerduty"}


def test_a_message_under_way_when_the_process_is_killed_is_sent_again_under_its_key(
    ocelog: Ocelog, far: FarEnd
) -> None:
    add_webhook(ocelog, far)
    far.answers = False
    tell(ocelog, "a", Happened.OPENED, "ops")
    running = ocelog.start("run")
    far.wait_for(1)
    tell(ocelog, "a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    far.answers = True
    running = ocelog.start("run")
    try:
        first, again, last = far.wait_for(3)
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate()
    assert first.key == again.key != last.key
    assert "resolved" in str(last.body).lower()
    assert len(far.posted) == 3


@pytest.mark.slow
def test_a_channel_that_hangs_holds_up_no_other(ocelog: Ocelog, far: FarEnd) -> None:
    with far_end() as healthy:
        add_webhook(ocelog, far, "hangs")
        add_webhook(ocelog, healthy, "works")
        far.answers = False
        for number in range(3):
            tell(ocelog, f"a{number}", Happened.OPENED, "hangs")
            tell(ocelog, f"a{number}", Happened.OPENED, "works")
        running = ocelog.start("run")
        try:
            far.wait_for(1)
            healthy.wait_for(3)
            assert len(far.posted) == 1
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate()


def test_a_service_that_apprise_reaches_is_named_with_the_command(ocelog: Ocelog) -> None:
    for typed, scheme in (("slack", "slack"), ("Teams", "workflows"), ("email", "mailtos")):
        said = ocelog("channel", "add", typed, "people", code=2).err
        assert "Run: ocelog channel add apprise people" in said
        assert f"{scheme}://" in said


def test_a_change_undoes_no_other_that_came_meanwhile(ocelog: Ocelog, tmp_path: Path) -> None:
    ocelog("channel", "add", "file", "ops", "--set", f"path={tmp_path / 'told'}")
    with opened(ocelog.home) as installation:
        seen = channels.find(installation, "ops")
        channels.edit(installation, seen, channels.ChannelChange(name="desk"))
        channels.pause(installation, seen, paused=True)
        after = channels.edit(installation, seen, channels.ChannelChange(settings={"path": str(tmp_path / "more")}))
        assert after == channels.find(installation, "ops")
        assert (after.name, after.paused, after.settings["path"]) == ("desk", True, str(tmp_path / "more"))


def test_a_rule_that_is_not_there_is_told_and_the_list_says_what_a_channel_hears(
    ocelog: Ocelog, tmp_path: Path
) -> None:
    added = ocelog("channel", "add", "file", "ops", "--set", f"path={tmp_path}/x", "--rule", "Ocelog.Wiz.Identty.*")
    assert "No rule here is called 'Ocelog.Wiz.Identty.*'; did you mean 'Ocelog.Wiz.Identity.*'?" in added.err
    assert ocelog("channel", "edit", "ops", "--rule", "ocelog.wiz.identity.*", "--log-type", "audit").err == ""
    listed = ocelog("channel", "list").out
    assert "Wiz.Audit," in listed
    assert "ocelog.wiz.identity.*" in listed
    assert "Wiz.Audit, 1 rule" in " ".join(on_a_terminal(ocelog, "channel", "list").split())
    changed = ocelog("channel", "edit", "ops", "--rule", "Ocelog.Wiz.Issues.NewCriticl")
    assert "did you mean 'Ocelog.Wiz.Issues.NewCritical'?" in changed.err
    ocelog("channel", "edit", "ops", "--rule", "any", "--log-type", "any")
    assert re.search(r"active +- +all ", ocelog("channel", "list").out)
