"""The channel to a service that people read: what it is set to, and how a child is made to send one message."""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec import Struct

from ocelog.alert.notice import Notice
from ocelog.channels import answer
from ocelog.channels.addresses import forbidden
from ocelog.channels.apprise.frames import LONGEST, Done, Exchange, Job, Ready, Text, Unfit, read
from ocelog.channels.apprise.services import SERVICES, service_of
from ocelog.channels.http_post import Reach
from ocelog.channels.kind import LANGUAGE, REACHING, ChannelKind, Setting, Values
from ocelog.channels.message import render
from ocelog.channels.ports import Receipt
from ocelog.channels.text import Form
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.model import Severity
from ocelog.sandbox.channel import Channel as Pipe
from ocelog.sandbox.channel import Frame
from ocelog.secrets.redaction import MARK, Redactor
from ocelog.secrets.secret import Secret

_SOURCE = str(Path(__file__).parents[3])
"""Where this package lies: the child takes the same, wherever another may be installed."""
_BEGIN = "import sys; sys.path.insert(0, sys.argv[1]); from ocelog.channels.apprise.child import main; main()"
_CHILD = (sys.executable, "-I", "-B", "-X", "utf8", "-c", _BEGIN, _SOURCE)
_STARTS_WITHIN = 60.0
_SHORTEST_BODY = 60
_OPTIONS = frozenset(
    {
        *("cto", "emojis", "format", "image", "optional", "overflow", "redirect", "retry", "rto", "store"),
        *("template", "tz", "verify", "wait"),
    }
)
"""Options with which apprise does otherwise than channels do: it hides failures, follows redirects, reads files."""


class AppriseChannel(Struct, frozen=True, kw_only=True):
    """Sends each message from a process of its own, which is ended when its time is over."""

    service: str
    url: Secret
    reach: Reach
    redact: Redactor
    command: Sequence[str] = _CHILD
    language: str = "en"

    @property
    def address(self) -> str:
        """The service alone: everything else in an address of apprise may be a secret."""
        return self.service

    def send(self, notice: Notice) -> Receipt:
        """Render `notice` for the service, and have it sent."""
        try:
            child = subprocess.Popen(  # noqa: S603 - this interpreter, and no shell
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment(),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ChannelUnavailableError(
                Phrase("The process that sends cannot be started: %(strerror)s.", strerror=error.strerror)
            ) from error
        try:
            return self._receipt(self._done(child, notice))
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _done(self, child: "subprocess.Popen[bytes]", notice: Notice) -> Done:
        if child.stdin is None or child.stdout is None:
            raise AssertionError
        pipe = Pipe(reading=child.stdout.fileno(), writing=child.stdin.fileno(), longest=LONGEST)
        starts = time.monotonic() + _STARTS_WITHIN
        try:
            pipe.send("job", msgspec.json.encode(self._job()), deadline=starts)
            frame = pipe.receive(deadline=starts)
            if frame.kind == "unfit":
                raise self._unfit(read(frame.payload, Unfit))
            text = self._text(notice, read(frame.payload, Ready))
            ends = time.monotonic() + self.reach.total_seconds
            pipe.send("message", msgspec.json.encode(text), deadline=ends)
            return read(_expected(pipe.receive(deadline=ends), "done").payload, Done)
        except TimeoutError:
            raise ChannelUnavailableError(
                Phrase(
                    "%(service)s did not finish its answer within %(total_seconds)s s.",
                    service=self.service,
                    total_seconds=format(self.reach.total_seconds, "g"),
                )
            ) from None
        except (EOFError, ValueError):
            raise ChannelUnavailableError(
                Phrase("The process that sends to %(service)s ended before it was done.", service=self.service)
            ) from None

    def _text(self, notice: Notice, ready: Ready) -> Text:
        # Mail of plain text has no markup; apprise escapes it where it makes HTML of it.
        is_mail = SERVICES[self.service] == "email.NotifyEmail"
        form = Form.PLAIN if is_mail else Form.MARKDOWN if ready.markdown else Form.CHAT
        body = max(_SHORTEST_BODY, ready.longest_body)
        written = partial(render, notice, form, language=self.language)
        if ready.longest_title > 0:
            told = written(longest_title=ready.longest_title, longest_body=body)
        else:
            # The title becomes the first line of the body.
            told = written(longest_title=body // 2, longest_body=body)
            told = written(longest_title=body // 2, longest_body=max(0, body - len(told.title) - 2))
        # For Jira, the kinds that end an alert or add to one do so to one of the same process, which has none.
        kind = "warning" if self.service == "jira" else _kind(notice)
        return Text(title=told.title, body=told.body, markdown=ready.markdown, kind=kind)

    def _job(self) -> Job:
        return Job(
            url=self.url.reveal(),
            plugin=SERVICES[self.service],
            allow_private=self.reach.allow_private,
            ca_file=self.reach.ca_file,
            connect_seconds=self.reach.connect_seconds,
            total_seconds=self.reach.total_seconds,
            proxies={scheme: url for scheme, url in self.reach.proxies().items() if scheme != "no"},
        )

    def _environment(self) -> dict[str, str]:
        """Return what the child sees: the proxies, and nothing else of ours or of the person who started us."""
        found = dict(self.reach.proxies())
        near = ",".join(filter(None, (found.pop("no", ""), "localhost,127.0.0.1,::1")))
        variables = {f"{scheme}_proxy": url for scheme, url in found.items()}
        return variables | {"no_proxy": near, "NETRC": "/nonexistent", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}

    def _receipt(self, done: Done) -> Receipt:
        """Return the receipt for what came of it. Raises ChannelUnavailableError and ChannelRefusedError."""
        if done.forbidden:
            raise forbidden(self.service)
        last = _telling(done)
        if last is None:
            # Whatever the plugin says of it: each service here is asked by HTTP or by mail.
            raise ChannelUnavailableError(
                Phrase("%(service)s was not sent anything: nobody answered, or nobody was asked.", service=self.service)
            )
        text = answer.readable(last.text, self.redact)
        if done.taken:
            return Receipt(status=str(last.status or "sent"), text=text)
        if last.status == 0:
            raise ChannelUnavailableError(
                Phrase(
                    "%(host)s did not answer: %(why)s.",
                    host=self.service,
                    why=text.rstrip(".") or Phrase("no reason is known"),
                )
            )
        if last.mail:
            raise _refused_mail(self.service, last.status, text)
        if 200 <= last.status < 300:
            raise ChannelUnavailableError(
                Phrase(
                    "%(service)s answered %(status)s, and did not take the message: %(text)s",
                    service=self.service,
                    status=last.status,
                    text=text,
                )
            )
        location = answer.readable(last.location, self.redact)
        return answer.receipt(
            self.service,
            last.status,
            text,
            retry_after=answer.wait(last.retry_after, now=datetime.now(UTC)),
            location="" if MARK in location else location,
        )

    def _unfit(self, unfit: Unfit) -> ChannelRefusedError:
        shown = unfit.template.replace("{schema}", self.service) if unfit.template else ""
        example = Phrase(", such as %(example)s", example=shown) if shown else ""
        return ChannelRefusedError(
            Phrase(
                "The url of the channel is not an address of %(service)s%(example)s. Replace what is in "
                "braces by what the service shows, and write characters like / and @ in it as %%2F and "
                "%%40.",
                service=self.service,
                example=example,
            )
        )


def _kind(notice: Notice) -> str:
    if notice.happened.ends:
        return "success"
    return {Severity.CRITICAL: "failure", Severity.HIGH: "failure", Severity.MEDIUM: "warning"}.get(
        notice.severity, "info"
    )


def _expected(frame: Frame, kind: str) -> Frame:
    if frame.kind != kind:
        raise ValueError(frame.kind)
    return frame


def _telling(done: Done) -> Exchange | None:
    """Return the answer that says most: of what failed the first that is no success, else the last but a goodbye."""
    if done.taken:
        answers = [each for each in done.exchanges if not each.mail or each.status == 250]
        return answers[-1] if answers else None
    failed = [each for each in done.exchanges if not 200 <= each.status < 400 or (not each.mail and each.status >= 300)]
    return failed[0] if failed else (done.exchanges[-1] if done.exchanges else None)


def _refused_mail(service: str, status: int, text: str) -> ChannelRefusedError | ChannelUnavailableError:
    said = Phrase("%(host)s answered %(status)s: %(text)s.", host=service, status=status, text=text.rstrip("."))
    if 500 <= status < 600:
        return ChannelRefusedError(
            Phrase("%(said)s Check the user, the password, and from whom and to whom the mail goes.", said=said)
        )
    return ChannelUnavailableError(said)


def _build(values: Values) -> AppriseChannel:
    url = values.text("url", example="slack://TokenA/TokenB/TokenC")
    service = service_of(url)
    if not url.isprintable() or " " in url:
        raise ConfigError(
            Phrase(
                "The url of the %(service)s channel has blanks or controls: write them as %%20 and the like.",
                service=service,
            )
        )
    _check_options(service, url, allow_private=values.switch("allow_private"))
    redact = Redactor()
    for each in _secrets(url):
        redact.learn(Secret(each))
    return AppriseChannel(
        service=service, url=Secret(url), reach=values.reaching(), redact=redact, language=values.language()
    )


def _check_options(service: str, url: str, *, allow_private: bool) -> None:
    options = {name.lower(): value.lower() for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    for name in options:
        if name in _OPTIONS:
            raise ConfigError(
                Phrase(
                    "The url of the %(service)s channel must not have the option %(name)s: how a message is "
                    "sent is up to Ocelog. Leave it out.",
                    service=service,
                    name=name,
                )
            )
    in_the_clear = service == "mailto" or options.get("mode") == "insecure"
    if SERVICES[service] == "email.NotifyEmail" and in_the_clear and not allow_private:
        raise ConfigError(
            Phrase(
                "Mail in the clear shows alerts and passwords to everyone on the way: begin the url with "
                "mailtos://. If the server is in your own network, set allow_private to yes."
            )
        )


def _secrets(url: str) -> list[str]:
    """Return what in an address may be a secret: all of it, and each of its parts as it is and as it is meant."""
    try:
        parts = urlsplit(url)
        found = [parts.username or "", parts.password or "", parts.netloc.rpartition("@")[2], *parts.path.split("/")]
    except ValueError:
        found = url.partition("://")[2].split("/")
    found += [value for _, value in parse_qsl(url.partition("?")[2])]
    return [part for part in dict.fromkeys((url, *found, *map(unquote, found))) if part]


APPRISE = ChannelKind(
    name="apprise",
    title=(
        "Apprise: people on Slack, Teams, Discord, Google Chat, Mattermost, Telegram, by mail, Jira, SMS and more. The "
        "url is one as [apprise](https://appriseit.com) writes them, or the address that Slack, Discord, Teams or "
        "Google Chat show for a webhook"
    ),
    settings=(
        Setting(
            name="url",
            help="the service and its secrets; one target each, since all get it again if one fails",
            example="slack://TokenA/TokenB/TokenC",
            required=True,
            secret=True,
            is_address=True,
        ),
        LANGUAGE,
        *REACHING,
    ),
    build=_build,
)
