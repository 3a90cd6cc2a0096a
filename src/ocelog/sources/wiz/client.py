"""How one request goes over the wire: one POST, bounded in time and size, to the one host that it is meant for."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ocelog.connection_failure import ConnectionFailure, FailureKind, connection_failure
from ocelog.deadline import Deadline, OutOfTimeError
from ocelog.errors import SourceUnavailableError
from ocelog.languages.phrases import Phrase, translatable
from ocelog.sources.wiz.confined import check_public, confine
from ocelog.sources.wiz.endpoints import is_loopback
from ocelog.sources.wiz.envelope import readable
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.opening import open_http
from ocelog.sources.wiz.settings import WizSettings


def user_agent() -> str:
    """Return the name that Wiz's own logs will show; Wiz asks integrations to give one."""
    return f"ocelog/{version('ocelog')}"


class Client:
    """Posts to Wiz. Thread-safe.

    TLS is verified. Redirects are not followed: a token must not travel to a host that nobody named. HTTPS_PROXY,
    NO_PROXY and SSL_CERT_FILE are honoured, though nothing that goes to this machine passes a proxy.
    """

    def __init__(
        self,
        settings: WizSettings,
        *,
        sending: Callable[[], None] = lambda: None,
        redact: Callable[[str], str] = str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a client; `sending` is called when a connection stands and a request is about to go out on it.

        `redact` takes our secrets out of what the other side says.
        """
        self._settings = settings
        self._sending = sending
        self._redact = redact
        self._monotonic = monotonic
        self._deadline = Deadline(settings.total_seconds, monotonic)
        self._opened: dict[tuple[bool, bool], httpx2.Client] = {}
        self._opening = threading.Lock()
        self._closed = False

    def post(self, url: str, content: bytes, headers: Mapping[str, str], *, within: float | None = None) -> HttpAnswer:
        """Send `content` and return the whole answer, whatever its status; it takes `within` seconds at most, if given.

        Raises SourceUnavailableError; ConfigError if the CA file or the environment does not let anyone ask.
        """
        host = urlsplit(url).hostname or url
        http = self._http(near=is_loopback(urlsplit(url).hostname), plain=urlsplit(url).scheme == "http")
        self._deadline.begin(within)
        if self._settings.public_only:
            # A proxy is connected to in the place of the host: what can be seen from here is checked.
            check_public(url, self._settings.connect_seconds)
        extensions = {"trace": self._trace}
        with (
            _translated(host, self._redact),
            self._in_time(host),
            http.stream("POST", url, content=content, headers=dict(headers), extensions=extensions) as answer,
        ):
            heard = self._monotonic()
            return HttpAnswer(
                status=answer.status_code,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=self._read(answer, host),
                heard=heard,
                redact=self._redact,
            )

    @contextmanager
    def _in_time(self, host: str) -> Iterator[None]:
        """Say of a far end of which not a byte came that it did not answer, and not that it stopped."""
        try:
            yield
        except OutOfTimeError as error:
            text = (
                translatable("%(host)s was still sending after %(seconds)s s.")
                if self._deadline.has_heard
                else translatable("%(host)s did not answer within %(seconds)s s.")
            )
            told = Phrase(text, host=host, seconds=format(error.seconds, "g"))
            raise SourceUnavailableError(told) from error
        except httpx2.ReadTimeout as error:
            if self._deadline.has_heard:
                raise
            seconds = format(self._settings.read_seconds, "g")
            raise SourceUnavailableError(
                Phrase("%(host)s did not answer within %(seconds)s s.", host=host, seconds=seconds)
            ) from error

    def _trace(self, event: str, told: Mapping[str, Any]) -> None:
        # A proxy is asked for a tunnel first; Wiz does not count that.
        if event.endswith("send_request_headers.started") and told["request"].method != b"CONNECT":
            self._sending()

    def close(self) -> None:
        """Close every connection."""
        with self._opening:
            self._closed = True
            for http in self._opened.values():
                http.close()

    def _http(self, *, near: bool, plain: bool) -> httpx2.Client:
        """Return the client for this machine (`near`) or for others, without or with TLS, opened when first needed.

        What was in its way (a CA file, a variable) may have been fixed by the next request.
        """
        with self._opening:
            if self._closed:
                raise SourceUnavailableError(Phrase("The source was closed."))
            if (http := self._opened.get((near, plain))) is None:
                http = self._opened[near, plain] = open_http(self._settings, user_agent(), near=near, plain=plain)
                if self._settings.public_only:
                    confine(http)
                self._deadline.bound(http)
            return http

    def _read(self, answer: httpx2.Response, host: str) -> bytes:
        """Return the unpacked body, counted while it comes: a few bytes may unpack to more than memory holds."""
        body, most = bytearray(), self._settings.most_bytes
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > most:
                raise SourceUnavailableError(
                    Phrase(
                        "%(host)s sent more than %(most)s bytes: ask for smaller pages (--page-size).",
                        host=host,
                        most=most,
                    )
                )
            self._deadline.within(None)
        return bytes(body)


@contextmanager
def _translated(host: str, redact: Callable[[str], str]) -> Iterator[None]:
    """Turn what goes wrong on the wire into an error of ours.

    No header of ours is in any of them; what the other side sent may be, such as a status line that repeats a secret.
    Such an error is not chained.
    """
    try:
        yield
    except (httpx2.HTTPError, RuntimeError) as error:
        # RuntimeError is what httpx raises in threads that still ask while another closes the client.
        failure = connection_failure(error)
        clean = redact(failure.says)
        is_clean = clean == failure.says
        reason = failure.says if is_clean and readable(clean) == failure.says else readable(clean)
        raise SourceUnavailableError(_told(host, failure, reason)) from (error if is_clean else None)
    except httpx2.InvalidURL as error:
        raise SourceUnavailableError(
            Phrase("%(host)s is not a valid address: %(error)s.", host=host, error=str(error).rstrip("."))
        ) from error


def _told(host: str, failure: ConnectionFailure, reason: str) -> Phrase:
    """Return the message of a failure, and what to do; `reason` is what it says, fit to be shown."""
    match failure.kind:
        case FailureKind.NOT_CONNECTED:
            return Phrase("%(host)s did not answer in time.", host=host)
        case FailureKind.TIMEOUT:
            return Phrase("%(host)s stopped answering.", host=host)
        case FailureKind.CERTIFICATE:
            todo = failure.certificate_advice or Phrase(
                "If your proxy inspects TLS, name its certificate authority (--ca-file, or SSL_CERT_FILE)."
            )
            return Phrase(
                "%(host)s did not answer: its certificate is not trusted (%(why)s). %(todo)s",
                host=host,
                why=reason,
                todo=todo,
            )
        case FailureKind.OTHER:
            return Phrase("%(host)s did not answer: %(why)s.", host=host, why=reason)
