"""What rules were not asked about, or failed on, and never will be unless it is judged again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UnjudgedRows:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What was judged again: events from `since_us` on, before `until_us`, by the source's clock."""

    since_us: int
    until_us: int
    noted_before_us: int
    """By our clock: what is noted later may be about events that came meanwhile."""
