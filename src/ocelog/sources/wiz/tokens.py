"""Which token to ask with: one for all threads, renewed before it lapses, fetched by one of them at a time."""

import re
import threading
import time
from collections.abc import Callable
from typing import Annotated, NoReturn, Protocol
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from ocelog.errors import (
    AccessRefusedError,
    ContractBrokenError,
    HaltError,
    OcelogError,
    OperatorError,
    SourceThrottledError,
    SourceUnavailableError,
)
from ocelog.languages.phrases import Phrase
from ocelog.secrets.redaction import Redactor
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.exchange import RIGHT_ONE, HttpAnswer
from ocelog.sources.wiz.settings import WizSettings

_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
"""What may stand in a header: anything else would be told in the error of whoever tried to send it."""
_LONGEST_REASON = 300
_FALLBACK_SECONDS = 3600.0
"""Where the answer does not say: the shortest life that was seen (test tenants; a day is usual)."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, by which Wiz knows the service account until `renew_at`."""

    value: Secret
    renew_at: float
    """On our monotonic clock, in seconds: some minutes before it lapses."""
    fetched_at: float = 0.0
    """Likewise."""
    number: int = 0
    """Counts the tokens of this process."""


class Post(Protocol):
    """Sends one POST."""

    def __call__(self, url: str, content: bytes, headers: dict[str, str]) -> HttpAnswer:
        """Return the answer, whatever its status."""
        ...


# Decoding straight into a struct keeps the secret text out of any other object.
class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")] | None = None
    """Seconds. Some servers write them as text."""


class Tokens:
    """Keeps one token. Refreshing is asking anew: the refresh token that Wiz sends along is of no use here.

    `secret` is called for each token, so that a rotated secret is taken up without a restart.
    """

    def __init__(
        self,
        settings: WizSettings,
        secret: Callable[[], Secret],
        post: Post,
        *,
        redactor: Redactor | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep tokens of `settings`; `redactor` learns each secret before it is sent, and each token that comes."""
        self._redactor = redactor or Redactor()
        self._settings = settings
        self._secret = secret
        self._post = post
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failure: tuple[float, OcelogError] | None = None
        self._refused = set[int]()

    def get(self, *, refused: Token | None = None) -> Token:
        """Return a token that is good for some minutes, and is not `refused`, the one that Wiz did not take.

        Threads that ask while one fetches share what comes of it, be it an error. Raises AccessRefusedError,
        ContractBrokenError, SourceThrottledError, SourceUnavailableError or ConfigError, none of which tells a secret.
        """
        asked = self._monotonic()
        token = self._token
        if self._is_good(token, refused) and token is not None:
            return token
        with self._lock:
            token = self._token
            if self._is_good(token, refused) and token is not None:
                return token
            if self._failure is not None and self._failure[0] >= asked:
                raise _again(self._failure[1])
            try:
                self._token = self._fetch(token.number + 1 if token is not None else 1)
            except OcelogError as error:
                self._failure = (self._monotonic(), error)
                raise
            return self._token

    def refuse(self, token: Token) -> int:
        """Take in that the API refused `token`; return how many it has refused since it last took one."""
        self._refused.add(token.number)
        return len(self._refused)

    def accept(self) -> None:
        """Take in that the API took a token."""
        self._refused.clear()

    def _is_good(self, token: Token | None, refused: Token | None) -> bool:
        if token is None or self._monotonic() >= token.renew_at:
            return False
        return refused is None or token.number > refused.number

    def _fetch(self, number: int) -> Token:
        form = {
            "grant_type": "client_credentials",
            "audience": self._settings.audience,
            "client_id": self._settings.client_id,
            "client_secret": self._reveal(),
        }
        try:
            content = urlencode(form).encode()
        except UnicodeEncodeError:
            # Not chained: the error holds the text.
            raise AccessRefusedError(
                Phrase("The client secret contains characters that cannot be sent: enter it again.")
            ) from None
        asked = self._monotonic()
        answered = self._post(self._settings.token_url, content, {"Content-Type": "application/x-www-form-urlencoded"})
        answered = replace(answered, redact=self._redactor)
        if answered.status != 200:
            _refuse(answered)
        granted = _granted(answered)
        self._redactor.learn(Secret(granted.access_token))
        said = float(granted.expires_in or 0)
        life = said if said > 0 else _FALLBACK_SECONDS
        margin = min(300.0, life / 5)
        return Token(
            value=Secret(granted.access_token), renew_at=asked + life - margin, fetched_at=asked, number=number
        )

    def _reveal(self) -> str:
        try:
            secret = self._secret()
        except OperatorError as error:
            told = Phrase("The client secret could not be read: %(error)s", error=error.phrase)
            raise AccessRefusedError(told, code="secret_unreadable") from error
        self._redactor.learn(secret)
        return secret.reveal()


def _granted(answered: HttpAnswer) -> _TokenAnswer:
    try:
        granted = msgspec.json.decode(answered.body, type=_TokenAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        granted = None
    if granted is None or not _TOKEN.fullmatch(granted.access_token):
        # Not chained, nor quoted: the body may hold a token.
        # A proxy's page and a cut answer look just like a wrong address, and pass: only whoever looks on can tell.
        page = _web_page(answered)
        if page is not None:
            raise SourceUnavailableError(
                answered.told(
                    Phrase("The token URL answered with a web page that holds no access token%(page)s", page=page)
                ),
                code="web_page",
            )
        raise SourceUnavailableError(
            answered.told(
                Phrase(
                    "The token URL answered with something that holds no access token. If it stays so, check the URL."
                )
            )
        )
    return granted


def _refuse(answered: HttpAnswer) -> NoReturn:
    """Raise what a status other than 200 means."""
    status = answered.status
    if status == 429:
        raise SourceThrottledError(
            answered.told(Phrase("Wiz's token endpoint is rate-limiting requests (HTTP 429).")),
            retry_after=answered.wait,
        )
    if status >= 500 or status == 408:
        raise SourceUnavailableError(
            answered.told(Phrase("Wiz's token endpoint is not available (HTTP %(status)s).", status=status)),
            retry_after=answered.wait,
        )
    if 300 <= status < 400:
        raise ContractBrokenError(
            Phrase(
                "The token URL redirects (HTTP %(status)s) to %(where)s. That is not followed, for a secret must not "
                "travel to a host that nobody named. If the host is right, name it directly; if it is a proxy's login "
                "page, let this machine through it.",
                status=status,
                where=answered.leads_to,
            )
        )
    if status == 407:
        raise AccessRefusedError(Phrase("The proxy on the way asks for a login (HTTP 407): set it in HTTPS_PROXY."))
    page = _web_page(answered)
    if page is not None:
        told = answered.told(
            Phrase("The token URL answered HTTP %(status)s with a web page%(page)s", status=status, page=page)
        )
        raise AccessRefusedError(told, code="web_page")
    if status in (400, 401, 403):
        raise AccessRefusedError(
            Phrase(
                "Wiz refused this client ID and secret (HTTP %(status)s%(reason)s).",
                status=status,
                reason=_reason(answered),
            ),
            todo=answered.told(
                Phrase(
                    "Check the client ID, the client secret and the token URL. In Wiz (Settings > Access Management > "
                    "Service Accounts), check that the service account exists and has not expired, and that its secret "
                    "was not rotated."
                )
            ),
            code="credentials_refused",
        )
    raise ContractBrokenError(
        answered.told(Phrase("The token URL answered HTTP %(status)s.", status=status)), todo=RIGHT_ONE
    )


def _web_page(answered: HttpAnswer) -> Phrase | None:
    """Return what to say of an answer that is a web page, after the words `a web page`; None if it is none."""
    title = answered.web_page
    if title is None:
        return None
    return Phrase(
        "%(title)s. Wiz answers with JSON: so a proxy or firewall on the way blocks or changes the request, or the "
        "token URL is wrong. Let this machine reach the token URL (HTTPS_PROXY, NO_PROXY, an allowlist), or correct "
        "it.",
        title=title,
    )


def _reason(answered: HttpAnswer) -> str:
    """Return what the answer says went wrong, such as `, invalid_grant: the account is expired`; bounded."""
    try:
        found = msgspec.json.decode(answered.body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    said = [found.get("error"), found.get("error_description") or found.get("message")]
    texts = [answered.readable(text)[:_LONGEST_REASON].strip(" .") for text in said if isinstance(text, str)]
    told = ": ".join(dict.fromkeys(text for text in texts if text))
    return f", {told}" if told else ""


def _again(error: OcelogError) -> OcelogError:
    """Return the same error for another thread: one object must not be raised by two."""
    if isinstance(error, SourceThrottledError | SourceUnavailableError):
        return type(error)(error.what, todo=error.todo, retry_after=error.retry_after, code=error.code)
    if isinstance(error, HaltError | OperatorError):
        again = type(error)(error.what, todo=error.todo, code=error.code)
        again.__cause__ = error.__cause__
        return again
    return SourceUnavailableError(error.phrase)
