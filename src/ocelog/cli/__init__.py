"""How a person drives Ocelog: the `ocelog` command, where each error becomes a message and an exit code once."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from typer import Abort, TyperException
from typer.main import get_command

from ocelog.cli import output, place
from ocelog.cli.app import ASKED_BY_A_SHELL, build, completed, wanted_command
from ocelog.cli.completion import complete
from ocelog.cli.show import faint, fitted, harmless_lines
from ocelog.cli.typed import as_typed, help_as_typed, program
from ocelog.cli.usage import explained, help_instead
from ocelog.errors import OcelogError, TransientError
from ocelog.workers import threads

PERSON_MUST_ACT = 2
TRY_LATER = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `ocelog` command and exit: 0 well, 1 unexpected or unwell, 2 action required, 3 try later, 130 Ctrl-C."""
    # Before others are, and so called when they have said what they have to say.
    atexit.register(_say_no_more)
    # Read when Arrow is imported. Its own allocators keep what each thread ever had: 40 MB more in a pull.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    given = list(sys.argv[1:] if arguments is None else arguments)
    if ASKED_BY_A_SHELL in os.environ:
        place.complete_for(completed(os.environ) or ())
        complete(lambda: _run(given))
    try:
        output.prepare()
        with output.written():
            code = _run(given)
    except OcelogError as error:
        _say(str(error), code=error.code)
        _end(TRY_LATER if isinstance(error, TransientError) else PERSON_MUST_ACT)
    except TyperException as error:
        if (text := help_instead(error)) is not None:
            print(text, file=sys.stderr)  # noqa: T201 - as a whole, and as wide as it is
        else:
            _say(explained(error, given))
        _end(PERSON_MUST_ACT)
    except Abort:
        # Whatever asks, asks before it changes something.
        _say("Nothing was changed: you stopped at the question.")
        _end(PERSON_MUST_ACT)
    except BrokenPipeError:
        # Whoever read our output has left.
        output.drop()
        _end(1)
    except Exception as error:
        if isinstance(error, RuntimeError) and threads.interrupted(error):
            _end(INTERRUPTED)
        if isinstance(error, UnicodeEncodeError) and any(_is_no_text(each) for each in given):
            _say("An argument is not valid UTF-8: type it again.")
            _end(PERSON_MUST_ACT)
        if os.environ.get("OCELOG_DEBUG", "").lower() in ("1", "true", "yes", "on"):
            raise
        first = (str(error).splitlines() or [""])[0][:300]
        _say(f"Unexpected {type(error).__name__}: {first}\nThis is a bug in Ocelog. OCELOG_DEBUG=1 shows where.")
        _end(1)
    _end(code or 0)


def _end(code: int) -> NoReturn:
    """Exit, without waiting for threads that are left behind: they are safe to end at any instruction."""
    # Python looks for garbage once more before it ends, though all of it ends.
    gc.freeze()
    if threads.are_left():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _say_no_more() -> None:
    """Send nowhere what DuckDB's binding prints as Python ends: which of its objects are left, in a hundred lines."""
    if "_duckdb" in sys.modules:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _run(given: Sequence[str]) -> int | None:
    command = get_command(build(wanted_command(given, os.environ)))
    # What is there by now stays: a look for garbage need not begin with it. See `ocelog.__main__`.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()
    if program() != "ocelog":
        help_as_typed(command)
    code: int | None = command(args=given, prog_name=program(), standalone_mode=False, obj=place.words_of(given))
    return code


def _is_no_text(argument: str) -> bool:
    """Tell whether bytes that are no text were in `argument`: Python hands them on as half characters."""
    return any("\ud800" <= letter <= "\udfff" for letter in argument)


def _say(message: str, *, code: str | None = None) -> None:
    print(fitted(f"ocelog: {as_typed(harmless_lines(message))}", sys.stderr), file=sys.stderr)  # noqa: T201 - speaks before typer does
    # On a line of its own: what a message ends with is often a command, to be copied.
    if code not in (None, "declined") and sys.stderr.isatty():
        faint(f"    (error code: {code})")
