"""Doing things at once, and looking at everything that a ledger holds."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event, select, text

from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T | BaseException]:
    """Start every call at the same instant; return what each returned or raised."""
    barrier = Barrier(len(calls))

    def start(call: Callable[[], T]) -> T | BaseException:
        barrier.wait(timeout=30)
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(start, calls))


@contextmanager
def written() -> Iterator[list[str]]:
    """Note, of every ledger, the transactions that begin to write within the block."""
    begun = list[str]()

    def note(connection: Connection) -> None:
        if not connection.get_execution_options().keys() & {"ocelog_reads", "postgresql_readonly"}:
            begun.append("a transaction that writes")

    event.listen(Engine, "begin", note)
    try:
        yield begun
    finally:
        event.remove(Engine, "begin", note)


def everything(ledger: Ledger) -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    with ledger._database.read() as tx:
        return {
            table.name: sorted(map(repr, tx.execute(select(table)).all())) for table in tables.metadata.sorted_tables
        }


def done_or_waiting(work: Future[Any], ledger: Ledger) -> None:
    """Come back once `work` is done, or waits for what another transaction on the PostgreSQL of `ledger` holds.

    Raises TimeoutError if it is neither for half a minute.
    """
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        # A transaction each: within one, the server shows what it saw first.
        with ledger._database.read() as tx:
            if tx.execute(waits).scalar():
                return
        with suppress(TimeoutError):
            work.exception(timeout=0.02)
            return
    raise TimeoutError
