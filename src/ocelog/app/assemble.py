"""Which parts make a working whole: the only file that knows them all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ocelog.app.expiry import expiry_now
from ocelog.app.log_types import retentions, table_schemas
from ocelog.app.shaping import shaper_of
from ocelog.app.source_settings import reveal, source_settings, stream_settings
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.storage.scratch import clear_abandoned
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.ledger import Ledger
from ocelog.model import Kind, SourceRow
from ocelog.product import Connector, SourceSettings
from ocelog.pull.clock import ApiClock
from ocelog.pull.own_account import OwnAccount
from ocelog.pull.planner import StreamSettings
from ocelog.pull.ports import Source
from ocelog.pull.puller import Puller, PullStep
from ocelog.pull.stream import Stream
from ocelog.schema.columns.table import rejection_rows
from ocelog.sources.registry import SOURCES

log = structlog.get_logger()


def maintenance(installation: Installation, *, trust_clock: bool = False) -> Maintenance:
    """Return what keeps the tables of `installation` small. Raises ConfigError for a retention of an unknown table.

    Rows expire by our clock as far as a source's bears it out, or whatever it says if told to `trust_clock`.
    """
    schemas = table_schemas()
    return Maintenance(
        installation.home.path,
        installation.ledger.lake,
        schemas,
        grace=installation.settings.part_grace,
        retention=retentions(installation.settings.retention, installation.home.path),
        now=(lambda: datetime.now(UTC)) if trust_clock else (lambda: expiry_now(installation.ledger)),
    )


def publisher(home: Path, ledger: Ledger) -> Publisher:
    """Return what publishes the tables of the home at this path, whose ledger is open."""
    return Publisher(home, ledger.lake, table_schemas())


@dataclass(slots=True, kw_only=True)
class Assembly:
    """An open installation's lake, and its streams as the ledger has them now."""

    installation: Installation
    told: Callable[[Stream, PullStep], None]
    """Hears of each request that was answered, after its commit."""
    lake: FileLake = field(init=False)
    publisher: Publisher = field(init=False)
    console: bool = False
    """A person can create a source in a browser, too."""
    damaged: dict[str, ConfigError] = field(default_factory=dict)
    """Id of each source whose settings could not be read when the streams were last asked for -> why."""
    landed: int = 0
    """How often new events have landed by now: whoever judges them need not ask the ledger."""
    _clocks: dict[str, ApiClock] = field(default_factory=dict)
    _connectors: dict[str, Connector] = field(default_factory=dict)
    _built: dict[str, tuple[SourceRow, str, list[Stream]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        home, ledger = self.installation.home.path, self.installation.ledger
        schemas = table_schemas()
        self.lake = FileLake(home, ledger.lake, schemas)
        self.publisher = publisher(home, ledger)

    def take_over(self) -> None:
        """Begin where the last process of this home ended, or was killed; call this, holding the home, before it lands.

        Raises HomeError for a lake that another ledger filled, or that lacks rows which were published.
        """
        # Whoever of this home held slices before is gone: this process has its lock.
        self.installation.ledger.pulling.release_home(self.installation.home.id)
        self.installation.ledger.delivery.release_home(self.installation.home.id)
        clear_abandoned(self.installation.home.path)
        self.publisher.reconcile()

    def streams(self) -> list[Stream]:
        """Return the streams of every source that is neither paused nor removed, rebuilt if its row or secret changed.

        A source whose settings do not hold has none, which is told once.
        """
        rows = [row for row in self.installation.ledger.sources.listed() if not row.paused]
        gone = self._built.keys() - {row.id for row in rows}
        for source_id in gone:
            del self._built[source_id]
            self.damaged.pop(source_id, None)
        secrets, key = self.installation.ledger.sources.secret_marks(), self.installation.key_mark()
        for row in rows:
            secret = f"{key} {secrets.get(row.id)}"
            if row.id not in self._built or self._built[row.id][:2] != (row, secret):
                self._built[row.id] = (row, secret, self._build(row))
        return [stream for row in rows for stream in self._built[row.id][2]]

    def _build(self, row: SourceRow) -> list[Stream]:
        self.damaged.pop(row.id, None)
        try:
            settings, product, read = source_settings(row), SOURCES[row.kind], stream_settings(row)
            # The clock stays when settings change: what it stamps must grow for as long as this process lives.
            if row.id not in self._clocks:
                self._clocks[row.id] = ApiClock(stamped_us=self.installation.ledger.sources.observed_us(row.id))
            connector = self._connectors.setdefault(row.kind, product.connector())
            source = connector.connect(row.id, settings, lambda: reveal(self.installation, row), self._clocks[row.id])
        except ConfigError as error:
            self.damaged[row.id] = error
            log.error("source left out", source=row.name, error=type(error).__name__, reason=str(error))  # noqa: TRY400 - told, not traced
            return []
        return [self._stream(row, source, settings, read, product.log_types[name]) for name in settings.log_types]

    def _hear(self, stream: Stream, step: PullStep) -> None:
        if step.landed is not None and step.landed.events:
            self.landed += 1
        self.told(stream, step)

    def _stream(
        self, row: SourceRow, source: Source, settings: SourceSettings, read: StreamSettings, kind: Kind
    ) -> Stream:
        puller = Puller(
            source=source,
            shaper=shaper_of(kind.log_type),
            ledger=self.installation.ledger.pulling,
            suspects=self.installation.ledger.sweeps,
            lake=self.lake,
            kind=kind,
            rejection_rows=rejection_rows,
            source_label=row.name,
            own=OwnAccount(kind, settings.account_names),
            page_size=settings.page_size,
            told=lambda step: self._hear(stream, step),
        )
        stream = Stream(row=row, kind=kind, source=source, puller=puller, settings=read)
        return stream
