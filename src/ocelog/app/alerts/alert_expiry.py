"""Which alerts are too old to keep, and what of detecting nothing needs any more."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ocelog.app.expiry import expiry_now
from ocelog.errors import HomeError
from ocelog.installation.opening import Installation
from ocelog.times import to_us

if TYPE_CHECKING:
    from ocelog.ledger.alerts import ExpiredCounts


def forget_old_alerts(installation: Installation, *, trust_clock: bool = False) -> "ExpiredCounts | None":
    """Delete alerts that ended longer ago than they are kept, and counts of windows that are over.

    As for rows of the lake, our clock decides only as far as a source's bears it out, or if told to `trust_clock`.
    None: it may be wrong, so everything is kept.
    """
    try:
        now = datetime.now(UTC) if trust_clock else expiry_now(installation.ledger)
    except HomeError:
        return None
    ended_before = now - installation.settings.alert_retention
    return installation.ledger.alerts.forget(ended_before_us=to_us(ended_before), now_us=to_us(now))
