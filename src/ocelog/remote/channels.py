"""Channels of a remote Ocelog: how they are, and what their far ends answer."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ocelog.alert.delivery.routing import ChannelRow, ChannelStatus, read
from ocelog.channels.ports import Receipt
from ocelog.remote.client import Client, error_of
from ocelog.remote.values import us_of


class Channels(Struct, frozen=True):
    """The channels there."""

    client: Client

    def statuses(self) -> list[ChannelStatus]:
        """Return how each channel is."""
        items = list(self.client.pages("channels"))
        with self.client.reading():
            return sorted(map(_status, items), key=lambda each: (each.channel.added_us, each.channel.id))

    def status(self, name: str) -> ChannelStatus:
        """Return how the channel of that name is. Raises OcelogError."""
        found = self.client.get("channels", name)
        with self.client.reading():
            return _status(found)

    def add(self, body: Mapping[str, Any]) -> ChannelStatus:
        """Have a channel added; `body` is a `NewChannel` of the API."""
        found = self.client.send("POST", "channels", body=body)
        with self.client.reading():
            return _status(found)

    def edit(self, name: str, body: Mapping[str, Any]) -> ChannelStatus:
        """Have a channel changed; `body` is a `ChannelEdit` of the API."""
        found = self.client.send("PATCH", "channels", name, body=body)
        with self.client.reading():
            return _status(found)

    def remove(self, name: str) -> None:
        """Have a channel forgotten with its secrets."""
        self.client.send("DELETE", "channels", name)

    def send_test(self, channel_id: str) -> Receipt:
        """Have a marked message sent; return what the far end answered. Raises OcelogError if it was not taken."""
        found = self.client.send("POST", "channels", channel_id, "test")
        with self.client.reading():
            if not found["delivered"]:
                raise error_of(found["code"], found["answer"], later=found["later"])
            status = found["status"]
            return Receipt(status=status, text=found["answer"].removeprefix(status).strip())

    def pause(self, name: str, *, paused: bool) -> None:
        """Have nothing sent through a channel, or all that waits."""
        self.client.send("PATCH", "channels", name, body={"paused": paused})

    def resend(self, name: str) -> int:
        """Have what was given up sent again; return of how many alerts."""
        done = self.client.send("POST", "channels", name, "resend")
        with self.client.reading():
            return int(done["alerts"])


def _status(found: Mapping[str, Any]) -> ChannelStatus:
    row = ChannelRow(
        id=found["id"],
        name=found["name"],
        kind=found["kind"],
        settings=found["settings"],
        routing=read(found["route"]),
        paused=found["paused"],
        added_us=us_of(found["added_at"]) or 0,
    )
    failing = us_of(found["failing_since"])
    return ChannelStatus(
        channel=row,
        failures=0 if failing is None else 1,
        failing_us=failing,
        trouble=found["trouble"],
        trouble_code=found["trouble_code"],
        rests_until_us=None,
        waiting=found["waiting"],
        waiting_since_us=us_of(found["waiting_since"]),
        is_behind=found["is_behind"],
        delivered_us=us_of(found["delivered_at"]),
        given_up=found["given_up"],
        secrets=found["secrets"],
    )
