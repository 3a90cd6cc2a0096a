"""Which parts are fit to be published, and how a table goes on without those that are lost."""

import time
from collections.abc import Sequence
from pathlib import Path

from ocelog.lake.checksums import damage, damaged
from ocelog.lake.ports import LakeLedger
from ocelog.model import GivenUp, Part

TRIES = 3
"""A part that cannot be read at so many publishes is set aside; before that, a disk may only be away for a moment."""


def sound_parts(home: Path, ledger: LakeLedger, waiting: Sequence[Part]) -> list[Part]:
    """Return the parts of `waiting` whose files are whole; those that stay lost are set aside in the ledger.

    Raises LakeDamagedError while a lost part is not given up yet: publishing past it without a record of it would vouch
    for rows that are nowhere. Raises HomeError if this user may not read one.
    """
    found = [(part, damage(home / part.path, part.bytes)) for part in waiting]
    first = None
    for part, what in found:
        if what is None:
            continue
        if not (home / part.path).parent.is_dir():
            # All parts at once: a disk that is not mounted, or a folder that somebody has moved.
            raise damaged((home / part.path).parent, f"is missing, and with it {len(waiting)} parts of {part.table}")
        if ledger.part_failed(part.table, part.sequence) >= TRIES:
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
