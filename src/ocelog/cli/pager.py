"""Output that is longer than the screen goes through the reader's pager, as git does it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_DEFAULT = "less"
_OPTIONS = "FRX"
"""Of less, if the reader has set none in LESS: leave what was shown on the screen, and if it fits, leave at once."""


@contextmanager
def paging(*, wanted: bool) -> Iterator[Callable[[str], object]]:
    """Yield what writes to stdout; on a terminal, if `wanted`, through a pager as soon as it fills the screen.

    Somebody must be there to leave the pager: without a terminal as stdin too there is none. If the reader leaves it
    early, the block ends there.
    """
    command = shlex.split(os.environ.get("PAGER", _DEFAULT))
    program = shutil.which(command[0]) if command else None
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    if not (wanted and program and sys.stdin.isatty() and sys.stdout.isatty()) or dumb or command == ["cat"]:
        yield sys.stdout.write
        return
    lines, held = shutil.get_terminal_size().lines, list[str]()
    pager: subprocess.Popen[str] | None = None

    def write(text: str) -> None:
        nonlocal pager
        held.append(text)
        if pager is None and sum(each.count("\n") for each in held) >= lines:
            sys.stdout.flush()
            environment = {"LESS": _OPTIONS, "LV": "-c"} | os.environ
            pager = subprocess.Popen(  # noqa: S603 - the reader's own choice
                [program, *command[1:]], stdin=subprocess.PIPE, text=True, errors="backslashreplace", env=environment
            )
        if pager is not None and pager.stdin is not None:
            pager.stdin.write("".join(held))
            held.clear()

    left = False
    try:
        yield write
    except BrokenPipeError:
        left = pager is not None
        if not left:
            raise
    finally:
        sys.stdout.write("".join(held))
        if pager is not None and pager.stdin is not None:
            # Ctrl-C is for the pager now, and ours must outlive it: the terminal is the pager's until it ends.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                with suppress(BrokenPipeError):
                    pager.stdin.close()
                pager.wait()
            finally:
                signal.signal(signal.SIGINT, before)
