"""How one request goes to a far end over HTTP: bounded in time and size, to an address that was checked, no further."""

import ipaddress
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpcore2
import httpx2
import msgspec
from msgspec import Struct

from ocelog.channels import answer
from ocelog.channels.addresses import allowed_addresses, forbidden
from ocelog.channels.deadline import Deadline
from ocelog.channels.ports import Receipt
from ocelog.channels.text import one_line
from ocelog.connection_failure import FailureKind, connection_failure
from ocelog.errors import ChannelUnavailableError, ConfigError, without_number
from ocelog.languages.phrases import Phrase
from ocelog.network import Resolve, resolve
from ocelog.secrets.redaction import Redactor
from ocelog.secrets.secret import shown_path

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 30.0
LONGEST_SECONDS = 60.0
"""No kind of channel may take longer for one try: the lease of who delivers outlasts it (`app/loops/delivering.py`)."""
MOST_BYTES = 16_384
"""Of an answer: what is read of it. The status says whether the message was taken."""
_AT_ONCE = 16_384


class Reach(Struct, frozen=True, kw_only=True):
    """What a channel may reach, and how. Holds no secret."""

    allow_private: bool = False
    ca_file: str | None = None
    """Certificate authorities to trust in addition to the system's."""
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    resolving: Resolve = resolve
    proxies: Callable[[], Mapping[str, str]] = urllib.request.getproxies
    """By scheme, as the environment names them."""
    bypassed: Callable[[str], bool] = msgspec.field(default=lambda host: bool(urllib.request.proxy_bypass(host)))
    """Whether a host is reached without the proxy."""

    def __post_init__(self) -> None:
        if not self.total_seconds <= LONGEST_SECONDS:
            raise AssertionError(f"A try may take {LONGEST_SECONDS:g} s at most, not {self.total_seconds:g} s.")


class HttpPost(Struct, frozen=True, kw_only=True):
    """Sends requests for one channel. Thread-safe: each request has a connection of its own.

    TLS is verified and redirects are not followed. Whatever the far end says, `redact` takes our secrets out of it.
    """

    reach: Reach
    redact: Redactor
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def send(
        self,
        url: str,
        content: bytes,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        deadline: Deadline | None = None,
    ) -> Receipt:
        """Send `content` and return what came back for it.

        Raises ChannelUnavailableError, ChannelRefusedError, and ConfigError for a CA file that cannot be read.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        trust = _trust(self.reach.ca_file) if parts.scheme == "https" else None
        until = deadline or Deadline(self.reach.total_seconds, host)
        proxy = self._proxy(parts.scheme, host)
        if proxy is not None:
            self._check_beyond_proxy(host, port, until)
        backend = _Backend(until=until, reach=self.reach, checked=proxy is None)
        timeout = {"connect": self.reach.connect_seconds, "read": None, "write": None, "pool": 1.0}
        agent = f"ocelog/{version('ocelog')}"
        sent = [*headers.items(), ("User-Agent", agent), ("Accept", "*/*")]
        try:
            with (
                httpcore2.ConnectionPool(
                    ssl_context=trust,
                    proxy=proxy,
                    network_backend=backend,
                    max_connections=1,
                    max_keepalive_connections=0,
                ) as pool,
                pool.stream(
                    method,
                    urlunsplit(parts._replace(fragment="")),
                    headers=sent,
                    content=content,
                    extensions={"timeout": timeout},
                ) as said,
            ):
                return self._receipt(host, said, until)
        except httpcore2.TimeoutException as error:
            until.within()
            raise ChannelUnavailableError(Phrase("%(host)s did not answer in time.", host=host)) from error
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.ProxyError,
            httpcore2.UnsupportedProtocol,
            OSError,
        ) as error:
            raise self._unavailable(host, error) from None

    def _receipt(self, host: str, said: httpcore2.Response, until: Deadline) -> Receipt:
        headers = {name.lower(): value.decode("latin-1") for name, value in said.headers}
        return answer.receipt(
            host,
            said.status,
            answer.readable(_body(said, until).decode("utf-8", "replace"), self.redact),
            retry_after=answer.wait(headers.get(b"retry-after", ""), now=self.now()),
            location=answer.readable(headers.get(b"location", ""), self.redact),
        )

    def _unavailable(self, host: str, error: Exception) -> ChannelUnavailableError:
        """Not chained: what the other side sent is in the error, and may repeat a secret."""
        failure = connection_failure(error)
        if failure.kind is FailureKind.CERTIFICATE:
            todo = failure.certificate_advice or Phrase(
                "If your proxy inspects TLS, or the far end has a certificate authority of its own, name that with "
                "ca_file."
            )
            return ChannelUnavailableError(
                Phrase(
                    "The certificate of %(host)s is not trusted (%(verify_message)s). %(todo)s",
                    host=host,
                    verify_message=one_line(failure.says, 100),
                    todo=todo,
                )
            )
        why = answer.readable(failure.says, self.redact).rstrip(".") or type(error).__name__
        why = failure.says if why == failure.says else why
        return ChannelUnavailableError(Phrase("%(host)s did not answer: %(why)s.", host=host, why=why))

    def _proxy(self, scheme: str, host: str) -> httpcore2.Proxy | None:
        """Return the proxy that leads to `host`. Raises ConfigError, which does not repeat what may hold a password."""
        found = self.reach.proxies()
        address = found.get(scheme) or found.get("all")
        if not address or _is_this_machine(host) or self.reach.bypassed(host):
            return None
        try:
            given = httpx2.Proxy(address if "://" in address else f"http://{address}")
        except (ValueError, httpx2.InvalidURL):
            given = None
        if given is None or given.url.scheme not in {"http", "https"}:
            raise ConfigError(
                Phrase(
                    "%(upper)s_PROXY must hold the address of an HTTP proxy, such as "
                    "http://proxy.example:3128: set it so, or unset it, where Ocelog is started.",
                    upper=scheme.upper(),
                )
            )
        return httpcore2.Proxy(str(given.url), auth=given.raw_auth, headers=given.headers.raw)

    def _check_beyond_proxy(self, host: str, port: int, until: Deadline) -> None:
        """Refuse what leads to a forbidden address as seen from here; a name unknown here is the proxy's to judge."""
        try:
            allowed_addresses(
                host,
                port,
                allow_private=self.reach.allow_private,
                within=min(self.reach.connect_seconds, until.within()),
                resolving=self.reach.resolving,
            )
        except ChannelUnavailableError:
            return


def _trust(ca_file: str | None) -> ssl.SSLContext:
    """Return whose certificates are trusted. Raises ConfigError."""
    try:
        context = httpx2.create_ssl_context()
    except OSError as error:
        raise ConfigError(
            Phrase("The system's certificate authorities cannot be read: %(error)s.", error=without_number(error))
        ) from error
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ConfigError(
                Phrase(
                    "The CA file %(ca_file)s holds no certificate that can be read: %(strerror)s.",
                    ca_file=shown_path(Path(ca_file)),
                    strerror=error.strerror,
                )
            ) from error
    return context


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _body(said: httpcore2.Response, until: Deadline) -> bytes:
    """Return the start of the body. That a body breaks off or drips does not undo what the status says."""
    found = bytearray()
    try:
        for piece in said.iter_stream():
            found += piece
            if len(found) >= MOST_BYTES:
                break
            until.within()
    except (
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.TimeoutException,
        ChannelUnavailableError,
        OSError,
    ):
        pass
    return bytes(found[:MOST_BYTES])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backend(httpcore2.NetworkBackend):
    """Connects to addresses that were checked, never to a name, so that a name cannot change its meaning in between."""

    until: Deadline
    reach: Reach
    checked: bool
    """False for a proxy, which the operator of this machine has set."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Any:
        within = self.until.within(timeout)
        addresses = allowed_addresses(
            host,
            port,
            allow_private=not self.checked or self.reach.allow_private,
            within=within,
            resolving=self.reach.resolving,
        )
        last: Exception | None = None
        for address in addresses:
            try:
                inner = httpcore2.SyncBackend().connect_tcp(
                    address, port, self.until.within(timeout), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
            else:
                return _Stream(inner, self.until)
        raise last if last is not None else forbidden(host)

    def connect_unix_socket(self, *_: Any, **__: Any) -> Any:
        raise httpcore2.UnsupportedProtocol("not over a socket of this machine")

    def sleep(self, seconds: float) -> None:
        httpcore2.SyncBackend().sleep(self.until.within(seconds))


@dataclass(frozen=True, slots=True)
class _Stream(httpcore2.NetworkStream):
    inner: Any
    until: Deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found: bytes = self.inner.read(max_bytes, timeout=self.until.within(timeout))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces, since each wait within one write would get all the time that was left at its start.
        for at in range(0, len(buffer), _AT_ONCE):
            self.inner.write(buffer[at : at + _AT_ONCE], timeout=self.until.within(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.until.within(timeout)), self.until)

    def close(self) -> None:
        self.inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
