"""What `ocelog source add` asks on a terminal, in the order of Wiz's pages, and how a wrong answer is mended."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ocelog.app.sources import GivenSecret
from ocelog.cli import questions
from ocelog.cli.questions import asked, say
from ocelog.cli.source_options import Said
from ocelog.cli.source_trial import free_name, new_row, prove
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow

_QUESTIONS: dict[str, Callable[[Said], Said]] = {
    "u": questions.endpoint,
    "i": questions.client_id,
    "l": questions.log_types,
    "k": lambda said: replace(said, no_check=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """All that adding a tenant needs."""

    name: str
    said: Said
    secret: GivenSecret


def somebody_is_there() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(installation: Installation, name: str | None, said: Said) -> tuple[SourceRow, GivenSecret]:
    """Ask for everything that adding a tenant needs, until Wiz lets it work or the person wants it saved as it is."""
    free = partial(free_name, installation)
    if name is not None:
        name = free(name)
    say("Adding a Wiz tenant. Have Wiz open in a browser, as a user who may make service accounts.")
    answers = _asked(name or asked("A name for this tenant, for example prod", free), said)
    while True:
        try:
            row = new_row(installation, answers.name, answers.said)
            if not answers.said.no_check:
                prove(row, answers.secret, "Nothing is saved yet.")
        except OcelogError as error:
            say(f"\n{error}")
            answers = _mended(answers, free)
        else:
            return row, answers.secret


def _asked(name: str, said: Said) -> Answers:
    said = questions.endpoint(said)
    say(
        "\nStep 2: a service account.\n  In Wiz: Settings > Access Management > Service Accounts > Add Service Account."
    )
    said = questions.log_types(said)
    say("  Click Add Service Account. Wiz shows the Client ID and, this once only, the Client Secret: copy both.")
    said = questions.client_id(said)
    secret = questions.secret()
    return Answers(name=name, said=questions.backfill(said), secret=secret)


def _mended(answers: Answers, free: Callable[[str], str]) -> Answers:
    """Ask what to do about answers that do not work, and change nothing but that."""
    said = answers.said
    for letter, meaning in _choices(answers).items():
        say(f"  {letter}  {meaning}")
    match asked("What now?", _one_of(_choices(answers)), default="r"):
        case "q":
            raise ConfigError("Nothing was saved.")
        case "n":
            return replace(answers, name=asked("Another name", free))
        case "s":
            return replace(answers, secret=questions.secret())
        case letter:
            question = _QUESTIONS.get(letter)
            return answers if question is None else replace(answers, said=question(said))


def _choices(answers: Answers) -> dict[str, str]:
    said = answers.said
    return {
        "r": "try again",
        "u": f"change the addresses ({said.api_url or 'API: as the token says'}, {said.token_url})",
        "i": f"change the client ID ({said.client_id})",
        "s": "change the client secret",
        "l": f"change what is read ({', '.join(said.log_type or ())})",
        "n": f"change the name ({answers.name})",
        "k": "keep it as it is, and mend it later: ocelog source edit NAME",
        "q": "quit; nothing is saved",
    }


def _one_of(choices: dict[str, str]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text[:1].lower() not in choices:
            raise ConfigError(f"Type one of {', '.join(choices)}.")
        return text[:1].lower()

    return checked
