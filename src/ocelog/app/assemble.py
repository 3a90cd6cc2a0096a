"""Which parts make a working whole: the only file that knows them all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from ocelog.app.expiry import expiry_now
from ocelog.app.log_types import table_schemas
from ocelog.app.source_settings import SECRET_NAME, stream_settings, wiz_settings
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.slices import LEASE
from ocelog.model import Kind, SourceRow
from ocelog.pull.clock import ApiClock
from ocelog.pull.planner import StreamSettings
from ocelog.pull.ports import Shaper
from ocelog.pull.puller import Puller, Step
from ocelog.schema.columns.table import rejection_rows
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.secret import Secret
from ocelog.sources.wiz.rate import Pace
from ocelog.sources.wiz.settings import WizSettings
from ocelog.sources.wiz.source import WizSource
from ocelog.sources.wiz.streams import KINDS
from ocelog.suggest import suggest
from ocelog.units import per_table

_MARGIN = timedelta(minutes=1)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One log type of one source, with all that reads it."""

    row: SourceRow
    kind: Kind
    source: WizSource
    puller: Puller
    settings: StreamSettings

    @property
    def key(self) -> tuple[str, str]:
        """Source id and log type: what names a stream."""
        return self.row.id, self.kind.log_type


def lease_of(stream: Stream) -> timedelta:
    """Return how long a slice of `stream` is a silent holder's: longer than a token and a page may take together."""
    return max(LEASE, timedelta(seconds=3 * stream.source.settings.total_seconds) + _MARGIN)


def maintenance(installation: Installation, *, trust_clock: bool = False) -> Maintenance:
    """Return what keeps the tables of `installation` small. Raises ConfigError for a retention of an unknown table.

    Rows expire by our clock as far as Wiz's bears it out, or whatever it says if told to `trust_clock`.
    """
    schemas = table_schemas()
    retention = per_table(installation.settings.retention)
    for table in retention:
        if table not in schemas:
            raise ConfigError(
                f"retention: there is no table {table!r}{suggest(table, schemas) or '. See: ocelog tables'}"
            )
    return Maintenance(
        installation.home.path,
        installation.ledger,
        schemas,
        grace=installation.settings.part_grace,
        retention=retention,
        now=(lambda: datetime.now(UTC)) if trust_clock else (lambda: expiry_now(installation.ledger)),
    )


def wiz_source(
    settings: WizSettings, secret: Callable[[], Secret], clock: ApiClock | None = None, pace: Pace | None = None
) -> WizSource:
    """Return a tenant to ask; `secret` is called for each token, and sources of one account share `pace`."""
    return WizSource(settings, secret, clock or ApiClock(), pace=pace)


@dataclass(slots=True, kw_only=True)
class Assembly:
    """An open installation's lake, and its streams as the ledger has them now."""

    installation: Installation
    told: Callable[[Stream, Step], None]
    """Hears of each question that was answered, after its commit."""
    lake: FileLake = field(init=False)
    publisher: Publisher = field(init=False)
    damaged: dict[str, ConfigError] = field(default_factory=dict)
    """Id of each source whose settings could not be read when the streams were last asked for -> why."""
    _shapers: dict[str, Shaper] = field(default_factory=dict)
    _clocks: dict[str, ApiClock] = field(default_factory=dict)
    _paces: dict[tuple[str, str], Pace] = field(default_factory=dict)
    """By token URL and client id: Wiz limits what a service account sends, however many sources use it."""
    _built: dict[str, tuple[SourceRow, str, list[Stream]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        home, ledger = self.installation.home.path, self.installation.ledger
        schemas = table_schemas()
        self.lake = FileLake(home, ledger, schemas)
        self.publisher = Publisher(home, ledger, schemas)

    def streams(self) -> list[Stream]:
        """Return the streams of every source that is neither paused nor removed, rebuilt if its row or secret changed.

        A source whose settings do not hold has none, which is told once.
        """
        rows = [row for row in self.installation.ledger.sources() if not row.paused]
        gone = self._built.keys() - {row.id for row in rows}
        for source_id in gone:
            del self._built[source_id]
            self.damaged.pop(source_id, None)
        secrets, key = self.installation.ledger.secret_marks(), self.installation.key_mark()
        return [stream for row in rows for stream in self._streams_of(row, f"{key} {secrets.get(row.id)}")]

    def _streams_of(self, row: SourceRow, secret: str) -> list[Stream]:
        before = self._built.get(row.id)
        if before is None or before[:2] != (row, secret):
            self._built[row.id] = (row, secret, self._build_or_tell(row))
        return self._built[row.id][2]

    def _build_or_tell(self, row: SourceRow) -> list[Stream]:
        self.damaged.pop(row.id, None)
        try:
            return self._build(row)
        except ConfigError as error:
            self.damaged[row.id] = error
            log.error("source left out", source=row.name, error=type(error).__name__, reason=str(error))  # noqa: TRY400 - told, not traced
            return []

    def _build(self, row: SourceRow) -> list[Stream]:
        installation = self.installation
        # The clock stays when settings change: what it stamps must grow for as long as this process lives.
        clock = self._clocks.setdefault(row.id, ApiClock())
        settings = wiz_settings(row)
        pace = self._paces.setdefault((settings.token_url, settings.client_id), Pace(settings.rate))
        pace.share(row.id, settings.rate)
        source = wiz_source(settings, lambda: installation.vault().get(row.id, SECRET_NAME), clock, pace)
        return [self._stream(row, source, settings, KINDS[log_type]) for log_type in settings.log_types]

    def _stream(self, row: SourceRow, source: WizSource, settings: WizSettings, kind: Kind) -> Stream:
        puller = Puller(
            source=source,
            shaper=self._shaper(kind),
            ledger=self.installation.ledger,
            lake=self.lake,
            kind=kind,
            rejection_rows=rejection_rows,
            source_label=row.name,
            page_size=settings.page_size,
            told=lambda step: self.told(stream, step),
        )
        stream = Stream(row=row, kind=kind, source=source, puller=puller, settings=stream_settings(row))
        return stream

    def _shaper(self, kind: Kind) -> Shaper:
        if kind.log_type not in self._shapers:
            self._shapers[kind.log_type] = compile_shaper(packaged_schemas()[kind.log_type], kind)
        return self._shapers[kind.log_type]
