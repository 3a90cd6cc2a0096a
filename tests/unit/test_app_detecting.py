"""The loop that judges: whatever keeps a table from being judged, what has waited for too long is passed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ocelog.alert.detecting import JudgingStep
from ocelog.app.loops import detecting
from ocelog.app.loops.detecting import DetectLoop
from ocelog.app.loops.failure_log import FailureLog
from ocelog.errors import LakeUnavailableError, LedgerUnavailableError, OcelogError, SandboxError
from ocelog.ledger.ledger import Ledger


class Failing:
    """Judges nothing. Stands for Detecting."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.given_up: list[tuple[str, str]] = []
        self.asked_for_room: list[tuple[str, int]] = []

    def make_room(self, table: str, most_bytes: int) -> JudgingStep:
        self.asked_for_room.append((table, most_bytes))
        return JudgingStep()

    def step(self, _table: str, _kind: object) -> JudgingStep:
        raise self.error

    def give_up_old(self, table: str, reason: str) -> JudgingStep:
        self.given_up.append((table, reason))
        return JudgingStep(more=len(self.given_up) < 2)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (SandboxError("no process"), True),
        (LakeUnavailableError("no such file"), True),
        (OcelogError("a rule file"), True),
        (ValueError("a bug"), True),
        # Then nothing can be noted either.
        (LedgerUnavailableError("locked"), False),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_whatever_fails_what_has_waited_too_long_is_passed_and_no_table_stops_another(
    monkeypatch: pytest.MonkeyPatch, error: Exception, passes: bool
) -> None:
    ledger = Ledger.open("sqlite://", durable=False)
    monkeypatch.setattr(ledger.judging, "due", lambda _keepers: {"wiz_audit", "wiz_issues"})
    monkeypatch.setattr(detecting, "free_bytes", lambda _home: 5_000_000_000)
    installation = SimpleNamespace(
        ledger=ledger, settings=SimpleNamespace(detections=True), home=SimpleNamespace(id="h", path=Path("home"))
    )
    work: Any = SimpleNamespace(
        went_on=lambda: None,
        takes_up=lambda *_: None,
        assembly=SimpleNamespace(installation=installation, lake=None),
        stop=lambda: False,
        monotonic=lambda: 0.0,
        failures=FailureLog(),
        to_tell=0,
    )
    loop, failing = DetectLoop(work), Failing(error)
    loop._detecting = failing  # type: ignore[assignment] # stands for it
    with pytest.raises(type(error)):
        loop._judge()
    assert {table for table, _ in failing.asked_for_room} == {"wiz_audit", "wiz_issues"}
    assert {most for _, most in failing.asked_for_room} == {1_000_000_000}
    assert {table for table, _ in failing.given_up} == ({"wiz_audit", "wiz_issues"} if passes else set())
    monkeypatch.setattr(detecting, "free_bytes", lambda _home: 0)
    loop._make_room("wiz_audit")
    assert failing.asked_for_room[-1] == ("wiz_audit", 16 << 20), "what frees next to nothing is passed"
    ledger.close()


@pytest.mark.parametrize("judges", [True, False])
def test_files_of_rules_are_looked_at_though_nothing_lands(monkeypatch: pytest.MonkeyPatch, judges: bool) -> None:
    ledger, begun, asked = Ledger.open("sqlite://", durable=False), list[float](), list[float]()

    def begin(*_: object) -> bool:
        begun.append(asked[-1])
        return True

    monkeypatch.setattr(ledger.judging, "due", lambda *_: set())
    settings = SimpleNamespace(detections=judges)
    installation = SimpleNamespace(ledger=ledger, settings=settings, home=SimpleNamespace(id="h", path=Path("home")))
    assembly = SimpleNamespace(installation=installation, lake=None, landed=0)
    work: Any = SimpleNamespace(went_on=lambda: None, assembly=assembly, begin=begin)
    loop = DetectLoop(work)
    for now in map(float, range(40)):
        asked.append(now)
        loop.run_due(now)
    assert begun == ([0.0, 15.0, 30.0] if judges else [])
    ledger.close()
