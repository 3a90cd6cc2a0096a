"""When a schedule is due: cron expressions of five fields in UTC, and every so many minutes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from msgspec import Struct

from ocelog.detect.rule import Schedule
from ocelog.times import EPOCH

_DAYS: Mapping[str, int] = {name: at for at, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_MONTHS: Mapping[str, int] = {
    name: at
    for at, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_NICKNAMES: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SEARCHED = timedelta(days=366 * 9)
"""29 February may be eight years away."""


class _Cron(Struct, frozen=True, kw_only=True):
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both day fields are given, and one of them is enough."""

    def has_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week


def check_cron(text: str) -> None:
    """Raise ValueError if `text` is not a cron expression that is ever due."""
    if next_due(Schedule(cron=text), after=EPOCH) is None:
        raise ValueError(f"the cron expression {text!r} is never due")


@lru_cache(maxsize=1024)
def _parse(text: str) -> _Cron:
    fields = _NICKNAMES.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"expected a cron expression of five fields (minute hour day month weekday), found {text[:80]!r}"
        )
    sets = [_values(field, *kind) for field, kind in zip(fields, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = sets
    return _Cron(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(one % 7 for one in weekdays),
        either_day=not fields[2].startswith(("*", "?")) and not fields[4].startswith(("*", "?")),
    )


def _values(field: str, name: str, least: int, most: int, names: Mapping[str, int]) -> frozenset[int]:
    found = set[int]()
    for part in field.split(","):
        span, _, step_text = part.partition("/")
        try:
            step = int(step_text) if step_text else 1
            if span in {"*", "?"}:
                first, last = least, most
            else:
                first_text, dash, last_text = span.partition("-")
                first = names.get(first_text.lower()[:3], -1) if first_text.isalpha() else int(first_text)
                last = (
                    first
                    if not dash
                    else (names.get(last_text.lower()[:3], -1) if last_text.isalpha() else int(last_text))
                )
                if step_text and not dash:
                    last = most
        except ValueError:
            raise ValueError(f"{part!r} is not a valid {name} of a cron expression") from None
        if not (least <= first <= last <= most and step > 0):
            raise ValueError(f"{part!r} is not a valid {name} of a cron expression: {least} to {most}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def next_due(schedule: Schedule, *, after: datetime) -> datetime | None:
    """Return the first instant after `after` at which `schedule` is due; None if it is never due again.

    A rate counts from 1970, so that its instants do not depend on when it was begun.
    """
    if schedule.rate_minutes is not None:
        every = timedelta(minutes=schedule.rate_minutes)
        return EPOCH + ((after - EPOCH) // every + 1) * every
    if schedule.cron is None:
        return None
    cron = _parse(schedule.cron)
    at = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    day, end = at.replace(hour=0, minute=0), at + _SEARCHED
    while day < end:
        if cron.has_day(day):
            for hour in sorted(cron.hours):
                for minute in sorted(cron.minutes):
                    if (due := day.replace(hour=hour, minute=minute)) >= at:
                        return due
        day += timedelta(days=1)
    return None


def last_due(schedule: Schedule, *, at: datetime) -> datetime | None:
    """Return the last instant, `at` included, at which `schedule` was due; None: it was not for years."""
    if schedule.rate_minutes is not None:
        every = timedelta(minutes=schedule.rate_minutes)
        return EPOCH + (at - EPOCH) // every * every
    if schedule.cron is None:
        return None
    cron = _parse(schedule.cron)
    at = at.astimezone(UTC)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    end = day - _SEARCHED
    while day > end:
        if cron.has_day(day):
            for hour in sorted(cron.hours, reverse=True):
                for minute in sorted(cron.minutes, reverse=True):
                    if (due := day.replace(hour=hour, minute=minute)) <= at:
                        return due
        day -= timedelta(days=1)
    return None


def fire_times(schedule: Schedule, *, since: datetime, until: datetime, most: int) -> tuple[list[datetime], bool]:
    """Return when `schedule` was due from `since` to `until`, both included, and whether that is all.

    Of more than `most` fire times, those are the last.
    """
    found, at = list[datetime](), until
    while (due := last_due(schedule, at=at)) is not None and due >= since:
        if len(found) == most:
            return found[::-1], False
        found.append(due)
        at = due - timedelta(microseconds=1)
    return found[::-1], True


def due_now(schedule: Schedule, *, fired: datetime, now: datetime) -> datetime | None:
    """Return the fire time of the run that is due at `now`, after that of `fired`; None: none is.

    Runs that were missed are made up by one. A mark that lies further ahead than the next fire time is of a clock that
    was wrong: it keeps nothing back.
    """
    due = last_due(schedule, at=now)
    if due is None or fired == due:
        return None
    if fired > due:
        ahead = next_due(schedule, after=now)
        return due if ahead is not None and fired > ahead else None
    return due
