"""Which channels a person has set up, and how they are: the ledger as whoever sets them up uses it."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Insert, Update, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ocelog.alert.delivery.routing import RESTS_FROM, ChannelFault, ChannelRow, ChannelStatus
from ocelog.alert.ids import failure_id
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.ledger import tables, vault
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alerts, channels, delivery_errors, outbox
from ocelog.ledger.vault import KeptSecret
from ocelog.times import from_us, has_passed

_c = tables.channels.c
_d = tables.deliveries.c
_o = tables.outbox.c
_FAILING_LONG = timedelta(minutes=15)
"""A channel that has failed for so long while something waits fails, however seldom it was tried."""


class ChannelLedger:
    """The channels that a person has set up."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def listed(self) -> list[ChannelRow]:
        """Return every channel, by the time of its adding."""
        with self._database.read() as tx:
            return channels.listed(tx)

    def find(self, id_or_name: str) -> ChannelRow | None:
        """Return the channel of that id, else the one of that name."""
        with self._database.read() as tx:
            this = select(tables.channels).where(or_(_c.id == id_or_name, _c.name == id_or_name))
            rows = [channels.channel_of(row) for row in tx.execute(this).mappings()]
            return min(rows, key=lambda row: row.id != id_or_name, default=None)

    def add(self, channel: ChannelRow, secrets: Sequence[KeptSecret] = ()) -> None:
        """Add a channel with its secrets. Raises ConfigError for a name or an id in use."""
        with self._database.write() as tx:
            values = {"id": channel.id, "added_us": channel.added_us, "failures": 0, "fence": 0}
            _write(tx, insert(tables.channels).values(values | channels.columns_of(channel)), channel)
            vault.keep(tx, secrets, vault.CHANNELS)

    def change(
        self, before: ChannelRow, to: Callable[[ChannelRow], ChannelRow], secrets: Sequence[KeptSecret] = ()
    ) -> ChannelRow:
        """Save what `to` makes of a channel as it is now, which others may have changed since `before` was read.

        And `secrets` in the place of those that it has: whoever reads the channel after that finds them.

        What failed before is tried again at once. Raises ConfigError if it is gone, or its name is used.
        """
        again: dict[str, Any] = {"failures": 0, **dict.fromkeys(("failing_us", "rests_since_us", "rests_until_us"))}
        with self._database.write() as tx:
            this = select(tables.channels).where(_c.id == before.id).with_for_update()
            row = tx.execute(this).mappings().one_or_none()
            if row is None:
                raise ConfigError(Phrase("There is no channel named %(name)s any more.", name=repr(before.name)))
            channel = to(channels.channel_of(row))
            changed = update(tables.channels).where(_c.id == channel.id).values(channels.columns_of(channel) | again)
            _write(tx, changed, channel)
            vault.keep(tx, secrets, vault.CHANNELS)
            outbox.wake(tx, channel.id, self._now_us())
            return channel

    def remove(self, channel_id: str) -> int:
        """Forget a channel with its secrets; what waits goes to those that take it now. Returns how much that was.

        Of very much, each transaction reroutes some; killed in between, who delivers does the rest.
        """
        count, left = 0, True
        while left:
            began = time.monotonic()
            with self._database.write() as tx:
                # Whoever delivers there just now notes nothing any more.
                tx.execute(select(_c.id).where(_c.id == channel_id).with_for_update()).all()
                tx.execute(delete(tables.channel_secrets).where(tables.channel_secrets.c.channel_id == channel_id))
                tx.execute(delete(tables.channels).where(_c.id == channel_id))
                delivery_errors.end(tx, channel_id, channels.listed(tx), self._now_us())
                moved, left = outbox.reroute(tx, channel_id, channels.listed(tx), self._now_us())
            count += moved
            if left:
                self._database.let_others(began)
        return count

    def statuses(self) -> list[ChannelStatus]:
        """Return how each channel is, by the time of its adding."""
        with self._database.read() as tx:
            now_us = self._now_us()
            rows = tx.execute(select(tables.channels).order_by(_c.added_us, _c.id)).mappings().all()
            counted = select(_o.channel_id, func.count(), func.min(_o.created_us)).group_by(_o.channel_id)
            waiting = {name: (count, since_us) for name, count, since_us in tx.execute(counted)}
            reached = select(_d.channel_id, func.max(_d.at_us)).where(_d.delivered).group_by(_d.channel_id)
            delivered: dict[str, int] = dict(tx.execute(reached).all())
            given_up = outbox.given_up(tx)
            return [
                ChannelStatus(
                    channel=channels.channel_of(row),
                    failures=row["failures"],
                    failing_us=row["failing_us"],
                    trouble=row["trouble"],
                    trouble_code=row["trouble_code"],
                    rests_until_us=row["rests_until_us"],
                    waiting=waiting.get(row["id"], (0, None))[0],
                    waiting_since_us=waiting.get(row["id"], (0, None))[1],
                    is_behind=not row["paused"] and outbox.is_behind(tx, channels.channel_of(row), now_us),
                    delivered_us=delivered.get(row["id"]),
                    given_up=len(given_up.get(row["id"], ())),
                    secrets=vault.kept(tx, row["id"], vault.CHANNELS),
                )
                for row in rows
            ]

    def failing(self) -> list[ChannelFault]:
        """Return the channels that fail, and not single messages.

        Such a channel failed several times in a row, or until a message was given up, or for long while any waits.
        """
        now = from_us(self._now_us())
        with self._database.read() as tx:
            tried = (_c.failing_us.is_not(None), ~_c.paused)
            rows = tx.execute(select(tables.channels).where(*tried).order_by(_c.failing_us, _c.id)).mappings().all()
            told = alerts.of_ids(tx, [failure_id(row["id"]) for row in rows])
            given_up = {name for name, alert in told.items() if alert.is_open}
            waiting = set(tx.execute(select(_o.channel_id).distinct()).scalars())
            return [
                ChannelFault(
                    id=row["id"],
                    name=row["name"],
                    since_us=row["failing_us"],
                    reason=row["trouble"] or "",
                    code=row["trouble_code"],
                )
                for row in rows
                if row["failures"] >= RESTS_FROM
                or failure_id(row["id"]) in given_up
                or (row["id"] in waiting and has_passed(_FAILING_LONG, since=from_us(row["failing_us"]), now=now))
            ]

    def secrets_kept(self, channel_id: str) -> dict[str, str]:
        """Say by its name how each secret of a channel is kept. Never the secret."""
        with self._database.read() as tx:
            return vault.kept(tx, channel_id, vault.CHANNELS)


def _write(tx: Connection, statement: Insert | Update, channel: ChannelRow) -> None:
    try:
        tx.execute(statement)
    except IntegrityError as error:
        raise ConfigError(
            Phrase(
                "There is a channel named %(name)s already; choose another name, or edit that one.",
                name=repr(channel.name),
            )
        ) from error
