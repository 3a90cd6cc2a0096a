"""How a typed secret stays unseen."""

import io
from typing import Any

import pytest
import typer

from ocelog.cli.secret_input import given_secret


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
