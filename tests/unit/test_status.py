"""How a stream stands: what is left, how long it takes, and whether a person is needed."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocelog.app.sources.sources import row_of
from ocelog.app.status.status import StreamStatus, failing_loops, lagging, stream_statuses, sweep_of, unpublished
from ocelog.installation.home_lock import Holder
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, LoopFault, LoopMark, Marks, NewPart, Origin, Slice, SliceState, StreamFaults
from ocelog.pull.ports import Landing, Tally
from ocelog.sources.wiz.settings import from_mapping
from ocelog.times import to_us

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = from_mapping(
    {"token_url": "cognito", "client_id": "x", "log_types": ["issues"], "rate": 2.0, "page_size": 100}
)
LIVE = Slice(
    source_id="prod",
    log_type="Wiz.Issues",
    origin=Origin.LIVE,
    by="statusChangedAt",
    since=NOW - 2 * HOUR,
    until=NOW - HOUR,
)
SWEEP = replace(LIVE, origin=Origin.SWEEP, by="createdAt", since=NOW - 1000 * HOUR)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", durable=False)
    opened.sources.add(row_of("prod", SETTINGS, {}))
    yield opened
    opened.close()


def planned(ledger: Ledger, *slices: Slice) -> None:
    before = ledger.pulling.marks("prod", "Wiz.Issues")
    ledger.pulling.plan(before, replace(before, edge=NOW - HOUR), slices)


def stream_status(ledger: Ledger) -> StreamStatus:
    (found,) = stream_statuses(ledger, NOW)
    return found


def test_a_stream_that_never_began_is_new_and_needs_nobody(ledger: Ledger) -> None:
    found = stream_status(ledger)
    assert (found.state, found.needs_attention, found.lag, found.complete_through) == ("new", False, None, None)


def test_a_table_that_is_not_published_is_told_with_the_reason_or_once_it_is_late(ledger: Ledger) -> None:
    landed = datetime.now(UTC)
    ledger.pulling.plan(
        ledger.pulling.marks("prod", "Wiz.Issues"), Marks(source_id="prod", log_type="Wiz.Issues", edge=NOW), [LIVE]
    )
    slice_ = ledger.pulling.take("one", now=landed)
    assert slice_ is not None
    part = NewPart(table="wiz_issues", path="p", rows=3, bytes=9, min_cursor_us=0, max_cursor_us=0)
    ledger.pulling.land(
        Landing(
            claim=slice_.claim,
            source_id=slice_.source_id,
            log_type=slice_.log_type,
            to=replace(slice_, state=SliceState.DRAINED),
            table="wiz_issues",
            part=part,
            page_min_us=0,
            page_max_us=0,
            loaded_through=0,
            loaded=(),
            tally=Tally(),
        )
    )

    def late(after: timedelta) -> list[str]:
        five = timedelta(minutes=5)
        found = unpublished(ledger, ["wiz_issues"], publish_after=five, allowed=HOUR, now=landed + after)
        return [line for each in found for line in each.lines]

    assert late(HOUR) == []
    assert late(-1_000 * HOUR), "it landed while our clock was ahead"
    (told,) = late(1.2 * HOUR)
    assert told.startswith("wiz_issues: 1 part has been waiting since 20")
    assert told.endswith("Run: ocelog publish")
    ledger.lake.table_failed("wiz_issues", "publishing", code="disk_full", reason="no room")
    ledger.lake.table_failed("wiz_issues", "publishing", code="disk_full", reason="no room at all")
    told = late(timedelta(0))[0]
    assert re.fullmatch("wiz_issues: publishing has been failing since .*Z: no room at all", told)
    ledger.lake.table_well("wiz_issues", "publishing")
    assert late(timedelta(0)) == []


def test_a_loop_that_is_behind_for_long_is_told_and_publishing_by_its_own_line() -> None:
    def behind(loop: str, hours: float, parts: int = 2) -> LoopMark:
        oldest_us = to_us(NOW - hours * HOUR) if parts else None
        return LoopMark(loop=loop, table="wiz_issues", sequence=1, parts=parts, rows=3, oldest_us=oldest_us)

    (told,) = lagging([behind("detect", 2), behind("detect", 0.5), behind("publish", 2)], allowed=HOUR, now=NOW)
    assert told.startswith("wiz_issues: the loop 'detect' is behind by 2 parts (3 rows), the first of them from 20")
    assert lagging([behind("detect", 0, parts=0)], allowed=HOUR, now=NOW) == []


def test_a_loop_of_which_only_the_service_itself_could_say_that_it_fails_is_shown(ledger: Ledger) -> None:
    def fault(loop: str, reason: str) -> LoopFault:
        return LoopFault(loop=loop, during="turn", code="disk_full", reason=reason, since=NOW)

    ledger.lake.loop_failed("detect", "turn", code="try_later", reason="noted before")
    noted = ledger.lake.loop_faults()[0].since
    told = [fault("pull", "no room"), replace(fault("detect", "no room"), since=noted + HOUR)]
    who = Holder(command="ocelog run", pid=1, host="here", since="", alive_at=NOW, failing=told)
    found = [(each.loop, each.reason) for each in failing_loops(ledger, who)]
    assert sorted(found) == [("detect", "noted before"), ("pull", "no room")]
    assert [each.loop for each in failing_loops(ledger, None)] == ["detect"]


def test_what_is_read_to_its_end_is_live_and_complete_to_the_edge(ledger: Ledger) -> None:
    planned(ledger, replace(LIVE, state=SliceState.DRAINED))
    found = stream_status(ledger)
    assert (found.state, found.slices_left, found.eta) == ("empty", 0, None)
    assert (found.complete_through, found.lag) == (NOW - HOUR, HOUR)


def test_an_unread_live_slice_makes_the_lag_and_an_old_backfill_does_not(ledger: Ledger) -> None:
    backfill = replace(LIVE, origin=Origin.BACKFILL, since=NOW - 900 * HOUR, until=NOW - 800 * HOUR)
    planned(ledger, LIVE, backfill)
    found = stream_status(ledger)
    assert (found.state, found.slices_left) == ("catching up", 2)
    assert (found.complete_through, found.lag) == (NOW - 900 * HOUR, 2 * HOUR)


def test_what_a_live_slice_reads_again_makes_no_lag(ledger: Ledger) -> None:
    minute = timedelta(minutes=1)
    read = replace(LIVE, since=NOW - 5 * HOUR, until=NOW - 6 * minute, state=SliceState.DRAINED)
    # The next poll overlaps it by five minutes; once a day two days are read again.
    planned(ledger, read, replace(LIVE, since=NOW - 11 * minute, until=NOW))
    assert stream_status(ledger).lag == 6 * minute
    planned(ledger, replace(LIVE, since=NOW - 48 * HOUR, until=NOW))
    assert stream_status(ledger).lag == 6 * minute
    # What failed before that poll is missing, whatever was read since.
    planned(ledger, replace(LIVE, since=NOW - 7 * HOUR, until=NOW - 4 * HOUR))
    assert stream_status(ledger).lag == 7 * HOUR


def test_the_time_left_follows_from_records_left_page_size_and_rate(ledger: Ledger) -> None:
    begun = replace(LIVE, checkpoint=Checkpoint(met=200, total=1000))
    planned(ledger, begun, LIVE)
    # 800 left, and 1,000 guessed for the one not begun: 18 pages and two first ones, at 2 a second.
    assert stream_status(ledger).eta == timedelta(seconds=10)


def test_nothing_is_said_of_the_time_left_while_too_little_of_the_past_is_counted(ledger: Ledger) -> None:
    past = replace(LIVE, origin=Origin.BACKFILL, since=NOW - 900 * HOUR, until=NOW - 890 * HOUR)
    counted = replace(past, checkpoint=Checkpoint(met=900, total=900), state=SliceState.DRAINED)
    rest = replace(past, since=NOW - 890 * HOUR, until=NOW - 100 * HOUR)
    planned(ledger, counted, rest)
    assert stream_status(ledger).eta is None
    # Once a tenth is, the rest is guessed to be as dense: 8,100 records and a first page, at 2 pages a second.
    planned(ledger, replace(counted, since=NOW - 980 * HOUR, until=NOW - 900 * HOUR, checkpoint=Checkpoint(total=7200)))
    found = stream_status(ledger)
    assert found.eta == timedelta(seconds=(790 * 90 / 100 + 1) / 2)
    assert found.past_read == pytest.approx(90 / 880)


def test_a_slice_that_is_read_in_part_counts_in_part_for_the_past_that_is_read(ledger: Ledger) -> None:
    past = replace(LIVE, origin=Origin.BACKFILL, since=NOW - 900 * HOUR, until=NOW - 800 * HOUR)
    planned(ledger, replace(past, checkpoint=Checkpoint(met=250, total=1000)))
    assert stream_status(ledger).past_read == pytest.approx(0.25)


def test_parked_and_short_slices_need_a_person(ledger: Ledger) -> None:
    planned(ledger, replace(LIVE, state=SliceState.PARKED, reason="it always fails"))
    assert [each.reason for each in stream_status(ledger).parked] == ["it always fails"]
    assert stream_status(ledger).needs_attention
    planned(ledger, replace(LIVE, state=SliceState.DRAINED, short_by=3))
    assert [each.short_by for each in stream_status(ledger).short] == [3]


def test_a_refusal_needs_a_person_at_once_and_an_outage_only_when_it_lasts(ledger: Ledger) -> None:
    planned(ledger)
    said = {"text": "no", "code": "access_refused", "at_us": 0}
    ledger.pulling.trouble("prod", "Wiz.Issues", kind="access_refused", **said)  # type: ignore[arg-type] # mixed on purpose
    assert (stream_status(ledger).state, stream_status(ledger).needs_attention) == ("broken", True)
    ledger.pulling.trouble("prod", "Wiz.Issues", kind="source_unavailable", **said)  # type: ignore[arg-type] # likewise
    assert (stream_status(ledger).state, stream_status(ledger).needs_attention) == ("retrying", True)
    ledger.pulling.well("prod", "Wiz.Issues")
    assert (stream_status(ledger).state, stream_status(ledger).needs_attention) == ("empty", False)


def test_a_stream_is_live_once_a_record_came(ledger: Ledger) -> None:
    planned(ledger, LIVE)
    slice_ = ledger.pulling.take("one", now=datetime.now(UTC))
    assert slice_ is not None
    ledger.pulling.land(
        Landing(
            claim=slice_.claim,
            source_id=slice_.source_id,
            log_type=slice_.log_type,
            to=replace(slice_, state=SliceState.DRAINED),
            table="wiz_issues",
            part=None,
            page_min_us=None,
            page_max_us=None,
            loaded_through=0,
            loaded=(),
            tally=Tally(repeats=1),
        )
    )
    assert stream_status(ledger).state == "live"


def test_a_slice_that_fails_for_an_hour_needs_attention_whatever_its_neighbours_do(ledger: Ledger) -> None:
    planned(ledger, LIVE, replace(LIVE, since=NOW - 3 * HOUR))
    began = datetime.now(UTC)
    slice_ = ledger.pulling.take("one", now=began)
    assert slice_ is not None
    failing = replace(slice_, checkpoint=Checkpoint(failures=1), reason="HTTP 500")
    ledger.pulling.move(slice_, failing)
    ledger.pulling.move(failing, replace(failing, checkpoint=Checkpoint(failures=2)))

    def seen(later: timedelta) -> tuple[bool, list[str | None]]:
        (found,) = stream_statuses(ledger, datetime.now(UTC) + later)
        return found.needs_attention, [each.reason for each in found.failing]

    assert seen(0.9 * HOUR) == (False, [])
    assert seen(-1_000 * HOUR) == (True, ["HTTP 500"]), "our clock was ahead when it began to fail"
    assert seen(1.1 * HOUR) == (True, ["HTTP 500"])
    # The other slice of the stream reads well: that says nothing about this one.
    ledger.pulling.well("prod", "Wiz.Issues")
    assert seen(1.1 * HOUR)[0]
    ledger.pulling.move(failing, replace(failing, checkpoint=Checkpoint(after="next")))
    assert seen(1.1 * HOUR) == (False, [])


def test_while_a_source_is_paused_what_fails_is_named_with_how_to_go_on_and_needs_nobody(ledger: Ledger) -> None:
    planned(ledger, LIVE)
    row, slice_ = ledger.sources.find("prod"), ledger.pulling.take("one", now=datetime.now(UTC))
    assert row is not None
    assert slice_ is not None
    ledger.pulling.move(slice_, replace(slice_, checkpoint=Checkpoint(failures=1), reason="HTTP 500"))
    said = {"text": "no", "code": "source_unavailable", "at_us": 0}
    ledger.pulling.trouble("prod", "Wiz.Issues", kind="source_unavailable", **said)  # type: ignore[arg-type] # mixed
    before = ledger.pulling.marks("prod", "Wiz.Issues")
    ledger.pulling.plan(before, replace(before, offset=3 * HOUR), [])
    ledger.sources.save(replace(row, paused=True))
    (found,) = stream_statuses(ledger, datetime.now(UTC) + 2 * HOUR)
    assert (found.state, found.needs_attention, found.clock_off) == ("paused", False, None)
    assert [each.reason for each in found.failing] == ["HTTP 500"]
    assert found.todo == found.resume
    assert (found.resume or "").endswith("ocelog source resume prod")
    ledger.sources.save(row)
    (found,) = stream_statuses(ledger, datetime.now(UTC) + 2 * HOUR)
    assert (found.needs_attention, found.clock_off, found.resume) == (True, 3 * HOUR, None)
    assert found.error_code == "source_unavailable"
    assert (found.todo or "").startswith("Nothing yet: it is tried again.")
    (found,) = stream_statuses(ledger, datetime.now(UTC), idle=True)
    assert (found.todo or "").startswith("Nothing is running")


def test_an_outage_that_began_while_our_clock_was_ahead_needs_a_person(ledger: Ledger) -> None:
    test_a_stream_is_live_once_a_record_came(ledger)
    said = {"text": "no", "code": "access_refused", "at_us": 0}
    ledger.pulling.trouble("prod", "Wiz.Issues", kind="source_unavailable", **said)  # type: ignore[arg-type] # mixed

    def needs_attention(later: timedelta) -> bool:
        return stream_statuses(ledger, datetime.now(UTC) + later)[0].needs_attention

    assert [needs_attention(later) for later in (0 * HOUR, 2 * HOUR, -1_000 * HOUR)] == [False, True, True]


def test_a_parked_range_is_tried_no_later_than_a_slice_may_wait(ledger: Ledger) -> None:
    planned(ledger, replace(LIVE, state=SliceState.PARKED, due_at=NOW + 24 * HOUR))
    assert stream_status(ledger).parked[0].due_at == NOW + 24 * HOUR
    planned(ledger, replace(LIVE, state=SliceState.PARKED, due_at=NOW + 720 * HOUR))
    assert stream_status(ledger).parked[1].due_at == NOW


def test_a_sweep_is_counted_until_its_last_slice_is_drained() -> None:
    done = replace(SWEEP, state=SliceState.DRAINED, checkpoint=Checkpoint(met=30, total=30))
    begun = replace(SWEEP, checkpoint=Checkpoint(met=10, total=70))
    found = sweep_of([done, begun, LIVE])
    assert found is not None
    assert (found.met, found.total, found.slices_left) == (40, 100, 1)
    assert str(found) == "40 of 100 open records (40%)"
    unknown = sweep_of([done, begun, SWEEP])
    assert unknown is not None
    assert unknown.total is None
    assert str(unknown) == "40 open records so far, 2 time ranges left"
    assert sweep_of([done, LIVE, replace(SWEEP, state=SliceState.RETIRED)]) is None


def test_a_stream_without_rows_of_its_own_is_shown_from_the_settings(ledger: Ledger) -> None:
    assert ledger.pulling.marks("prod", "Wiz.Issues") == Marks(source_id="prod", log_type="Wiz.Issues")
    assert stream_status(ledger).source == "prod"


@pytest.mark.parametrize(("ahead", "shown"), [(30, None), (90, 90), (-90, -90), (-30, None)])
def test_a_clock_that_is_off_by_more_than_a_minute_needs_attention(
    ledger: Ledger, ahead: int, shown: int | None
) -> None:
    before = ledger.pulling.marks("prod", "Wiz.Issues")
    ledger.pulling.plan(before, replace(before, edge=NOW - HOUR, offset=timedelta(seconds=ahead)), [])
    found = stream_status(ledger)
    assert found.clock_off == (None if shown is None else timedelta(seconds=shown))
    assert found.needs_attention == (shown is not None)


@pytest.mark.parametrize(("ahead", "set_back"), [(30, True), (30, False), (-30, False)])
def test_a_clock_that_was_set_back_since_the_last_look_is_not_said_to_be_off(
    ledger: Ledger, ahead: int, *, set_back: bool
) -> None:
    off = timedelta(days=-ahead)
    before = ledger.pulling.marks("prod", "Wiz.Issues")
    ledger.pulling.plan(before, replace(before, edge=NOW - HOUR, offset=off), [])
    (found,) = stream_statuses(ledger, NOW if set_back else NOW - off)
    assert found.clock_off == (None if set_back else off)


def test_a_total_that_is_off_needs_attention(ledger: Ledger) -> None:
    planned(ledger, LIVE)
    slice_ = ledger.pulling.take("one", now=datetime.now(UTC))
    assert slice_ is not None
    assert (stream_status(ledger).total_off_by, stream_status(ledger).needs_attention) == (None, False)
    ledger.pulling.save_stream_faults(slice_, StreamFaults(total_off_by=2, total_off_at=NOW))
    assert (stream_status(ledger).total_off_by, stream_status(ledger).needs_attention) == (2, True)
