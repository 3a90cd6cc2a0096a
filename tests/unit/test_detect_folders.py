"""Which rules of a folder run: what a person said of the rule, then packs, then its file."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocelog.detect.checkout import Checkout, read_checkout
from ocelog.detect.deciding import decisions, shadowed
from ocelog.detect.folders import BUILT_IN, RuleFolder, RuleState

CHECKOUT = Path(__file__).parents[1] / "rules" / "checkout"
FOLDER = RuleFolder(id="mine", name="mine", path=str(CHECKOUT))


@pytest.fixture(scope="module")
def checkout() -> Checkout:
    return read_checkout(CHECKOUT)


def running(checkout: Checkout, folder: RuleFolder, states: Mapping[str, RuleState]) -> dict[str, str]:
    """Return the rules of a folder that run, and why each does."""
    found = decisions(checkout, folder, states)
    return {name: found[name].why for name in [*checkout.rules, *checkout.correlations] if found[name].runs}


def state(rule: str, *, enabled: bool | None) -> dict[str, RuleState]:
    return {rule: RuleState(rule_id=rule, enabled=enabled)}


def test_rules_run_that_are_enabled_in_their_files(checkout: Checkout) -> None:
    enabled = running(checkout, FOLDER, {})
    every = {name: one.about.enabled for name, one in checkout.rules.items()}
    every |= {name: one.about.enabled for name, one in checkout.correlations.items()}
    assert set(enabled) == {name for name, wanted in every.items() if wanted}
    assert set(enabled.values()) == {"`Enabled: true` in its file"}
    assert set(enabled) != set(every)


def test_a_pack_turns_its_members_on_and_off(checkout: Checkout) -> None:
    pack = next(iter(checkout.packs.values()))
    members = {one for one in checkout.members(pack) if one in checkout.rules or one in checkout.correlations}
    on = running(checkout, replace(FOLDER, packs={pack.id: True, "no such pack": True}), {})
    off = running(checkout, replace(FOLDER, packs={pack.id: False}), {})
    assert members
    assert members <= on.keys()
    assert all(pack.id in on[one] for one in members)
    assert not members & off.keys()


def test_what_a_person_said_of_a_rule_goes_before_its_pack_and_its_file(checkout: Checkout) -> None:
    pack = next(iter(checkout.packs.values()))
    member = next(one for one in checkout.members(pack) if one in checkout.rules)
    on, off = (replace(FOLDER, packs={pack.id: wanted}) for wanted in (True, False))
    assert member in running(checkout, off, state(member, enabled=True))
    assert member not in running(checkout, on, state(member, enabled=False))
    assert member in running(checkout, on, state(member, enabled=None))


def test_a_suspended_rule_still_counts_as_one_that_runs(checkout: Checkout) -> None:
    name = next(iter(running(checkout, FOLDER, {})))
    suspended = {name: RuleState(rule_id=name, suspended_us=1, reason="took too long")}
    assert name in running(checkout, FOLDER, suspended)


def test_scheduled_queries_are_decided_as_rules_are(checkout: Checkout) -> None:
    scheduled = {name for name, one in checkout.queries.items() if one.schedule}
    assert scheduled
    assert scheduled <= decisions(checkout, FOLDER, {}).keys()


def test_of_two_rules_of_one_id_the_one_in_the_first_folder_runs(checkout: Checkout) -> None:
    theirs = replace(FOLDER, id="theirs", name="theirs")
    found = shadowed([(FOLDER, checkout), (theirs, checkout)])
    assert found["mine"] == {}
    assert found["theirs"].keys() == decisions(checkout, theirs, {}).keys()
    assert set(found["theirs"].values()) == {"mine"}


def test_a_file_is_named_from_its_folder_wherever_the_checkout_begins(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / ".git").mkdir()
    (root / "w" / "my-rules").mkdir(parents=True)
    inner = RuleFolder(id="1", name="mine", path=str(root / "w" / "my-rules"))
    assert inner.named("w/my-rules/fails.py:2: it has an error") == "mine/fails.py:2: it has an error"
    assert inner.named("helpers/a.py:2: it has an error") == f"{root}/helpers/a.py:2: it has an error"
    assert inner.named_error("no (key) (w/my-rules/fails.py:2)") == "no (key) (mine/fails.py:2)"
    assert inner.named_error("w/my-rules/fails.py:2: bad syntax") == "mine/fails.py:2: bad syntax"
    assert inner.named_error("no place: here (or there)") == "no place: here (or there)"
    assert RuleFolder(id="2", name="all", path=str(root)).named("w/a.yml:1: x") == "all/w/a.yml:1: x"


def test_the_built_in_folder_lies_in_the_package() -> None:
    assert Path(BUILT_IN.path).parts[-3:] == ("content", "rules", "wiz")
    assert BUILT_IN.is_built_in
    assert not FOLDER.is_built_in
