"""What people and programs see of a source: all of its settings, and never its secret."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from ocelog.app.source_settings import damage, source_settings, stream_settings
from ocelog.app.sources import sources
from ocelog.app.sources.stream_health import alarm_settings
from ocelog.errors import ConfigError
from ocelog.health.settings import AFTER, EVEN_IF_QUIET, QUIET_HOURS, REPEAT, written
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.units import write_duration


class SourceView(Struct, frozen=True, kw_only=True):
    """A source as it is shown. One whose settings are damaged has none of those that come after `damaged`."""

    id: str
    name: str
    product: str
    paused: bool
    added_us: int | None
    secret_kept: str | None
    """How the secret is kept; None: there is none."""
    damaged: str | None = None
    """Why its settings cannot be used, and what to do."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The product's own."""
    log_types: Sequence[str] = ()
    projects: Sequence[str] = ()
    backfill: str | None = None
    sweep: bool = True
    sweep_every: str | None = None
    poll: str | None = None
    no_events: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The no-events alarm of each log type."""

    @property
    def state(self) -> str:
        """In a word how it is."""
        return "damaged" if self.damaged is not None else "paused" if self.paused else "active"


def shown(installation: Installation, row: SourceRow) -> SourceView:
    """Return what is shown of a source."""
    kept = sources.secret_kept(installation, row)
    about: dict[str, Any] = {"id": row.id, "name": row.name, "product": row.kind, "paused": row.paused}
    about |= {"added_us": row.added_us, "secret_kept": kept}
    broken = damage(row)
    if broken is not None:
        return SourceView(**about, damaged=str(broken))
    settings, streams = source_settings(row), stream_settings(row)
    return SourceView(
        **about,
        settings=dict(settings.to_mapping()),
        log_types=tuple(settings.log_types),
        projects=tuple(settings.projects),
        backfill="all" if streams.backfill is None else write_duration(streams.backfill),
        sweep=streams.sweep,
        sweep_every=write_duration(streams.sweep_every),
        poll=write_duration(streams.poll),
        no_events={log_type: _alarm(row, log_type) for log_type in settings.log_types},
    )


def every(installation: Installation) -> list[SourceView]:
    """Return what is shown of each source."""
    return [shown(installation, row) for row in sources.listed(installation)]


def one(installation: Installation, name: str) -> SourceView:
    """Return what is shown of the source of that name. Raises ConfigError if there is none, or it is damaged."""
    found = shown(installation, sources.find(installation, name))
    if found.damaged is not None:
        raise ConfigError(found.damaged)
    return found


def _alarm(row: SourceRow, log_type: str) -> dict[str, Any]:
    alarm = alarm_settings(row, log_type)
    return {
        AFTER: written(alarm.after),
        REPEAT: written(alarm.repeat),
        QUIET_HOURS: written(alarm.quiet_hours),
        EVEN_IF_QUIET: alarm.even_if_quiet,
    }
