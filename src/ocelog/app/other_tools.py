"""How the file by which other tools read the lake stays as the tables are, whatever changes their files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ocelog.app.log_types import table_schemas
from ocelog.errors import OcelogError
from ocelog.lake.read.views_file import ViewsFile


def views_for_others(home: Path) -> ViewsFile:
    """Return what writes the file; one that is kept remembers what it has read of the tables."""
    return ViewsFile(home, table_schemas())


@contextmanager
def tables_change(home: Path, views: ViewsFile | None = None) -> Iterator[None]:
    """Write the file anew at the end of the block, also if the block fails: by then some files may be others.

    Every use case that publishes, rewrites or deletes rows does so in such a block. Raises OcelogError if the file
    cannot be written, unless the block itself raises.
    """
    views = views or views_for_others(home)
    try:
        yield
    except BaseException:
        with suppress(OcelogError):
            views.refresh()
        raise
    views.refresh()
