"""How it lies in the ledger what rules were not asked about."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, case, insert, update

from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded

if TYPE_CHECKING:
    # What was judged, which nobody needs who only reads what was not.
    from ocelog.alert.judged import UnjudgedEvents

_u = tables.unjudged.c


def add_unjudged(tx: Connection, table: str, unjudged: "Iterable[UnjudgedEvents]", now_us: int) -> None:
    """Remember what was not judged: a row for each rule, source and reason, which grows until somebody sees to it."""
    rows = dict[tuple[str, str, str], dict[str, Any]]()
    for each in unjudged:
        for event in each.events:
            key = (each.rule_id, event.source_id, bounded(each.reason))
            row = rows.setdefault(
                key,
                {
                    "table_name": table,
                    "rule_id": each.rule_id,
                    "source_id": event.source_id,
                    "first_row_id": event.row_id,
                    "first_us": event.event_us,
                    "last_us": event.event_us,
                    "rows": 0,
                    "reason": bounded(each.reason),
                    "noted_us": now_us,
                },
            )
            row["first_us"] = min(row["first_us"], event.event_us)
            row["last_us"] = max(row["last_us"], event.event_us)
            row["rows"] += 1
    for (rule_id, source_id, reason), row in rows.items():
        this = and_(_u.table_name == table, _u.rule_id == rule_id, _u.source_id == source_id, _u.reason == reason)
        more = {
            "rows": _u.rows + row["rows"],
            "first_us": case((_u.first_us <= row["first_us"], _u.first_us), else_=row["first_us"]),
            "last_us": case((_u.last_us >= row["last_us"], _u.last_us), else_=row["last_us"]),
            "noted_us": now_us,
        }
        if tx.execute(update(tables.unjudged).where(this).values(more)).rowcount == 0:
            tx.execute(insert(tables.unjudged).values(row))
