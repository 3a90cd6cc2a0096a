"""Records of projects that a source sees from now on are swept, as those of a new source are."""

from pathlib import Path

from commands import Ocelog, simulator

OPEN = "wiz_issues_current WHERE status IN ('OPEN', 'IN_PROGRESS')"


def test_open_records_of_projects_that_are_new_are_swept(tmp_path: Path) -> None:
    ocelog, other = Ocelog(tmp_path / "home"), Ocelog(tmp_path / "other")
    with simulator("--audit", "0", "--issues", "120", "--findings", "0", "--rate", "0") as tenant:
        for each, project in ((ocelog, ["--project", "nosuch"]), (other, [])):
            each("init")
            each.add(tenant, "prod", "--no-check", "--log-type", "issues", *project)
            each("pull")
        assert ocelog.count(OPEN) == 0
        assert "by a sweep" in ocelog("source", "edit", "prod", "--no-project", "--no-check").err
        ocelog("pull")
        assert ocelog.count(OPEN) == other.count(OPEN) > 0
        narrowed = ocelog("source", "edit", "prod", "--project", "nosuch", "--no-check").err
    assert "are swept" not in narrowed
