"""A replay of rejections that is killed amid a landing leaves nothing that the next one does not put right."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bookkeeping.records import begun, source_row
from ocelog.app.log_types import table_schemas
from ocelog.app.records import rejections
from ocelog.app.records.rejections import RejectionReplay, StoredRejection
from ocelog.errors import LostFenceError
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.lake.upkeep.cleaning import clean
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.pulling import holder_of

OBSERVED = datetime(2026, 8, 2, tzinfo=UTC)
RECORD = {"id": "late-1", "createdAt": "2026-08-01T00:00:00Z", "updatedAt": "2026-08-01T01:00:00Z", "status": "OPEN"}
KILLED = """
import os, pickle, signal, sys
from ocelog.app.records import rejections
from ocelog.installation.opening import opened
from ocelog.ledger.pulling import SliceLedger

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

found = pickle.loads(sys.stdin.buffer.read())
rejections.stored = lambda *_: found
SliceLedger.land = kill
with opened() as installation:
    rejections.replay(installation)
"""


@pytest.fixture
def home(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home whose ledger is on either database, with one stream that has begun and never read a slice."""
    path = tmp_path / "home"
    make(path, ledger_url=address)
    monkeypatch.setenv("OCELOG_HOME", str(path))
    ledger = Ledger.open(address)
    ledger.sources.add(source_row())
    begun(ledger, edge=OBSERVED)
    ledger.close()
    return path


def found() -> list[list[StoredRejection]]:
    record = StoredRejection(
        source_id="acme",
        source_label="acme",
        log_type="Wiz.Issues",
        origin="live",
        observed_at=OBSERVED,
        raw=json.dumps(RECORD).encode(),
        whole=True,
        unknown=frozenset(),
    )
    return [[record]]


def replay(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> RejectionReplay:
    monkeypatch.setattr(rejections, "stored", lambda *_: found())
    return rejections.replay(installation)


@pytest.mark.slow
def test_a_killed_replay_is_made_good_by_the_next(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle  # noqa: PLC0415 - our own values, from process to process

    died = subprocess.run(
        [sys.executable, "-c", KILLED], input=pickle.dumps(found()), env=os.environ, capture_output=True, check=False
    )
    assert died.returncode == -9, died.stderr
    folder = home / "landing" / "wiz_issues"
    (orphan,) = folder.iterdir()
    with opened() as installation:
        assert clean(home, "wiz_issues", installation.ledger.lake) == 0
        assert replay(installation, monkeypatch).events == 1
        assert replay(installation, monkeypatch).repeats == 1
        assert clean(home, "wiz_issues", installation.ledger.lake) == 1
        landed = [home / part.path for part in installation.ledger.lake.parts("wiz_issues")]
    assert list(folder.iterdir()) == landed
    assert orphan not in landed


def test_a_replay_of_another_home_is_told_and_landed_under_by_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as installation:
        ledger = installation.ledger
        claim = ledger.pulling.take_claim("replay", "acme", holder_of("another-home"))
        with pytest.raises(LostFenceError, match="under way already, by another-home"):
            replay(installation, monkeypatch)
        ledger.pulling.release_claim(claim)
        assert replay(installation, monkeypatch).events == 1
        assert not any((home / "landing" / table).is_dir() for table in table_schemas() if table != "wiz_issues")
