"""Landing on the real ledger and the real lake: what is kept beside the rows, and what is deleted again."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ocelog.app.log_types import table_schemas
from ocelog.lake.lake import FileLake
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, Origin, Slice, SourceRow, table_name
from ocelog.pull.landing import Lander, PageLanded
from ocelog.pull.memory import Memory
from ocelog.pull.own_account import OwnAccount
from ocelog.pull.ports import Behind, Landed, Landing, LandingLedger, Page
from ocelog.pull.slices import ask_of
from ocelog.schema.columns.table import rejection_rows
from ocelog.sources.wiz.streams import KINDS
from ocelog.times import from_us, rfc3339, to_us
from shaping import AUDIT, ISSUES, shaper_of

KIND = KINDS["Wiz.Issues"]
TABLE = table_name(KIND.log_type)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", durable=False)
    opened.sources.add(SourceRow(id="s", name="s", kind="wiz", added_us=0))
    yield opened
    opened.close()


@pytest.fixture
def lake(tmp_path: Path, ledger: Ledger) -> FileLake:
    return FileLake(tmp_path, ledger.lake, table_schemas())


def slice_of(ledger: Ledger) -> Slice:
    marks = ledger.pulling.marks("s", KIND.log_type)
    since, until = from_us(0), from_us(10**15)
    plain = Slice(source_id="s", log_type=KIND.log_type, origin=Origin.LIVE, by="createdAt", since=since, until=until)
    (planned,) = ledger.pulling.plan(marks, marks, [plain])
    return planned


def lander(ledger: LandingLedger, lake: FileLake, slice_: Slice) -> Lander:
    return Lander(
        ledger=ledger,
        lake=lake,
        kind=KIND,
        table=TABLE,
        claim=slice_.claim,
        source_id="s",
        source_label="s",
        origin=slice_.origin,
        rejection_rows=rejection_rows,
        memory=Memory(lake, TABLE, "s", KIND, by=slice_.by),
    )


def page(records: bytes, **more: Any) -> Page:
    rest = {"end_cursor": None, "has_next": False, "total": 2, "capped": False, "asked_us": 1, **more}
    return Page(records=records, **rest)


def test_a_rejection_keeps_the_fields_that_were_refused_or_failed_in_its_answer(
    tmp_path: Path, ledger: Ledger, lake: FileLake
) -> None:
    slice_ = slice_of(ledger)
    shown = page(
        b'[{"id":"good","createdAt":"2001-01-01T00:00:00Z"},'
        b'{"id":"bad","createdAt":"2001-01-01T00:00:00Z","projects":"none"}]',
        refused=frozenset({"notes"}),
        unknown={1: frozenset({"dueAt"}), 0: frozenset({"type"})},
    )
    landing = lander(ledger.pulling, lake, slice_)
    landed = landing.land(shown, ask_of(slice_, 500), shaper_of(ISSUES).shape(shown.records), to=slice_)
    assert (landed.events, landed.rejections) == (1, 1)
    (part,) = ledger.lake.parts(REJECTIONS)
    (row,) = pq.read_table(tmp_path / part.path).to_pylist()
    assert (row["record_id"], row["unknown_fields"]) == ("bad", ["dueAt", "notes"])


def test_only_the_record_whose_field_failed_takes_it_from_the_version_before(ledger: Ledger, lake: FileLake) -> None:
    def landed(due: dict[str, str | None], **more: Any) -> PageLanded:
        slice_ = slice_of(ledger)
        records = [{"id": name, "createdAt": "2001-01-01T00:00:00Z", "dueAt": at} for name, at in due.items()]
        shown = page(json.dumps(records).encode(), **more)
        shaped = shaper_of(ISSUES).shape(shown.records)
        return lander(ledger.pulling, lake, slice_).land(shown, ask_of(slice_, 500), shaped, to=slice_)

    day = "2001-02-01T00:00:00Z"
    assert landed({"a": day, "b": day}).events == 2
    failed = landed({"a": None, "b": None}, asked_us=2, unknown={0: frozenset({"dueAt"})})
    assert (failed.events, failed.repeats) == (1, 1), "that b has none is a change, that a's failed is not"
    assert landed({"a": day, "b": None}, asked_us=3).repeats == 2


def received(ledger: Ledger) -> tuple[int | None, int | None, int | None]:
    (stream,) = ledger.pulling.streams()
    return stream.last_event_us, stream.received_us, stream.received_source_us


DAY_US = 86_400_000_000


@pytest.mark.parametrize("origin", [Origin.LIVE, Origin.BACKFILL, Origin.SWEEP])
def test_what_was_received_when_goes_by_clocks_and_no_date_in_the_future_counts(
    ledger: Ledger, lake: FileLake, origin: Origin
) -> None:
    now_us, slice_ = time.time_ns() // 1000, slice_of(ledger)

    def land(name: str, created: str, **more: Any) -> None:
        shown = page(json.dumps([{"id": name, "createdAt": created}]).encode(), asked_us=now_us, **more)
        shaped = shaper_of(ISSUES).shape(shown.records)
        landing = replace(lander(ledger.pulling, lake, slice_), origin=origin)
        landing.land(shown, ask_of(slice_, 500), shaped, to=slice_)

    land("replayed", "2001-01-01T00:00:00Z")
    assert received(ledger)[1:] == (None, None), "a record that is replayed was not received now"
    land("old", "2001-01-01T00:00:00Z", answered_us=now_us)
    _, ours, source = received(ledger)
    assert ours is not None
    assert source is not None
    if origin is Origin.LIVE:
        assert (source, abs(ours - now_us) < DAY_US) == (now_us, True), "news is received when it is read"
    else:
        assert source == to_us(datetime(2001, 1, 1, tzinfo=UTC)), "the past was there before"
        assert abs((now_us - ours) - (now_us - source)) < DAY_US
    before = received(ledger)
    land("old", "2001-01-01T00:00:00Z", answered_us=now_us + 1)
    assert received(ledger) == before, "a repeat is no event"
    land("future", "2999-01-01T00:00:00Z", answered_us=now_us + 2)
    last, ours, source = received(ledger)
    assert (last, source) == (now_us + 2, now_us + 2)
    assert ours is not None
    assert abs(ours - now_us) < DAY_US


def test_what_our_own_account_caused_is_no_sign_of_life(ledger: Ledger, lake: FileLake) -> None:
    now_us = time.time_ns() // 1000
    kind = next(kind for kind in KINDS.values() if kind.actor_fields)
    marks, table = ledger.pulling.marks("s", kind.log_type), table_name(kind.log_type)
    plain = Slice(
        source_id="s",
        log_type=kind.log_type,
        origin=Origin.LIVE,
        by=kind.cursor_field,
        since=from_us(0),
        until=from_us(10**15),
    )
    (slice_,) = ledger.pulling.plan(marks, marks, [plain])
    own = OwnAccount(kind, ["ours"])
    landing = replace(
        lander(ledger.pulling, lake, slice_),
        kind=kind,
        table=table,
        memory=Memory(lake, table, "s", kind, by=slice_.by),
        own=own,
    )

    def land(*actors: str) -> tuple[int | None, int | None, int | None]:
        stamps = {"timestamp": f"2020-01-0{len(actors)}T00:00:00Z", "action": "X"}
        entries = [{"id": f"{name}{len(actors)}", "serviceAccount": {"id": name}, **stamps} for name in actors]
        shown = page(json.dumps(entries).encode(), asked_us=now_us, answered_us=now_us)
        landed = landing.land(shown, ask_of(slice_, 500), shaper_of(kind).shape(shown.records), to=slice_)
        assert landed.events == len(actors), "it lands all the same"
        return received(ledger)

    assert land("ours") == (None, None, None)
    last, _, source = land("ours", "theirs")
    assert (last, source) == (to_us(datetime(2020, 1, 2, tzinfo=UTC)), now_us)


def test_a_part_that_did_not_land_is_deleted(tmp_path: Path, ledger: Ledger, lake: FileLake) -> None:
    """Another slice lands the same records between our look at the lake and our commit: the first part goes again."""
    first, second = slice_of(ledger), slice_of(ledger)
    shown = page(
        b'[{"id":"a","createdAt":"2001-01-01T00:00:00Z"},'
        b'{"id":"b","createdAt":"2001-01-01T00:00:00Z","projects":"none"}]'
    )

    class Overtaken:
        """The ledger, in which somebody else lands just before each of our first landings."""

        def __init__(self) -> None:
            self.left = 1

        def land(self, landing: Landing) -> Landed | Behind:
            if self.left:
                self.left -= 1
                other = lander(ledger.pulling, lake, second)
                shaped = shaper_of(ISSUES).shape(shown.records)
                other.land(shown, ask_of(second, 500), shaped, to=second)
            return ledger.pulling.land(landing)

        def __getattr__(self, name: str) -> Any:
            return getattr(ledger.pulling, name)

    ours = lander(Overtaken(), lake, first)
    shaped = shaper_of(ISSUES).shape(shown.records)
    landed = ours.land(shown, ask_of(first, 500), shaped, to=first)
    assert (landed.events, landed.repeats, landed.rejections) == (0, 1, 0)
    files = {str(path.relative_to(tmp_path)) for path in (tmp_path / "landing").rglob("*.parquet")}
    assert files == {part.path for table in (TABLE, REJECTIONS) for part in ledger.lake.parts(table)}
    assert len(files) == 2


@pytest.mark.parametrize("published", [False, True])
def test_an_audit_entry_whose_timestamp_is_corrected_stays_one_row(
    tmp_path: Path, ledger: Ledger, lake: FileLake, *, published: bool
) -> None:
    kind, table = KINDS["Wiz.Audit"], table_name("Wiz.Audit")
    shaper = shaper_of(AUDIT)

    def shown(day: int) -> PageLanded:
        """Land one entry as a slice of that day shows it."""
        at = datetime(2026, 3, day, 12, tzinfo=UTC)
        marks = ledger.pulling.marks("s", kind.log_type)
        hour = timedelta(hours=1)
        plain = Slice(
            source_id="s",
            log_type=kind.log_type,
            origin=Origin.LIVE,
            by="timestamp",
            since=at - hour,
            until=at + hour,
        )
        (slice_,) = ledger.pulling.plan(marks, marks, [plain])
        ours = Lander(
            ledger=ledger.pulling,
            lake=lake,
            kind=kind,
            table=table,
            claim=slice_.claim,
            source_id="s",
            source_label="s",
            origin=slice_.origin,
            rejection_rows=rejection_rows,
            memory=Memory(lake, table, "s", kind, by=slice_.by),
        )
        records = page(b'[{"id":"a","action":"Login","timestamp":"%b"}]' % rfc3339(at).encode())
        return ours.land(records, ask_of(slice_, 500), shaper.shape(records.records), to=slice_)

    assert shown(10).events == 1
    if published:
        Publisher(tmp_path, ledger.lake, table_schemas()).publish(table)
    again = shown(20)
    assert (again.events, again.repeats) == (0, 1)
