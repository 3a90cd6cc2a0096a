"""How one stream is, by what is known of it: its state, and how long no event has come.

Two clocks say how long that is: ours, which a person may set, and the source's, which may lie. Time is added up from
one complete poll to the next, each time as much as both clocks say has passed, and if one of them went back, what the
other says. So no jump of one clock raises the alarm, and none mutes it for longer than from one poll to the next; a
machine that was suspended finds that both have gone on.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from ocelog.health.settings import AlarmSettings
from ocelog.kept_texts import kept_text
from ocelog.languages.phrases import Phrase
from ocelog.times import CLOCKS_APART, has_passed
from ocelog.units import about, write_instant

REJECTED_WITHIN = timedelta(days=1)
"""Records that did not fit are told of for so long after the last one came."""
_READING = timedelta(minutes=15)
"""What reading the news of one poll may take until the poll is not fresh any more."""
_COUNTED_EVERY = timedelta(hours=1)
_LEAST_HOURS = 0.25
"""In less time than that nobody can tell how many come in an hour."""
_NOTHING = timedelta(0)
_WATCHED_LATE = timedelta(minutes=1)
"""What came before the silence by more than that came before anybody watched, or a clock was set since."""


class State(StrEnum):
    """How a stream is."""

    HEALTHY = "healthy"
    CATCHING_UP = "catching up"
    """Some of what happened is still to be read, or nothing was read for some time."""
    QUIET = "quiet"
    """No event has come for long, and the source counts exactly what the lake has: nothing is missing."""
    SILENT = "silent"
    """No event has come for long, or ever, though the source answers each request."""
    BROKEN = "broken"
    """It cannot be read."""
    FORBIDDEN = "forbidden"
    """The source refuses it to this account, or hides much of it since the last sweep."""
    PAUSED = "paused"


class AlarmState(StrEnum):
    """What the no-events alarm of a stream says."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    """No complete, fresh poll says anything, so nobody knows."""


class Trouble(StrEnum):
    """What keeps a stream from being read."""

    RETRYING = "retrying"
    """It failed, and is tried again by itself."""
    FORBIDDEN = "forbidden"
    BROKEN = "broken"
    """The source cannot be used as it is set up, or answers what nobody understands."""
    PROCESSING = "processing"
    """What the source answered cannot be landed: it is our side that fails."""


class ClockReading(Struct, frozen=True, kw_only=True):
    """One instant, by both clocks."""

    ours: datetime
    source: datetime


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of one stream at one instant."""

    now: datetime
    """By our clock."""
    poll: timedelta
    """How often it is asked for news."""
    paused: bool = False
    trouble: Trouble | None = None
    trouble_text: str = ""
    tired: bool = False
    """Whether what is tried again has failed for too long."""
    polled: ClockReading | None = None
    """Up to here it was asked for news and all answers were read; None: never."""
    received: ClockReading | None = None
    """When the newest event that counts was received; None: never."""
    past_left: int = 0
    """Time ranges of its past that are still to be read."""
    unreadable: int = 0
    """Time ranges that are parked, that have failed for long, or that the source showed less of than it counts."""
    news_unreadable: int = 0
    """Those of them that are parked or failing, and are of the last day."""
    vanished: str | None = None
    """What the sweep says, after which too many records were gone at once."""
    counts_equal: bool = False
    """A sweep read all open records, and the source then counted as many as the lake has, and more than none."""
    events: int = 0
    """All that have landed."""
    rejections: int = 0
    """All that there were."""
    still_rejected: int = 0

    @property
    def unreadable_text(self) -> str:
        """What is told of them."""
        if self.unreadable == 1:
            return kept_text("1 time range cannot be read, or not completely. See: ocelog status")
        return kept_text(
            "%(count)s time ranges cannot be read, or not completely. See: ocelog status", count=self.unreadable
        )

    @property
    def fresh(self) -> bool:
        """Whether a complete poll has shown what there was until just now."""
        if self.polled is None:
            return False
        return -CLOCKS_APART <= self.now - self.polled.ours <= 2 * self.poll + _READING

    @property
    def tells_of_silence(self) -> bool:
        """Whether that no event came says something: all there is was asked for and read, until just now."""
        answers = self.trouble is None or (self.trouble is Trouble.RETRYING and not self.tired)
        return self.fresh and answers and not self.paused


class Memory(Struct, frozen=True, kw_only=True):
    """What must be remembered of a stream from one look at it to the next."""

    state: State = State.CATCHING_UP
    since: datetime
    """When it came into that state, by our clock."""
    why: str = ""
    alarm: AlarmState = AlarmState.INSUFFICIENT_DATA
    alarm_since: datetime
    silence: timedelta = _NOTHING
    """How long no event had come when it was polled last."""
    polled: ClockReading | None = None
    """The poll by which that was."""
    received: ClockReading | None = None
    """What was known to be received last."""
    rejections: int = 0
    """How many records had not fit."""
    rejected_at: datetime | None = None
    """When there were more of them last, by our clock."""
    counted: tuple[tuple[datetime, int], ...] = ()
    """How many events had landed, at one or two instants of our clock that lie an hour apart or more."""

    def rate(self, events: int, now: datetime) -> float | None:
        """Return how many events have landed per hour, of late; None: nobody has looked for long enough."""
        began, before = self.counted[0] if self.counted else (now, events)
        hours = (now - began) / _COUNTED_EVERY
        return None if hours < _LEAST_HOURS else max(0, events - before) / hours


def first_look(now: datetime) -> Memory:
    """Return what is remembered of a stream that nobody has looked at."""
    return Memory(since=now, alarm_since=now)


def look(facts: Facts, settings: AlarmSettings, before: Memory) -> Memory:
    """Return how the stream is, after it was as `before`."""
    silence, polled, received = before.silence, before.polled, before.received
    if facts.tells_of_silence and facts.polled is not None and facts.polled != polled:
        silence = _NOTHING if polled is None else silence + _passed(polled, facts.polled)
        if facts.received is not None and facts.received != received:
            silence = min(silence, _passed(facts.received, facts.polled))
        polled, received = facts.polled, facts.received
    alarm = _alarm(facts, settings, silence) if facts.tells_of_silence else AlarmState.INSUFFICIENT_DATA
    state, why = _state(facts, settings, silence)
    more = facts.rejections > before.rejections
    return replace(
        before,
        state=state,
        since=before.since if state is before.state else facts.now,
        why=why,
        alarm=alarm,
        alarm_since=before.alarm_since if alarm is before.alarm else facts.now,
        silence=silence,
        polled=polled,
        received=received,
        rejections=facts.rejections,
        rejected_at=facts.now if more else before.rejected_at,
        counted=_counted(facts, before.counted),
    )


def still_rejecting(facts: Facts, memory: Memory) -> bool:
    """Whether records came lately that do not fit, and were not brought in since."""
    if not facts.still_rejected or memory.rejected_at is None:
        return False
    return not has_passed(REJECTED_WITHIN, since=memory.rejected_at, now=facts.now)


def _counted(facts: Facts, before: tuple[tuple[datetime, int], ...]) -> tuple[tuple[datetime, int], ...]:
    now = (facts.now, facts.events)
    if not before or facts.now < before[-1][0]:
        return (now,)
    return before if facts.now - before[-1][0] < _COUNTED_EVERY else (before[-1], now)


def _passed(since: ClockReading, until: ClockReading) -> timedelta:
    """Return how much time has passed for certain: what both clocks say, or the one that did not go back."""
    each = (until.ours - since.ours, until.source - since.source)
    return min((length for length in each if length >= _NOTHING), default=_NOTHING)


def _alarm(facts: Facts, settings: AlarmSettings, silence: timedelta) -> AlarmState:
    # A source that is polled more rarely than that is asked at least twice first.
    if settings.after is None or silence < max(settings.after, 2 * facts.poll):
        return AlarmState.OK
    return AlarmState.OK if facts.counts_equal and not settings.even_if_quiet else AlarmState.ALARM


def _state(facts: Facts, settings: AlarmSettings, silence: timedelta) -> tuple[State, str]:
    if facts.paused:
        return State.PAUSED, Phrase("A person paused it: nothing is read.")
    if facts.trouble is Trouble.FORBIDDEN:
        return State.FORBIDDEN, facts.trouble_text
    if facts.trouble in {Trouble.BROKEN, Trouble.PROCESSING} or facts.tired:
        return State.BROKEN, facts.trouble_text
    if facts.vanished is not None:
        return State.FORBIDDEN, facts.vanished
    if facts.polled is None:
        return State.CATCHING_UP, Phrase("It was not read yet.")
    if facts.news_unreadable:
        return State.BROKEN, facts.unreadable_text
    if not facts.fresh:
        since = write_instant(facts.polled.source)
        return State.CATCHING_UP, Phrase("What happened since %(since)s was not read yet.", since=since)
    if silence >= max(settings.silent_after, 2 * facts.poll):
        if facts.counts_equal:
            return State.QUIET, Phrase(
                "%(silence)s, and the source counts what the lake has.", silence=_silence_text(facts, silence)
            )
        return State.SILENT, Phrase("%(silence)s, though the source answers.", silence=_silence_text(facts, silence))
    if facts.past_left:
        return State.CATCHING_UP, Phrase(
            "Time ranges of its past that are still to be read: %(count)s.", count=format(facts.past_left, ",")
        )
    if facts.received is None:
        return State.SILENT, Phrase("No event has ever come, though the source answers.")
    return State.HEALTHY, "" if facts.trouble is None else facts.trouble_text


def _silence_text(facts: Facts, silence: timedelta) -> Phrase:
    """Say how long no event has come, as of the last poll, or since when the stream has been watched."""
    asked, received = facts.polled or ClockReading(ours=facts.now, source=facts.now), facts.received
    values = {"time": about(silence), "asked": write_instant(asked.ours)}
    if received is None or asked.ours - received.ours > silence + _WATCHED_LATE:
        return Phrase("No event in the %(time)s that it has been watched, as of %(asked)s", **values)
    return Phrase("No event for %(time)s, as of %(asked)s", **values)
