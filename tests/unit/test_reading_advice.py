"""What a person is told to do fits what went wrong."""

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from ocelog import errors
from ocelog.app.advice import todo
from ocelog.errors import AccessRefusedError, ContractBrokenError, OcelogError, TransientError
from ocelog.lake.storage.disk import refusal
from ocelog.ledger.database import faults
from ocelog.secrets.keys import read_key
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.answers import read_answer
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.streams import ROOTS
from ocelog.sources.wiz.tokens import Tokens

SETTINGS = from_mapping({"token_url": "cognito", "client_id": "client"})


def never(url: str, content: bytes, headers: dict[str, str]) -> HttpAnswer:
    raise AssertionError(f"{url} was sent {content!r} with {headers}")


def test_a_lost_key_is_no_matter_for_wiz(tmp_path: Path) -> None:
    def secret() -> Secret:
        return Secret(read_key(tmp_path / "key").hex())

    with pytest.raises(AccessRefusedError, match="could not be read") as caught:
        Tokens(SETTINGS, secret, never).get()
    advice = todo(caught.value.code, "prod")
    assert "ocelog source rotate prod" in advice
    assert "Wiz" not in advice


def test_what_wiz_refuses_and_what_nobody_knows_are_told_apart() -> None:
    refused, odd = todo(AccessRefusedError.code, "prod"), todo(ContractBrokenError.code, "prod")
    assert refused.startswith("Correct the service account")
    assert "report the message" in odd
    assert "ocelog source check prod" in refused
    assert "ocelog source check prod" in odd


def test_advice_names_what_to_do_and_does_not_send_back_to_the_message() -> None:
    codes = [*errors.CAUSES, *(kind.code for kind in descendants(OcelogError))]
    assert not any("the message says" in todo(code, "prod", idle=idle) for code in codes for idle in (True, False))
    assert "enter the new one: ocelog source rotate prod." in todo("credentials_refused", "prod")


@pytest.mark.parametrize(
    "code", ["access_refused", "credentials_refused", "scope_missing", "access_denied", "web_page"]
)
def test_what_was_put_right_at_the_source_is_read_again_by_the_service_or_by_a_pull(code: str) -> None:
    assert todo(code, "prod", idle=True).endswith("ocelog source check prod, and if all is well: ocelog pull")
    assert "goes on within minutes" in todo(code, "prod")


def descendants(kind: type[OcelogError]) -> list[type[OcelogError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in descendants(child))]


@pytest.mark.parametrize("kind", descendants(TransientError))
def test_what_is_tried_again_says_so_while_something_runs_and_not_otherwise(kind: type[TransientError]) -> None:
    assert "tried again" in todo(kind.code, "prod")
    while_idle = todo(kind.code, "prod", idle=True)
    assert "it is tried again" not in while_idle
    assert "un: ocelog pull, or to keep it going: ocelog run" in while_idle


@pytest.mark.parametrize("code", [*errors.CAUSES, *(kind.code for kind in descendants(OcelogError))])
def test_no_advice_promises_another_try_while_nothing_runs(code: str) -> None:
    advice = todo(code, "prod", idle=True)
    assert not any(promise in advice for promise in ("tried again", "by itself", "every few minutes"))


def test_an_error_raised_again_for_another_thread_keeps_its_code() -> None:
    calls = list[str]()

    def proxied(url: str, content: bytes, headers: dict[str, str]) -> HttpAnswer:
        del content, headers
        calls.append(url)
        return HttpAnswer(status=403, headers={"content-type": "text/html"}, body=b"<html><title>No</title></html>")

    tokens = Tokens(SETTINGS, lambda: Secret("x"), proxied, monotonic=lambda: 0.0)
    codes = list[str]()
    for _ in range(2):
        with pytest.raises(OcelogError) as caught:
            tokens.get()
        codes.append(caught.value.code)
    assert (codes, len(calls)) == (["web_page"] * 2, 1)


def full_ledger() -> OcelogError:
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorname = "SQLITE_FULL"
    told = faults.translated(OperationalError("INSERT", {}, cause), make_url("sqlite:////home/x/ledger.db"))
    assert isinstance(told, OcelogError)
    return told


@pytest.mark.parametrize(
    "error", [refusal(OSError(errno.ENOSPC, "No space left on device"), "landing/x.parquet"), full_ledger()]
)
def test_a_full_disk_is_for_a_person_to_make_room_on(error: OcelogError) -> None:
    assert "Free some space" in todo(error.code, "prod")


def test_what_passes_by_itself_needs_nobody() -> None:
    assert todo(refusal(OSError(errno.EIO, "I/O error"), "landing/x.parquet").code, "prod").startswith("Nothing")


@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_proxy_that_answers_in_wiz_s_place_is_named(status: int) -> None:
    page = HttpAnswer(status=status, headers={"content-type": "text/html"}, body=b"<html><title>Sign in</title></html>")
    with pytest.raises(OcelogError, match="Sign in") as caught:
        read_answer(page, ROOTS["Wiz.Audit"], after=None, asked_us=0)
    assert "proxy or firewall" in todo(caught.value.code, "prod")
    assert "ocelog source check prod" in todo(caught.value.code, "prod")
