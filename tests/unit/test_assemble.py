"""Which streams an installation has, where the settings of one source do not hold."""

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ocelog.assemble import Assembly
from ocelog.installation import make, opened
from ocelog.sources.wiz.settings import from_mapping
from ocelog.tenants import row_of

SETTINGS = from_mapping({"token_url": "cognito", "client_id": "x", "log_types": ["issues"]})


@pytest.mark.parametrize(
    "damage",
    [
        {"wiz": None},
        {"wiz": {"token_url": "cognito"}},
        {"wiz": {"token_url": "cognito", "client_id": "x", "log_types": 5}},
        {"wiz": {"token_url": "cognito", "client_id": "x", "foo": 5}},
        {"poll": "often"},
        {"backfill": None},
    ],
)
def test_a_source_whose_settings_do_not_hold_is_told_once_and_leaves_the_others(
    tmp_path: Path, damage: dict[str, object]
) -> None:
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation:
        row = row_of("damaged", SETTINGS, {})
        installation.ledger.add_source(replace(row, settings={**row.settings, **damage}))
        installation.ledger.add_source(row_of("whole", SETTINGS, {}))
        assembly = Assembly(installation=installation, told=lambda *_: None)
        with capture_logs() as logs:
            for _ in range(3):
                assert [stream.row.name for stream in assembly.streams()] == ["whole"]
    assert [line["source"] for line in logs] == ["damaged"]
    assert list(assembly.damaged) == ["damaged"]
    told = str(assembly.damaged["damaged"])
    assert "'damaged'" in told
    assert "ocelog source remove damaged" in told
