"""How a list that is shown page by page leads on and back: by links, which work without a script."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from msgspec import Struct

_MOST = 50
"""Places that an address holds; who goes on further comes back as many pages, and to the first one."""


class ListPages(Struct, frozen=True, kw_only=True):
    """Where the links of a page lead; None: there is no such page."""

    first: str | None
    previous: str | None
    """The page before this one, unless that is the first."""
    further: str | None


def list_pages(path: str, query: Mapping[str, str], name: str, places: Sequence[str], end: object) -> ListPages:
    """Return the pages around the one that begins behind the last of `places`.

    The address holds under `name` where this page and those before it begin, in order, since a list is read in one
    direction only. `end` is where the next page begins; None: there is none.
    """

    def address(chosen: Sequence[str]) -> str:
        asked = urlencode({**query, **({name: chosen} if chosen else {})}, doseq=True)
        return f"{path}?{asked}" if asked else path

    return ListPages(
        first=address([]) if places else None,
        previous=address(places[:-1]) if len(places) > 1 else None,
        further=None if end is None else address([*places, str(end)][-_MOST:]),
    )
