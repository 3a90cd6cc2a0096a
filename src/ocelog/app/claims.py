"""How a use case comes to change what loops change too, and to land rows that no slice is read for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from ocelog.errors import OcelogError
from ocelog.installation.home_lock import check_free, held
from ocelog.installation.opening import Installation
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.pulling import holder_of
from ocelog.model import Claim
from ocelog.pull.ports import LEASE


@contextmanager
def home_held(installation: Installation, command: str) -> Iterator[bool]:
    """Hold the home within the block, as `command`, unless a service of this process does: then its loops go on.

    Gives whether nobody else of the home is at work. Raises HomeError saying which other process holds it.
    """
    if installation.loops_run:
        yield False
    else:
        with held(installation.home, command, service_can=True):
            yield True


def check_home(installation: Installation) -> None:
    """Raise HomeError if another process holds the home, so that `home_held` would be refused."""
    if not installation.loops_run:
        check_free(installation.home, service_can=True)


@contextmanager
def claims(installation: Installation, work: str, *, alone: bool) -> Iterator[Callable[[str], Claim]]:
    """Return what takes the claim to `work` on a source, by its id; all are let go of at the end of the block.

    The home must be held by this process; `alone`: no loop of a service is at work in it. Raises LostFenceError, when
    one is taken, while another has it.
    """
    ledger, taken = installation.ledger, dict[str, Claim]()

    def claim(source_id: str) -> Claim:
        if alone and not taken:
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


@dataclass(slots=True)
class HomeClaims:
    """The claims of this process to land matches, by source. Fits Claims."""

    ledger: Ledger
    holder: str
    kind: str
    """What the claims are called: each loop has its own."""
    lease: timedelta = LEASE
    """How long another waits for one of whom nothing landed; none: whoever comes last takes it."""
    _held: dict[str, Claim] = field(default_factory=dict)

    def claim(self, source_id: str) -> Claim:
        """Return the claim of this process, taken anew if it was lost.

        Raises LostFenceError while another has it, and if the source is gone.
        """
        if source_id not in self._held:
            taken = self.ledger.pulling.take_claim(self.kind, source_id, self.holder, lease=self.lease)
            self._held[source_id] = taken
        return self._held[source_id]

    def lost(self, source_id: str) -> None:
        """Forget the claim: another has it."""
        self._held.pop(source_id, None)

    def release(self) -> None:
        """Let go of all of them."""
        for claim in self._held.values():
            self.ledger.pulling.release_claim(claim)
        self._held = {}
