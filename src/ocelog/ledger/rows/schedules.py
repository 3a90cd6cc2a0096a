"""When what runs on a schedule was due last, by the name of the schedule; what is off or gone has none."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, select, update

from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import insert_missing

_c = tables.schedules.c


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
