"""Small values to put into a ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from msgspec.structs import replace

from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, Checkpoint, Marks, NewPart, Origin, Slice, SourceRow
from ocelog.pull.ports import Landing, Tally

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ISSUES = "Wiz.Issues"
TABLE = "wiz_issues"
_numbers = count(1)


@dataclass(slots=True)
class Clock:
    """Our clock, as the test sets it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def source_row(source_id: str = "acme", **more: object) -> SourceRow:
    row = SourceRow(id=source_id, name=source_id, kind="wiz", settings={"rate": 3}, added_us=1)
    return replace(row, **more)


def slice_of(source_id: str = "acme", **more: object) -> Slice:
    slice_ = Slice(
        source_id=source_id,
        log_type=ISSUES,
        origin=Origin.LIVE,
        by="statusChangedAt",
        since=NOW - timedelta(hours=1),
        until=NOW,
    )
    return replace(slice_, **more)


def planned(ledger: Ledger, *slices: Slice) -> list[Slice]:
    """Plan slices without moving the marks; the source is added where it is missing."""
    first = slices[0]
    if ledger.sources.find(first.source_id) is None:
        ledger.sources.add(source_row(first.source_id))
    marks = ledger.pulling.marks(first.source_id, first.log_type)
    return ledger.pulling.plan(marks, marks, slices)


def taken(ledger: Ledger, *slices: Slice, holder: str = "one") -> Slice:
    """Plan slices and take the first that is due."""
    planned(ledger, *(slices or (slice_of(),)))
    slice_ = ledger.pulling.take(holder, now=NOW)
    assert slice_ is not None
    return slice_


def part(table: str = TABLE, low: int = 0, high: int = 10, rows: int = 1) -> NewPart:
    path = f"landing/{table}/{next(_numbers)}.parquet"
    return NewPart(table=table, path=path, rows=rows, bytes=100 * rows, min_cursor_us=low, max_cursor_us=high)


def landing(moving: Slice, low: int | None = 0, high: int | None = 10, **more: object) -> Landing:
    to = replace(moving, checkpoint=Checkpoint(after=f"after {high}"))
    page = Landing(
        claim=moving.claim,
        source_id=moving.source_id,
        log_type=moving.log_type,
        to=to,
        table=TABLE,
        part=None if low is None or high is None else part(low=low, high=high),
        page_min_us=low,
        page_max_us=high,
        loaded_through=0,
        loaded=frozenset(),
        tally=Tally(events=1),
    )
    return replace(page, **more)


def rejecting(moving: Slice, keys: Sequence[str], **more: object) -> Landing:
    """Return a landing of rejections alone."""
    rejected = {"rejections": part(table=REJECTIONS, rows=len(keys)), "rejection_keys": keys}
    return landing(moving, None, None, **(rejected | more))


def begun(ledger: Ledger, **marks: object) -> Marks:
    """Plan nothing but the marks of a new stream."""
    before = ledger.pulling.marks("acme", ISSUES)
    after = replace(before, **marks)
    ledger.pulling.plan(before, after, [])
    return after


def next_due(ledger: Ledger, now: datetime = NOW) -> datetime | None:
    """Return when something may be taken next; None: nothing is left to do."""
    return min((each.free_at for each in ledger.pulling.due(now).values()), default=None)
