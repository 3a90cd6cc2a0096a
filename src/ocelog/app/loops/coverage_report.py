"""What each stream lacks beside what its source counts, as it was last measured, or measured now."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from ocelog.app.assemble import Assembly
from ocelog.app.loops.coverage import measure_each
from ocelog.app.source_settings import damage, source_settings
from ocelog.app.sources import sources
from ocelog.app.sources.selection import NO_SOURCE
from ocelog.app.status.status import Gap, coverage
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow
from ocelog.pull.puller import PullStep
from ocelog.pull.stream import Stream


class StreamCoverage(Struct, frozen=True, kw_only=True):
    """What is known of one stream."""

    source: SourceRow
    log_type: str
    gaps: Sequence[Gap]
    """By status; empty: it was not measured yet."""

    @property
    def is_lacking(self) -> bool:
        """Whether it should have been measured and was not."""
        return not self.gaps and not self.source.paused


class CoverageReport(Struct, frozen=True, kw_only=True):
    """What is known of all streams that were asked about."""

    streams: Sequence[StreamCoverage]
    damaged: Mapping[str, ConfigError]
    """Id of each source whose settings cannot be read -> why."""
    failed: Sequence[str]
    """Why a stream could not be measured now."""

    @property
    def exit_code(self) -> int:
        """0 all was counted, 2 action required, 3 try later."""
        if self.damaged:
            return 2
        return 3 if self.failed or any(each.is_lacking for each in self.streams) else 0


def coverage_report(
    installation: Installation, source: str | None, *, measure_now: bool, told: Callable[[Stream, PullStep], None]
) -> CoverageReport:
    """Return what was last measured of the streams of `source`, or of all, after measuring them if wanted.

    Raises ConfigError if there is no such source, or none at all.
    """
    row = None if source is None else sources.find(installation, source)
    failed = list[str]()
    if measure_now:
        assembly = Assembly(installation=installation, told=told)
        streams = [each for each in assembly.streams() if row is None or each.row.id == row.id]
        for stream in streams:
            stream.source.hurry()
        failed = list(measure_each(installation, streams))
    chosen = [each for each in sources.listed(installation) if row is None or each.id == row.id]
    if not chosen:
        raise ConfigError(NO_SOURCE)
    damaged = {each.id: error for each in chosen if (error := damage(each)) is not None}
    found = [
        StreamCoverage(source=each, log_type=log_type, gaps=coverage(installation.ledger, each.id, log_type))
        for each in chosen
        if each.id not in damaged
        for log_type in source_settings(each).log_types
    ]
    return CoverageReport(streams=found, damaged=damaged, failed=failed)
