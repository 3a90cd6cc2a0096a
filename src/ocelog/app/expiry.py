"""By which instant rows are too old: never by a clock that may be wrong, for what is deleted stays deleted."""

from datetime import UTC, datetime, timedelta

from ocelog.errors import HomeError
from ocelog.ledger.ledger import Ledger
from ocelog.units import about, write_instant

CLOCK_OFF = timedelta(minutes=5)
"""A clock that differs by more from a source's is wrong."""
UNHEARD = timedelta(days=2)
"""What was read from a source longer ago does not tell whether our clock is right now."""
_KEPT = "Rows older than their retention are kept: "


def expiry_now(ledger: Ledger, now: datetime | None = None) -> datetime:
    """Return from when a retention is counted back: a source's time when it last answered, and never later than ours.

    Raises HomeError if this machine's clock is wrong, or may be: if the last answers of a source that is read say
    so, or if they are too long ago to tell.
    """
    now = now or datetime.now(UTC)
    sources = {row.id: row.name for row in ledger.sources.listed() if not row.paused}
    edges = list[datetime]()
    for stream in ledger.pulling.streams():
        marks = stream.marks
        if marks.edge is None or marks.source_id not in sources:
            continue
        edges.append(marks.edge)
        offset = marks.offset or timedelta(0)
        planned_at = marks.edge - offset
        if abs(offset) > CLOCK_OFF and abs(now - planned_at) <= UNHEARD:
            side = "behind" if offset > timedelta(0) else "ahead of"
            raise HomeError(
                f"{_KEPT}this machine's clock is {about(abs(offset))} {side} that of the source "
                f"{sources[marks.source_id]!r}. Set this machine's right (see: timedatectl), then run: ocelog pull"
            )
    newest = max((edge for edge in edges if edge <= now + CLOCK_OFF), default=None)
    if newest is None or now - newest > UNHEARD:
        heard = f"a source was last read at {write_instant(max(edges))}" if edges else "no source is being read"
        raise HomeError(
            f"{_KEPT}this machine's clock says {now:%Y-%m-%d}, but {heard}, so it may be wrong. If it is, set "
            "it right. Then run: ocelog pull. If it is right and no source is read any more, run: ocelog upkeep "
            "--trust-clock"
        )
    return min(now, newest)
