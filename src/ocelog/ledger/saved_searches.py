"""Searches that people keep, for themselves or for all."""

from collections.abc import Callable

from sqlalchemy import RowMapping, delete, func, insert, or_, select

from ocelog.access import Deed, SavedSearch
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.users import add_deed

_s = tables.saved_searches.c
_u = tables.users.c


class SavedSearchLedger:
    """Saved searches, each of which has an owner."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def save(self, search: SavedSearch, deed: Deed, *, most: int) -> None:
        """Keep a search, in the place of the one of that name of its owner.

        Raises ConfigError if the owner has `most` others.
        """
        name = bounded(search.name)
        with self._database.write() as tx:
            # Whoever saves twice at once comes one after the other.
            tx.execute(select(_u.id).where(_u.id == search.owner_id).with_for_update()).one()
            tx.execute(delete(tables.saved_searches).where(_s.owner_id == search.owner_id, _s.name == name))
            count = select(func.count()).select_from(tables.saved_searches).where(_s.owner_id == search.owner_id)
            if tx.execute(count).scalar_one() >= most:
                raise ConfigError(Phrase("You have %(most)s saved searches: remove one first.", most=most))
            values = {"id": search.id, "owner_id": search.owner_id, "name": name, "address": bounded(search.address)}
            tx.execute(insert(tables.saved_searches).values(**values, shared=search.shared, saved_us=search.saved_us))
            add_deed(tx, deed)

    def listed(self, user_id: str) -> list[SavedSearch]:
        """Return a user's own and those that others share, by name."""
        found = (
            select(tables.saved_searches, _u.name.label("owner"))
            .join(tables.users, _u.id == _s.owner_id)
            .where(or_(_s.owner_id == user_id, _s.shared))
            .order_by(_s.name, _s.id)
        )
        with self._database.read() as tx:
            return [_search_of(row) for row in tx.execute(found).mappings()]

    def remove(self, search_id: str, deed: Deed, *, of: str | None) -> bool:
        """Remove a search of the user `of`, or of anybody; say whether it was there."""
        gone = delete(tables.saved_searches).where(_s.id == search_id)
        with self._database.write() as tx:
            if not tx.execute(gone if of is None else gone.where(_s.owner_id == of)).rowcount:
                return False
            add_deed(tx, deed)
            return True


def _search_of(row: RowMapping) -> SavedSearch:
    return SavedSearch(**{name: row[name] for name in SavedSearch.__struct_fields__})
