"""How a query is answered as of a time of the past: what asks the clock is covered by macros that say that time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from ocelog.lake.read.quoting import literal
from ocelog.times import rfc3339

_SAY: Mapping[str, str] = {
    "now": "{at}",
    "get_current_timestamp": "{at}",
    "transaction_timestamp": "{at}",
    "current_localtimestamp": "{at}::TIMESTAMP",
    "current_date": "{at}::DATE",
    "today": "{at}::DATE",
    "get_current_time": "{at}::TIMETZ",
    "current_localtime": "{at}::TIMESTAMP::TIME",
}
"""What each says that takes no argument; `current_timestamp` and the like are other words for them. All is in UTC."""
CLOCK = frozenset({*_SAY, "age"})
"""Functions that ask the clock, or may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """A time of the past, as of which a query is answered."""

    at: datetime
    """What its clock says. What happened later is not there."""
    read_by: datetime | None = None
    """What was read later is not there either; None: it does not count when it was read."""

    def held_clock(self) -> list[str]:
        """Return the statements that hold the clock."""
        at = _instant(self.at)
        made = [f"CREATE MACRO {name}() AS {says.format(at=at)}" for name, says in _SAY.items()]
        day = f"{at}::DATE::TIMESTAMP"
        return [*made, f"CREATE MACRO age(x) AS system.main.age({day}, x::TIMESTAMP), (x, y) AS system.main.age(x, y)"]

    def condition(self, columns: Collection[str]) -> str:
        """Return what holds for the rows of a table that are there. A record went away when a sweep noticed it."""
        at = _instant(self.at)
        found = [f"p_event_time <= {at}"]
        if "p_inferred" in columns:
            found.append(f"(p_inferred IS NULL OR p_observed_at <= {at})")
        if self.read_by is not None:
            found.append(f"p_parse_time <= {_instant(self.read_by)}")
        return " AND ".join(found)


def _instant(at: datetime) -> str:
    return f"{literal(rfc3339(at))}::TIMESTAMPTZ"
