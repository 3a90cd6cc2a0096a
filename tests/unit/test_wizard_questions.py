"""What the wizard offers as the answer to a question that it asks again."""

from typing import Any

import pytest

from ocelog.cli import questions
from ocelog.cli.source_options import SourceOptions
from ocelog.sources.wiz.product import WIZ

OWN = "https://auth.example.com/token"
API = "https://api.example.com/graphql"


def asked_about_addresses(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], **before: str
) -> tuple[SourceOptions, list[str]]:
    """Return what was chosen, and each question as it was asked; a text of no length is Enter."""
    prompts, left = list[str](), iter(typed)

    def prompt(shown: str, default: str, **_: Any) -> str:
        prompts.append(" ".join(shown.split()))
        return next(left) or default

    monkeypatch.setattr("typer.prompt", prompt)
    step = WIZ.steps[0]
    addresses = [each for each in step.questions if not isinstance(each, str)]
    return questions.answered(SourceOptions(no_check=True, own=dict(before)), addresses, step), prompts


def test_a_data_centre_that_was_refused_with_an_own_token_url_is_not_offered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen, prompts = asked_about_addresses(monkeypatch, ["us1", OWN, API, ""])
    assert prompts[2] == "API Endpoint URL (empty: read it from the token)"
    assert prompts[3].endswith(f"[{OWN}]")
    assert chosen.own == {"api_url": API, "token_url": OWN}


def test_who_left_the_api_url_empty_with_an_own_token_url_is_told_that_it_may_not_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen, _ = asked_about_addresses(monkeypatch, ["", OWN, API, ""])
    assert "the API URL cannot be empty" in " ".join(capsys.readouterr().err.split())
    assert chosen.own == {"api_url": API, "token_url": OWN}


def test_how_an_answer_is_taken_back_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, prompts = asked_about_addresses(monkeypatch, ["-", "cognito"], api_url=API)
    assert prompts[0] == f"API Endpoint URL (type - for none) [{API}]"
    assert "api_url" not in chosen.own
