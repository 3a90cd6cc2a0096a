"""By which clock leases run: one and the same for who takes a slice and for who extends its lease."""

from datetime import UTC, datetime, timedelta

_APART = timedelta(hours=1)
"""Leases taken by one clock and extended by another would lapse early, or never."""


def our_clock() -> datetime:
    """Return what time this machine has."""
    return datetime.now(UTC)


def check_clocks(taken_at: datetime, ours: datetime) -> None:
    """Raise ValueError where a slice is taken by another clock than the ledger's."""
    if abs(taken_at - ours) > _APART:
        raise ValueError("`now` is not by the ledger's clock, which extends the lease: open it with now=that clock.")
