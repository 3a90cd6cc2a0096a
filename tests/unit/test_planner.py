from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocelog.model import Checkpoint, Kind, Marks, Origin, Slice, SliceState
from ocelog.pull.planner import OVERLAP, Plan, StreamSettings, complete_through, plan, still_short
from ocelog.times import EPOCH, to_us

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ISSUES = Kind(
    log_type="Wiz.Issues",
    cursor_field="statusChangedAt",
    created_field="createdAt",
    version_times=("updatedAt",),
    also_live_by=("createdAt",),
    sweep_by="createdAt",
    created_filter="createdAt",
)
AUDIT = Kind(log_type="Wiz.Audit", cursor_field="timestamp", created_field="timestamp", version_times=("timestamp",))
SETTINGS = StreamSettings(backfill=timedelta(days=30))
NEW = Marks(source_id="s", log_type="Wiz.Issues")


def planned(
    marks: Marks,
    now: datetime,
    kind: Kind = ISSUES,
    settings: StreamSettings = SETTINGS,
    our_now: datetime | None = None,
) -> Plan:
    found = plan(marks, kind, settings, now, our_now=our_now or now)
    assert found is not None
    return found


def of(found: Plan, origin: Origin) -> list[Slice]:
    return [slice_ for slice_ in found.slices if slice_.origin is origin]


def covers(slices: list[Slice], since: datetime, until: datetime) -> bool:
    ordered = sorted(slices, key=lambda s: s.since)
    joined = all(one.until == other.since for one, other in zip(ordered, ordered[1:], strict=False))
    return joined and (ordered[0].since, ordered[-1].until) == (since, until)


def test_onboarding_takes_now_as_the_edge_and_plans_the_past_before_it() -> None:
    begun = planned(NEW, NOW)
    assert begun.after.edge == NOW
    since = NOW - timedelta(days=30)
    changed = [each for each in of(begun, Origin.BACKFILL) if each.by == "statusChangedAt"]
    assert covers(changed, since, NOW)
    found = of(planned(NEW, NOW, FINDINGS), Origin.BACKFILL)
    assert covers(found, since, NOW)
    assert {(each.by, each.narrowed) for each in found} == {("updatedAt", None)}


def test_onboarding_reads_young_records_once_by_creation_and_older_ones_by_their_change() -> None:
    begun = planned(NEW, NOW)
    since = NOW - timedelta(days=30)
    young = [each for each in of(begun, Origin.BACKFILL) if each.by == "createdAt"]
    assert covers(young, since, NOW), "their cursor field may be null"
    assert all(each.narrowed is None for each in young)
    older = [each for each in of(begun, Origin.BACKFILL) if each.by != "createdAt"]
    assert all(each.narrowed == {"createdAt": [0, to_us(since) + 1_000_000]} for each in older)
    everything = planned(NEW, NOW, settings=replace(SETTINGS, backfill=None))
    assert covers(of(everything, Origin.BACKFILL), EPOCH, NOW)
    assert {each.by for each in everything.slices} == {"createdAt"}


def test_the_first_sweep_asks_for_open_records_of_any_age_by_creation() -> None:
    begun = planned(NEW, NOW)
    assert covers(of(begun, Origin.SWEEP), EPOCH, NOW - timedelta(days=29))
    assert {s.by for s in of(begun, Origin.SWEEP)} == {"createdAt"}
    assert of(planned(NEW, NOW, AUDIT), Origin.SWEEP) == []
    assert of(planned(NEW, NOW, settings=replace(SETTINGS, sweep=False)), Origin.SWEEP) == []


def test_the_next_live_slice_overlaps_the_edge_and_asks_by_every_field() -> None:
    marks = planned(NEW, NOW).after
    next_ = planned(marks, NOW + timedelta(minutes=5))
    assert {(s.by, s.since, s.until) for s in next_.slices} == {
        (by, NOW - OVERLAP, NOW + timedelta(minutes=5)) for by in ("statusChangedAt", "createdAt")
    }
    assert timedelta(minutes=5) <= OVERLAP, "records appear up to four minutes late"
    assert next_.after.edge == NOW + timedelta(minutes=5)


def test_nothing_is_planned_before_the_poll_is_due() -> None:
    assert (
        plan(planned(NEW, NOW).after, ISSUES, SETTINGS, NOW + timedelta(minutes=4), our_now=NOW + timedelta(minutes=4))
        is None
    )


def test_once_a_day_the_last_two_days_are_read_again() -> None:
    marks = planned(NEW, NOW).after
    later = NOW + timedelta(days=1)
    assert {s.since for s in of(planned(marks, later), Origin.LIVE)} == {NOW - OVERLAP, later - timedelta(days=2)}


def test_a_wider_backfill_reads_only_the_missing_part() -> None:
    marks = planned(NEW, NOW).after
    since = NOW - timedelta(days=90)
    wider = planned(marks, NOW, settings=StreamSettings(backfill=timedelta(days=90)))
    created = [each for each in wider.slices if each.by == "createdAt"]
    assert covers(created, since, NOW - timedelta(days=30)), "the cursor field may be null there too"
    changed = [each for each in wider.slices if each.by != "createdAt"]
    assert covers(changed, since, NOW - timedelta(days=30))
    assert all(each.narrowed == {"createdAt": [0, to_us(since) + 1_000_000]} for each in changed)
    everything = planned(wider.after, NOW, settings=StreamSettings(backfill=None))
    assert covers(list(everything.slices), EPOCH, since)
    findings = planned(planned(NEW, NOW, FINDINGS).after, NOW, FINDINGS, StreamSettings(backfill=timedelta(days=90)))
    assert covers(list(findings.slices), since, NOW - timedelta(days=30))
    assert plan(everything.after, ISSUES, SETTINGS, NOW, our_now=NOW) is None


def test_a_sweep_that_was_declined_is_planned_when_it_is_wanted() -> None:
    marks = planned(NEW, NOW, settings=replace(SETTINGS, sweep=False)).after
    assert of(planned(marks, NOW), Origin.SWEEP)


FINDINGS = replace(ISSUES, cursor_field="updatedAt", also_live_by=(), sweep_by="firstSeenAt")


def test_the_first_sweep_leaves_to_the_backfill_what_the_backfill_brings() -> None:
    begun = planned(NEW, NOW, FINDINGS)
    assert covers(of(begun, Origin.SWEEP), EPOCH, NOW - timedelta(days=29))
    assert of(planned(NEW, NOW, FINDINGS, replace(SETTINGS, backfill=None)), Origin.SWEEP) == []
    assert of(planned(NEW, NOW, FINDINGS, replace(SETTINGS, backfill=timedelta(hours=1))), Origin.SWEEP)[0].until == NOW


def test_open_records_are_swept_again_each_day_whatever_their_age() -> None:
    marks = planned(NEW, NOW, FINDINGS).after
    later = NOW + timedelta(days=1)
    assert of(planned(marks, later - timedelta(seconds=1), FINDINGS), Origin.SWEEP) == []
    again = planned(marks, later, FINDINGS)
    assert covers(of(again, Origin.SWEEP), EPOCH, later)
    assert {s.sweep_round for s in of(again, Origin.SWEEP)} == {2}
    assert again.after.sweep_round == 2
    rarely = planned(marks, later, FINDINGS, replace(SETTINGS, sweep_every=timedelta(days=2)))
    assert of(rarely, Origin.SWEEP) == []


def test_a_sweep_never_overtakes_the_one_before() -> None:
    begun = planned(NEW, NOW)
    later = NOW + timedelta(days=1)
    waiting = of(begun, Origin.SWEEP)[:1]
    found = plan(begun.after, ISSUES, SETTINGS, later, waiting, our_now=later)
    assert found is not None
    assert of(found, Origin.SWEEP) == []
    parked = [replace(waiting[0], state=SliceState.PARKED)]
    assert plan(begun.after, ISSUES, SETTINGS, later, parked, our_now=later) != found


def test_a_stream_of_before_sweeps_were_counted_goes_on_with_its_second() -> None:
    marks = replace(planned(NEW, NOW).after, sweep_round=0)
    assert planned(marks, NOW + timedelta(days=1)).after.sweep_round == 2


def test_a_source_that_is_down_does_not_pile_up_slices_without_end() -> None:
    marks = planned(NEW, NOW).after
    stuck = replace(planned(marks, NOW + timedelta(minutes=5)).slices[0], fence=3, checkpoint=Checkpoint(failures=2))
    assert (
        plan(marks, ISSUES, SETTINGS, NOW + timedelta(minutes=5), [stuck], our_now=NOW + timedelta(minutes=5))
        is not None
    )
    assert (
        plan(marks, ISSUES, SETTINGS, NOW + timedelta(minutes=5), [stuck] * 12, our_now=NOW + timedelta(minutes=5))
        is None
    )


def test_a_source_that_answers_slower_than_it_is_polled_gets_no_more_than_two_live_slices_by_each_date() -> None:
    marks, later = planned(NEW, NOW).after, NOW + timedelta(minutes=5)
    by = [ISSUES.cursor_field, *ISSUES.also_live_by]
    fresh = [
        Slice(source_id="x", log_type="y", origin=Origin.LIVE, by=each, since=NOW - OVERLAP, until=NOW, fence=fence)
        for each in by
        for fence in (1, 2)
    ]

    def is_due(*waiting: Slice) -> bool:
        return plan(marks, ISSUES, SETTINGS, later, waiting, our_now=later) is not None

    assert is_due(*fresh[1:])
    assert not is_due(*fresh), "they are read, all of them"
    assert not is_due(replace(fresh[0], fence=0)), "nobody has begun it: the next one is longer instead"
    long_ago = NOW - OVERLAP
    assert is_due(*(replace(each, until=long_ago, fence=0) for each in fresh)), "what is old holds no news back"
    assert is_due(*(replace(each, checkpoint=Checkpoint(failures=1)) for each in fresh)), "what failed waits by itself"
    assert is_due(*(replace(each, origin=Origin.BACKFILL, fence=0) for each in fresh))


def test_parked_stretches_hold_no_news_back_however_many_there_are() -> None:
    marks = planned(NEW, NOW).after
    later = NOW + timedelta(minutes=5)
    bad = replace(planned(marks, later).slices[0], state=SliceState.PARKED, fence=3, checkpoint=Checkpoint(failures=2))
    assert plan(marks, ISSUES, SETTINGS, later, [bad] * 500, our_now=later) is not None


def test_an_edge_in_the_future_is_taken_back_and_the_last_two_days_are_read_again() -> None:
    lied_to = replace(planned(NEW, NOW).after, edge=NOW + timedelta(hours=2))
    mended = planned(lied_to, NOW)
    assert mended.after.edge == NOW
    assert {(s.since, s.until) for s in mended.slices} == {(NOW - timedelta(days=2), NOW)}
    assert plan(lied_to, ISSUES, SETTINGS, NOW + timedelta(hours=2), our_now=NOW + timedelta(hours=2)) is None


def test_an_edge_that_lies_a_little_ahead_stays_for_clocks_jitter() -> None:
    marks = planned(NEW, NOW).after
    assert plan(marks, ISSUES, SETTINGS, NOW - timedelta(seconds=59), our_now=NOW - timedelta(seconds=59)) is None


def test_a_stretch_that_stayed_short_counts_until_it_is_read_again_in_full() -> None:
    base = planned(NEW, NOW, FINDINGS).slices[0]
    short = replace(base, id=1, since=NOW - timedelta(seconds=1), until=NOW, state=SliceState.DRAINED, short_by=2)
    half = NOW - timedelta(milliseconds=500)
    first = replace(short, id=2, until=half, short_by=0)
    second = replace(short, id=3, since=half, short_by=0)
    assert still_short([short]) == (short,)
    assert still_short([short, first]) == (short,)
    assert still_short([short, second, first]) == ()
    assert still_short([short, first, replace(second, by="createdAt")]) == (short,)
    assert still_short([replace(short, id=9), first, second]) == (replace(short, id=9),)
    again = replace(short, id=4, short_by=1)
    assert still_short([short, again]) == (short, again)


def test_a_sweep_makes_good_nothing_but_a_sweep() -> None:
    base = planned(NEW, NOW, FINDINGS).slices[0]
    live = replace(base, id=1, origin=Origin.LIVE, by="createdAt", state=SliceState.DRAINED, short_by=2)
    sweep = replace(live, id=2, origin=Origin.SWEEP)
    full = replace(sweep, id=3, short_by=0)
    assert still_short([live, sweep, full]) == (live,)
    assert still_short([live, sweep, replace(full, origin=Origin.LIVE)]) == ()


def test_what_was_read_of_some_records_alone_makes_good_nothing_but_the_same() -> None:
    base = planned(NEW, NOW, FINDINGS).slices[0]
    short = replace(base, id=1, state=SliceState.DRAINED, short_by=2)
    high = {"severity": ["HIGH"]}
    full = replace(short, id=2, short_by=0, narrowed=high)
    assert still_short([short, full]) == (short,)
    assert still_short([replace(short, narrowed=high), full]) == ()
    assert still_short([replace(short, narrowed=high), replace(full, narrowed=None)]) == ()


def test_complete_through_is_the_oldest_instant_that_is_still_to_be_read() -> None:
    begun = planned(NEW, NOW)
    assert complete_through(begun.after, begun.slices) == NOW - timedelta(days=30)
    parked = [replace(s, state=SliceState.PARKED) for s in begun.slices]
    assert complete_through(begun.after, parked) == NOW
    read = [replace(s, id=n, state=SliceState.DRAINED) for n, s in enumerate(begun.slices, 1)]
    assert complete_through(begun.after, read) == NOW


def test_what_a_live_slice_reads_again_does_not_take_complete_through_back() -> None:
    begun = planned(NEW, NOW)
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    first = replace(begun.slices[0], id=1, origin=Origin.LIVE, since=NOW - hour, until=NOW, state=SliceState.DRAINED)
    again = replace(first, id=2, since=NOW - 5 * minute, until=NOW + 5 * minute, state=SliceState.WAITING)
    later = replace(begun.after, edge=NOW + 5 * minute)
    assert complete_through(later, [first, again]) == NOW
    assert complete_through(later, [first, replace(again, state=SliceState.DRAINED)]) == NOW + 5 * minute
    assert complete_through(later, [replace(first, state=SliceState.WAITING), again]) == NOW - hour
    assert complete_through(NEW, []) is None


@given(steps=st.lists(st.integers(0, 100_000), min_size=1, max_size=30))
def test_live_slices_leave_no_gap_and_never_reach_beyond_now(steps: list[int]) -> None:
    marks, now = planned(NEW, NOW).after, NOW
    live: list[Slice] = []
    for step in steps:
        now += timedelta(seconds=step)
        found = plan(marks, ISSUES, SETTINGS, now, our_now=now)
        if found is not None:
            marks = found.after
            live += [s for s in of(found, Origin.LIVE) if s.by == "statusChangedAt"]
    assert all(s.until <= now for s in live)
    reached = NOW
    for slice_ in sorted(live, key=lambda s: s.until):
        assert slice_.since <= reached
        reached = max(reached, slice_.until)
    assert reached == marks.edge
