"""How an installation goes on when files of its lake are lost: what can be read stays, what cannot is read again."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from ocelog.app.assemble import publisher
from ocelog.app.claims import claims
from ocelog.app.log_types import kinds, table_schemas
from ocelog.app.loops.planning import lost_slices
from ocelog.app.other_tools import tables_change
from ocelog.errors import HomeError, LakeDamagedError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.lake.catalog.state import NAMESPACE, TableFile, TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.read.scan import opened
from ocelog.lake.read.snapshot import Snapshots
from ocelog.lake.storage.checksums import damage
from ocelog.lake.storage.leftovers_note import note_path, noted
from ocelog.lake.upkeep import repair as table_repair
from ocelog.lake.upkeep.inspect import inspect
from ocelog.lake.upkeep.maintenance import expire_soon
from ocelog.lake.write.damage import lost_part
from ocelog.lake.write.parts import cursor_range, write_part
from ocelog.model import REJECTIONS, RULE_MATCHES, Claim, GivenUp, Kind, NewPart, Part, Slice, SourceRow, table_name
from ocelog.pull.part_names import part_name, read_part_name
from ocelog.times import from_us
from ocelog.units import write_instant

TimeRange: TypeAlias = tuple[str, str, str, str | None, datetime, datetime]
"""What a slice asks for: source, log type, origin, date, and the ends."""
_REJECTED = "rejected records that the source does not return any more"
_VERSIONS = "earlier versions of records that have changed since"


@dataclass(slots=True, kw_only=True)
class Repair:
    """What was found and done, or would be."""

    dry_run: bool
    lines: list[str] = field(default_factory=list)
    planned: int = 0
    """Slices that are to be read again."""
    for_good: set[str] = field(default_factory=set)
    """What cannot be had back, in words."""
    left: list[str] = field(default_factory=list)
    """What is damaged and stays so, with what to do about it."""


def examine(installation: Installation) -> list[str]:
    """Read every file whole, and return what is lost or damaged, in sentences. Changes nothing."""
    home, ledger = installation.home.path, installation.ledger
    if (wrong := ledger.damage()) is not None:
        # What a damaged ledger says of the files cannot be trusted.
        return [wrong]
    found = [each.text for each in inspect(home, ledger.lake, table_schemas(), content=True)]
    return found + [
        f"{lost.table}: {lost.path} {lost.reason}; publishing has passed it. Run: ocelog repair"
        for lost in ledger.losses.listed()
    ]


def repair(installation: Installation, *, dry_run: bool) -> Repair:
    """Make every table whole again without what is lost, and plan the lost time ranges again.

    The home must be held. Killed at any point, it can be called again: a loss is noted before anything goes, and noted
    as repaired in the transaction that plans its time range. Raises HomeError for the ledger of another home: what is
    missing here is there.
    """
    place = installation.home
    if installation.ledger.home not in (None, place.id):
        raise HomeError(
            f"The ledger {installation.ledger.url} belongs to another home than {place.path}, and the files that it "
            "names are there, not missing. Nothing was changed. Use that home, or make one with a database of its own: "
            "ocelog init --home FOLDER --ledger URL"
        )
    done = Repair(dry_run=dry_run)
    with nullcontext() if dry_run else tables_change(installation.home.path):
        unread = _mend_metadata(installation, done)
        _mend_notes(installation, done)
        lost = _give_up_files(installation, done, unread)
        with claims(installation, "repair", alone=True) as claim:
            _plan_again(installation, done, lost if dry_run else (), claim)
        if not dry_run and not done.left:
            publisher(installation.home.path, installation.ledger).reconcile()
    return done


def _mend_metadata(installation: Installation, done: Repair) -> frozenset[str]:
    """Make every table readable: by a new catalog, by older metadata, or anew from its data files.

    Return the tables that a dry run leaves unreadable, although they would be repaired.
    """
    home, schemas = installation.home.path, table_schemas()
    unread = set[str]()
    if not table_repair.catalog_is_whole(home):
        done.lines.append("The catalog of the lake is damaged: a new one is made from the tables' metadata.")
        if done.dry_run:
            unread.update(schemas)
        else:
            table_repair.begin_catalog(home, schemas)
    for table, schema in schemas.items():
        try:
            TableStates(home).state(table)
        except LakeDamagedError as error:
            _mend_table(installation, table, schema, error.what, done)
            if done.dry_run:
                unread.add(table)
        except OcelogError:
            # It is told with the other things that stay as they are.
            continue
    return frozenset(unread)


def _mend_table(installation: Installation, table: str, schema: pa.Schema, why: str, done: Repair) -> None:
    home, ledger = installation.home.path, installation.ledger
    removed = ledger.lake.removed_through(table)
    known = [each for each in table_repair.candidates(home, table) if each.ledger_id in {None, ledger.id}]
    base = next((each for each in known if each.whole and each.mark >= removed), None)
    mark = max([removed, *(each.mark for each in known)])
    if base is not None:
        done.lines.append(f"{table}: {why} Its newest intact metadata, {base.location.name}, is used.")
        if not done.dry_run:
            waiting = [part for part in ledger.lake.parts(table) if part.sequence > base.mark]
            table_repair.go_back(home, table, str(base.location), waiting=waiting, sources=[*_sources(installation)])
            ledger.lake.unpublish(table, base.mark)
            # Rows that were too old for its retention may be back: they go at the next occasion.
            expire_soon(home, table)
        return
    waiting = [part for part in ledger.lake.parts(table) if part.sequence > mark]
    done.lines.append(f"{table}: {why} The table is made again from the data files that are there, each row once.")
    if done.dry_run:
        return
    sources = [*_sources(installation)]
    made = table_repair.rebuild(home, table, schema, mark=(ledger.id, mark), waiting=waiting, sources=sources)
    ledger.lake.unpublish(table, mark)
    expire_soon(home, table)
    kept = sum(part.rows for part in waiting)
    again = f" {kept:,} more rows are still in landing, and are published again." if kept else ""
    done.lines.append(f"{table}: {made.rows:,} rows were found again in data files.{again}")
    expected = known[0].rows if known else None
    if expected is None or made.rows < expected:
        said = "how many there were is not known" if expected is None else f"there were {expected:,}"
        reason = f"of which {made.rows:,} rows were found again, and {said}"
        path = f"lake/warehouse/{NAMESPACE}/{table}/metadata"
        ledger.losses.note(GivenUp(table=table, path=path, reason=reason, noticed_us=_now_us()))
    done.lines += [f"{table}: {text}: it is given up." for text in made.lost]


def _mend_notes(installation: Installation, done: Repair) -> None:
    for table in table_schemas():
        note = note_path(installation.home.path, table)
        if note.exists() and noted(note) is None:
            done.lines.append(f"{table}: the list of files to be deleted is damaged: a new one is started.")
            if not done.dry_run:
                note.unlink()


def _give_up_files(installation: Installation, done: Repair, unread: frozenset[str]) -> list[GivenUp]:
    """Take lost parts and data files out of what is there, each noted first, and return them.

    What cannot be repaired is reported, unless it is of a table in `unread`.
    """
    home, ledger = installation.home.path, installation.ledger
    files, lost = dict[str, list[str]](), list[GivenUp]()
    for found in inspect(home, ledger.lake, table_schemas(), content=True):
        match found.file:
            case Part() as part:
                done.lines.append(f"{found.table}: the part {part.path} {found.what}: it is given up.")
                lost.append(lost_part(part, found.what))
                if not done.dry_run:
                    ledger.lake.set_aside(lost[-1])
            case TableFile() as file:
                done.lines.append(f"{found.table}: the data file {file.path} {found.what}: it is given up.")
                files.setdefault(found.table, []).append(file.path)
                lost.append(_lost_file(home, found.table, file, found.what))
                if not done.dry_run:
                    ledger.losses.note(lost[-1])
            case None if not found.of_note and found.table not in unread:
                done.left.append(found.text)
    if not done.dry_run:
        for table, paths in files.items():
            table_repair.drop_files(home, table, set(paths))
    return lost


def _plan_again(
    installation: Installation, done: Repair, unrecorded: Sequence[GivenUp], claim: Callable[[str], Claim]
) -> None:
    """Land again what has come back, and plan to read again what has not."""
    home, ledger = installation.home.path, installation.ledger
    lost = [*ledger.losses.listed(), *_returned(installation), *unrecorded]
    by_table = {table_name(log_type): kind for log_type, kind in kinds().items()}
    planned = set[TimeRange]()
    rejections_lost = False
    sources = _sources(installation)
    for each in lost:
        if each.source_id not in {None, *sources}:
            # Its purge goes on where it was killed, and takes this with it.
            continue
        if each.sequence is not None and damage(home / each.path, each.bytes) is None:
            done.lines.append(f"{each.table}: the part {each.path} is back and intact: its rows land again.")
            if not done.dry_run:
                _readmit(installation, each, claim)
            continue
        if each.table == RULE_MATCHES:
            done.lines.append(
                f"{each.table}: {each.path}: these matches are lost; their alerts are there. Nothing is read again."
            )
            if not done.dry_run:
                ledger.losses.plan([each.path], [])
            continue
        kind = by_table.get(each.table)
        if kind is None:
            # First: a rejection whose key is known does not land again. Where its table cannot be read, which keys have
            # lost their rows is not known, and the loss stays noted for the next repair.
            try:
                if not done.dry_run:
                    _forget_rejections(installation)
            except OcelogError as error:
                done.left.append(f"{each.table}: {each.path}: not planned again yet: {error}")
                continue
            rejections_lost = True
            slices, exact = _of_rejections(installation, each)
            if slices and not exact:
                done.lines.append(
                    f"{each.table}: {each.path}: the time ranges of its records are not known, so everything is read "
                    "again that they may be in."
                )
        else:
            slices = _of_time_range(installation, each, kind)
        # Many lost files may be of one time range: it is read once.
        fresh = [slice_ for slice_ in slices if _range_key(slice_) not in planned]
        planned.update(map(_range_key, fresh))
        for slice_ in fresh:
            source = sources[slice_.source_id]
            when = "" if source.removed_us is None else f", once the source {source.name!r} is added again"
            read_range = f"{write_instant(slice_.since)} to {write_instant(slice_.until)} by {slice_.by}"
            done.lines.append(f"{each.table}: to be read again{when}: {read_range}.")
        done.planned += len(fresh)
        gone = _REJECTED if each.table == REJECTIONS else kind.gone if kind is not None else None
        done.for_good.add(gone or _VERSIONS)
        if not done.dry_run:
            ledger.losses.plan([each.path], fresh)
    if rejections_lost and not done.dry_run:
        # Last: by these counts it is told whose rejections they were.
        _count_rejections(installation)


def _returned(installation: Installation) -> list[GivenUp]:
    """Return the parts that are whole again though their time range was planned: the source may not have had it all."""
    home, ledger = installation.home.path, installation.ledger
    landed = {part.path for table in table_schemas() for part in ledger.lake.parts(table)}
    planned = [each for each in ledger.losses.listed(repaired=True) if each.repaired_us is not None]
    aside = [each for each in planned if each.sequence is not None and each.path not in landed]
    return [each for each in aside if damage(home / each.path, each.bytes) is None]


def _sources(installation: Installation) -> dict[str, SourceRow]:
    """Return, by id, the sources whose rows are to be there: all but those that a purge has begun to delete.

    A source that was removed is one of them: added again, it goes on where it stopped, so what it lost must be planned.
    """
    return {row.id: row for row in installation.ledger.sources.listed(removed=True) if not row.purging}


def _range_key(slice_: Slice) -> TimeRange:
    return slice_.source_id, slice_.log_type, slice_.origin, slice_.by, slice_.since, slice_.until


def _of_time_range(installation: Installation, lost: GivenUp, kind: Kind) -> list[Slice]:
    ledger = installation.ledger
    least, most = lost.min_cursor_us, lost.max_cursor_us
    since = None if least is None or most is None else from_us(least)
    until = None if least is None or most is None else from_us(most + 1)
    ids = [source_id for source_id in _sources(installation) if lost.source_id in {None, source_id}]
    return [
        slice_
        for source_id in ids
        for slice_ in lost_slices(ledger.pulling.marks(source_id, kind.log_type), kind, since=since, until=until)
    ]


def _of_rejections(installation: Installation, lost: GivenUp) -> tuple[list[Slice], bool]:
    """Return what reads the rejections of a lost file again, and whether it is just that.

    The name of a part says for which slice it was landed, unless that was a replay. If the slice is not known any more,
    and for a data file, which holds the rejections of many slices, it is the whole past of every stream that has
    rejected a record.
    """
    ledger = installation.ledger
    found = read_part_name(Path(lost.path).name) if lost.sequence is not None else None
    if found is not None and not found.kind:
        number = found.number
        for each in ledger.pulling.slices():
            if each.id == number and each.by in _dates(kinds()[each.log_type]):
                again = Slice(
                    source_id=each.source_id,
                    log_type=each.log_type,
                    origin=each.origin,
                    by=each.by,
                    since=each.since,
                    until=each.until,
                )
                return [again], True
    here = {source_id for source_id in _sources(installation) if lost.source_id in {None, source_id}}
    known = kinds()
    streams = [
        each for each in ledger.pulling.streams() if each.marks.source_id in here and each.marks.log_type in known
    ]
    rejecting = [each for each in streams if each.rejections] or streams
    return [slice_ for each in rejecting for slice_ in lost_slices(each.marks, known[each.marks.log_type])], False


def _dates(kind: Kind) -> set[str | None]:
    return {kind.cursor_field, *kind.also_live_by, kind.sweep_by}


def _forget_rejections(installation: Installation) -> None:
    """Forget rejections whose rows are nowhere, so that they land once more when they come again."""
    ledger = installation.ledger
    present = {row_id for row_id, _, _ in _rejections(installation)}
    ledger.losses.forget_rejections([key for key in ledger.losses.rejection_keys() if key not in present])


def _count_rejections(installation: Installation) -> None:
    """Let `status` count the rejections that are there: those that are lost are counted when they come again."""
    found = Counter((source_id, log_type) for _, source_id, log_type in _rejections(installation))
    installation.ledger.losses.count_rejections(found)


def _rejections(installation: Installation) -> set[tuple[str, str, str]]:
    """Return row id, source and log type of every rejection that is there."""
    home, names = installation.home.path, ("p_row_id", "p_source_id", "p_log_type")
    snapshot = Snapshots(home, installation.ledger.lake).take(REJECTIONS)
    found = set[tuple[str, str, str]]()
    for path in [*(home / part.path for part in snapshot.parts), *(Path(file.path) for file in snapshot.files)]:
        with opened(path) as file:
            rows = file.read(columns=list(names), use_threads=False)
            found.update(zip(*(rows.column(name).to_pylist() for name in names), strict=True))
    return found


def _readmit(installation: Installation, lost: GivenUp, claim: Callable[[str], Claim]) -> None:
    """Land the rows of a part that is whole again, as far as they were not read again meanwhile."""
    home, ledger = installation.home.path, installation.ledger
    with opened(home / lost.path) as file:
        rows = file.read(use_threads=False)
    names = rows.column("p_row_id").to_pylist()
    there = FileLake(home, ledger.lake, table_schemas()).rows(lost.table, set(names), ["p_row_id"])
    fresh = rows.filter(pa.array([name not in there for name in names], pa.bool_()))
    source_id = lost.source_id or ""
    part, mine = None, claim(source_id)
    if fresh.num_rows == rows.num_rows:
        least, most = cursor_range(rows)
        part = NewPart(
            table=lost.table,
            path=lost.path,
            rows=rows.num_rows,
            bytes=(home / lost.path).stat().st_size,
            min_cursor_us=least,
            max_cursor_us=most,
        )
    elif fresh.num_rows:
        part = write_part(home, lost.table, part_name(mine, time.time_ns()), fresh)
    ledger.losses.readmit(lost.path, part, source_id, claim=mine)
    if part is None or part.path != lost.path:
        (home / lost.path).unlink(missing_ok=True)


def _lost_file(home: Path, table: str, file: TableFile, reason: str) -> GivenUp:
    return GivenUp(
        table=table,
        path=_relative(home, file.path),
        reason=reason,
        noticed_us=_now_us(),
        rows=file.rows,
        bytes=file.bytes,
        min_cursor_us=file.min_cursor_us,
        max_cursor_us=file.max_cursor_us,
    )


def _relative(home: Path, path: str) -> str:
    return str(Path(path).relative_to(home)) if Path(path).is_relative_to(home) else path


def _now_us() -> int:
    return time.time_ns() // 1000
