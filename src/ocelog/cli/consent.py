"""What a person is asked before something is given up or deleted."""

import sys

import typer

from ocelog.cli import show
from ocelog.errors import ConfigError

_LONGEST = 5_000
"""Characters that are read of an answer: more than a terminal hands on at once."""


def confirm(question: str, *, nothing: str, unasked: str) -> None:
    """Ask until the answer is yes or no; Enter alone is no. Without a terminal one line of stdin is the answer.

    Raises ConfigError unless it is yes. The error says that `nothing` was done, and how to do it `unasked` if nobody is
    there to answer.
    """
    terminal = sys.stdin.isatty()
    while True:
        try:
            typer.echo(f"{show.fitted(f'{question} [y/N]:', sys.stderr)} ", nl=False, err=True)
            text = sys.stdin.readline(_LONGEST)
        except KeyboardInterrupt:
            typer.echo(err=True)
            raise ConfigError(f"{nothing}: you stopped at the question.", code="declined") from None
        except UnicodeDecodeError:
            text = "?"
        if not text or not terminal:
            # Nobody has ended the line with Enter.
            typer.echo(err=True)
        if not text:
            why = "you stopped at the question." if terminal else f"there is no terminal to ask on. {unasked}"
            raise ConfigError(f"{nothing}: {why}", code="declined")
        match text.strip().lower():
            case "y" | "yes":
                return
            case "" | "n" | "no":
                raise ConfigError(f"{nothing}: the answer was no.", code="declined")
            case _ if terminal:
                show.remark("Type y for yes or n for no.")
            case other:
                raise ConfigError(f"{nothing}: expected y or n on stdin, found {other[:20]!r}. {unasked}")
