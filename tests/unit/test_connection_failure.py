"""What is said of an exchange that failed, whichever library carried it."""

import smtplib
import socket
import ssl

import httpcore2
import httpx2
import pytest
import requests

from ocelog.connection_failure import FailureKind, connection_failure
from ocelog.languages.phrases import translated

REFUSED = ConnectionRefusedError(111, "Connection refused")


def behind(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


def untrusted(code: int, why: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, why
    return error


@pytest.mark.parametrize(
    "outer",
    [
        httpx2.ConnectError("x"),
        httpcore2.ConnectError("x"),
        requests.exceptions.SSLError("https://hooks.example.com/secret"),
        OSError("x"),
    ],
)
def test_a_certificate_is_found_behind_any_library(outer: Exception) -> None:
    failure = connection_failure(behind(outer, behind(RuntimeError("between"), untrusted(18, "self-signed"))))
    assert (failure.kind, failure.says, failure.certificate_advice) == (FailureKind.CERTIFICATE, "self-signed", None)


@pytest.mark.parametrize("code", [9, 10, 62, 64])
def test_another_authority_is_not_advised_where_it_would_not_help(code: int) -> None:
    assert connection_failure(untrusted(code, "wrong")).certificate_advice is not None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ConnectTimeout("x"), FailureKind.NOT_CONNECTED),
        (httpcore2.ConnectTimeout("x"), FailureKind.NOT_CONNECTED),
        (requests.ConnectTimeout("x"), FailureKind.NOT_CONNECTED),
        (httpx2.ReadTimeout("x"), FailureKind.TIMEOUT),
        (httpx2.PoolTimeout("x"), FailureKind.TIMEOUT),
        (httpcore2.ReadTimeout("x"), FailureKind.TIMEOUT),
        (requests.ReadTimeout("x"), FailureKind.TIMEOUT),
        (TimeoutError(), FailureKind.TIMEOUT),
        (behind(smtplib.SMTPServerDisconnected("x"), TimeoutError("timed out")), FailureKind.TIMEOUT),
        (requests.ConnectionError(TimeoutError("timed out")), FailureKind.TIMEOUT),
        (behind(httpx2.ConnectError("x"), REFUSED), FailureKind.OTHER),
    ],
)
def test_what_took_too_long_is_told_apart(error: Exception, kind: FailureKind) -> None:
    assert connection_failure(error).kind is kind


@pytest.mark.parametrize(
    ("error", "says", "innermost"),
    [
        (behind(httpx2.ConnectError(str(REFUSED)), REFUSED), "Connection refused", "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known", "Name or service not known"),
        (httpx2.RemoteProtocolError("Server disconnected."), "Server disconnected", "RemoteProtocolError"),
        (httpx2.ReadError(""), "ReadError", "ReadError"),
        (behind(requests.ConnectionError("/secret"), REFUSED), "/secret", "Connection refused"),
        (requests.exceptions.InvalidURL("/secret"), "/secret", "InvalidURL"),
    ],
)
def test_it_is_in_words_and_the_innermost_never_repeats_an_address(error: Exception, says: str, innermost: str) -> None:
    failure = connection_failure(error)
    assert (failure.says, failure.innermost) == (says, innermost)


def test_an_exception_behind_itself_ends() -> None:
    one, other = OSError("one"), OSError("other")
    one.__context__, other.__context__ = other, one
    assert connection_failure(one).innermost == "OSError"


@pytest.mark.parametrize(
    "text",
    [
        "Connection refused",
        "peer closed connection without sending complete message body (received 4 bytes, expected 9)",
    ],
)
def test_what_is_said_most_often_can_be_translated(text: str) -> None:
    korean = translated(connection_failure(httpx2.ReadError(f"{text}.")).says, "ko")
    assert korean != text
    assert not korean.isascii()
