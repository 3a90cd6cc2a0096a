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
