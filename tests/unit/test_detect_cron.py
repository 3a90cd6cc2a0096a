from datetime import UTC, datetime

import pytest

from ocelog.detect.cron import check_cron, next_due
from ocelog.detect.rule import Schedule


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("0 3 * * *", "2026-03-01T02:59:59", "2026-03-01T03:00"),
        ("0 3 * * *", "2026-03-01T03:00:00", "2026-03-02T03:00"),
        ("*/20 * * * *", "2026-03-01T03:41:00", "2026-03-01T04:00"),
        ("5-10/5 1,13 * * *", "2026-03-01T01:05:00", "2026-03-01T01:10"),
        ("0 0 * * 1-5", "2026-02-27T12:00:00", "2026-03-02T00:00"),
        ("0 0 * * sun", "2026-02-27T12:00:00", "2026-03-01T00:00"),
        ("0 0 * * 7", "2026-02-27T12:00:00", "2026-03-01T00:00"),
        ("0 0 13 * 5", "2026-03-01T00:00:00", "2026-03-06T00:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00"),
        ("0 0 1 jan ?", "2026-03-01T00:00:00", "2027-01-01T00:00"),
        ("30/15 * * * *", "2026-03-01T00:31:00", "2026-03-01T00:45"),
        ("@daily", "2026-03-01T00:00:00", "2026-03-02T00:00"),
    ],
)
def test_a_cron_expression_is_due_next(cron: str, after: str, due: str) -> None:
    found = next_due(Schedule(cron=cron), after=datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


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
