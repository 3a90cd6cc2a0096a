"""Which alert a match joins, and whether people are told of it now.

A group is what a rule calls one thing: a rule and a dedup string. Its first match opens a window, which does not slide:
what matches within it joins the same alert, the first match after it opens the next. A rule with a threshold tells of
an alert only once so many of its matches lie close enough together by event time.

What else follows dedup strings and periods is listed under "Change what alerts are" in CONTRIBUTING.md.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.ids import alert_id, fingerprint

MOST_KEPT = 10_000
"""Matches whose event times a group remembers while its threshold is not reached; of more, the latest."""
_US = timedelta(microseconds=1)
_A_COUNT = ""
"""What stands beside a number that is no event time: how many matches counted."""


class Grouping(Struct, frozen=True, kw_only=True):
    """How a rule groups its matches."""

    rule: str
    period: timedelta
    """DedupPeriodMinutes."""
    threshold: int = 1


class GroupingInput(Struct, frozen=True, kw_only=True):
    """What grouping needs of a match."""

    row_id: str
    dedup: str
    event_us: int
    """Event time; an event time ahead of the clock counts as now."""
    unique: str | None = None
    """What the rule's unique() returned: a threshold counts distinct ones."""


class Group(Struct, frozen=True, kw_only=True):
    """How far one group has come: its newest window, and what is told of that."""

    window: int = 0
    """Number of the newest: greater than all before, also than those of a group that was forgotten meanwhile."""
    opened_us: int = 0
    """When the newest was, by our clock."""
    matches: int = 0
    """Matches in it."""
    told: bool = False
    """Whether its alert was told of: the threshold was reached."""
    kept: tuple[tuple[int, str], ...] = ()
    """Event time and what the threshold counts by, in the order of time, of matches in a window that is not told.

    With a threshold above `MOST_KEPT`, one pair: how many counted, and nothing.
    """


class GroupingResult(Struct, frozen=True, kw_only=True):
    """Where a match went."""

    alert: str
    group: Group
    """The group with the match in it."""
    opens: bool
    """Whether it is the first of its alert."""
    begins: bool
    """Whether nothing counted before it in its window."""
    tells: bool
    """Whether people are told of the alert by this match."""


def is_open(group: Group, period: timedelta, now_us: int) -> bool:
    """Whether a match at `now_us` joins the newest window.

    One that was opened further ahead of the clock than it lasts is over: a clock that was set back mutes nothing.
    """
    lasts = period // _US
    return group.window > 0 and group.opened_us - lasts <= now_us < group.opened_us + lasts


def quiet_until_us(told_us: int | None, lasts_us: int, now_us: int) -> int:
    """Return until when people do not hear again of what comes and goes: once in `lasts_us` is enough.

    `told_us` is when they heard of it last, or are about to: then they hear all of it at that time. An instant further
    ahead than that lasts is of a clock that was wrong.
    """
    if told_us is None or not now_us - lasts_us < told_us <= now_us + lasts_us:
        return now_us
    return told_us if told_us > now_us else told_us + lasts_us


def heard_us(told_us: int | None, lasts_us: int, now_us: int) -> int | None:
    """Return when people heard last of something that ends now: what they were about to hear, they do not hear."""
    return told_us if told_us is None or told_us <= now_us else told_us - lasts_us


def join(
    grouping: Grouping, group: Group, match: GroupingInput, now_us: int, *, counts: bool = True, ended: bool = False
) -> GroupingResult:
    """Return where `match` goes, which is not in the group yet.

    One that does not count, since it is muted, brings the group no nearer to being told of. If the newest alert was
    `ended` before its window was over, the window is over with it; what counted and was not told goes on counting.
    """
    opens = ended or not is_open(group, grouping.period, now_us)
    if opens:
        kept = group.kept if ended and is_open(group, grouping.period, now_us) else ()
        group = Group(window=max(group.window + 1, now_us // 1_000_000), opened_us=now_us, kept=kept)
    told = group.told
    kept = group.kept
    begins = counts and not told and not kept
    if counts and not told:
        kept, told = _counted(grouping, group, match, now_us)
    after = replace(group, matches=group.matches + 1, told=told, kept=() if told else kept)
    return GroupingResult(
        alert=alert_id(grouping.rule, match.dedup, after.window),
        group=after,
        opens=opens,
        begins=begins,
        tells=told and not group.told,
    )


def _counted(
    grouping: Grouping, group: Group, match: GroupingInput, now_us: int
) -> tuple[tuple[tuple[int, str], ...], bool]:
    """Return the event times with that of `match`, and whether the threshold is reached."""
    if grouping.threshold <= 1:
        return (), True
    if grouping.threshold > MOST_KEPT:
        # An estimate, of repeated values too: so many instants are not kept, but how many there were.
        before = group.kept[0][0] if group.kept and group.kept[0][1] == _A_COUNT else len(group.kept)
        return ((before + 1, _A_COUNT),), before + 1 >= grouping.threshold
    times, lasts = list(group.kept), grouping.period // _US
    at = min(match.event_us, now_us)
    insort(times, (at, match.row_id if match.unique is None else fingerprint(match.unique)))
    # Those that are dropped were earlier than all that are left.
    times = times[-MOST_KEPT:]
    # No time range without this one reached it before.
    near = times[bisect_left(times, (at - lasts, "")) : bisect_left(times, (at + lasts, ""))]
    return tuple(times), _most_at_once(near, lasts, grouping.threshold)


def _most_at_once(times: Iterable[tuple[int, str]], lasts: int, threshold: int) -> bool:
    """Whether some time range of `lasts` microseconds holds `threshold` distinct values."""
    window = list[tuple[int, str]]()
    inside = dict[str, int]()
    first = 0
    for at, value in times:
        window.append((at, value))
        inside[value] = inside.get(value, 0) + 1
        while at - window[first][0] >= lasts:
            gone = window[first][1]
            first += 1
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
        if len(inside) >= threshold:
            return True
    return False
