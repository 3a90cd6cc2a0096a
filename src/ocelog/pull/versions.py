"""Which fetched records are new versions, and which repeat what is there."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import repeat
from struct import Struct
from typing import TypeAlias

import msgspec

from ocelog.model import KnownVersions
from ocelog.pull.ports import ShapedRecords

Entry: TypeAlias = tuple[int, int, str, str]
"""(version time, p_observed_at, p_row_id, p_version): versions of one id sort in this order."""
AHEAD_US = 60_000_000
"""An instant so far ahead of the source's clock was taken from a clock that lied: none is that far from the others."""
_ENTRY = Struct("<qq16s16s")
"""An entry at rest: row ids and versions are 32 hex digits."""


def row_names(source_id: str, log_type: str) -> Callable[[str, str, int], str]:
    """Return what names the rows of a stream: from a record's id, its version and `k`, 32 hex digits.

    `k` tells apart the times when one version came back (A, B, A).
    """
    stream = blake2b(f"{source_id}\0{log_type}\0".encode("utf-8", "surrogatepass"), digest_size=16)

    def row_id(record_id: str, version: str, k: int) -> str:
        name = stream.copy()
        name.update(f"{record_id}\0{version}\0{k}".encode("utf-8", "surrogatepass"))
        return name.hexdigest()

    return row_id


class PlacedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a page are new, under which row ids, and where they belong."""

    keep: list[int]
    new: KnownVersions
    """The events kept, in the same order."""

    @property
    def row_ids(self) -> Sequence[str]:
        """The row ids of the events kept."""
        return self.new.row_ids


@dataclass(slots=True)
class History:
    """The versions that are there, by id: what a page is compared with.

    A slice of 10,000 records keeps one for as long as it is read, and several slices are read at once: so each version
    is 48 packed bytes, unpacked only for an id that comes again.
    """

    source_id: str
    log_type: str
    _by_id: dict[str, bytes] = field(default_factory=dict)
    _name: Callable[[str, str, int], str] = field(init=False)

    def __post_init__(self) -> None:
        self._name = row_names(self.source_id, self.log_type)

    def add(self, known: KnownVersions) -> None:
        """Take in versions that the lake or a part holds; those that are known already change nothing."""
        columns = zip(known.ids, known.version_us, known.observed_us, known.row_ids, known.versions, strict=True)
        for record_id, version_us, observed_us, name, version in columns:
            self._insert(record_id, (version_us, observed_us, name, version))

    def commit(self, placed: PlacedEvents) -> None:
        """Take in what has landed."""
        pack, read, new = _ENTRY.pack, bytes.fromhex, placed.new
        columns = zip(new.ids, new.version_us, new.observed_us, new.row_ids, new.versions, strict=True)
        for record_id, version_us, observed_us, name, version in columns:
            packed = pack(version_us, observed_us, read(name), read(version))
            self._by_id[record_id] = self._by_id.get(record_id, b"") + packed

    def before(self, record_id: str, version_us: int, observed_us: int, now_us: int | None = None) -> str | None:
        """Return the row id of the version just before the place of one that is observed; None if there is none."""
        entries = sorted(self._entries(record_id))
        at = bisect_left(entries, (version_us, _behind_lies(entries, version_us, observed_us, now_us), "", ""))
        return entries[at - 1][2] if at else None

    def newest(self, record_id: str) -> Entry | None:
        """Return the greatest version, None if there is none."""
        return max(self._entries(record_id), default=None)

    def knows(self, record_id: str) -> bool:
        """Tell whether a version of the record is in here."""
        return record_id in self._by_id

    def free_name(self, record_id: str, version: str) -> str:
        """Return the row id that a further row of `version` gets."""
        return next(self._free_names(record_id, version, self._entries(record_id)))

    def _insert(self, record_id: str, entry: Entry) -> None:
        there = self._by_id.get(record_id, b"")
        if not there or entry not in self._entries(record_id):
            version_us, observed_us, name, version = entry
            packed = _ENTRY.pack(version_us, observed_us, bytes.fromhex(name), bytes.fromhex(version))
            self._by_id[record_id] = there + packed

    def _entries(self, record_id: str) -> list[Entry]:
        """Return the versions of an id, in no order."""
        packed = _ENTRY.iter_unpack(self._by_id.get(record_id, b""))
        return [
            (version_us, observed_us, name.hex(), version.hex()) for version_us, observed_us, name, version in packed
        ]

    def place(self, shaped: ShapedRecords, observed_us: int, now_us: int | None = None) -> PlacedEvents:
        """Compare each event with its neighbours in the order of versions; drop it if it equals either of them.

        Not "if ever seen": A, B, A is three versions. Not "only the one before": an older state may come late.
        `now_us` is the source's clock, or None if the events are not of now. What is of now is newer than a version
        that bears an instant still to come.
        """
        if self._by_id.keys().isdisjoint(shaped.ids) and len({*shaped.ids}) == len(shaped.ids):
            return self._all_new(shaped, observed_us)
        keep: list[int] = []
        new: list[Entry] = []
        fresh: dict[str, list[Entry]] = {}
        columns = zip(shaped.ids, shaped.version_us, shaped.versions, strict=True)
        for index, (record_id, version_us, version) in enumerate(columns):
            entries = fresh.get(record_id) or self._entries(record_id)
            seen_us = _behind_lies(entries, version_us, observed_us, now_us)
            entry = (version_us, seen_us, next(self._free_names(record_id, version, entries)), version)
            around = _neighbours(entry, entries)
            # The hash of a row from before an upgrade lacks the fields that came with it. What they were then nobody
            # knows, so they make no change.
            if version in around or (around and not around.isdisjoint(shaped.old_versions[index])):
                continue
            fresh[record_id] = [*entries, entry]
            keep.append(index)
            new.append(entry)
        return _placed(keep, [shaped.ids[index] for index in keep], new)

    def _all_new(self, shaped: ShapedRecords, observed_us: int) -> PlacedEvents:
        """Place a page of nothing but new records, as nearly all are while the past is read."""
        names = list(map(self._name, shaped.ids, shaped.versions, repeat(0)))
        new = KnownVersions(
            ids=shaped.ids,
            version_us=shaped.version_us,
            observed_us=[observed_us] * len(names),
            row_ids=names,
            versions=shaped.versions,
        )
        return PlacedEvents(keep=list(range(len(names))), new=new)

    def _free_names(self, record_id: str, version: str, entries: Collection[Entry]) -> Iterator[str]:
        taken = {entry[2] for entry in entries}
        k = sum(entry[3] == version for entry in entries)
        while True:
            name = self._name(record_id, version, k)
            if name not in taken:
                yield name
            k += 1


def _behind_lies(entries: Collection[Entry], version_us: int, observed_us: int, now_us: int | None) -> int:
    """Return `observed_us`, or an instant behind those that a clock which lied gave to versions of the same time."""
    if now_us is None:
        return observed_us
    lies = (seen_us + 1 for at_us, seen_us, _, _ in entries if at_us == version_us and seen_us > now_us + AHEAD_US)
    return max(lies, default=observed_us)


def _neighbours(entry: Entry, entries: Collection[Entry]) -> set[str]:
    """Return the versions just before and just after the place of `entry` among `entries`."""
    ordered = sorted(entries)
    at = bisect_left(ordered, entry)
    neighbours = ordered[max(0, at - 1) : at + 1]
    return {neighbour[3] for neighbour in neighbours}


def _placed(keep: list[int], ids: list[str], entries: list[Entry]) -> PlacedEvents:
    version_us, observed_us, row_ids, versions = zip(*entries, strict=True) if entries else ((), (), (), ())
    new = KnownVersions(ids=ids, version_us=version_us, observed_us=observed_us, row_ids=row_ids, versions=versions)
    return PlacedEvents(keep=keep, new=new)
