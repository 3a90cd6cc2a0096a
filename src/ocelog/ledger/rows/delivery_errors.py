"""How it is told that alerts do not reach people: system errors that are saved with what follows from them."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ocelog.alert import delivering
from ocelog.alert.alert import Alert, Telling, TimelineEntry
from ocelog.alert.delivering import Muted, Raised
from ocelog.alert.ids import DELIVERY_ERROR, failure_id
from ocelog.alert.notice import Happened
from ocelog.alert.routing import ChannelRow, channels_for
from ocelog.alert.suppressing import suppressed
from ocelog.ledger.rows import alerts, suppressions

_OCELOG = "ocelog"


def muted(tx: Connection, now_us: int) -> Muted:
    """Return what says whether nobody is to be told of an alert."""
    there = suppressions.listed(tx, ending_after_us=now_us)
    return lambda alert, at_us: suppressed(alert, there, at_us) is not None


def raise_(tx: Connection, raised: Raised, takers: Sequence[ChannelRow], now_us: int) -> None:
    """Save a system error, and have `takers` told what happened to it; nothing if another has just raised it."""
    alert, happened = raised.alert, raised.happened
    if not alerts.save(tx, alert) or happened is None:
        return
    alerts.add_to_timeline(
        tx, [TimelineEntry(alert_id=alert.id, at_us=now_us, who=_OCELOG, what=happened.value, detail=alert.description)]
    )
    alerts.add_tellings(
        tx,
        [
            Telling(alert_id=alert.id, channel_id=each, happened=happened, due_us=raised.due_us)
            for each in channels_for(alert, takers)
        ],
        now_us,
    )


def end(tx: Connection, channel_id: str, takers: Sequence[ChannelRow], now_us: int) -> None:
    """Resolve the error that a channel cannot be reached, or, without an id, that no channel takes some alerts."""
    name = failure_id(channel_id)
    before = alerts.of_ids(tx, [name], hold=True).get(name)
    if before is not None and before.is_open:
        over = delivering.recovered(before, now_us)
        raise_(tx, Raised(alert=over, happened=Happened.RESOLVED if over.told else None, due_us=now_us), takers, now_us)


def unrouted(tx: Connection, found: Sequence[Alert], there: Sequence[ChannelRow], now_us: int) -> None:
    """Raise that no channel takes alerts. Without a channel nobody expects to be told."""
    found = [each for each in found if each.rule_id != DELIVERY_ERROR]
    if not found or not there:
        return
    name = failure_id("")
    before = alerts.of_ids(tx, [name], hold=True).get(name)
    raise_(tx, delivering.unrouted(before, found[0], len(found), now_us, muted(tx, now_us)), there, now_us)
