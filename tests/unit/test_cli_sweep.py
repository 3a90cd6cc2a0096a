"""What `ocelog sweep` prints at its end."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from ocelog.app.loops.sweep import SweepResult, Swept
from ocelog.cli.sweep import _tell
from ocelog.pull.sweep import Stage, Sweep

SWEEP = Sweep(
    source_id="s", log_type="Wiz.Issues", round=3, stage=Stage.DONE, settings="x", planned_us=1, complete=True, seen=9
)


@pytest.mark.parametrize(
    ("of_it", "said"),
    [
        ({"missing": 2, "inferred": 1}, True),
        ({"missing": 2, "inferred": 2}, False),
        ({"missing": 2, "vanished": True}, False),
        ({}, False),
    ],
    ids=["some-wait", "all-closed", "vanished", "none"],
)
def test_what_missing_means_is_said_while_the_next_sweep_may_close_some(
    capsys: pytest.CaptureFixture[str], of_it: dict[str, Any], *, said: bool
) -> None:
    stream: Any = SimpleNamespace(row=SimpleNamespace(name="prod"), kind=SimpleNamespace(log_type="Wiz.Issues"))
    _tell([stream], SweepResult(streams=[Swept(sweep=replace(SWEEP, **of_it), done=True)]), json=False)
    told = capsys.readouterr()
    assert ("the next sweep does not find" in " ".join(told.err.split())) == said
