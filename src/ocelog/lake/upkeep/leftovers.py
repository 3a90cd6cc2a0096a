"""Which files of a table no snapshot names any more, and when they go."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ocelog.errors import OcelogError
from ocelog.files import read_regular
from ocelog.lake.catalog.file_io import durable_io, local_path
from ocelog.lake.catalog.iceberg import table_location
from ocelog.lake.catalog.state import TableStates, readable
from ocelog.lake.storage.disk import make_directory, refusal, replace_file
from ocelog.lake.storage.leftovers_note import note_path, noted
from ocelog.lake.write.parts import discard
from ocelog.times import has_passed

EVERY = timedelta(days=1)
"""Between two looks. What both find goes: no commit and no query takes so long."""
_KINDS = (".parquet", ".avro", ".metadata.json")


def remove_leftovers(home: Path, table: str, *, every: timedelta = EVERY) -> int:
    """Delete the files of a table that were named by no snapshot at the last look and at this one; return how many.

    They come from commits that were killed, from expired snapshots, and from a purge. A look that is not due does
    nothing. Where the last one is dated ahead nobody knows how long ago it was: the looking begins anew. Raises
    LakeUnavailableError.
    """
    if not table_location(home, table).exists():
        return 0
    looked = note_path(home, table)
    if not looked.exists():
        _note(looked, [])
    now, last = time.time(), looked.stat().st_mtime
    if not has_passed(every, since=last, now=now):
        return 0
    # Before the metadata is read: a file that is committed in between is then found to be named.
    there = sorted(str(file) for file in table_location(home, table).rglob("*") if file.name.endswith(_KINDS))
    try:
        location = TableStates(home).location(table)
        named = set(_named(location)) if location is not None else set()
    except (OSError, ValueError, OcelogError):
        # What names files cannot be read: whether a file is named is not known. Another day, perhaps.
        _note(looked, [])
        return 0
    unnamed = [path for path in there if path not in named]
    before = frozenset(noted(looked) or () if last <= now else ())
    gone = [path for path in unnamed if path in before]
    for path in gone:
        discard(home, path)
    _note(looked, [path for path in unnamed if path not in before])
    return len(gone)


def _note(looked: Path, paths: list[str]) -> None:
    try:
        if not looked.parent.exists():
            make_directory(looked.parent)
        replace_file(looked, json.dumps(paths, indent=0).encode(), mode=0o644, synced=True)
    except OSError as error:
        raise refusal(error, looked) from error


def _named(location: str) -> Iterator[str]:
    """Yield every file that a table's metadata, or anything that it names, names."""
    from pyiceberg.manifest import read_manifest_list  # noqa: PLC0415 - takes half a second

    io = durable_io()
    metadata: Mapping[str, Any] = json.loads(read_regular(location))
    yield location
    for kind, key in (
        ("metadata-log", "metadata-file"),
        ("statistics", "statistics-path"),
        ("partition-statistics", "statistics-path"),
    ):
        yield from (str(local_path(entry[key])) for entry in metadata.get(kind) or ())
    manifests = set[str]()
    for snapshot in metadata.get("snapshots") or ():
        yield str(local_path(snapshot["manifest-list"]))
        with readable(snapshot["manifest-list"]):
            listed = list(read_manifest_list(io.new_input(snapshot["manifest-list"])))
        for manifest in listed:
            if manifest.manifest_path not in manifests:
                manifests.add(manifest.manifest_path)
                yield str(local_path(manifest.manifest_path))
                with readable(manifest.manifest_path):
                    entries = manifest.fetch_manifest_entry(io)
                for entry in entries:
                    yield str(local_path(entry.data_file.file_path))
