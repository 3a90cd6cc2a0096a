"""Which parts are fit to be published, and how a table goes on without those that are lost."""

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from ocelog.lake.ports import LakeLedger
from ocelog.lake.storage.checksums import damage, damaged, may_come_back
from ocelog.model import GivenUp, Part

TRIES = 3
"""A part that does not hold what was written at so many publishes is set aside."""
AWAY_FOR = timedelta(minutes=10)
"""One that the disk fails to read is set aside only after so long: it may come back, however often it is tried."""


def sound_parts(home: Path, ledger: LakeLedger, waiting: Sequence[Part]) -> list[Part]:
    """Return the parts of `waiting` whose files are whole; those that stay lost are set aside in the ledger.

    Raises LakeDamagedError while a lost part is not given up yet: publishing past it without a record of it would vouch
    for rows that are nowhere. Raises HomeError if this user may not read one.
    """
    found = [(part, damage(home / part.path, part.bytes)) for part in waiting]
    if any(what is not None for _, what in found):
        ledger.parts_whole(waiting[0].table, [part.sequence for part, what in found if what is None])
    first, now_us = None, time.time_ns() // 1000
    for part, what in found:
        if what is None:
            continue
        if not (home / part.path).parent.is_dir():
            # All parts at once: a disk that is not mounted, or a folder that somebody has moved.
            raise damaged((home / part.path).parent, f"is missing, and with it {len(waiting)} parts of {part.table}")
        tries, since_us = ledger.part_failed(part.table, part.sequence, now_us)
        grace_period = AWAY_FOR if may_come_back(what) else timedelta(0)
        if tries >= TRIES and now_us - since_us >= grace_period // timedelta(microseconds=1):
            ledger.set_aside(lost_part(part, what))
        elif first is None:
            first = damaged(home / part.path, f"({part.rows:,} rows of {part.table}) {what}")
    if first is not None:
        raise first
    return [part for part, what in found if what is None]


def lost_part(part: Part, reason: str) -> GivenUp:
    """Return the record of a lost part."""
    return GivenUp(
        table=part.table,
        path=part.path,
        reason=reason,
        noticed_us=time.time_ns() // 1000,
        sequence=part.sequence,
        source_id=part.source_id,
        rows=part.rows,
        bytes=part.bytes,
        min_cursor_us=part.min_cursor_us,
        max_cursor_us=part.max_cursor_us,
    )
