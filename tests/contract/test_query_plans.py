"""Many statements are planned by few messages to one child, and each is told what is wrong with it alone."""

# ruff: noqa: S608 - the statements are the tests' own

from collections.abc import Iterator
from pathlib import Path

import pytest

from ocelog.app.log_types import table_schemas
from ocelog.app.rules import query_checks
from ocelog.app.rules.query_checks import query_faults
from ocelog.app.search.ledger_views import ledger_schemas
from ocelog.detect.rule import Place, Query
from ocelog.lake.query import plans as planned_by
from ocelog.lake.query.engine import Run
from ocelog.lake.query.plans import Planned, Plans, planning
from ocelog.lake.read.saved_views import saved_views
from ocelog.sandbox.child import Child

GOOD = "SELECT count(*) FROM wiz_audit, open_issues WHERE action = 'a{}'"
BAD = {
    "SELECT nosuch FROM wiz_audit": "There is no column nosuch",
    "SELECT * FROM wiz_audits": "There is no table 'wiz_audits'; did you mean 'wiz_audit'?",
    "SELECT * FROM panther_logs.public.wiz_audit": "'panther_logs.public.wiz_audit'; did you mean 'wiz_audit'?",
    "-- said first\nSELECT * FORM wiz_audit": "LINE 2",
    "SELECT nofunction(1)": "There is no function 'nofunction'",
    "DROP TABLE wiz_audit": "found DROP",
    "SELECT 1; SELECT 2": "found 2 statements",
    "": "found no statement",
    "SELECT '\ud83d'": "",
    "SELECT '\0'": "NUL",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000: "depth",
    "SELECT '" + "x" * 1_000_000 + "'": "1,000,009 characters",
}
POISON = "SELECT 'poison'"


class Sent(list[tuple[str, int]]):
    """What went to children: of each message its kind and its size."""

    def plans(self) -> list[int]:
        return [size for kind, size in self if kind == "plan"]


@pytest.fixture
def plans() -> Iterator[Plans]:
    with planning(table_schemas(), ledger_schemas(), saved_views()) as found:
        yield found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    found, send = Sent(), Child.send

    def counted(self: Child, kind: str, payload: bytes | memoryview = b"", deadline: float | None = None) -> None:
        found.append((kind, len(payload)))
        send(self, kind, payload, deadline)

    monkeypatch.setattr(Child, "send", counted)
    return found


def told(found: Planned) -> tuple[frozenset[str], str | None, str | None, str | None]:
    error = found.error
    return (found.tables, None, None, None) if error is None else (found.tables, str(error), error.code, error.column)


def test_many_are_planned_by_few_messages_and_a_bad_one_spoils_no_other(plans: Plans, sent: Sent) -> None:
    statements = list(BAD)
    for number in range(120):
        statements.insert(number * 2, GOOD.format(number))
    found = dict(zip(statements, plans.plan(statements), strict=True))
    assert len(sent.plans()) <= 4
    assert {kind for kind, _ in sent if kind in {"check", "plan"}} == {"check", "plan"}
    assert len([kind for kind, _ in sent if kind == "check"]) == 1
    for sql, why in BAD.items():
        assert found[sql].error is not None
        assert why in str(found[sql].error)
    assert {found[sql].tables for sql in statements if sql not in BAD} == {frozenset({"wiz_audit", "open_issues"})}
    assert all(found[sql].error is None for sql in statements if sql not in BAD)
    # Each by itself is told the same.
    for sql in (*BAD, GOOD.format(0)):
        (alone,) = plans.plan([sql])
        assert told(alone) == told(found[sql])


def test_a_message_is_bounded_in_bytes(plans: Plans, sent: Sent) -> None:
    long = [f"SELECT {number}, '{'ü' * 20_000}' FROM wiz_audit" for number in range(9)]
    assert all(each.error is None for each in plans.plan([*long, f"SELECT '{'x' * 400_000}'", *long[:1]]))
    assert len(sent.plans()) == 7
    assert sorted(sent.plans())[-2] < 260_000


@pytest.mark.parametrize("at", [0, 7, 29])
def test_what_ends_the_child_is_told_so_and_no_other(monkeypatch: pytest.MonkeyPatch, plans: Plans, at: int) -> None:
    plan, begun = Run.plan, list[Run]()

    def deadly(self: Run, statements: list[str], names: list[str], macros: list[str]) -> object:
        begun.append(self)
        if POISON in statements:
            self._child.kill()
        return plan(self, statements, names, macros)

    monkeypatch.setattr(Run, "plan", deadly)
    statements = [GOOD.format(number) for number in range(30)]
    statements[at] = POISON
    found = list(plans.plan(statements))
    assert [number for number, each in enumerate(found) if each.error is not None] == [at]
    assert "its process ended" in str(found[at].error)
    assert not found[at].is_lasting
    assert len({id(each) for each in begun}) <= 4


def test_a_child_that_others_have_worn_out_is_no_fault_of_a_statement(
    monkeypatch: pytest.MonkeyPatch, plans: Plans
) -> None:
    monkeypatch.setattr(planned_by, "_MOST_STATEMENTS", 5)
    found = list[Planned]()
    for each in plans.plan(GOOD.format(number) for number in range(20)):
        found.append(each)
        if len(found) in {3, 12} and plans._run is not None:
            plans._run._child.kill()
    assert [each.error for each in found] == [None] * 20


def test_the_rest_is_not_taken_for_answers_to_others(plans: Plans) -> None:
    assert next(iter(plans.plan([GOOD.format(0), *BAD]))).error is None
    (found,) = plans.plan(["SELECT 1"])
    assert found == Planned()


def test_a_text_is_planned_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: Sent) -> None:
    monkeypatch.setattr(query_checks, "_REMEMBERED", {})
    place = Place("a.yml", 1)
    texts = [GOOD.format(1), GOOD.format(1), "SELECT actionn FROM wiz_audit", "SELECT actionn FROM wiz_audit"]
    queries = [Query(name=f"q{at}", sql={"sql": text}, place=place) for at, text in enumerate(texts)]
    first = query_faults(queries, tmp_path)
    assert [(each.query, each.why) for each in first] == [
        (name, "there is no column 'actionn'; did you mean 'action'?") for name in ("q2", "q3")
    ]
    assert len(query_checks._REMEMBERED) == 2
    sent.clear()
    assert query_faults(queries, tmp_path) == first
    assert sent == []
    query_faults([*queries, Query(name="new", sql={"sql": "SELECT 17"}, place=place)], tmp_path)
    assert len(sent.plans()) == 1
    monkeypatch.setattr(query_checks, "_MOST_REMEMBERED", 3)
    query_faults([Query(name="newer", sql={"sql": "SELECT 18"}, place=place)], tmp_path)
    assert len(query_checks._REMEMBERED) == 1


def test_what_a_child_ended_over_is_planned_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(query_checks, "_REMEMBERED", {})
    plan = Run.plan

    def deadly(self: Run, statements: list[str], names: list[str], macros: list[str]) -> object:
        self._child.kill()
        return plan(self, statements, names, macros)

    query = Query(name="q", sql={"sql": "SELECT 19"}, place=Place("a.yml", 1))
    with monkeypatch.context() as mortal:
        mortal.setattr(Run, "plan", deadly)
        assert [each.query for each in query_faults([query], tmp_path)] == ["q"]
    assert query_faults([query], tmp_path) == []
