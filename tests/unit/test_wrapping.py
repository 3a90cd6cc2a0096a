"""What a terminal of few columns is sent: lines that end between words, and nothing cut that a person would copy."""

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from commands.terminal import bare_lines
from ocelog.cli import settings
from ocelog.cli.show import cell, fields, fitting_table, named_lines, table, wrapped
from ocelog.installation.making import make

SOURCE = Path(__file__).parents[2] / "src"

COMMANDS = (
    "ocelog source edit 'my tenant' --client-id 0123456789abcdef --project 11111111-2222",
    "sudo /opt/ocelog/bin/ocelog service exec source add",
    "loginctl enable-linger",
    "ocelog pull --since 30d",
    "mv /srv/ocelog/lake/views '/srv/ocelog/lake/views (old)'",
    "sudo chown -R ocelog: /srv/ocelog",
    "jq -c '.[]' FILE",
    "uv tool install '.[postgresql]'",
)
PLACES = ("https://api.us1.app.wiz.io/graphql", "/home/a-user/.local/share/ocelog/key", "--client-secret-file")


@pytest.mark.parametrize("whole", [*COMMANDS, *PLACES])
def test_what_a_person_would_copy_is_never_cut(whole: str) -> None:
    for before in range(80):
        text = f"{'ab ' * (before // 3)}{'c' * (before % 3)} then run: {whole}. The rest of the sentence follows on."
        lines = wrapped(text, 80, indent=4).split("\n")
        assert any(whole in line for line in lines), lines
        assert all(len(line) <= 80 or line.strip() == f"{whole}." for line in lines)
        assert " ".join(lines).split() == text.split()


def test_further_lines_are_indented_and_no_word_is_cut() -> None:
    lines = wrapped("  To do: " + "well-formed " * 20, 80, indent=4).split("\n")
    assert len(lines) > 2
    assert all(line.startswith("      well-formed") for line in lines[1:])
    assert all(len(line) <= 80 and not line.endswith("-") for line in lines)


def test_a_sentence_behind_a_command_wraps_as_any_other() -> None:
    text = "Run `ocelog pull`, or ocelog status. " + "Words of a sentence. " * 10
    assert all(len(line) <= 40 for line in wrapped(text, 40, indent=4).split("\n"))


WIDE = ("결제 서비스 운영 환경", "データ基盤 本番 環境", "✅ 배포 🚀 완료", "de\u0301ploye\u0301 re\u0301ussi")


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("columns", [40, 80])
def test_a_line_of_wide_characters_is_no_wider_than_the_terminal_and_fills_it(name: str, columns: int) -> None:
    text = f"Reading {name}: " + f"{name}, " * 20
    lines = wrapped(text, columns, indent=4).split("\n")
    assert all(columns - 16 < cell_len(line) <= columns for line in lines[:-1])
    assert cell_len(lines[-1]) <= columns
    assert " ".join(lines).split() == text.split()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [34, 60, 80])
def test_tables_with_wide_characters_stay_within_the_terminal_and_their_columns_aligned(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    names = [*WIDE, "plain"]
    rows = [{"name": name, "count": at, "note": f"{name} / {name} / {name}"} for at, name in enumerate(names)]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    for draw in (
        lambda: table(rows),
        lambda: fitting_table(list(rows[0]), [list(row.values()) for row in rows]),
    ):
        out = Terminal()
        monkeypatch.setattr("sys.stdout", out)
        draw()
        lines = bare_lines(out.getvalue())
        assert max(map(cell_len, lines)) <= columns, lines
        numbers = [line[: found.end()] for line in lines if (found := re.search(r" \d(?=$|  )", line))]
        assert len(numbers) == len(rows)
        assert len(set(map(cell_len, numbers))) == 1, lines


def test_a_table_is_drawn_in_few_steps_however_long_its_values_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", out := Terminal())
    steps = 0

    def counted(*of: Any, **how: Any) -> Any:
        nonlocal steps
        steps += 1
        return max(*of, **how)

    monkeypatch.setattr("ocelog.cli.show.max", counted, raising=False)
    fitting_table(["a", "b", "c"], [["x" * 50_000, "y" * 50_000, 1], ["x", "y", 2]], out.write)
    assert max(map(cell_len, bare_lines(out.getvalue()))) == 80
    assert steps < 1_000


def test_values_begin_below_each_other_behind_names_of_wide_characters() -> None:
    lines = list(named_lines(["이름", "count", "e\u0301"], [1, 2, 3]))
    assert {cell_len(line) for line in lines} == {8}
    assert [line[-2:] for line in lines] == [" 1", " 2", " 3"]


@pytest.mark.parametrize("out", [Terminal, io.StringIO])
@pytest.mark.parametrize("folder", ["home", "a-folder-with-a-rather-long-name/of-ocelog"])
def test_the_settings_fit_80_columns_on_a_terminal_and_in_a_pipe_that_ends_on_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: type[io.StringIO], folder: str
) -> None:
    home = tmp_path / folder
    make(home, ledger_url=None)
    (home / "config.yml").write_text("threads: 3\n")
    for name, value in {"OCELOG_HOME": home, "HOME": tmp_path, "COLUMNS": 80, "TERM": "xterm"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    monkeypatch.setattr("sys.stdout", out())
    settings.command(json=False)
    lines = bare_lines(sys.stdout.getvalue())  # type: ignore[union-attr] # `out`
    assert max(map(len, lines)) <= 80
    assert any(f"~/{folder}" in line for line in lines)
    assert any("config.yml" in line for line in lines)
    assert (lines[0].split() == ["setting", "value", "origin", "meaning"]) == (folder == "home")


def test_a_setting_without_a_value_is_shown_as_a_dash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OCELOG_HOME", str(tmp_path / "none"))
    settings.command()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("oidc_roles"))
    assert line.split()[1] == "-"


def test_a_mapping_is_written_for_people() -> None:
    assert cell({"allow_private": True, "url": None}) == "allow_private: yes; url: -"
    assert cell({"Wiz.Audit": {"after": "1d", "hours": []}, "a\x1b": 1}) == "Wiz.Audit (after: 1d; hours: -); a\\x1b: 1"
    assert cell({}) == "-"


def test_what_does_not_fit_beside_its_name_goes_on_below_where_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    fields({"state": "silent", "why": "No event for two days, though the source answers."})
    assert capsys.readouterr().out.splitlines() == [
        "state: silent",
        "why:   No event for two days, though the",
        "       source answers.",
    ]
