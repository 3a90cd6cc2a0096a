"""What is left to tell: entries of the outbox as they lie in the ledger, and what became of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from ocelog.alert.alert import Alert, Telling
from ocelog.alert.delivery.delivering import BEHIND_AFTER, MOST_BEHIND, Entry
from ocelog.alert.delivery.routing import RANKS, ChannelRow, channels_for, is_unrouted
from ocelog.alert.ids import failure_id
from ocelog.alert.notice import Happened
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.rows import alerts, delivery_errors
from ocelog.model import Severity
from ocelog.times import from_us

_o = tables.outbox.c
_a = tables.alerts.c
_d = tables.deliveries.c
_older = tables.outbox.alias("older")
_US = timedelta(microseconds=1)
_REROUTED_AT_ONCE = 500
"""Alerts of which one transaction reroutes what waits, if there are many."""
_SECOND_US = timedelta(seconds=1) // timedelta(microseconds=1)
_HOUR_US = timedelta(hours=1) // timedelta(microseconds=1)
_DAY_US = timedelta(days=1) // timedelta(microseconds=1)


def entry_of(row: RowMapping) -> Entry:
    """Read a row of `outbox` as a value."""
    return Entry(
        id=row["id"],
        alert_id=row["alert_id"],
        happened=Happened(row["happened"]),
        note=row["note"],
        created_us=row["created_us"],
        since_us=row["due_us"] if row["waits_since_us"] is None else row["created_us"],
        tries=row["tries"],
        put_off=row["waits_since_us"] is None and row["due_us"] > row["created_us"],
    )


_NOW: ColumnElement[Any] = bindparam("now_us", type_=BigInteger())
_IS_DUE = or_(
    _o.due_us <= _NOW,
    # It waits from one instant until another: a clock that is before both was set back, and holds up nothing.
    func.coalesce(_o.waits_since_us, _o.created_us) > _NOW,
)

_WAITS_SINCE = case((_o.waits_since_us.is_(None), _o.due_us), else_=_o.created_us)
"""`since_us` of an entry: what is put off, as until the end of a mute, waits for that first."""


def heads(tx: Connection, channel_id: str, now_us: int, *, most: int, severity: Severity | None = None) -> list[str]:
    """Return the alerts of which the oldest entry for a channel is due; of one severity, if given.

    The worst severity comes first, and within one whatever was written first. So that nothing waits for ever, an entry
    counts as one severity worse for each day since it was due. One that was put off, and not because the channel
    failed, holds up none behind it.
    """
    asked = {"channel": channel_id, "now_us": now_us, "most": most, "severity": severity}
    return list(tx.execute(_heads(one_severity=severity is not None), asked).scalars())


# Building a statement takes as long as running it, and these run for all that is told: each is built once.


@cache
def _heads(*, one_severity: bool) -> Select[str]:
    severity_now = case({each.value: rank for each, rank in RANKS.items()}, value=_a.severity, else_=0)
    # A clock that was set back finds nothing older than it is.
    days = case((_WAITS_SINCE < _NOW, (_NOW - _WAITS_SINCE) // _DAY_US), else_=0)
    put_off = and_(_older.c.waits_since_us.is_(None), _older.c.due_us > _NOW)
    is_oldest = ~exists().where(
        _older.c.alert_id == _o.alert_id, _older.c.channel_id == _o.channel_id, _older.c.id < _o.id, ~put_off
    )
    found = (
        select(_o.alert_id)
        .join(tables.alerts, _a.id == _o.alert_id)
        .where(_o.channel_id == bindparam("channel"), _IS_DUE, is_oldest)
        .order_by((severity_now + days).desc(), _o.id)
        .limit(bindparam("most", type_=Integer()))
    )
    return found.where(_a.severity == bindparam("severity")) if one_severity else found


_ENTRIES = select(tables.outbox).where(_o.channel_id == bindparam("channel")).order_by(_o.id)
_UNDER_WAY = select(func.min(_o.handed)).where(_o.channel_id == bindparam("channel"))
_MESSAGE = _ENTRIES.where(_o.handed == bindparam("number"))
_OF_ALERTS = _ENTRIES.where(_o.alert_id.in_(bindparam("ids", expanding=True)))
_HANDED = update(tables.outbox).where(_o.id.in_(bindparam("ids", expanding=True)))
_DROPPED = delete(tables.outbox).where(_o.id.in_(bindparam("ids", expanding=True)))
_PUT_OFF = update(tables.outbox).where(_o.id.in_(bindparam("ids", expanding=True)))
_WOKEN = update(tables.outbox).where(_o.channel_id == bindparam("channel"), _o.tries > 0, _o.handed.is_(None))
_FREE = (
    select(_a.id).where(_a.id.in_(bindparam("ids", expanding=True))).order_by(_a.id).with_for_update(skip_locked=True)
)
_UNTOLD = (
    update(tables.alerts)
    .where(
        _a.id.in_(bindparam("ids", expanding=True)),
        _a.told,
        ~exists().where(_o.alert_id == _a.id, _o.id.not_in(bindparam("entries", expanding=True))),
        # A try that failed may have arrived.
        ~exists().where(_d.alert_id == _a.id),
    )
    .values(told=False, told_us=None, revision=_a.revision + 1)
)
"""As one that was muted when it opened: what is worse, or the next that is not muted, is told of."""
_ALERTS_THERE = select(_a.id).where(_a.id.in_(bindparam("ids", expanding=True)))
_SENT_WITHIN_HOUR = (
    select(func.max(_d.at_us))
    .where(_d.channel_id == bindparam("channel"), _d.delivered, _d.at_us > _NOW - _HOUR_US, _d.at_us <= _NOW)
    .group_by(_d.outbox_id)
)
_ATTEMPTS = (_d.channel_id == bindparam("channel"), _d.alert_id.in_(bindparam("ids", expanding=True)))
# Once for each alert: asked for each of its attempts, it would take their number squared.
_newest = func.max(_d.outbox_id).label("number")
_delivered = select(_d.alert_id, _newest).where(*_ATTEMPTS, _d.delivered).group_by(_d.alert_id).subquery("delivered")
_LAST_DELIVERED = (
    select(_d.alert_id, _d.happened)
    .join(_delivered, and_(_delivered.c.alert_id == _d.alert_id, _delivered.c.number == _d.outbox_id))
    .where(*_ATTEMPTS)
)
_MAY_HAVE_ENDED = (
    select(_d.alert_id, _d.happened)
    .outerjoin(_delivered, _delivered.c.alert_id == _d.alert_id)
    .where(
        *_ATTEMPTS,
        _d.happened.in_([each.value for each in Happened if each.ends]),
        _d.outbox_id >= func.coalesce(_delivered.c.number, 0),
    )
)
_WAITING = select(
    _o.channel_id,
    func.min(case((_IS_DUE, _NOW), else_=_o.due_us)).label("due_us"),
    func.max(_o.id).label("newest"),
    func.count().label("entries"),
).group_by(_o.channel_id)
_BEHIND = (
    select(_o.alert_id)
    .where(_o.channel_id == bindparam("channel"), bindparam("before_us", type_=BigInteger()) >= _WAITS_SINCE, _IS_DUE)
    .distinct()
    .limit(MOST_BEHIND + 1)
)


def is_behind(tx: Connection, channel: ChannelRow, now_us: int) -> bool:
    """Whether more comes for a channel than it takes: much has been due for long, and not because of quiet hours."""
    before_us, quiet = now_us - BEHIND_AFTER // _US, channel.routing.quiet_hours
    if quiet is not None and any(quiet.cover(from_us(at_us)) for at_us in (before_us, now_us)):
        return False
    asked = {"channel": channel.id, "now_us": now_us, "before_us": before_us}
    return len(tx.execute(_BEHIND, asked).all()) > MOST_BEHIND


def handed(tx: Connection, channel_id: str) -> tuple[int, dict[str, list[Entry]]] | None:
    """Return the oldest message to a channel that is under way, with its entries by alert; None: none is."""
    number = tx.execute(_UNDER_WAY, {"channel": channel_id}).scalar()
    if number is None:
        return None
    # An alert that was deleted meanwhile took its entries along.
    return number, _by_alert(tx.execute(_MESSAGE, {"channel": channel_id, "number": number}).mappings())


def of_alerts(tx: Connection, channel_id: str, ids: Collection[str]) -> dict[str, list[Entry]]:
    """Return all entries of alerts for a channel, by alert, in the order of `ids`."""
    found = dict[str, list[Entry]]()
    for some in batches(ids):
        found |= _by_alert(tx.execute(_OF_ALERTS, {"channel": channel_id, "ids": some}).mappings())
    return {name: found[name] for name in ids if name in found}


def _by_alert(rows: Iterable[RowMapping]) -> dict[str, list[Entry]]:
    found = dict[str, list[Entry]]()
    for row in rows:
        found.setdefault(row["alert_id"], []).append(entry_of(row))
    return found


def hand(tx: Connection, entries: Iterable[Entry], number: int) -> None:
    """Note that `entries` are under way as one message."""
    for some in batches([each.id for each in entries]):
        tx.execute(_HANDED, {"ids": some, "handed": number})


def drop(tx: Connection, entries: Iterable[Entry]) -> None:
    """Delete entries that are done with."""
    for some in batches([each.id for each in entries]):
        tx.execute(_DROPPED, {"ids": some})


def let_be_untold(tx: Connection, muted: Mapping[str, Sequence[Entry]], now_us: int) -> set[str]:
    """Note of alerts of which a channel does not hear, as they are muted, that nobody heard of them, if that is so.

    `muted` is all that waited for the channel when it was read, by alert. Returns those that somebody changes at this
    moment, and which wait a second longer: who changes them may wait for what this transaction holds.
    """
    busy = busy_of(tx, muted, now_us)
    # A statement of its own: it sees what was there once they were held.
    for some in batches(sorted(muted.keys() - busy)):
        tx.execute(_UNTOLD, {"ids": some, "entries": [each.id for name in some for each in muted[name]]})
    return busy


def busy_of(tx: Connection, waiting: Mapping[str, Sequence[Entry]], now_us: int) -> set[str]:
    """Hold alerts of which something waits, by alert, and return those that somebody changes at this moment, or purges.

    What waits of these waits a second longer: who changes them may wait for what this transaction holds.
    """
    free = set[str]()
    for some in batches(sorted(waiting)):
        free.update(tx.execute(_FREE, {"ids": some}).scalars())
    busy = set(waiting) - free
    put_off(tx, [each for name in busy for each in waiting[name]], now_us + _SECOND_US)
    return busy


def forget(tx: Connection, alert_ids: Collection[str]) -> None:
    """Delete what waits to be told of alerts, and is not under way."""
    for some in batches(sorted(alert_ids)):
        tx.execute(delete(tables.outbox).where(_o.alert_id.in_(some), _o.handed.is_(None)))


def postpone(tx: Connection, entries: Iterable[Entry], due: Mapping[int, int], now_us: int) -> None:
    """Let `entries` wait until what `due` says by their numbers of tries, no longer under way.

    From now on one that was put off counts as made when that was over: it has waited for the channel since then.
    """
    for each in entries:
        later = {"tries": each.tries, "due_us": due[each.tries], "waits_since_us": now_us, "handed": None}
        later["created_us"] = min(each.since_us, now_us)
        tx.execute(update(tables.outbox).where(_o.id == each.id).values(later))


def put_off(tx: Connection, entries: Iterable[Entry], until_us: int) -> None:
    """Let `entries` wait until a mute is over, as those that are written to be told later."""
    for some in batches([each.id for each in entries]):
        tx.execute(_PUT_OFF, {"ids": some, "due_us": until_us, "waits_since_us": None})


def unmute(tx: Connection, until_us: int, now_us: int, alert_ids: Collection[str] | None = None) -> None:
    """Make due what waits for the end of a mute that lasts until an instant; of some alerts only, if given."""
    woken = update(tables.outbox).where(_o.due_us == until_us, *_IS_KEPT).values(due_us=now_us)
    if alert_ids is None:
        tx.execute(woken)
        return
    for some in batches(alert_ids):
        tx.execute(woken.where(_o.alert_id.in_(some)))


def kept(tx: Connection, ends: Collection[int], since_us: int) -> set[str]:
    """Return the alerts of which something waits for the end of mutes that last until these instants.

    Only those that have changed at `since_us` or later.
    """
    changed = exists().where(_a.id == _o.alert_id, _a.updated_us >= since_us)
    waits = select(_o.alert_id).where(*_IS_KEPT, changed).distinct()
    return {name for some in batches(sorted(ends)) for name in tx.execute(waits.where(_o.due_us.in_(some))).scalars()}


_IS_KEPT = (_o.waits_since_us.is_(None), _o.handed.is_(None))


def wake(tx: Connection, channel_id: str, now_us: int) -> None:
    """Make due what waits to be tried again."""
    tx.execute(_WOKEN, {"channel": channel_id, "due_us": now_us, "waits_since_us": now_us})


def old(tx: Connection, channel_id: str, since_us: int, *, most: int) -> dict[str, list[Entry]]:
    """Return, by alert, what has waited for a channel since before an instant, and is not under way; of some alerts."""
    waits = (_o.channel_id == channel_id, since_us >= _WAITS_SINCE, _o.handed.is_(None))
    some = select(_o.alert_id).where(*waits).distinct().order_by(_o.alert_id).limit(most)
    names = tx.execute(some).scalars().all()
    found = select(tables.outbox).where(*waits, _o.alert_id.in_(names)).order_by(_o.id)
    return _by_alert(tx.execute(found).mappings())


def note(
    tx: Connection,
    number: int,
    channel_id: str,
    entries: Mapping[str, Sequence[Entry]],
    *,
    told: Mapping[str, Happened],
    delivered: bool,
    final: Collection[str],
    answer: str,
    code: str | None,
    now_us: int,
) -> None:
    """Keep what came of one attempt, for each alert that it was about.

    `told` is what it said of each; `final` are those that are not tried again.
    """
    rows: list[dict[str, Any]] = [
        {
            "outbox_id": number,
            "alert_id": name,
            "channel_id": channel_id,
            "happened": told[name].value,
            "at_us": now_us,
            "delivered": delivered,
            "final": name in final,
            "answer": bounded(answer),
            "code": code,
            "merged": len(own),
        }
        for name, own in entries.items()
    ]
    # An alert that was deleted meanwhile takes nothing with it any more.
    there = set[str]()
    for some in batches(entries):
        there.update(tx.execute(_ALERTS_THERE, {"ids": some}).scalars())
    if there:
        tx.execute(insert(tables.deliveries), [row for row in rows if row["alert_id"] in there])


def sent_within_hour(tx: Connection, channel_id: str, now_us: int) -> list[int]:
    """Return when a channel took a message, in the last hour, in order."""
    return sorted(tx.execute(_SENT_WITHIN_HOUR, {"channel": channel_id, "now_us": now_us}).scalars())


def heard(tx: Connection, channel_id: str, name: str) -> bool:
    """Whether a channel may have heard of an alert: something was sent there, whatever came of it."""
    found = select(_d.id).where(_d.alert_id == name, _d.channel_id == channel_id).limit(1)
    return tx.execute(found).first() is not None


def last_delivered(tx: Connection, channel_id: str, ids: Collection[str]) -> dict[str, Happened]:
    """Return what a channel was told last of alerts, by alert: of an end only if it has heard nothing else for sure.

    What was sent before a kill, and is sent again, may have told otherwise then; who knows its key drops the second.
    """
    found = dict[str, Happened]()
    for some in batches(ids):
        for name, happened in tx.execute(_LAST_DELIVERED, {"channel": channel_id, "ids": some}):
            if name not in found or found[name].ends:
                found[name] = Happened(happened)
    return found


def may_have_ended(tx: Connection, channel_id: str, ids: Collection[str]) -> dict[str, Happened]:
    """Return of which alerts a channel may have heard last that they are over, and how: by whatever was tried since."""
    found = dict[str, Happened]()
    for some in batches(ids):
        rows = tx.execute(_MAY_HAVE_ENDED, {"channel": channel_id, "ids": some})
        found |= {name: Happened(happened) for name, happened in rows}
    return found


def given_up(tx: Connection, channel_id: str | None = None) -> dict[str, list[str]]:
    """Return, by channel, the alerts of which the newest message was given up, and no other waits."""
    newest = select(func.max(_d.id).label("id")).group_by(_d.channel_id, _d.alert_id)
    if channel_id is not None:
        newest = newest.where(_d.channel_id == channel_id)
    last = newest.subquery()
    found = (
        select(_d.channel_id, _d.alert_id)
        .join(last, last.c.id == _d.id)
        .where(
            _d.final,
            ~_d.delivered,
            ~exists().where(_o.alert_id == _d.alert_id, _o.channel_id == _d.channel_id),
            exists().where(_a.id == _d.alert_id),
        )
        .order_by(_d.id)
    )
    by_channel = dict[str, list[str]]()
    for channel, name in tx.execute(found):
        by_channel.setdefault(channel, []).append(name)
    return by_channel


def waiting(tx: Connection, now_us: int) -> list[RowMapping]:
    """Return, for each channel that something waits for: how many entries, the first that is due, the newest."""
    return list(tx.execute(_WAITING, {"now_us": now_us}).mappings())


def reroute(tx: Connection, channel_id: str, others: Sequence[ChannelRow], now_us: int) -> tuple[int, bool]:
    """Hand what waits for a channel that is gone to those that take it now: of some alerts, if there are many.

    Returns how many entries that were, and whether there may be more.
    What none of them takes, and nobody hears of otherwise, is told of here: nothing shows later that it waited.
    """
    # Alerts are taken before what belongs to them.
    alerts.hold(tx, [failure_id("")])
    # Read as they are deleted: what another adds or reroutes at the same time is neither lost nor told twice.
    waits = _o.channel_id == channel_id
    some = select(_o.alert_id).where(waits).distinct().order_by(_o.alert_id).limit(_REROUTED_AT_ONCE)
    names = tx.execute(some).scalars().all()
    gone = delete(tables.outbox).where(waits, _o.alert_id.in_(names)).returning(*tables.outbox.c)
    rows = sorted(tx.execute(gone).mappings(), key=lambda row: int(row["id"]))
    entries = _by_alert(rows)
    found = alerts.heads_of(tx, entries)
    waits_for, told_to = (_channels_of(tx, table, names) for table in (tables.outbox, tables.deliveries))
    again, nowhere = list[Telling](), list[Alert]()
    for name, alert in found.items():
        takers = set(channels_for(alert, others))
        there, told = waits_for.get(name, set()), told_to.get(name, set())
        # Who was told of it already, or is to be, need not hear it twice.
        again += [
            Telling(alert_id=name, channel_id=taker, happened=each.happened, note=each.note, due_us=now_us)
            for taker in sorted(takers - there - told)
            for each in entries[name]
        ]
        if alert.to_be_told and not there and not told and is_unrouted(alert, others):
            nowhere.append(alert)
    alerts.add_tellings(tx, again, now_us)
    delivery_errors.unrouted(tx, nowhere, others, now_us)
    return len(rows), len(names) == _REROUTED_AT_ONCE


def _channels_of(tx: Connection, table: Table, names: Collection[str]) -> dict[str, set[str]]:
    """Return the channels that rows of alerts are about, by alert."""
    found = dict[str, set[str]]()
    for name, channel_id in tx.execute(
        select(table.c.alert_id, table.c.channel_id).where(table.c.alert_id.in_(names)).distinct()
    ):
        found.setdefault(name, set()).add(channel_id)
    return found
