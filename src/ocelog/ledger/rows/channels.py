"""How a channel lies in the ledger: as a person set it up, who delivers there, and how that goes."""

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, RowMapping, bindparam, select, update

from ocelog.alert.delivery import routing
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded
from ocelog.model import Claim
from ocelog.times import CLOCKS_APART

_c = tables.channels.c
_US = timedelta(microseconds=1)


def channel_of(row: RowMapping) -> ChannelRow:
    """Read a row of `channels` as a value."""
    return ChannelRow(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        settings=row["settings"],
        routing=routing.read(row["routing"]),
        paused=row["paused"],
        added_us=row["added_us"],
    )


def columns_of(channel: ChannelRow) -> dict[str, Any]:
    """Return what a person decides of a channel as `channels` has it."""
    return {
        "name": channel.name,
        "kind": channel.kind,
        "settings": dict(channel.settings),
        "routing": routing.written(channel.routing),
        "paused": channel.paused,
    }


def listed(tx: Connection) -> list[ChannelRow]:
    """Return every channel, by the time of its adding."""
    return [channel_of(row) for row in tx.execute(_ALL).mappings()]


def take(tx: Connection, channel_id: str, holder: str, now_us: int, lease: timedelta) -> Claim | None:
    """Hand a channel to `holder` under a new fence; None: another has it whose lease runs, or it is gone."""
    row = tx.execute(_HELD, {"channel": channel_id}).one_or_none()
    if row is None:
        return None
    # No lease is longer than it was taken for: one that seems to be is of a clock that was ahead.
    longest = now_us + (row.lease_us or 0) + CLOCKS_APART // _US
    if row.holder is not None and now_us < row.leased_until_us <= longest:
        return None
    held = {"holder": bounded(holder), "lease_us": lease // _US, "leased_until_us": now_us + lease // _US}
    tx.execute(_THIS, {"channel": channel_id, "fence": row.fence + 1, **held})
    return Claim(name=channel_id, fence=row.fence + 1)


def hold(tx: Connection, claim: Claim, now_us: int) -> RowMapping:
    """Take the row of a channel until the transaction ends, and extend its lease. Raises LostFenceError."""
    if tx.execute(_EXTENDED, {**_mine(claim), "now_us": now_us}).rowcount != 1:
        raise LostFenceError(
            f"The channel {claim.name} is no longer held with fence {claim.fence}: another process delivers there, or "
            "it was removed. Nothing was noted."
        )
    return tx.execute(_ONE, {"channel": claim.name}).mappings().one()


def release(tx: Connection, claim: Claim) -> None:
    """Let go of a channel, unless another has it already."""
    tx.execute(_MINE, {**_mine(claim), "holder": None, "leased_until_us": None})


def release_home(tx: Connection, home_id: str) -> None:
    """Let go of the channels that holders of a home have."""
    ours = _c.holder.startswith(f"{home_id}/", autoescape=True)
    tx.execute(update(tables.channels).where(ours).values(holder=None, leased_until_us=None))


def _mine(claim: Claim) -> dict[str, Any]:
    return {"channel": claim.name, "held": claim.fence}


# Built once: building a statement takes as long as running it, and these run for all that is told.
_ALL = select(tables.channels).order_by(_c.added_us, _c.id)
_ONE = select(tables.channels).where(_c.id == bindparam("channel"))
_HELD = _ONE.with_for_update()
_THIS = update(tables.channels).where(_c.id == bindparam("channel"))
_MINE = _THIS.where(_c.fence == bindparam("held"), _c.holder.is_not(None))
_EXTENDED = _MINE.values(leased_until_us=bindparam("now_us", type_=BigInteger()) + _c.lease_us)
