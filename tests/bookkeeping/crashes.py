"""Ending a process at a chosen statement of a transaction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import event

from bookkeeping.races import everything
from ocelog.ledger.ledger import Ledger


class Crash(BaseException):
    """The process is gone at this instruction."""


@contextmanager
def crashing_at(ledger: Ledger, statement: int) -> Iterator[None]:
    """Crash just before the nth statement, counted from 1; the commit counts as one."""
    engine, numbers = ledger._database.writers, count(1)

    def step(*_: Any) -> None:
        if next(numbers) == statement:
            raise Crash

    event.listen(engine, "before_cursor_execute", step)
    event.listen(engine, "commit", step)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", step)
        event.remove(engine, "commit", step)


@contextmanager
def before_statement(ledger: Ledger, containing: str, action: Callable[[], object]) -> Iterator[None]:
    """Let `action`, another process's deed, happen just before the first statement with that text."""
    engine, left = ledger._database.writers, [action]

    def step(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        if left and containing in statement:
            left.pop()()

    event.listen(engine, "before_cursor_execute", step)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", step)
    assert not left, f"there was no statement with {containing!r}"


def crash_everywhere(ledger: Ledger, call: Callable[[], object]) -> int:
    """Crash `call` at each of its statements, and assert that each time nothing changed; then let it happen.

    Return how many crashes that took.
    """
    before = everything(ledger)
    for statement in count(1):
        try:
            with crashing_at(ledger, statement):
                call()
        except Crash:
            assert everything(ledger) == before, f"a crash at statement {statement} left something behind"
            continue
        assert everything(ledger) != before, "it did nothing at all"
        return statement - 1
    raise AssertionError
