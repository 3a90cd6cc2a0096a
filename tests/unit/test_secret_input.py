"""How a typed secret stays unseen."""

import io
from pathlib import Path
from typing import Any

import pytest
import typer

from ocelog.cli.secret_input import given_ledger, given_secret
from ocelog.errors import ConfigError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_secret_from_stdin_is_asked_for_unseen_if_stdin_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[dict[str, Any]]()

    def prompt(_: str, **options: Any) -> str:
        asked.append(options)
        return "typed"

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", prompt)
    given = given_secret(file="-", variable=None, reference=None)
    assert given is not None
    assert given.value.reveal() == "typed"
    assert asked == [{"hide_input": True}]


def test_the_address_of_a_ledger_comes_from_where_nobody_else_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "postgresql://ocelog:hunter2-hunter2@db.example.com/ocelog"
    monkeypatch.setenv("LEDGER_ADDRESS", address)
    (tmp_path / "ledger").write_text(f"{address}\n")
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", lambda _, **__: address)
    for given in ("env:LEDGER_ADDRESS", f"file:{tmp_path / 'ledger'}", "file:-"):
        assert given_ledger(given) == address
    for plain in (None, "postgresql://ocelog@db.example.com/ocelog", "sqlite:////srv/ledger.db"):
        assert given_ledger(plain) == plain
    assert capsys.readouterr() == ("", "")
    for given in (address, "postgresql://db.example.com/ocelog?user=ocelog&password=hunter2-hunter2"):
        assert given_ledger(given) == given
        told = capsys.readouterr()
        assert "--ledger env:VARIABLE" in told.err
        assert "hunter2" not in told.out + told.err
    with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE holds no ledger's address"):
        given_ledger("env:NO_SUCH_VARIABLE")
