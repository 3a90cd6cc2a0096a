"""How it is told that alerts do not reach people: system errors that are saved with what follows from them."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ocelog.alert.alert import Alert
from ocelog.alert.delivery import delivering
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.delivery.suppressing import muted_by
from ocelog.alert.ids import DELIVERY_ERROR, failure_id
from ocelog.alert.raising import Muted
from ocelog.ledger.rows import alerts, raising, suppressions


def muted(tx: Connection, now_us: int) -> Muted:
    """Return what says whether nobody is to be told of an alert."""
    return muted_by(suppressions.listed(tx, ending_after_us=now_us))


def end(tx: Connection, channel_id: str, takers: Sequence[ChannelRow], now_us: int) -> None:
    """Resolve the error that a channel cannot be reached, or, without an id, that no channel takes some alerts."""
    name = failure_id(channel_id)
    before = alerts.of_ids(tx, [name], hold=True).get(name)
    if before is not None and before.is_open:
        raising.save(tx, delivering.recovered(before, now_us), takers, now_us)


def unrouted(tx: Connection, found: Sequence[Alert], there: Sequence[ChannelRow], now_us: int) -> None:
    """Raise that no channel takes alerts. Without a channel nobody expects to be told."""
    found = [each for each in found if each.rule_id != DELIVERY_ERROR]
    if not found or not there:
        return
    name = failure_id("")
    before = alerts.of_ids(tx, [name], hold=True).get(name)
    raising.save(tx, delivering.unrouted(before, found[0], len(found), now_us, muted(tx, now_us)), there, now_us)
