"""Which sources are there, or removed, and stay so until a transaction ends."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches

_s = tables.sources.c


def hold(tx: Connection, source_id: str) -> bool:
    """Keep a source from being removed until the transaction ends; False: it is removed, or gone."""
    return tx.execute(_THERE, {"source": source_id}).first() is not None


def hold_removed(tx: Connection, source_id: str) -> bool:
    """Keep a source from being added again until the transaction ends; False: it is not removed, or gone."""
    return tx.execute(_REMOVED, {"source": source_id}).first() is not None


def hold_known(tx: Connection, sources: Collection[str]) -> frozenset[str]:
    """Keep sources, removed ones too, from being purged until the transaction ends; return those that there are."""
    found = set[str]()
    for some in batches(sorted(sources)):
        found.update(tx.execute(_KNOWN, {"sources": some}).scalars())
    return frozenset(found)


def removed(tx: Connection, sources: Collection[str]) -> frozenset[str]:
    """Return those of these sources that were removed."""
    return frozenset(tx.execute(_ALL_REMOVED, {"sources": sorted(sources)}).scalars()) if sources else frozenset()


# Built once: building a statement takes as long as running it, and these run for all that is judged.
_THERE = (
    select(_s.id)
    .where(_s.id == bindparam("source"), _s.removed_us.is_(None))
    # As strong as that: who removes a source does not change its key.
    .with_for_update(read=True)
)
_REMOVED = select(_s.id).where(_s.id == bindparam("source"), _s.removed_us.is_not(None)).with_for_update(read=True)
_THESE = select(_s.id).where(_s.id.in_(bindparam("sources", expanding=True)))
_KNOWN = _THESE.order_by(_s.id).with_for_update(read=True, key_share=True)
_ALL_REMOVED = _THESE.where(_s.removed_us.is_not(None))
