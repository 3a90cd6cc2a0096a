"""A channel is sent to as it is now: its address and its secrets are those of one instant."""

from pathlib import Path
from typing import Any

import pytest

from ocelog.alert.delivery.routing import ChannelRow
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.errors import ConfigError
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.ledger.vault import Vault
from ocelog.secrets.secret import Secret


def reached(url: str, key: str) -> ChannelChange:
    return ChannelChange(settings={"url": url}, secrets={"api_key": GivenSecret(value=Secret(key))})


@pytest.mark.parametrize("read_first", [True, False])
def test_a_new_secret_goes_to_no_address_that_the_channel_had_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_first: bool
) -> None:
    built, real = list[tuple[object, dict[str, str]]](), Vault.get_all

    def build(_: Installation, row: ChannelRow, secrets: dict[str, Secret]) -> None:
        built.append((row.settings["url"], {name: each.reveal() for name, each in secrets.items()}))

    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as home:
        row = channels.add(home, "opsgenie", "ops", reached("https://old.example.com", "o" * 32))

        def while_read(self: Vault, *given: Any, **named: Any) -> dict[str, Secret]:
            monkeypatch.setattr(Vault, "get_all", real)
            before = real(self, *given, **named) if read_first else None
            channels.edit(home, row, reached("https://new.example.com", "n" * 32))
            return real(self, *given, **named) if before is None else before

        monkeypatch.setattr(channels, "_built", build)
        monkeypatch.setattr(Vault, "get_all", while_read)
        built.clear()
        channels.open_channel(home, row)
        assert built[-1] == ("https://new.example.com", {"api_key": "n" * 32})
        home.ledger.channels.remove(row.id)
        with pytest.raises(ConfigError, match="'ops' any more"):
            channels.open_channel(home, row)
