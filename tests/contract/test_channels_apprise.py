"""The channel that goes by way of apprise: what services really get, and what a child that sends cannot do."""

import email
import email.policy
import json
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from msgspec.structs import replace

import ocelog
from ocelog.alert.notice import Happened
from ocelog.channels.apprise.channel import AppriseChannel
from ocelog.channels.apprise.frames import Done
from ocelog.channels.apprise.services import NAMES, SERVICES, service_of
from ocelog.channels.http_post import Reach
from ocelog.channels.ports import Channel
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError
from ocelog.model import Severity
from receivers import drips, receiver, says
from receivers.given import channel_of
from receivers.notices import HOSTILE, notice
from receivers.tls import certified, leading_proxy

SECRET = "5ecre70fthechanne10123456789abcd"
DIRECT = Reach(total_seconds=20, proxies=dict)


def channel(url: str, reach: Reach = DIRECT, **given: Any) -> Channel:
    return channel_of("apprise", {"url": url, **given}, home=Path("/nowhere"), reach=reach)


# Which services there are.


@pytest.mark.parametrize("plugin", sorted(set(SERVICES.values())))
def test_a_service_that_is_listed_is_one_of_apprise_and_works_here(plugin: str) -> None:
    module, _, name = plugin.partition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a plugin imports is its own affair, in a process of its own
        found = getattr(import_module(f"apprise.plugins.{module}"), name)
    assert found.enabled
    there = set[str]()
    for each in (getattr(found, "protocol", None), getattr(found, "secure_protocol", None)):
        there |= {each} if isinstance(each, str) else set(each or ())
    assert {scheme for scheme, of in SERVICES.items() if of == plugin} <= there
    assert all(each.startswith("{schema}://") for each in found.templates)


@pytest.mark.parametrize(
    "scheme",
    ["dbus", "syslog", "rsyslog", "macosx", "windows", "gnome", "kodi", "file", "exec", "apprise", "x", "mqtt", "irc"],
)
def test_what_does_not_reach_people_is_no_service(scheme: str) -> None:
    with pytest.raises(ConfigError, match="no service"):
        channel(f"{scheme}://host/{SECRET}")


def test_what_is_meant_is_told() -> None:
    with pytest.raises(ConfigError, match=r"slak://; did you mean 'slack'\? There are"):
        channel(f"slak://{SECRET}")
    for name, scheme in NAMES.items():
        assert scheme in SERVICES
        with pytest.raises(ConfigError, match=rf"use {scheme}://\. There are"):
            channel(f"{name}://{SECRET}")
    for scheme, kind in {
        "pagerduty": "pagerduty",
        "opsgenie": "opsgenie",
        "jsons": "webhook",
        "http": "webhook",
    }.items():
        with pytest.raises(ConfigError, match=f"use the kind {kind}"):
            channel(f"{scheme}://{SECRET}")


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://hooks.slack.com/services/T1/B1/abc", "slack"),
        ("https://discord.com/api/webhooks/1/abc", "discord"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/x/triggers/manual/paths/invoke?sig=y", "workflows"),
        ("https://chat.googleapis.com/v1/spaces/x/messages?key=k&token=t", "gchat"),
        ("SLACK://a/b/c", "slack"),
    ],
)
def test_an_address_as_a_service_shows_it_is_taken(url: str, service: str) -> None:
    assert service_of(url) == service
    assert channel(url).address == service


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"{SECRET}://x",
        f"https://evil.example/{SECRET}",
        f"https://hooks.slack.com.evil.example/{SECRET}",
        f"slack://{SECRET} /x",
        f"slack://{SECRET}?optional=yes",
        f"slack://{SECRET}/?template=file:///etc/passwd",
        f"mmosts://h/{SECRET}?verify=no",
        f"mmosts://h/{SECRET}?REDIRECT=yes",
        f"mailto://me:{SECRET}@example.com",
        f"mailtos://me:{SECRET}@example.com?mode=insecure",
    ],
)
def test_an_address_that_will_not_do_is_told_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        channel(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_address_that_is_none_of_the_service_says_how_one_looks() -> None:
    with pytest.raises(ChannelRefusedError, match=r"such as slack://\{") as caught:
        channel(f"slack://{SECRET}/x").send(notice())
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# What services get: apprise's own requests, led to a server of ours by a proxy that speaks for their names.

HOSTS = (
    "hooks.slack.com",
    "discord.com",
    "api.telegram.org",
    "prod-1.westeurope.logic.azure.com",
    "chat.googleapis.com",
)
CHATS = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts",
    "slack as pasted": "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "telegram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
    "teams": "https://prod-1.westeurope.logic.azure.com:443/workflows/3f2a/triggers/manual/paths/invoke?api-version=2016-06-01"
    "&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=iXKkBtAdXlVdSCqVFCfT0a",
    "google chat": "gchat://space/key123/token123",
}
ANSWERED = json.dumps({"ok": True, "result": {"message_id": 1}}).encode()


@pytest.mark.parametrize("chat", CHATS)
def test_hostile_text_is_text_to_each_chat(chat: str, tmp_path: Path) -> None:
    ca_file, context = certified(tmp_path, *HOSTS)
    with leading_proxy(context, says(200, b"ok" if "slack" in chat else ANSWERED)) as (proxy, far, asked):
        reach = replace(DIRECT, proxies=lambda: {"https": proxy}, total_seconds=30)
        hostile = notice(title=HOSTILE, description=HOSTILE, runbook=HOSTILE, rule_name=HOSTILE, source=HOSTILE)
        told = channel(CHATS[chat], reach, ca_file=str(ca_file)).send(hostile)
    assert told.status == "200"
    assert {host.rpartition(":")[0] for host in asked} <= set(HOSTS)
    body = far.asked[-1].body.decode()
    texts = list(_texts(json.loads(body)))
    shown = "\n".join(texts)
    assert "evil.example" in shown
    assert "https://app.wiz.io/issues" in shown
    for wrong in (
        "<!",
        "<@",
        "@everyone",
        "@here",
        "@channel",
        "<https://evil",
        "](https://evil",
        "<script",
        "\x1b",
        "\u202e",
    ):
        assert not [text for text in texts if wrong in text], wrong
    assert "github" not in body, "no pictures from elsewhere"


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)


def test_a_far_end_that_nobody_vouches_for_is_not_sent_to(tmp_path: Path) -> None:
    _, context = certified(tmp_path, *HOSTS)
    with leading_proxy(context) as (proxy, far, _):
        with pytest.raises(ChannelUnavailableError, match="certificate is not trusted"):
            channel(CHATS["slack"], replace(DIRECT, proxies=lambda: {"https": proxy})).send(notice())
        assert far.asked == []


def test_a_success_that_the_service_takes_back_is_none(tmp_path: Path) -> None:
    ca_file, context = certified(tmp_path, *HOSTS)
    with leading_proxy(context, says(403, b"invalid_token")) as (proxy, _, _asked):
        reach = replace(DIRECT, proxies=lambda: {"https": proxy})
        with pytest.raises(ChannelRefusedError, match="slack answered 403: invalid_token"):
            channel(CHATS["slack"], reach, ca_file=str(ca_file)).send(notice())


def test_what_a_plugin_says_was_taken_though_nobody_was_asked_was_not() -> None:
    to = channel("jira://key")
    assert isinstance(to, AppriseChannel)
    with pytest.raises(ChannelUnavailableError, match="was not sent anything"):
        to._receipt(Done(taken=True, exchanges=[], forbidden=False))


@pytest.mark.parametrize(
    ("severity", "happened"),
    [(Severity.CRITICAL, Happened.OPENED), (Severity.INFO, Happened.OPENED), (Severity.HIGH, Happened.RESOLVED)],
)
def test_jira_is_asked_whatever_happened(severity: Severity, happened: Happened) -> None:
    """Its plugin sends nothing for some kinds of messages, and says that it did."""
    to = with_names(channel("jira://key"), "127.0.0.1")
    with pytest.raises(ChannelRefusedError) as caught:
        to.send(notice(severity=severity, happened=happened))
    assert caught.value.code == "address_forbidden", "that is, it was to be asked"


# Mail.


@dataclass(slots=True)
class Mailbox:
    """What a mail server does with what it is given."""

    answer: str = "250 taken"
    password: str = SECRET
    mails: list[bytes] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope.content)
        return self.answer

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == self.password.encode(), handled=False)


class _Server(Controller):
    def factory(self) -> SMTP:
        return SMTP(self.handler, authenticator=self.handler.authenticate, auth_require_tls=False, hostname="far")


@contextmanager
def mailbox(**given: Any) -> Iterator[Mailbox]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    box = Mailbox(**given)
    server = _Server(box, hostname="127.0.0.1", port=port)
    server.start()
    box.port = port
    try:
        yield box
    finally:
        server.stop()


def mail(box: Mailbox, password: str = SECRET, reach: Reach = DIRECT, **given: Any) -> Channel:
    url = f"mailto://me:{password}@127.0.0.1:{box.port}?from=ocelog@example.com&to=team@example.com"
    return channel(url, reach, **{"allow_private": True, **given})


def test_a_mail_is_taken_and_its_receipt_is_what_the_server_says() -> None:
    with mailbox(answer="250 2.0.0 queued as 4711") as box:
        told = mail(box).send(notice())
    assert (told.status, told.text) == ("250", "2.0.0 queued as 4711")
    found = email.message_from_bytes(box.mails[0], policy=email.policy.default)
    assert found["Subject"] == "[HIGH] Public bucket with secrets"
    assert "team@example.com" in found["To"]


def test_hostile_text_is_text_to_a_mail_reader() -> None:
    hostile = notice(title=f"x\r\nSubject: forged {HOSTILE}", description=HOSTILE, runbook=HOSTILE)
    with mailbox() as box:
        mail(box).send(hostile)
    (raw,) = box.mails
    found: Any = email.message_from_bytes(raw, policy=email.policy.default)
    assert "forged" in found["Subject"]
    assert len(found.get_all("Subject")) == 1
    for part in found.walk():
        if part.get_content_maintype() == "text":
            text = part.get_content()
            assert "\x1b" not in text
            assert "\u202e" not in text
            if part.get_content_subtype() == "html":
                assert "<script" not in text
                assert 'href="https://evil' not in text


@pytest.mark.slow
@pytest.mark.parametrize("letters", ["\uac00", "\u00e9", "\U0001f98e", "x", "\uac00\ub098 x "])
def test_a_title_of_any_letters_fits_the_lines_of_a_mail(letters: str) -> None:
    title = (letters * 200)[:190]
    with mailbox() as box:
        mail(box).send(notice(title=title))
    (raw,) = box.mails
    assert max(map(len, raw.split(b"\r\n"))) < 400
    assert title[:150] in str(email.message_from_bytes(raw, policy=email.policy.default)["Subject"])


def test_a_mail_that_may_be_taken_later_says_so() -> None:
    with (
        mailbox(answer="451 4.3.0 try again") as box,
        pytest.raises(ChannelUnavailableError, match=r"451: 4\.3\.0 try again"),
    ):
        mail(box).send(notice())


def test_a_mail_that_is_refused_for_good_is_not_sent_again() -> None:
    with (
        mailbox(answer=f"554 5.7.1 no, {SECRET}") as box,
        pytest.raises(ChannelRefusedError, match=r"answered 554: 5\.7\.1 no") as caught,
    ):
        mail(box).send(notice())
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_password_that_is_wrong_is_told_without_it() -> None:
    wrong = "wr0ng-passw0rd-0123456789"
    with mailbox() as box, pytest.raises(ChannelRefusedError, match="535") as caught:
        mail(box, wrong).send(notice())
    assert wrong not in "".join(traceback.format_exception(caught.value))
    assert box.mails == []


def test_a_mail_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        box = Mailbox(port=silent.getsockname()[1])
        with pytest.raises(ChannelUnavailableError):
            mail(box, reach=replace(DIRECT, total_seconds=0.5)).send(notice())


def test_no_mail_server_on_a_private_address_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        url = f"mailtos://me:{SECRET}@localhost:{listening.getsockname()[1]}?from=a@example.com&to=b@example.com"
        with pytest.raises(ChannelRefusedError) as caught:
            channel(url).send(notice())
        assert caught.value.code == "address_forbidden"
        with pytest.raises(BlockingIOError):
            listening.accept()


# What a child that sends cannot do.


@pytest.mark.slow
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "169.254.169.254", "10.0.0.1", "[::1]"])
def test_no_name_of_a_private_address_is_connected_to(host: str) -> None:
    with receiver() as far:
        with pytest.raises(ChannelRefusedError) as caught:
            channel(f"mmosts://{host}:{far.port}/{SECRET}").send(notice())
        assert far.asked == []
    assert caught.value.code == "address_forbidden"


def test_a_cloud_gives_no_credentials_to_a_service_either() -> None:
    with pytest.raises(ChannelRefusedError) as caught:
        channel(f"mmost://169.254.169.254/{SECRET}", allow_private=True).send(notice())
    assert caught.value.code == "address_forbidden"


def with_names(to: Channel, *answers: str) -> AppriseChannel:
    """Return the channel with a child in which each name is resolved to the next of the addresses, then the last."""
    assert isinstance(to, AppriseChannel)
    code = (
        "import socket\n"
        f"answers = {list(answers)!r}\n"
        "def asked(host, port, *_, **__):\n"
        "    address = answers.pop(0) if len(answers) > 1 else answers[0]\n"
        "    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, port))]\n"
        "socket.getaddrinfo = asked\n"
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ocelog.channels.apprise.child import main\n"
        "main()\n"
    )
    return replace(to, command=(sys.executable, "-I", "-B", "-c", code, to.command[-1]))


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["192.0.2.1", "127.0.0.1"], ["169.254.169.254"]])
def test_a_name_that_changes_its_address_gains_nothing(answers: list[str]) -> None:
    """The address is looked at when it is connected to, whatever the name said before."""
    with receiver() as far:
        to = with_names(
            channel(f"mmosts://chat.example:{far.port}/{SECRET}", replace(DIRECT, total_seconds=1)), *answers
        )
        for _ in range(2):
            with pytest.raises((ChannelRefusedError, ChannelUnavailableError)):
                to.send(notice())
        assert far.asked == []


def test_a_public_name_without_tls_is_not_sent_to() -> None:
    with receiver() as far:
        to = with_names(channel(f"mmost://chat.example:{far.port}/{SECRET}"), "127.0.0.1")
        with pytest.raises(ChannelRefusedError):
            to.send(notice())
        assert far.asked == []


SOURCE = str(Path(ocelog.__file__).parents[1])
GUARDED = """
import os, socket, subprocess, sys
sys.path.insert(0, sys.argv.pop())
from ocelog.channels.apprise.guard import ForbiddenError, Guard
Guard(allow_private=False, ca_file=None, proxies=frozenset()).set()
tries = {
    "read a file": lambda: open("/etc/hostname"),
    "read the key": lambda: os.open(sys.argv[1], os.O_RDONLY),
    "write a file": lambda: open(sys.argv[1] + ".new", "w"),
    "run a program": lambda: subprocess.run(["true"]),
    "run a shell": lambda: os.system("true"),
    "fork": os.fork,
    "remove a file": lambda: os.remove(sys.argv[1]),
    "load a library": lambda: __import__("ctypes").CDLL("libc.so.6"),
    "reach a socket of the machine": lambda: socket.socket(socket.AF_UNIX).connect("/run/x"),
    "reach this machine": lambda: socket.create_connection(("localhost", 9), 1),
    "reach a name that is resolved unseen": lambda: socket.socket().connect(("localhost", 9)),
    "go without the class": lambda: __import__("_socket").socket().connect(("127.0.0.1", 9)),
    "send without a connection": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
}
for name, attempt in tries.items():
    try:
        attempt()
    except ForbiddenError:
        continue
    except Exception as error:
        print(name, repr(error))
    else:
        print(name)
"""


def test_a_child_that_sends_reads_writes_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the key")
    done = import_module("subprocess").run(
        [sys.executable, "-I", "-c", GUARDED, str(tmp_path / "key"), SOURCE],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_child_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELOG_SOMETHING", SECRET)
    to = channel(
        f"mmost://127.0.0.1/{SECRET}", replace(DIRECT, proxies=lambda: {"https": "http://p:1", "no": "a.example"})
    )
    assert isinstance(to, AppriseChannel)
    assert to._environment() == {
        "https_proxy": "http://p:1",
        "no_proxy": "a.example,localhost,127.0.0.1,::1",
        "NETRC": "/nonexistent",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.parametrize("code", ["print('x' * 3_000_000)", "import sys; sys.exit(3)", "print('{}')"])
def test_a_child_that_goes_wrong_is_a_failure_like_others(code: str) -> None:
    to = channel(f"mmost://127.0.0.1/{SECRET}", allow_private=True)
    assert isinstance(to, AppriseChannel)
    with pytest.raises(ChannelUnavailableError, match="process that sends"):
        replace(to, command=(sys.executable, "-I", "-c", code)).send(notice())


def test_a_child_that_would_go_on_for_ever_is_ended() -> None:
    ended = threading.Event()
    with receiver(drips(ended)) as far:
        to = channel(f"mmost://127.0.0.1:{far.port}/{SECRET}", replace(DIRECT, total_seconds=0.5), allow_private=True)
        with pytest.raises(ChannelUnavailableError, match=r"within 0\.5 s"):
            to.send(notice())
        ended.set()


def test_a_message_fits_where_there_is_little_room(tmp_path: Path) -> None:
    ca_file, context = certified(tmp_path, "api.d7networks.com")
    with leading_proxy(context, says(200, b"{}")) as (proxy, far, _):
        reach = replace(DIRECT, proxies=lambda: {"https": proxy})
        with suppress(ChannelRefusedError, ChannelUnavailableError):
            channel(f"d7sms://{SECRET}@15551234567", reach, ca_file=str(ca_file)).send(notice(description="x" * 5_000))
    (asked,) = far.asked
    text = max(_texts(json.loads(asked.body)), key=len)
    assert len(text) <= 160
    assert text.startswith("[HIGH] Public bucket with secrets")
    assert "https://app.wiz.io/issues" in text
