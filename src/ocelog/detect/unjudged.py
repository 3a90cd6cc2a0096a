"""What rules were not asked about, or failed on, and never will be unless it is judged again."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct


class UnjudgedRows(Struct, frozen=True, kw_only=True):
    """Rows of one table and source that a rule said nothing of, all for the same reason."""

    rule_id: str
    """Empty: every rule."""
    table: str
    source_id: str
    reason: str
    rows: int
    first_us: int
    """Event time of the first of them, by the source's clock."""
    last_us: int
    noted_us: int
    """When it was last noted, by our clock."""


class _UnjudgedRange(Protocol):
    @property
    def rule_id(self) -> str: ...

    @property
    def first_us(self) -> int: ...


def oldest_us(left: Iterable[_UnjudgedRange]) -> dict[str, int]:
    """Return, by rule, when the oldest of what it said nothing of happened."""
    found = dict[str, int]()
    for each in left:
        found[each.rule_id] = min(each.first_us, found.get(each.rule_id, each.first_us))
    return found


class ReplayRange(Struct, frozen=True, kw_only=True):
    """What was judged again: events from `since_us` on, before `until_us`, by the source's clock."""

    since_us: int
    until_us: int
    noted_before_us: int
    """By our clock: what is noted later may be about events that came meanwhile."""
