"""How a person hands in a secret: a file, stdin, a variable, a reference, or typed unseen."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import typer
from msgspec import Struct

from ocelog.app.sources.sources import GivenSecret
from ocelog.cli import show
from ocelog.errors import ConfigError
from ocelog.secrets.secret import Secret, hidden, may_be_shown, shown_path

_LONGEST = 65_536
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
WAYS = (
    "--client-secret-file FILE (- is stdin), --client-secret-env VARIABLE or --client-secret-ref file:PATH|env:VARIABLE"
)


class SecretRequest(Struct, frozen=True, kw_only=True):
    """Which secret a person is to hand in."""

    what: str
    """In the middle of a sentence."""
    ways: str
    """Which options take it."""
    lines: bool = False
    """Whether it may have several."""


CLIENT_SECRET = SecretRequest(what="client secret", ways=WAYS)
LEDGER = SecretRequest(what="ledger's address", ways="--ledger env:VARIABLE or --ledger file:PATH (file:- is stdin)")


def carried(secret: GivenSecret) -> str:
    """Return a secret as it travels to a remote Ocelog. Raises ConfigError for one that is only referred to."""
    if secret.reference is not None:
        raise ConfigError(
            "A reference names a place on the machine of the home: set it there. From here, give the secret itself: "
            "from a file, a variable or stdin."
        )
    return secret.value.reveal()


def somebody_is_there() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def given_secret(
    *, file: str | None, variable: str | None, reference: str | None, wanted: SecretRequest = CLIENT_SECRET
) -> GivenSecret | None:
    """Return the secret that the options name, None if they name none. Raises ConfigError, which never shows it."""
    if sum(each is not None for each in (file, variable, reference)) > 1:
        raise ConfigError(f"Give the {wanted.what} in one way only.")
    if file == "-" and sys.stdin.isatty():
        # A person sits there: what is typed must not be seen, and ends with Enter.
        return asked_secret(wanted=wanted)
    if file is not None:
        return GivenSecret(value=_from_file(file, wanted))
    if variable is not None:
        return GivenSecret(value=_from_variable(variable, wanted))
    return None if reference is None else _referenced(reference, wanted)


def given_ledger(text: str | None) -> str | None:
    """Return the address of the ledger that an option names: itself, or what env:VARIABLE or file:PATH holds.

    Says how to hide a password that stands in it. Raises ConfigError, which never shows it.
    """
    kind, _, place = (text or "").partition(":")
    if text is None or kind not in {"env", "file"}:
        if text is not None and _has_password(text):
            show.remark(
                "While a command runs, every user of this machine sees its arguments: also the password in --ledger. "
                "Keep it in ~/.pgpass, or put the address into a variable or a file, and name that: "
                "--ledger env:VARIABLE or --ledger file:PATH. Typed unseen: --ledger file:-"
            )
        return text
    found = given_secret(
        file=place if kind == "file" else None,
        variable=place if kind == "env" else None,
        reference=None,
        wanted=LEDGER,
    )
    return None if found is None or found.value is None else found.value.reveal()


def _has_password(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return False


def asked_secret(prompt: str = "Client secret", *, wanted: SecretRequest = CLIENT_SECRET) -> GivenSecret:
    """Ask for the secret on the terminal, unseen. Raises ConfigError if there is no terminal."""
    if not sys.stdin.isatty():
        raise ConfigError(f"There is no terminal to ask for the {wanted.what} on: give it with {wanted.ways}.")
    try:
        typed = typer.prompt(prompt, hide_input=True)
    except KeyboardInterrupt:
        # Before it has begun to read.
        raise typer.Abort from None
    return GivenSecret(value=_secret(typed, "What you typed", wanted))


def asked_new_secret() -> GivenSecret | None:
    """Ask for another client secret, unseen; None: Enter keeps the present one. Raises ConfigError."""
    try:
        typed = typer.prompt(
            "Client secret (Enter keeps the present one)", hide_input=True, default="", show_default=False
        )
    except KeyboardInterrupt:
        raise typer.Abort from None
    return GivenSecret(value=_secret(typed, "What you typed", CLIENT_SECRET)) if typed.strip() else None


def _referenced(reference: str, wanted: SecretRequest) -> GivenSecret:
    kind, _, place = reference.partition(":")
    if kind == "file" and place not in ("", "-"):
        place = str(Path(place).expanduser().absolute())
        return GivenSecret(value=_from_file(place, wanted), reference=f"file:{place}")
    if kind == "env" and place:
        return GivenSecret(value=_from_variable(place, wanted), reference=reference)
    raise ConfigError("A reference to a secret is file:PATH or env:VARIABLE.")


def _from_file(place: str, wanted: SecretRequest) -> Secret:
    told = "stdin" if place == "-" else shown_path(place)
    try:
        if place == "-":
            raw = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(place).expanduser().open("rb") as file:
                raw = file.read(_LONGEST + 1)
        return _secret(raw.decode(), told, wanted)
    except OSError as error:
        raise ConfigError(f"The file of the {wanted.what}, {told}, cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"The {wanted.what} in {told} is not UTF-8 text.") from None


def _from_variable(name: str, wanted: SecretRequest) -> Secret:
    is_name = _VARIABLE.fullmatch(name) is not None and all(map(may_be_shown, name.split("_")))
    return _secret(os.environ.get(name, ""), f"The variable {name if is_name else hidden(name)}", wanted)


def _secret(text: str, origin: str, wanted: SecretRequest) -> Secret:
    text = text.strip()
    if not text:
        raise ConfigError(f"{origin} holds no {wanted.what}.")
    lines = text.splitlines() if wanted.lines else [text]
    if len(text) > _LONGEST or not all(map(str.isprintable, lines)):
        raise ConfigError(f"{origin} holds something that is not a {wanted.what}: it must be one line of text.")
    return Secret(text)
