"""The no-events alarm on clocks that jump, on machines that are suspended, and on sources that fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from drawn import examples
from ocelog.health.settings import AlarmSettings
from ocelog.health.stream import AlarmState, ClockReading, Facts, Memory, State, Trouble, first_look, look
from ocelog.health.telling import ErrorNotice, ErrorType, OpenError, StreamName, Turn, left_behind, notices
from ocelog.quiet_hours import read_quiet_hours

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
POLL = 5 * MINUTE
STREAM = StreamName(source="prod", source_id="prod", log_type="Wiz.Audit")


@dataclass
class World:
    """A stream, its source and this machine, with a clock each, on a time that the test lets pass."""

    alarm: AlarmSettings = field(default_factory=AlarmSettings)
    true: datetime = START
    ours: timedelta = timedelta(0)
    """How far our clock is ahead of the true time."""
    theirs: timedelta = timedelta(0)
    facts: Facts = field(default_factory=lambda: Facts(now=START, poll=POLL))
    memory: Memory = field(default_factory=lambda: first_look(START))
    known: dict[ErrorType, OpenError] = field(default_factory=dict)
    told: list[tuple[timedelta, ErrorNotice]] = field(default_factory=list)
    """After how much true time, and what."""
    answers: bool = True
    waits: datetime | None = None
    """An event that happened and was not polled yet."""
    step: timedelta = POLL
    """How often somebody looks."""

    def now(self) -> ClockReading:
        return ClockReading(ours=self.true + self.ours, source=self.true + self.theirs)

    def event(self) -> None:
        self.waits = self.true

    def poll(self) -> None:
        if self.answers and not self.facts.paused:
            if self.waits is not None:
                self.facts = replace(self.facts, received=self.now())
                self.waits = None
            self.facts = replace(self.facts, polled=self.now())

    def evaluate(self) -> None:
        self.facts = replace(self.facts, now=self.now().ours)
        self.memory = look(self.facts, self.alarm, self.memory)
        for notice in notices(STREAM, self.facts, self.memory, self.alarm, self.known):
            self.told.append((self.true - START, notice))
            if notice.turn is Turn.RECOVERED:
                del self.known[notice.error.type]
            else:
                self.known[notice.error.type] = notice.error

    def run(self, length: timedelta, *, every: timedelta | None = None) -> None:
        """Let time pass, with an event now and then."""
        end, next_event = self.true + length, self.true
        while self.true < end:
            if every is not None and self.true >= next_event:
                self.event()
                next_event = self.true + every
            if (self.true - START) % POLL < self.step:
                self.poll()
            self.evaluate()
            self.true += self.step

    def suspend(self, length: timedelta) -> None:
        self.true += length

    @property
    def turns(self) -> list[tuple[Turn, ErrorType]]:
        return [(notice.turn, notice.error.type) for _, notice in self.told]


OPENED, REPEATED, RECOVERED = ((turn, ErrorType.NO_DATA) for turn in Turn)


def silent_for(world: World) -> timedelta:
    ((at, notice),) = world.told
    assert (notice.turn, notice.error.type) == OPENED
    return at


def test_silence_is_told_after_a_day_and_the_end_of_it_too() -> None:
    world = World()
    world.run(3 * HOUR, every=HOUR)
    assert world.memory.state is State.HEALTHY
    world.run(30 * HOUR)
    assert DAY + 2 * HOUR <= silent_for(world) <= DAY + 2 * HOUR + 2 * POLL
    assert (world.memory.state, world.memory.alarm) == (State.SILENT, AlarmState.ALARM)
    assert "No event has come for 24h" in world.told[0][1].text or "1d" in world.told[0][1].text
    world.run(HOUR, every=HOUR)
    assert world.turns == [OPENED, RECOVERED]
    assert (world.memory.state, world.memory.alarm) == (State.HEALTHY, AlarmState.OK)


def test_it_says_when_the_last_event_came_unless_a_clock_that_was_set_contradicts_it() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.run(30 * HOUR)
    assert " nothing is left to read. The last event came at 2026-03-02 12:00 UTC. Check " in world.told[0][1].text
    world = World()
    world.run(HOUR, every=HOUR)
    world.run(20 * HOUR)
    world.ours -= 10 * HOUR
    world.run(12 * HOUR)
    assert " nothing is left to read. Check " in world.told[0][1].text


def test_how_long_no_event_came_is_said_as_of_the_last_poll() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.run(30 * HOUR)
    first = world.memory.why
    assert first == "No event for 1d 6h, as of 2026-03-03T18:55:00Z, though the source answers."
    world.answers = False
    world.run(10 * MINUTE)
    assert world.memory.why == first


def test_an_event_of_before_the_stream_was_watched_is_not_said_to_begin_its_silence() -> None:
    world = World(alarm=AlarmSettings(after=15 * MINUTE))
    before = world.now()
    old = replace(before, ours=before.ours - 10 * HOUR, source=before.source - 10 * HOUR)
    world.facts = replace(world.facts, received=old)
    world.run(20 * MINUTE)
    assert world.memory.why == (
        "No event in the 15m that it has been watched, as of 2026-03-02T12:15:00Z, though the source answers."
    )


def test_a_source_that_never_delivered_anything_says_so_at_once_and_is_told_after_a_day() -> None:
    world = World()
    world.run(HOUR)
    assert (world.memory.state, world.memory.why) == (
        State.SILENT,
        "No event has ever come, though the source answers.",
    )
    assert world.told == []
    world.run(DAY)
    assert DAY <= silent_for(world) <= DAY + POLL
    assert "No event has ever come." in world.told[0][1].text


def test_before_the_first_complete_poll_nothing_is_known() -> None:
    world = World(answers=False)
    world.run(3 * DAY)
    assert (world.memory.state, world.memory.alarm) == (State.CATCHING_UP, AlarmState.INSUFFICIENT_DATA)
    assert world.told == []


def test_the_alarm_can_be_turned_off_and_an_open_one_ends_with_it() -> None:
    world = World(alarm=AlarmSettings(after=None))
    world.run(3 * DAY)
    assert (world.told, world.memory.state) == ([], State.SILENT)
    world.alarm = AlarmSettings()
    world.run(MINUTE)
    world.alarm = AlarmSettings(after=None)
    world.run(MINUTE)
    assert world.turns == [OPENED, RECOVERED]
    assert "turned off" in world.told[-1][1].text


def test_what_a_person_asked_for_goes_by_its_own_time() -> None:
    world = World(alarm=AlarmSettings(after=HOUR))
    world.run(3 * HOUR)
    assert HOUR <= silent_for(world) <= HOUR + POLL


def test_a_source_that_is_polled_rarely_is_asked_twice_before_it_is_called_silent() -> None:
    world = World(alarm=AlarmSettings(after=15 * MINUTE), facts=Facts(now=START, poll=HOUR))
    world.run(4 * HOUR)
    assert silent_for(world) >= 2 * HOUR


def test_it_can_be_told_again() -> None:
    world = World(alarm=AlarmSettings(after=HOUR, repeat=6 * HOUR))
    world.run(14 * HOUR)
    assert world.turns == [OPENED, REPEATED, REPEATED]
    assert [notice.error.times for _, notice in world.told] == [1, 2, 3]
    assert len({notice.error.opened for _, notice in world.told}) == 1
    assert len({notice.error.key for _, notice in world.told}) == 1


def test_a_suspended_machine_first_polls_and_then_decides() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.suspend(3 * DAY)
    world.answers = False
    world.run(20 * MINUTE)
    assert (world.memory.state, world.memory.alarm) == (State.CATCHING_UP, AlarmState.INSUFFICIENT_DATA)
    assert world.told == [], "nothing was asked since it woke up"
    world.answers = True
    world.event()
    world.run(HOUR)
    assert (world.told, world.memory.state) == ([], State.HEALTHY)
    world.suspend(3 * DAY)
    world.run(HOUR)
    assert world.turns == [OPENED], "it was asked, and nothing has come for three days"


@pytest.mark.parametrize("jump", [DAY, 365 * DAY, -DAY, -365 * DAY], ids=str)
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_clock_that_jumps_neither_raises_the_alarm_nor_mutes_it(whose: str, jump: timedelta) -> None:
    for before in (2 * HOUR, 23 * HOUR):
        world = World()
        world.run(MINUTE, every=HOUR)
        world.run(before)
        setattr(world, whose, jump)
        world.run(23 * HOUR - before)
        assert world.told == [], before
        world.run(2 * HOUR)
        assert DAY <= silent_for(world) <= DAY + 3 * POLL, before


@pytest.mark.parametrize("jump", [DAY, 365 * DAY], ids=str)
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_clock_that_was_ahead_when_the_last_event_came_and_was_put_right_mutes_nothing(
    whose: str, jump: timedelta
) -> None:
    world = World()
    setattr(world, whose, jump)
    world.run(HOUR, every=HOUR)
    setattr(world, whose, timedelta(0))
    world.run(26 * HOUR)
    assert DAY <= silent_for(world) <= DAY + HOUR + 2 * POLL


@pytest.mark.parametrize("trouble", [Trouble.BROKEN, Trouble.FORBIDDEN, Trouble.PROCESSING])
def test_what_is_broken_or_forbidden_raises_its_own_and_no_alarm(trouble: Trouble) -> None:
    own = {
        Trouble.BROKEN: ErrorType.SCANNING,
        Trouble.FORBIDDEN: ErrorType.PERMISSIONS,
        Trouble.PROCESSING: ErrorType.PROCESSING,
    }[trouble]
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, trouble=trouble, trouble_text="why")
    world.answers = False
    world.run(3 * DAY)
    assert world.turns == [(Turn.OPENED, own)]
    assert world.told[0][1].text == "why"
    assert world.memory.state is (State.FORBIDDEN if trouble is Trouble.FORBIDDEN else State.BROKEN)
    assert world.memory.alarm is AlarmState.INSUFFICIENT_DATA
    world.facts = replace(world.facts, trouble=None)
    world.answers = True
    world.event()
    world.run(HOUR)
    assert world.turns[1:] == [(Turn.RECOVERED, own)]


def test_what_is_retried_is_broken_only_after_an_hour() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, trouble=Trouble.RETRYING, trouble_text="busy")
    world.run(10 * MINUTE)
    assert (world.told, world.memory.state) == ([], State.HEALTHY)
    world.facts = replace(world.facts, tired=True)
    world.run(MINUTE)
    assert (world.turns, world.memory.state) == ([(Turn.OPENED, ErrorType.SCANNING)], State.BROKEN)
    world.facts = replace(world.facts, tired=False)
    world.run(MINUTE)
    assert len(world.told) == 1, "it may fail again any moment"
    world.facts = replace(world.facts, trouble=None)
    world.run(MINUTE)
    assert world.turns[1:] == [(Turn.RECOVERED, ErrorType.SCANNING)]


def test_an_alarm_that_is_open_stays_so_while_nobody_can_know() -> None:
    world = World(alarm=AlarmSettings(after=HOUR, repeat=HOUR))
    world.run(61 * MINUTE + POLL)
    assert world.turns == [OPENED]
    for change in ({"paused": True}, {"trouble": Trouble.FORBIDDEN}, {"trouble": Trouble.BROKEN}):
        before = world.facts
        world.facts = replace(before, **change)
        world.run(5 * HOUR)
        assert world.memory.alarm is AlarmState.INSUFFICIENT_DATA
        world.facts = replace(world.facts, paused=False, trouble=None)
    assert [turn for turn in world.turns if turn[1] is ErrorType.NO_DATA] == [OPENED]


def test_a_paused_stream_is_told_of_once_it_reads_again() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, paused=True)
    world.run(5 * DAY)
    assert (world.told, world.memory.state) == ([], State.PAUSED)
    world.facts = replace(world.facts, paused=False)
    world.run(POLL)
    assert world.turns == [OPENED], "what happened meanwhile was asked for, and nothing did"


def test_a_stream_of_which_nothing_is_missing_is_quiet_and_nobody_is_told_unless_they_want_to() -> None:
    world = World(facts=Facts(now=START, poll=POLL, counts_equal=True))
    world.run(HOUR, every=HOUR)
    world.run(3 * DAY)
    assert (world.told, world.memory.state, world.memory.alarm) == ([], State.QUIET, AlarmState.OK)
    world.alarm = AlarmSettings(even_if_quiet=True)
    world.run(MINUTE)
    assert world.turns == [OPENED]
    world.alarm = AlarmSettings()
    world.run(MINUTE)
    assert world.turns == [OPENED, RECOVERED]
    world.facts = replace(world.facts, counts_equal=False)
    world.run(MINUTE)
    assert world.turns == [OPENED, RECOVERED, OPENED]


def test_a_stream_that_never_delivered_is_not_called_quiet() -> None:
    world = World(facts=Facts(now=START, poll=POLL))
    world.run(2 * DAY)
    assert world.memory.state is State.SILENT


NIGHT = AlarmSettings(after=HOUR, repeat=2 * HOUR, quiet_hours=read_quiet_hours("22:00-07:00 Europe/Berlin"))


@pytest.mark.parametrize("day", [(2026, 3, 28), (2026, 6, 1), (2026, 10, 24)], ids=["forward", "summer", "back"])
def test_quiet_hours_put_off_what_is_told_until_they_end(day: tuple[int, int, int]) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only here

    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(*day, 21, 30, tzinfo=berlin).astimezone(UTC)
    world = World(alarm=NIGHT, true=start, memory=first_look(start))
    world.run(11 * HOUR)
    first = world.told[0]
    assert first[1].turn is Turn.OPENED
    at = (START + first[0]).astimezone(berlin)
    assert (at.hour, at.minute) == (7, 0)


def test_what_began_and_ended_within_quiet_hours_is_not_told() -> None:
    start = datetime(2026, 6, 1, 20, tzinfo=UTC)
    world = World(alarm=NIGHT, true=start, memory=first_look(start))
    world.run(3 * HOUR)
    world.run(8 * HOUR, every=30 * MINUTE)
    assert world.told == []


def test_other_errors_do_not_wait_for_the_end_of_quiet_hours() -> None:
    start = datetime(2026, 6, 1, 23, tzinfo=UTC)
    world = World(alarm=NIGHT, true=start, memory=first_look(start))
    world.facts = replace(world.facts, trouble=Trouble.FORBIDDEN, trouble_text="no")
    world.run(MINUTE)
    assert world.turns == [(Turn.OPENED, ErrorType.PERMISSIONS)]


def test_records_that_do_not_fit_are_told_until_they_are_brought_in_or_for_a_day() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, rejections=3, still_rejected=3)
    world.run(HOUR, every=HOUR)
    error = ErrorType.CLASSIFICATION
    assert world.turns == [(Turn.OPENED, error)]
    assert "3 records do not fit" in world.told[0][1].text
    world.facts = replace(world.facts, still_rejected=0)
    world.run(HOUR, every=HOUR)
    assert world.turns == [(Turn.OPENED, error), (Turn.RECOVERED, error)]
    world.facts = replace(world.facts, rejections=4, still_rejected=1)
    world.run(25 * HOUR, every=HOUR)
    assert world.turns[2:] == [(Turn.OPENED, error), (Turn.RECOVERED, error)]


def test_time_ranges_that_cannot_be_read_are_told_and_mute_no_alarm() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, unreadable=2)
    world.run(26 * HOUR)
    assert world.turns == [(Turn.OPENED, ErrorType.SCANNING), OPENED]
    world.facts = replace(world.facts, unreadable=0)
    world.run(MINUTE)
    assert world.turns[2:] == [(Turn.RECOVERED, ErrorType.SCANNING)]


def test_a_range_of_news_that_is_parked_makes_the_stream_broken() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, unreadable=1, news_unreadable=1)
    world.run(HOUR)
    assert [world.memory.state] == [State.BROKEN]
    world.facts = replace(world.facts, news_unreadable=0)
    world.run(2 * DAY)
    assert [world.memory.state] == [State.SILENT], "one that is parked for good must not hide it"


def test_records_that_vanish_at_once_are_a_matter_of_permissions() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.facts = replace(world.facts, vanished="SOURCE_PERMISSIONS_CHECKS: 30 of 40 are gone")
    world.run(MINUTE)
    assert (world.turns, world.memory.state) == ([(Turn.OPENED, ErrorType.PERMISSIONS)], State.FORBIDDEN)


def test_what_is_not_read_any_more_is_over() -> None:
    world = World(alarm=AlarmSettings(after=HOUR))
    world.run(2 * HOUR)
    (gone,) = left_behind(list(world.known.values()), set(), world.true)
    assert (gone.turn, gone.error.type) == RECOVERED
    assert left_behind(list(world.known.values()), {("prod", "Wiz.Audit")}, world.true) == []


def test_the_rate_is_that_of_the_last_hours() -> None:
    world, events = World(step=MINUTE), 0
    assert world.memory.rate(0, START) is None
    for _ in range(4 * 60):
        events += 2
        world.facts = replace(world.facts, events=events)
        world.run(MINUTE)
    assert world.memory.rate(events, world.true) == pytest.approx(120, rel=0.02)
    for _ in range(3):
        world.run(HOUR)
    assert world.memory.rate(events, world.true) == 0
    world.ours = -DAY
    world.run(MINUTE)
    assert world.memory.rate(events, world.now().ours) is None, "our clock was set back"


STEP = st.tuples(
    st.sampled_from(["events", "silence", "down", "suspended", "paused", "our clock", "their clock"]),
    st.integers(10, 30 * 60),
    st.sampled_from([-365, -3, -1, -0.5, 0.5, 1, 3, 365]),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(STEP, min_size=1, max_size=8))
def test_whatever_happens_the_alarm_is_on_if_and_only_if_the_source_is_silent(
    steps: list[tuple[str, int, float]],
) -> None:
    """One clock may be set at any time; what both say together is enough."""
    world, last = World(step=POLL), START
    world.run(POLL)
    for what, minutes, days in steps:
        length = minutes * MINUTE
        act: dict[str, Callable[[], None]] = {
            "events": lambda length=length: world.run(length, every=30 * MINUTE),  # type: ignore[misc] # bound now
            "silence": lambda length=length: world.run(length),  # type: ignore[misc] # bound now
            "suspended": lambda length=length: world.suspend(length),  # type: ignore[misc] # bound now
        }
        if what == "down":
            world.answers = False
            world.run(length)
            world.answers = True
        elif what == "paused":
            world.facts = replace(world.facts, paused=True)
            world.run(length)
            world.facts = replace(world.facts, paused=False)
        elif what == "our clock":
            world.ours += days * DAY
        elif what == "their clock":
            world.theirs += days * DAY
        else:
            act[what]()
        if what == "events":
            last = world.true
        # Both clocks must have been read once since one was set, or two jumps look like time that has passed.
        world.run(3 * POLL)
        silent = world.true - last
        if silent > DAY + 2 * HOUR + len(steps) * 2 * POLL:
            assert world.memory.alarm is AlarmState.ALARM, (what, silent)
        if silent < DAY - HOUR:
            assert world.memory.alarm is AlarmState.OK, (what, silent)


def facts_at(now: datetime, *, polled: datetime | None = None, received: datetime | None = None) -> Facts:
    def both(at: datetime | None) -> ClockReading | None:
        return None if at is None else ClockReading(ours=at, source=at)

    return Facts(now=now, poll=POLL, polled=both(polled), received=both(received))


def test_a_poll_is_fresh_for_as_long_as_reading_its_news_may_take_and_not_if_it_lies_ahead() -> None:
    longest = 2 * POLL + 15 * MINUTE
    ages = (-HOUR - MINUTE, timedelta(0), longest, longest + timedelta(microseconds=1))
    assert [facts_at(START, polled=START - age).fresh for age in ages] == [False, True, True, False]


def test_a_silence_begins_with_the_last_event_and_not_with_the_poll_that_brought_it() -> None:
    before = look(facts_at(START, polled=START), AlarmSettings(), first_look(START))
    later = START + 2 * HOUR
    memory = look(facts_at(later, polled=later, received=later - HOUR), AlarmSettings(), before)
    assert memory.silence == HOUR
    first = look(facts_at(START, polled=START, received=START - HOUR), AlarmSettings(), first_look(START))
    assert first.silence == timedelta(0), "what came before anybody watched says nothing"


def test_a_source_that_is_polled_rarely_is_not_shown_as_silent_before_it_was_asked_twice() -> None:
    settings = AlarmSettings(after=15 * MINUTE)
    memory = replace(first_look(START), silence=30 * MINUTE, polled=ClockReading(ours=START, source=START))
    facts = replace(facts_at(START, polled=START, received=START - HOUR), poll=HOUR)
    assert look(facts, settings, memory).state is State.HEALTHY
    assert look(facts, settings, replace(memory, silence=2 * HOUR)).state is State.SILENT


def test_since_when_an_alarm_is_on_is_remembered() -> None:
    world = World()
    world.run(HOUR, every=HOUR)
    world.run(26 * HOUR)
    began = world.memory.alarm_since
    world.run(3 * HOUR)
    assert (world.memory.alarm, world.memory.alarm_since) == (AlarmState.ALARM, began)


def test_an_error_never_lasted_less_than_no_time() -> None:
    known = OpenError(stream=STREAM, type=ErrorType.SCANNING, opened=START, told=START)
    (over,) = left_behind([known], set(), START - HOUR)
    assert over.text == "It is not read any more. It lasted 0s."


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (Trouble.FORBIDDEN, ErrorType.PERMISSIONS),
        (Trouble.PROCESSING, ErrorType.PROCESSING),
        (Trouble.BROKEN, ErrorType.SCANNING),
    ],
)
def test_what_is_wrong_is_over_once_the_stream_is_read_and_not_as_it_fails_otherwise(
    trouble: Trouble, error: ErrorType
) -> None:
    world = World()
    for now in (trouble, Trouble.RETRYING):
        world.facts = replace(world.facts, trouble=now)
        world.run(HOUR, every=HOUR)
        assert world.turns == [(Turn.OPENED, error)]
    world.facts = replace(world.facts, trouble=None)
    world.run(HOUR, every=HOUR)
    assert world.turns == [(Turn.OPENED, error), (Turn.RECOVERED, error)]
