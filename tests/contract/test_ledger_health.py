"""What the ledger keeps of how streams are, and of the system errors that people know of."""

from datetime import timedelta

from msgspec.structs import replace

from bookkeeping.records import ISSUES, NOW, Clock, landing, source_row, taken
from ocelog.app.loops.health import AlertedErrors
from ocelog.health.stream import AlarmState, ClockReading, Memory, State, first_look
from ocelog.health.telling import ErrorNotice, ErrorType, OpenError, StreamName, Turn
from ocelog.ledger.ledger import Ledger
from ocelog.model import StreamRow
from ocelog.pull.ports import Tally
from ocelog.times import to_us

HOUR = timedelta(hours=1)
KEY = ("acme", ISSUES)
FULL = Memory(
    state=State.SILENT,
    since=NOW,
    why="No event for 2d, '\x00'",
    alarm=AlarmState.ALARM,
    alarm_since=NOW - HOUR,
    silence=49 * HOUR,
    polled=ClockReading(ours=NOW, source=NOW + HOUR),
    received=ClockReading(ours=NOW - 49 * HOUR, source=NOW - 48 * HOUR),
    rejections=3,
    rejected_at=NOW - HOUR,
    counted=((NOW - HOUR, 3), (NOW, 9)),
)
ERROR = OpenError(
    stream=StreamName(source="Acme", source_id="acme", log_type=ISSUES),
    type=ErrorType.NO_DATA,
    opened=NOW,
    told=NOW,
    text="No event has come.",
)


def notice(error: OpenError, turn: Turn = Turn.OPENED) -> ErrorNotice:
    return ErrorNotice(turn=turn, error=error, text=error.text)


def test_what_is_remembered_comes_back_and_replaces_what_was(ledger: Ledger, other: Ledger) -> None:
    for name in ("acme", "other"):
        ledger.sources.add(source_row(name))
    assert ledger.health.remembered() == {}
    ledger.health.remember({KEY: first_look(NOW), ("other", ISSUES): first_look(NOW)})
    ledger.health.remember({KEY: FULL})
    found = other.health.remembered()
    assert found.keys() == {KEY, ("other", ISSUES)}
    assert replace(found[KEY], why=FULL.why) == FULL


def test_an_error_is_open_until_it_is_resolved_and_one_key_names_one(ledger: Ledger, other: Ledger) -> None:
    ledger.sources.add(source_row())
    ledger.health.raise_(notice(ERROR))
    ledger.health.raise_(notice(ERROR))
    again = replace(ERROR, told=NOW + HOUR, times=2)
    other.health.raise_(notice(again, Turn.REPEATED))
    second = replace(ERROR, type=ErrorType.SCANNING, opened=NOW + HOUR)
    ledger.health.raise_(notice(second))
    assert ledger.health.open_errors() == [again, second]
    ledger.health.resolve(notice(ERROR, Turn.RECOVERED))
    ledger.health.resolve(notice(ERROR, Turn.RECOVERED))
    assert other.health.open_errors() == [second]


def test_a_purged_source_leaves_nothing_behind(ledger: Ledger) -> None:
    for name in ("acme", "other"):
        ledger.sources.add(source_row(name))
    ledger.health.remember({KEY: FULL, ("other", ISSUES): FULL})
    ledger.health.raise_(notice(ERROR))
    ledger.sources.purge("acme")
    # Whoever looked at its streams until then remembers and tells what they saw.
    ledger.health.remember({KEY: FULL, ("other", ISSUES): FULL})
    ledger.health.raise_(notice(ERROR))
    AlertedErrors(ledger).raise_(notice(ERROR))
    assert (ledger.health.open_errors(), list(ledger.health.remembered())) == ([], [("other", ISSUES)])
    assert list(ledger.alerts.every()) == []


def _stream(ledger: Ledger) -> StreamRow:
    (found,) = ledger.pulling.streams()
    return found


def test_a_landing_notes_by_both_clocks_when_the_newest_event_was_received(ledger: Ledger, clock: Clock) -> None:
    held, source_now = taken(ledger), to_us(NOW + 9 * HOUR)

    def lands(received_us: int | None, answered_us: int | None = source_now) -> tuple[int | None, int | None]:
        ledger.pulling.land(landing(held, None, None, tally=Tally(received_us=received_us, answered_us=answered_us)))
        return _stream(ledger).received_us, _stream(ledger).received_source_us

    day_us = 24 * 3_600_000_000
    assert lands(None) == (None, None)
    old = (to_us(NOW) - day_us, source_now - day_us)
    assert lands(source_now - day_us) == old, "what was there before is as old as it says"
    assert lands(source_now - 2 * day_us) == old, "the newest counts"
    new = (to_us(NOW), source_now)
    assert lands(source_now) == new
    assert lands(source_now - day_us) == lands(None) == lands(source_now, None) == new
    clock.now = NOW - timedelta(days=365)
    assert lands(source_now) == (to_us(clock.now), source_now), "what lies ahead was noted by a clock that was wrong"
    assert lands(source_now + 5) == (to_us(clock.now), source_now), "no event was received before it was there"
