"""Which matches a correlation rule looks at, and what it finds in them however late they land."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ocelog.alert.judged import Judgement
from ocelog.app.loops import correlating
from ocelog.app.loops.correlating import Correlator, TooMuchError
from ocelog.detect.rule import About, Correlation, CorrelationRule, CorrelationStep, Place, Schedule, Transition
from ocelog.model import table_name
from ocelog.schema.columns.table import MATCH_SCHEMA
from ocelog.times import to_us

NOW = datetime(2026, 3, 25, 12, tzinfo=UTC)
AUDIT, ISSUES = "Wiz.Audit", "Wiz.Issues"
TABLE = table_name(AUDIT)


@dataclass
class Matches:
    """A lake that holds matches, and the events that they are of. Fits MatchReader."""

    schemas: Mapping[str, pa.Schema] = field(
        default_factory=lambda: {TABLE: pa.schema([("user", pa.struct([("id", pa.string())]))])}
    )
    found: list[dict[str, Any]] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)
    read: list[list[str]] = field(default_factory=list)
    """Which issues were read, each time."""

    def put(
        self,
        rule: str,
        minute: float,
        user: str = "dana",
        *,
        landed: datetime = NOW,
        log_type: str = AUDIT,
        source: str = "s-1",
        context: str | None = None,
    ) -> str:
        """Let `rule` have matched what `user` did so many minutes before now."""
        name = f"{rule} {minute} {user}"
        self.users[name] = user
        row = dict.fromkeys(MATCH_SCHEMA.names)
        row |= {"p_row_id": name, "event_row_id": name, "rule_id": rule, "p_log_type": log_type, "p_source_id": source}
        row["alert_context"] = context
        row |= {"p_event_time": NOW - timedelta(minutes=minute), "p_parse_time": landed}
        self.found.append(row)
        return name

    def matches(
        self, rules: Collection[str], by: str, *, since_us: int, until_us: int | None = None, most_bytes: int
    ) -> pa.Table:
        assert most_bytes
        rows = pa.Table.from_pylist(self.found, MATCH_SCHEMA)
        rows = rows.filter(pc.is_in(rows.column("rule_id"), pa.array(sorted(rules), pa.string())))
        kept = [since_us <= to_us(at) <= (until_us or 2**62) for at in rows.column(by).to_pylist()]
        return rows.filter(pa.array(kept, pa.bool_()))

    def rows(self, table: str, row_ids: Collection[str], columns: Collection[str]) -> dict[str, dict[str, Any]]:
        if table == table_name(ISSUES):
            self.read.append(sorted(row_ids))
            return {name: dict.fromkeys(columns, f"https://app.wiz.io/issues#{name}") for name in row_ids}
        return {name: {"user": {"id": self.users[name]}} for name in row_ids}


def rule_of(*names: str, absent: Collection[str] = (), match: str = "user.id") -> CorrelationRule:
    steps = tuple(CorrelationStep(id=name, rule=name, absent=name in absent) for name in names)
    joined = tuple(
        Transition(id=f"{a}{b}", start=a, end=b, within_minutes=60, match=((match, match),))
        for a, b in zip(names, names[1:], strict=False)
    )
    both = Correlation(
        steps=steps, is_sequence=True, transitions=joined, lookback_minutes=60, schedule=Schedule(rate_minutes=60)
    )
    return CorrelationRule(about=About(id="together", place=Place("r.yml", 1)), correlations=(both,))


def find(
    lake: Matches,
    rule: CorrelationRule,
    *,
    others: Collection[str] = (),
    hours: float = 1,
    sources: Mapping[str, str] = {"s-1": "prod"},
) -> Judgement:
    fired_us = to_us(NOW - timedelta(hours=hours))
    judged, found = Correlator(lake=lake).find(
        rule, "1", others=others, fired_us=fired_us, now_us=to_us(NOW), sources=sources
    )
    assert len(found.rows) == len(judged.events)
    return judged


def test_matches_of_one_person_in_order_belong_together() -> None:
    lake = Matches()
    lake.put("A", 30)
    lake.put("B", 20)
    lake.put("B", 10, "emil")
    (match,) = find(lake, rule_of("A", "B")).matches
    assert match.verdict.title == "together: dana"
    assert match.event.event_us == to_us(NOW - timedelta(minutes=20))


@pytest.mark.parametrize("path", ["p_alert_context.who.id", "$.p_alert_context.who.id", "who.id"])
def test_a_step_may_name_what_the_rule_says_in_its_alert_context(path: str) -> None:
    lake = Matches()
    lake.put("A", 30, context='{"who": {"id": "x"}}')
    lake.put("B", 20, "emil", context='{"who": {"id": "x"}}')
    lake.put("B", 10, context='{"who": {"id": "y"}}')
    lake.put("B", 5, context=None)
    assert [match.verdict.title for match in find(lake, rule_of("A", "B", match=path)).matches] == ["together: x"]


@pytest.mark.parametrize("text", ["[" * 600 + "]" * 600, '{"a":' * 900 + "1" + "}" * 900, r'["\ud800"]', '["'])
@pytest.mark.parametrize("path", ["p_alert_context.who", "who"])
def test_an_event_hides_nothing_by_text_that_looks_like_json(text: str, path: str) -> None:
    lake = Matches()
    for rule, minute in (("A", 30), ("B", 20)):
        lake.put(rule, minute, context=json.dumps({"who": "x", "agent": text}))
    lake.put("B", 10, context=json.dumps({"who": text}))
    lake.put("B", 5, context=text)
    assert [match.verdict.title for match in find(lake, rule_of("A", "B", match=path)).matches] == ["together: x"]


def test_matches_of_a_source_that_was_removed_belong_to_nothing() -> None:
    lake = Matches()
    lake.put("A", 30, source="removed")
    lake.put("B", 20)
    lake.put("A", 10)
    lake.put("B", 5, source="removed")
    assert find(lake, rule_of("A", "B")).matches == []


def test_what_is_found_names_the_sources_of_all_that_belongs_together() -> None:
    lake = Matches()
    lake.put("A", 30, source="s-2")
    lake.put("B", 20)
    lake.put("B", 10, "emil", source="s-3")
    found = find(lake, rule_of("A", "B"), sources=dict.fromkeys(("s-1", "s-2", "s-3"), "prod"))
    assert [each.event.source_id for each in found.matches] == ["s-1"]
    assert set(found.names_sources) == {"s-1", "s-2"}


def test_an_alert_links_to_the_page_of_the_last_event_that_has_one() -> None:
    both = Correlation(
        steps=(CorrelationStep(id="A", rule="A"), CorrelationStep(id="B", rule="B")),
        is_sequence=False,
        schedule=Schedule(rate_minutes=60),
    )
    rule = CorrelationRule(about=About(id="together", place=Place("r.yml", 1)), correlations=(both,))
    lake = Matches()
    lake.put("A", 30)
    lake.put("B", 20)
    assert [event.link for event in find(lake, rule).events] == [None], "an entry of the audit log has no page"
    lake.found.clear()
    lake.put("A", 30, log_type=ISSUES)
    last = lake.put("A", 29, log_type=ISSUES)
    lake.put("B", 20)
    assert [event.link for event in find(lake, rule).events] == [f"https://app.wiz.io/issues#{last}"]
    assert lake.read == [[last]], "each table is read once"


def test_a_match_that_lands_days_after_its_event_is_put_beside_those_of_then() -> None:
    lake = Matches()
    long_ago = NOW - timedelta(days=3)
    lake.put("A", 3 * 1440 + 30, landed=long_ago)
    assert find(lake, rule_of("A", "B")).matches == []
    lake.put("B", 3 * 1440 + 10)
    (match,) = find(lake, rule_of("A", "B")).matches
    # When it happened decides whether it is news, and an earlier finding beside it hides nothing.
    assert match.event.news_us == to_us(NOW - timedelta(days=3, minutes=10))


def test_the_same_members_are_the_same_match_in_each_run() -> None:
    lake = Matches()
    lake.put("A", 30)
    lake.put("B", 20)
    first, again = find(lake, rule_of("A", "B")), find(lake, rule_of("A", "B"), hours=2)
    assert [match.id for match in first.matches] == [match.id for match in again.matches]


def test_what_correlation_rules_found_is_not_looked_at() -> None:
    lake = Matches()
    lake.put("A", 30)
    lake.put("together", 20)
    rule = rule_of("A", "together")
    assert len(find(lake, rule).matches) == 1
    assert find(lake, rule, others=["together"]).matches == []


def test_what_must_be_absent_is_waited_for() -> None:
    lake = Matches()
    rule = rule_of("A", "C", absent=["C"])
    lake.put("A", 30, landed=NOW - timedelta(minutes=30))
    assert find(lake, rule).matches == []
    lake.found[0]["p_event_time"] -= timedelta(hours=1)
    lake.found[0]["p_parse_time"] -= timedelta(hours=1)
    assert len(find(lake, rule, hours=0.1).matches) == 1


def left(judged: Judgement) -> tuple[str, list[str]]:
    """Return what the error of a run says, and which matches it left out."""
    (error,) = judged.errors
    assert error.type == "TooMuch"
    assert {event.source_id for event in error.events} == {""}
    return error.message, sorted(event.row_id for event in error.events)


def test_a_run_without_time_says_that_it_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlating, "_MOST_SECONDS", -1.0)
    lake = Matches()
    lake.put("A", 30)
    with pytest.raises(TooMuchError, match="reading the matches"):
        find(lake, rule_of("A", "B"))


def test_a_run_that_takes_too_long_says_what_it_found_of_the_newest_and_what_it_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake = Matches()
    for at, user in enumerate(("dana", "emil", "finn", "gus")):
        lake.put("A", 31 + at, user)
        lake.put("B", 30 + at, user)
    monkeypatch.setattr(correlating, "_MOST_SECONDS", 8.5)
    ticks = iter(range(1_000))
    said, found = Correlator(lake=lake, monotonic=lambda: float(next(ticks))).find(
        rule_of("A", "B"), "1", others=(), fired_us=to_us(NOW), now_us=to_us(NOW), sources={"s-1": "prod"}
    )
    assert [match.verdict.title for match in said.matches] == ["together: dana"]
    assert len(found.rows) == 1
    message, names = left(said)
    assert "took more than 8.5 s" in message
    assert names == ["A 32 emil", "A 33 finn", "A 34 gus", "B 31 emil", "B 32 finn", "B 33 gus"]
    assert next(ticks) < 12, "it ended amid one person's matches"


def test_a_run_that_may_hold_no_more_says_what_it_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Matches()
    lake.put("A", 6, "emil")
    lake.put("B", 5, "emil")
    for minute in range(20):
        lake.put("A", 30 + minute)
        lake.put("B", 30 - minute)
    assert len(find(lake, rule_of("A", "B")).matches) == 2
    monkeypatch.setattr(correlating, "_MOST_HELD", 30)
    said = find(lake, rule_of("A", "B"))
    assert [match.verdict.title for match in said.matches] == ["together: emil"]
    message, names = left(said)
    assert "can hold" in message
    assert len(names) == 40


@pytest.mark.parametrize(("bound", "most"), [("_MOST_ROWS", 6), ("_MOST_BYTES", 20_000)])
def test_a_run_that_may_read_no_more_looks_at_the_newest_matches(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    lake = Matches()
    for minute in range(20):
        lake.put("A", 30 + minute, "emil")
    lake.put("A", 3)
    lake.put("B", 2)
    said = find(lake, rule_of("A", "B"))
    assert [match.verdict.title for match in said.matches] == ["together: dana"]
    assert not said.errors
    monkeypatch.setattr(correlating, bound, most)
    said = find(lake, rule_of("A", "B"))
    assert [match.verdict.title for match in said.matches] == ["together: dana"]
    if bound == "_MOST_ROWS":
        message, names = left(said)
        assert "more than 6 matches" in message
        # Those that were read lie less than two windows from what was not.
        assert len(names) == 22


def test_what_was_not_read_is_not_taken_for_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Matches()
    for minute in range(10):
        lake.put("A", 200 + minute)
    monkeypatch.setattr(correlating, "_MOST_ROWS", 5)
    said = find(lake, rule_of("C", "A", absent=["C"]))
    assert said.matches == []
    assert len(left(said)[1]) == 10


def test_one_instant_of_which_there_is_too_much_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Matches()
    lake.put("A", 3)
    monkeypatch.setattr(correlating, "_MOST_BYTES", 50)
    with pytest.raises(TooMuchError, match="one instant"):
        find(lake, rule_of("A", "B"))


def test_a_look_at_the_past_that_is_too_much_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Matches()
    for minute in range(20):
        lake.put("A", 30 + minute)
    monkeypatch.setattr(correlating, "_MOST_ROWS", 10)
    with pytest.raises(TooMuchError, match="more than 10 matches"):
        Correlator(lake=lake).find_past(
            rule_of("A", "B"), "1", others=(), since_us=to_us(NOW - timedelta(hours=2)), until_us=to_us(NOW),
            now_us=to_us(NOW), sources={}, told=[set()],
        )  # fmt: skip


def one_person(many: int) -> Matches:
    """Logins that fail, of one person, and two that do not."""
    lake = Matches()
    for at in range(many - 2):
        lake.put("A", 20 + 200 * at / many)
    lake.put("B", 120)
    lake.put("B", 19)
    return lake


def many_people(many: int) -> Matches:
    lake = Matches()
    for at in range(many // 10):
        for minute in range(9):
            lake.put("A", 30 + 2000 * at / many + minute, f"user-{at}")
        lake.put("B", 29 + 2000 * at / many, f"user-{at}")
    return lake


@pytest.mark.slow
@pytest.mark.parametrize("of", [one_person, many_people])
def test_a_flood_of_matches_costs_steps_in_proportion_to_it(of: Callable[[int], Matches]) -> None:
    lake, looks = of(20_000), count()
    said, _ = Correlator(lake=lake, monotonic=lambda: next(looks) / 1e6).find(
        rule_of("A", "B"), "1", others=(), fired_us=to_us(NOW), now_us=to_us(NOW), sources={"s-1": "prod"}
    )
    assert not said.errors
    assert len(said.matches) >= 2
    # It looks at the clock with each step.
    assert next(looks) < 3 * 20_000
