"""How a person hands in a secret: a file, stdin, a variable, a reference, or typed unseen."""

import os
import re
import sys
from pathlib import Path

import typer

from ocelog.app.sources import GivenSecret
from ocelog.errors import ConfigError
from ocelog.secret import Secret, hidden, may_be_shown, shown_path

_LONGEST = 65_536
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
WAYS = (
    "--client-secret-file FILE (- is stdin), --client-secret-env VARIABLE or --client-secret-ref file:PATH|env:VARIABLE"
)


def given_secret(*, file: str | None, variable: str | None, reference: str | None) -> GivenSecret | None:
    """Return the secret that the options name, None if they name none. Raises ConfigError, which never shows it."""
    if sum(each is not None for each in (file, variable, reference)) > 1:
        raise ConfigError("Give the client secret in one way only.")
    if file == "-" and sys.stdin.isatty():
        # A person sits there: what is typed must not be seen, and ends with Enter.
        return asked_secret()
    if file is not None:
        return GivenSecret(value=_from_file(file))
    if variable is not None:
        return GivenSecret(value=_from_variable(variable))
    return None if reference is None else _referenced(reference)


def asked_secret(prompt: str = "Client secret") -> GivenSecret:
    """Ask for the secret on the terminal, unseen. Raises ConfigError if there is no terminal."""
    if not sys.stdin.isatty():
        raise ConfigError(f"There is no terminal to ask for the client secret on: give it with {WAYS}.")
    try:
        typed = typer.prompt(prompt, hide_input=True)
    except KeyboardInterrupt:
        # Before it has begun to read.
        raise typer.Abort from None
    return GivenSecret(value=_secret(typed, "What you typed"))


def _referenced(reference: str) -> GivenSecret:
    kind, _, place = reference.partition(":")
    if kind == "file" and place not in ("", "-"):
        place = str(Path(place).expanduser().absolute())
        return GivenSecret(value=_from_file(place), reference=f"file:{place}")
    if kind == "env" and place:
        return GivenSecret(value=_from_variable(place), reference=reference)
    raise ConfigError("A reference to a secret is file:PATH or env:VARIABLE.")


def _from_file(place: str) -> Secret:
    told = "stdin" if place == "-" else shown_path(place)
    try:
        if place == "-":
            raw = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(place).expanduser().open("rb") as file:
                raw = file.read(_LONGEST + 1)
        return _secret(raw.decode(), told)
    except OSError as error:
        raise ConfigError(f"The client secret's file {told} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"The client secret in {told} is not UTF-8 text.") from None


def _from_variable(name: str) -> Secret:
    is_name = _VARIABLE.fullmatch(name) is not None and all(map(may_be_shown, name.split("_")))
    return _secret(os.environ.get(name, ""), f"The variable {name if is_name else hidden(name)}")


def _secret(text: str, origin: str) -> Secret:
    text = text.strip()
    if not text:
        raise ConfigError(f"{origin} holds no client secret.")
    if len(text) > _LONGEST or not text.isprintable():
        raise ConfigError(f"{origin} holds something that is not a client secret: it must be one line of text.")
    return Secret(text)
