"""What people may choose about the no-events alarm, and what its quiet hours cover where clocks are changed."""

from datetime import UTC, datetime, timedelta

import pytest

from ocelog.errors import ConfigError
from ocelog.health.settings import AlarmSettings, changed, read_after, read_alarm, read_repeat, written
from ocelog.quiet_hours import read_quiet_hours

HOUR = timedelta(hours=1)


def test_the_alarm_is_on_by_default_at_a_day_and_tells_once() -> None:
    found = read_alarm({}, "Wiz.Audit")
    assert found == AlarmSettings(after=24 * HOUR, repeat=None, quiet_hours=None, even_if_quiet=False)


def test_a_log_type_may_differ_from_its_source() -> None:
    kept = {
        "after": "6h",
        "quiet_hours": "22:00-07:00 Asia/Seoul",
        "log_types": {"Wiz.Audit": {"after": "off"}, "Wiz.Issues": {"repeat": "1d", "even_if_quiet": True}},
    }
    audit, issues, other = (read_alarm(kept, name) for name in ("Wiz.Audit", "Wiz.Issues", "Wiz.Other"))
    assert (audit.after, issues.after, other.after) == (None, 6 * HOUR, 6 * HOUR)
    assert (issues.repeat, issues.even_if_quiet, other.repeat) == (24 * HOUR, True, None)
    assert audit.quiet_hours == issues.quiet_hours == read_quiet_hours("22:00-07:00 Asia/Seoul")


def test_a_change_leaves_what_it_does_not_name_and_a_default_is_not_kept() -> None:
    kept = changed({}, {None: {"after": "6h", "repeat": "1d"}, "Wiz.Audit": {"after": "off"}})
    assert kept == {"after": "6h", "repeat": "1d", "log_types": {"Wiz.Audit": {"after": "off"}}}
    kept = changed(kept, {None: {"after": None, "even_if_quiet": True}})
    assert kept == {"repeat": "1d", "even_if_quiet": True, "log_types": {"Wiz.Audit": {"after": "off"}}}
    assert changed(kept, {"Wiz.Audit": {"after": None}}) == {"repeat": "1d", "even_if_quiet": True}
    assert changed({"log_types": "damaged"}, {None: {"after": "1h"}}) == {"after": "1h"}


@pytest.mark.parametrize("text", ["14m", "31d", "0s", "6 hours", "", "-1h"])
def test_bounds_are_told(text: str) -> None:
    for read in (read_after, read_repeat):
        with pytest.raises(ConfigError):
            read(text)


def test_the_bounds_themselves_are_allowed() -> None:
    assert [read_after(text) for text in ("15m", "30d", "OFF")] == [timedelta(minutes=15), timedelta(days=30), None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("22:00-07:00", "a time zone"),
        ("22-07 UTC", "two times of day"),
        ("24:00-07:00 UTC", "two times of day"),
        ("22:60-07:00 UTC", "two times of day"),
        ("22:00-22:00 UTC", "never end"),
        ("22:00-07:00 Europe/Berlim", "did you mean 'Europe/Berlin'?"),
        ("22:00-07:00 ../etc/passwd", "there is no time zone"),
        ("22:00-07:00 Europe", "there is no time zone"),
        ("22:00-07:00 \x00", "there is no time zone"),
    ],
)
def test_quiet_hours_that_mean_nothing_are_refused_with_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_quiet_hours(text)


@pytest.mark.parametrize("text", ["22:00-07:00 Europe/Berlin", "09:30-17:00 UTC", "off"])
def test_what_was_read_is_written_as_it_is_read(text: str) -> None:
    assert written(read_quiet_hours(text)) == text


def covered(text: str, first: datetime, last: datetime) -> timedelta:
    """Return how long the quiet hours are between two instants."""
    hours = read_quiet_hours(text)
    assert hours is not None
    minute, found = timedelta(minutes=1), timedelta(0)
    while first < last:
        found += minute if hours.cover(first) else timedelta(0)
        first += minute
    return found


NIGHT = "22:00-07:00 Europe/Berlin"


def test_quiet_hours_follow_the_clocks_of_their_zone() -> None:
    winter, summer = datetime(2026, 1, 10, 12, tzinfo=UTC), datetime(2026, 7, 10, 12, tzinfo=UTC)
    hours = read_quiet_hours(NIGHT)
    assert hours is not None
    # 22:00 in Berlin is 21:00 UTC in winter, 20:00 in summer.
    assert [hours.cover(winter.replace(hour=hour)) for hour in (20, 21, 5, 6)] == [False, True, True, False]
    assert [hours.cover(summer.replace(hour=hour)) for hour in (19, 20, 4, 5)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("noon", "night", "lost"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=UTC), 8, "02:15-02:45 Europe/Berlin"),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), 10, None),
    ],
    ids=["clocks go forward", "clocks go back"],
)
def test_a_night_in_which_clocks_change_is_an_hour_shorter_or_longer(
    noon: datetime, night: int, lost: str | None
) -> None:
    assert covered(NIGHT, noon, noon + 24 * HOUR) == night * HOUR
    twice = covered("02:15-02:45 Europe/Berlin", noon, noon + 24 * HOUR)
    assert twice == (timedelta(0) if lost else HOUR), "a time that is not there is never quiet, one that is twice is"
