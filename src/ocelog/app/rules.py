"""Rules that a team brings along, from where they keep them."""

from collections.abc import Callable
from pathlib import Path

from ocelog.app.log_types import kinds
from ocelog.detect.testing import Failure, Left, Report
from ocelog.errors import RuleFileError
from ocelog.installation.config import home_path
from ocelog.judging.trials import Trials

__all__ = ["Failure", "Left", "Report", "try_rules"]


def try_rules(path: Path, *, told: Callable[[int, int], None]) -> Report:
    """Run the tests of the rules at `path`, a folder or a file of a checkout, and return what came of them.

    `told` hears how many tests of how many are done. Raises RuleFileError if there is nothing that can be read, and
    SandboxError if this machine cannot keep rules in, or the home lies in their checkout.
    """
    if not path.exists():
        raise RuleFileError(f"There is nothing at {path}: name a folder of rules, or one rule's YAML file.")
    changing = tuple(name for name, kind in kinds().items() if kind.version_fields is not None)
    return Trials(path=path, changing=changing, keep_out=(str(home_path()),), told=told).run()
