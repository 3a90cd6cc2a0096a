"""How long the trail is kept: as our clock says only if a source bears it out."""

from datetime import UTC, datetime
from pathlib import Path

from ocelog.access import Deed
from ocelog.app.maintenance import upkeep
from ocelog.app.users.trail import KEPT, deeds, shorten_trail
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.times import to_us


def noted(installation: Installation) -> None:
    """Note something older than it is kept, and something that is not."""
    now = to_us(datetime.now(UTC))
    kept = to_us(datetime.now(UTC) - KEPT)
    installation.ledger.users.note(Deed(at_us=kept - 60_000_000, who="ann", what="test.old"))
    installation.ledger.users.note(Deed(at_us=kept + 3_600_000_000, who="ann", what="test.kept"))
    installation.ledger.users.note(Deed(at_us=now, who="ann", what="test.new"))


def test_upkeep_shortens_the_trail(tmp_path: Path) -> None:
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation:
        noted(installation)
        for trust_clock, left in ((False, ["new", "kept", "old"]), (True, ["new", "kept"])):
            upkeep.tend(installation, [], dry_run=False, trust_clock=trust_clock, told=lambda _: None)
            assert [each.what for each in deeds(installation, limit=9)] == [f"test.{name}" for name in left]
        assert shorten_trail(installation) is None, "no source says what the time is"
