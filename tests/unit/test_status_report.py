"""What `ocelog status` prints of a stream: one word for how it is, each reason once, and commands that fit it."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bookkeeping.records import NOW, slice_of
from ocelog.app.judging.judging_pace import RuleTime, Slowest
from ocelog.app.sources.sources import row_of
from ocelog.app.status.status import Gap, StreamStatus, stream_statuses
from ocelog.app.status.status_report import _all_details, _all_remarks, _behind, _remarks, _row
from ocelog.health.stream import AlarmState, State
from ocelog.ledger.ledger import Ledger
from ocelog.sources.wiz.settings import from_mapping

DAY = timedelta(days=1)


@pytest.fixture
def streams(tmp_path: Path) -> list[StreamStatus]:
    settings = from_mapping({"token_url": "cognito", "client_id": "x", "log_types": ["audit", "issues"]})
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", durable=False)
    with closing(ledger):
        ledger.sources.add(row_of("prod", settings, {}))
        return stream_statuses(ledger, NOW)


def silent(each: StreamStatus) -> StreamStatus:
    health = replace(each.health, state=State.SILENT, why="No event for 2d.", alarm=AlarmState.ALARM)
    return replace(each, state="live", health=health)


@pytest.mark.parametrize(("state", "lag"), [("live", "10s"), ("catching up", None)])
def test_the_lag_of_news_does_not_stand_beside_how_far_the_past_is_read(
    streams: list[StreamStatus], state: str, lag: str | None
) -> None:
    assert _row(replace(streams[0], state=state, lag=timedelta(seconds=10)))["lag"] == lag


@pytest.mark.parametrize(
    ("after", "looser"), [(timedelta(minutes=15), "7d"), (7 * DAY, "30d"), (30 * DAY, "off"), (None, "7d")]
)
def test_a_silent_stream_is_told_of_later_without_a_change_of_the_others(
    streams: list[StreamStatus], after: timedelta | None, looser: str
) -> None:
    each = silent(streams[0])
    told = _remarks(replace(each, alarm=replace(each.alarm, after=after)), idle=False)
    assert told[1].endswith(f"ocelog source edit prod --no-events-after audit={looser}")


def test_to_read_again_a_service_is_stopped_first(streams: list[StreamStatus]) -> None:
    short = slice_of(since=NOW - DAY, until=NOW, short_by=3)
    each = replace(streams[0], short=(short,), total_off_by=2, total_off_since=NOW)
    for idle in (True, False):
        told = [line for line in _remarks(each, idle=idle) if "ocelog pull --since" in line]
        assert [("stop the service" in line) for line in told] == [not idle] * 2


@pytest.mark.parametrize(
    ("state", "health", "said"),
    [
        ("live", State.SILENT, "silent"),
        ("broken", State.FORBIDDEN, "forbidden"),
        ("live", State.BROKEN, "broken"),
        ("retrying", State.HEALTHY, "retrying"),
        ("live", State.HEALTHY, "live"),
        ("new", State.CATCHING_UP, "new"),
    ],
)
def test_the_table_and_the_details_call_how_a_stream_is_by_one_word(
    streams: list[StreamStatus], state: str, health: State, said: str
) -> None:
    each = streams[0]
    each = replace(each, state=state, health=replace(each.health, state=health))
    (details,) = _all_details([each], ())
    assert _row(each)["state"] == said
    assert details["state"].partition(" since ")[0] == said
    assert "health" not in details


def test_why_a_stream_is_so_is_said_once(streams: list[StreamStatus]) -> None:
    audit, issues = (
        replace(each, health=replace(each.health, why=f"Wiz refused it. (Wiz request {number})"))
        for number, each in enumerate(streams)
    )
    first, second = _all_details([audit, issues], ())
    assert first["why"] == "Wiz refused it. (Wiz request 0)"
    assert second["why"] == "the same as prod Wiz.Audit"
    first, second = _all_details([audit, issues], {("prod", "Wiz refused it.", "To do")})
    assert first["why"] == second["why"] == "see above"
    (details,) = _all_details([silent(audit)], ())
    assert details["why"] == "see above"


def test_an_error_is_said_once_with_every_stream_that_has_it_and_before_anything_else(
    streams: list[StreamStatus],
) -> None:
    audit, issues = (replace(each, error="x.test did not answer", todo="Wait.") for each in streams)
    both, told = [audit, issues], set[tuple[str, str, str | None]]()
    first, *rest = _all_remarks([replace(audit, still_rejected=2)], both, told, idle=False)
    assert first.startswith("prod Wiz.Audit and Wiz.Issues: x.test did not answer")
    assert rest == ["    To do: Wait.", "prod Wiz.Audit: 2 records did not fit. See: ocelog rejections"]
    assert _all_remarks([issues], both, told, idle=False) == []


def test_counts_that_may_well_differ_are_one_line_for_all_streams(streams: list[StreamStatus]) -> None:
    def counted(each: StreamStatus, *statuses: str) -> StreamStatus:
        gaps = [Gap(status=status, at_source=9, at_least=False, in_lake=8, measured=NOW) for status in statuses]
        return replace(each, coverage=tuple(gaps))

    audit, issues = streams
    (said,) = _all_remarks([counted(audit, ""), counted(issues, "OPEN")], [], set(), idle=False)
    assert said == (
        "Counts differed at 2026-05-04T12:00:00Z: prod Wiz.Audit (9 at the source, 8 in the lake) and prod "
        "Wiz.Issues (OPEN: 9 at the source, 8 in the lake). A few are normal while records change: the next pull or "
        "sweep brings them. Count again: ocelog coverage --measure"
    )


@pytest.mark.parametrize(
    ("holder", "seconds", "idle", "blamed"),
    [(None, 0.0, True, False), (None, 4.0, True, True), ("x", 0.4, False, False)],
)
def test_no_rule_is_blamed_that_took_no_time_and_where_nothing_runs_it_is_said(
    holder: str | None, seconds: float, *, idle: bool, blamed: bool
) -> None:
    slow = Slowest(worst=(RuleTime(rule="A.Rule", seconds=seconds),), of=seconds, batches=1)
    found: Any = SimpleNamespace(judging_behind=NOW, holder=holder, slowest=slow)
    said = "\n".join(_behind(found))
    assert ("Nothing is running that would judge them. Run: ocelog pull" in said) is idle
    assert ("A.Rule" in said) is blamed


def test_a_stream_of_which_nothing_was_read_says_so_and_not_that_nothing_is_left(streams: list[StreamStatus]) -> None:
    (details, _) = _all_details(streams, ())
    assert details["complete through"] == "nothing was read yet"
    assert "time ranges left" not in details


def test_which_event_came_last_is_told_apart_from_the_newest_by_its_own_time(streams: list[StreamStatus]) -> None:
    each = streams[0]
    old = replace(each, added=NOW, last_received=NOW - DAY, last_event=NOW - DAY / 2)
    (details,) = _all_details([old], ())
    assert details["last from others"] == "2026-05-03T12:00:00Z, its own time: older than this source"
    assert details["newest event"] == "2026-05-04T00:00:00Z, its own time"
    (details,) = _all_details([replace(old, last_received=NOW)], ())
    assert details["last from others"] == "2026-05-04T12:00:00Z, when it was received"


def test_the_alarm_is_told_in_words(streams: list[StreamStatus]) -> None:
    each = streams[0]
    each = replace(each, alarm=replace(each.alarm, repeat=timedelta(hours=6)))
    (details,) = _all_details([each], ())
    assert details["no-events alarm"] == "not known yet (set to 1d without an event, repeated every 6h)"
