"""Searches that people keep: under a name, for themselves or for all."""

import time
from collections.abc import Sequence
from uuid import uuid4

from ocelog.access import Role, SavedSearch, User
from ocelog.app.users.users import Origin, deed_of
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase

MOST = 200
"""A user has at most so many."""
_LONGEST_NAME = 100
_LONGEST_ADDRESS = 8_000


def save(installation: Installation, name: str, address: str, *, shared: bool, by: User, origin: Origin) -> SavedSearch:
    """Keep a search under a name, in the place of one's own of that name. Raises ConfigError.

    `address` is that of its page: the path and the query.
    """
    name = _clean(name)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            Phrase("The name of a search is one line of 1 to %(longest_name)s characters.", longest_name=_LONGEST_NAME)
        )
    path, _, query = address.partition("?")
    if path not in {"/search", "/search/sql"} or not address.isascii() or not address.isprintable():
        raise ConfigError(Phrase("The address of a search is that of its page: /search?... or /search/sql?..."))
    if len(query) > _LONGEST_ADDRESS:
        raise ConfigError(
            Phrase(
                "The address of a search has at most %(longest_address)s characters.",
                longest_address=format(_LONGEST_ADDRESS, ","),
            )
        )
    search = SavedSearch(
        id=uuid4().hex,
        owner_id=by.id,
        owner=by.name,
        name=name,
        address=address,
        shared=shared,
        saved_us=time.time_ns() // 1_000,
    )
    told = deed_of(by, "search.saved", name, origin, shared=str(shared).lower(), address=address)
    installation.ledger.saved_searches.save(search, told, most=MOST)
    return search


def is_taken(installation: Installation, name: str, user: User) -> bool:
    """Whether a user has a search of that name, in the place of which `save` would keep another."""
    return any(each.owner_id == user.id and each.name == _clean(name) for each in listed(installation, user))


def _clean(name: str) -> str:
    return " ".join(name.split())


def listed(installation: Installation, user: User) -> Sequence[SavedSearch]:
    """Return a user's own and those that others share, by name."""
    return installation.ledger.saved_searches.listed(user.id)


def remove(installation: Installation, search_id: str, *, by: User, origin: Origin) -> None:
    """Remove one's own search; an admin may remove any. Raises ConfigError if there is none."""
    told = deed_of(by, "search.removed", search_id, origin)
    of = None if by.role.covers(Role.ADMIN) else by.id
    if not installation.ledger.saved_searches.remove(search_id, told, of=of):
        raise ConfigError(Phrase("There is no such search of yours."))
