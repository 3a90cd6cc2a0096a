"""What changes of alerts have in common, whoever makes them: a person, or the end of a rule or a source."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Row, delete, select, union

from ocelog.alert.alert import Alert, Telling
from ocelog.alert.changes import Act
from ocelog.alert.ids import alert_id, dedups_of, group_key
from ocelog.alert.notice import Happened
from ocelog.errors import ConfigError, LedgerUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alerts

_AT_ONCE = 200
"""Alerts that one transaction changes, if there are many: it takes a tenth of a second or so."""
_a = tables.alerts.c


def change(tx: Connection, ids: Collection[str], act: Act, now_us: int) -> list[tuple[Alert, bool]]:
    """Change alerts, and tell the channels that were told of them. Return each as it is now, and whether it changed.

    They are held in the order of their ids: two that change the same ones take turns. Raises ConfigError if one is
    gone; then, or if `act` raises, the transaction must not be committed. Nobody needs their contexts, which are empty:
    to read and write those of 200 alerts takes seconds, in which nobody else writes.
    """
    found = alerts.held_contextless(tx, ids)
    gone = sorted(set(ids) - set(found))
    if gone:
        raise ConfigError(Phrase("There is no alert %(gone)s any more. See: ocelog alerts list", gone=gone[0]))
    changes = {key: act(alert, now_us) for key, alert in found.items()}
    channels = told_channels(tx, [key for key, each in changes.items() if each is not None and each.happened])
    tellings = list[Telling]()
    for made in filter(None, changes.values()):
        if not alerts.save(tx, made.alert, keeps_context=True):
            raise LedgerUnavailableError(
                Phrase("The alert %(id)s changed at just that moment: try again.", id=made.alert.id)
            )
        if made.happened is not None:
            tellings += tellings_of(made.alert.id, channels.get(made.alert.id, ()), made.happened, made.note, now_us)
    alerts.add_to_timeline(tx, (made.entry for made in changes.values() if made is not None))
    alerts.add_tellings(tx, tellings, now_us)
    return [(found[key] if made is None else made.alert, made is not None) for key, made in changes.items()]


def change_open(
    database: Database,
    which: ColumnElement[bool],
    act: Act,
    now_us: Callable[[], int],
    *,
    still: Callable[[Connection], bool] = lambda _: True,
) -> int:
    """Change the alerts that are `which` and not over, as `change`, and return how many changed.

    Others may change one before its turn: `act` sees it as it is by then. There may be very many, so each transaction
    changes some, as long as it finds what is to be so `still`. Whoever is killed between two of them calls it again.
    """
    with database.read() as tx:
        left = open_ids(tx, which)
    count = 0
    while left:
        some, left = left[:_AT_ONCE], left[_AT_ONCE:]
        began = time.monotonic()
        with database.write() as tx:
            if not still(tx):
                break
            # Some may be gone.
            there = alerts.hold(tx, some)
            count += sum(changed for _, changed in change(tx, there, act, now_us()))
        if left:
            database.let_others(began)
    return count


def tellings_of(
    alert_id: str, channels: Iterable[str], happened: Happened, note: str, now_us: int
) -> Sequence[Telling]:
    """Return what is to be told now of one alert, through each channel."""
    return [
        Telling(alert_id=alert_id, channel_id=channel, happened=happened, note=note, due_us=now_us)
        for channel in channels
    ]


def told_channels(tx: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """Return which channels were told of alerts, or are about to be, by the alert's id; not those that are removed."""
    found = dict[str, list[str]]()
    there = select(tables.channels.c.id)
    for some in batches(sorted(ids)):
        told = union(
            *(
                select(table.c.alert_id, table.c.channel_id).where(
                    table.c.alert_id.in_(some), table.c.channel_id.in_(there)
                )
                for table in (tables.deliveries, tables.outbox)
            )
        )
        for name, channel_id in tx.execute(told.order_by("alert_id", "channel_id")):
            found.setdefault(name, []).append(channel_id)
    return found


def open_ids(tx: Connection, which: ColumnElement[bool]) -> list[str]:
    """Return the ids of the alerts that are `which` and not over."""
    return list(tx.execute(select(_a.id).where(which, tables.OPEN_ALERT).order_by(_a.id)).scalars())


def purge(tx: Connection, source_id: str) -> None:
    """Delete the alerts of a source with all that belongs to them, which matches it has, and what was not judged."""
    purge_alerts(tx, tx.execute(select(_a.id, _a.rule_id, _a.dedup).where(_a.source_id == source_id)).all())
    for table in (tables.match_keys, tables.unjudged):
        tx.execute(delete(table).where(table.c.source_id == source_id))


def purge_alerts(tx: Connection, found: Sequence[Row[str, str, str]]) -> None:
    """Delete alerts, each given by its id, rule and dedup string, with all that belongs to them."""
    ids = {each.id for each in found}
    # Another source's match would join an alert that is gone, of which nobody would hear.
    _purge_groups(tx, ids, {(each.rule_id, dedup) for each in found for dedup in dedups_of(each.dedup)})
    alerts.hold(tx, ids)
    alerts.forget(tx, ids)


def _purge_groups(tx: Connection, ids: Collection[str], named: Iterable[tuple[str, str]]) -> None:
    """Delete those groups, each named by rule and dedup string, whose newest alert is one of `ids`."""
    by_key = {group_key(rule, dedup): (rule, dedup) for rule, dedup in named}
    g = tables.alert_groups.c
    for keys in batches(sorted(by_key)):
        held = select(g.group_key, g.window).where(g.group_key.in_(keys)).order_by(g.group_key).with_for_update()
        gone = [each.group_key for each in tx.execute(held) if alert_id(*by_key[each.group_key], each.window) in ids]
        tx.execute(delete(tables.alert_groups).where(g.group_key.in_(gone)))


def joined_still(tx: Connection, rules_and_dedups: Iterable[tuple[str, str]]) -> set[str]:
    """Return the ids of alerts with these rules and dedup strings that a match may still join: the newest of groups.

    A group is forgotten some time after its window is over. None other is ever joined again.
    """
    named = {(rule, dedup) for rule, shown in rules_and_dedups for dedup in dedups_of(shown)}
    by_key = {group_key(rule, dedup): (rule, dedup) for rule, dedup in named}
    g = tables.alert_groups.c
    there = set[str]()
    for keys in batches(sorted(by_key)):
        for key, window in tx.execute(select(g.group_key, g.window).where(g.group_key.in_(keys))):
            there.add(alert_id(*by_key[key], window))
    return there
