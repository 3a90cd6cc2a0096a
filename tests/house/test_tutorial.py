"""The tutorials work line by line, and show what their commands print."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from documents import DOCS, differing, shell, steps
from tutorial import PAGES, free_port


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_of_a_tutorial_prints_what_the_page_shows(page: Path) -> None:
    # A tutorial keeps to the rate that every tenant allows; here nobody waits for that.
    quick = {"8765": free_port(), "--client-secret-file": "--rate 50 --client-secret-file"}
    found = steps(page)
    assert len(found) > 10
    # A path that is as short as the page's: lines wrap at the same words.
    with TemporaryDirectory() as folder, shell(Path(folder), quick) as typed:
        different = {}
        for step in found:
            printed = typed.type(step)
            line = differing(step.shown, printed)
            if line is not None:
                different[step.command] = (line, printed)
    assert different == {}, "run `python scripts/tutorial.py`"


def test_what_another_run_would_change_is_no_difference_and_all_else_is() -> None:
    shown = "prod  Wiz.Issues  17s  2026-11-26 19:43Z\n...\nDisk free: 77.2 GB"
    assert differing(shown, "prod Wiz.Issues 1m 2s 2027-01-01 00:00Z\n\nmore\nDisk free: 9 GB") is None
    assert differing(shown, "prod Wiz.Issues 1m 2s 2027-01-01 00:00Z\nDisk free: 9 GB") is None
    assert differing(shown, "prod Wiz.Audit 17s 2027-01-01 00:00Z\nDisk free: 9 GB") is not None
    assert differing(shown, "prod Wiz.Issues 17s 2027-01-01 00:00Z\nDisk free: 9 GB\nOops") is not None
    assert differing("one\ntwo", "one") == "two"
    assert differing("one", "one\ntwo") == "two"
    assert differing("", "") is None
    assert differing("", "one") == "one"


def test_every_command_of_a_tutorial_is_in_a_block_that_is_run() -> None:
    installing = "git clone https://github.com/ocelog/ocelog\ncd ocelog\nmake setup\nsource .venv/bin/activate\n"
    for page in PAGES:
        text = page.read_text()
        others = text.count(f"```sh\n{installing}```")
        assert text.count("```") == 2 * (others + text.count("```console\n"))
        assert page.is_relative_to(DOCS)
    assert f"```sh\n{installing}```" in PAGES[0].read_text()
