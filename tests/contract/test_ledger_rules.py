"""Folders of rules are registered once, and what a person decided of a rule stays decided."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import insert

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import everything
from bookkeeping.records import Clock
from ocelog.detect.folders import BUILT_IN, RuleFailures, RuleFolder, RuleState, RuleTrouble
from ocelog.errors import ConfigError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger

MINE = RuleFolder(id="one", name="mine", path="/srv/rules", network=True)


def added(ledger: Ledger, clock: Clock) -> list[RuleFolder]:
    ledger.rules.add(MINE)
    clock.now += timedelta(seconds=1)
    ledger.rules.add(replace(MINE, id="another", name="theirs", path="/srv/more", network=False, unprotected=True))
    return ledger.rules.folders()


def test_the_built_in_folder_is_always_there_and_comes_first(ledger: Ledger, clock: Clock) -> None:
    assert ledger.rules.folders() == [BUILT_IN]
    assert [each.name for each in added(ledger, clock)] == ["wiz", "mine", "theirs"]
    assert ledger.rules.folders()[0].is_built_in


def test_a_folder_is_kept_as_it_was_registered(ledger: Ledger, other: Ledger, clock: Clock) -> None:
    _, mine, theirs = added(ledger, clock)
    assert mine == replace(MINE, added_us=mine.added_us)
    assert theirs.unprotected
    assert not theirs.network
    assert mine.added_us < theirs.added_us
    assert other.rules.folders() == ledger.rules.folders()


@pytest.mark.parametrize(
    "folder",
    [
        replace(MINE, id="two", path="/srv/more"),
        replace(MINE, id="two", name="other"),
        replace(MINE, name="wiz", path="/srv/more"),
    ],
)
def test_a_name_or_a_path_that_is_taken_is_refused(ledger: Ledger, folder: RuleFolder) -> None:
    ledger.rules.add(MINE)
    with pytest.raises(ConfigError, match="already"):
        ledger.rules.add(folder)
    assert len(ledger.rules.folders()) == 2


def test_packs_are_turned_one_by_one_also_those_of_the_built_in_folder(ledger: Ledger) -> None:
    ledger.rules.add(MINE)
    for folder in (MINE, BUILT_IN):
        ledger.rules.turn_packs(folder.id, {"Quiet": True, "Loud": True})
        ledger.rules.turn_packs(folder.id, {"Loud": False})
    built_in, mine = ledger.rules.folders()
    assert built_in == replace(BUILT_IN, packs={"Quiet": True, "Loud": False})
    assert mine.packs == built_in.packs
    with pytest.raises(ConfigError, match="not registered any more"):
        ledger.rules.turn_packs("gone", {"Loud": True})


def test_what_a_person_decided_stays_until_it_is_taken_back(ledger: Ledger) -> None:
    ledger.rules.enable(["A", "B"], enabled=True)
    ledger.rules.enable(["B", "C"], enabled=False)
    assert {name: state.enabled for name, state in ledger.rules.states().items()} == {"A": True, "B": False, "C": False}
    ledger.rules.enable(["A", "C"], enabled=None)
    assert ledger.rules.states() == {"B": RuleState(rule_id="B", enabled=False)}


def test_a_rule_is_suspended_once_and_asked_again_when_a_person_enables_it(ledger: Ledger, clock: Clock) -> None:
    ledger.rules.enable(["A"], enabled=True)
    assert ledger.rules.suspend("A", "took more than 60 s\x00")
    since = ledger.rules.states()["A"]
    clock.now += timedelta(seconds=60)
    assert not ledger.rules.suspend("A", "again")
    assert ledger.rules.states()["A"] == since
    assert (since.enabled, since.reason) == (True, "took more than 60 s\ufffd")
    assert since.suspended_us is not None
    ledger.rules.enable(["A"], enabled=True)
    assert ledger.rules.states() == {"A": RuleState(rule_id="A", enabled=True)}
    assert ledger.rules.suspend("B", "raised")
    ledger.rules.enable(["B"], enabled=None)
    assert list(ledger.rules.states()) == ["A"]


def test_a_removed_folder_takes_along_what_was_decided_of_its_rules(ledger: Ledger) -> None:
    ledger.rules.add(MINE)
    ledger.rules.enable(["A", "B"], enabled=False)
    ledger.rules.remove(MINE.id, ["A"])
    assert ledger.rules.folders() == [BUILT_IN]
    assert list(ledger.rules.states()) == ["B"]
    ledger.rules.add(MINE)


def test_a_crash_at_any_statement_changes_nothing(ledger: Ledger) -> None:
    assert crash_everywhere(ledger, lambda: ledger.rules.add(MINE)) >= 2
    assert crash_everywhere(ledger, lambda: ledger.rules.turn_packs(BUILT_IN.id, {"Loud": False})) >= 3
    assert crash_everywhere(ledger, lambda: ledger.rules.enable(["A", "B"], enabled=False)) >= 3
    assert crash_everywhere(ledger, lambda: ledger.rules.remove(MINE.id, ["A"])) >= 3


def noted(ledger: Ledger, rule: str, noted_us: int, rows: int = 3, reason: str = "suspended") -> None:
    values = {"table_name": "wiz_audit", "source_id": "acme", "first_row_id": "x", "first_us": 5, "last_us": 5 + rows}
    with ledger._database.write() as tx:
        tx.execute(insert(tables.unjudged).values(**values, rule_id=rule, rows=rows, reason=reason, noted_us=noted_us))


def test_what_was_left_unjudged_is_put_together_and_dismissed_as_far_as_it_was_seen(ledger: Ledger) -> None:
    noted(ledger, "A", 10)
    noted(ledger, "A", 20, rows=4)
    noted(ledger, "A", 20, reason="took too long")
    noted(ledger, "B", 20)
    noted(ledger, "", 20, rows=9, reason="parts are gone")
    assert [(each.rule_id, each.reason, each.rows) for each in ledger.rules.unjudged()] == [
        ("", "parts are gone", 9),
        ("A", "suspended", 7),
        ("A", "took too long", 3),
        ("B", "suspended", 3),
    ]
    whole, first, _ = ledger.rules.unjudged("A")
    assert whole.rule_id == ""
    assert (first.first_us, first.last_us, first.noted_us, first.table) == (5, 9, 20, "wiz_audit")
    noted(ledger, "B", 30, rows=1)
    assert ledger.rules.dismiss_unjudged("B", noted_until_us=20) == 3
    assert [(each.rule_id, each.rows) for each in ledger.rules.unjudged("B")] == [("", 9), ("B", 1)]
    assert ledger.rules.dismiss_unjudged(None, noted_until_us=30) == 20
    assert ledger.rules.unjudged() == []
    assert ledger.rules.dismiss_unjudged(None, noted_until_us=30) == 0


def test_what_is_wrong_with_rules_is_as_it_was_noted_last(ledger: Ledger) -> None:
    one = RuleTrouble(folder_id="f", rule_id="A", reason="a.yml:3: there is no field 'x'")
    whole = RuleTrouble(folder_id="g", rule_id="", reason="it is gone")
    ledger.rules.note_troubles([whole, one])
    assert ledger.rules.troubles() == [one, whole]
    worse = replace(one, reason="a.yml:4: there is no field 'y'")
    crash_everywhere(ledger, lambda: ledger.rules.note_troubles([worse, whole]))
    assert ledger.rules.troubles() == [worse, whole]
    before = everything(ledger)
    ledger.rules.note_troubles([whole, worse])
    assert everything(ledger) == before, "what is known already was noted again"
    ledger.rules.remove("f", [])
    assert ledger.rules.troubles() == [whole]


def test_how_rules_failed_is_kept_for_the_next_process(ledger: Ledger, other: Ledger) -> None:
    once, twice = RuleFailures(revision="1", spent=1), RuleFailures(revision="1", spent=3, failed=2)
    ledger.rules.count_failures({"A": (None, once), "B": (None, once)})
    assert other.rules.failures() == {"A": once, "B": once}
    other.rules.count_failures({"A": (once, twice), "B": (once, None), "C": (None, None)})
    assert ledger.rules.failures() == {"A": twice}


@pytest.mark.parametrize("decision", ["enabled", "disabled", "default", "suspended", "removed", "others"])
def test_how_a_rule_failed_is_forgotten_once_somebody_decides_about_it(ledger: Ledger, decision: str) -> None:
    once = RuleFailures(revision="1", spent=1)
    ledger.rules.add(MINE)
    ledger.rules.count_failures({"A": (None, once), "B": (None, once)})
    match decision:
        case "enabled" | "disabled" | "default":
            wanted = {"enabled": True, "disabled": False, "default": None}
            ledger.rules.enable(["A"], enabled=wanted[decision])
        case "suspended":
            ledger.rules.suspend("A", "it hangs")
        case "removed":
            ledger.rules.remove(MINE.id, ["A"])
        case _:
            ledger.rules.forget_failures(["B"])
    assert ledger.rules.failures() == {"B": once}
    # Of a batch that was judged meanwhile.
    ledger.rules.count_failures({"A": (once, RuleFailures(revision="1", spent=3))})
    assert ledger.rules.failures() == {"B": once}
