"""A command that is killed at a chosen step: before or after the commit of one of its transactions.

Steps are counted, so no test has to hit an instant. `forks.py` arms the fork whose environment names a step.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random

from sqlalchemy import Connection

from commands import Ocelog, fork_server
from ocelog.ledger.database.transactions import Database

AT = "KILLED_AT"
"""The variable that names the step."""


def arm(at: int) -> None:
    """Kill this process at its step `at`."""
    write, steps = Database.write, count(1)

    def step() -> None:
        if next(steps) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def counted(self: Database) -> Iterator[Connection]:
        with write(self) as tx:
            yield tx
            step()
        step()

    Database.write = counted  # type: ignore[method-assign] # see above


def can_be_killed(ocelog: Ocelog) -> bool:
    """Whether commands of `ocelog` are forks here: others are not armed."""
    return fork_server().fit(ocelog.environment)


def kill_throughout(ocelog: Ocelog, *arguments: str, often: bool = False) -> int:
    """Run a command over and over, killed at a later step each time, until it ends well; return how often it was.

    `often`: at each step.
    """
    rng, at, killed = Random(9), 1, 0
    while True:
        armed = Ocelog(ocelog.home)
        armed.environment = ocelog.environment | {AT: str(at)}
        code = armed(*arguments, code=None).code
        if code == 0:
            return killed
        assert code == -signal.SIGKILL, f"{arguments} ended with {code}"
        killed += 1
        at += 1 if often else rng.randrange(1, 2 + at)
