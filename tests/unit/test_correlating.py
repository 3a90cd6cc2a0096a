"""Which matches a correlation rule looks at, and what it finds in them however late they land."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ocelog.alert.judged import Judged
from ocelog.app.loops import correlating
from ocelog.app.loops.correlating import Correlator, TooMuchError
from ocelog.detect.rule import About, Correlation, CorrelationRule, Place, Schedule, Step, Transition
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
        self, rule: str, minute: float, user: str = "dana", *, landed: datetime = NOW, log_type: str = AUDIT
    ) -> str:
        """Let `rule` have matched what `user` did so many minutes before now."""
        name = f"{rule} {minute} {user}"
        self.users[name] = user
        row = dict.fromkeys(MATCH_SCHEMA.names)
        row |= {"p_row_id": name, "event_row_id": name, "rule_id": rule, "p_log_type": log_type, "p_source_id": "s-1"}
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


def rule_of(*names: str, absent: Collection[str] = ()) -> CorrelationRule:
    steps = tuple(Step(id=name, rule=name, absent=name in absent) for name in names)
    joined = tuple(
        Transition(id=f"{a}{b}", start=a, end=b, within_minutes=60, match=(("user.id", "user.id"),))
        for a, b in zip(names, names[1:], strict=False)
    )
    correlation = Correlation(
        steps=steps, is_sequence=True, transitions=joined, lookback_minutes=60, schedule=Schedule(rate_minutes=60)
    )
    return CorrelationRule(about=About(id="together", place=Place("r.yml", 1)), correlations=(correlation,))


def find(lake: Matches, rule: CorrelationRule, *, others: Collection[str] = (), hours: float = 1) -> Judged:
    fired_us = to_us(NOW - timedelta(hours=hours))
    judged, found = Correlator(lake=lake).find(
        rule, "1", others=others, fired_us=fired_us, now_us=to_us(NOW), sources={"s-1": "prod"}
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


def test_an_alert_links_to_the_page_of_the_last_event_that_has_one() -> None:
    correlation = Correlation(
        steps=(Step(id="A", rule="A"), Step(id="B", rule="B")), is_sequence=False, schedule=Schedule(rate_minutes=60)
    )
    rule = CorrelationRule(about=About(id="together", place=Place("r.yml", 1)), correlations=(correlation,))
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


def test_a_run_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlating, "_MOST_SECONDS", -1.0)
    lake = Matches()
    lake.put("A", 30)
    with pytest.raises(TooMuchError, match="1 matches"):
        find(lake, rule_of("A", "B"))


def test_a_run_that_takes_too_long_ends_amid_one_match(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Matches()
    for minute in range(20):
        lake.put("A", 31 + minute, landed=NOW - timedelta(days=1))
        lake.put("B", 30 - minute, landed=NOW - timedelta(days=1))
    lake.put("B", 30.5)
    ticks = iter(range(1_000))
    monkeypatch.setattr(correlating, "_MOST_SECONDS", 10.0)
    with pytest.raises(TooMuchError, match="took more than 10 s"):
        Correlator(lake=lake, monotonic=lambda: float(next(ticks))).find(
            rule_of("A", "B"), "1", others=(), fired_us=to_us(NOW), now_us=to_us(NOW), sources={}
        )
    assert next(ticks) == 12


@pytest.mark.parametrize(
    ("bound", "most", "told"), [("_MOST_HELD", 100, "can hold"), ("_MOST_ROWS", 39, "39"), ("_MOST_BYTES", 500, "500")]
)
def test_more_matches_than_a_run_can_hold_are_an_error(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int, told: str
) -> None:
    lake = Matches()
    for minute in range(20):
        lake.put("A", 30 + minute)
        lake.put("B", 30 - minute)
    assert len(find(lake, rule_of("A", "B")).matches) == 1
    monkeypatch.setattr(correlating, bound, most)
    with pytest.raises(TooMuchError, match=told):
        find(lake, rule_of("A", "B"))
