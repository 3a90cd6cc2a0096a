"""Which part of a listing a request gets, under which cursor, and what the connection around it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wizsim.behaviour import Behaviour
from wizsim.faults import Fault
from wizsim.listings import Cut, Listing, write_cursor
from wizsim.plans import RootField
from wizsim.refusals import bad_input
from wizsim.tables import Version

Json = dict[str, Any]

EXPORTS = "https://exports.example.com"
"""Where export URLs lead: nowhere."""
UNPAGED = frozenset({"exportUrl", "__typename"})
"""Fields of a connection that are about no page of it."""
SEVERITIES = ("critical", "high", "medium", "low", "informational")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a listing."""

    listing: Listing
    cut: Cut
    versions: list[Version]
    has_next: bool
    cursor: str | None


def size_of(root: RootField, first: int | None, behaviour: Behaviour) -> int:
    """Return how many records a page of `root` may hold. Raises Refusal."""
    cap = behaviour.audit_page_cap if root.type == "audit" else behaviour.page_cap
    if first is None:
        if root.type == "audit" and not root.wanted <= UNPAGED:
            raise bad_input("argument `first` is required")
        return min(behaviour.page_default, cap)
    if first < 1:
        raise bad_input("argument `first` must be positive")
    if first > cap and behaviour.refuse_over_cap:
        raise bad_input(f"argument `first` must not exceed {cap}")
    return min(first, cap)


def turn(
    listing: Listing, size: int, after: str | None, *, tie_break: bool, faults: Mapping[str, Fault], mark: int
) -> Page:
    """Turn to the page after a cursor, as the faults of cursors have it. Raises Refusal."""
    if after is not None and "cursor-forgotten" in faults:
        raise bad_input("cursor has expired")
    overlap = faults.get("overlap")
    early = 0 if overlap is None else min(size - 1, int(overlap.number("by", 3)))
    cut = listing.cut(size, after, repeated=early)
    has_next = cut.end < len(listing.entries)
    cursor = listing.cursor(cut.end - 1, tie_break=tie_break) if cut.end > cut.start else None
    if "empty-page" in faults:
        cut = Cut(start=cut.start, end=cut.start)
        has_next, cursor = True, listing.cursor(cut.start - 1, tie_break=tie_break, mark=mark)
    elif has_next and "cursor-missing" in faults:
        cursor = None
    elif has_next and "cursor-repeated" in faults and after is not None:
        cursor = after
    elif has_next and "cursor-foreign" in faults:
        cursor = write_cursor([{"Field": "Elsewhere", "Value": "1"}])
    return Page(listing=listing, cut=cut, versions=listing.records(cut), has_next=has_next, cursor=cursor)


def connection_of(root: RootField, page: Page, behaviour: Behaviour) -> Json:
    """Return the connection that `root` asks for, as the schema names its fields."""
    listing, wanted = page.listing, root.wanted
    total = len(listing.entries)
    cap = behaviour.max_count if root.type == "findings" else None
    capped = cap is not None and total > cap
    connection: Json = {
        "pageInfo": {"endCursor": page.cursor, "hasNextPage": page.has_next},
        "totalCount": cap if capped else total,
        "maxCountReached": capped,
        "nodes": [v.full() for v in page.versions] if "nodes" in wanted else None,
    }
    if "edges" in wanted:
        positions = range(page.cut.start, page.cut.end)
        cursors = (listing.cursor(at, tie_break=behaviour.tie_break) for at in positions)
        connection["edges"] = [{"cursor": c, "node": v.full()} for c, v in zip(cursors, page.versions, strict=True)]
    if any(name.endswith("SeverityCount") for name in wanted):
        severities = [v.get("severity") for v in listing.all()]
        connection |= {f"{s}SeverityCount": severities.count(s.upper()) for s in SEVERITIES}
    if "exportUrl" in wanted:
        connection["exportUrl"] = f"{EXPORTS}/{root.name}"
    if "uniqueEntityCount" in wanted:
        connection["uniqueEntityCount"] = len({(v.get("entitySnapshot") or {}).get("id") for v in listing.all()})
    return connection
