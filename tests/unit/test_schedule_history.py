"""Which runs of the past are made again: each that was due, the last of them, in UTC."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ocelog.app.rules.schedule_history import MOST_RUNS, past_runs
from ocelog.detect.rule import Place, Query, Schedule
from ocelog.detect.timetable import timetable, written
from ocelog.times import to_us

NIGHT = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""In Berlin the clock goes from 02:00 to 03:00 in the night that follows."""


def query(name: str = "rows", **schedule: object) -> Query:
    return Query(name=name, sql={"sql": "SELECT 1"}, schedule=Schedule(**schedule), place=Place("q.yml", 1))  # type: ignore[arg-type]


def test_a_night_in_which_clocks_change_has_as_many_runs_as_any() -> None:
    runs, whole = past_runs([query(cron="30 * * * *")], NIGHT, NIGHT + timedelta(days=1))
    assert (len(runs), whole) == (24, True)
    assert {b.fires_us - a.fires_us for a, b in pairwise(runs)} == {3_600_000_000}
    assert all(run.fires_us - run.before_us == 3_600_000_000 for run in runs)
    once, _ = past_runs([query(cron="30 2 * * *")], NIGHT, NIGHT + timedelta(days=2))
    assert [run.fires_us for run in once] == [to_us(datetime(2026, 3, day, 2, 30, tzinfo=UTC)) for day in (29, 30)]


def test_of_too_many_runs_the_last_are_made() -> None:
    until = NIGHT + timedelta(days=30)
    runs, whole = past_runs([query("a", rate_minutes=60), query("b", rate_minutes=60)], NIGHT, until)
    assert (len(runs), whole) == (MOST_RUNS, False)
    assert {run.query.name for run in runs} == {"a", "b"}
    assert runs[-1].fires_us == to_us(until)
    assert runs == sorted(runs, key=lambda run: (run.fires_us, run.query.name))
    few, whole = past_runs([query(rate_minutes=60)], until - timedelta(hours=MOST_RUNS - 1), until)
    assert (len(few), whole) == (MOST_RUNS, True)


def test_both_ends_count_and_what_has_no_schedule_is_never_due() -> None:
    runs, _ = past_runs([query(cron="@daily")], datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    assert len(runs) == 2
    assert past_runs([query()], NIGHT, NIGHT + timedelta(days=9)) == ([], True)


def test_before_a_schedule_was_changed_runs_are_those_of_the_one_before() -> None:
    changed_us = to_us(NIGHT)
    seen_us = changed_us + 3_000_000_000
    noted = [(0, 0, written(Schedule(rate_minutes=60))), (changed_us, seen_us, written(Schedule(cron="30 */2 * * *")))]
    times = timetable(Schedule(cron="30 */2 * * *"), noted)
    since, until = NIGHT - timedelta(hours=3), NIGHT + timedelta(hours=4)
    hours = [-3, -2, -1, 0, 0.5, 2.5]
    runs, whole = past_runs([query(cron="30 */2 * * *")], since, until, {"rows": times})
    assert ([run.fires_us for run in runs], whole) == ([to_us(NIGHT + timedelta(hours=each)) for each in hours], True)
    assert [run.before_us for run in runs[1:]] == [run.fires_us for run in runs[:-1]], (
        "each covers what none before did"
    )
    for at, due in ((1, 0.5), (0.25, 0), (-0.5, -1)):
        assert times.last_due(NIGHT + timedelta(hours=at)) == NIGHT + timedelta(hours=due)
    for minutes, due in ((49, 0), (50, 0.5), (-1, -1)):
        assert times.made_by(NIGHT + timedelta(minutes=minutes)) == NIGHT + timedelta(hours=due)
    assert times.fire_times(since=since, until=until, most=3) == (
        [NIGHT + timedelta(hours=each) for each in hours[-3:]],
        False,
    )


def test_a_change_that_nobody_has_noted_counts_from_the_last_run_on() -> None:
    noted = [(0, 0, written(Schedule(cron="@daily")))]
    now = Schedule(cron="@hourly")
    assert [each[:2] for each in timetable(now, noted, fired_us=7, now_us=9).periods] == [(0, 0), (7, 9)]
    assert [each[:2] for each in timetable(now, noted, now_us=9).periods] == [(0, 0), (9, 9)]
    assert timetable(now).periods == [(0, 0, now)]
    assert timetable(Schedule(cron="@daily"), noted, fired_us=7).periods == [(0, 0, Schedule(cron="@daily"))]


def test_a_change_at_a_fire_time_of_both_schedules_makes_no_run_twice_and_hides_none_that_was_left_out() -> None:
    def times(before: Schedule, now: Schedule) -> list[tuple[int, int, str]]:
        return [(0, 0, written(before)), (to_us(NIGHT), to_us(NIGHT), written(now))]

    slow = Schedule(cron="0 */2 * * *")
    found, whole = timetable(slow, times(Schedule(rate_minutes=60), slow)).fire_times(
        since=NIGHT - timedelta(hours=1), until=NIGHT + timedelta(hours=2), most=9
    )
    assert (found, whole) == ([NIGHT + timedelta(hours=hour) for hour in (-1, 0, 2)], True)
    often = Schedule(rate_minutes=15)
    found, whole = timetable(often, times(Schedule(cron="@yearly"), often)).fire_times(
        since=NIGHT - timedelta(hours=1), until=NIGHT + timedelta(hours=1), most=2
    )
    assert (found, whole) == ([NIGHT + timedelta(minutes=minutes) for minutes in (45, 60)], False)


def test_a_schedule_that_nobody_has_noted_yet_counts_from_the_last_run_on() -> None:
    noted = [(0, 0, "rate 60"), (100, 110, "rate 30")]
    periods = timetable(Schedule(rate_minutes=5), noted, fired_us=50, now_us=200).periods
    assert [(since, seen, each.rate_minutes) for since, seen, each in periods] == [(0, 0, 60), (50, 200, 5)]
    periods = timetable(Schedule(rate_minutes=5), noted, now_us=200).periods
    assert [since for since, _, _ in periods] == [0, 100, 200]
