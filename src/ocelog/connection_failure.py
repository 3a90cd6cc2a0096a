"""What kind of failure an exchange with a far end ended in, and what is said of it, whichever library carried it."""

import re
import ssl
from collections.abc import Iterator
from enum import Enum, auto

from msgspec import Struct

from ocelog.errors import without_number
from ocelog.languages.phrases import Phrase, translatable

_WORDS = frozenset(
    {
        translatable("Connection refused"),
        translatable("Connection reset by peer"),
        translatable("Name or service not known"),
        translatable("Network is unreachable"),
        translatable("No address associated with hostname"),
        translatable("No route to host"),
        translatable("Server disconnected without sending a response"),
        translatable("Temporary failure in name resolution"),
    }
)
"""What the system and the libraries most often say of a connection."""
_CUT_SHORT = re.compile(
    r"peer closed connection without sending complete message body \(received (\d+) bytes, expected (\d+)\)"
)
_CERTIFICATE_ADVICE = {
    9: Phrase("It begins later: is the clock of this machine right?"),
    10: Phrase("The far end must renew it, unless the clock of this machine is wrong."),
    62: Phrase("It is for another name: is the address right?"),
    64: Phrase("It is for another address: use the name that it is for."),
}
"""What to do about a certificate that no authority makes good, by OpenSSL's number (X509_V_ERR)."""


class FailureKind(Enum):
    """What a caller gives different advice for."""

    CERTIFICATE = auto()
    """The far end's certificate is not trusted."""
    NOT_CONNECTED = auto()
    """No connection came to be in time."""
    TIMEOUT = auto()
    """It took too long otherwise."""
    OTHER = auto()


class ConnectionFailure(Struct, frozen=True, kw_only=True):
    """What an exception says of an exchange."""

    kind: FailureKind
    says: str
    """What is wrong, without a number of the system or a full stop; for a certificate, why it is not trusted.

    May repeat what the far end sent, or an address. A Phrase if it is one that can be translated.
    """
    innermost: str
    """The same in the system's own words, or else the name of a class: it never repeats an address."""
    certificate_advice: Phrase | None = None
    """What to do about a certificate, if trusting another authority would not help."""


def connection_failure(error: BaseException) -> ConnectionFailure:
    """Return what `error` says: of httpx, httpcore, requests, smtplib, or the system."""
    last, kind = error, _timeout(error)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConnectionFailure(
                kind=FailureKind.CERTIFICATE,
                says=cause.verify_message,
                innermost=cause.verify_message,
                certificate_advice=_CERTIFICATE_ADVICE.get(cause.verify_code),
            )
        if kind is None and isinstance(cause, TimeoutError):
            kind = FailureKind.TIMEOUT
        last = cause
    return ConnectionFailure(
        kind=kind or FailureKind.OTHER,
        says=_in_words(error),
        innermost=(last.strerror if isinstance(last, OSError) else None) or type(last).__name__,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those behind it: urllib3 keeps some as the first argument alone."""
    seen, cause = set[int](), error
    while id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        argument = cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else None
        cause = cause.__cause__ or cause.__context__ or argument or cause


def _timeout(error: BaseException) -> FailureKind | None:
    # By name, since no library is imported here: a child that speaks by one has no use for the others.
    names = {each.__name__ for each in type(error).__mro__}
    if "ConnectTimeout" in names:
        return FailureKind.NOT_CONNECTED
    return FailureKind.TIMEOUT if names & {"TimeoutException", "Timeout"} else None


def _in_words(error: BaseException) -> str:
    text = without_number(error).rstrip(".") or type(error).__name__
    if cut_short := _CUT_SHORT.fullmatch(text):
        return Phrase(
            "peer closed connection without sending complete message body (received %(received)s bytes, expected "
            "%(expected)s)",
            received=cut_short[1],
            expected=cut_short[2],
        )
    return Phrase(text) if text in _WORDS else text
