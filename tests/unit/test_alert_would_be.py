"""Alerts that matches of the past would have made are those of the rules of grouping, by event time."""

from datetime import timedelta

from ocelog.alert.grouping import Grouping, GroupingInput
from ocelog.alert.would_be import MOST_KEPT, PastMatch, WouldBeAlerts
from ocelog.model import Severity

MINUTE = 60_000_000
HOUR = Grouping(rule="R", period=timedelta(hours=1))


def match(minute: int, dedup: str = "a", record: str | None = None, row: str = "") -> PastMatch:
    joining = GroupingInput(row_id=row or f"row{minute}", dedup=dedup, event_us=minute * MINUTE)
    return PastMatch(joining=joining, title=f"at {minute}", severity=Severity.HIGH, record_id=record)


def test_matches_within_a_window_share_an_alert_and_the_next_opens_another() -> None:
    found = WouldBeAlerts(HOUR)
    found.add([match(0), match(30, "b"), match(59), match(61)])
    assert [(each.title, each.matches) for each in found.listed()] == [("at 0", 2), ("at 30", 1), ("at 61", 1)]
    assert (found.count, found.told) == (3, 3)


def test_below_a_threshold_an_alert_is_there_and_nobody_is_told() -> None:
    found = WouldBeAlerts(Grouping(rule="R", period=timedelta(hours=1), threshold=3))
    found.add([match(0), match(10)])
    assert (found.count, found.told, found.listed()) == (1, 0, [])
    found.add([match(20), match(25), match(100)])
    assert (found.count, found.told) == (2, 1)
    assert [(each.title, each.matches) for each in found.listed()] == [("at 0", 4)]


def test_an_alert_that_lives_with_a_record_is_one_for_all_its_versions() -> None:
    found = WouldBeAlerts(HOUR, lives_with_record=True)
    found.add([match(0, record="x"), match(500, record="x"), match(501, record="y")])
    assert [(each.title, each.matches) for each in found.listed()] == [("at 0", 2), ("at 501", 1)]


def test_more_than_are_kept_are_counted() -> None:
    found = WouldBeAlerts(HOUR)
    found.add(match(0, f"d{each}", row=str(each)) for each in range(MOST_KEPT + 5))
    assert (found.count, len(found.listed())) == (MOST_KEPT + 5, MOST_KEPT)
