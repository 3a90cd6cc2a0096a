"""When a query was due in the past: by the schedule that it had then, which may not be the one that it has now."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from ocelog.detect.cron import fire_times, last_due
from ocelog.detect.rule import Schedule
from ocelog.times import from_us

_LEAST = timedelta(microseconds=1)
_RATE = "rate "


class Timetable(Struct, frozen=True, kw_only=True):
    """The schedules that a query had, one after the other."""

    periods: Sequence[tuple[int, int, Schedule]]
    """Each with the last fire time before it, and when it was seen, in microseconds; both are 0 for the first."""

    def last_due(self, at: datetime) -> datetime | None:
        """Return the last instant, `at` included, at which the query was due; None: it was not for years."""
        return _last_due(self.periods, at)

    def made_by(self, at: datetime) -> datetime | None:
        """Return when the run was due that was made at `at`: by the schedule that had been seen by then."""
        return _last_due([each for each in self.periods if from_us(each[1]) <= at], at)

    def fire_times(self, *, since: datetime, until: datetime, most: int) -> tuple[list[datetime], bool]:
        """Return when the query was due from `since` to `until`, both included, and whether that is all.

        Of more than `most` fire times, those are the last.
        """
        found, whole = list[datetime](), True
        for after_us, _, schedule in reversed(self.periods):
            after = from_us(after_us)
            begin = max(since, after + _LEAST)
            if whole and begin <= until:
                due, whole = fire_times(schedule, since=begin, until=until, most=most - len(found))
                found = due + found
            until = min(until, after)
        return found, whole


def _last_due(periods: Sequence[tuple[int, int, Schedule]], at: datetime) -> datetime | None:
    for since_us, _, schedule in reversed(periods):
        since = from_us(since_us)
        due = last_due(schedule, at=at)
        if due is not None and due > since:
            return due
        at = min(at, since)
    return None


def timetable(
    schedule: Schedule, noted: Sequence[tuple[int, int, str]] = (), *, fired_us: int | None = None, now_us: int = 0
) -> Timetable:
    """Return when a query was due that has this schedule now, and had the `noted` ones before.

    One that nobody has noted yet counts from the last run on, or from now on if none is known.
    """
    if not noted:
        return Timetable(periods=[(0, 0, schedule)])
    periods = [(since_us, noted_us, _read(text)) for since_us, noted_us, text in noted]
    if noted[-1][2] != written(schedule):
        since_us = now_us if fired_us is None else fired_us
        periods = [*(each for each in periods if each[0] < since_us), (since_us, now_us, schedule)]
    return Timetable(periods=periods)


def written(schedule: Schedule) -> str:
    """Return when something is due as a text, from which `timetable` reads it."""
    return schedule.cron or f"{_RATE}{schedule.rate_minutes}"


def _read(text: str) -> Schedule:
    if text.startswith(_RATE):
        return Schedule(rate_minutes=int(text.removeprefix(_RATE)))
    return Schedule(cron=text)
