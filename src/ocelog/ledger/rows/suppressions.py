"""How what tells nobody for a while lies in the ledger."""

from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, select, update

from ocelog.alert.delivery.suppressing import Suppression
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded

_s = tables.suppressions.c


def listed(tx: Connection, *, ending_after_us: int | None = None) -> list[Suppression]:
    """Return the suppressions, by when they begin; all of them, or those that end after an instant."""
    rows = tx.execute(_ALL) if ending_after_us is None else tx.execute(_LASTING, {"after_us": ending_after_us})
    return [_suppression_of(row) for row in rows.mappings()]


# Built once: building a statement takes as long as running it, and they are looked at for all that is told.
_ALL = select(tables.suppressions).order_by(_s.since_us, _s.id)
_LASTING = _ALL.where(_s.until_us > bindparam("after_us"))


def purge(tx: Connection, source_id: str) -> None:
    """Delete what is about a source and no other; what names others, too, no longer names it."""
    for each in listed(tx):
        named = each.fields.get("source", ())
        if source_id not in named:
            continue
        others = [value for value in named if value != source_id]
        this = _s.id == each.id
        if others:
            fields = {name: list(values) for name, values in each.fields.items()} | {"source": others}
            tx.execute(update(tables.suppressions).where(this).values(fields=fields))
        else:
            tx.execute(delete(tables.suppressions).where(this))


def columns_of(suppression: Suppression) -> dict[str, Any]:
    """Return a suppression as `suppressions` has it."""
    return {
        "id": suppression.id,
        "rule_id": bounded(suppression.rule),
        "fields": {name: list(map(bounded, values)) for name, values in suppression.fields.items()},
        "owner": bounded(suppression.owner),
        "reason": bounded(suppression.reason),
        "since_us": suppression.since_us,
        "until_us": suppression.until_us,
        "added_us": suppression.added_us,
    }


def _suppression_of(row: RowMapping) -> Suppression:
    return Suppression(
        id=row["id"],
        rule=row["rule_id"],
        fields={name: tuple(values) for name, values in row["fields"].items()},
        owner=row["owner"],
        reason=row["reason"],
        since_us=row["since_us"],
        until_us=row["until_us"],
        added_us=row["added_us"],
    )
