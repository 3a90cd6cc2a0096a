"""`ocelog reshape`: what an upgrade has columns for leaves p_extra, and no record lands again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Ocelog, simulator

FORMER = """
from msgspec.structs import replace
from ocelog.app import shaping
from ocelog.app.log_types import SOURCES
from ocelog.cli import main
from ocelog.schema.language import packaged

schemas, wiz = packaged.packaged_schemas(), SOURCES["wiz"]
issues, kind = schemas["Wiz.Issues"], wiz.log_types["Wiz.Issues"]
later = {"url", "assignee"}
fewer = replace(issues, fields=tuple(field for field in issues.fields if field.name not in later))
counted = tuple(name for name in kind.version_fields if not any(name in added for added in kind.later_fields))
former = replace(kind, version_fields=counted, later_fields=())
shaping.packaged_schemas = packaged.packaged_schemas = lambda: {**schemas, "Wiz.Issues": fewer}
SOURCES["wiz"] = replace(wiz, log_types={**wiz.log_types, "Wiz.Issues": former})
main(["pull"])
"""
"""Pulls as a version of Ocelog did that knew fewer fields of issues."""


@pytest.mark.slow
def test_an_upgrade_that_adds_fields_fills_them_in_stored_rows(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "0", "--issues", "40", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--backfill", "all", "--log-type", "issues")
        environment = {**os.environ, "OCELOG_HOME": str(ocelog.home)}
        subprocess.run([sys.executable, "-c", FORMER], env=environment, check=True, capture_output=True, timeout=100)
        ocelog("publish")
        rows = ocelog.count("wiz_issues")
        null = "SELECT count(*) AS n FROM wiz_issues WHERE url IS NULL OR p_extra->>'url' IS NOT NULL"
        assert ocelog("query", null).lines == [{"n": rows}]

        planned = ocelog("reshape", "wiz_issues", "--dry-run", "--json").json
        done = ocelog("reshape", "--json").json
        assert planned == [one for one in done if one["table"] == "wiz_issues"]
        assert planned[0]["rows"] == planned[0]["values"]["url"] == rows > 0
        assert ocelog("query", null).lines == [{"n": 0}]
        assert [one["rows"] for one in ocelog("reshape", "--json").json] == [0, 0, 0]

        ocelog("pull", "--since", "400d")
        assert ocelog.count("wiz_issues") == rows
