"""Two that land at once land in the order of their sequence, and never without having read each other."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from threading import Barrier, Event

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import OperationalError

from bookkeeping.alerts import NOW_US, alert_of, channel, opened
from bookkeeping.crashes import before_statement
from bookkeeping.races import at_once, done_or_waiting
from bookkeeping.records import ISSUES, NOW, TABLE, Clock, landing, part, planned, rejecting, slice_of, source_row
from ocelog.alert import changes
from ocelog.alert.deciding import Decision
from ocelog.alert.delivery.delivering import DeliveryRefusal, DeliverySuccess, OutgoingMessage
from ocelog.alert.notice import AlertStatus
from ocelog.alert.ports import CommitConflict, CommitSuccess, Piece, Run
from ocelog.alert.seed import Seed
from ocelog.ledger import alerts as alert_ledger
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, Position, Slice
from ocelog.pull.ports import Behind, Landed, Landing


def _two_taken(ledger: Ledger) -> tuple[Slice, Slice]:
    planned(ledger, slice_of(), slice_of())
    one, two = ledger.pulling.take("one", now=NOW), ledger.pulling.take("two", now=NOW)
    assert one is not None
    assert two is not None
    return one, two


def _land_on(ledger: Ledger, held: Slice, times: int) -> list[int]:
    """Land `times` parts as a puller does that reads what it is told of; return their sequences."""
    sequences, loaded = list[int](), set[int]()
    for n in range(times):
        new = landing(held, n, n + 1, loaded_through=0, loaded=frozenset(loaded))
        while isinstance(outcome := ledger.pulling.land(new), Behind):
            loaded.update(found.sequence for found in outcome.parts)
            new = replace(new, loaded=frozenset(loaded))
        assert outcome.sequence is not None
        loaded.add(outcome.sequence)
        sequences.append(outcome.sequence)
    return sequences


def test_commit_order_is_sequence_order(ledger: Ledger, other: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    planned(ledger, *(slice_of() for _ in range(4)))
    slices = [ledger.pulling.take(f"holder {n}", now=NOW) for n in range(4)]
    done, barrier, reader = Event(), Barrier(5), open_ledger()

    def watch() -> list[list[int]]:
        """Look at what is committed, again and again."""
        views = list[list[int]]()
        barrier.wait(timeout=30)
        while not done.is_set():
            views.append([found.sequence for found in reader.lake.parts(TABLE)])
        return views

    def work(at: Ledger, held: Slice) -> list[int]:
        barrier.wait(timeout=30)
        return _land_on(at, held, 12)

    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch)
        pairs = zip((ledger, other) * 2, slices, strict=True)
        working = [pool.submit(work, at, held) for at, held in pairs if held is not None]
        try:
            sequences = [future.result(timeout=60) for future in working]
        finally:
            done.set()
        views = watching.result(timeout=60)
    assert sorted(chain.from_iterable(sequences)) == list(range(1, 49))
    assert all(mine == sorted(mine) for mine in sequences)
    gaps = [view for view in views if view != list(range(1, len(view) + 1))]
    assert not gaps, "a reader saw a part before one of lower sequence"


def test_two_that_overlap_never_land_without_having_read_each_other(ledger: Ledger, other: Ledger) -> None:
    one, two = _two_taken(ledger)
    for round_ in range(10):
        low = round_ * 100
        through = ledger.lake.counter(TABLE)
        landings: list[tuple[Ledger, Landing]] = [
            (ledger, landing(one, low, low + 10, loaded_through=through)),
            (other, landing(two, low + 5, low + 15, loaded_through=through)),
        ]
        outcomes = at_once([lambda at=at, new=new: at.pulling.land(new) for at, new in landings])  # type: ignore[misc]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Behind", "Landed"], outcomes


@pytest.mark.parametrize("table", ["wiz_audit", TABLE])
def test_landings_with_rejections_in_two_tables_do_not_wait_for_each_other_for_ever(
    ledger: Ledger, other: Ledger, table: str
) -> None:
    one, two = _two_taken(ledger)
    for n in range(10):
        low, high, through = n * 20, n * 20 + 10, ledger.lake.counter(TABLE)
        issues = landing(
            one, low, low + 1, rejections=part(table=REJECTIONS), rejection_keys=[f"i{n}"], loaded_through=through
        )
        more = landing(
            two,
            high,
            high + 1,
            table=table,
            part=part(table=table, low=high, high=high + 1),
            rejections=part(table=REJECTIONS),
            rejection_keys=[f"a{n}"],
            loaded_through=through,
        )
        outcomes = at_once([lambda: ledger.pulling.land(issues), lambda: other.pulling.land(more)])  # noqa: B023 - called at once
        assert all(isinstance(outcome, Landed) for outcome in outcomes), outcomes
    assert ledger.lake.counter(REJECTIONS) == 20
    assert ledger.pulling.streams()[0].marks.log_type == ISSUES


def test_a_rejection_key_lands_once_when_two_land_it_at_once(ledger: Ledger, other: Ledger) -> None:
    one, two = _two_taken(ledger)
    for round_ in range(10):
        landings = [(ledger, rejecting(one, [f"k{round_}"])), (other, rejecting(two, [f"k{round_}"]))]
        outcomes = at_once([lambda at=at, new=new: at.pulling.land(new) for at, new in landings])  # type: ignore[misc]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Behind", "Landed"], outcomes
    assert [found.sequence for found in ledger.lake.parts(REJECTIONS)] == list(range(1, 11))


_ORDER = (
    {"counters"},
    {"streams"},
    {"schedules", "channels", "rule_seeds"},
    {"sources"},
    {"slices", "claims", "sweeps", "suspects"},
    {"alert_groups"},
    {"alert_limits"},
    {"alerts"},
    {"outbox", "deliveries", "alert_events"},
)
"""As `ocelog.ledger.rows` has it."""
_TAKES = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM|FROM) (\w+)")


@contextmanager
def _in_order(ledger: Ledger) -> Iterator[None]:
    """Assert of each transaction within the block in which order it first takes rows of tables."""
    taken, wrong = list[str](), list[list[str]]()

    def begin(_: Connection) -> None:
        taken.clear()

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        found = _TAKES.search(statement)
        reads = statement.startswith("SELECT") and " FOR " not in statement
        if found is None or reads or found[1] in taken:
            return
        taken.append(found[1])
        ranks = [rank for table in taken for rank, tables in enumerate(_ORDER) if table in tables]
        if ranks != sorted(ranks):
            wrong.append([*taken])

    engine = ledger._database.writers
    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "begin", begin)
        event.remove(engine, "before_cursor_execute", note)
    assert wrong == []


@pytest.mark.postgresql
def test_rows_are_taken_in_one_order(postgresql: Callable[[], str], clock: Clock) -> None:
    ledger = Ledger.open(postgresql(), durable=False, now=clock)
    one, two = _two_taken(ledger)
    old = {"status": AlertStatus.CLOSED, "ended_us": 1}
    with _in_order(ledger):
        ledger.pulling.land(rejecting(one, ["k"]))
        ledger.pulling.split(two, [slice_of(), slice_of()])
        ledger.pulling.take_claim("detect", "acme", "me")
        to = channel(ledger, "ops")
        opened(ledger, alert_of(1), alert_of(2, **old), alert_of(3), told=[to, "gone"])
        ledger.alerts.change([alert_of(1).id], changes.comment("seen", who="ann"))
        ledger.delivery.adopt()
        claim = ledger.delivery.take(to, "me")
        assert claim is not None
        for outcome in (DeliveryRefusal(answer="401", code="refused"), DeliverySuccess()):
            handed = ledger.delivery.hand(claim)
            assert isinstance(handed, OutgoingMessage)
            ledger.delivery.settle(claim, handed, outcome)
        ledger.alerts.forget(ended_before_us=NOW_US, now_us=NOW_US)
        ledger.channels.remove(to)
        ledger.sources.remove("acme")
        ledger.sources.add(source_row())
        ledger.sources.purge("acme")
    ledger.close()


@pytest.mark.postgresql
def test_who_seeds_rules_and_who_forgets_them_take_turns(postgresql: Callable[[], str]) -> None:
    address = postgresql()
    one, other = Ledger.open(address, durable=False), Ledger.open(address, durable=False)
    piece = Piece(table=TABLE, since=Position(), to=Position(), source_id=None, decision=Decision())
    seeds = [Seed(rule_id=name, folder_id="f") for name in "ab"]
    begun = [(each, replace(each, after=("acme", "1"))) for each in seeds]
    assert isinstance(one.judging.commit(replace(piece, seeds=begun)), CommitSuccess)
    # They come as far as they are, and not by their names.
    further = [(each, replace(each, done=True)) for _, each in reversed(begun)]
    with ThreadPoolExecutor(1) as pool:
        forgetting = list[Future[None]]()

        def forget(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if "UPDATE rule_seeds" in statement and not forgetting:
                forgetting.append(pool.submit(other.rules.forget_seeds_of, ["a", "b"]))
                done_or_waiting(forgetting[-1], other)

        event.listen(one._database.writers, "after_cursor_execute", forget)
        assert isinstance(one.judging.commit(replace(piece, seeds=further)), CommitSuccess)
        forgetting[0].result(timeout=30)
    assert one.judging.unseeded(TABLE, {"a": "f", "b": "f"}) == seeds
    one.close()
    other.close()


@pytest.mark.postgresql
def test_of_two_that_open_one_alert_at_once_one_is_overtaken(postgresql: Callable[[], str]) -> None:
    address = postgresql()
    one, other = Ledger.open(address, durable=False), Ledger.open(address, durable=False)
    one.judging.begin_schedules(["s"], 1)
    decision = Decision(alerts=[alert_of(1)])
    run = Run(schedule="s", fired_us=1, fires_us=2, decision=decision)
    with before_statement(one, "INSERT INTO alerts ", lambda: opened(other, alert_of(1))):
        assert isinstance(one.judging.commit_run(run), CommitConflict)
    one.close()
    other.close()


@pytest.mark.postgresql
def test_who_removes_a_source_waits_for_a_run_that_lands_of_it_and_resolves_its_alerts_too(
    postgresql: Callable[[], str],
) -> None:
    address = postgresql()
    one, other = Ledger.open(address, durable=False), Ledger.open(address, durable=False)
    one.sources.add(source_row())
    one.judging.begin_schedules(["s"], 1)
    decision = Decision(alerts=[alert_of(1)])
    run = Run(schedule="s", fired_us=1, fires_us=2, decision=decision, told_of=["acme"])

    def remove() -> None:
        # What removing a source does to its row, but it does not wait.
        with other._database.writers.connect() as tx, pytest.raises(OperationalError, match="could not obtain lock"):
            tx.execute(text("SELECT id FROM sources FOR NO KEY UPDATE NOWAIT"))

    with before_statement(one, "INSERT INTO alerts ", remove):
        assert isinstance(one.judging.commit_run(run), CommitSuccess)
    one.close()
    other.close()


@pytest.mark.postgresql
def test_expiry_waits_for_nobody_who_takes_the_same_rows_in_another_order(
    postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgresql()
    one, other = Ledger.open(address, durable=False), Ledger.open(address, durable=False)
    monkeypatch.setattr(alert_ledger, "_AT_ONCE", 3)
    keys, columns = [f"k{number}" for number in range(9)], tables.alert_groups.c
    old = {"rule_id": "r", "revision": 1, "window": 1, "opened_us": 0, "lasts_us": 1, "matches": 1, "told": True}
    with one._database.write() as tx:
        tx.execute(insert(tables.alert_groups), [{"group_key": key, "kept": [], **old} for key in keys])
    with other._database.write() as tx:
        tx.execute(text("SET LOCAL lock_timeout = '1s'"))
        tx.execute(select(columns.group_key).where(columns.group_key == "k1").with_for_update()).all()
        with ThreadPoolExecutor(1) as pool:
            expiry = pool.submit(one.alerts.forget, ended_before_us=NOW_US, now_us=NOW_US)
            done_or_waiting(expiry, one)
            assert expiry.done()
        assert tx.execute(select(columns.group_key)).scalars().all() == ["k1"]
    assert one.alerts.forget(ended_before_us=NOW_US, now_us=NOW_US).groups == 1
    one.close()
    other.close()
