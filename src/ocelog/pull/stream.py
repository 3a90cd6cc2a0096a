"""A stream: one log type of one source, with all that reads it."""

from datetime import timedelta

from msgspec import Struct

from ocelog.model import Kind, SourceRow
from ocelog.pull.planner import StreamSettings
from ocelog.pull.ports import LEASE, Source
from ocelog.pull.puller import Puller

_MARGIN = timedelta(minutes=1)


class Stream(Struct, frozen=True, kw_only=True):
    """One log type of one source."""

    row: SourceRow
    kind: Kind
    source: Source
    puller: Puller
    settings: StreamSettings

    @property
    def key(self) -> tuple[str, str]:
        """Source id and log type: what names a stream."""
        return self.row.id, self.kind.log_type

    @property
    def lease(self) -> timedelta:
        """How long a slice of it is a silent holder's: longer than its longest request."""
        return max(LEASE, self.source.longest_request + _MARGIN)
