"""The trail of what was done through the console and the API, and how long it is kept."""

from datetime import UTC, datetime, timedelta

from ocelog.access import Deed
from ocelog.app.expiry import expiry_now
from ocelog.errors import HomeError
from ocelog.installation.opening import Installation
from ocelog.times import to_us

KEPT = timedelta(days=400)
"""How long the trail is kept."""


def deeds(
    installation: Installation,
    *,
    before: int | None = None,
    limit: int,
    who: str | None = None,
    what: str | None = None,
) -> list[Deed]:
    """Return what was done, the newest first, from the deed before the number `before`; by whom, and only what."""
    return installation.ledger.users.trail(before=before, limit=limit, who=who, what=what)


def names(installation: Installation) -> tuple[list[str], list[str]]:
    """Return who stands on the trail, and what."""
    return installation.ledger.users.trail_names()


def last_done(installation: Installation, what: str) -> dict[str, int]:
    """Return when something was done last to each of what it was done to, in microseconds."""
    return installation.ledger.users.last_done(what)


def shorten_trail(installation: Installation, *, trust_clock: bool = False) -> int | None:
    """Delete what was done longer ago than the trail is kept. Returns how many deeds went.

    Our clock decides only as far as a source's bears it out, or if told to `trust_clock`. None: it may be wrong, so
    everything is kept.
    """
    try:
        now = datetime.now(UTC) if trust_clock else expiry_now(installation.ledger)
    except HomeError:
        return None
    return installation.ledger.users.shorten(before_us=to_us(now - KEPT))
