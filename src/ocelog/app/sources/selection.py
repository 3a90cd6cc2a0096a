"""Which streams a person means who names sources and log types."""

from collections.abc import Collection, Sequence

from ocelog.app.assemble import Assembly
from ocelog.app.log_types import log_types, short_names
from ocelog.app.sources import sources
from ocelog.errors import ConfigError
from ocelog.model import SourceRow
from ocelog.pull.stream import Stream
from ocelog.units import write_list

NO_SOURCE = "There is no source yet. Add one: ocelog source add"


def select_streams(
    assembly: Assembly, names: Collection[str], types: Collection[str], *, swept: bool = False
) -> tuple[list[Stream], dict[str, ConfigError]]:
    """Return the streams of the named sources and log types, and why wanted sources have none: their settings.

    Without names, all that there are; `swept`: only those whose open records are swept. Raises ConfigError for a name
    that is none, and if nothing is left.
    """
    rows = [sources.find(assembly.installation, name) for name in names]
    ids, wanted = {row.id for row in rows}, set(log_types(types))
    streams = [
        stream
        for stream in assembly.streams()
        if (not ids or stream.row.id in ids)
        and (not wanted or stream.kind.log_type in wanted)
        and (not swept or stream.kind.sweep_by is not None)
    ]
    damaged = {key: error for key, error in assembly.damaged.items() if not ids or key in ids}
    if not streams and not damaged:
        raise ConfigError(_nothing(rows or assembly.installation.ledger.sources.listed(), swept=swept))
    return streams, damaged


def _nothing(rows: Sequence[SourceRow], *, swept: bool) -> str:
    if not rows:
        return NO_SOURCE
    what = "sweep" if swept else "pull"
    paused = [each for each in rows if each.paused]
    if paused:
        return f"Nothing to {what}: {paused[0].name!r} is paused. Resume it: ocelog source resume {paused[0].id}"
    if swept:
        open_ones = write_list(short_names(swept=True))
        return f"Nothing to sweep: only {open_ones} have open records. See: ocelog source list"
    return "Nothing to pull: no source reads that log type. See: ocelog source list"
