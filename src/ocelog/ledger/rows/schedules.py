"""When what runs on a schedule was due last, by the name of the schedule; what is off or gone has none."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, select, update

from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import insert_missing

_c = tables.schedules.c
_t = tables.timetables.c
_MOST_TIMES = 50
"""Schedules of one name that are kept."""


def fired(tx: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the fire time of the last run of each schedule that there is."""
    found = dict[str, int]()
    for some in batches(sorted(names)):
        found |= {row.name: row.fired_us for row in tx.execute(select(tables.schedules).where(_c.name.in_(some)))}
    return found


def begin(tx: Connection, names: Iterable[str], now_us: int) -> None:
    """Begin schedules that are new: what was due before is not made up."""
    for name in names:
        insert_missing(tx, tables.schedules, name=name, fired_us=now_us)


def others(tx: Connection, names: Collection[str]) -> list[str]:
    """Return the schedules that are not named."""
    return [name for name in tx.execute(select(_c.name).order_by(_c.name)).scalars() if name not in names]


def end(tx: Connection, names: Iterable[str]) -> None:
    """Forget schedules."""
    for name in names:
        tx.execute(delete(tables.schedules).where(_c.name == name))


def move(tx: Connection, name: str, since_us: int, to_us: int) -> bool:
    """Move a schedule from one fire time to another, and keep it until the transaction ends; False: it moved before."""
    this = (_c.name == name, _c.fired_us == since_us)
    return tx.execute(update(tables.schedules).where(*this).values(fired_us=to_us)).rowcount == 1


def times(tx: Connection, names: Collection[str]) -> dict[str, list[tuple[int, int, str]]]:
    """Return the schedules that each of these had, the earlier ones first, each with the last fire time before it.

    Then comes when it was seen.
    """
    found = dict[str, list[tuple[int, int, str]]]()
    for some in batches(sorted(names)):
        wanted = select(tables.timetables).where(_t.name.in_(some)).order_by(_t.name, _t.since_us)
        for row in tx.execute(wanted):
            found.setdefault(row.name, []).append((row.since_us, row.noted_us, row.schedule))
    return found


def note_time(tx: Connection, name: str, schedule: str, since_us: int, now_us: int) -> None:
    """Note which schedule one has from now on; the first that is known counts for all of the past."""
    before = [each for each in times(tx, [name]).get(name, []) if each[0] < since_us]
    tx.execute(delete(tables.timetables).where(_t.name == name, _t.since_us >= since_us))
    if not before or before[-1][2] != schedule:
        since_us, now_us = (since_us, now_us) if before else (0, 0)
        insert_missing(tx, tables.timetables, name=name, since_us=since_us, noted_us=now_us, schedule=schedule)
        if before[_MOST_TIMES:]:
            tx.execute(delete(tables.timetables).where(_t.name == name, _t.since_us < before[-_MOST_TIMES][0]))
