"""By which clock leases run: one and the same for who takes a slice and for who extends its lease."""

from datetime import UTC, datetime

from ocelog.times import CLOCKS_APART


def our_clock() -> datetime:
    """Return what time this machine has."""
    return datetime.now(UTC)


def check_clocks(taken_at: datetime, ours: datetime) -> None:
    """Raise ValueError if a slice is taken by another clock than the ledger's."""
    # Leases taken by one clock and extended by another would lapse early, or never.
    if abs(taken_at - ours) > CLOCKS_APART:
        raise ValueError("`now` is not by the ledger's clock, which extends the lease: open it with now=that clock.")
