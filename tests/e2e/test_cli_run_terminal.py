"""`ocelog run` for a person: a line when something happens, and nothing else."""

import re
from pathlib import Path

import httpx2
import pytest

from commands import Ocelog, simulator
from commands.terminal import conversation

SMALL = ("--audit", "60", "--issues", "40", "--findings", "80")


@pytest.mark.slow
def test_it_says_what_happens_in_lines_that_fit(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home", OCELOG_PUBLISH_AFTER="1s")
    ocelog.init()
    scopes = "read:resources,read:issues,read:vulnerabilities"
    with simulator(*SMALL, "--rate", "5", "--scopes", scopes) as tenant, conversation(ocelog, "run") as run:
        run.until("There is no source yet. Add one in another terminal: ocelog source add")
        ocelog.add(tenant, "prod", "--poll", "1s", "--no-check")
        run.until("prod: reading it from now on.")
        # Refused at each try, and told once.
        run.until("Wiz.Audit: ")
        run.until("To do: ")
        run.until("Wiz.Issues: ")
        assert " new, " in run.until("\n")
        run.until("complete through ")
        assert re.fullmatch(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d\n", run.until("\n"))
        run.until("published ")
        ocelog("source", "pause", "prod")
        run.until("prod: no longer read, since it was paused or removed.")
        run.until("All sources are paused. Go on in another")
        assert run.interrupt() == 0
        assert "Stopped." in run.shown
    lines = run.shown.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    assert not [line for line in lines if "{" in line or "request_id=" in line]
    assert sum("Wiz.Audit: Wiz refused" in line for line in lines) == 1


@pytest.mark.slow
def test_a_trouble_is_told_when_it_begins_and_when_it_is_over(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    with simulator(*SMALL, "--fault", "server-error:type=issues:times=6") as tenant:
        ocelog.add(tenant, "prod", "--poll", "1s", "--log-type", "issues", "--no-check")
        ocelog.add(tenant, "other", "--poll", "1s", "--log-type", "audit", "--no-check", "--anyway")
        with conversation(ocelog, "run") as run:
            # More than one source: each line says whose it is.
            run.until("prod Wiz.Issues: ")
            run.until("To do: ")
            run.until("prod Wiz.Issues: works again.")
            assert run.interrupt() == 0
    assert run.shown.count("To do: ") == 1
    assert re.search(r"other Wiz.Audit: [\d,]+ new", run.shown)


@pytest.mark.parametrize(("format_", "is_json"), [("json", True), ("text", False)])
def test_the_setting_decides_what_the_log_looks_like(tmp_path: Path, format_: str, is_json: bool) -> None:
    ocelog = Ocelog(tmp_path / "home", OCELOG_LOG_FORMAT=format_)
    ocelog.init()
    if is_json:
        with conversation(ocelog, "run") as run:
            run.until('"event": "nothing to read"')
            assert run.interrupt() == 0
        return
    process = ocelog.start("run")
    try:
        assert process.stderr is not None
        started, nothing = process.stderr.readline(), process.stderr.readline()
    finally:
        process.kill()
        process.communicate()
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z Started in ", started)
    assert "There is no source yet. Add one" in nothing


@pytest.mark.slow
def test_it_says_where_the_console_is_and_how_the_first_user_comes(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    with conversation(ocelog, "run", "--listen", "0") as run:
        run.until("The console is at http://127.0.0.1:")
        run.until("Nobody uses it yet. Make the first user:")
        link = re.search(r"http://127\.0\.0\.1:\d+/first\?token=[\w-]+", run.until("\n") + run.until("\n"))
        assert link is not None, "it is not broken by the end of a line"
        assert httpx2.get(link[0]).status_code == 200
        assert run.interrupt() == 0
