"""How alerts, their timeline and what is to be told of them lie in the ledger."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import fields
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from ocelog.alert.alert import Alert, Telling, TimelineEntry
from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded, insert_missing
from ocelog.model import Severity

_AT_ONCE = 500
"""Rows that are read at once."""
_a = tables.alerts.c
_COLUMNS = {found.name: found.name for found in fields(Alert)} | {"to_be_told": "told"}
"""Attribute -> column."""
_TEXTS = frozenset(
    {"title", "description", "runbook", "reference", "rule_name", "dedup", "link", "assignee", "source_label"}
)


_LONG = frozenset({"context", "description", "runbook", "reference"})
HEAD = tuple(each for each in tables.alerts.c if each.name not in _LONG)
"""The columns of an alert without its longest: thousands of contexts take gigabytes."""
CONTEXTLESS = tuple(each for each in tables.alerts.c if each.name != "context")
"""The columns of an alert but for its context."""
_HEAD_COLUMNS = {name: column for name, column in _COLUMNS.items() if column not in _LONG}

_CONTEXTLESS_COLUMNS = {name: column for name, column in _COLUMNS.items() if column != "context"}


def alert_of(row: RowMapping) -> Alert:
    """Read a row of `alerts` as a value."""
    return _read(row, _COLUMNS)


def head_of(row: RowMapping) -> Alert:
    """Read the columns `HEAD` of an alert as a value that is never saved: the others are empty."""
    return _read(row, _HEAD_COLUMNS)


def contextless_of(row: RowMapping) -> Alert:
    """Read the columns `CONTEXTLESS` of an alert as a value that is saved by `keeps_context`: its context is empty."""
    return _read(row, _CONTEXTLESS_COLUMNS)


def _read(row: RowMapping, columns: Mapping[str, str]) -> Alert:
    values: dict[str, Any] = {name: row[column] for name, column in columns.items()}
    values["type"], values["status"] = AlertType(row["type"]), AlertStatus(row["status"])
    values["severity"] = Severity(row["severity"])
    values["told_severity"] = None if row["told_severity"] is None else Severity(row["told_severity"])
    values["tags"] = tuple(row["tags"])
    values["destinations"] = None if row["destinations"] is None else tuple(row["destinations"])
    return Alert(**values)


def columns_of(alert: Alert) -> dict[str, Any]:
    """Return what `alerts` holds of a value; texts are cut to what both databases can hold."""
    values: dict[str, Any] = {column: getattr(alert, name) for name, column in _COLUMNS.items()}
    values |= {name: bounded(values[name]) for name in _TEXTS}
    values["tags"] = list(alert.tags)
    values["destinations"] = None if alert.destinations is None else list(alert.destinations)
    values["context"] = clean(alert.context)
    return values


def clean(value: Any) -> Any:
    """Return JSON without what PostgreSQL or UTF-8 cannot hold in a text: NUL and lone surrogates."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case Mapping():
            return {clean(str(name)): clean(below) for name, below in value.items()}
        case list() | tuple():
            return [clean(below) for below in value]
        case _:
            return value


def of_ids(tx: Connection, ids: Collection[str], *, hold: bool = False) -> dict[str, Alert]:
    """Return the alerts with these ids, by id; `hold` takes their rows until the transaction ends."""
    found = dict[str, Alert]()
    for some in batches(sorted(ids)):
        rows = tx.execute(_HELD if hold else _THESE, {"ids": some})
        found |= {row["id"]: alert_of(row) for row in rows.mappings()}
    return found


def held_contextless(tx: Connection, ids: Collection[str]) -> dict[str, Alert]:
    """Return the alerts with these ids, by id, without their contexts; their rows are taken, as by `of_ids`."""
    return {
        row["id"]: contextless_of(row)
        for some in batches(sorted(ids))
        for row in tx.execute(_HELD_CONTEXTLESS, {"ids": some}).mappings()
    }


def heads_of(tx: Connection, ids: Collection[str]) -> dict[str, Alert]:
    """Return the alerts with these ids, by id, without what is long in them."""
    return {
        row["id"]: head_of(row)
        for some in batches(sorted(ids))
        for row in tx.execute(_THESE_HEADS, {"ids": some}).mappings()
    }


def heads(tx: Connection, wanted: Select[Any]) -> Generator[Alert]:
    """Yield what `wanted`, a selection of `HEAD`, finds, a page at a time and without what is long in it."""
    with tx.execute(wanted, execution_options={"yield_per": _AT_ONCE}) as found:
        for row in found.mappings():
            yield head_of(row)


def hold(tx: Connection, ids: Collection[str]) -> list[str]:
    """Take the rows of alerts, in the order of their ids, until the transaction ends; return those that are there."""
    found = list[str]()
    for some in batches(sorted(ids)):
        found += tx.execute(_HELD_IDS, {"ids": some}).scalars()
    return found


# Built once: building a statement takes as long as running it, and these run for all that is judged and told.
_THESE = select(tables.alerts).where(_a.id.in_(bindparam("ids", expanding=True))).order_by(_a.id)
_THESE_HEADS = _THESE.with_only_columns(*HEAD)
_HELD = _THESE.with_for_update()
_HELD_CONTEXTLESS = _HELD.with_only_columns(*CONTEXTLESS)
_HELD_IDS = _HELD.with_only_columns(_a.id)
_o = tables.outbox.c
_COMES_AND_GOES = frozenset({Happened.REOPENED, Happened.RESOLVED, Happened.NOT_VISIBLE, Happened.ESCALATED})
"""What happens to an alert by itself, again and again. In a message of several, their order says nothing."""
_older, _newer = tables.outbox.alias("older"), tables.outbox.alias("newer")


def _says_the_same(other: Any) -> ColumnElement[bool]:
    is_put_off, others = (and_(each.waits_since_us.is_(None), each.due_us > each.created_us) for each in (_o, other.c))
    same = (getattr(other.c, name) == getattr(_o, name) for name in ("alert_id", "channel_id", "happened", "note"))
    return and_(*same, other.c.handed.is_(None), is_put_off == others)


_NEEDLESS = (
    select(_o.id)
    .where(
        _o.alert_id.in_(bindparam("ids", expanding=True)),
        _o.happened.in_([each.value for each in _COMES_AND_GOES]),
        _o.handed.is_(None),
        exists().where(_says_the_same(_older), _older.c.id < _o.id),
        exists().where(_says_the_same(_newer), _newer.c.id > _o.id),
    )
    # What is just being handed out goes with that message.
    .with_for_update(skip_locked=True)
)
_DROPPED = delete(tables.outbox).where(_o.id.in_(bindparam("ids", expanding=True)))
_READ = update(tables.alerts).where(_a.id == bindparam("this"), _a.revision == bindparam("read"))
"""An alert as it was read."""


def save(tx: Connection, alert: Alert, *, keeps_context: bool = False) -> bool:
    """Save a change of an alert; False: it changed since this revision of it was read, and nothing was saved.

    `keeps_context`: its context stays as the ledger has it, for an alert that was read without.
    """
    values = columns_of(alert) | {"revision": alert.revision + 1}
    if keeps_context:
        del values["context"]
    if alert.revision == 0:
        # Another may be opening it at this moment.
        return insert_missing(tx, tables.alerts, **values)
    return tx.execute(_READ, {"this": alert.id, "read": alert.revision, **values}).rowcount == 1


def add_to_timeline(tx: Connection, entries: Iterable[TimelineEntry]) -> None:
    """Add what happened, in this order."""
    rows = [
        {
            "alert_id": each.alert_id,
            "at_us": each.at_us,
            "who": bounded(each.who),
            "what": each.what,
            "detail": bounded(each.detail),
        }
        for each in entries
    ]
    if rows:
        tx.execute(insert(tables.alert_events), rows)


def add_tellings(tx: Connection, tellings: Sequence[Telling], now_us: int) -> None:
    """Put what is to be told into the outbox, in this order.

    What waits for a channel of one alert goes as one message that shows the alert as it is then. So of what says the
    same, the oldest, which says since when it waits, and the newest, which names the message, are enough: an alert that
    comes and goes while a channel cannot be reached adds no more.
    """
    rows = [
        {
            "alert_id": each.alert_id,
            "channel_id": each.channel_id,
            "happened": each.happened.value,
            "note": bounded(each.note),
            # A mute that began until it was committed was not known then, and covers it. And a clock that was set back
            # until then finds it due.
            "created_us": now_us if each.decided_us is None else each.decided_us,
            "due_us": each.due_us,
            "tries": 0,
        }
        for each in tellings
    ]
    if rows:
        tx.execute(insert(tables.outbox), rows)
    for some in batches(sorted({each.alert_id for each in tellings if each.happened in _COMES_AND_GOES})):
        for needless in batches(tx.execute(_NEEDLESS, {"ids": some}).scalars()):
            tx.execute(_DROPPED, {"ids": needless})


def forget(tx: Connection, ids: Collection[str]) -> None:
    """Delete alerts with all that belongs to them."""
    for some in batches(sorted(ids)):
        for table in (tables.outbox, tables.deliveries, tables.alert_events):
            tx.execute(delete(table).where(table.c.alert_id.in_(some)))
        tx.execute(delete(tables.alerts).where(_a.id.in_(some)))
