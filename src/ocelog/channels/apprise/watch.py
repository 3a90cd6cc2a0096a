"""What apprise is not trusted with, done in its place: redirects, certificates, time, size, and what was answered."""

import smtplib
import ssl
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import requests

from ocelog.channels.addresses import allowed_addresses
from ocelog.channels.apprise.frames import Exchange, Job
from ocelog.channels.apprise.guard import ForbiddenError, Guard
from ocelog.connection_failure import FailureKind, connection_failure
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError

_MOST_BYTES = 16_384
"""Of an answer; the rest is not read."""
_MOST_EXCHANGES = 50
_LONGEST_TEXT = 2_000
_HEADER_LINE = 78
"""Bytes of a line of a mail's header, where it can be folded."""


class Watch:
    """Stands in the way of what requests and smtplib do in this process, and keeps what far ends answer."""

    def __init__(self, job: Job, guard: Guard) -> None:
        self.exchanges = list[Exchange]()
        self._job = job
        self._guard = guard

    def set(self) -> None:
        """Watch this process from now on. It is the child's own, so that nobody else is concerned."""
        watch, job = self, self._job
        send, reply, wrap = requests.Session.send, smtplib.SMTP.getreply, ssl.SSLContext.wrap_socket
        written = Message.as_string

        def watched_send(
            session: requests.Session, request: requests.PreparedRequest, **given: Any
        ) -> requests.Response:
            answered: requests.Response = watch.http(send, session, request, given)
            return answered

        def watched_reply(server: smtplib.SMTP) -> tuple[int, bytes]:
            try:
                code, text = reply(server)
            except (smtplib.SMTPException, OSError) as error:
                watch.note(Exchange(status=0, text=_why(error, job), mail=True))
                raise
            watch.note(Exchange(status=code, text=_text(text), mail=True))
            return code, text

        def wrapped(context: ssl.SSLContext, *given: Any, **named: Any) -> ssl.SSLSocket:
            if watch.ca_file is not None:
                context.load_verify_locations(watch.ca_file)
            return wrap(context, *given, **named)

        def folded(mail: Message, *given: Any, **named: Any) -> str:
            # apprise has each header written as one line, and servers refuse one of 1,000 bytes: 110 Korean letters.
            return written(mail, *given, **{"maxheaderlen": _HEADER_LINE, **named})

        Message.as_string = folded  # type: ignore[method-assign, assignment]
        requests.Session.send = watched_send  # type: ignore[method-assign, assignment] # as it says
        smtplib.SMTP.getreply = watched_reply  # type: ignore[method-assign, assignment]
        ssl.SSLContext.wrap_socket = wrapped  # type: ignore[method-assign, assignment]

    @property
    def ca_file(self) -> str | None:
        """Whom to trust in addition to the usual."""
        return self._job.ca_file

    def note(self, exchange: Exchange) -> None:
        """Keep an answer; of very many the last ones."""
        self.exchanges = [*self.exchanges, exchange][-_MOST_EXCHANGES:]

    def http(
        self, send: Any, session: requests.Session, request: requests.PreparedRequest, given: dict[str, Any]
    ) -> Any:
        """Send one request as ours are sent."""
        url = str(request.url)
        host = urlsplit(url).hostname or ""
        self._check(url, host)
        given |= {
            "allow_redirects": False,
            "stream": True,
            "verify": True,
            "cert": None,
            "timeout": (self._job.connect_seconds, self._job.total_seconds),
        }
        try:
            response: requests.Response = send(session, request, **given)
        except requests.RequestException as error:
            self.note(Exchange(status=0, text=_why(error, self._job)))
            raise
        response.raw = _BoundedBody(response.raw)
        self.note(
            Exchange(
                status=response.status_code,
                text=_text(response.content),
                retry_after=response.headers.get("Retry-After", "")[:100],
                location=response.headers.get("Location", "")[:_LONGEST_TEXT],
            )
        )
        return response

    def _check(self, url: str, host: str) -> None:
        """Refuse what goes without TLS, and what leads to a forbidden address even if a proxy were to go there."""
        if urlsplit(url).scheme != "https" and not self._job.allow_private:
            self._guard.forbidden = True
            raise ForbiddenError("http")
        if not self._job.proxies or urllib.request.proxy_bypass(host):
            return
        try:
            allowed_addresses(host, 443, allow_private=self._job.allow_private, within=self._job.connect_seconds)
        except ChannelRefusedError:
            self._guard.forbidden = True
            raise ForbiddenError(host) from None
        except ChannelUnavailableError:
            return  # only the proxy can resolve it


class _BoundedBody:
    """A body that ends after so many bytes, whatever the far end sends."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def stream(self, amount: int = 4_096, *, decode_content: bool | None = None) -> Iterator[bytes]:
        left = _MOST_BYTES
        for piece in self._raw.stream(min(amount, 4_096), decode_content=decode_content):
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                self._raw.close()
                return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _text(body: bytes) -> str:
    return body[:_LONGEST_TEXT].decode("utf-8", "replace")


def _why(error: BaseException, job: Job) -> str:
    """Return the innermost reason: the texts around it repeat the address."""
    failure = connection_failure(error)
    match failure.kind:
        case FailureKind.CERTIFICATE:
            todo = failure.certificate_advice or "ca_file names whom to trust besides"
            return f"its certificate is not trusted ({failure.says}); {todo}"
        case FailureKind.NOT_CONNECTED:
            return f"it took longer than {job.connect_seconds:g} s"
        case FailureKind.TIMEOUT:
            return f"it took longer than {job.total_seconds:g} s"
        case FailureKind.OTHER:
            return failure.innermost
