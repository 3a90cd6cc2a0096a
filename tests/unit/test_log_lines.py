"""What log events say to a person."""

from typing import Any

import pytest
import structlog

from ocelog.cli.lines import Lines


def said(lines: Lines, name: str, level: str = "info", **more: object) -> str | None:
    event = {"event": name, "level": level, "timestamp": "2026-08-01T12:00:00Z", **more}
    try:
        return lines(None, level, event)
    except structlog.DropEvent:
        return None


def test_a_failure_is_said_once_until_it_changes_or_is_over() -> None:
    lines = Lines(on_terminal=False)
    stream = {"source": "prod", "log_type": "Wiz.Issues"}
    first = said(lines, "failed", "error", **stream, code="source_unavailable", reason="down (request 1)")
    assert first == "2026-08-01T12:00:00Z Wiz.Issues: down (request 1)"
    assert said(lines, "failed", "error", **stream, code="source_unavailable", reason="down (request 2)") is None
    assert said(lines, "failed", "error", **stream, code="access_refused", reason="refused") is not None
    assert said(lines, "works again", **stream) == "2026-08-01T12:00:00Z Wiz.Issues: works again."
    assert said(lines, "works again", **stream) is None
    assert said(lines, "failed", "error", **stream, code="access_refused", reason="refused") is not None
    # It was changed or resumed: what fails now is news.
    assert said(lines, "source taken up", source="prod") is not None
    assert said(lines, "failed", "error", **stream, code="access_refused", reason="refused") is not None


def test_that_nothing_is_read_is_said_each_time_it_becomes_so() -> None:
    lines = Lines(on_terminal=False)
    nothing = {"reason": "All sources are paused.", "todo": "Go on with one of them."}
    assert said(lines, "nothing to read", "warning", **nothing) is not None
    assert said(lines, "nothing to read", "warning", **nothing) is None
    said(lines, "source taken up", source="prod")
    assert said(lines, "nothing to read", "warning", **nothing) is not None


def test_what_fails_every_stream_of_a_source_is_explained_once() -> None:
    lines = Lines(on_terminal=False)
    down = {"source": "prod", "code": "source_unavailable", "reason": "wiz.example did not answer", "todo": "Nothing."}
    assert "did not answer To do: Nothing." in str(said(lines, "failed", "error", log_type="Wiz.Audit", **down))
    assert str(said(lines, "failed", "error", log_type="Wiz.Issues", **down)).endswith("Z Wiz.Issues: the same.")
    one, other = ({**down, "code": "busy", "reason": f"HTTP 500 (Wiz request {each})"} for each in ("a-1", "b-2"))
    assert "HTTP 500" in str(said(lines, "failed", "error", log_type="Wiz.Audit", **one))
    assert str(said(lines, "failed", "error", log_type="Wiz.Issues", **other)).endswith("Z Wiz.Issues: the same.")
    assert "did not answer" in str(said(lines, "failed", "error", log_type="Wiz.Issues", **{**down, "source": "lab"}))


def test_what_rules_and_system_errors_come_to_is_a_sentence() -> None:
    lines = Lines(on_terminal=False)
    assert str(said(lines, "rules read", folder="wiz", rules=106)).endswith(
        "Z Read the rules of the folder wiz. See which are on: ocelog rules list"
    ), "106 are not those that the list calls on"
    assert str(said(lines, "source onboarded", source="t6", known=46)).endswith(
        "Z t6: 46 matches in what was there before, told in one summary."
    )
    over = said(lines, "system error is over", source="t6", reason="It lasted 3m 56s.")
    assert str(over).endswith("Z t6: the system error is over. It lasted 3m 56s.")


def test_an_event_without_a_sentence_of_its_own_still_says_all_it_knows() -> None:
    lines = Lines(on_terminal=False)
    assert said(lines, "disk is slow", "warning", table="wiz_issues", reason="3 s") == (
        "2026-08-01T12:00:00Z wiz_issues: disk is slow: 3 s"
    )
    assert said(lines, "counted", rows=3) == "2026-08-01T12:00:00Z Ocelog: counted (rows 3)"


def test_a_delivery_says_what_was_told_in_words() -> None:
    lines = Lines(on_terminal=False)
    told: dict[str, Any] = {
        "channel": "log",
        "number": 3,
        "alerts": ["ce7d4a07"],
        "severity": "HIGH",
        "title": "A bucket is public",
    }
    assert said(lines, "delivered", **told, told=1) == "2026-08-01T12:00:00Z log: told of HIGH: A bucket is public"
    assert said(lines, "delivered", **told, told=3) == (
        "2026-08-01T12:00:00Z log: told of HIGH: A bucket is public, and 2 other alerts"
    )


def test_what_is_not_delivered_names_its_channel_and_is_news_again_after_a_delivery() -> None:
    lines = Lines(on_terminal=False)
    failed: dict[str, Any] = {"number": 1, "code": "channel_unavailable", "reason": "127.0.0.1 did not answer."}
    told: dict[str, Any] = {"number": 1, "alerts": ["a"], "told": 1, "severity": "HIGH", "title": "A bucket is public"}
    first = "2026-08-01T12:00:00Z ops: not delivered: 127.0.0.1 did not answer."
    assert said(lines, "not delivered", "warning", channel="ops", **failed) == first
    assert said(lines, "not delivered", "warning", channel="ops", **failed) is None
    same = said(lines, "not delivered", "warning", channel="people", **failed)
    assert same == "2026-08-01T12:00:00Z people: the same."
    assert said(lines, "delivered", channel="ops", **told)
    assert said(lines, "not delivered", "warning", channel="people", **failed) is None
    assert said(lines, "not delivered", "warning", channel="ops", **failed) == "2026-08-01T12:00:00Z ops: the same."


def test_lines_name_the_source_only_if_there_are_several() -> None:
    lines = Lines(on_terminal=False)
    landed: dict[str, Any] = {
        "log_type": "Wiz.Issues",
        "rows": 4,
        "rejections": 0,
        "complete_through": "2020-01-01T05:27:10Z",
    }
    said(lines, "source taken up", source="prod")
    assert str(said(lines, "read", source="prod", **landed)).endswith(
        "Z Wiz.Issues: 4 new, complete through 2020-01-01 05:27"
    )
    said(lines, "source taken up", source="lab")
    assert "Z prod Wiz.Issues: 4 new" in str(said(lines, "read", source="prod", **landed))
    said(lines, "source left", source="lab")
    assert "Z Wiz.Issues: 4 new" in str(said(lines, "read", source="prod", **landed))


@pytest.mark.parametrize("event", ["overtaken", "moved"])
def test_what_is_part_of_reading_is_not_told(event: str) -> None:
    assert said(Lines(on_terminal=False), event, "warning", state="retired", reason="too many for one slice") is None
