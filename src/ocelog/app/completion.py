"""Names that a shell completes: found at once, without a word about what keeps them from being found."""

import re
import sqlite3

from ocelog.errors import OcelogError
from ocelog.installation import config
from ocelog.installation.home import open_home
from ocelog.ledger.source_names import read_source_names

_PLAIN = re.compile(r"[\w.@-]+")
"""What no shell takes apart, in any script."""


def source_names() -> list[str]:
    """Return the name of each source, or its id if a shell would have to quote the name; none if there is no home."""
    try:
        place = open_home(config.home_path(), reading=True)
        return [name if _PLAIN.fullmatch(name) else id_ for id_, name in read_source_names(place.ledger_url)]
    except (OcelogError, OSError, sqlite3.Error, ValueError):
        return []
