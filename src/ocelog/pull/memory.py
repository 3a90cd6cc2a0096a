"""What is there already, as far as whoever lands must know it to drop repeats."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ocelog.errors import LakeUnavailableError
from ocelog.model import Kind, Part
from ocelog.pull.ports import Ask, Lake, OpenRecords, ShapedRecords
from ocelog.pull.versions import History, PlacedEvents
from ocelog.times import to_us

_EVER_US = 2**62
_MOST_OPEN = 20_000
"""A slice shows half as many at most. Of what is beyond, only the ids that a page shows are loaded."""


@dataclass(slots=True)
class Memory:
    """The lake is the memory: this is the part of it that concerns one slice or replay, loaded once, kept up by hand.

    A slice asked by its cursor field needs the time range of p_cursor_time that its widened request covers. Any other
    request can show records with any p_cursor_time: there the versions of the ids that a page shows are loaded. So
    they are for a page with unknown fields, which take their values from the version before, however old.

    A slice of a sweep shows thousands of records of which nearly all are there: the open records of its time range are
    loaded once, by the created date, which is part of every version; then only the ids that these do not have.
    """

    lake: Lake
    table: str
    source_id: str
    kind: Kind
    by: str | None
    """The date field that is asked by; None: none, records come as they are."""
    sweeps: bool = False
    """Whether it shows the open records of its time range."""
    history: History = field(init=False)
    through: int = 0
    """Every part up to this sequence is in `history`, or does not concern it."""
    loaded: set[int] = field(default_factory=set)
    """Parts above `through` that are in `history` too."""
    _loaded_range: tuple[int, int] | None = None
    _opened: OpenRecords | None = None

    def __post_init__(self) -> None:
        self.history = self._blank()

    def cover(self, ask: Ask, shaped: ShapedRecords, *, predecessors: bool = False) -> None:
        """Make sure that every version which an event of `shaped` could repeat is in `history`."""
        if not shaped.ids:
            return
        if self.sweeps:
            self.opened(ask)
            self._load_missing(shaped)
            return
        least, most = min(shaped.cursor_us), max(shaped.cursor_us)
        if predecessors:
            self._loaded_range = None
            self._load(0, None, shaped.ids)
        elif self.by != self.kind.cursor_field:
            self._load(min(least, to_us(ask.since)), None, shaped.ids)
        elif self._loaded_range is None or least < self._loaded_range[0] or most > self._loaded_range[1]:
            since, until = self._loaded_range or (to_us(ask.since), to_us(ask.until))
            self._loaded_range = (min(since, least), max(until, most))
            self._load(*self._loaded_range, None)
        if self.kind.version_fields is None:
            # Its id alone is a version: an entry whose date was corrected lies outside the range, and is no other.
            self._load_missing(shaped)

    def _load_missing(self, shaped: ShapedRecords) -> None:
        """Take in the versions of the ids that `history` does not have, whatever their dates.

        What landed since the time range was loaded stays unread, and a landing is told of it as before.
        """
        missing = [record_id for record_id in shaped.ids if not self.history.knows(record_id)]
        if missing:
            found = self.lake.load(self.table, self.source_id, since_us=-_EVER_US, until_us=None, ids=missing)
            self.history.add(found.known)

    def opened(self, ask: Ask) -> OpenRecords:
        """Return the open records that the slice should show, loaded if they are not yet."""
        if self._opened is None:
            self._opened = self.lake.load_open(
                self.table,
                self.source_id,
                created=self.kind.created_field,
                since_us=to_us(ask.since),
                until_us=to_us(ask.until),
                statuses=self.kind.open_statuses,
                most=_MOST_OPEN,
            )
            self.history = self._blank()
            self.history.add(self._opened.known)
            self.through = self._opened.through
            self.loaded = set()
        return self._opened

    def reload(self) -> None:
        """Forget everything: `cover` loads it anew."""
        self._loaded_range = self._opened = None

    def read(self, parts: Iterable[Part]) -> None:
        """Take in parts that landed meanwhile; if a file is gone already, load again."""
        new = list(parts)
        try:
            self.history.add(self.lake.read(new, self.source_id))
        except LakeUnavailableError:
            self.reload()
        else:
            self.loaded.update(part.sequence for part in new)

    def landed(self, placed: PlacedEvents, sequence: int | None) -> None:
        """Take in our own landing."""
        self.history.commit(placed)
        if sequence is not None:
            self.loaded.add(sequence)

    def _load(self, since_us: int, until_us: int | None, ids: list[str] | None) -> None:
        found = self.lake.load(self.table, self.source_id, since_us=since_us, until_us=until_us, ids=ids)
        self.history = self._blank()
        self.history.add(found.known)
        self.through = found.through
        self.loaded = set()

    def _blank(self) -> History:
        return History(self.source_id, self.kind.log_type)
