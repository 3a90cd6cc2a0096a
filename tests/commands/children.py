"""Processes that a command has started, as the system sees them."""

import os
import time
from pathlib import Path


def child_of(pid: int, hundredths: int = 50) -> int:
    """Return the process that `pid` has started, once it has computed for more than so many hundredths of a second."""
    deadline = time.monotonic() + 60
    while True:
        for each in Path("/proc").glob("[0-9]*"):
            try:
                fields = (each / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and int(fields[11]) > hundredths:
                return int(each.name)
        assert time.monotonic() < deadline, "no process answers the query"
        os.sched_yield()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        os.sched_yield()
    return False
