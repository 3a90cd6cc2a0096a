"""What a source is set to, read from its row in the ledger."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from ocelog.errors import ConfigError, SourceUnavailableError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.model import SourceRow
from ocelog.product import SourceSettings
from ocelog.pull.planner import StreamSettings
from ocelog.secrets.secret import Secret
from ocelog.sources.registry import SOURCES
from ocelog.units import duration, write_duration

SECRET_NAME = "client_secret"  # noqa: S105 - what the secret is called in the vault
POLL, BACKFILL, SWEEP_EVERY = "5m", "30d", "1d"


def source_settings(row: SourceRow) -> SourceSettings:
    """Read how a source's tenant is reached. Raises ConfigError."""
    product = SOURCES.get(row.kind)
    if product is None:
        raise _damaged(row, f"this version reads {', '.join(SOURCES)}, but not {row.kind!r}")
    written = row.settings.get(row.kind)
    try:
        if isinstance(written, Mapping):
            return _read(product.read, json.dumps(written))
    except ConfigError as error:
        raise _damaged(row, str(error)) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(row, f"{type(error).__name__}: {error}") from error
    raise _damaged(row, f"they do not say how {product.title} is reached")


@lru_cache(maxsize=256)
def _read(read: Callable[[Mapping[str, Any]], SourceSettings], written: str) -> SourceSettings:
    """Read settings. Those of one source are asked for some twenty times in a row, and take most of a look at all."""
    return read(json.loads(written))


def reveal(installation: Installation, row: SourceRow) -> Secret:
    """Return the secret that belongs to the account and the address in `row`. Raises HomeError if the key is lost.

    And SourceUnavailableError if others are in the place of these by now: their secret must not be sent to these.
    """
    with installation.ledger.snapshot():
        there = installation.ledger.sources.find(row.id)
        if there is None or there.removed_us is not None or _account(there) != _account(row):
            raise SourceUnavailableError(
                Phrase("The source %(name)s has just been changed. Try again.", name=repr(row.name))
            )
        return installation.vault().get(row.id, SECRET_NAME)


def _account(row: SourceRow) -> dict[str, object]:
    """Return where a source's secret is sent, and as whose."""
    found = source_settings(row).to_mapping()
    return {each.name: found.get(each.name) for each in SOURCES[row.kind].options if each.is_address or each.rotates}


def product_title(row: SourceRow) -> str:
    """Return whose logs a source reads, as their maker writes it."""
    product = SOURCES.get(row.kind)
    return row.kind if product is None else product.title


def stream_settings(row: SourceRow) -> StreamSettings:
    """Read how far back and how often a source's streams are read. Raises ConfigError."""
    try:
        backfill = str(row.settings.get("backfill", BACKFILL))
        return StreamSettings(
            backfill=None if backfill == "all" else duration(backfill),
            sweep=bool(row.settings.get("sweep", True)),
            sweep_every=duration(str(row.settings.get("sweep_every", SWEEP_EVERY))),
            poll=duration(str(row.settings.get("poll", POLL))),
        )
    except ConfigError as error:
        raise _damaged(row, str(error)) from error


def written_backfill(text: str, named: str) -> str:
    """Return how a backfill is kept: `all` or a duration. Raises ConfigError, which begins with `named`."""
    if text.strip().lower() == "all":
        return "all"
    try:
        return write_duration(duration(text))
    except ConfigError as error:
        raise ConfigError(
            Phrase("%(named)s%(error)s Or write all: then everything is read.", named=named, error=error)
        ) from error


def written_poll(text: str, named: str) -> str:
    """Return how the time between two polls is kept. Raises ConfigError, which begins with `named`."""
    return _bounded(text, named, timedelta(seconds=1), timedelta(days=1))


def written_sweep_every(text: str, named: str) -> str:
    """Return how the time between two sweeps is kept. Raises ConfigError, which begins with `named`."""
    return _bounded(text, named, timedelta(minutes=10), timedelta(days=30))


def _bounded(text: str, named: str, least: timedelta, most: timedelta) -> str:
    try:
        found = duration(text)
    except ConfigError as error:
        raise ConfigError(Phrase("%(named)s: %(error)s", named=named, error=error)) from error
    if not least <= found <= most:
        raise ConfigError(
            Phrase(
                "%(named)s %(text)s: choose something from %(least)s to %(most)s.",
                named=named,
                text=text,
                least=write_duration(least),
                most=write_duration(most),
            )
        )
    return write_duration(found)


def damage(row: SourceRow) -> ConfigError | None:
    """Return why the settings of a source cannot be used; None: they can."""
    try:
        source_settings(row)
        stream_settings(row)
    except ConfigError as error:
        return error
    return None


def _damaged(row: SourceRow, why: str) -> ConfigError:
    return ConfigError(
        Phrase(
            "The settings of the source %(name)s are damaged: %(why)s. Remove it and add it again "
            "under the same name, and it goes on where it stopped: ocelog source remove %(id)s",
            name=repr(row.name),
            why=why.rstrip("."),
            id=row.id,
        )
    )
