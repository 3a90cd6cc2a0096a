"""Every kind of channel that sends over HTTP, against a server on this machine that answers by a script."""

import gzip
import hashlib
import hmac
import json
import re
import socket
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import receivers
from documents import DOCS, blocks
from ocelog.alert.notice import Happened
from ocelog.channels.deadline import Deadline
from ocelog.channels.http_post import HttpPost, Reach
from ocelog.channels.ports import Channel, Receipt
from ocelog.channels.webhook import signature
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError, OcelogError
from ocelog.secrets.secret import Secret
from receivers import Answer, Receiver, breaks_off, drips, hangs_up, huge, receiver, says
from receivers.given import channel_of, separate
from receivers.notices import HOSTILE, notice
from receivers.tls import certified

SECRET = "5ecre70fthechanne10123456789abcd"
DIRECT = Reach(total_seconds=10, proxies=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind is set so that it sends to a server of ours."""

    name: str
    settings: Callable[[str], dict[str, Any]]

    def channel(self, url: str, reach: Reach = DIRECT, **more: Any) -> Channel:
        given = {"allow_private": True, **self.settings(url), **more}
        return channel_of(self.name, given, home=Path("/nowhere"), reach=reach)


WEBHOOK = Kind(
    name="webhook",
    settings=lambda url: {"url": f"{url}/hook/{SECRET}", "signing_key": SECRET, "headers": {"X-Key": SECRET}},
)
PAGERDUTY = Kind(name="pagerduty", settings=lambda url: {"url": url, "routing_key": SECRET})
OPSGENIE = Kind(name="opsgenie", settings=lambda url: {"url": url, "api_key": SECRET})
APPRISE = Kind(name="apprise", settings=lambda url: {"url": f"{url.replace('http', 'mmost')}/{SECRET}"})
KINDS = (WEBHOOK, PAGERDUTY, OPSGENIE, APPRISE)
OWN = tuple(each for each in KINDS if each is not APPRISE)
"""Those that send from this process; tests/contract/test_channels_apprise.py looks at the other's."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(params=OWN, ids=lambda kind: kind.name)
def own(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def refused(kind: Kind, *script: Answer, error: type[OcelogError], reach: Reach = DIRECT) -> OcelogError:
    """Send to a server that answers so, and return what is raised, which tells no secret."""
    with receiver(*script) as far, pytest.raises(error) as caught:
        kind.channel(far.url, reach).send(notice())
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_what_is_taken_has_the_far_ends_answer_as_its_receipt(kind: Kind) -> None:
    with receiver(says(200, b'{"taken":\x1b "yes"}\r\n')) as far:
        told = kind.channel(far.url).send(notice())
    assert (told.status, told.text) == ("200", '{"taken": "yes"}')
    assert len(far.asked) == 1


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 500, 502, 503, 408])
def test_what_may_work_later_says_so_and_when(kind: Kind, status: int) -> None:
    error = refused(kind, says(status, b"busy", retry_after="120"), error=ChannelUnavailableError)
    assert isinstance(error, ChannelUnavailableError)
    assert error.retry_after == timedelta(seconds=120)
    assert f"answered {status}: busy" in str(error)


@pytest.mark.parametrize(
    ("asks", "waits"),
    [
        ("86400", timedelta(hours=1)),
        ("9" * 250, timedelta(hours=1)),
        ("-5", None),
        ("soon", None),
        ("", None),
        (format_datetime(datetime(2001, 1, 1, tzinfo=UTC)), timedelta(0)),
        (format_datetime(datetime(9999, 12, 31, tzinfo=UTC)), timedelta(hours=1)),
    ],
)
def test_nobody_makes_an_alert_wait_longer_than_an_hour(asks: str, waits: timedelta | None) -> None:
    error = refused(WEBHOOK, says(503, retry_after=asks), error=ChannelUnavailableError)
    assert isinstance(error, ChannelUnavailableError)
    assert error.retry_after == waits


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_what_is_refused_for_good_is_not_tried_again(kind: Kind, status: int) -> None:
    error = refused(kind, says(status, b"no such thing"), error=ChannelRefusedError)
    assert f"answered {status}: no such thing" in str(error)


@pytest.mark.parametrize("answer", [hangs_up, breaks_off])
def test_a_connection_that_breaks_may_work_later(own: Kind, answer: Answer) -> None:
    assert "did not answer" in str(refused(own, answer, error=ChannelUnavailableError))


def test_a_port_on_which_nobody_listens_may_work_later(kind: Kind) -> None:
    with receiver() as far:
        pass
    with pytest.raises(ChannelUnavailableError) as refused:
        kind.channel(far.url).send(notice())
    assert "Connection refused" in str(refused.value)
    assert "Errno" not in str(refused.value)


def test_an_answer_that_unpacks_to_gigabytes_is_not_unpacked(own: Kind) -> None:
    packed = gzip.compress(bytes(100_000_000))
    bomb = says(202, packed, **{"Content-Encoding": "gzip"})
    with receiver(bomb, bomb) as far:
        own.channel(far.url).send(notice())
        tracemalloc.start()
        try:
            receipt = own.channel(far.url).send(notice())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert receipt.status == "202"
    assert len(receipt.text) < 1_000
    assert peak < 10_000_000


def test_an_answer_that_drips_is_given_up(kind: Kind) -> None:
    ended = threading.Event()
    began = time.monotonic()
    error = refused(kind, drips(ended), error=ChannelUnavailableError, reach=replace(DIRECT, total_seconds=0.4))
    ended.set()
    assert "within 0.4 s" in str(error)
    assert time.monotonic() - began < 10


def test_a_far_end_that_says_nothing_is_given_up(kind: Kind) -> None:
    ended = threading.Event()

    def says_nothing(_: socket.socket, __: receivers.Asked) -> None:
        ended.wait(10)

    error = refused(
        kind,
        says_nothing,
        error=ChannelUnavailableError,
        reach=replace(DIRECT, total_seconds=0.3),
    )
    ended.set()
    assert "0.3 s" in str(error)


def test_an_answer_without_end_is_taken_by_its_status(kind: Kind) -> None:
    with receiver() as far:
        far.script = [huge(far.ended)]
        told = kind.channel(far.url).send(notice())
    assert told.status == "200"
    assert len(told.text) <= 300


def test_a_redirect_is_not_followed(kind: Kind) -> None:
    with receiver() as other, receiver(says(307, location=f"{other.url}/{SECRET}")) as far:
        with pytest.raises(ChannelRefusedError, match="It redirects to") as caught:
            kind.channel(far.url).send(notice())
        assert other.asked == []
    assert SECRET not in str(caught.value)


def test_an_answer_that_repeats_our_secret_does_not_get_it_into_an_error(kind: Kind) -> None:
    def echoes(peer: socket.socket, asked: receivers.Asked) -> None:
        body = json.dumps([asked.path, asked.headers, SECRET, "".join(f"%{ord(each):02x}" for each in SECRET)]).encode()
        head = f"HTTP/1.1 400 {SECRET}\r\nX: {SECRET}\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.sendall(head.encode() + body)

    error = refused(kind, echoes, error=ChannelRefusedError)
    assert "[redacted]" in str(error)


def test_an_answer_that_is_no_http_repeats_no_secret(kind: Kind) -> None:
    refused(kind, lambda peer, _: peer.sendall(f"{SECRET}\r\n\r\n".encode()), error=ChannelUnavailableError)


@pytest.mark.slow
@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "10.0.0.8", "::1", "fd00:ec2::254", "::ffff:10.1.1.1"]
)
def test_a_name_that_leads_to_a_private_address_is_not_connected_to(own: Kind, address: str) -> None:
    with receiver() as far:
        reach = replace(DIRECT, resolving=lambda _host, _port: [address])
        channel = own.channel(f"https://hooks.example:{far.port}", reach, allow_private=False)
        with pytest.raises(ChannelRefusedError, match="nothing was sent") as caught:
            channel.send(notice())
        assert far.asked == []
    assert caught.value.code == "address_forbidden"


def test_a_cloud_never_gives_credentials_to_a_channel(own: Kind) -> None:
    reach = replace(DIRECT, resolving=lambda _host, _port: ["169.254.169.254"])
    with pytest.raises(ChannelRefusedError):
        own.channel("http://hooks.example", reach, allow_private=True).send(notice())


def test_a_name_that_changes_its_address_between_check_and_connect_gains_nothing(own: Kind) -> None:
    """The address that was checked is the one that is connected to: the name is asked once."""
    answers = iter([["192.0.2.1", "127.0.0.1"], ["127.0.0.1"]])
    asked = list[str]()

    def rebinds(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with receiver() as far:
        reach = replace(DIRECT, resolving=rebinds, total_seconds=0.5)
        with pytest.raises((ChannelUnavailableError, ChannelRefusedError)):
            own.channel(f"https://hooks.example:{far.port}", reach, allow_private=False).send(notice())
        assert far.asked == []
    assert asked == ["hooks.example"]


def test_a_name_that_is_not_found_may_be_found_later(own: Kind) -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(ChannelUnavailableError, match=r"hooks\.example has no address"):
        own.channel("https://hooks.example", replace(DIRECT, resolving=unknown)).send(notice())


def test_a_name_server_that_does_not_answer_holds_nothing_up(own: Kind) -> None:
    ended = threading.Event()

    def hangs(_host: str, _port: int) -> list[str]:
        ended.wait(20)
        return ["127.0.0.1"]

    with pytest.raises(ChannelUnavailableError, match="within 0"):
        own.channel("https://hooks.example", replace(DIRECT, resolving=hangs, total_seconds=0.2)).send(notice())
    ended.set()


def test_what_is_for_this_machine_passes_no_proxy_and_the_rest_passes_it(own: Kind) -> None:
    with receiver(says(503)) as proxy, receiver() as far:
        reach = replace(DIRECT, proxies=lambda: {"http": proxy.url, "https": proxy.url}, bypassed=lambda _: False)
        own.channel(far.url, reach).send(notice())
        assert proxy.asked == []
        away = replace(reach, resolving=lambda _host, _port: ["127.0.0.1"])
        with pytest.raises(ChannelUnavailableError):
            own.channel("https://hooks.example", away).send(notice())
        assert [asked.method for asked in proxy.asked] == ["CONNECT"]


def test_no_proxy_leads_to_a_forbidden_address(own: Kind) -> None:
    with receiver() as proxy:
        reach = replace(DIRECT, proxies=lambda: {"https": proxy.url}, bypassed=lambda _: False)
        reach = replace(reach, resolving=lambda host, _: ["127.0.0.1"] if host == "127.0.0.1" else ["10.0.0.1"])
        with pytest.raises(ChannelRefusedError):
            own.channel("https://inside.example", reach, allow_private=False).send(notice())
        assert proxy.asked == []


def test_a_proxy_that_is_none_is_told_without_its_password(own: Kind) -> None:
    reach = replace(DIRECT, proxies=lambda: {"https": f"ftp://u:{SECRET}@proxy"}, bypassed=lambda _: False)
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        own.channel("https://hooks.example", reach).send(notice())
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_nothing_that_shows_a_channel_shows_its_secret(kind: Kind) -> None:
    channel = kind.channel("https://hooks.example")
    assert SECRET not in repr(channel) + channel.address
    settings, secret = separate(kind.name, kind.settings("https://hooks.example"))
    assert SECRET not in repr((settings, secret))


def test_hostile_text_is_sent_as_text(kind: Kind) -> None:
    hostile = notice(
        title=HOSTILE,
        description=HOSTILE,
        runbook=HOSTILE,
        note=HOSTILE,
        rule_name=HOSTILE,
        source=HOSTILE,
        key=f"k\r\nX-Injected: 1{HOSTILE}",
        alert_id=HOSTILE,
        tags=(HOSTILE,),
        context={HOSTILE: [HOSTILE, float("nan"), {"\ud800": object()}]},
    )
    with receiver() as far:
        kind.channel(far.url).send(hostile)
    for asked in far.asked:
        assert "x-injected" not in asked.headers
        assert asked.body.isascii()
        assert b"\x1b" not in asked.body
        json.loads(asked.body)


# Our webhook.


def webhook(far: Receiver, **settings: Any) -> Channel:
    return WEBHOOK.channel(far.url, **settings)


def test_a_webhook_sends_what_panthers_does_and_the_same_for_the_same() -> None:
    with receiver() as far:
        for _ in range(2):
            webhook(far).send(notice())
    first, second = (asked.body for asked in far.asked)
    assert first == second
    told = json.loads(first)
    assert told.keys() >= {
        *("id", "createdAt", "severity", "type", "link", "title", "name", "alertId", "alertContext"),
        *("description", "runbook", "tags", "version"),
    }
    assert (told["id"], told["alertId"], told["severity"]) == ("Wiz.Issue.Public", "3f2a", "HIGH")
    assert (told["createdAt"], told["alertContext"]) == ("2026-05-28T20:26:40Z", {"bucket": "b-1", "ratio": 0.5})


def test_a_webhook_is_signed_over_time_and_body() -> None:
    with receiver() as far:
        webhook(far).send(notice())
    (asked,) = far.asked
    signed = dict(part.split("=") for part in asked.headers["ocelog-signature"].split(","))
    expected = hmac.new(SECRET.encode(), signed["t"].encode() + b"." + asked.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signed["v1"], expected)
    assert abs(int(signed["t"]) - time.time()) < 60
    assert asked.headers["idempotency-key"] == "alert-1/opened/1"
    assert asked.headers["x-key"] == SECRET
    assert asked.path == f"/hook/{SECRET}"


def test_the_guides_ten_lines_verify_a_webhook() -> None:
    (code,) = blocks(DOCS / "how-to" / "receive-webhooks.md", "python")
    names = dict[str, Any]()
    exec(code, names)  # noqa: S102 - what the guide teaches
    verify = names["is_from_ocelog"]
    with receiver() as far:
        webhook(far).send(notice(title=HOSTILE))
    (asked,) = far.asked
    signed = asked.headers["ocelog-signature"]
    assert verify(SECRET, signed, asked.body)
    assert not verify(SECRET, signed, asked.body + b" ")
    assert not verify("another key altogether", signed, asked.body)
    old = signature(Secret(SECRET), asked.body, at=int(time.time()) - 3600)
    assert not verify(SECRET, old, asked.body)
    assert not any(
        verify(SECRET, wrong, asked.body) for wrong in ("", "t=,v1=", "t=x,v1=\u00e9", "v1", "t=\u00b2,v1=0")
    )


def test_each_telling_of_an_alert_has_the_alerts_id_and_its_own_key() -> None:
    with receiver() as far:
        for happened in (Happened.OPENED, Happened.ESCALATED, Happened.RESOLVED):
            webhook(far).send(notice(happened=happened, key=f"a/{happened.value}"))
    told = [json.loads(asked.body) for asked in far.asked]
    assert {each["alertId"] for each in told} == {"3f2a"}
    assert [each["event"] for each in told] == ["opened", "escalated", "resolved"]
    assert len({asked.headers["idempotency-key"] for asked in far.asked}) == 3


def test_a_context_that_is_too_large_is_left_out_and_says_so() -> None:
    with receiver() as far:
        webhook(far).send(notice(context={"x": "y" * 300_000}))
    assert "left out" in json.loads(far.asked[0].body)["alertContext"]["_error"]


# PagerDuty and Opsgenie keep alerts themselves: all that is told of one has the same key.


@pytest.mark.parametrize(
    ("happened", "action"),
    [
        (Happened.OPENED, "trigger"),
        (Happened.ESCALATED, "trigger"),
        (Happened.REOPENED, "trigger"),
        (Happened.ACKNOWLEDGED, "acknowledge"),
        (Happened.RESOLVED, "resolve"),
        (Happened.CLOSED, "resolve"),
        (Happened.RESENT, "trigger"),
    ],
)
def test_pagerduty_hears_what_becomes_of_an_alert(happened: Happened, action: str) -> None:
    with receiver(says(202, b'{"status":"success"}')) as far:
        PAGERDUTY.channel(far.url).send(notice(happened=happened))
    (asked,) = far.asked
    told = json.loads(asked.body)
    assert (asked.method, asked.path) == ("POST", "/v2/enqueue")
    assert (told["event_action"], told["dedup_key"], told["routing_key"]) == (action, "ocelog-3f2a", SECRET)
    assert ("payload" in told) == (action == "trigger")
    if action == "trigger":
        assert told["payload"]["severity"] == "error"
        assert told["payload"]["summary"].startswith("[HIGH]")
        assert told["links"][0]["href"].startswith("https://app.wiz.io/")


def test_pagerduty_wakes_nobody_up_for_what_is_no_longer_visible() -> None:
    with receiver() as far:
        assert PAGERDUTY.channel(far.url).send(notice(happened=Happened.NOT_VISIBLE)).status == "left out"
    assert far.asked == []


ALIAS = "/v2/alerts/ocelog-3f2a/{}?identifierType=alias"


@pytest.mark.parametrize(
    ("happened", "asked"),
    [
        (Happened.OPENED, [("POST", "/v2/alerts")]),
        (Happened.ESCALATED, [("POST", "/v2/alerts"), ("PUT", ALIAS.format("priority"))]),
        (Happened.REOPENED, [("POST", "/v2/alerts"), ("PUT", ALIAS.format("priority"))]),
        (Happened.RESENT, [("POST", "/v2/alerts"), ("PUT", ALIAS.format("priority"))]),
        (Happened.ACKNOWLEDGED, [("POST", ALIAS.format("acknowledge"))]),
        (Happened.RESOLVED, [("POST", ALIAS.format("close"))]),
        (Happened.CLOSED, [("POST", ALIAS.format("close"))]),
        (Happened.NOT_VISIBLE, [("POST", ALIAS.format("notes"))]),
    ],
)
def test_opsgenie_hears_what_becomes_of_an_alert(happened: Happened, asked: list[tuple[str, str]]) -> None:
    with receiver() as far:
        OPSGENIE.channel(far.url).send(notice(happened=happened, note="by Ann"))
    assert [(each.method, each.path) for each in far.asked] == asked
    told = json.loads(far.asked[0].body)
    assert far.asked[0].headers["authorization"] == f"GenieKey {SECRET}"
    if asked[0][1] == "/v2/alerts":
        assert (told["alias"], told["priority"], len(told["message"]) <= 130) == ("ocelog-3f2a", "P2", True)
    else:
        assert "by Ann" in told["note"]


def test_both_requests_of_opsgenie_have_the_time_of_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = list[Deadline | None]()
    send = HttpPost.send

    def noted(self: HttpPost, *asked: Any, deadline: Deadline | None = None, **more: Any) -> Receipt:
        deadlines.append(deadline)
        return send(self, *asked, deadline=deadline, **more)

    monkeypatch.setattr(HttpPost, "send", noted)
    with receiver() as far:
        OPSGENIE.channel(far.url).send(notice(happened=Happened.ESCALATED))
    first, second = deadlines
    assert first is second is not None


@pytest.mark.parametrize("kind", [PAGERDUTY, OPSGENIE], ids=lambda kind: kind.name)
def test_a_test_touches_no_alert(kind: Kind) -> None:
    with receiver() as far:
        kind.channel(far.url).send(notice(happened=Happened.TEST, key="test-1"))
    (asked,) = far.asked
    assert b"3f2a" not in asked.body
    assert b"test-1" in asked.body
    assert b"[TEST]" in asked.body


@pytest.mark.parametrize("kind", [PAGERDUTY, OPSGENIE], ids=lambda kind: kind.name)
def test_a_key_of_the_wrong_form_is_told_and_not_repeated(kind: Kind) -> None:
    for wrong in ("short", f"{SECRET} {SECRET}", f"https://x/{SECRET}"):
        with pytest.raises(ConfigError, match=r"such as|looks like") as caught:
            kind.channel("https://x.example", DIRECT, **dict.fromkeys(set(kind.settings("")) - {"url"}, wrong))
        assert wrong not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "days", "trusts", "says"),
    [
        ("localhost", (-1, 1), False, "name that with ca_file"),
        ("localhost", (-2, -1), True, "has expired). The far end must renew it"),
        ("localhost", (1, 2), True, "not yet valid). It begins later: is the clock of this machine right?"),
        ("elsewhere.example.com", (-1, 1), True, "It is for another name: is the address right?"),
        ("localhost", (-1, 1), True, None),
    ],
    ids=["self-signed", "expired", "not yet", "another name", "well"],
)
def test_a_certificate_that_is_wrong_is_told_with_what_to_do_and_nothing_is_sent(
    tmp_path: Path, name: str, days: tuple[int, int], *, trusts: bool, says: str | None
) -> None:
    begins, ends = (timedelta(days=each) for each in days)
    authority, context = certified(tmp_path, name, begins=begins, ends=ends)
    with receiver(tls=context) as far:
        given = {"url": f"https://localhost:{far.port}/hook", "allow_private": "yes"}
        given |= {"ca_file": str(authority)} if trusts else {}
        channel = channel_of("webhook", given, home=tmp_path)
        if says is None:
            channel.send(notice())
            assert [each.path for each in far.asked] == ["/hook"]
            return
        with pytest.raises(ChannelUnavailableError, match=re.escape(says)):
            channel.send(notice())
        assert far.asked == []
