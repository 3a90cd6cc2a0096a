"""What pulling needs from a source, from shaping, from the ledger and from the lake, in the puller's words."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from msgspec import Struct, field

from ocelog.model import (
    Claim,
    KnownVersions,
    Narrowed,
    NewPart,
    Part,
    Rejection,
    Slice,
    SliceState,
    Stamp,
    StreamFaults,
)

if TYPE_CHECKING:
    import pyarrow as pa

LEASE = timedelta(minutes=10)
"""A holder that gave no sign of life for so long is taken for dead, and its slice is free."""


class Ask(Struct, frozen=True, kw_only=True):
    """One request to a source: the page after `after` of the records whose `by` lies between two instants.

    Whether the instants are inclusive is the source's secret: the puller has widened them by a second already.
    """

    log_type: str
    by: str
    since: datetime
    until: datetime
    open_only: bool
    """Only records that are OPEN or IN_PROGRESS; else every status, asked for by name."""
    after: str | None = None
    page_size: int | None = None
    background: bool = False
    """It can wait: only a share of the source's rate is for such requests."""
    suspect: bool = False
    """If it is refused as one request too many, that says nothing about the rate of others; it waits for its turn."""
    status: str | None = None
    """Only records of this status, whatever `open_only` says."""
    narrowed: Narrowed | None = None
    """Further filters: texts are values of which one must fit, two numbers are microseconds from and to."""


class Page(Struct, frozen=True, kw_only=True):
    """What a source showed. `records` is one JSON array, or texts one by one if the answer as a whole is not JSON."""

    records: bytes | list[bytes]
    end_cursor: str | None
    has_next: bool
    total: int | None
    """How many records the source counts for the whole request; None if it does not say."""
    capped: bool
    """The source stopped counting at `total`."""
    asked_us: int
    """The API's clock when the request was sent."""
    answered_us: int | None = None
    """The API's clock when the answer had come; None: it came some other time, such as a record that is replayed."""
    request_id: str | None = None
    refused: frozenset[str] = frozenset()
    """Dotted paths that this account may not ask for: unknown in every record of the page."""
    unknown: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """Position in the page -> dotted paths that failed in that record and are null there."""


class Unusable(Struct, frozen=True, kw_only=True):
    """An answer with errors that no rule lets us use. `page` is the data that came beside them, None when null."""

    reason: str
    request_id: str | None = None
    page: Page | None = None


class CursorLost(Struct, frozen=True, kw_only=True):
    """The source does not know the cursor any more."""

    reason: str


Answer: TypeAlias = Page | Unusable | CursorLost


class HealthState(StrEnum):
    """How well one item is."""

    OK = "ok"
    WARN = "warn"
    """It works, though not as one would think."""
    FAIL = "fail"


class HealthItem(Struct, frozen=True, kw_only=True):
    """One thing that must hold for a source to be pulled."""

    name: str
    state: HealthState
    text: str
    todo: str = ""
    """What a person can do; empty if there is nothing to do."""
    later: bool = False
    """It fails, though it may work later without anybody changing anything."""
    code: str | None = None
    """Why it fails, as errors call it; None: that has no code, or it works."""


class Pages(Protocol):
    """What a puller needs of a source."""

    def ask(self, ask: Ask) -> Answer:
        """Ask once. Raises TransientError or HaltError; whatever else comes is an Answer."""
        ...


class Source(Protocol):
    """One tenant as one service account sees it: all that is asked of it. Any thread may call it."""

    @property
    def primed(self) -> bool:
        """Whether `now` is known without a request."""
        ...

    @property
    def longest_request(self) -> timedelta:
        """How long one request may take before it is given up."""
        ...

    def prime(self) -> None:
        """Learn what time it is for the source, if that is not known yet. Raises what `ask` does."""
        ...

    def now(self) -> datetime:
        """Return the source's present instant: its clock, never ours. Raises what `ask` does."""
        ...

    def ask(self, ask: Ask) -> Answer:
        """Ask once. Raises TransientError or HaltError; whatever else comes is an Answer."""
        ...

    def hurry(self) -> None:
        """Send background requests at the full rate from now on: nothing else is being asked."""
        ...

    def check(self, told: Callable[[str], None], found: Callable[[HealthItem], None]) -> list[HealthItem]:
        """Say item by item whether a pull would work now, and what to do about what does not work.

        Never raises for what the source or the network does. `told` hears of each wait, `found` of each item as soon
        as it is known.
        """
        ...

    def close(self) -> None:
        """Wake up whoever waits for an answer, and close every connection."""
        ...


class ShapedRecords(Protocol):
    """A page's records, decoded: events in page order as parallel lists, and rejections."""

    ids: list[str]
    cursor_us: list[int]
    version_us: list[int]
    rejections: list[Rejection]
    seen: list[str]
    """A name for every record of the page, rejections included: its id, or a hash if it has none."""
    unknown_fields: Mapping[str, int]
    """Fields that the schema does not have -> how many records carried them."""
    last_event_us: int | None
    """The latest time of an event, whatever it says."""
    positions: Sequence[int]
    """Each event's position in the page."""

    @property
    def versions(self) -> Sequence[str]:
        """Each event's p_version: equal if nothing that counts has changed."""
        ...

    @property
    def old_versions(self) -> Sequence[Sequence[str]]:
        """What `versions` were by each former algorithm of the hash: rows from before an upgrade are compared by it."""
        ...

    def texts(self, path: str) -> Sequence[str | None]:
        """Return the text at `path` of each event; None if there is none. Its last step may lead into free JSON."""
        ...

    def latest_event_us(self, besides: Collection[int]) -> int | None:
        """Return the latest time of an event other than those; None if none has a time of its own."""
        ...

    def fill(self, event: int, paths: Collection[str], row: Mapping[str, Any]) -> None:
        """Give `event` the values that `row` (a version just before it, by column) has at `paths`; hash it anew."""
        ...

    def table(self, keep: Sequence[int], row_ids: Sequence[str], stamp: Stamp) -> "pa.Table":
        """Return the events at `keep` as rows of the log type's table."""
        ...


class Shaper(Protocol):
    """The compiled schema of one log type."""

    @property
    def columns(self) -> "pa.Schema":
        """The columns of the log type's table."""
        ...

    def shape(self, records: bytes | list[bytes]) -> ShapedRecords:
        """Decode a page. A record that does not fit never costs another."""
        ...


class Tally(Struct, frozen=True, kw_only=True):
    """What a landing adds to a stream's figures."""

    events: int = 0
    """New versions."""
    repeats: int = 0
    rejections: int = 0
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
    last_event_us: int | None = None
    """The latest time of an event that counts, no later than it was observed."""
    received_us: int | None = None
    """When the newest event was received that is new and counts, by the source's clock; None: there is none."""
    observed_us: int | None = None
    """When the answer was asked for, by the source's clock; None: no answer of now in this landing."""
    answered_us: int | None = None
    """When it had come, by the same clock."""
    refused: frozenset[str] | None = None
    """Fields that the last answer could not be asked for; None: no answer in this landing."""


class Landing(Struct, frozen=True, kw_only=True):
    """Everything that one landing commits, and what the puller knew when it made it."""

    claim: Claim
    """Whose it is; it lands only while nobody else holds that."""
    source_id: str
    log_type: str
    to: Slice | None
    """The claim's slice, as it is once this has landed; None: no slice's, but that of a replay."""
    table: str
    part: NewPart | None
    """None: nothing new, only the checkpoint moves."""
    page_min_us: int | None
    """Least p_cursor_time of the page, repeats included; None: a page without events, nothing to check."""
    page_max_us: int | None
    loaded_through: int
    """Every part up to this sequence was read, or does not concern the slice."""
    loaded: Collection[int]
    """Parts above `loaded_through` that were read too."""
    rejections: NewPart | None = None
    rejection_keys: Sequence[str] = ()
    tally: Tally = field(default_factory=Tally)


class Landed(Struct, frozen=True, kw_only=True):
    """It is committed; `sequence` is the part's, None if there was none."""

    sequence: int | None


class Behind(Struct, frozen=True, kw_only=True):
    """Nothing was committed: others landed meanwhile. Read `parts` (load again if `reload`), drop again, retry."""

    parts: Sequence[Part] = ()
    reload: bool = False
    known_rejections: frozenset[str] = frozenset()
    """Rejection keys that are there already."""


LONGEST_WAITS = {SliceState.WAITING: timedelta(hours=1), SliceState.PARKED: timedelta(days=1)}
"""How long a slice may have to wait for its next try: what a source asked for at most, and a day for what is parked."""
AGREEING_SWEEPS = 2
"""So many complete sweeps in a row must miss a record before it is inferred closed."""


class Suspect(Struct, frozen=True, kw_only=True):
    """An open record of the lake that a sweep did not show."""

    record_id: str
    row_id: str
    """Its current version; once another is current, it is no suspect any more."""
    created_us: int
    round: int = 0
    """The last sweep that did not show it."""
    times: int = 1
    """How many complete sweeps in a row did not show it."""
    verified_round: int = 0
    """The last sweep after which no status showed it."""
    absent_us: int = 0
    """When it was asked for with every status, by the API's clock."""


class Coverage(Struct, frozen=True, kw_only=True):
    """How many records of one status of a stream the source counts, and how many the lake has."""

    status: str
    """Empty for a log type whose records have none."""
    at_source: int
    at_least: bool
    """The source stopped counting there."""
    in_lake: int
    since_us: int
    """Records before this instant are not counted."""
    measured_us: int
    """By our clock."""


class LandingLedger(Protocol):
    """The ledger as a puller uses it. Every call is one transaction; those that move a slice carry its fence."""

    def land(self, landing: Landing) -> Landed | Behind:
        """Commit `landing` with the counter row of its table held. Raises LostFenceError, and then nothing changed."""
        ...

    def move(self, slice_: Slice, to: Slice) -> None:
        """Save `to` in place of `slice_` without landing anything. Raises LostFenceError."""
        ...

    def split(self, slice_: Slice, children: Sequence[Slice]) -> None:
        """Retire `slice_` and plan `children`. Raises LostFenceError."""
        ...

    def park(self, slice_: Slice, to: Slice) -> None:
        """Park `slice_` as `to`, or retire it if a parked slice of the same request covers it. LostFenceError."""
        ...

    def known_rejections(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of `keys` that have landed before."""
        ...

    def stream_faults(self, source_id: str, log_type: str) -> StreamFaults:
        """Return what the source is known to get wrong in a stream."""
        ...

    def save_stream_faults(self, slice_: Slice, faults: StreamFaults) -> None:
        """Remember `faults` of the totals in the stream of `slice_`."""
        ...

    def claim_whole(self, slice_: Slice, now: datetime, every: timedelta) -> datetime | None:
        """Have `slice_` read as a whole now; if one that asks the same was within `every`, return when it may be.

        Both times are by our clock.
        """
        ...


class SuspectLedger(Protocol):
    """The ledger as a sweep uses it: what it did not show. Every call is one transaction."""

    def suspect(self, slice_: Slice, missing: Sequence[Suspect]) -> None:
        """Keep the open records that `slice_` did not show, in the place of those it kept before. LostFenceError."""
        ...

    def shown(self, slice_: Slice, seen: Collection[str]) -> None:
        """Forget the suspects of the stream that are `seen`, and take back the alarm that they raised, if any."""
        ...

    def verified(self, slice_: Slice, seen: Collection[str], absent_us: int) -> None:
        """Forget the suspects in the time range of `slice_` that are `seen`; the others were absent. LostFenceError."""
        ...

    def ready(self, slice_: Slice, limit: int) -> list[Suspect]:
        """Return suspects whose records are to be inferred closed under `slice_`, `limit` at most."""
        ...

    def cleared(self, slice_: Slice, record_ids: Sequence[str]) -> None:
        """Forget suspects that were dealt with. Raises LostFenceError."""
        ...


class LoadedVersions(Struct, frozen=True, kw_only=True):
    """What `Memory.load` found: the versions, and the last sequence of the table that it took into account."""

    known: KnownVersions
    through: int


class OpenRecords(Struct, frozen=True, kw_only=True):
    """Records whose latest version is open, as far as their created date lies in a time range."""

    rows: Mapping[str, str]
    """Row id of the latest version by record id; no more than the caller asked for."""
    count: int
    """How many there are in all."""
    known: KnownVersions
    """The versions of those in `rows`."""
    through: int


class Lake(Protocol):
    """The lake as a puller uses it: durable parts, and the versions that are there."""

    def write(self, table: str, name: str, rows: "pa.Table") -> NewPart:
        """Write `landing/<table>/<name>.parquet`; file and directory are on disk when it returns."""
        ...

    def discard(self, part: NewPart) -> None:
        """Delete a part that never landed."""
        ...

    def load(
        self, table: str, source_id: str, *, since_us: int, until_us: int | None, ids: Collection[str] | None = None
    ) -> LoadedVersions:
        """Return every version with p_cursor_time in [since, until], both included, of `ids` (None: of all).

        One consistent view: the ledger's parts first, then the table, then the parts above its mark.
        """
        ...

    def load_open(
        self,
        table: str,
        source_id: str,
        *,
        created: str,
        since_us: int,
        until_us: int,
        statuses: Collection[str],
        most: int,
    ) -> OpenRecords:
        """Return the records whose latest version has one of `statuses`, `most` of them.

        Only versions whose date `created` lies in [since, until] are looked at: equal versions share it. One view, as
        for `load`.
        """
        ...

    def read(self, parts: Iterable[Part], source_id: str) -> KnownVersions:
        """Return the versions in `parts`. Raises LakeUnavailableError if a file is gone: load again."""
        ...

    def rows(self, table: str, row_ids: Collection[str], columns: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return whole values of some columns by p_row_id, from parts and table, as Python values."""
        ...
