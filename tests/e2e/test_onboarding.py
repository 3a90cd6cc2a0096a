"""A new source: one summary of what its rules look for that was there, and nothing else of the past."""

from pathlib import Path

import pytest

from commands import Ocelog, simulator


@pytest.mark.slow
def test_people_hear_once_of_what_was_there_already(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    told = tmp_path / "told.jsonl"
    ocelog("channel", "add", "file", "told", "--set", f"path={told}")
    with simulator("--audit", "100", "--issues", "200", "--findings", "100") as tenant:
        ocelog.add(tenant, "prod")
        logged = "".join(ocelog("pull").err for _ in range(3))
    assert logged.count("source onboarded") == 1, "it is not said again at each start"
    asked = "SELECT title, told FROM alerts WHERE rule_id = 'ONBOARDED'"
    (summary,) = ocelog("query", "-o", "json", asked).json
    known = "SELECT count(*) AS n FROM alerts WHERE record_id IS NOT NULL AND NOT told AND status = 'OPEN'"
    ((count),) = (each["n"] for each in ocelog("query", "-o", "json", known).json)
    assert count > 0
    assert f"{count:,} open records" in summary["title"]
    assert [line for line in told.read_text().splitlines() if "ONBOARDED" in line] == told.read_text().splitlines()
    assert len(told.read_text().splitlines()) == 1
