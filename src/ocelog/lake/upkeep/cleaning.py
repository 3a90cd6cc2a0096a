"""Which files of the landing area may go."""

import time
from datetime import timedelta
from pathlib import Path

from ocelog.lake.catalog.state import TableStates
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.snapshot import GRACE
from ocelog.lake.write.parts import discard, remove_orphans


def clean(home: Path, table: str, ledger: LakeLedger, *, grace: timedelta = GRACE) -> int:
    """Delete parts that were published longer ago than `grace`, and files that no one will ever commit.

    Returns how many files went. The file of a part is deleted before its row: after a crash between the two the row is
    found again, while a file without a row would be found by no one. A reader that listed the part before meets a
    missing file and takes a new snapshot, where the table has its rows.
    """
    _, mark = TableStates(home).mark(table)
    old = ledger.removable(table, time.time_ns() // 1000 - grace // timedelta(microseconds=1))
    gone = [part for part in old if part.sequence <= mark]
    for part in gone:
        discard(home, part.path)
    if gone:
        ledger.forget(table, [part.sequence for part in gone])
    return len(gone) + len(remove_orphans(home, table, ledger))
