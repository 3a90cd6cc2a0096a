"""What a person is told before agreeing to a repair."""

import pytest
import typer

from ocelog.app.repair import Repair
from ocelog.cli import repair as command
from ocelog.errors import ConfigError


def test_what_cannot_be_had_back_is_said_before_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = list[str]()

    def confirm(*_: object, **__: object) -> bool:
        told.append(capsys.readouterr().err)
        return False

    monkeypatch.setattr(typer, "confirm", confirm)
    plan = Repair(dry_run=True)
    plan.lines.append("give up a file")
    plan.for_good.add("earlier versions of records")
    with pytest.raises(ConfigError, match="Nothing was changed"):
        command._confirm(plan)
    assert "give up a file" in told[0]
    assert "Cannot be recovered: earlier versions of records." in told[0]
