"""In which order a listing comes, and what its cursors are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

from wizsim.instants import parse
from wizsim.record_types import RECORD_TYPES
from wizsim.tables import Version

Json = dict[str, Any]
Key: TypeAlias = tuple[int, Any]

RANKS = {"CRITICAL": 0, "HIGH": 1, "MEDIUM": 2, "LOW": 3, "INFORMATIONAL": 4, "NONE": 5}
FIELDS = {
    ("issues", "CREATED_AT"): ("CreatedAt", "createdAt"),
    ("issues", "STATUS_CHANGED_AT"): ("StatusChangedAt", "statusChangedAt"),
    ("issues", "RESOLVED_AT"): ("ResolvedAt", "resolvedAt"),
    ("issues", "THREAT_LAST_GROUPED_AT"): ("LastEventAt", "lastEventAt"),
    ("issues", "SEVERITY"): ("Severity", "severity"),
    ("issues", "SEVERITY_EXPLOITABLE"): ("Severity", "severity"),
    ("findings", None): ("UpdatedAt", "updatedAt"),
    ("findings", "INCREMENTAL"): ("UpdatedAt", "updatedAt"),
    ("findings", "CREATED_AT"): ("FirstSeenAt", "firstDetectedAt"),
    ("findings", "RELATED_ISSUE_SEVERITY"): ("Severity", "severity"),
    ("findings", "RELATED_SOURCE_MAPPED_ISSUE_SEVERITY"): ("Severity", "severity"),
    ("findings", "TECHNOLOGY_END_OF_LIFE_DATE"): ("TechnologyEndOfLifeAt", "technologyEndOfLifeAt"),
}
"""(type, order asked for) -> (the cursor's name of it, the record's field); None: none was asked for.

By `ID`, each type can be asked for. What is not here comes as without an order, and that is by the field `born` of
`RECORD_TYPES`. Which field comes unasked is not public.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One way to sort; `key` grows along the listing, and `code`/`decode` write it into a cursor and read it back."""

    name: str
    key: Callable[[Version], Key]
    dated: bool
    """By an instant: only then is a cursor without a tie-break thinkable."""
    descending: bool = False


def order_of(
    type_: str,
    given: Json | None,
    *,
    oldest_first: bool = False,
    shuffled: int | None = None,
    descending: bool = False,
) -> Order:
    """Return the order that `orderBy` asks for, and without one the newest first unless `oldest_first`.

    `shuffled` (a seed) and `descending` are faults.
    """
    if shuffled is not None:
        return Order(name="Position", key=lambda v: (0, crc32(v.id.encode(), shuffled)), dated=False)
    wanted = given or {"direction": "ASC" if oldest_first else "DESC"}
    asked = wanted.get("field")
    name, field = _field(type_, asked)
    down = (wanted.get("direction") == "DESC") != descending
    if field == "id":
        return Order(name=name, key=_by_id_down if down else _by_id, dated=False, descending=down)
    if field == "severity":
        return Order(name=name, key=_by_rank(down=down), dated=False, descending=down)
    return Order(name=name, key=_by_instant(field, down=down), dated=True, descending=down)


def _field(type_: str, asked: str | None) -> tuple[str, str]:
    if asked == "ID":
        return "Id", "id"
    born = RECORD_TYPES[type_].born
    return FIELDS.get((type_, asked)) or FIELDS.get((type_, None)) or (born[:1].upper() + born[1:], born)


def _by_id(version: Version) -> Key:
    return 0, version.id


def _by_id_down(version: Version) -> Key:
    return 0, "".join(chr(0x10FFFF - ord(c)) for c in version.id)


def _by_rank(*, down: bool) -> Callable[[Version], Key]:
    # Wiz's DESC puts the worst first; RANKS counts from the worst.
    sign = 1 if down else -1
    return lambda version: (0, sign * RANKS.get(version.get("severity"), 5))


def _by_instant(field: str, *, down: bool) -> Callable[[Version], Key]:
    sign = -1 if down else 1

    def key(version: Version) -> Key:
        value = version.get(field)
        return (1, 0) if value is None else (0, sign * parse(value))

    return key
