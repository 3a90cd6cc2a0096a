"""The rules in a folder, before they are registered: their tests, the names in them, and new ones."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ocelog.app.log_types import changing
from ocelog.detect.checking import Names, WrongName, check
from ocelog.detect.checkout import read_checkout
from ocelog.detect.testing import Failure, Left, Report
from ocelog.errors import RuleFileError
from ocelog.installation.config import home_path
from ocelog.judging.trials import Trials
from ocelog.schema.language.packaged import packaged_schemas

__all__ = ["Checked", "Failure", "Left", "Report", "check_rules", "run_tests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What checking rules came to."""

    root: Path
    """What the files of problems are relative to."""
    rules: int
    unreadable: tuple[tuple[str, str], ...]
    """Rule or file, and why it cannot be read; the reason opens with `file:line:`."""
    wrong: tuple[WrongName, ...]
    elsewhere: dict[str, list[str]]
    """Log types that exist, and no source here has -> the rules about them."""


def run_tests(path: Path, *, told: Callable[[int, int], None]) -> Report:
    """Run the tests of the rules at `path`, a folder or a file of a checkout, and return what came of them.

    `told` hears how many tests of how many are done. Raises RuleFileError if there is nothing that can be read, and
    SandboxError if this machine cannot keep rules in, or the home lies in their checkout.
    """
    _exists(path)
    return Trials(path=path, changing=changing(), keep_out=(str(home_path()),), told=told).run()


def check_rules(path: Path, *, rules: Collection[str] = (), channels: Collection[str] | None = None) -> Checked:
    """Find the names in the rules at `path` that nothing has: log types, fields, queries, rules and destinations.

    `rules` are those of other folders, `channels` names and ids of those there are; None: they are not looked at.
    Raises RuleFileError if there is nothing that can be read.
    """
    _exists(path)
    checkout = read_checkout(path, changing())
    names = Names(schemas=packaged_schemas(), rules=rules, channels=channels)
    elsewhere = dict[str, list[str]]()
    for name, rule in checkout.rules.items():
        for log_type in rule.log_types:
            if names.is_elsewhere(log_type):
                elsewhere.setdefault(log_type, []).append(name)
    return Checked(
        root=checkout.root,
        rules=len(checkout.rules) + len(checkout.correlations),
        unreadable=tuple((one.id, one.message) for one in checkout.problems),
        wrong=tuple(check(checkout, names)),
        elsewhere=dict(sorted(elsewhere.items())),
    )


def _exists(path: Path) -> None:
    if not path.exists():
        raise RuleFileError(f"There is nothing at {path}: name a folder of rules, or one rule's YAML file.")
