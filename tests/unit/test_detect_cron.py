from datetime import UTC, datetime

import pytest

from ocelog.detect.cron import check_cron, due_now, last_due, next_due
from ocelog.detect.rule import Schedule


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("0 3 * * *", "2026-03-01T02:59:59", "2026-03-01T03:00"),
        ("0 3 * * *", "2026-03-01T03:00:00", "2026-03-02T03:00"),
        ("*/20 * * * *", "2026-03-01T03:41:00", "2026-03-01T04:00"),
        ("5-10/5 1,13 * * *", "2026-03-01T01:05:00", "2026-03-01T01:10"),
        ("5-10/5 1,13 * * *", "2026-03-01T01:10:00", "2026-03-01T13:05"),
        ("0 0 * * 1-5", "2026-02-27T12:00:00", "2026-03-02T00:00"),
        ("0 0 * * sun", "2026-02-27T12:00:00", "2026-03-01T00:00"),
        ("0 0 * * 7", "2026-02-27T12:00:00", "2026-03-01T00:00"),
        ("0 0 13 * 5", "2026-03-01T00:00:00", "2026-03-06T00:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00"),
        ("0 0 1 jan ?", "2026-03-01T00:00:00", "2027-01-01T00:00"),
        ("30/15 * * * *", "2026-03-01T00:31:00", "2026-03-01T00:45"),
        ("@daily", "2026-03-01T00:00:00", "2026-03-02T00:00"),
        (" @Daily ", "2026-03-01T00:00:00", "2026-03-02T00:00"),
        # A day field that begins with a star leaves the choice to the other.
        ("0 0 */2 * 1", "2026-03-01T00:00:00", "2026-03-09T00:00"),
        ("0 0 9 * ?", "2026-03-01T00:00:00", "2026-03-09T00:00"),
        # 2100 is no leap year.
        ("0 0 29 2 *", "2096-03-01T00:00:00", "2104-02-29T00:00"),
    ],
)
def test_a_cron_expression_is_due_next(cron: str, after: str, due: str) -> None:
    found = next_due(Schedule(cron=cron), after=datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_it_is_due_in_utc_whatever_the_zone_of_the_instant_that_is_asked_about() -> None:
    daily, two_at_night = Schedule(cron="0 0 * * *"), datetime.fromisoformat("2026-03-02T02:00:00+04:00")
    assert next_due(daily, after=two_at_night) == datetime(2026, 3, 2, tzinfo=UTC)
    assert last_due(daily, at=two_at_night) == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_rate_is_due_at_the_same_instants_whenever_it_was_begun() -> None:
    rate = Schedule(rate_minutes=45)
    found = next_due(rate, after=datetime(2026, 3, 1, 0, 10, tzinfo=UTC))
    assert found is not None
    assert found.timestamp() % (45 * 60) == 0
    assert next_due(rate, after=found).timestamp() == found.timestamp() + 45 * 60  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "60 * * * *", "* * * * 8", "a * * * *", "*/0 * * * *", "5-1 * * * *", "0 0 31 2 *", "0 0 0 * *"],
)
def test_a_cron_expression_that_is_wrong_or_never_due_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="cron expression"):
        check_cron(cron)


@pytest.mark.parametrize(
    ("schedule", "fired", "now", "due"),
    [
        # A run that was missed is made up once, by its last fire time.
        (Schedule(rate_minutes=60), "2026-03-25T05:00", "2026-03-25T09:20", "2026-03-25T09:00"),
        (Schedule(cron="0 6 * * *"), "2026-03-20T06:00", "2026-03-25T05:59", "2026-03-24T06:00"),
        (Schedule(cron="0 6 * * *"), "2026-03-24T06:00", "2026-03-25T06:00", "2026-03-25T06:00"),
        (Schedule(cron="0 6 * * *"), "2026-03-24T06:00", "2026-03-25T05:59", None),
        (Schedule(rate_minutes=60), "2026-03-25T09:00", "2026-03-25T09:59", None),
        # One that began between two fire times waits for the next.
        (Schedule(rate_minutes=60), "2026-03-25T09:20", "2026-03-25T09:59", None),
        # The clocks of Europe go forward at 01:00 UTC, and back in October: in UTC nothing is left out or done twice.
        (Schedule(cron="30 2 * * *"), "2026-03-28T02:30", "2026-03-29T02:31", "2026-03-29T02:30"),
        (Schedule(cron="30 2 * * *"), "2026-10-24T02:30", "2026-10-25T02:31", "2026-10-25T02:30"),
        (Schedule(cron="30 2 * * *"), "2026-10-25T02:30", "2026-10-25T03:31", None),
        # A clock that went back a little does nothing twice; one that was a year ahead keeps nothing back.
        (Schedule(rate_minutes=60), "2026-03-25T09:00", "2026-03-25T08:59", None),
        (Schedule(rate_minutes=60), "2027-03-25T09:00", "2026-03-25T08:59", "2026-03-25T08:00"),
        (Schedule(cron="0 0 29 2 *"), "2024-02-28T00:00", "2027-01-01T00:00", "2024-02-29T00:00"),
    ],
)
def test_what_is_due_is_run_once(schedule: Schedule, fired: str, now: str, due: str | None) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    found = due_now(schedule, fired=at(fired), now=at(now))
    assert found == (None if due is None else at(due))
    if found is not None:
        assert due_now(schedule, fired=found, now=at(now)) is None
