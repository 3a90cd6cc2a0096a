"""What was lost of the lake, and whether its time range is planned again: the ledger as repairing uses it.

A part that publishing passes is not a row of `parts` any more, so that the mark vouches for nothing that is nowhere
without a record here. Records stay: they say what the tables lack.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import delete, select, update

from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import claims, counters, landing, losses, slices, streams
from ocelog.model import Claim, GivenUp, NewPart, Slice

_g = tables.given_up.c


class LossLedger:
    """Lost files of the lake, and what is done about them."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def note(self, lost: GivenUp) -> None:
        """Remember a lost file; one that is known already, and not repaired, stays as it is."""
        with self._database.write() as tx:
            losses.note(tx, lost)

    def listed(self, *, repaired: bool = False) -> list[GivenUp]:
        """Return what was lost, the oldest first; what is repaired only if asked for."""
        with self._database.read() as tx:
            found = select(tables.given_up).order_by(_g.noticed_us, _g.path)
            if not repaired:
                found = found.where(_g.repaired_us.is_(None))
            return [losses.lost_of(row) for row in tx.execute(found).mappings()]

    def plan(self, paths: Sequence[str], again: Sequence[Slice]) -> list[Slice]:
        """Plan the slices that read lost time ranges again, and note of `paths` that they are repaired."""
        with self._database.write() as tx:
            for source_id, log_type in sorted({(each.source_id, each.log_type) for each in again}):
                streams.hold(tx, source_id, log_type)
            for path in paths:
                tx.execute(update(tables.given_up).where(_g.path == path).values(repaired_us=self._now_us()))
            return slices.add(tx, again)

    def readmit(self, path: str, part: NewPart | None, source_id: str, *, claim: Claim) -> None:
        """Land again, as `part`, what of a part that was set aside is not there yet (None: all of it is).

        Raises LostFenceError if another holds the claim: then nothing was landed.
        """
        now_us = self._now_us()
        with self._database.write() as tx:
            last = 0 if part is None else counters.hold(tx, part.table).last
            claims.hold(tx, claim, now_us)
            if part is not None:
                landing.add_part(tx, part, source_id, last + 1, now_us)
            tx.execute(update(tables.given_up).where(_g.path == path).values(repaired_us=now_us))

    def rejection_keys(self) -> list[str]:
        """Return the key of every rejection that has landed."""
        with self._database.read() as tx:
            return list(tx.execute(select(tables.rejection_keys.c.rejection_key)).scalars())

    def forget_rejections(self, keys: Sequence[str]) -> None:
        """Forget rejections whose rows are lost, so that they land once more if they come again."""
        with self._database.write() as tx:
            key = tables.rejection_keys.c.rejection_key
            for some in batches(keys):
                tx.execute(delete(tables.rejection_keys).where(key.in_(some)))

    def count_rejections(self, found: Mapping[tuple[str, str], int]) -> None:
        """Lower each stream's count of rejections to what was `found` of (source id, log type).

        Which of them are lost is not known: they are taken for replayed ones, until the next replay tells.
        """
        with self._database.write() as tx:
            s = tables.streams.c
            counts = select(s.source_id, s.log_type, s.rejections, s.replayed)
            for source_id, log_type, counted, replayed in tx.execute(counts).all():
                there = found.get((source_id, log_type), 0)
                if there < counted:
                    this = (s.source_id == source_id, s.log_type == log_type)
                    left = max(0, replayed - (counted - there))
                    tx.execute(update(tables.streams).where(*this).values(rejections=there, replayed=left))

    def note_replay(self, source_id: str, log_type: str, *, fit: int, landed: int) -> None:
        """Note how many of a stream's rejections `fit` in a replay of all of them, and how many `landed` only then.

        The number never falls: rejections that have expired were not tried, and what they became stays in the lake.
        A coverage that was measured without these records is forgotten, so that it is measured again.
        """
        with self._database.write() as tx:
            row = streams.hold(tx, source_id, log_type)
            if row is None:
                return
            replayed = max(row["replayed"], min(fit, row["rejections"]))
            if landed or replayed != row["replayed"]:
                s, c = tables.streams.c, tables.coverage.c
                this = (s.source_id == source_id, s.log_type == log_type)
                tx.execute(update(tables.streams).where(*this).values(replayed=replayed))
                tx.execute(delete(tables.coverage).where(c.source_id == source_id, c.log_type == log_type))
