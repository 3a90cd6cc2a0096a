"""Which files a table consists of, and how it begins under another path: Iceberg's metadata names files absolutely."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from msgspec import Struct

from ocelog.errors import HomeError
from ocelog.files import read_regular
from ocelog.lake.catalog.file_io import LocalInput, durable_io, local_path
from ocelog.lake.catalog.iceberg import opened_catalog, table_location
from ocelog.lake.catalog.state import MARK, NAMESPACE, readable
from ocelog.lake.storage.disk import make_directory, sync_directory, write_new
from ocelog.lake.storage.faults import translated
from ocelog.lake.upkeep.repair import point
from ocelog.lake.write.append import commit
from ocelog.lake.write.datafiles import DataFiles

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer


class TableFiles(Struct, frozen=True, kw_only=True):
    """The files of a table's present snapshot, by path."""

    metadata: Path
    others: Mapping[Path, int | None]
    """Manifests and data files with their sizes (None: not noted)."""


def table_files(location: str) -> TableFiles:
    """Return every file that the table's present snapshot needs. Raises LakeDamagedError."""
    found: dict[Path, int | None] = {}
    with readable(location):
        metadata: Mapping[str, Any] = json.loads(read_regular(location))
    for manifest_list, manifest, entry in _entries(metadata, durable_io()):
        found[local_path(manifest_list)] = None
        found[local_path(manifest)] = None
        if entry is not None:
            found[local_path(entry.file_path)] = entry.file_size_in_bytes
    return TableFiles(metadata=Path(location), others=found)


def _entries(metadata: Mapping[str, Any], io: "FileIO") -> "Iterator[tuple[str, str, DataFile | None]]":
    """Yield manifest list, manifest and data file of each entry of the present snapshot."""
    from pyiceberg.manifest import read_manifest_list  # noqa: PLC0415 - takes half a second

    current = metadata.get("current-snapshot-id")
    for snapshot in metadata.get("snapshots") or ():
        if snapshot["snapshot-id"] != current:
            continue
        listed = io.new_input(snapshot["manifest-list"])
        with readable(listed.location):
            manifests = list(read_manifest_list(listed))
        for manifest in manifests:
            with readable(io.new_input(manifest.manifest_path).location):
                entries = manifest.fetch_manifest_entry(io)
            yield snapshot["manifest-list"], manifest.manifest_path, None
            for entry in entries:
                yield snapshot["manifest-list"], manifest.manifest_path, entry.data_file


class _CopiedFiles:
    """Fits as much of pyiceberg.io.FileIO as reading manifests needs: looks for the files of a home in a copy of it."""

    def __init__(self, home: Path, copy: Path) -> None:
        self.properties: dict[str, str] = {}
        self._home = home
        self._copy = copy

    def new_input(self, location: str) -> LocalInput:
        """Open what is there."""
        return LocalInput(str(self._copy / local_path(location).relative_to(self._home)))


def check_copy(table: str, *, copy: Path, made_in: Path, metadata: str) -> None:
    """Read all that describes `table`, of which the folder `copy` holds what lay in the home `made_in`.

    Raises LakeDamagedError if any of it is lost or damaged, and HomeError if a file of the table lay outside the home.
    """
    from pyiceberg.table.metadata import TableMetadataUtil  # noqa: PLC0415 - slow to import

    with readable(str(copy / metadata)), _careful_decoding():
        whole = json.loads(read_regular(copy / metadata))
        TableMetadataUtil.parse_obj(whole)
        for _ in _moved_entries(table, whole, copy, made_in):
            pass


@contextmanager
def _careful_decoding() -> Iterator[None]:
    """Have Avro decoded in Python: a wrong length ends the process in which the quick decoder of pyiceberg meets it."""
    import pyiceberg.avro.file  # noqa: PLC0415 - slow to import
    from pyiceberg.avro.decoder import StreamingBinaryDecoder  # noqa: PLC0415 - likewise

    reading: Any = pyiceberg.avro.file
    quick, reading.new_decoder = reading.new_decoder, StreamingBinaryDecoder
    try:
        yield
    finally:
        reading.new_decoder = quick


def _moved_entries(
    table: str, whole: Mapping[str, Any], copy: Path, made_in: Path
) -> "Iterator[tuple[DataFile, Path]]":
    """Yield each data file of the present snapshot, and its path within the home."""
    for _, _, entry in _entries(whole, cast("FileIO", _CopiedFiles(made_in, copy))):
        if entry is None:
            continue
        path = local_path(entry.file_path)
        if not path.is_relative_to(made_in):
            raise HomeError(f"The table {table} holds {path}, which lay outside the home, so the backup lacks it.")
        yield entry, path.relative_to(made_in)


def begin_in_home(table: str, *, copy: Path, made_in: Path, metadata: str, home: Path) -> int:
    """Let `table`, of which the folder `copy` holds what lay in the home `made_in`, begin in `home`.

    Its data files are there already, under the same paths within the home. Columns, properties and the mark stay; older
    snapshots do not come along. Returns how many data files it has.
    """
    from pyiceberg.manifest import DataFile  # noqa: PLC0415 - slow to import

    whole: dict[str, Any] = json.loads(read_regular(copy / metadata))
    files = list[DataFile]()
    for entry, path in _moved_entries(table, whole, copy, made_in):
        moved = DataFile.from_args(
            content=entry.content,
            file_path=str(home / path),
            file_format=entry.file_format,
            partition=entry.partition,
            record_count=entry.record_count,
            file_size_in_bytes=entry.file_size_in_bytes,
            column_sizes=entry.column_sizes,
            value_counts=entry.value_counts,
            null_value_counts=entry.null_value_counts,
            nan_value_counts=entry.nan_value_counts,
            lower_bounds=entry.lower_bounds,
            upper_bounds=entry.upper_bounds,
            key_metadata=entry.key_metadata,
            split_offsets=entry.split_offsets,
            equality_ids=entry.equality_ids,
            sort_order_id=entry.sort_order_id,
        )
        moved.spec_id = whole["default-spec-id"]
        files.append(moved)
    for gone in ("refs", "statistics", "partition-statistics", "current-snapshot-id"):
        whole.pop(gone, None)
    whole |= {"location": str(table_location(home, table)), "snapshots": [], "snapshot-log": [], "metadata-log": []}
    folder = table_location(home, table) / "metadata"
    if not folder.exists():
        make_directory(folder)
    beginning = folder / f"00000-{uuid4()}.metadata.json"
    write_new(beginning, json.dumps(whole).encode())
    sync_directory(folder)
    point(home, table, str(beginning))
    if files:
        _append(home, table, files)
    return len(files)


def _append(home: Path, table: str, files: "list[DataFile]") -> None:
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        written = DataFiles(table, loaded.metadata)
        written.written = files

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            mark = {MARK: loaded.properties[MARK]} if MARK in loaded.properties else {}
            return transaction.update_snapshot(snapshot_properties=mark).fast_append()

        commit(catalog, written, stage)
