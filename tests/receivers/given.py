"""A channel as a person sets it up: settings and secrets given together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocelog.channels.http_post import Reach
from ocelog.channels.kind import check_names
from ocelog.channels.ports import Channel
from ocelog.channels.registry import find_kind, parse
from ocelog.secrets.secret import Secret


def separate(kind: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], Secret | None]:
    """Part what was given as it is kept: settings that may be shown, and the secrets in one. Raises ConfigError."""
    found = find_kind(kind)
    check_names(found, given)
    kept = dict(given)
    secret = {each.name: kept.pop(each.name) for each in found.settings if each.secret and each.name in kept}
    return kept, Secret(json.dumps(secret)) if secret else None


def channel_of(kind: str, given: Mapping[str, Any], *, home: Path, reach: Reach | None = None) -> Channel:
    """Return the channel that is set so. Raises ConfigError."""
    return parse(kind, *separate(kind, given), home=home, reach=reach)
