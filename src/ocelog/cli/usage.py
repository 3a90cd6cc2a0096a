"""What a person is told who named a command, an option or an argument that is not there, or left one out."""

import re
from collections.abc import Sequence
from typing import Any

from typer import TyperException

from ocelog.cli.app import COMMANDS
from ocelog.cli.place import refusal_of, words_of
from ocelog.secrets.secret import hidden, may_be_shown
from ocelog.suggest import suggest
from ocelog.units import with_full_stop

_NOT_ONE_OF = re.compile("'([^']*)' is not one of ")
"""How a value is refused that is none of an option's choices."""


def help_instead(error: TyperException) -> str | None:
    """Return the help of a command that has commands of its own, if nothing more than its name was typed."""
    context = getattr(error, "ctx", None)
    return error.message if context is not None and error.message == context.get_help() else None


def explained(error: TyperException, given: Sequence[str]) -> str:
    """Return what is wrong with the arguments that were `given`, and which help says more, as one line."""
    context: Any = getattr(error, "ctx", None)
    if context is None:
        typed = words_of(given)
        command = COMMANDS.get(typed[0]) if typed else None
        words = typed[: 2 if command is not None and command.group else 1]
        path = " ".join(["ocelog", *[each for each in words if not each.startswith("-")]])
    else:
        path = context.command_path
    what = _what(error, context)
    for each in sorted(given, key=len, reverse=True):
        word = each.partition("=")[2] if each.startswith("--") and "=" in each else each
        if not may_be_shown(word):
            what = what.replace(repr(word), hidden(word)).replace(word, hidden(word))
    return f"{what} See: {path} --help"


def _what(error: Any, context: Any) -> str:
    if context is not None and hasattr(error, "possibilities"):
        if error.option_name in ("--url", "--token-file") and context.parent is not None:
            words = context.command_path.split()[1:]
            if (refused := refusal_of(words)) is not None:
                return refused
            return f"Give {error.option_name} before the command: ocelog {error.option_name} ... {' '.join(words)}."
        known = [name for each in context.command.params for name in each.opts]
        return f"There is no option {error.option_name}{suggest(error.option_name, known) or '.'}"
    if hasattr(error, "param_type") and error.param is not None:
        argument = error.param.param_type_name == "argument"
        name = error.param.metavar or error.param.name.upper()
        return f"Missing {f'argument {name}' if argument else f'option {error.param.opts[0]} {name}'}."
    text = " ".join(error.format_message().split())
    choices = map(str, getattr(getattr(getattr(error, "param", None), "type", None), "choices", ()))
    if (came := _NOT_ONE_OF.search(text)) and (near := suggest(came[1], choices)):
        return f"{text.removesuffix('.')}{near}"
    return with_full_stop(text)
