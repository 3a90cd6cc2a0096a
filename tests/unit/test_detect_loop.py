"""The loop that judges goes round all tables, also while rules get to know what is in one of them."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ocelog.alert.detecting import JudgingStep
from ocelog.app.loops.detecting import DetectLoop
from ocelog.app.loops.failure_log import FailureLog

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def test_what_is_there_already_in_one_table_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"wiz_audit": 1, "wiz_issues": 4, "wiz_vulnerability_finding": 1}
    order = list[str]()

    def step(_loop: DetectLoop, table: str, _kind: object) -> JudgingStep:
        order.append(table)
        left[table] -= 1
        seeding = table == "wiz_issues" and left[table] > 0
        return JudgingStep(more=seeding, seeding=seeding)

    def due(_loop: DetectLoop) -> set[str]:
        if order[-1:] == ["wiz_issues"] and order.count("wiz_issues") == 2:
            left["wiz_audit"] = 1  # It landed meanwhile.
        return {table for table, pieces in left.items() if pieces}

    monkeypatch.setattr(DetectLoop, "_step", step)
    monkeypatch.setattr(DetectLoop, "_due", due)
    monkeypatch.setattr(DetectLoop, "_make_room", lambda *_: None)
    monkeypatch.setattr(DetectLoop, "_take_up", lambda *_: None)
    loop: Any = DetectLoop.__new__(DetectLoop)
    settings = SimpleNamespace(settings=SimpleNamespace(detections=True))
    loop.work = SimpleNamespace(
        stop=lambda: False,
        went_on=lambda: None,
        takes_up=lambda *_: None,
        failures=FailureLog(),
        to_tell=False,
        assembly=SimpleNamespace(installation=settings),
    )
    loop.jury = SimpleNamespace(look=lambda: None)
    loop._onboarding = SimpleNamespace(look=lambda _now_us: None)
    loop.now = lambda: NOW
    loop._judge()
    audit, issues, finding = "wiz_audit", "wiz_issues", "wiz_vulnerability_finding"
    assert sorted(order[:3]) == [audit, issues, finding]
    assert sorted(order[3:]) == [audit, *[issues] * 3]
    assert order.index(audit, 3) < len(order) - 1, "what landed meanwhile waited for the end"
