"""What a person is told to do fits what went wrong."""

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from ocelog.app.advice import todo
from ocelog.errors import AccessRefusedError, ContractBrokenError, OcelogError
from ocelog.lake.storage.disk import refusal
from ocelog.ledger.database import faults
from ocelog.ledger.keys import read_key
from ocelog.secret import Secret
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
    advice = todo(caught.value, "prod")
    assert "ocelog source rotate prod" in advice
    assert "Wiz" not in advice


def test_what_wiz_refuses_and_what_nobody_knows_are_told_apart() -> None:
    assert todo(AccessRefusedError("refused"), "prod").startswith("Do what the message says")
    assert "report the message" in todo(ContractBrokenError("odd"), "prod")
    assert all(
        "ocelog source check prod" in todo(kind("x"), "prod") for kind in (AccessRefusedError, ContractBrokenError)
    )


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
    assert "Free some space" in todo(error, "prod")


def test_what_passes_by_itself_needs_nobody() -> None:
    assert todo(refusal(OSError(errno.EIO, "I/O error"), "landing/x.parquet"), "prod").startswith("Nothing")


@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_proxy_that_answers_in_wiz_s_place_is_named(status: int) -> None:
    page = HttpAnswer(status=status, headers={"content-type": "text/html"}, body=b"<html><title>Sign in</title></html>")
    with pytest.raises(OcelogError, match="Sign in") as caught:
        read_answer(page, ROOTS["Wiz.Audit"], after=None, asked_us=0)
    assert "proxy or firewall" in todo(caught.value, "prod")
    assert "ocelog source check prod" in todo(caught.value, "prod")
