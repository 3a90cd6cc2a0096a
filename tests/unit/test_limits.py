"""What a command takes at most, in a process of its own: the bounds hold for the whole of it."""

import subprocess
import sys
import textwrap


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=60
    )


def test_what_asks_for_more_memory_than_its_bound_fails_by_itself() -> None:
    done = run("""
        from ocelog.cli.limits import bound_memory
        bound_memory(100)
        within = bytearray(200 * 1024**2)
        try:
            bytearray(3 * 1024**3)
        except MemoryError:
            print("refused")
    """)
    assert (done.stdout, done.returncode) == ("refused\n", 0)
