"""Commands that are killed or stopped amid their work."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from commands import Ocelog

LONGEST = 120.0
"""Seconds after which a command that lands too little hangs."""


class Running:
    """A command that runs; what it logs is read as it comes."""

    def __init__(self, ocelog: Ocelog, *arguments: str, machine: str | None = None, lease: float = 5.0) -> None:
        """Start it; as if on a `machine` of its own that shares the home, if one is named (`commands/machine.py`)."""
        module = ["ocelog"] if machine is None else ["commands.machine", machine, str(lease)]
        self.arguments = arguments
        self.lines = list[str]()
        self.landings = list[dict[str, Any]]()
        """What it logged after each commit of an answer."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *module, *arguments],
            env=ocelog.environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._heard = threading.Condition()
        self._silent = False
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._heard:
                self.lines.append(line)
                if line.startswith("{") and (entry := json.loads(line))["event"] == "landed":
                    self.landings.append(entry)
                self._heard.notify_all()
        with self._heard:
            self._silent = True
            self._heard.notify_all()

    def wait_for(self, landings: int, *, within: float = LONGEST) -> bool:
        """Wait until it has said something and landed so much; False: it ended before. Fails if it takes too long."""
        with self._heard:
            assert self._heard.wait_for(
                lambda: self._silent or (self.lines and len(self.landings) >= landings), within
            ), f"{self.arguments} landed too little in {within} s"
            return not self._silent

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended hears none."""
        self._process.send_signal(number)

    def end(self, *, within: float = LONGEST) -> int:
        """Wait for its end, and return its exit code, negative if a signal ended it. What takes too long is killed."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            raise
        finally:
            self._process.wait()
            self._listener.join()
            assert self._process.stderr is not None
            self._process.stderr.close()
            assert not any("Traceback" in line or "bug in Ocelog" in line for line in self.lines), self.lines[-30:]

    def kill(self) -> bool:
        """Kill it; True: it was still at work."""
        self.signal(signal.SIGKILL)
        return self.end() == -signal.SIGKILL


def kill_after(ocelog: Ocelog, landings: int, *arguments: str, pause: float = 0.0) -> tuple[bool, Running]:
    """Start a command and kill it `pause` seconds after so many landings; True: it was still at work."""
    running = Running(ocelog, *arguments)
    try:
        if running.wait_for(landings):
            time.sleep(pause)
    finally:
        killed = running.kill()
    return killed, running
