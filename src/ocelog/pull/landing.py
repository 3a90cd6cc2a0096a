"""How a page lands: shaped, compared with what is there, durable as files, then committed with its checkpoint."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import LakeUnavailableError
from ocelog.model import REJECTIONS, Claim, Kind, NewPart, Origin, Rejection, Slice, Stamp
from ocelog.pull.memory import Memory
from ocelog.pull.own_account import OwnAccount
from ocelog.pull.part_names import part_name
from ocelog.pull.ports import (
    Ask,
    Behind,
    Lake,
    Landed,
    Landing,
    LandingLedger,
    Page,
    ShapedRecords,
    Tally,
)
from ocelog.pull.versions import PlacedEvents

if TYPE_CHECKING:
    import pyarrow as pa

WITHOUT_ERRORS = "an answer without errors"
"""What a rejection expected whose record the source shows only together with an error."""

_EVER_US = 2**62
_MAX_TRIES = 50
"""Each try that fails means that another slice landed; so many in a row mean that something is broken."""


class RejectionRows(Protocol):
    """Makes rows of the rejections table."""

    def __call__(
        self, rejections: Sequence[Rejection], *, log_type: str, keys: Sequence[str], stamp: Stamp
    ) -> "pa.Table":
        """Return one row a rejection; `keys` are their row ids."""
        ...


class PageLanded(Struct, frozen=True, kw_only=True):
    """What a page added."""

    events: int
    repeats: int
    rejections: int


class _NewRecords(Struct, frozen=True):
    """What of a page is new."""

    shaped: ShapedRecords
    placed: PlacedEvents
    rejections: dict[str, Rejection]


@dataclass(slots=True, kw_only=True)
class Lander:
    """Lands pages for the holder of one claim: a slice that is read, or a replay."""

    ledger: LandingLedger
    lake: Lake
    kind: Kind
    table: str
    claim: Claim
    source_id: str
    source_label: str
    origin: Origin
    rejection_rows: RejectionRows
    memory: Memory
    own: OwnAccount | None = None
    """None: nothing that lands was caused by whoever reads it."""
    numbers: "count[int]" = field(default_factory=count)
    """Tells apart the files that one holder writes."""

    def land(self, page: Page, ask: Ask, shaped: ShapedRecords, *, to: Slice | None) -> PageLanded:
        """Commit the new versions and rejections of `page` together with `to`, its slice at the next checkpoint.

        Files first, then one transaction, so that no checkpoint vouches for rows that are not there. Raises
        LostFenceError when another holds the claim: then nothing was committed.
        """
        rejections = self._by_key(page, shaped.rejections)
        known_rejections = self.ledger.known_rejections(list(rejections)) if rejections else frozenset()
        if rejections.keys() - known_rejections:
            # The lake is the memory for them too: a ledger that was restored does not know what has landed since.
            known_rejections |= self.lake.rows(REJECTIONS, rejections.keys() - known_rejections, ["p_row_id"]).keys()
        for _ in range(_MAX_TRIES):
            self.memory.cover(ask, shaped, predecessors=bool(page.refused or page.unknown))
            self._fill_unknown(page, shaped)
            placed = self.memory.history.place(shaped, page.asked_us, page.answered_us)
            fresh = {key: rejection for key, rejection in rejections.items() if key not in known_rejections}
            landing = self._landing(page, _NewRecords(shaped, placed, fresh), to=to)
            match self.ledger.land(landing):
                case Landed(sequence=sequence):
                    self.memory.landed(placed, sequence)
                    return PageLanded(
                        events=len(placed.keep), repeats=len(shaped.ids) - len(placed.keep), rejections=len(fresh)
                    )
                case Behind() as behind:
                    self._discard(landing)
                    known_rejections |= behind.known_rejections
                    if behind.reload:
                        self.memory.reload()
                    elif behind.parts:
                        self.memory.read(behind.parts)
        raise LakeUnavailableError(f"{self.table}: {_MAX_TRIES} landings in a row were overtaken by others; try again.")

    def _landing(self, page: Page, found: "_NewRecords", *, to: Slice | None) -> Landing:
        shaped = found.shaped
        stamp = Stamp(
            source_id=self.source_id,
            source_label=self.source_label,
            origin=self.origin.written,
            observed_us=page.asked_us,
            parsed_us=time.time_ns() // 1000,
        )
        own = self.own.caused(shaped) if self.own is not None else frozenset[int]()
        seen_us = page.asked_us if page.answered_us is None else page.answered_us
        last_us = shaped.latest_event_us(own)
        # An unknown field takes the value of the version just before, whose dates may be any.
        anywhen = bool(shaped.cursor_us) and bool(page.refused or page.unknown)
        return Landing(
            claim=self.claim,
            source_id=self.source_id,
            log_type=self.kind.log_type,
            to=to,
            table=self.table,
            part=self._write(shaped, found.placed, replace(stamp, each_observed_us=found.placed.new.observed_us)),
            page_min_us=-_EVER_US if anywhen else min(shaped.cursor_us, default=None),
            page_max_us=_EVER_US if anywhen else max(shaped.cursor_us, default=None),
            loaded_through=self.memory.through,
            loaded=frozenset(self.memory.loaded),
            rejections=self._write_rejections(found.rejections, stamp),
            rejection_keys=list(found.rejections),
            tally=Tally(
                events=len(found.placed.keep),
                repeats=len(shaped.ids) - len(found.placed.keep),
                rejections=len(found.rejections),
                unknown_fields=shaped.unknown_fields,
                # One date in the future must not make the stream look alive until then.
                last_event_us=None if last_us is None else min(last_us, seen_us),
                received_us=self._received_us(page, shaped, [at for at in found.placed.keep if at not in own]),
                observed_us=None if page.answered_us is None else page.asked_us,
                answered_us=page.answered_us,
                refused=page.refused,
            ),
        )

    def _received_us(self, page: Page, shaped: ShapedRecords, new: Sequence[int]) -> int | None:
        """Return when the newest of these events was received, by the source's clock.

        News is received when it is read. The past was there before: it is as old as it says.
        """
        if page.answered_us is None or not new:
            return None
        if self.origin is Origin.LIVE:
            return page.answered_us
        return min(max(shaped.version_us[at] for at in new), page.answered_us)

    def _write(self, shaped: ShapedRecords, placed: PlacedEvents, stamp: Stamp) -> NewPart | None:
        if not placed.keep:
            return None
        return self.lake.write(self.table, self._name(), shaped.table(placed.keep, placed.row_ids, stamp))

    def _write_rejections(self, rejections: dict[str, Rejection], stamp: Stamp) -> NewPart | None:
        if not rejections:
            return None
        rows = self.rejection_rows(
            list(rejections.values()), log_type=self.kind.log_type, keys=list(rejections), stamp=stamp
        )
        return self.lake.write(REJECTIONS, self._name(), rows)

    def _name(self) -> str:
        return part_name(self.claim, next(self.numbers))

    def _discard(self, landing: Landing) -> None:
        for part in (landing.part, landing.rejections):
            if part is not None:
                self.lake.discard(part)

    def _by_key(self, page: Page, rejections: Sequence[Rejection]) -> dict[str, Rejection]:
        """Return the rejections of `page` by their keys; each keeps which fields were unknown, for its replay."""
        return {
            rejection_key(self.source_id, self.kind.log_type, found.raw): replace(
                found, unknown=page.refused | page.unknown.get(found.position, frozenset())
            )
            for found in rejections
        }

    def _fill_unknown(self, page: Page, shaped: ShapedRecords) -> None:
        """Give fields that this answer could not show the value of the version just before.

        So losing a field and getting it back is not a change.
        """
        if not page.refused and not page.unknown:
            return
        wanted: dict[int, tuple[str, frozenset[str]]] = {}
        for event, position in enumerate(shaped.positions):
            paths = page.refused | page.unknown.get(position, frozenset())
            if paths:
                before = self.memory.history.before(
                    shaped.ids[event], shaped.version_us[event], page.asked_us, page.answered_us
                )
                if before is not None:
                    wanted[event] = (before, paths)
        columns = {path.split(".")[0] for _, paths in wanted.values() for path in paths}
        rows = self.lake.rows(self.table, {before for before, _ in wanted.values()}, columns) if wanted else {}
        for event, (before, paths) in wanted.items():
            shaped.fill(event, paths, rows[before])


@dataclass(slots=True, kw_only=True)
class _OnlyRejections:
    """A page of which no record may become an event."""

    rejections: list[Rejection]
    seen: list[str]
    ids: list[str] = field(default_factory=list)
    cursor_us: list[int] = field(default_factory=list)
    version_us: list[int] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    old_versions: Sequence[Sequence[str]] = ()
    positions: Sequence[int] = ()
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
    last_event_us: int | None = None

    def texts(self, path: str) -> Sequence[str | None]:  # noqa: ARG002 - as `ShapedRecords` has it
        """Return nothing: there are no events."""
        return ()

    def latest_event_us(self, besides: Collection[int]) -> int | None:  # noqa: ARG002 - as `ShapedRecords` has it
        """Return nothing: there are no events."""
        return None

    def fill(self, event: int, paths: Collection[str], row: Mapping[str, Any]) -> None:
        """Never called: there are no events."""

    def table(self, keep: Sequence[int], row_ids: Sequence[str], stamp: Stamp) -> "pa.Table":
        """Never called: there are no events."""
        raise NotImplementedError


def rejected(shaped: ShapedRecords, page: Page, reason: str) -> ShapedRecords:
    """Return the one record of `page`, which the source shows only together with an error, as a rejection."""
    raw = page.records.strip()[1:-1].strip() if isinstance(page.records, bytes) else page.records[0]
    found = Rejection(
        path="$",
        expected=WITHOUT_ERRORS,
        found=str(reason),
        raw=raw,
        record_id=shaped.ids[0] if shaped.ids else shaped.rejections[0].record_id,
    )
    return _OnlyRejections(rejections=[found], seen=list(shaped.seen))


def rejection_key(source_id: str, log_type: str, raw: bytes) -> str:
    """Name a rejection by what was rejected, so that an overlap does not land it twice: 32 hex digits."""
    prefix = f"{source_id}\0{log_type}\0".encode()
    return blake2b(prefix + raw, digest_size=16).hexdigest()
