"""Bars on a terminal: they fit, and commands print nothing of the kind elsewhere."""

import re
from pathlib import Path

import pytest

from commands import Ocelog, simulator
from commands.terminal import bare_lines, on_a_terminal


@pytest.mark.slow
def test_bars_fit_a_terminal_of_80_columns_and_leave_a_table(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    name = "a source with a name of [bold]many[/] words"
    with simulator("--audit", "60", "--issues", "40", "--findings", "1500") as tenant:
        ocelog.add(tenant, name)
        for command in ("pull", "sweep"):
            shown = on_a_terminal(ocelog, command)
            lines = bare_lines(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.replace("\r", "\n")))
            assert max(map(len, lines)) <= 80, command
            says_what_is_done = any(re.search(r"Publishing \.\.\. +in \d:\d\d:\d\d", line) for line in lines)
            # What is left after a sweep of so few records takes less time than until it would be said.
            assert says_what_is_done or command == "sweep", shown
            assert any(re.search(r"━{16} +[\d,]+ records in \d:\d\d:\d\d$", line) for line in lines), shown
            assert command == "pull" or re.search(r"complete +open +missing", "\n".join(lines)), (
                "not the count of the bars, which is of all statuses"
            )
            assert "━" not in next(line for line in lines if "Wiz." in line)
            assert not any("{" in line or "landed" in line for line in lines), command
        off_terminal = ocelog("sweep", "--log-type", "issues")
    assert "━" not in off_terminal.out + off_terminal.err
    assert "\x1b" not in off_terminal.out + off_terminal.err
