"""Whether everything that the ledger and the tables' metadata name is there and whole."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError
from ocelog.lake.catalog.state import TableFile
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.snapshot import Snapshot, Snapshots
from ocelog.lake.storage.checksums import damage, written_sum
from ocelog.lake.storage.leftovers_note import note_path, noted
from ocelog.lake.storage.verified import found_damaged
from ocelog.model import Part

MOST_FILES = 10_000
"""Files that one look asks the disk about, of all tables together: `ocelog status` must stay quick."""


class Damage(Struct, frozen=True, kw_only=True):
    """Something of a table that is lost or damaged, or that this user may not read."""

    table: str
    text: str
    """What is wrong, and what to do, in whole sentences."""
    file: TableFile | Part | None = None
    """The data file or the part; None: what names the files of the table."""
    what: str = ""
    of_note: bool = False
    """It is the list of files to be deleted, which is started anew without anybody's help."""


def inspect(
    home: Path, ledger: LakeLedger, tables: Iterable[str], *, content: bool = False, most: int = MOST_FILES
) -> list[Damage]:
    """Return what is lost or damaged: by existence and size of at most `most` files, or by the `content` of all.

    Nothing raises but the ledger: each table is looked at for itself.
    """
    snapshots = Snapshots(home, ledger)
    found, left = list[Damage](), None if content else most
    for table in tables:
        try:
            snapshot = snapshots.take(table)
            lost = list(_lost(home, snapshot, content=content, most=left))
        except (LakeDamagedError, LakeUnavailableError, HomeError) as error:
            found.append(Damage(table=table, text=f"{table}: {error.beside(table)}"))
            continue
        found += lost
        left = None if left is None else max(0, left - len(snapshot.files) - len(snapshot.parts))
        note = note_path(home, table)
        if note.exists() and noted(note) is None:
            text = f"{table}: {note} is damaged. It only lists files to be deleted; a new one is started."
            found.append(Damage(table=table, text=text, of_note=True))
    return found


def _lost(home: Path, snapshot: Snapshot, *, content: bool, most: int | None) -> Iterator[Damage]:
    named: list[tuple[Path, TableFile | Part]] = [(home / part.path, part) for part in snapshot.parts]
    named += [(Path(file.path), file) for file in snapshot.files]
    # Only a query, or a look at the content, sees a flipped bit.
    known = {} if content else found_damaged(home)
    for path, file in named[:most]:
        try:
            what = damage(path, file.bytes, content=content) or known.get(str(path))
            if what is None and content and written_sum(path) is None:
                from ocelog.lake.read.scan import undecodable  # noqa: PLC0415 - Arrow, which `status` saves

                what = undecodable(path)
        except HomeError as error:
            yield Damage(table=snapshot.table, text=f"{snapshot.table}: {error.beside(snapshot.table)}")
            continue
        if what is not None:
            kind = "a part" if isinstance(file, Part) else "a data file"
            text = (
                f"{snapshot.table}: {path} {what}; {kind} of {file.rows:,} rows. Put it back from a backup, or run: "
                "ocelog repair"
            )
            yield Damage(table=snapshot.table, text=text, file=file, what=what)
