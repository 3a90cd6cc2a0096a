"""Alerts are listed, changed by people, kept quiet and forgotten; whatever happens to them is on their timeline."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, event, func, insert, inspect, select, update

from bookkeeping.alerts import DAY_US, HOUR_US, NOW_US, alert_of, channel, opened, told
from bookkeeping.crashes import Crash, crash_everywhere, crashing_at
from bookkeeping.races import at_once
from bookkeeping.records import TABLE, Clock, part, planned, slice_of, source_row
from ocelog.alert import changes
from ocelog.alert.alert import ENDED, OPEN, Alert
from ocelog.alert.changes import CloseReason
from ocelog.alert.delivery.routing import ChannelRow, Routing
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.ids import ONBOARDED, alert_id, group_key
from ocelog.alert.listing import AlertFilter, AlertOrder, place_of
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.search import alert_tables
from ocelog.app.search.ledger_views import ledger_schemas
from ocelog.errors import ConfigError
from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts, landing
from ocelog.model import Severity
from ocelog.times import from_us

ESCALATES = Routing(escalate_after=timedelta(hours=1))


def found(ledger: Ledger, **wanted: object) -> list[int]:
    listed = ledger.alerts.listed(AlertFilter(**wanted), limit=100)  # type: ignore[arg-type] # tests name fields
    assert ledger.alerts.count(AlertFilter(**wanted), most=100) == len(listed)  # type: ignore[arg-type] # tests name fields
    return [int(each.id, 16) for each in listed]


def now(ledger: Ledger, alert: Alert) -> Alert:
    details = ledger.alerts.details(alert.id)
    assert details is not None
    return details.alert


def timeline(ledger: Ledger, alert: Alert) -> list[tuple[str, str, str]]:
    details = ledger.alerts.details(alert.id)
    assert details is not None
    return [(each.who, each.what, each.detail) for each in details.timeline]


def rows(ledger: Ledger, table: str) -> int:
    with ledger._database.read() as tx:
        return tx.execute(select(func.count()).select_from(tables.metadata.tables[table])).scalar_one()


def test_alerts_are_found_by_what_a_person_knows_of_them(ledger: Ledger) -> None:
    opened(
        ledger,
        alert_of(1, severity=Severity.LOW, title="100% of _it_ is Öffentlich"),
        alert_of(2, type=AlertType.SYSTEM_ERROR, rule_id="SOURCE_NO_DATA", log_type=None),
        alert_of(3, status=AlertStatus.CLOSED, ended_us=NOW_US, assignee="ann"),
        alert_of(4, source_id="other", record_id="i-7", status=AlertStatus.TRIAGED),
        alert_of(5, to_be_told=False),
        alert_of(6, to_be_told=False, acknowledged_us=NOW_US),
    )
    assert found(ledger) == [6, 4, 3, 2, 1]
    assert found(ledger, untold=True) == [6, 5, 4, 3, 2, 1]
    assert found(ledger, statuses=frozenset({AlertStatus.OPEN, AlertStatus.TRIAGED})) == [6, 4, 2, 1]
    assert found(ledger, severities=frozenset({Severity.LOW})) == [1]
    assert found(ledger, types=frozenset({AlertType.SYSTEM_ERROR})) == [2]
    assert found(ledger, rule="wiz.*.public") == [6, 4, 3, 1]
    assert found(ledger, rule="SOURCE_NO_DATA") == [2]
    assert found(ledger, rule="SOURCE?NO?DATA") == []
    assert found(ledger, source_ids=frozenset({"other"})) == [4]
    assert found(ledger, log_type="Wiz.Issues", record_id="i-7") == [4]
    assert found(ledger, assignee="ann") == [3]
    assert found(ledger, assignee="") == [6, 4, 2, 1]
    assert found(ledger, since_us=alert_of(4).opened_us) == [6, 4]
    assert found(ledger, text="100% of _IT_") == [1]
    assert found(ledger, text="bucket-4") == [4]
    assert found(ledger, text="%") == [1]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (AlertOrder.OPENED, [8, 7, 6, 5, 4, 3, 2, 1]),
        (AlertOrder.SEVERITY, [6, 3, 7, 4, 1, 8, 5, 2]),
        (AlertOrder.LAST_MATCH, [1, 4, 3, 2, 8, 7, 6, 5]),
    ],
)
def test_pages_of_alerts_hold_each_once_in_every_order(ledger: Ledger, order: AlertOrder, expected: list[int]) -> None:
    same, severities = alert_of(1).opened_us, (Severity.CRITICAL, Severity.MEDIUM, Severity.INFO)
    matched = {1: same + 99, 2: same + 50, 3: same + 50, 4: same + 50, 5: same - 9}
    opened(
        ledger,
        *(
            alert_of(
                n,
                opened_us=same if n < 5 else same + n,
                severity=severities[n % 3],
                last_event_us=matched.get(n),
            )
            for n in range(1, 9)
        ),
    )
    seen, after = list[Alert](), None
    while page := ledger.alerts.listed(AlertFilter(), limit=3, order=order, after=after):
        seen += page
        after = place_of(page[-1], order)
    assert [int(each.id, 16) for each in seen] == expected


def test_no_more_alerts_are_counted_than_are_asked_for(ledger: Ledger) -> None:
    opened(ledger, *(alert_of(n, to_be_told=n < 6) for n in range(1, 9)))
    assert [ledger.alerts.count(AlertFilter(), most=most) for most in (3, 5, 9)] == [3, 5, 5]
    assert [ledger.alerts.count_untold(AlertFilter(), most=most) for most in (2, 9)] == [2, 3]


def test_an_alert_is_named_by_how_its_id_begins(ledger: Ledger) -> None:
    one, other = replace(alert_of(1), id="abc" + "0" * 29), replace(alert_of(2), id="abf" + "9" * 29)
    opened(ledger, one, other)
    assert ledger.alerts.ids("abc", limit=2) == [one.id]
    assert ledger.alerts.ids("ab", limit=5) == [one.id, other.id]
    assert ledger.alerts.ids("ab", limit=1) == [one.id]
    assert ledger.alerts.ids(other.id, limit=5) == [other.id]
    assert ledger.alerts.ids("b", limit=5) == []


def test_a_change_is_on_the_timeline_and_told_to_those_who_were_told(ledger: Ledger) -> None:
    first, second, gone = channel(ledger, "first"), channel(ledger, "second"), "id-removed"
    alert, quiet = alert_of(1), alert_of(2)
    opened(ledger, alert, told=[first, gone])
    opened(ledger, quiet)
    with ledger._database.write() as tx:
        attempt = {"outbox_id": 9, "alert_id": alert.id, "happened": "opened", "at_us": 1, "answer": "200"}
        values = {"channel_id": second, "delivered": True, "final": True, "merged": 1}
        tx.execute(insert(tables.deliveries).values(attempt | values))
    act = changes.close(CloseReason.BENIGN, "planned", who="ann")
    assert [changed for _, changed in ledger.alerts.change([alert.id, quiet.id], act)] == [True, True]
    assert timeline(ledger, alert) == [("ocelog", "opened", ""), ("ann", "closed", "benign: planned")]
    assert told(ledger, alert.id)[2:] == [
        (first, "closed", "by ann: benign: planned"),
        (second, "closed", "by ann: benign: planned"),
    ]
    assert told(ledger, quiet.id) == []
    assert now(ledger, alert).status is AlertStatus.CLOSED
    assert [changed for _, changed in ledger.alerts.change([alert.id], changes.close(CloseReason.BENIGN, who="b"))] == [
        False
    ]
    assert len(timeline(ledger, alert)) == 2


def test_a_change_happens_whole_or_not_at_all(ledger: Ledger) -> None:
    opened(ledger, alert_of(1), alert_of(2), told=[channel(ledger, "first")])
    ids = [alert_of(1).id, alert_of(2).id]
    assert crash_everywhere(ledger, lambda: ledger.alerts.change(ids, changes.triage(who="ann"))) > 4


def test_of_several_alerts_all_change_or_none(ledger: Ledger) -> None:
    opened(ledger, alert_of(1), alert_of(2, status=AlertStatus.RESOLVED, ended_us=NOW_US))
    with pytest.raises(ConfigError, match="reopen"):
        ledger.alerts.change([alert_of(1).id, alert_of(2).id], changes.triage(who="ann"))
    with pytest.raises(ConfigError, match="any more"):
        ledger.alerts.change([alert_of(1).id, alert_of(3).id], changes.triage(who="ann"))
    assert now(ledger, alert_of(1)).status is AlertStatus.OPEN


def test_changes_at_the_same_time_take_turns(ledger: Ledger, other: Ledger) -> None:
    opened(ledger, alert_of(1), alert_of(2))
    ids = [alert_of(1).id, alert_of(2).id]
    calls = list[Callable[[], object]]()
    for n, (at, order) in enumerate([(ledger, ids), (other, ids[::-1])] * 5):
        calls.append(partial(at.alerts.change, order, changes.comment(f"no. {n}", who="ann")))
    outcomes = at_once(calls)
    assert all(isinstance(each, list) for each in outcomes), outcomes
    for alert in (alert_of(1), alert_of(2)):
        assert sorted(detail for _, what, detail in timeline(ledger, alert) if what == "comment") == [
            f"no. {n}" for n in range(10)
        ]
        assert now(ledger, alert).revision == 11


def test_an_alert_is_told_again_if_a_person_wants_that(ledger: Ledger) -> None:
    to, other = channel(ledger, "first"), channel(ledger, "second")
    opened(ledger, alert_of(1, to_be_told=False), told=[to, other])
    name = alert_of(1).id
    assert ledger.alerts.told_channels(name) == [to, other]
    ledger.alerts.resend([name], changes.resend("first", who="ann"), {name: [to]})
    assert told(ledger, name) == [(to, "opened", ""), (other, "opened", ""), (to, "resent", "")]
    assert timeline(ledger, alert_of(1))[-1] == ("ann", "resent", "first")
    assert now(ledger, alert_of(1)).to_be_told
    details = ledger.alerts.details(name)
    assert details is not None
    assert [each.channel for each in details.waiting] == ["first", "second", "first"]


def test_open_alerts_are_counted_by_severity(ledger: Ledger) -> None:
    low = Severity.LOW
    opened(ledger, alert_of(1), alert_of(2, severity=low), alert_of(3, severity=low, status=AlertStatus.TRIAGED))
    opened(ledger, alert_of(4, to_be_told=False), alert_of(5, severity=low, status=AlertStatus.RESOLVED, ended_us=1))
    counted = ledger.alerts.open()
    assert (counted.told, counted.untold) == ({Severity.HIGH: 1, low: 2}, 1)


def test_a_source_that_is_removed_ends_its_alerts(ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    to = channel(ledger, "first")
    opened(ledger, alert_of(1), alert_of(2, source_id="other"), told=[to])
    opened(ledger, alert_of(3, status=AlertStatus.CLOSED, ended_us=1, close_reason="benign"))
    ledger.sources.remove("acme")
    assert ledger.sources.ending() == []
    assert now(ledger, alert_of(1)).status is AlertStatus.RESOLVED
    assert timeline(ledger, alert_of(1))[-1] == ("ocelog", "resolved", "its source was removed")
    assert told(ledger, alert_of(1).id)[-1] == (to, "resolved", "by ocelog: its source was removed")
    assert now(ledger, alert_of(2)).status is AlertStatus.OPEN
    assert now(ledger, alert_of(3)).status is AlertStatus.CLOSED


def test_however_often_who_removes_a_source_is_killed_its_alerts_end_once_and_tell_nothing_else(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.alert_changes._AT_ONCE", 2)
    ledger.sources.add(source_row("acme"))
    ledger.channels.add(ChannelRow(id="late", name="late", kind="file", added_us=1, routing=ESCALATES))
    to = channel(ledger, "first")
    ours = [alert_of(n) for n in range(1, 6)]
    opened(ledger, *ours, told=[to])
    for statement in count(1):
        try:
            with crashing_at(ledger, statement):
                ledger.sources.remove("acme")
        except Crash:
            source = ledger.sources.find("acme")
            assert source is not None
            left = [each for each in ours if now(ledger, each).is_open]
            if source.removed_us is None:
                assert len(left) == 5
            else:
                assert ledger.delivery.escalate() == 0
                assert ledger.sources.ending() == ["acme"] or not left
            continue
        break
    assert ledger.sources.ending() == []
    for each in ours:
        assert timeline(ledger, each)[1:] == [("ocelog", "resolved", "its source was removed")]
        assert told(ledger, each.id) == [(to, "opened", ""), (to, "resolved", "by ocelog: its source was removed")]


def test_who_removes_a_source_with_many_alerts_lets_others_write_meanwhile(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.alert_changes._AT_ONCE", 2)
    ledger.sources.add(source_row("acme"))
    opened(ledger, *(alert_of(n, record_id=f"i-{n}") for n in range(1, 6)), alert_of(6, source_id="other"))
    left = list[int]()

    def write(_: object) -> None:
        other.alerts.change([alert_of(6).id], changes.comment("seen", who="ann"))
        left.append(other.alerts.count(AlertFilter(statuses=OPEN, source_ids=frozenset({"acme"})), most=9))

    listening(ledger, monkeypatch, write)
    ledger.sources.remove("acme")
    assert left == [5, 3, 1, 0, 0]


def test_who_turns_off_a_rule_with_many_alerts_lets_others_write_meanwhile(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.alert_changes._AT_ONCE", 2)
    opened(ledger, *(alert_of(n, record_id=f"i-{n}") for n in range(1, 6)), alert_of(6, source_id="other"))
    left = list[int]()

    def write(_: object) -> None:
        other.alerts.change([alert_of(6).id], changes.comment("seen", who="ann"))
        left.append(len(other.alerts.alerted_records("Wiz.Issues")))

    listening(ledger, monkeypatch, write)
    assert ledger.alerts.end_rules(["Wiz.Issue.Public"], "its rule was disabled") == 5
    assert left == [3, 1, 0]


def test_a_source_that_is_added_again_keeps_what_was_not_resolved_by_then(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.alert_changes._AT_ONCE", 2)
    row = source_row("acme")
    ledger.sources.add(row)
    opened(ledger, *(alert_of(n) for n in range(1, 6)))
    transactions = count(1)

    def add(_: object) -> None:
        if next(transactions) == 2:
            other.sources.add(row)

    listening(ledger, monkeypatch, add)
    ledger.sources.remove("acme")
    assert [now(ledger, alert_of(n)).is_open for n in range(1, 6)] == [False, False, True, True, True]
    assert ledger.sources.ending() == []


def listening(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, heard: Callable[[object], object]) -> None:
    """Let `heard` happen after each transaction of `ledger` that writes."""
    write = Database.write

    @contextmanager
    def told_of(database: Database) -> Iterator[Connection]:
        with write(database) as tx:
            yield tx
        if database is ledger._database:
            heard(tx)

    monkeypatch.setattr(Database, "write", told_of)


def test_records_of_which_an_alert_is_not_resolved_are_read_from_an_index(ledger: Ledger) -> None:
    opened(ledger, alert_of(1, record_id="i-1"), alert_of(2), alert_of(3, record_id="f-1", log_type="Wiz.Other"))
    opened(ledger, alert_of(4, record_id="i-2", status=AlertStatus.CLOSED, ended_us=1), alert_of(5, record_id="i-1"))
    opened(ledger, alert_of(6, record_id="i-3", status=AlertStatus.RESOLVED, ended_us=1))
    log_type = now(ledger, alert_of(1)).log_type
    assert log_type is not None
    with explained(ledger) as plans:
        assert sorted(ledger.alerts.alerted_records(log_type)) == [("acme", "i-1"), ("acme", "i-2")]
    assert all("ix_alerts_standing" in plan for plan in plans)


def test_a_rule_that_is_off_ends_its_alerts_of_records(ledger: Ledger) -> None:
    opened(ledger, alert_of(1, record_id="i-1"), alert_of(2), alert_of(3, record_id="i-1", rule_id="another"))
    opened(ledger, alert_of(4, record_id="i-2", rule_id="over", status=AlertStatus.CLOSED, ended_us=1))
    assert ledger.alerts.rules_of_records() == ["Wiz.Issue.Public", "another"]
    assert ledger.alerts.end_rules(["Wiz.Issue.Public", "gone"], "its rule was disabled") == 1
    assert [now(ledger, alert_of(n)).status for n in (1, 2, 3)] == ["RESOLVED", "OPEN", "OPEN"]


def test_sql_reads_contexts_only_if_it_asks_for_them_and_few_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(ledger, *(alert_of(n, context={"large": "x"}) for n in range(1, 6)))
    monkeypatch.setattr("ocelog.ledger.alerts._WITH_CONTEXT_AT_ONCE", 2)
    schema = ledger_schemas()["alerts"]
    seen = list[str]()
    event.listen(ledger._database.readers, "before_cursor_execute", lambda *told: seen.append(told[2]))
    (page,) = alert_tables.pieces(ledger, "alerts", schema, ["severity"])
    assert page.schema.names == ["severity"]
    assert page.num_rows == 5
    (page,) = alert_tables.pieces(ledger, "alerts", schema, [])
    assert page.num_rows == 5
    assert [each for each in seen if "context" in each] == []
    found = list(alert_tables.pieces(ledger, "alerts", schema, ["context", "severity"]))
    assert [page.num_rows for page in found] == [2, 2, 1]
    assert found[0].column("context").to_pylist() == ['{"large": "x"}'] * 2


def test_a_change_leaves_contexts_where_they_are(ledger: Ledger) -> None:
    opened(ledger, *(alert_of(n, context={"n": n}, runbook="look") for n in range(1, 3)))
    ids, seen = [alert_of(n).id for n in range(1, 3)], list[str]()
    event.listen(Engine, "before_cursor_execute", note := lambda *told: seen.append(told[2]))
    try:
        done = ledger.alerts.change(ids, changes.comment("x", who="ann"))
        assert ledger.alerts.change_some(ids, changes.comment("y", who="ann")) == 2
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any("UPDATE alerts" in each for each in seen)
    assert [each for each in seen if "context" in each] == []
    assert [each.context for each, _ in done] == [{}, {}]
    assert [(now(ledger, alert_of(n)).context, now(ledger, alert_of(n)).runbook) for n in range(1, 3)] == [
        ({"n": 1}, "look"),
        ({"n": 2}, "look"),
    ]


def test_contexts_are_measured_without_being_read(ledger: Ledger) -> None:
    opened(ledger, *(alert_of(n, context={"large": "x" * 100}) for n in range(1, 4)))
    ids, seen = [alert_of(n).id for n in (3, 1, 2)], list[str]()
    event.listen(ledger._database.readers, "before_cursor_execute", lambda *told: seen.append(told[2]))
    assert [len(ledger.alerts.within(most, ids)) for most in (1, 250, 10_000)] == [1, 2, 3]
    assert ledger.alerts.within(250, ids) == ids[:2]
    assert ledger.alerts.within(250, []) == []
    assert seen
    assert all("length(CAST(alerts.context" in each for each in seen)


def test_a_long_list_is_read_without_contexts_and_with_them_few_at_a_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.alerts._WITH_CONTEXT_AT_ONCE", 2)
    opened(ledger, *(alert_of(n, context={"n": n}) for n in range(1, 6)))
    seen = list[str]()
    event.listen(ledger._database.readers, "before_cursor_execute", lambda *told: seen.append(told[2]))
    listed = ledger.alerts.listed(AlertFilter(), limit=4, with_context=False)
    assert [each for each in seen if "context" in each] == []
    whole = ledger.alerts.whole([each.id for each in listed])
    assert [next(whole).context for _ in range(2)] == [{"n": int(each.id, 16)} for each in listed[:2]]
    assert len([each for each in seen if "context" in each]) == 1
    assert [each.id for each in whole] == [each.id for each in listed[2:]]


def test_however_many_alerts_end_with_their_rule_few_are_read_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.alert_changes._AT_ONCE", 2)
    opened(ledger, *(alert_of(n, record_id=f"i-{n}") for n in range(1, 6)))
    read = list[int]()
    held = alerts.held_contextless

    def counted(tx: Connection, ids: Collection[str]) -> dict[str, Alert]:
        read.append(len(ids))
        return held(tx, ids)

    monkeypatch.setattr(alerts, "held_contextless", counted)
    ledger.alerts.end_rules(["Wiz.Issue.Public"], "its rule was disabled")
    assert {now(ledger, alert_of(n)).status for n in range(1, 6)} == {AlertStatus.RESOLVED}
    assert max(read) == 2


@pytest.mark.slow
def test_a_purge_leaves_nothing_of_a_source(ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    to = channel(ledger, "first")
    ours = grouped(ledger, alert_of(1, context={"secret": "x"}), "bucket-1")
    theirs = grouped(ledger, alert_of(2, source_id="other"), "bucket-2")
    opened(ledger, ours, theirs, told=[to])
    ledger.alerts.change([ours.id], changes.comment("seen", who="ann"))
    with ledger._database.write() as tx:
        for number, (alert, source_id) in enumerate(((ours, "acme"), (theirs, "other")), 1):
            attempt = {"outbox_id": number, "alert_id": alert.id, "happened": "opened", "at_us": 1, "answer": "200"}
            values = {"channel_id": to, "delivered": True, "final": True, "merged": 1}
            tx.execute(insert(tables.deliveries).values(attempt | values))
            match = {"match_id": f"m{number}", "source_id": source_id, "matched_us": 1}
            tx.execute(insert(tables.match_keys).values(match))
            passed = {"table_name": "wiz_issues", "rule_id": "r", "source_id": source_id, "first_row_id": "1"}
            span = {"first_us": 1, "last_us": 1, "rows": 1, "reason": "slow", "noted_us": 1}
            tx.execute(insert(tables.unjudged).values(passed | span))
    ledger.alerts.suppress(suppression("ours", fields={"source": ("acme",)}, since_us=NOW_US, until_us=NOW_US + 9))
    ledger.alerts.suppress(suppression("both", fields={"source": ("acme", "other"), "severity": ("LOW",)}))
    ledger.alerts.suppress(suppression("all"))
    crash_everywhere(ledger, lambda: ledger.sources.purge("acme"))
    kept = {each.id: each.fields for each in ledger.alerts.suppressions(over=True)}
    assert kept == {"both": {"source": ("other",), "severity": ("LOW",)}, "all": {}}
    assert [each.source_id for each in ledger.alerts.listed(AlertFilter(), limit=9)] == ["other"]
    for table in ("alerts", "alert_events", "outbox", "deliveries", "match_keys", "unjudged", "alert_groups"):
        assert rows(ledger, table) == 1, table


def grouped(ledger: Ledger, alert: Alert, dedup: str, *, opened_us: int = NOW_US, lasts_us: int = 1) -> Alert:
    """Return an alert as the one of a group's newest window."""
    with ledger._database.write() as tx:
        values = {"group_key": group_key(alert.rule_id, dedup), "rule_id": alert.rule_id, "revision": 1, "window": 7}
        values |= {"opened_us": opened_us, "lasts_us": lasts_us, "matches": 1, "told": True, "kept": []}
        tx.execute(insert(tables.alert_groups).values(values))
    return replace(alert, id=alert_id(alert.rule_id, dedup, 7))


def test_a_purge_takes_along_what_later_matches_would_join_and_nothing_that_others_have(ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    opened(
        ledger,
        grouped(ledger, alert_of(1, dedup=""), "\0older news"),
        grouped(ledger, alert_of(2, dedup="ValueError", rule_id="r"), "\0error\0ValueError"),
        grouped(ledger, alert_of(3), "bucket-3"),
        grouped(ledger, alert_of(4, source_id="other", dedup="bucket-5"), "bucket-5"),
        # It was of a window before that: the newest is another source's.
        alert_of(5),
    )
    ledger.sources.purge("acme")
    with ledger._database.read() as tx:
        left = list(tx.execute(select(tables.alert_groups.c.group_key)).scalars())
    assert left == [group_key(alert_of(4).rule_id, "bucket-5")]


def of_many(ledger: Ledger, *, kept: Alert) -> list[Alert]:
    """Put in a source with seven alerts, and seven of what else there may be many of; return the alerts.

    Of another source there is one of each.
    """
    for source_id in ("acme", "other"):
        planned(ledger, *(slice_of(source_id) for _ in range(7 if source_id == "acme" else 1)))
    to = channel(ledger, "first")
    ours = [grouped(ledger, alert_of(n), f"bucket-{n}") for n in range(1, 8)]
    opened(ledger, *ours, kept, told=[to])
    with ledger._database.write() as tx:
        for number in range(1, 9):
            source_id = "other" if number == 4 else "acme"
            match = {"match_id": f"m{number}", "source_id": source_id, "matched_us": 1}
            tx.execute(insert(tables.match_keys).values(match))
            tx.execute(insert(tables.rejection_keys).values(rejection_key=f"r{number}", source_id=source_id))
            landing.add_part(tx, part(), source_id, number, 1)
            passed = {"table_name": TABLE, "rule_id": "r", "source_id": source_id, "first_row_id": "1"}
            span = {"first_us": 1, "last_us": 1, "rows": 1, "reason": "slow", "noted_us": 1}
            tx.execute(insert(tables.unjudged).values(passed | span))
    return ours


def left_of(ledger: Ledger, *names: str) -> list[int]:
    return [rows(ledger, name) for name in names]


def test_who_purges_a_source_with_many_alerts_lets_others_write_meanwhile(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.purging._AT_ONCE", 3)
    monkeypatch.setattr("ocelog.ledger.rows.purging._ROWS_AT_ONCE", 3)
    kept = alert_of(9, source_id="other")
    of_many(ledger, kept=kept)
    left = list[list[int]]()

    def write(_: object) -> None:
        other.alerts.change([kept.id], changes.comment("seen", who="ann"))
        left.append(left_of(other, "parts", "alerts", "alert_groups", *others))

    others = ("match_keys", "rejection_keys", "slices", "unjudged")
    listening(ledger, monkeypatch, write)
    ledger.sources.purge("acme")
    assert left == [
        # What is gone from the disk first.
        *([5, 8, 7, 8, 8, 8, 8], [2, 8, 7, 8, 8, 8, 8]),
        *([2, 5, 4, 8, 8, 8, 8], [2, 2, 1, 8, 8, 8, 8]),
        *([2, 2, 1, 5, 8, 8, 8], [2, 2, 1, 2, 8, 8, 8]),
        *([2, 2, 1, 2, 5, 8, 8], [2, 2, 1, 2, 2, 8, 8]),
        *([2, 2, 1, 2, 2, 5, 8], [2, 2, 1, 2, 2, 2, 8]),
        *([2, 2, 1, 2, 2, 2, 5], [2, 2, 1, 2, 2, 2, 2]),
        [1, 1, 0, 1, 1, 1, 1],
    ]


def test_however_often_who_purges_a_source_is_killed_no_alert_is_left_half_and_all_goes_in_the_end(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.purging._AT_ONCE", 3)
    monkeypatch.setattr("ocelog.ledger.rows.purging._ROWS_AT_ONCE", 3)
    kept = alert_of(9, source_id="other")
    ours, killed = of_many(ledger, kept=kept), 0
    for statement in count(1):
        try:
            with crashing_at(ledger, statement):
                ledger.sources.purge("acme")
        except Crash:
            killed += 1
            assert ledger.sources.find("acme") is not None
            whole = [each for each in ours if ledger.alerts.details(each.id) is not None]
            # Each with what belongs to it, and so the other source's.
            belonging = left_of(ledger, "alert_events", "outbox", "alert_groups")
            assert belonging == [len(whole) + 1, len(whole) + 1, len(whole)]
            continue
        break
    assert killed > 20
    assert ledger.sources.find("acme") is None
    everywhere = ("parts", "alerts", "alert_events", "outbox", "match_keys", "rejection_keys", "slices", "unjudged")
    assert left_of(ledger, *everywhere) == [1] * len(everywhere)
    assert left_of(ledger, "alert_groups") == [0]


def test_others_write_while_what_is_old_is_forgotten(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.alerts._AT_ONCE", 2)
    ended = {"status": AlertStatus.CLOSED, "ended_us": NOW_US - 10}
    untold = {"to_be_told": False, "updated_us": NOW_US - 40 * DAY_US}
    stays = alert_of(9, source_id="other")
    opened(ledger, *(alert_of(n, **ended) for n in range(1, 4)), *(alert_of(n, **untold) for n in range(4, 7)), stays)
    with ledger._database.write() as tx:
        for at_us in range(1, 6):
            entry = {"alert_id": stays.id, "at_us": at_us, "who": "ocelog", "what": str(at_us), "detail": ""}
            tx.execute(insert(tables.alert_events).values(entry))
    pauses = list[float]()
    monkeypatch.setattr(Database, "let_others", lambda _, began: pauses.append(began))

    def write(_: object) -> None:
        other.alerts.change([stays.id], changes.comment("seen", who="ann"))

    listening(ledger, monkeypatch, write)
    done = ledger.alerts.forget(ended_before_us=NOW_US, now_us=NOW_US)
    assert (done.alerts, done.untold, done.told) == (3, 3, 5)
    # After each transaction but the last of its kind.
    assert len(pauses) == 1 + 1 + 2


def test_nobody_waits_while_what_is_old_is_looked_for(ledger: Ledger) -> None:
    with ledger._database.write() as tx:
        tx.execute(insert(tables.match_keys).values(match_id="m", source_id="acme", matched_us=1))
    seen = list[str]()
    event.listen(ledger._database.writers, "before_cursor_execute", lambda *args: seen.append(args[2]))
    assert ledger.alerts.forget(ended_before_us=0, now_us=NOW_US).match_keys == 1
    (deleted,) = (each for each in seen if each.startswith("DELETE FROM match_keys"))
    assert "SELECT" not in deleted


def test_alerts_are_forgotten_once_they_ended_long_ago(ledger: Ledger) -> None:
    to = channel(ledger, "first")
    ended = {"status": AlertStatus.CLOSED, "ended_us": NOW_US - 10}
    opened(ledger, *(alert_of(n, **ended) for n in range(1, 4)), told=[to])
    opened(ledger, alert_of(4, status=AlertStatus.RESOLVED, ended_us=NOW_US), alert_of(5), told=[to])
    done = ledger.alerts.forget(ended_before_us=NOW_US, now_us=NOW_US)
    assert done.alerts == 3
    assert found(ledger) == [5, 4]
    assert rows(ledger, "alert_events") == rows(ledger, "outbox") == 2
    # One that was reopened is open, however old its end was.
    ledger.alerts.change([alert_of(4).id], changes.reopen(who="ann"))
    assert ledger.alerts.forget(ended_before_us=2 * NOW_US, now_us=NOW_US).alerts == 0


def test_what_would_be_told_again_is_not_forgotten(ledger: Ledger) -> None:
    ended = {"ended_us": NOW_US - 10}
    opened(
        ledger,
        alert_of(1, status=AlertStatus.RESOLVED, rule_id=ONBOARDED, **ended),
        alert_of(2, status=AlertStatus.CLOSED, record_id="i1", **ended),
        alert_of(3, status=AlertStatus.CLOSED, record_id="i2", visible=False, **ended),
        alert_of(4, status=AlertStatus.RESOLVED, record_id="i3", **ended),
    )
    assert ledger.alerts.forget(ended_before_us=NOW_US, now_us=NOW_US).alerts == 2
    assert found(ledger) == [2, 1]


def test_what_nobody_heard_of_is_forgotten_once_its_window_is_over(ledger: Ledger) -> None:
    old = {"to_be_told": False, "updated_us": NOW_US - 30 * DAY_US - 1}
    opened(
        ledger,
        alert_of(1, **old),
        alert_of(2, to_be_told=False, updated_us=NOW_US - 30 * DAY_US),
        alert_of(3, updated_us=NOW_US - 900 * DAY_US),
        alert_of(4, record_id="i4", **old),
        alert_of(5, type=AlertType.SYSTEM_ERROR, **old),
        alert_of(6, acknowledged_us=1, **old),
        # Its window lasts a year: it may still reach its threshold.
        grouped(ledger, alert_of(7, **old), "bucket-7", lasts_us=365 * DAY_US),
        # Its group has a newer window.
        replace(grouped(ledger, alert_of(8, **old), "bucket-8", lasts_us=365 * DAY_US), id=f"{8:032x}"),
        grouped(ledger, alert_of(9, **old), "bucket-9", lasts_us=DAY_US, opened_us=NOW_US - 31 * DAY_US),
    )
    done = ledger.alerts.forget(ended_before_us=NOW_US - 365 * DAY_US, now_us=NOW_US)
    assert (done.untold, done.alerts) == (3, 0)
    left = {each.dedup for page in ledger.alerts.every() for each in page}
    assert left == {f"bucket-{number}" for number in (2, 3, 4, 5, 6, 7)}
    # Who keeps alerts for a shorter time keeps these no longer.
    assert ledger.alerts.forget(ended_before_us=NOW_US - 7 * DAY_US, now_us=NOW_US).untold == 1


@pytest.mark.slow
def test_many_that_nobody_heard_of_go_some_at_a_time(ledger: Ledger) -> None:
    old = {"to_be_told": False, "updated_us": NOW_US - 40 * DAY_US}
    kept = [grouped(ledger, alert_of(n, **old), f"bucket-{n}", lasts_us=365 * DAY_US) for n in range(1, 502)]
    opened(ledger, *kept, *(alert_of(n, **old) for n in range(1_001, 1_700)))
    assert ledger.alerts.forget(ended_before_us=0, now_us=NOW_US).untold == 699
    assert rows(ledger, "alerts") == rows(ledger, "alert_events") == 501


def test_of_an_alert_that_stays_what_was_told_long_ago_goes(ledger: Ledger) -> None:
    to, other = channel(ledger, "first"), channel(ledger, "other")
    opened(ledger, alert_of(1))
    tried = [(to, True, 1), (to, True, 2), (to, False, 3), (to, False, 4), (other, False, 5), (other, True, 100)]
    with ledger._database.write() as tx:
        for number, (channel_id, delivered, at_us) in enumerate(tried, 1):
            values = {"alert_id": alert_of(1).id, "channel_id": channel_id, "happened": "OPENED", "final": True}
            more = {"outbox_id": number, "at_us": at_us, "delivered": delivered, "answer": "", "merged": 1}
            tx.execute(insert(tables.deliveries).values(values | more))
        for at_us, who in ((1, "ocelog"), (2, "ann"), (3, "ocelog")):
            entry = {"alert_id": alert_of(1).id, "at_us": at_us, "who": who, "what": str(at_us), "detail": ""}
            tx.execute(insert(tables.alert_events).values(entry))
    # The user of the service, too, is called ocelog.
    ledger.alerts.change([alert_of(1).id], changes.comment("I asked Dana.", who="ocelog"))
    with ledger._database.write() as tx:
        tx.execute(update(tables.alert_events).where(tables.alert_events.c.what == "comment").values(at_us=3))
        entry = {"alert_id": alert_of(1).id, "at_us": 100, "who": "ocelog", "what": "100", "detail": ""}
        tx.execute(insert(tables.alert_events).values(entry))
    assert ledger.alerts.forget(ended_before_us=50, now_us=NOW_US).told == 5
    details = ledger.alerts.details(alert_of(1).id)
    assert details is not None
    # By the last attempt, and the last that arrived, a channel is told what comes next.
    assert [each.at_us for each in details.attempts] == [2, 4, 100]
    assert [(each.who, each.what) for each in details.timeline] == [
        ("ocelog", "opened"),
        ("ann", "2"),
        ("ocelog", "comment"),
        ("ocelog", "100"),
    ]


def test_counts_are_forgotten_once_nothing_can_meet_them(ledger: Ledger) -> None:
    days = 30
    with ledger._database.write() as tx:
        for n in range(1, 1201):
            key = {"match_id": f"m{n}", "source_id": "s", "matched_us": NOW_US - days * DAY_US - (n < 1101)}
            tx.execute(insert(tables.match_keys).values(key))
        for number, opened_us in enumerate((NOW_US - DAY_US - 2 * HOUR_US - 1, NOW_US - DAY_US - 2 * HOUR_US)):
            group = {"group_key": str(number), "rule_id": "r", "revision": 1, "window": 1, "opened_us": opened_us}
            more = {"lasts_us": 2 * HOUR_US, "matches": 1, "told": True, "kept": []}
            tx.execute(insert(tables.alert_groups).values(group | more))
            hour = {"rule_id": "r", "hour_us": NOW_US - DAY_US - 1 + number, "alerts": 1, "revision": 1}
            tx.execute(insert(tables.alert_limits).values(hour))
    for number in range(2):
        ledger.alerts.suppress(suppression(str(number), until_us=NOW_US - 90 * DAY_US - 1 + number))
    done = ledger.alerts.forget(ended_before_us=0, now_us=NOW_US)
    assert (done.match_keys, done.groups, done.limits, done.suppressions) == (1100, 1, 1, 1)
    assert rows(ledger, "match_keys") == 100
    assert rows(ledger, "alert_groups") == rows(ledger, "alert_limits") == rows(ledger, "suppressions") == 1


def suppression(name: str, **more: object) -> Suppression:
    values = {"rule": None, "owner": "ann", "reason": "known", "since_us": 1, "until_us": NOW_US + 1, "added_us": 1}
    return Suppression(id=name, **values | more)  # type: ignore[arg-type] # tests name fields


def test_what_was_not_judged_is_counted_by_table_and_rule(ledger: Ledger) -> None:
    with ledger._database.write() as tx:
        for rule, first, count in (("b", 7, 2), ("a", 5, 3), ("b", 1, 4)):
            passed = {"table_name": "wiz_issues", "rule_id": rule, "source_id": "acme", "first_row_id": "1"}
            span = {"first_us": first, "last_us": first + 1, "rows": count, "reason": f"why {first}"}
            tx.execute(insert(tables.unjudged).values(noted_us=1, **passed, **span))
    counted = ledger.alerts.not_judged()
    assert [(each.rule_id, each.rows, each.first_us, each.last_us, each.reason) for each in counted] == [
        ("a", 3, 5, 6, "why 5"),
        ("b", 6, 1, 8, "why 1"),
    ]


def test_all_alerts_and_entries_are_read_some_at_a_time(ledger: Ledger) -> None:
    opened(ledger, *(alert_of(n, to_be_told=False) for n in range(1, 502)))
    assert [len(page) for page in ledger.alerts.every(with_context=False)] == [500, 1]
    assert {len(page) for page in ledger.alerts.every()} == {50, 1}
    assert [number for page in ledger.alerts.every_event() for number, _ in page] == list(range(1, 502))


def test_a_suppression_lasts_until_its_end_or_until_it_is_ended(ledger: Ledger, clock: Clock) -> None:
    whole = suppression("whole", rule="r*", fields={"severity": ("LOW", "INFO")}, since_us=NOW_US)
    ledger.alerts.suppress(whole)
    ledger.alerts.suppress(suppression("over", until_us=NOW_US))
    assert ledger.alerts.suppressions() == [whole]
    assert [each.id for each in ledger.alerts.suppressions(over=True)] == ["over", "whole"]
    assert not ledger.alerts.end_suppression("over")
    assert not ledger.alerts.end_suppression("none")
    assert ledger.alerts.end_suppression("whole")
    assert ledger.alerts.suppressions() == []
    clock.now = from_us(NOW_US - 1)
    assert [each.until_us for each in ledger.alerts.suppressions()] == [NOW_US, NOW_US]


def test_hostile_texts_are_kept_as_far_as_both_databases_can(ledger: Ledger) -> None:
    opened(ledger, alert_of(1, dedup="a\x00b", title="\ud800", context={"x\x00": "\udfff"}))
    ledger.alerts.change([alert_of(1).id], changes.assign("a\x00", who="\x00"))
    assert now(ledger, alert_of(1)).dedup == "a\ufffdb"


def test_severities_are_in_the_order_of_their_ranks(ledger: Ledger) -> None:
    ranks = select(tables.SEVERITY_RANK).select_from(tables.alerts).order_by(tables.alerts.c.id)
    opened(ledger, *(alert_of(number, severity=severity) for number, severity in enumerate(Severity, start=1)))
    with ledger._database.read() as tx:
        assert list(tx.execute(ranks).scalars()) == list(range(len(Severity)))


@contextmanager
def explained(ledger: Ledger) -> Iterator[list[str]]:
    """Collect how the database goes about what is read within the block."""
    plans = list[str]()

    def explain(_connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if not ledger._database.is_sqlite:
            # Of so few rows it reads all, and sorts them, if it may.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if ledger._database.is_sqlite else ''}{statement}", parameters)
        plans.append(" ".join(str(row[-1]) for row in cursor.fetchall()))

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(Engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("order", AlertOrder)
def test_a_page_of_a_list_is_read_in_its_order_from_an_index(ledger: Ledger, order: AlertOrder) -> None:
    alerts = [alert_of(number, severity=severity) for number, severity in enumerate(Severity, start=1)]
    opened(ledger, *alerts)
    with explained(ledger) as plans:
        first = ledger.alerts.listed(AlertFilter(untold=True), limit=3, order=order)
        behind = ledger.alerts.listed(AlertFilter(untold=True), limit=3, order=order, after=place_of(first[-1], order))
    assert [each.id for each in (*first, *behind)] == [each.id for each in reversed(alerts)]
    assert len(plans) == 2
    for plan in plans:
        assert "ix_alerts_" in plan
        assert "TEMP B-TREE" not in plan
        assert "Sort" not in plan


def many(ledger: Ledger, count: int) -> None:
    """Put alerts into the ledger of which every fifth is open."""
    severities, closed = list(Severity), {"status": AlertStatus.CLOSED, "ended_us": NOW_US}
    made = (
        alert_of(number, severity=severities[number % len(severities)], **({} if number % 5 == 0 else closed))
        for number in range(1, count + 1)
    )
    with ledger._database.write() as tx:
        tx.execute(insert(tables.alerts), [alerts.columns_of(each) for each in made])


@pytest.mark.parametrize("database", ["sqlite"])
def test_what_is_open_is_read_from_indexes_of_that_alone_without_statistics(ledger: Ledger) -> None:
    many(ledger, 5000)
    with ledger._database.read() as tx:
        assert not inspect(tx).has_table("sqlite_stat1")
    indexes = {
        AlertOrder.OPENED: "ix_alerts_open ",
        AlertOrder.SEVERITY: "ix_alerts_open_worst ",
        AlertOrder.LAST_MATCH: "ix_alerts_open_last_match ",
    }
    for statuses in (OPEN, frozenset({AlertStatus.OPEN})):
        for order, index in indexes.items():
            wanted = AlertFilter(statuses=statuses)
            with explained(ledger) as plans:
                first = ledger.alerts.listed(wanted, limit=50, order=order)
                behind = ledger.alerts.listed(wanted, limit=50, order=order, after=place_of(first[-1], order))
            assert len({each.id for each in (*first, *behind)}) == 100
            for plan in plans:
                assert index in f"{plan} "
                assert "TEMP B-TREE" not in plan
    with explained(ledger) as plans:
        assert ledger.alerts.count(AlertFilter(statuses=OPEN), most=10_000) == 1000
        assert sum(ledger.alerts.open().told.values()) == 1000
    assert all("ix_alerts_open" in plan for plan in plans)


def test_what_is_open_for_an_index_is_what_is_open(ledger: Ledger) -> None:
    ended = dict.fromkeys(ENDED, NOW_US)
    opened(ledger, *(alert_of(n, status=each, ended_us=ended.get(each)) for n, each in enumerate(AlertStatus, start=1)))
    open_ = select(tables.alerts.c.status).where(tables.OPEN_ALERT)
    with ledger._database.read() as tx:
        assert set(tx.execute(open_).scalars()) == {each.value for each in OPEN}
