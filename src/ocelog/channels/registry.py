"""Which kinds of channels there are, and how one is built from what a person sets: the only list of them."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocelog.channels.apprise.channel import APPRISE
from ocelog.channels.apprise.services import NAMES, SERVICES
from ocelog.channels.file import FILE
from ocelog.channels.http_post import Reach
from ocelog.channels.kind import ChannelKind, Values, check_names
from ocelog.channels.opsgenie import OPSGENIE
from ocelog.channels.pagerduty import PAGERDUTY
from ocelog.channels.ports import Channel
from ocelog.channels.stdout import STDOUT
from ocelog.channels.webhook import WEBHOOK
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import Secret, may_be_shown, shown
from ocelog.suggest import suggest

CHANNELS: Mapping[str, ChannelKind] = {
    kind.name: kind for kind in (WEBHOOK, APPRISE, PAGERDUTY, OPSGENIE, FILE, STDOUT)
}


def find_kind(name: str, channel: str | None = None) -> ChannelKind:
    """Return the kind of that name, for a `channel` that is to be called so. Raises ConfigError with the nearest."""
    word = name.strip().lower()
    if (found := CHANNELS.get(word)) is not None:
        return found
    service = NAMES.get(word, word)
    if service in SERVICES:
        # The address of a channel, a secret, is easily pasted in the place of its name.
        is_name = channel is not None and "/" not in channel and may_be_shown(channel)
        raise ConfigError(
            Phrase(
                "%(service)s is reached through apprise, which asks for a url: it begins with %(service)s:// or is the "
                "address that the service shows. Run: ocelog channel add apprise %(channel)s",
                service=service,
                channel=shlex.quote(channel) if channel is not None and is_name else "NAME",
            )
        )
    raise ConfigError(
        Phrase(
            "There is no kind of channel %(name)s%(name2)s There are %(channels)s.",
            name=shown(name),
            name2=suggest(name, CHANNELS) or ".",
            channels=", ".join(CHANNELS),
        )
    )


def parse(
    kind: str, settings: Mapping[str, Any], secret: Secret | None, *, home: Path, reach: Reach | None = None
) -> Channel:
    """Return the channel that is set so; nothing is sent yet. `reach` is for tests.

    Raises ConfigError, which says what is wrong and gives an example, and repeats no secret.
    """
    found = find_kind(kind)
    check_names(found, settings)
    hidden = {each.name for each in found.settings if each.secret}
    for name in settings:
        if name in hidden:
            raise ConfigError(
                Phrase(
                    "%(name)s of a %(name2)s channel is a secret: it is not among the settings that are shown.",
                    name=name,
                    name2=found.name,
                )
            )
    given = {**settings, **_secrets(secret)}
    check_names(found, given)
    return found.build(Values(kind=found.name, given=given, home=home, reach=reach or Reach()))


def _secrets(secret: Secret | None) -> dict[str, Any]:
    if secret is None:
        return {}
    try:
        found = json.loads(secret.reveal())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # Not chained: the error would show what it could not read.
        raise ConfigError(Phrase("The secret of the channel is not as it was kept: enter it again.")) from None
    return found
