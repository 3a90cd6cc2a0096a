"""Commands in what is printed, as their reader types them: after `service exec`, `ocelog` alone reads another home."""

import os
import re
from typing import Any

from ocelog.cli.app import COMMANDS

TYPED_AS = "_OCELOG_TYPED_AS"
"""The variable that says what a person types in place of `ocelog`."""


def program() -> str:
    """Return what a person types in place of `ocelog`, which is mostly just that."""
    return os.environ.get(TYPED_AS) or "ocelog"


def as_typed(text: str) -> str:
    """Return `text`, a message of ours, with its commands as the reader types them.

    `ocelog run` between backticks is the process, not what to type. Never give it data: it would be changed.
    """
    prefix = program()
    if prefix == "ocelog":
        return text

    def typed(found: re.Match[str]) -> str:
        if found[1] == "run":
            return "sudo systemctl start ocelog"
        return f"{prefix} {found[1]}" if found[1] in COMMANDS and found[1] != "service" else found[0]

    return re.sub(r"(?<![\w/.-])(?!(?<=`)ocelog run`)ocelog ([a-z]+)\b", typed, text)


def values_as_typed(value: Any) -> Any:
    """Return what becomes JSON with each text in it `as_typed`."""
    match value:
        case str():
            return as_typed(value)
        case dict():
            return {key: values_as_typed(each) for key, each in value.items()}
        case list() | tuple():
            return [values_as_typed(each) for each in value]
        case _:
            return value


def help_as_typed(command: Any) -> None:
    """Change the help of a click command, and of all commands below it, to what is `as_typed`."""
    for name in ("help", "short_help", "epilog"):
        setattr(command, name, as_typed(getattr(command, name) or "") or None)
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = as_typed(parameter.help)
    for each in getattr(command, "commands", {}).values():
        help_as_typed(each)
