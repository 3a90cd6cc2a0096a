"""Short commands import only what they use: imports are most of what they cost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Ocelog, simulator

_SHOW = """
import json, sys
from ocelog.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
NEVER = {
    *("alembic", "httpx2", "psycopg", "pyiceberg", "rich", "structlog", "sqlalchemy.dialects.postgresql"),
    *("argon2", "babel", "fastapi", "jinja2", "joserfc", "pydantic", "starlette", "uvicorn"),
}
"""What takes long to import, and no short command needs."""
RULES_AT_WORK = {
    *("ocelog.detect.rule", "ocelog.detect.bundle", "ocelog.detect.checkout"),
    *("ocelog.alert.deciding", "ocelog.alert.judged", "ocelog.alert.ports"),
    *("ocelog.ledger.detecting", "ocelog.ledger.delivery", "ocelog.pull.slices"),
}
"""Whoever reads the ledger needs the values alone."""


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    found = Ocelog(tmp_path_factory.mktemp("imports") / "home")
    found("init")
    with simulator("--audit", "20", "--issues", "20", "--findings", "20") as tenant:
        found.add(tenant)
        found("pull")
    return found


def imported(ocelog: Ocelog, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW, json.dumps(arguments)],
        env=ocelog.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (
            ("query", "select 1"),
            {"sqlalchemy", "duckdb", "cryptography", "fastavro", "pyarrow.compute", "yaml", "ocelog.alert.alert"},
        ),
        (("query", "select count(*) from wiz_issues_current"), {"duckdb", "cryptography", "pyarrow.compute"}),
        (("status",), {"pyarrow", "duckdb", "cryptography", "yaml", *RULES_AT_WORK}),
        (("tables",), {"sqlalchemy", "duckdb", "cryptography", "fastavro", "pyarrow.compute"}),
        (("--help",), {"sqlalchemy", "pyarrow", "yaml"}),
    ],
)
def test_a_short_command_imports_nothing_that_takes_long(
    ocelog: Ocelog, arguments: tuple[str, ...], spared: set[str]
) -> None:
    allowed = {"rich"} if arguments == ("tables",) else set[str]()
    found = imported(ocelog, *arguments)
    slow = sorted((NEVER - allowed | spared) & found)
    assert slow == [], (
        f"`ocelog {' '.join(arguments)}` imports these: import them where they are needed (docs/adr/0032)"
    )
    assert any(name.startswith("ocelog.cli") for name in found)


def test_the_process_that_runs_sql_imports_the_engine_and_little_else() -> None:
    shown = "import json, sys, ocelog.lake.query.worker; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", shown], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout))
    assert sorted((NEVER | {"sqlalchemy", "yaml", "msgspec", "ocelog.model"}) & found) == []
    assert "duckdb" in found


def test_what_is_spared_is_what_longer_commands_import() -> None:
    """A name that nothing imports any more would make the test above say nothing."""
    source = "\n".join(path.read_text() for path in (Path(__file__).parents[2] / "src" / "ocelog").rglob("*.py"))
    missing = [name for name in NEVER - {"pydantic", "psycopg", "sqlalchemy.dialects.postgresql"} if name not in source]
    assert not missing
