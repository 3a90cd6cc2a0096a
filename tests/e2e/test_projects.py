"""Records of projects that a source sees from now on are swept, as those of a new source are."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from commands import Ocelog, simulator

OPEN = "wiz_issues_current WHERE status IN ('OPEN', 'IN_PROGRESS')"


def late_until(ocelog: Ocelog) -> int | None:
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        (found,) = ledger.execute("SELECT gap_until_us FROM streams").fetchone()
        return None if found is None else int(found)


@pytest.mark.slow
def test_open_records_of_projects_that_are_new_are_swept(tmp_path: Path) -> None:
    ocelog, other = Ocelog(tmp_path / "home"), Ocelog(tmp_path / "other")
    with simulator("--audit", "0", "--issues", "120", "--findings", "0", "--rate", "0") as tenant:
        for each, project in ((ocelog, ["--project", "nosuch"]), (other, [])):
            each.init_unjudged()
            each.add(tenant, "prod", "--no-check", "--log-type", "issues", *project)
            each("pull")
        assert ocelog.count(OPEN) == 0
        assert late_until(ocelog) is None
        assert "by a sweep" in ocelog("source", "edit", "prod", "--no-project", "--no-check").err
        # Rules tell of what happened to them before as of one thing.
        assert (late_until(ocelog) or 0) / 1e6 == pytest.approx(time.time(), abs=60)
        ocelog("pull")
        assert ocelog.count(OPEN) == other.count(OPEN) > 0
        narrowed = ocelog("source", "edit", "prod", "--project", "nosuch", "--no-check").err
    assert "are swept" not in narrowed
