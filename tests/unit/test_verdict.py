"""The first line of `ocelog status`: what is complete, up to when, and what is not."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.records import NOW
from ocelog.app.status.status import verdict
from ocelog.app.status.status_report import _verdict

MINUTE = timedelta(minutes=1)


def stream(state: str, minutes: int | None = 2, left: int = 0) -> Any:
    through = None if minutes is None else NOW - minutes * MINUTE
    return SimpleNamespace(
        state=state, complete_through=through, slices_left=left, facts=SimpleNamespace(past_left=left)
    )


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ([], "There is no source yet. Add one: ocelog source add"),
        ([stream("live")], "The stream is complete through 2026-05-04T11:58:00Z, 2m ago."),
        (
            [stream("live"), stream("empty", 5)],
            "All 2 streams are complete through 2026-05-04T11:55:00Z, 5m ago.",
        ),
        (
            [stream("catching up", 43_200, 11), stream("catching up", 43_200, 1)],
            "No stream is complete yet: 2 catching up (12 time ranges left).",
        ),
        ([stream("catching up", 9, 1)], "The stream is not complete yet: 1 catching up (1 time range left)."),
        (
            [stream("live", 1), stream("catching up", 43_200, 3), stream("retrying", 9), stream("paused", 99)],
            (
                "1 of 4 streams is complete through 2026-05-04T11:59:00Z, 1m ago; "
                "1 catching up (3 time ranges left), 1 retrying, 1 paused."
            ),
        ),
        (
            [stream("paused", 3), stream("paused", 9)],
            "All 2 streams are paused; what is here is complete through 2026-05-04T11:51:00Z.",
        ),
        (
            [stream("retrying", 3), stream("retrying", 9)],
            "All 2 streams are retrying; what is here is complete through 2026-05-04T11:51:00Z.",
        ),
        ([stream("retrying", 3)], "The stream is retrying; what is here is complete through 2026-05-04T11:57:00Z."),
        (
            [stream("retrying", 3), stream("paused", 9)],
            "No stream is read now: 1 retrying, 1 paused; what is here is complete through 2026-05-04T11:51:00Z.",
        ),
        (
            [stream("retrying", 3), stream("retrying", 43_200, 2)],
            "No stream is complete yet: 2 retrying.",
        ),
        ([stream("paused", None)], "The stream is not complete yet: 1 paused."),
        ([stream("new", None)], "The stream is not complete yet: 1 not read yet."),
    ],
)
def test_the_verdict_says_complete_of_what_is(streams: list[Any], said: str) -> None:
    assert _verdict(verdict(streams), NOW) == said
