"""How an alert that no rule opens is saved, with what people are told of it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ocelog.alert.alert import OCELOG, Telling, TimelineEntry
from ocelog.alert.delivery.routing import ChannelRow, channels_for
from ocelog.alert.raising import RaisedAlert
from ocelog.ledger.rows import alerts


def save(tx: Connection, raised: RaisedAlert, takers: Sequence[ChannelRow], now_us: int) -> bool:
    """Save an alert, and have those of `takers` told what happened to it that it goes to; False: it has changed since.

    Then nothing was saved.
    """
    alert, happened = raised.alert, raised.happened
    if not alerts.save(tx, alert):
        return False
    if happened is not None:
        detail = raised.note or alert.description
        entry = TimelineEntry(alert_id=alert.id, at_us=now_us, who=OCELOG, what=happened.value, detail=detail)
        alerts.add_to_timeline(tx, [entry])
        told = [
            Telling(alert_id=alert.id, channel_id=each, happened=happened, note=raised.note, due_us=raised.due_us)
            for each in (channels_for(alert, takers) if raised.told else ())
        ]
        alerts.add_tellings(tx, told, now_us)
    return True
