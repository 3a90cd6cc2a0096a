"""How a remote Ocelog is asked: one request after the other, with the token, and its errors as errors of ours."""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2

from ocelog import errors
from ocelog.connection_failure import ConnectionFailure, FailureKind, connection_failure
from ocelog.errors import (
    ConfigError,
    OcelogError,
    RemoteUnavailableError,
    SignInRefusedError,
    TransientError,
    without_number,
)
from ocelog.remote.address import base_of, is_near
from ocelog.secrets.secret import Secret

T = TypeVar("T")
_CONNECT_S, _ANSWER_S = 10.0, 130.0
"""A server begins to answer within 120 s, or not at all."""
_WHOLE_S = 600.0
"""For which an answer that is held in memory may keep coming."""
_LONGEST_WAIT_S = 120
"""For which an Ocelog that is asked too often is waited for, in all."""
_LARGEST = 256 << 20
"""Bytes of an answer that is held in memory."""
_PAGE = 200
_PROBLEM = "application/problem+json"


class Client:
    """Asks one Ocelog. No redirect is followed: the token must not travel to a host that nobody named."""

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Make a client of the Ocelog at `url`; `told` hears of waits. Raises ConfigError."""
        self._base = base_of(url)
        self._token, self._sleep, self._monotonic, self._told = token, sleep, monotonic, told
        self._waited = 0
        self._version: str | None = None
        parts = urlsplit(self._base)
        self.host = parts.netloc
        near = is_near(parts.hostname or "")
        try:
            self._http = httpx2.Client(
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if parts.scheme == "http" else _trust(),
                trust_env=not near,
                transport=transport,
                timeout=httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S),
                follow_redirects=False,
                headers={"User-Agent": f"ocelog/{version('ocelog')}", "Accept": "application/json"},
            )
        except (ImportError, ValueError, httpx2.InvalidURL):
            # Not chained: the address of a proxy may hold a password.
            raise ConfigError("HTTPS_PROXY must hold the address of an HTTP proxy: set it so, or unset it.") from None

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, *path: str, **query: Any) -> Any:
        """Return what is at a path, whose parts may be any text. Raises OcelogError."""
        return self.send("GET", *path, query=query)

    def send(self, method: str, *path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Send a request and return its answer; None: it has none. Raises OcelogError."""
        with self.stream(method, *path, body=body, query=query) as answer:
            content, until = bytearray(), self._monotonic() + _WHOLE_S
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _LARGEST:
                    raise ConfigError(f"{self.host} answered more than {_LARGEST:,} bytes: ask for less at once.")
                if self._monotonic() > until:
                    raise RemoteUnavailableError(f"{self.host} did not finish its answer within {_WHOLE_S:g} s.")
        if answer.status_code == 204:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._foreign(answer) from None

    def pages(self, *path: str, **query: Any) -> Iterator[Any]:
        """Yield the entries of a list, page by page. Raises OcelogError."""
        cursor = None
        while True:
            page = self.get(*path, **query, limit=_PAGE, **({} if cursor is None else {"cursor": cursor}))
            with self.reading():
                found, cursor = page["items"], page["next"]
            yield from found
            if cursor is None:
                return

    @contextmanager
    def stream(
        self, method: str, *path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> Iterator[httpx2.Response]:
        """Yield an answer that is as wanted, to be read within the block. Raises OcelogError."""
        url = "/".join([self._base, *(quote(each, safe="") for each in path)])
        given = {name: value for name, value in (query or {}).items() if value is not None}
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        while True:
            with (
                self._translated(),
                self._http.stream(method, url, params=given, json=body, headers=headers) as answer,
            ):
                self._version = answer.headers.get("ocelog-version") or self._version
                if answer.is_success:
                    yield answer
                    return
                wait = self._refused(answer)
            self._wait(wait)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say of an answer that cannot be read within the block that another version made it."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{self.host} answered what this version does not know ({type(error).__name__}: {error}). "
                f"{self._versions()}"
            ) from error

    def _versions(self) -> str:
        there = self._version or "an unknown version"
        return f"It runs Ocelog {there}, and this is {version('ocelog')}: use the same on both machines."

    def _refused(self, answer: httpx2.Response) -> float:
        """Return how many seconds to wait before the request is sent again. Raises OcelogError if that is no use."""
        if answer.is_redirect:
            raise ConfigError(
                f"{self.host} redirects to {answer.headers.get('location', 'nowhere')[:200]!r}, where no token is sent "
                "by itself: if that is your Ocelog, name it in --url or OCELOG_URL."
            )
        content = b""
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > 1 << 20:
                break
        try:
            problem = json.loads(content)
            code, detail = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = None
        if problem is None or answer.headers.get("content-type") != _PROBLEM:
            if answer.status_code in (502, 503, 504):
                raise RemoteUnavailableError(f"{self.host} answers {answer.status_code}: Ocelog is not running there.")
            raise self._foreign(answer)
        wait = answer.headers.get("retry-after", "")
        if answer.status_code == 429 and code != SignInRefusedError.code and re.fullmatch(r"[0-9]{1,4}", wait):
            if self._waited + int(wait) <= _LONGEST_WAIT_S:
                return max(float(wait), 1.0)
            raise RemoteUnavailableError(f"{self.host} is asked too often: {detail}", code=code)
        raise self._error(answer.status_code, code, detail, problem)

    def _error(self, status: int, code: str, detail: str, problem: Mapping[str, Any]) -> OcelogError:
        match status:
            case 401:
                return SignInRefusedError(
                    f"{self.host} refuses the token: {detail} Make one there: ocelog user token add --help"
                )
            case 403:
                scope = problem.get("scope")
                needed = f" with --scope {scope}, of a user who may do so" if scope else ""
                return SignInRefusedError(
                    f"{self.host} does not let this token do that. Make one there{needed}: "
                    "ocelog user token add --help",
                    code=code,
                )
            case 400 | 405 | 413:
                return ConfigError(f"{self.host} refuses the request: {detail} {self._versions()}", code=code)
            case 422 if errors := _mappings(problem.get("errors")):
                wrong = "; ".join(f"{each.get('field')}: {each.get('message')}" for each in errors)
                return ConfigError(f"{self.host} refuses the request: {wrong}. {self._versions()}", code=code)
            case 404 if self._version not in (None, version("ocelog")):
                return ConfigError(f"{detail} {self._versions()}", code=code)
            case _ if status >= 500 or status == 429:
                return error_of(code, detail, later=True)
            case _:
                return error_of(code, detail, later=False)

    def _foreign(self, answer: httpx2.Response) -> ConfigError:
        kind = answer.headers.get("content-type", "").partition(";")[0][:100] or "nothing"
        return ConfigError(
            f"{self.host} does not answer as Ocelog does ({answer.status_code}, {kind}): name the address of its "
            "console in --url or OCELOG_URL. If a proxy is before it, let it pass /api/."
        )

    def _wait(self, seconds: float) -> None:
        self._waited += max(int(seconds), 1)
        self._told(f"{self.host} is asked too often; asking again in {seconds:g} s.")
        self._sleep(seconds)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what goes wrong on the wire into an error of ours, which names no header."""
        try:
            yield
        except httpx2.HTTPError as error:
            raise self._failed(connection_failure(error)) from error
        except httpx2.InvalidURL as error:
            raise ConfigError(f"{self.host} is not a valid address: {error}.") from error

    def _failed(self, failure: ConnectionFailure) -> OcelogError:
        match failure.kind:
            case FailureKind.NOT_CONNECTED:
                return RemoteUnavailableError(f"{self.host} did not answer in time.")
            case FailureKind.TIMEOUT:
                return RemoteUnavailableError(f"{self.host} stopped answering.")
            case FailureKind.CERTIFICATE:
                todo = failure.certificate_advice or (
                    "If an authority of your own made it, name its file in SSL_CERT_FILE."
                )
                return ConfigError(f"The certificate of {self.host} is not trusted: {failure.says}. {todo}")
            case FailureKind.OTHER:
                return RemoteUnavailableError(f"{self.host} cannot be reached: {failure.says}.")


def error_of(code: str, text: str, *, later: bool) -> OcelogError:
    """Return the error of ours that a remote Ocelog names by its `code`, or one that is like it."""
    kind = _KINDS.get(code)
    if kind is not None and issubclass(kind, TransientError) is later:
        return kind(text)
    return RemoteUnavailableError(text, code=code) if later else ConfigError(text, code=code)


def _every(kind: type[OcelogError]) -> Iterator[type[OcelogError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _every(each)


_KINDS: Mapping[str, type[OcelogError]] = {each.code: each for each in _every(errors.OcelogError)}


def _trust() -> ssl.SSLContext:
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        raise ConfigError(
            f"SSL_CERT_FILE or SSL_CERT_DIR names no certificates that can be read: {without_number(error)}. Set it to "
            "where they are, or unset it."
        ) from error


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
