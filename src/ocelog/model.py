"""The values that every part of Ocelog speaks in: sources, slices, checkpoints, rejections, stamps."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from ocelog.times import EPOCH

Narrowed: TypeAlias = Mapping[str, Sequence[str] | Sequence[int]]
"""Filters beside a slice's time range, by their name."""

ALL_LOGS = "all_logs"
"""The view of the standard fields of every log type."""
REJECTIONS = "rejections"
"""The table of records that do not fit their schema."""
RULE_MATCHES = "rule_matches"
"""The table of the events that rules matched."""
PUBLISHING = "publishing"
"""What may fail for a table."""
PUBLISH = "publish"
"""The loop that publishes. Its true mark is in the table itself, committed with the rows; the ledger's follows."""
DETECT = "detect"
"""The loop that judges events by rules. Its mark moves in the transaction that lands the matches."""
LOOPS = (PUBLISH, DETECT)
"""Every loop that takes the parts of tables: a part stays until each of them is done with it."""
NOT_JUDGED = frozenset({REJECTIONS, RULE_MATCHES})
"""Tables of which no rule judges the rows one by one."""
PURGING = "purging"
"""Beside a source's settings, once the first of its rows may be deleted."""


class JsonObject(Mapping[str, Any]):
    """A JSON object that is kept as text, and read anew each time that somebody looks: values take far more memory."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def items(self) -> Any:
        """Return names with their values, read once for all of them."""
        return self._read().items()

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


class Severity(StrEnum):
    """How bad it is, from the least to the worst."""

    INFO = "INFO"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


def table_name(log_type: str) -> str:
    """Name the lake table of `log_type`: Wiz.VulnerabilityFinding lands in wiz_vulnerability_finding."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", log_type).replace(".", "_").lower()


class Origin(StrEnum):
    """Why a record was asked for; rows carry it as p_origin, so that rules can leave history alone."""

    LIVE = "live"
    SWEEP = "sweep"
    BACKFILL = "backfill"
    VERIFY = "verify"
    """Asks with every status around open records that a sweep did not show; its rows carry `sweep`."""
    INFER = "infer"
    """Asks nothing: lands the inferred versions of records that no status shows; its rows carry `sweep`."""

    @property
    def written(self) -> "Origin":
        """What rows carry: a verification and an inference are parts of a sweep."""
        return Origin.SWEEP if self in SWEEPING else self


SWEEPING = frozenset({Origin.SWEEP, Origin.VERIFY, Origin.INFER})
"""Why the slices of a sweep are read."""


class SliceState(StrEnum):
    """What is left to do for a slice."""

    WAITING = "waiting"
    """To be read, now or from `due_at` on."""
    DRAINED = "drained"
    """Read to its end."""
    PARKED = "parked"
    """It cannot be read; tried again less and less often, and shown."""
    RETIRED = "retired"
    """Split into others or joined to another: no one reads it any more."""


class Kind(Struct, frozen=True, kw_only=True):
    """What is peculiar to one log type: how it is asked for, ordered in time, and told apart from its former self.

    Paths are dotted names as in the log schema. `version_fields` are top-level names; None means that a record
    never changes once it is there (the audit log), so its id alone is its version.
    """

    log_type: str
    """Full name, such as Wiz.Issues."""
    short: str = ""
    """As people type it, and as the file of its query is called: issues."""
    title: str = ""
    """As the product's pages call its records, in a sentence: issues, the audit log."""
    partition: Literal["day", "month"] = "month"
    """How its table is cut. What only grows is read by day; what changes for months would scatter over too many."""
    gone: str | None = None
    """What the source keeps for some time only, in words; None: whatever it showed once it shows again."""
    cursor_field: str
    """Date field of live and backfill requests, as the schema names it; p_cursor_time is its value."""
    created_field: str
    """Stands in for the cursor field if that is null."""
    version_times: tuple[str, ...]
    """Where the version time is found: the first that is not null."""
    also_live_by: tuple[str, ...] = ()
    """Further date fields that live slices ask by."""
    sweep_by: str | None = None
    """Date field that a sweep of the open records asks by; None: no sweep."""
    version_fields: tuple[str, ...] | None = None
    """Names of the fields of which a change makes a new version of a record: `id`, `cursor_field`, each of
    `version_times`, `status` if there are `statuses`, and whatever else a person calls a change. None: a record never
    changes."""
    set_like: frozenset[str] = frozenset()
    """Top-level lists whose order says nothing."""
    later_fields: tuple[frozenset[str], ...] = ()
    """What each algorithm of the hash brought after the first, in order, and rows of the former ones lack: names of
    `version_fields`, or paths inside them such as `entitySnapshot.hostname`. What a release adds is a new entry at the
    end; an entry that was released never changes."""
    page: str | None = None
    """Field with the address of the record's own page at the source; None: records have none."""
    remedy: tuple[str, ...] = ()
    """Paths of the text that says how to put right what a record is about: the first that has a value, read as those
    of `summary` are. Empty: records have none."""
    columns: tuple[str, ...] = ()
    """Paths of what a person wants to see of each record in a list."""
    summary: tuple[str | tuple[str, ...], ...] = ()
    """Paths of the fields that say in one line what happened; of a tuple, the first that has a value. A path may lead
    into JSON, and of a list it takes the first element. Empty: `columns`, or else the first texts of the schema."""
    uncounted: frozenset[str] = frozenset()
    """What may change without a new version: names of fields that are not in `version_fields`, and paths inside those
    that are, such as `projects.projectOwners`."""
    statuses: tuple[str, ...] = ()
    """Every value of the field `status`; empty: records have none."""
    open_statuses: tuple[str, ...] = ()
    """Those of records that are not closed: what a sweep asks for."""
    created_filter: str | None = None
    """What the source calls the date filter of `created_field`; None: it has none."""
    split_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Filters with few values, by which one second is split if the source does not show all of it: all their values."""

    actor_fields: tuple[str, ...] = ()
    """Where a record may name the account that caused it, that account's own id first. The last name of a path may be
    that of a member of free JSON. Empty: reading the source leaves no records there."""

    @property
    def closed_statuses(self) -> tuple[str, ...]:
        """Those of records that are closed."""
        return tuple(status for status in self.statuses if status not in self.open_statuses)


class SourceRow(Struct, frozen=True, kw_only=True):
    """One tenant as a person set it up; its secrets are in the vault."""

    id: str
    name: str
    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)
    paused: bool = False
    removed_us: int | None = None
    """When it was removed; its rows, slices and marks stay, so that it can be taken up again."""
    added_us: int

    @property
    def purging(self) -> bool:
        """Whether a purge was begun: its rows are not to be there any more."""
        return bool(self.settings.get(PURGING))


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The next request of a slice, whole, and how the reading has gone so far."""

    after: str | None = None
    """The source's cursor; None asks for the first page."""
    page_size: int | None = None
    """Records to ask for at once; None is the source's own size."""
    restarts: int = 0
    """How often the source lost its place in this slice."""
    short_readings: int = 0
    """Whole readings that met fewer records than the source counted."""
    failures: int = 0
    """Failures in a row: transient ones while it waits, fruitless tries while it is parked."""
    met: int = 0
    """Records met by this reading so far; shown as progress."""
    total: int | None = None
    """Records that the source last counted for this slice; shown as progress."""
    missing: int | None = None
    """Of a sweep's slice that one process read whole: open records of the lake that it did not show."""
    isolations: int | None = None
    """How many more times this slice may be cut to find what fails in it, children included. None: nothing failed.
    0: what is left is read record by record, and parked if that fails too."""
    whole: bool = False
    """Read as one piece however full it seems: the source ignores dates, or counts as many where nothing can be."""


class Claim(Struct, frozen=True, kw_only=True):
    """The right to land a piece of work, and the number that proves it."""

    name: str
    """Whose it is: a slice's number, or for another holder, such as a replay, that of its claim, after a `c`."""
    fence: int
    """Counts its holders; only the present one may land."""


class Slice(Struct, frozen=True, kw_only=True):
    """A time range [since, until) of one date field of one stream, frozen when planned, read page by page."""

    source_id: str
    log_type: str
    origin: Origin
    by: str
    """The date field asked by."""
    since: datetime
    until: datetime
    id: int = 0
    """0 until the ledger has planned it."""
    fence: int = 0
    """Counts its holders; only the present one may land."""
    state: SliceState = SliceState.WAITING
    due_at: datetime = EPOCH
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    short_by: int = 0
    """Drained although the source counted this many records more."""
    reason: str | None = None
    """Why it waits or is parked."""
    failing_since: datetime | None = None
    """Since when it has failed without a success, by our clock. Only the ledger writes it."""
    sweep_round: int = 0
    """Which sweep of its stream it belongs to, counted from 1; 0: none, or one of before sweeps were counted."""
    narrowed: Narrowed | None = None
    """Further filters, so that a second is read in pieces: texts are values, two numbers microseconds from and to."""

    @property
    def claim(self) -> Claim:
        """The claim of whoever has taken it."""
        return Claim(name=str(self.id), fence=self.fence)


class StreamFaults(Struct, frozen=True, kw_only=True):
    """What a source is known to get wrong in one stream, so that it is not found out again for each slice."""

    total_off_by: int = 0
    """Its totals count up to this many records that it does not show; 0: they are right, as far as is known."""
    total_off_floor: int = 0
    """So many of them it counts even where there is nothing."""
    total_off_at: datetime | None = None
    """When that was last confirmed, by our clock."""


class Rejection(Struct, frozen=True, kw_only=True):
    """A record that does not fit its schema: where, what was expected, what was found, and the record as it came."""

    path: str
    """JSON path such as `$.vulnerableAsset.ipAddresses[2]`; `$` if the text is not JSON."""
    expected: str
    found: str
    raw: bytes
    record_id: str | None = None
    position: int = 0
    """Place of the record in its page."""
    unknown: frozenset[str] = frozenset()
    """Dotted paths of fields that the source did not show with this record: refused, or failed in that answer."""


class Stamp(Struct, frozen=True, kw_only=True):
    """What a landing adds to each of its rows."""

    source_id: str
    source_label: str
    origin: Origin
    observed_us: int
    """The API's clock when the request was sent; strictly grows within a process."""
    parsed_us: int
    each_observed_us: Sequence[int] | None = None
    """What the rows say instead, one after the other; None: they all say `observed_us`."""


class NewPart(Struct, frozen=True, kw_only=True):
    """A durable file of rows that no transaction vouches for yet."""

    table: str
    path: str
    """Relative to the home, such as `landing/wiz_issues/12-3-7.parquet`."""
    rows: int
    bytes: int
    min_cursor_us: int
    max_cursor_us: int


class Part(Struct, frozen=True, kw_only=True):
    """A landed file of rows, with its place in the order of commits of its table."""

    table: str
    sequence: int
    path: str
    rows: int
    bytes: int
    min_cursor_us: int
    max_cursor_us: int
    landed_us: int
    """Our clock; only used to show how long it has waited."""
    source_id: str


class GivenUp(Struct, frozen=True, kw_only=True):
    """A file of the lake whose rows are lost. What is None is not known."""

    table: str
    path: str
    """Relative to the home, or absolute if it lies elsewhere."""
    reason: str
    noticed_us: int
    sequence: int | None = None
    """The part's; None: a data file."""
    source_id: str | None = None
    rows: int | None = None
    bytes: int | None = None
    min_cursor_us: int | None = None
    max_cursor_us: int | None = None
    repaired_us: int | None = None
    """When its time range was planned again; None: not yet."""


class LoopMark(Struct, frozen=True, kw_only=True):
    """How far a loop has come in a table, and what lies before it."""

    loop: str
    table: str
    sequence: int
    """The last part that it is done with; 0: it has not begun."""
    parts: int
    rows: int
    oldest_us: int | None
    """When the oldest of them landed; None: there are none."""


class Position(Struct, frozen=True, order=True, kw_only=True):
    """A place between two rows of a table's parts: behind the part `sequence`, and `row` rows of the next one."""

    sequence: int = 0
    row: int = 0


class TableFault(Struct, frozen=True, kw_only=True):
    """What does not work for a table of the lake at the moment."""

    table: str
    what: str
    """What fails, such as PUBLISHING."""
    code: str | None
    """The code of the error; None: it was noted by a version that kept none. Likewise of a loop."""
    reason: str
    since: datetime
    last: datetime
    """When it was tried last, by our clock."""


HANGING = "hanging"
"""What a loop fails by that does not come any further with what it has begun."""
STALLED = "stalled"
"""What a loop fails by that tries the same piece again and again."""


class LoopFault(Struct, frozen=True, kw_only=True):
    """What does not work of a loop at the moment."""

    loop: str
    during: str
    """Whether it failed when it looked for what is due, or at the work that it began; or HANGING, or STALLED."""
    code: str | None
    reason: str
    since: datetime


class KnownVersions(Struct, frozen=True, kw_only=True):
    """Versions that the lake and the landed parts hold: parallel columns, in no order."""

    ids: Sequence[str]
    version_us: Sequence[int]
    observed_us: Sequence[int]
    row_ids: Sequence[str]
    versions: Sequence[str]


class PlannedRange(Struct, frozen=True, kw_only=True):
    """What is planned for certain if the API's true clock is ahead of ours by `lowest` at least: see `planner`."""

    lowest: timedelta | None
    """None: whatever the API's true clock is."""
    highest: timedelta
    """So far the API's clock was ahead of ours when it was planned."""
    through: datetime
    """By our clock: what happened before this instant is planned, if the true offset is not above `highest`."""
    since: datetime
    """By the API's clock: but not what happened before this instant."""


class Marks(Struct, frozen=True, kw_only=True):
    """How far the planning of a stream has come. All instants are the API's, except those in `covered`."""

    source_id: str
    log_type: str
    edge: datetime | None = None
    """`until` of the newest live slice; None: the stream has not begun."""
    backfill_since: datetime | None = None
    """From here on the past is read, or planned to be."""
    relook_at: datetime | None = None
    """When the last two days were last read again."""
    swept_at: datetime | None = None
    """When a sweep of the open records was last planned; None: one is wanted."""
    offset: timedelta | None = None
    """The most by which the API's clock was ahead of ours since `relook_at`; None: not known yet."""
    covered: tuple[PlannedRange, ...] = ()
    """The last one holds for the present offset."""
    sweep_round: int = 0
    """How many sweeps were planned."""


class Due(Struct, frozen=True, kw_only=True):
    """What one stream has to be read."""

    rank: int | None
    """How pressing the first is that may be taken now: 0 is live, then sweep, backfill, parked; None: there is none."""
    free_at: datetime
    """When the first slice is both due and nobody's. In the past without a rank: another slice keeps it waiting."""


class StreamRow(Struct, frozen=True, kw_only=True):
    """A stream's marks, its figures since it began, and what is wrong with it. Only lost rejections lower a count."""

    marks: Marks
    events: int
    repeats: int
    rejections: int
    replayed: int
    """How many of the rejections fit when they were replayed: these records are in the lake."""
    unknown_fields: Mapping[str, int]
    """Fields that the schema does not have -> how many records carried them."""
    refused: frozenset[str]
    """Fields that this account may not ask for, by the last answer."""
    last_success_us: int | None
    """When something landed last, by our clock."""
    last_event_us: int | None
    """The latest instant of an event, no later than it was observed. What our own account caused does not count."""
    received_us: int | None
    """When the newest event that counts was received, by our clock; None: none ever was."""
    received_source_us: int | None
    """The same instant, by the source's clock."""
    trouble: str | None
    """What went wrong last; None: nothing since the last success."""
    trouble_kind: str | None
    """The name of its class in `errors`."""
    trouble_code: str | None
    """Its code; None, with a trouble: it was noted by a version that stored what to do instead."""
    trouble_todo: str | None
    """What such a version stored."""
    trouble_us: int | None
    total_off_by: int | None = None
    """Its totals count up to this many records that the source does not show; None: they are right, as far as known."""
    total_off_us: int | None = None
    """When that was last confirmed, by our clock."""
    total_off_since_us: int | None = None
    """When it was first found."""
