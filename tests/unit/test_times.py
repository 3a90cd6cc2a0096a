"""When what our clock noted is old enough, also if that clock was wrong then."""

from datetime import UTC, datetime, timedelta

import pytest

from ocelog.times import has_passed

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOMENT = timedelta(milliseconds=1)


def passed(ago: timedelta) -> bool:
    since, now = (NOW - ago).timestamp(), NOW.timestamp()
    found = has_passed(DAY, since=NOW - ago, now=NOW)
    assert has_passed(DAY, since=since, now=now) == found
    return found


@pytest.mark.parametrize(
    ("ago", "over"), [(9 * DAY, True), (DAY, True), (DAY - MOMENT, False), (0 * DAY, False), (-HOUR, False)]
)
def test_a_period_is_over_in_its_time(ago: timedelta, *, over: bool) -> None:
    assert passed(ago) == over


@pytest.mark.parametrize("ahead", [HOUR + MOMENT, 30 * DAY, 900_000 * DAY])
def test_what_is_noted_further_ahead_than_clocks_differ_is_old(ahead: timedelta) -> None:
    assert passed(-ahead)
