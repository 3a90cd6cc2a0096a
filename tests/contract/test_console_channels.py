"""Destinations in the browser: what they say of themselves, and that nobody reaches into the machine through them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.alerts import alert_of, opened
from bookkeeping.crashes import crash_everywhere
from ocelog.access import Role
from ocelog.alert.delivery.delivering import DeliveryDelay, DeliverySuccess, Outcome, OutgoingMessage
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.channels.ports import Receipt
from ocelog.errors import ChannelRefusedError, ConfigError
from ocelog.secrets.secret import Secret
from visiting import SAME_SITE, Console


@pytest.mark.parametrize("setting", ["ca_file", "allow_private"])
def test_no_setting_that_reaches_into_the_machine_is_offered_or_taken(console: Console, setting: str) -> None:
    admin = console.as_(Role.ADMIN)
    assert f"set.{setting}" not in admin.get("/channels/new?kind=webhook").text
    form = {"csrf": admin.token, "kind": "webhook", "name": "ops", "set.url": "https://hooks.example.com/x"}
    form[f"set.{setting}"] = "/etc/passwd"
    answer = admin.client.post("/channels/new", data=form, headers=SAME_SITE)
    assert answer.status_code == 303
    (row,) = console.installation.ledger.channels.listed()
    assert setting not in row.settings


@pytest.mark.parametrize("kind", ["file", "stdout"])
def test_no_kind_that_writes_on_the_machine_is_added(console: Console, kind: str, tmp_path: Path) -> None:
    admin = console.as_(Role.ADMIN)
    form = {"csrf": admin.token, "kind": kind, "name": "out", "set.path": str(tmp_path / "out")}
    admin.client.post("/channels/new", data=form, headers=SAME_SITE)
    assert console.installation.ledger.channels.listed() == []


def test_a_secret_is_not_written_into_the_form_that_is_shown_again(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    form = {"csrf": admin.token, "kind": "webhook", "name": "ops", "set.url": "https://hooks.example.com/kept-away"}
    form["set.headers"] = "Authorization: Bearer kept-back\nBad Name: x"
    answer = admin.client.post("/channels/new", data=form, headers=SAME_SITE)
    assert answer.status_code == 422
    assert 'value="ops"' in answer.text
    assert "kept-back" not in answer.text


def test_nothing_works_before_it_was_tried(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = console.as_(Role.ADMIN)
    form: dict[str, Any] = {"kind": "webhook", "name": "ops", "set.url": "https://hooks.example.com/x"}
    told = admin.get(admin.post("/channels/new", **form).headers["location"]).text
    assert "ops is added. Send it a test" in told
    assert "not tried yet" in told
    assert "works</span>" not in told
    monkeypatch.setattr(
        "ocelog.app.alerts.channels.open_channel", lambda *_: SimpleNamespace(send=lambda _: Receipt(status="200"))
    )
    (row,) = console.installation.ledger.channels.listed()
    assert "works</span>" in admin.post(f"/channels/{row.id}/test").text
    later = admin.get("/channels").text
    assert ("works</span>" in later, "not tried yet" in later) == (True, False)


def refuse(_: Any) -> Receipt:
    raise ChannelRefusedError("It answered 401.")


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [(DeliverySuccess(answer="200"), "works"), (DeliveryDelay(answer="503", code="channel_unavailable"), "failing")],
)
def test_what_was_sent_by_the_service_shows_how_a_destination_is(
    console: Console, outcome: Outcome, shown: str
) -> None:
    add(console)
    admin, ledger = console.as_(Role.ADMIN), console.installation.ledger
    assert "not tried yet</span>" in admin.get("/channels").text
    opened(ledger, alert_of(1), told=["ops"])
    claim = ledger.delivery.take("ops", "here")
    assert claim is not None
    handed = ledger.delivery.hand(claim)
    assert isinstance(handed, OutgoingMessage)
    ledger.delivery.settle(claim, handed, outcome)
    told = admin.get("/channels").text
    assert f"{shown}</span>" in told
    assert "Nobody knows yet whether it works" not in told


def test_a_test_that_fails_is_shown_until_one_is_taken(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    add(console)
    admin = console.as_(Role.ADMIN)
    for send, shown in ((refuse, "test failed"), (lambda _: Receipt(status="200"), "works")):
        monkeypatch.setattr("ocelog.app.alerts.channels.open_channel", lambda *_, send=send: SimpleNamespace(send=send))
        assert f"{shown}</span>" in admin.post("/channels/ops/test").text
        told = admin.get("/channels").text
        assert f"{shown}</span>" in told
        assert "Nobody knows yet whether it works" not in told


def test_a_destination_is_removed_only_by_its_name(console: Console) -> None:
    add(console)
    admin, ledger = console.as_(Role.ADMIN), console.installation.ledger
    opened(ledger, alert_of(1), told=["ops"])
    (row,) = ledger.channels.listed()
    assert "1 message waits for it" in admin.get("/channels").text
    assert admin.post(f"/channels/{row.id}/remove").status_code == 422
    assert admin.post(f"/channels/{row.id}/remove", name="op").status_code == 422
    assert ledger.channels.listed() == [row]
    gone = admin.post(f"/channels/{row.id}/remove", name="ops")
    assert "The destination is removed." in admin.get(gone.headers["location"]).text
    assert ledger.channels.listed() == []


def test_quiet_hours_without_a_zone_are_by_the_clock_of_the_browser(console: Console) -> None:
    add(console)
    admin, ledger = console.as_(Role.ADMIN), console.installation.ledger
    (row,) = ledger.channels.listed()
    path = f"/channels/{row.id}/route"
    done = admin.post(path, quiet_hours="22:00-07:00", zone="Asia/Seoul")
    assert "ops is changed." in admin.get(done.headers["location"]).text
    (row,) = ledger.channels.listed()
    assert str(row.routing.quiet_hours) == "22:00-07:00 Asia/Seoul"
    admin.post(path, quiet_hours="22:00-07:00 Europe/Berlin", zone="Asia/Seoul")
    (row,) = ledger.channels.listed()
    assert str(row.routing.quiet_hours) == "22:00-07:00 Europe/Berlin"
    refused = admin.post(path, quiet_hours="22:00-77:00", zone="Asia/Seoul", least="HIGH")
    assert refused.status_code == 422
    assert 'value="22:00-77:00"' in refused.text
    assert '<option value="HIGH" selected>' in refused.text


def test_it_says_what_was_done_and_nothing_that_an_address_makes_up(console: Console) -> None:
    add(console)
    admin = console.as_(Role.ADMIN)
    (row,) = console.installation.ledger.channels.listed()
    for what, said in (("pause", "ops is paused"), ("resume", "ops is resumed"), ("resend", "0 alerts are being sent")):
        assert said in admin.get(admin.post(f"/channels/{row.id}/{what}").headers["location"]).text
    for query in ("said=paused&of=somebody", "said=nonsense", f"said=nonsense&of={row.id}"):
        assert 'role="status"' not in admin.get(f"/channels?{query}").text
    assert "0 alerts" in admin.get(f"/channels?said=resent&of={row.id}&count={'9' * 5000}").text


def add(console: Console) -> None:
    settings = {"path": str(console.installation.home.path.parent / "ops.json")}
    channels.add(console.installation, "file", "ops", ChannelChange(settings=settings))


def test_who_is_killed_saves_a_channel_with_all_its_secrets_or_none(console: Console) -> None:
    """A service must send to no new address what came with the old one."""

    def change(to: str) -> ChannelChange:
        given = {"url": f"https://{to}.example/", "headers": f"Authorization: {to}"}
        return ChannelChange(secrets={name: GivenSecret(value=Secret(text)) for name, text in given.items()})

    home = console.installation
    crash_everywhere(home.ledger, lambda: channels.add(home, "webhook", "ops", change("old")))
    row = channels.find(home, "ops")
    crash_everywhere(home.ledger, lambda: channels.edit(home, row, change("new")))
    found = home.channel_vault().get_all("ops")
    assert found == {"url": Secret("https://new.example/"), "headers": Secret("Authorization: new")}


def test_a_new_secret_goes_to_no_address_that_it_came_to_replace(console: Console) -> None:
    """Whoever delivers has read the channel before it was changed, and asks for its secrets after that."""
    home = console.installation
    before = channels.add(home, "opsgenie", "ops", opsgenie("old"))
    channels.edit(home, before, opsgenie("new"))
    opened = channels.open_channel(home, before)
    assert (opened.url, opened.api_key) == ("https://new.example", Secret(f"{'0' * 20}-new"))  # type: ignore[attr-defined]


def test_a_secret_is_not_saved_for_an_address_that_another_names_meanwhile(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = console.installation
    before = channels.add(home, "opsgenie", "ops", opsgenie("old"))
    wanted = opsgenie("old")

    def meanwhile(*_: object) -> None:
        monkeypatch.undo()
        channels.edit(home, before, opsgenie("new"))

    monkeypatch.setattr(channels, "_refuse_private", meanwhile)
    with pytest.raises(ConfigError, match="Somebody else changed the channel 'ops'"):
        channels.edit(home, before, ChannelChange(secrets=wanted.secrets))
    assert home.channel_vault().get("ops", "api_key") == Secret(f"{'0' * 20}-new")


def test_a_change_of_a_channel_that_is_made_twice_is_taken(console: Console) -> None:
    home = console.installation
    before = channels.add(home, "opsgenie", "ops", opsgenie("old"))
    for _ in range(2):
        channels.edit(home, before, opsgenie("new"))
    assert channels.find(home, "ops").settings["url"] == "https://new.example"


def opsgenie(name: str) -> ChannelChange:
    secret = GivenSecret(value=Secret(f"{'0' * 20}-{name}"))
    return ChannelChange(settings={"url": f"https://{name}.example"}, secrets={"api_key": secret})
