"""How a stream's sweep is carried on: from reading to verifying, to inferring, to its end."""

import time

from ocelog.ledger.ledger import Ledger
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage, next_step


def advance(ledger: Ledger, stream: Stream) -> bool:
    """Carry on with the stream's sweep if no slice of its present stage waits; return whether it has ended.

    Raises LostFenceError if another has carried on meanwhile.
    """
    if stream.kind.sweep_by is None:
        return True
    sweep = ledger.sweeps.newest(*stream.key)
    if sweep is None or sweep.stage is Stage.DONE:
        return True
    outcome = ledger.sweeps.outcome(sweep)
    if outcome is None:
        return False
    suspects, now = ledger.sweeps.suspects(sweep), stream.source.now()
    step = next_step(sweep, outcome, suspects, kind=stream.kind, now=now, now_us=time.time_ns() // 1000)
    ledger.sweeps.step(sweep, step)
    return step.to.stage is Stage.DONE
