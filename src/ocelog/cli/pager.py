"""Output that is longer than the screen goes through the reader's pager, as git does it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_DEFAULT = "less"
_OPTIONS = "FRX"
"""Of less, if the reader has set none in LESS: leave what was shown on the screen, and if it fits, leave at once."""
_FOR_A_SHELL = frozenset(" \t\n|&;<>()$`\\\"'*?[]#~=%{}!")
_KEPT = 4_000_000
"""Characters that are kept in case that the pager fails; one that took more has begun to work."""
_SIGNALLED = 128
"""From here on an exit code says that a signal ended it, such as the Ctrl-C of a person."""


@contextmanager
def paging(*, wanted: bool) -> Iterator[Callable[[str], object]]:
    """Yield what writes to stdout; on a terminal, if `wanted`, through a pager as soon as it fills the screen.

    Somebody must be there to leave the pager: without a terminal as stdin too there is none. If the reader leaves it
    early, the block ends there. If it does not start, or ends with an error, all is printed without it.
    """
    command = os.environ.get("PAGER", _DEFAULT).strip()
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    if not (wanted and sys.stdin.isatty() and sys.stdout.isatty()) or dumb or command in {"", "cat"}:
        yield sys.stdout.write
        return
    by_shell = not _FOR_A_SHELL.isdisjoint(command)
    program = ["/bin/sh", "-c", command] if by_shell else [shutil.which(command) or ""]
    lines, written, size = shutil.get_terminal_size().lines, list[str](), 0
    pager: subprocess.Popen[str] | None = None
    plain, left = not program[0], False

    def write(text: str) -> None:
        nonlocal pager, plain, size
        if plain:
            sys.stdout.write(text)
            return
        size += len(text)
        if size <= _KEPT or pager is None:
            written.append(text)
        else:
            written.clear()
        if pager is None:
            if sum(each.count("\n") for each in written) < lines:
                return
            sys.stdout.flush()
            environment = {"LESS": _OPTIONS, "LV": "-c"} | os.environ
            try:
                pager = subprocess.Popen(  # noqa: S603 - the reader's own choice
                    program, stdin=subprocess.PIPE, text=True, errors="backslashreplace", env=environment
                )
            except OSError:
                print_plainly()
                return
            text = "".join(written)
        if pager.stdin is not None:
            try:
                pager.stdin.write(text)
            except BrokenPipeError:
                if not fails(pager):
                    raise
                print_plainly()

    def fails(pager: subprocess.Popen[str]) -> bool:
        """Wait until the pager ends, and return whether it did by an error while all that it got is known."""
        # Ctrl-C is for the pager now, and ours must outlive it: the terminal is the pager's until it ends.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with suppress(BrokenPipeError):
                if pager.stdin is not None:
                    pager.stdin.close()
            code = pager.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        return 0 < code < _SIGNALLED and bool(written)

    def print_plainly() -> None:
        nonlocal plain
        plain = True
        sys.stdout.write("".join(written))
        written.clear()

    try:
        yield write
    except BrokenPipeError:
        left = pager is not None and not plain
        if not left:
            raise
    finally:
        if not plain and (pager is None or (fails(pager) and not left)):
            print_plainly()
