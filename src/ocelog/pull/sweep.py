"""How a sweep of the open records goes: read, ask again about what it did not show, infer what is gone.

A sweep asks for every open record. Of a slice that one process read whole, the open records of the lake that it did not
show are suspects. What has changed since the last poll is asked for first: most of what was closed meanwhile is there.
Around the suspects that are left every status is asked for: that lands the version that closed a record, if there is
one. What no status shows, in two complete sweeps in a row, gets an inferred version.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import LakeUnavailableError
from ocelog.kept_texts import kept_text
from ocelog.model import Kind, Origin, Slice, SliceState, table_name
from ocelog.pull.planner import OVERLAP
from ocelog.pull.ports import (
    AGREEING_SWEEPS,
    Behind,
    Lake,
    Landing,
    LandingLedger,
    OpenRecords,
    Suspect,
    SuspectLedger,
    Tally,
)
from ocelog.pull.versions import History
from ocelog.times import from_us, to_us

if TYPE_CHECKING:
    import pyarrow as pa

INFERRED_CLOSED = "inferred_closed"
"""What `p_inferred` holds in a version that no answer showed."""
MOST_SUSPECTS = 50_000
"""So many a stream remembers. Of more, a share as large as of these is taken to be gone."""
_LEAST_VANISHED = 20
_VANISHED_SHARE = 0.05
"""If so many, and more than this share of a stream's open records, vanish in one sweep, none is inferred closed."""
_RANGES_AT_ONCE = 500
"""Planned in one transaction; the others follow once these are read."""
_NEIGHBOURS = timedelta(hours=1)
_LONGEST_RANGE = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_AT_ONCE = 500
_MAX_TRIES = 50
_EVER_US = 2**62
_LIED_US = 3_600_000_000
"""From being asked for to being judged a record takes less."""


class Stage(StrEnum):
    """What a sweep does at present."""

    READING = "reading"
    CATCHING_UP = "catching up"
    """Asks for what has changed since the last poll, by the cursor field."""
    VERIFYING = "verifying"
    INFERRING = "inferring"
    DONE = "done"


class Sweep(Struct, frozen=True, kw_only=True):
    """A stream's newest sweep, and what the last complete one found. Instants in microseconds."""

    source_id: str
    log_type: str
    round: int
    stage: Stage
    settings: str
    """Fingerprint of the source's settings and secrets when it was planned."""
    planned_us: int
    """By the API's clock."""
    finished_us: int | None = None
    """When the newest finished sweep ended, by our clock."""
    complete: bool = False
    """The newest finished sweep read every slice to its end."""
    complete_us: int | None = None
    """When the last complete one ended."""
    seen: int = 0
    """Open records that the last complete sweep showed."""
    missing: int = 0
    """Open records of the lake that it did not show, and no status did."""
    inferred: int = 0
    """Records that it inferred closed."""
    note: str | None = None
    """What is wrong with the newest finished sweep."""
    vanished: bool = False
    """Too many records vanished at once: none is inferred until they are back, or a person accepts it."""
    accepted: bool = False
    """A person said that what vanished is gone: true until all of that is closed, however many sweeps it takes."""
    measured_round: int = 0
    """The last sweep after which coverage was measured."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How the slices of a sweep ended, once none waits any more."""

    parked: int
    unjudged: int
    """Drained, but not read whole by one process, or short."""
    seen: int
    missing: int
    """Open records not shown, whether or not there was room to remember each of them."""
    inferred: int
    same_settings: bool
    edge: datetime | None = None
    """Up to here the sweep asked for open records."""
    verified_until_us: int = 0
    """Suspects that were created before this instant have been asked for with every status, or cannot be."""


class SweepStep(Struct, frozen=True, kw_only=True):
    """What a sweep does next: saved in one transaction."""

    to: Sweep
    slices: tuple[Slice, ...] = ()
    forget_all: bool = False
    """Every suspect is forgotten: two sweeps in a row must be complete."""


def next_step(
    sweep: Sweep, outcome: Outcome, suspects: Sequence[Suspect], *, kind: Kind, now: datetime, now_us: int
) -> SweepStep:
    """Decide how `sweep` goes on whose slices of this stage have all ended.

    `suspects` are those that this sweep did not show; `now` is by the API's clock, `now_us` by ours.
    """
    by = kind.sweep_by or kind.created_field
    if sweep.stage is Stage.READING:
        ended = _ended_early(sweep, outcome, now_us)
        if ended is not None:
            return ended
        since = now if outcome.edge is None else outcome.edge - OVERLAP
        if suspects and since < now and kind.cursor_field != by:
            changes = _slice(sweep, Origin.VERIFY, kind.cursor_field, since, now)
            return SweepStep(to=replace(sweep, stage=Stage.CATCHING_UP), slices=(changes,))
    if sweep.stage is Stage.INFERRING:
        return _after_inferring(sweep, outcome, suspects, now_us)
    # Each suspect is asked for once, so that what cannot be read does not keep the sweep from ending.
    unverified = [
        each for each in suspects if each.verified_round != sweep.round and each.created_us >= outcome.verified_until_us
    ]
    if unverified:
        return SweepStep(to=replace(sweep, stage=Stage.VERIFYING), slices=_verifying_slices(sweep, unverified, by))
    return _after_verifying(sweep, outcome, suspects, by, now_us)


def _ended_early(sweep: Sweep, outcome: Outcome, now_us: int) -> SweepStep | None:
    """Return how a sweep ends that judges nothing, None if it may judge."""
    if sweep.round <= 1:
        # It fills the lake and judges nothing: there is nothing yet to compare with.
        return SweepStep(to=replace(sweep, stage=Stage.DONE, finished_us=now_us, complete=False, note=None))
    if outcome.parked or outcome.unjudged or not outcome.same_settings:
        why = (
            "the source's settings changed while it ran"
            if not outcome.same_settings
            else f"time ranges: {outcome.parked} parked, {outcome.unjudged} incomplete"
        )
        note = f"the sweep was not complete ({why}), so no record was inferred closed"
        ended = replace(sweep, stage=Stage.DONE, finished_us=now_us, complete=False, note=note)
        return SweepStep(to=ended, forget_all=True)
    return None


def _after_verifying(sweep: Sweep, outcome: Outcome, suspects: Sequence[Suspect], by: str, now_us: int) -> SweepStep:
    # What no status was asked for may have been closed in the usual way: it counts for nothing.
    absent = [each for each in suspects if each.verified_round == sweep.round]
    missing = len(absent) + _forgotten(outcome) * len(absent) // MOST_SUSPECTS
    done = _done(sweep, outcome, missing, now_us)
    if not vanished(missing, outcome.seen):
        sweep, done = replace(sweep, accepted=False), replace(done, accepted=False)
    elif not sweep.accepted:
        note = kept_text(
            "SOURCE_PERMISSIONS_CHECKS: %(missing)s of %(open)s open records are not shown any more. None was marked "
            "as closed, because an account that lost access looks the same",
            missing=missing,
            open=missing + outcome.seen,
        )
        return SweepStep(to=replace(done, vanished=True, note=note))
    gone = [each for each in absent if each.times >= AGREEING_SWEEPS]
    if not gone:
        return SweepStep(to=done)
    created = [each.created_us for each in gone]
    inference = _slice(sweep, Origin.INFER, by, from_us(min(created)), from_us(max(created)) + _SECOND)
    return SweepStep(to=replace(sweep, stage=Stage.INFERRING), slices=(inference,))


def _after_inferring(sweep: Sweep, outcome: Outcome, suspects: Sequence[Suspect], now_us: int) -> SweepStep:
    left = sum(each.verified_round == sweep.round for each in suspects) + _forgotten(outcome)
    done = replace(_done(sweep, outcome, left, now_us), inferred=outcome.inferred)
    # Or the next sweep would raise the same alarm about what this one could not close yet.
    return SweepStep(to=replace(done, accepted=sweep.accepted and vanished(left, outcome.seen)))


def _forgotten(outcome: Outcome) -> int:
    """Return how many records were not shown for which there was no room among the suspects."""
    return max(0, outcome.missing - MOST_SUSPECTS)


def vanished(missing: int, seen: int) -> bool:
    """Whether so many open records vanished at once that the account may have lost access to them."""
    return missing >= _LEAST_VANISHED and missing > _VANISHED_SHARE * (missing + seen)


def _done(sweep: Sweep, outcome: Outcome, missing: int, now_us: int) -> Sweep:
    return replace(
        sweep,
        stage=Stage.DONE,
        finished_us=now_us,
        complete=True,
        complete_us=now_us,
        seen=outcome.seen,
        missing=missing,
        inferred=0,
        note=None,
        vanished=False,
    )


def _verifying_slices(sweep: Sweep, suspects: Sequence[Suspect], by: str) -> tuple[Slice, ...]:
    """Return the first time ranges to ask for: suspects that were created close together share one."""
    groups = list[list[Suspect]]()
    for suspect in sorted(suspects, key=lambda each: each.created_us):
        near = groups and from_us(suspect.created_us) - from_us(groups[-1][-1].created_us) <= _NEIGHBOURS
        if near and from_us(suspect.created_us) - from_us(groups[-1][0].created_us) <= _LONGEST_RANGE:
            groups[-1].append(suspect)
        else:
            groups.append([suspect])
    return tuple(
        _slice(sweep, Origin.VERIFY, by, from_us(group[0].created_us), from_us(group[-1].created_us) + _SECOND)
        for group in groups[:_RANGES_AT_ONCE]
    )


def _slice(sweep: Sweep, origin: Origin, by: str, since: datetime, until: datetime) -> Slice:
    return Slice(
        source_id=sweep.source_id,
        log_type=sweep.log_type,
        origin=origin,
        by=by,
        since=since,
        until=until,
        sweep_round=sweep.round,
    )


@dataclass(slots=True, kw_only=True)
class Judge:
    """Says, at the end of a slice that one process read whole, which open records it did not show."""

    ledger: SuspectLedger
    lake: Lake
    kind: Kind
    _asked_us: int = 0

    def note(self, slice_: Slice, asked_us: int) -> None:
        """Take in a page of `slice_`, asked at `asked_us`; a record that was absent was so from the first page on."""
        if slice_.checkpoint.after is None:
            self._asked_us = asked_us

    def shown(self, slice_: Slice, seen: Collection[str]) -> None:
        """Take in that a reading of `slice_` showed `seen`: those are no suspects any more. Raises LostFenceError."""
        if self.kind.sweep_by is not None and slice_.origin is not Origin.SWEEP:
            self.ledger.shown(slice_, seen)

    def must_read_again(self, slice_: Slice, *, resumed: bool) -> bool:
        """Whether the reading that just ended says nothing about what it did not show: another began it."""
        return resumed and slice_.sweep_round > 1 and slice_.origin in {Origin.SWEEP, Origin.VERIFY}

    def judged(self, slice_: Slice, drained: Slice, seen: Collection[str], opened: OpenRecords | None) -> Slice:
        """Keep what `slice_` did not show and return `drained` with their number. Raises LostFenceError.

        This commits before the slice is drained: a crash between the two costs one more reading of the slice.
        """
        if slice_.sweep_round <= 1:
            return drained
        if slice_.origin is Origin.VERIFY:
            if slice_.by == self.kind.sweep_by:
                self.ledger.verified(slice_, seen, self._asked_us)
            return drained
        if opened is None:
            return drained
        absent = {record_id: row_id for record_id, row_id in opened.rows.items() if record_id not in seen}
        missing = self._still_open(slice_, absent)
        self.ledger.suspect(slice_, missing[:MOST_SUSPECTS])
        count = max(len(missing), opened.count - len(seen))
        return replace(drained, checkpoint=replace(drained.checkpoint, missing=count))

    def _still_open(self, slice_: Slice, absent: dict[str, str]) -> list[Suspect]:
        """Return those of `absent` (row ids by record id) that are current now and were created within the slice.

        A record whose created date has changed is left out: the slice of its other date may have shown it.
        """
        if not absent:
            return []
        table = table_name(slice_.log_type)
        known = self.lake.load(table, slice_.source_id, since_us=-_EVER_US, until_us=None, ids=list(absent)).known
        history = History(slice_.source_id, slice_.log_type)
        history.add(known)
        field = self.kind.created_field
        rows = self.lake.rows(table, known.row_ids, [field])
        dates = dict[str, set[datetime]]()
        for record_id, row_id in zip(known.ids, known.row_ids, strict=True):
            dates.setdefault(record_id, set()).add(rows[row_id][field])
        found = list[Suspect]()
        for record_id, row_id in absent.items():
            created = dates.get(record_id, set())
            newest = history.newest(record_id)
            if (
                newest is not None
                and newest[2] == row_id
                and len(created) == 1
                and slice_.since <= min(created) < slice_.until
            ):
                found.append(Suspect(record_id=record_id, row_id=row_id, created_us=to_us(min(created))))
        return found


def infer(
    slice_: Slice,
    *,
    ledger: LandingLedger,
    suspects: SuspectLedger,
    lake: Lake,
    columns: "pa.Schema",
    source_label: str,
) -> Slice:
    """Land an inferred version of each record that `slice_` is to infer, and return it drained. Raises LostFenceError.

    Only while the very version that was missed is still current: whatever landed meanwhile knows better. Each version
    keeps the version time of the one before; `p_observed_at` is when the source was asked and did not show it, so a
    record that returns is newer.
    """
    while gone := suspects.ready(slice_, _AT_ONCE):
        slice_ = _infer_some(slice_, gone, ledger, lake, columns, source_label)
        suspects.cleared(slice_, [each.record_id for each in gone])
    drained = replace(slice_, state=SliceState.DRAINED)
    ledger.move(slice_, drained)
    return drained


def _infer_some(
    slice_: Slice,
    suspects: Sequence[Suspect],
    ledger: LandingLedger,
    lake: Lake,
    columns: "pa.Schema",
    source_label: str,
) -> Slice:
    table = table_name(slice_.log_type)
    for attempt in range(_MAX_TRIES):
        found = lake.load(
            table, slice_.source_id, since_us=-_EVER_US, until_us=None, ids=[each.record_id for each in suspects]
        )
        history = History(slice_.source_id, slice_.log_type)
        history.add(found.known)
        gone = [each for each in suspects if _is_still_gone(each, history)]
        if not gone:
            return slice_
        rows = _closed_rows(slice_, gone, history, lake, columns, source_label)
        part = lake.write(table, f"{slice_.claim.name}-{slice_.fence}-{time.time_ns()}{attempt:02d}", rows)
        to = replace(slice_, checkpoint=replace(slice_.checkpoint, met=slice_.checkpoint.met + len(gone)))
        landing = Landing(
            claim=slice_.claim,
            source_id=slice_.source_id,
            log_type=slice_.log_type,
            to=to,
            table=table,
            part=part,
            # Any version of these records, whatever its dates, may have landed since.
            page_min_us=-_EVER_US,
            page_max_us=_EVER_US,
            loaded_through=found.through,
            loaded=frozenset(),
            tally=Tally(events=len(gone)),
        )
        if not isinstance(ledger.land(landing), Behind):
            return to
        lake.discard(part)
    raise LakeUnavailableError(f"{table}: {_MAX_TRIES} landings in a row were overtaken by others; try again.")


def _is_still_gone(suspect: Suspect, history: History) -> bool:
    newest = history.newest(suspect.record_id)
    if newest is None:
        return False
    _, observed_us, row_id, _ = newest
    # A version that was seen since is there again. An instant that far off came from a clock that lied.
    return row_id == suspect.row_id and not suspect.absent_us < observed_us <= suspect.absent_us + _LIED_US


def _closed_rows(
    slice_: Slice,
    gone: Sequence[Suspect],
    history: History,
    lake: Lake,
    columns: "pa.Schema",
    source_label: str,
) -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415 - the core itself needs no columns

    before = lake.rows(table_name(slice_.log_type), [each.row_id for each in gone], columns.names)
    parsed_at = from_us(time.time_ns() // 1000)
    rows = list[dict[str, Any]]()
    for each in gone:
        row = before[each.row_id]
        version = closed_version(row["p_version"])
        rows.append(
            row
            | {
                "status": None,
                "p_inferred": INFERRED_CLOSED,
                "p_origin": slice_.origin.written.value,
                "p_source_label": source_label,
                "p_version": version,
                "p_row_id": history.free_name(each.record_id, version),
                "p_observed_at": from_us(max(each.absent_us, _newest_us(each, history) + 1)),
                "p_parse_time": parsed_at,
            }
        )
    return pa.Table.from_pylist(rows, schema=columns)


def _newest_us(suspect: Suspect, history: History) -> int:
    """Return when the version was seen that is inferred closed."""
    newest = history.newest(suspect.record_id)
    return suspect.absent_us if newest is None else newest[1]


def closed_version(version: str) -> str:
    """Return the fingerprint of the inferred version that follows `version`: 32 hex digits."""
    return sha256(f"{INFERRED_CLOSED}#{version}".encode()).hexdigest()[:32]
