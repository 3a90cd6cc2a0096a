"""How matches, groups, limits and what was not judged lie in the ledger."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from ocelog.alert.alert import Alert
from ocelog.alert.deciding import GroupChange, LimitChange
from ocelog.alert.grouping import Group
from ocelog.alert.judged import Match
from ocelog.alert.seed import Seed
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded, insert_missing
from ocelog.ledger.rows.alerts import alert_of
from ocelog.model import GivenUp

_k, _g, _l, _a = tables.match_keys.c, tables.alert_groups.c, tables.alert_limits.c, tables.alerts.c
_e = tables.alert_events.c


def known(tx: Connection, ids: Iterable[str]) -> frozenset[str]:
    """Return those of `ids` that have landed before."""
    found = set[str]()
    for some in batches(ids):
        found.update(tx.execute(_KNOWN, {"ids": some}).scalars())
    return frozenset(found)


def add_matches(tx: Connection, matches: Sequence[Match], now_us: int) -> None:
    """Remember that matches have landed."""
    rows = [{"match_id": each.id, "source_id": each.event.source_id, "matched_us": now_us} for each in matches]
    if rows:
        tx.execute(insert(tables.match_keys), rows)


def groups(tx: Connection, keys: Collection[str]) -> dict[str, tuple[int, Group]]:
    """Return the revision and the state of those groups that there are."""
    found = dict[str, tuple[int, Group]]()
    for some in batches(sorted(keys)):
        for row in tx.execute(_GROUPS, {"keys": some}):
            group = Group(
                window=row.window,
                opened_us=row.opened_us,
                matches=row.matches,
                told=row.told,
                kept=tuple((at, value) for at, value in row.kept),
            )
            found[row.group_key] = (row.revision, group)
    return found


def save_group(tx: Connection, change: GroupChange) -> bool:
    """Save a group; False: it has changed since it was read."""
    group = change.group
    values = {
        "rule_id": change.rule_id,
        "revision": change.revision + 1,
        "window": group.window,
        "opened_us": group.opened_us,
        "lasts_us": change.lasts_us,
        "matches": group.matches,
        "told": group.told,
        "kept": [list(each) for each in group.kept],
    }
    if change.revision == 0:
        return insert_missing(tx, tables.alert_groups, group_key=change.key, **values)
    return tx.execute(_READ_GROUP, {"this": change.key, "read": change.revision, **values}).rowcount == 1


def limits(tx: Connection, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], LimitChange]:
    """Return how many alerts there are, by rule and hour."""
    found = dict[tuple[str, int], LimitChange]()
    for some in batches(sorted({rule for rule, _ in wanted})):
        for row in tx.execute(_LIMITS, {"rules": some}).mappings():
            if (row["rule_id"], row["hour_us"]) in wanted:
                found[row["rule_id"], row["hour_us"]] = LimitChange(**row)
    return found


def save_limit(tx: Connection, change: LimitChange) -> bool:
    """Save how many alerts of a rule there are of an hour; False: that has changed since it was read."""
    values = {"revision": change.revision + 1, "alerts": change.alerts, "untold": change.untold}
    if change.revision == 0:
        return insert_missing(tx, tables.alert_limits, rule_id=change.rule_id, hour_us=change.hour_us, **values)
    this = {"rule": change.rule_id, "hour": change.hour_us, "read": change.revision}
    return tx.execute(_READ_LIMIT, {**this, **values}).rowcount == 1


def of_records(tx: Connection, record_ids: Collection[str]) -> dict[str, Alert]:
    """Return the alerts that live with these records, by id."""
    found = dict[str, Alert]()
    for some in batches(sorted(record_ids)):
        found |= {row["id"]: alert_of(row) for row in tx.execute(_OF_RECORDS, {"ids": some}).mappings()}
    return found


def triaged(tx: Connection, ended: Collection[str]) -> frozenset[str]:
    """Return those of these alerts, which ended by themselves, that somebody was looking at until then."""
    steps = dict[str, list[str]]()
    for some in batches(sorted(ended)):
        for name, what in tx.execute(_STEPS, {"ids": some}):
            steps.setdefault(name, []).append(what)
    return frozenset(name for name, each in steps.items() if each[-2:] == ["triaged", "resolved"])


# Built once: building a statement takes as long as running it, and these run for all that is judged.
_KNOWN = select(_k.match_id).where(_k.match_id.in_(bindparam("ids", expanding=True)))
_GROUPS = select(tables.alert_groups).where(_g.group_key.in_(bindparam("keys", expanding=True)))
_READ_GROUP = update(tables.alert_groups).where(_g.group_key == bindparam("this"), _g.revision == bindparam("read"))
"""A group as it was read."""
_LIMITS = select(tables.alert_limits).where(_l.rule_id.in_(bindparam("rules", expanding=True)))
_READ_LIMIT = update(tables.alert_limits).where(
    _l.rule_id == bindparam("rule"), _l.hour_us == bindparam("hour"), _l.revision == bindparam("read")
)
"""How many alerts a rule has opened in an hour, as it was read."""
_STEPS = (
    select(_e.alert_id, _e.what)
    .where(
        _e.alert_id.in_(bindparam("ids", expanding=True)),
        _e.what.in_(["opened", "triaged", "closed", "resolved", "reopened"]),
    )
    .order_by(_e.id)
)
"""What gave alerts another status."""
_OF_RECORDS = select(tables.alerts).where(_a.record_id.in_(bindparam("ids", expanding=True)))


def add_unseeded(tx: Connection, table: str, seeds: Iterable[Seed], now_us: int) -> None:
    """Remember rules that judge without knowing what was there: of how many records, nobody knows."""
    rows = [
        {
            "table_name": table,
            "rule_id": each.rule_id,
            "source_id": "",
            "first_row_id": "",
            "first_us": now_us,
            "last_us": now_us,
            "rows": 0,
            "reason": bounded(each.given_up),
            "noted_us": now_us,
        }
        for each in seeds
        if each.given_up is not None
    ]
    if rows:
        tx.execute(insert(tables.unjudged), rows)


def add_lost(tx: Connection, lost: Iterable[GivenUp], now_us: int) -> None:
    """Remember parts that were lost before they were judged."""
    rows = [
        {
            "table_name": each.table,
            "rule_id": "",
            "source_id": each.source_id or "",
            "first_row_id": "",
            "first_us": each.min_cursor_us or each.noticed_us,
            "last_us": each.max_cursor_us or each.noticed_us,
            "rows": each.rows or 0,
            "reason": bounded(f"the part {each.path} was lost: {each.reason}"),
            "noted_us": now_us,
        }
        for each in lost
    ]
    if rows:
        tx.execute(insert(tables.unjudged), rows)
