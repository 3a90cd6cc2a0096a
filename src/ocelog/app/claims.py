"""How a use case comes to land rows that no slice is read for: under a claim of its own for each source."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ocelog.errors import OcelogError
from ocelog.installation.opening import Installation
from ocelog.ledger.pulling import holder_of
from ocelog.model import Claim


@contextmanager
def claims(installation: Installation, work: str) -> Iterator[Callable[[str], Claim]]:
    """Return what takes the claim to `work` on a source, by its id; all are let go of at the end of the block.

    The home must be held. Raises LostFenceError, when one is taken, while another home has it.
    """
    ledger, taken = installation.ledger, dict[str, Claim]()

    def claim(source_id: str) -> Claim:
        if not taken:
            # Whoever of this home held one before is gone: this process has its lock.
            ledger.pulling.release_home(installation.home.id)
        if source_id not in taken:
            taken[source_id] = ledger.pulling.take_claim(work, source_id, holder_of(installation.home.id))
        return taken[source_id]

    try:
        yield claim
    finally:
        for each in taken.values():
            with suppress(OcelogError):
                ledger.pulling.release_claim(each)
