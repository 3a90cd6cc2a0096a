"""When people are left alone: on days that have 23, 24 and 25 hours."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.errors import ConfigError
from ocelog.quiet_hours import QuietHours, read_quiet_hours

MINUTE = timedelta(minutes=1)


def berlin(start: str, end: str) -> QuietHours:
    found = read_quiet_hours(f"{start}-{end} Europe/Berlin")
    assert found is not None
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_a_night_ends_in_the_morning() -> None:
    night = berlin("22:00", "07:00")
    assert not night.cover(at("2026-11-27T21:59:59+01:00"))
    assert night.end_after(at("2026-11-27T22:00:00+01:00")) == at("2026-11-28T07:00:00+01:00")
    assert night.end_after(at("2026-11-28T06:59:59+01:00")) == at("2026-11-28T07:00:00+01:00")
    assert night.end_after(at("2026-11-28T12:00:01+01:00")) == at("2026-11-28T12:00:01+01:00")


def test_an_hour_that_a_day_lacks_is_not_waited_for() -> None:
    # On 2026-03-29 the clocks go from 02:00 to 03:00.
    assert berlin("01:00", "02:30").end_after(at("2026-03-29T01:30:00+01:00")) == at("2026-03-29T03:00:00+02:00")


def test_an_hour_that_a_day_has_twice_is_quiet_twice() -> None:
    # On 2026-10-25 the clocks go from 03:00 back to 02:00.
    short = berlin("02:00", "02:30")
    assert short.end_after(at("2026-10-25T02:10:00+02:00")) == at("2026-10-25T02:30:00+02:00")
    assert short.cover(at("2026-10-25T02:10:00+01:00"))
    assert short.end_after(at("2026-10-25T02:10:00+01:00")) == at("2026-10-25T02:30:00+01:00")


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - given UTC
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_the_end_is_the_first_instant_outside(now: datetime, start: int, end: int, zone: str) -> None:
    if start == end:
        return
    quiet = QuietHours(start=time(*divmod(start, 60)), end=time(*divmod(end, 60)), zone=zone)
    over = quiet.end_after(now)
    assert now <= over <= now + timedelta(hours=25)
    assert not quiet.cover(over)
    if over > now:
        assert quiet.cover(over - MINUTE / 60)


def test_a_zone_that_is_not_known_any_more_mutes_nothing() -> None:
    gone = QuietHours(start=time(0), end=time(23, 59), zone="Mars/Olympus")
    now = at("2026-11-27T12:00:00Z")
    assert not gone.cover(now)
    assert gone.end_after(now) == now


def test_it_is_written_as_it_is_read() -> None:
    assert str(berlin("22:00", "07:05")) == "22:00-07:05 Europe/Berlin"
    assert read_quiet_hours("off") is None


@pytest.mark.parametrize(
    "text", ["", "22:00", "22:00-07:00", "24:00-07:00 UTC", "7-8 UTC", "07:00-07:00 UTC", "22:00-07:00 Europe/Berlim"]
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_quiet_hours(text)
