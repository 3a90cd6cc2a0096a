"""Who may land what no slice is read for, such as a replay of a source's rejections.

A slice carries its claim in its own row. Here is one row for each other piece of work on a source, made when it is
first taken; like a slice it is handed from holder to holder under a higher fence, and only the present one may land.
"""

from datetime import timedelta

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, select, update

from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded, insert_missing
from ocelog.model import Claim
from ocelog.times import CLOCKS_APART

_PREFIX = "c"
"""Before the number in a claim's name, which tells it from a slice's."""
_c = tables.claims.c


def take(tx: Connection, work: str, source_id: str, holder: str, now_us: int, lease: timedelta) -> Claim:
    """Hand the claim to `work` on a source to `holder`, under a new fence.

    Raises LostFenceError while another has it whose lease runs, and if the source is gone.
    """
    if tx.execute(_SOURCE, {"source": source_id}).first() is None:
        raise LostFenceError(f"There is no source {source_id!r} in the ledger any more; nothing was landed.")
    insert_missing(tx, tables.claims, work=work, source_id=source_id, fence=0)
    row = tx.execute(_HELD, {"work": work, "source": source_id}).one()
    lease_us = lease // timedelta(microseconds=1)
    # No lease is longer than it was taken for: one that seems to be is of a clock that was ahead.
    longest = now_us + (row.lease_us or 0) + CLOCKS_APART // timedelta(microseconds=1)
    if row.holder is not None and now_us < row.leased_until_us <= longest:
        raise LostFenceError(
            f"The {work} of {source_id!r} is under way already, by {row.holder}. Nothing was changed; try again later."
        )
    held = {"holder": bounded(holder), "lease_us": lease_us, "leased_until_us": now_us + lease_us}
    tx.execute(_THIS, {"claim": row.id, "fence": row.fence + 1, **held})
    return Claim(name=f"{_PREFIX}{row.id}", fence=row.fence + 1)


def hold(tx: Connection, claim: Claim, now_us: int) -> None:
    """Take the row of a claim until the transaction ends, and extend its lease. Raises LostFenceError."""
    if tx.execute(_EXTENDED, {**_mine(claim), "now_us": now_us}).rowcount != 1:
        raise LostFenceError(
            f"Claim {claim.name} is no longer held with fence {claim.fence}: another process took it over. "
            "Nothing was landed."
        )


def release(tx: Connection, claim: Claim) -> None:
    """Let go of a claim, unless another has it already."""
    tx.execute(_MINE, {**_mine(claim), "holder": None, "leased_until_us": None})


def release_home(tx: Connection, home_id: str) -> None:
    """Let go of the claims that holders of a home have."""
    ours = _c.holder.startswith(f"{home_id}/", autoescape=True)
    tx.execute(update(tables.claims).where(ours).values(holder=None, leased_until_us=None))


def fences(tx: Connection) -> dict[str, int]:
    """Return the fence of every claim of this kind by its name."""
    return {f"{_PREFIX}{row.id}": row.fence for row in tx.execute(select(_c.id, _c.fence))}


def of_source(tx: Connection, source_id: str) -> list[str]:
    """Return the names of the claims to work on a source."""
    found = tx.execute(select(_c.id).where(_c.source_id == source_id).order_by(_c.id))
    return [f"{_PREFIX}{number}" for number in found.scalars()]


def purge(tx: Connection, source_id: str) -> None:
    """Delete the claims to work on a source."""
    tx.execute(delete(tables.claims).where(_c.source_id == source_id))


def _mine(claim: Claim) -> dict[str, int]:
    return {"claim": int(claim.name.removeprefix(_PREFIX)), "held": claim.fence}


# Built once: building a statement takes as long as running it, and these run for all that is judged.
_SOURCE = (
    select(tables.sources.c.id)
    .where(tables.sources.c.id == bindparam("source"))
    .with_for_update(read=True, key_share=True)
)
_HELD = select(tables.claims).where(_c.work == bindparam("work"), _c.source_id == bindparam("source")).with_for_update()
_THIS = update(tables.claims).where(_c.id == bindparam("claim"))
_MINE = _THIS.where(_c.fence == bindparam("held"))
_EXTENDED = _MINE.values(leased_until_us=bindparam("now_us", type_=BigInteger()) + func.coalesce(_c.lease_us, 0))
