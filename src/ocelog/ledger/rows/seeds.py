"""How it lies in the ledger which rules know what was there before they were turned on."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, select, true, update

from ocelog.alert.seed import Seed
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import insert_missing

ALL = "*"
"""Stands for the rules that were on when the ledger became one that has these rows."""
_r, _s, _f = tables.rule_seeds.c, tables.rule_states.c, tables.rule_folders.c


def hold(tx: Connection, which: ColumnElement[bool]) -> None:
    """Take the rows that are `which`, in the order of their keys with the star first, until the transaction ends."""
    in_order = (_r.rule_id != ALL, _r.rule_id, _r.folder_id, _r.table_name)
    tx.execute(select(_r.rule_id).where(which).order_by(*in_order).with_for_update()).all()


def unseeded(tx: Connection, table: str, rules: Mapping[str, str]) -> list[Seed]:
    """Return those of `rules`, each with its folder, that do not know all, in the order of how far they are."""
    rows = tx.execute(select(tables.rule_seeds).where(_r.table_name == table)).mappings()
    there = {(row["rule_id"], row["folder_id"]): row for row in rows}
    found = list[Seed]()
    for rule, folder in rules.items():
        row = there.get((rule, folder))
        if row is None:
            found.append(Seed(rule_id=rule, folder_id=folder))
        elif row["seeded_us"] is None:
            after = None if row["after_source"] is None else (row["after_source"], row["after_id"])
            found.append(Seed(rule_id=rule, folder_id=folder, after=after, tries=row["tries"]))
    return sorted(found, key=lambda each: (each.after or ("", ""), each.rule_id))


def stands_for_all(tx: Connection, table: str) -> bool:
    """Whether the rules that are on have not been written down yet."""
    return tx.execute(select(_r.rule_id).where(_r.table_name == table, _r.rule_id == ALL)).first() is not None


def write_down(tx: Connection, table: str, rules: Mapping[str, str], now_us: int) -> None:
    """Note that the rules that were on know all, in the place of the star; but for those turned on since then."""
    star = and_(_r.table_name == table, _r.rule_id == ALL)
    since_us = tx.execute(select(_r.seeded_us).where(star).with_for_update()).scalar()
    if since_us is None:
        return
    later = set(tx.execute(select(_s.rule_id).where(_s.changed_us >= since_us, _s.enabled.is_(True))).scalars())
    new = set(tx.execute(select(_f.id).where(_f.added_us >= since_us)).scalars())
    for rule, folder in sorted(rules.items()):
        if rule not in later and folder not in new:
            values = {"after_source": None, "after_id": None, "tries": 0, "seeded_us": now_us}
            insert_missing(tx, tables.rule_seeds, table_name=table, folder_id=folder, rule_id=rule, **values)
    tx.execute(delete(tables.rule_seeds).where(star))


def move(tx: Connection, table: str, seeds: Sequence[tuple[Seed, Seed]], now_us: int) -> bool:
    """Note how far rules are; False: one is not as far as was read."""
    if len(seeds) > 1:
        # Also of rules that are not among them: thousands of keys are more than a statement takes.
        hold(tx, _r.table_name == table)
    return all(_move(tx, table, before, after, now_us) for before, after in seeds)


def _move(tx: Connection, table: str, before: Seed, after: Seed, now_us: int) -> bool:
    key = {"table_name": table, "folder_id": before.folder_id, "rule_id": before.rule_id}
    if before.after is None and before.tries == 0:
        insert_missing(tx, tables.rule_seeds, **key, after_source=None, after_id=None, tries=0, seeded_us=None)
    source, record = before.after or (None, None)
    this = and_(
        *(_r[name] == value for name, value in key.items()),
        _r.seeded_us.is_(None),
        _r.tries == before.tries,
        _r.after_source.is_(None) if source is None else and_(_r.after_source == source, _r.after_id == record),
    )
    source, record = (None, None) if after.done else after.after or (None, None)
    values = {
        "after_source": source,
        "after_id": record,
        "tries": after.tries,
        "seeded_us": now_us if after.done else None,
    }
    return tx.execute(update(tables.rule_seeds).where(this).values(values)).rowcount == 1


def purge(tx: Connection, source_id: str) -> None:
    """Forget which record of a source a rule came to: it begins again."""
    begun = {"after_source": None, "after_id": None, "tries": 0}
    hold(tx, _r.after_source == source_id)
    tx.execute(update(tables.rule_seeds).where(_r.after_source == source_id).values(begun))


def forget_others(tx: Connection, on: Collection[tuple[str, str]], kept: Collection[str]) -> None:
    """Forget all but the rules that are `on`, each with its folder, and those named in `kept`."""
    pairs = tx.execute(select(_r.rule_id, _r.folder_id).distinct().order_by(_r.rule_id, _r.folder_id)).all()
    for rule, folder in pairs:
        if (rule, folder) not in on and rule not in kept:
            _delete(tx, and_(_r.rule_id == rule, _r.folder_id == folder))


def known_of(tx: Connection, rules: Collection[str]) -> list[str]:
    """Return those of `rules` that know something of some table."""
    found = list[str]()
    for some in batches(sorted(rules)):
        found += tx.execute(select(_r.rule_id).where(_r.rule_id.in_(some)).distinct().order_by(_r.rule_id)).scalars()
    return found


def forget(tx: Connection, rules: Collection[str]) -> None:
    """Forget what these rules know, whatever their folder."""
    for some in batches(sorted(rules)):
        _delete(tx, _r.rule_id.in_(some))


def forget_folder(tx: Connection, folder_id: str) -> None:
    """Forget what the rules of a folder know."""
    _delete(tx, _r.folder_id == folder_id)


def forget_all(tx: Connection) -> None:
    """Let every rule get to know anew what is there."""
    _delete(tx, true())


def _delete(tx: Connection, which: ColumnElement[bool]) -> None:
    hold(tx, which)
    tx.execute(delete(tables.rule_seeds).where(which))
