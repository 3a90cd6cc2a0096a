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


def test_what_does_not_hear_its_end_is_ended_by_force() -> None:
    done = run("""
        import threading
        from datetime import timedelta
        from ocelog.cli import limits
        limits._HEARS_WITHIN = timedelta(milliseconds=50)
        with limits.ended_after(timedelta(milliseconds=50)):
            threading.Event().wait(5)
        print("went on")
    """)
    assert (done.stdout, done.returncode) == ("", 2)
    assert "did not hear that its time was up" in done.stderr


def test_what_ends_in_time_is_left_in_peace() -> None:
    done = run("""
        import threading
        from datetime import timedelta
        from ocelog.cli import limits
        limits._HEARS_WITHIN = timedelta(0)
        with limits.ended_after(timedelta(seconds=1)):
            pass
        threading.Event().wait(1.5)
        print("went on")
    """)
    assert (done.stdout, done.returncode) == ("went on\n", 0)
