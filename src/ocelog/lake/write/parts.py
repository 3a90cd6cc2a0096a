"""How a landed page becomes a durable Parquet file, and when that file may go."""

import zlib
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ocelog.lake.ports import LakeLedger
from ocelog.lake.storage.checksums import stamped
from ocelog.lake.storage.disk import make_directory, refusal, sync_directory, write_new
from ocelog.model import NewPart
from ocelog.pull.part_names import PartName, read_claim_name, read_part_name
from ocelog.schema.columns.table import part_options

LANDING = "landing"


def write_part(home: Path, table: str, name: str, rows: pa.Table) -> NewPart:
    """Write `rows` to `landing/<table>/<name>.<checksum>.parquet`; file and entry are on disk when this returns.

    Raises LakeUnavailableError or HomeError; then no file is left.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, version="2.6", write_page_checksum=True, **part_options(rows))
    content = memoryview(sink.getvalue())
    path = f"{LANDING}/{table}/{stamped(name, zlib.crc32(content))}"
    file = home / path
    try:
        if not file.parent.exists():
            make_directory(file.parent)
        write_new(file, content)
        sync_directory(file.parent)
    except OSError as error:
        raise refusal(error, file) from error
    least, most = cursor_range(rows)
    return NewPart(
        table=table, path=path, rows=rows.num_rows, bytes=len(content), min_cursor_us=least, max_cursor_us=most
    )


def discard(home: Path, path: str) -> None:
    """Delete the file of a part; one that is gone already is fine."""
    try:
        (home / path).unlink(missing_ok=True)
    except OSError as error:
        raise refusal(error, home / path) from error


def cursor_range(rows: pa.Table) -> tuple[int, int]:
    """Return the least and greatest p_cursor_time in microseconds."""
    found = pc.min_max(rows.column("p_cursor_time").cast(pa.int64())).as_py()
    return found["min"], found["max"]


def parts_of_claims(home: Path, table: str, claims: Collection[str]) -> list[str]:
    """Return the files in landing that were written under some claims, whether or not anything vouches for them."""
    names = sorted(file.name for file in (home / LANDING / table).glob("*.parquet"))
    return [
        f"{LANDING}/{table}/{name}"
        for name in names
        if (found := read_part_name(name)) is not None and found.claim in claims
    ]


def remove_orphans(home: Path, table: str, ledger: LakeLedger) -> list[str]:
    """Delete files that no transaction vouches for and none ever will: their holder has lost its claim.

    The files are listed before the ledger is asked, and a file whose fence is the claim's present one stays: its
    holder may only be asleep, and commit it yet. A claim that the ledger has forgotten takes no landing either, unless
    its number is above all that this ledger knows: then it may be an older copy, which is to be replaced.
    """
    names = sorted(file.name for file in (home / LANDING / table).glob("*.parquet"))
    landed, fences = ledger.landing_state(table)
    newest = dict[str, int]()
    for known in map(read_claim_name, fences):
        if known is not None:
            kind, number = known
            newest[kind] = max(newest.get(kind, 0), number)

    def has_lost(file: PartName) -> bool:
        fence = fences.get(file.claim)
        return file.number <= newest.get(file.kind, 0) if fence is None else file.fence < fence

    orphans = [
        path
        for name in names
        if (found := read_part_name(name)) is not None
        and has_lost(found)
        and (path := f"{LANDING}/{table}/{name}") not in landed
    ]
    for path in orphans:
        discard(home, path)
    return orphans
