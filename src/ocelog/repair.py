"""How an installation goes on when files of its lake are lost: what can be read stays, what cannot is read again."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from ocelog.assemble import table_schemas
from ocelog.errors import LakeDamagedError
from ocelog.installation import Installation
from ocelog.instants import from_us
from ocelog.lake import repair as tables
from ocelog.lake.checksums import damage
from ocelog.lake.damage import lost_part
from ocelog.lake.inspect import inspect
from ocelog.lake.lake import FileLake
from ocelog.lake.leftovers import noted
from ocelog.lake.parts import LANDING, write_part
from ocelog.lake.publish import Publisher
from ocelog.lake.scan import opened
from ocelog.lake.state import NAMESPACE, TableFile, TableStates
from ocelog.lake.view import Views
from ocelog.model import REJECTIONS, GivenUp, Kind, Part, Slice, table_name
from ocelog.planning import lost_slices
from ocelog.sources.wiz.streams import KINDS

_BY_SLICE = re.compile(r"(\d+)-(\d+)-")
"""A part's name begins with the slice that it was landed for, and the fence of its holder."""
_GONE_FOR_GOOD = {
    "Wiz.Audit": "entries older than Wiz keeps them",
    REJECTIONS: "rejected records that Wiz does not return any more",
}
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


def examine(installation: Installation) -> list[str]:
    """Read every file whole, and return what is lost or damaged, in sentences. Changes nothing."""
    home, ledger = installation.home.path, installation.ledger
    found = [each.text for each in inspect(home, ledger, table_schemas(), content=True)]
    return found + [
        f"{lost.table}: {lost.path} {lost.reason}; publishing has passed it. Run: ocelog repair"
        for lost in ledger.given_up()
    ]


def repair(installation: Installation, *, dry_run: bool) -> Repair:
    """Make every table whole again without what is lost, and plan the lost stretches again.

    The home must be held. Killed at any point, it can be called again: a loss is noted before anything goes, and noted
    as repaired in the transaction that plans its stretch.
    """
    done = Repair(dry_run=dry_run)
    _mend_metadata(installation, done)
    _mend_notes(installation, done)
    lost = _give_up_files(installation, done)
    _plan_again(installation, done, lost if dry_run else ())
    if not dry_run:
        Publisher(installation.home.path, installation.ledger, table_schemas()).reconcile()
    return done


def _mend_metadata(installation: Installation, done: Repair) -> None:
    """Make every table readable: by a new catalog, by older metadata, or anew from its data files."""
    home, schemas = installation.home.path, table_schemas()
    if not tables.catalog_is_whole(home):
        done.lines.append("The catalog of the lake is damaged: a new one is made from the tables' metadata.")
        if not done.dry_run:
            tables.begin_catalog(home, schemas)
    for table, schema in schemas.items():
        try:
            TableStates(home).state(table)
        except LakeDamagedError as error:
            _mend_table(installation, table, schema, str(error), done)


def _mend_table(installation: Installation, table: str, schema: pa.Schema, why: str, done: Repair) -> None:
    home, ledger = installation.home.path, installation.ledger
    removed = ledger.removed_through(table)
    known = [each for each in tables.candidates(home, table) if each.ledger_id in {None, ledger.id}]
    base = next((each for each in known if each.whole and each.mark >= removed), None)
    mark = max([removed, *(each.mark for each in known)])
    if base is not None:
        done.lines.append(f"{table}: {_first(why)} Its newest whole metadata is {base.location.name}: it is used.")
        if not done.dry_run:
            tables.point(home, table, str(base.location))
            ledger.unpublish(table, base.mark)
        return
    waiting = [part for part in ledger.parts(table) if part.sequence > mark]
    done.lines.append(
        f"{table}: {_first(why)} The table is made anew from the data files that are there, each row once."
    )
    if done.dry_run:
        return
    sources = [row.id for row in ledger.sources(removed=True)]
    made = tables.rebuild(home, table, schema, mark=(ledger.id, mark), waiting=waiting, sources=sources)
    ledger.unpublish(table, mark)
    done.lines.append(f"{table}: {made.rows:,} rows were found again.")
    expected = known[0].rows if known else None
    if expected is None or made.rows < expected:
        said = "nobody knows how many there were" if expected is None else f"there were {expected:,}"
        reason = f"of which {made.rows:,} rows were found again, and {said}"
        path = f"lake/warehouse/{NAMESPACE}/{table}/metadata"
        ledger.note_lost(GivenUp(table=table, path=path, reason=reason, noticed_us=_now_us()))
    done.lines += [f"{table}: {text}: it is given up." for text in made.lost]


def _mend_notes(installation: Installation, done: Repair) -> None:
    for table in table_schemas():
        note = installation.home.path / LANDING / table / "leftovers.json"
        if note.exists() and noted(note) is None:
            done.lines.append(f"{table}: the note of files to be deleted is damaged: it is begun anew.")
            if not done.dry_run:
                note.unlink()


def _give_up_files(installation: Installation, done: Repair) -> list[GivenUp]:
    """Take lost parts and data files out of what is there, each noted first, and return them."""
    home, ledger = installation.home.path, installation.ledger
    files, lost = dict[str, list[str]](), list[GivenUp]()
    for found in inspect(home, ledger, table_schemas(), content=True):
        match found.file:
            case Part() as part:
                done.lines.append(f"{found.table}: the part {part.path} {found.what}: it is given up.")
                lost.append(lost_part(part, found.what))
                if not done.dry_run:
                    ledger.set_aside(lost[-1])
            case TableFile() as file:
                done.lines.append(f"{found.table}: the data file {file.path} {found.what}: it is given up.")
                files.setdefault(found.table, []).append(file.path)
                lost.append(_lost_file(home, found.table, file, found.what))
                if not done.dry_run:
                    ledger.note_lost(lost[-1])
            case None if "leftovers.json" not in found.text and not done.dry_run:
                done.lines.append(f"{found.text} It is left as it is.")
    if not done.dry_run:
        for table, paths in files.items():
            tables.drop_files(home, table, set(paths))
    return lost


def _plan_again(installation: Installation, done: Repair, unrecorded: Sequence[GivenUp]) -> None:
    """Land again what has come back, and plan to read again what has not."""
    home, ledger = installation.home.path, installation.ledger
    lost = [*ledger.given_up(), *unrecorded]
    kinds = {table_name(log_type): kind for log_type, kind in KINDS.items()}
    for each in lost:
        if each.sequence is not None and damage(home / each.path, each.bytes) is None:
            done.lines.append(f"{each.table}: the part {each.path} is back and whole: its rows land again.")
            if not done.dry_run:
                _readmit(installation, each)
            continue
        kind = kinds.get(each.table)
        slices = _of_slice(installation, each) if kind is None else _of_stretch(installation, each, kind)
        for slice_ in slices:
            done.lines.append(f"{each.table}: to be read again: {slice_.since} to {slice_.until} by {slice_.by}.")
        done.planned += len(slices)
        done.for_good.add(_GONE_FOR_GOOD.get(each.table if kind is None else kind.log_type, _VERSIONS))
        if not done.dry_run:
            if each.table == REJECTIONS:
                _forget_rejections(installation)
            ledger.plan_lost([each.path], slices)


def _of_stretch(installation: Installation, lost: GivenUp, kind: Kind) -> list[Slice]:
    ledger = installation.ledger
    least, most = lost.min_cursor_us, lost.max_cursor_us
    since = None if least is None or most is None else from_us(least)
    until = None if least is None or most is None else from_us(most + 1)
    ids = [row.id for row in ledger.sources() if lost.source_id in {None, row.id}]
    return [
        slice_
        for source_id in ids
        for slice_ in lost_slices(ledger.marks(source_id, kind.log_type), kind, since=since, until=until)
    ]


def _of_slice(installation: Installation, lost: GivenUp) -> list[Slice]:
    """Return the question by which a part was landed, to be asked again; none if it is not known any more."""
    found = _BY_SLICE.match(Path(lost.path).name)
    number = int(found[1]) if found is not None and lost.sequence is not None else 0
    return [
        Slice(
            source_id=each.source_id,
            log_type=each.log_type,
            origin=each.origin,
            by=each.by,
            since=each.since,
            until=each.until,
        )
        for each in installation.ledger.slices()
        if each.id == number and each.by in _dates(KINDS[each.log_type])
    ]


def _dates(kind: Kind) -> set[str | None]:
    return {kind.cursor_field, *kind.also_live_by, kind.sweep_by}


def _forget_rejections(installation: Installation) -> None:
    """Forget rejections whose rows are nowhere, so that they land once more when they come again."""
    home, ledger = installation.home.path, installation.ledger
    view = Views(home, ledger).take(REJECTIONS)
    present = set[str]()
    for path in [*(home / part.path for part in view.parts), *(Path(file.path) for file in view.files)]:
        with opened(path) as file:
            present.update(file.read(columns=["p_row_id"], use_threads=False).column(0).to_pylist())
    ledger.forget_rejections([key for key in ledger.rejection_keys() if key not in present])


def _readmit(installation: Installation, lost: GivenUp) -> None:
    """Land the rows of a part that is whole again, as far as they were not read again meanwhile."""
    home, ledger = installation.home.path, installation.ledger
    with opened(home / lost.path) as file:
        rows = file.read(use_threads=False)
    names = rows.column("p_row_id").to_pylist()
    there = FileLake(home, ledger, table_schemas()).rows(lost.table, set(names), ["p_row_id"])
    fresh = rows.filter(pa.array([name not in there for name in names], pa.bool_()))
    part = None
    if fresh.num_rows:
        found = _BY_SLICE.match(Path(lost.path).name)
        prefix = "0-0-" if found is None else found[0]
        part = write_part(home, lost.table, f"{prefix}{time.time_ns()}", fresh)
    ledger.readmit(lost.path, part, lost.source_id or "")
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


def _first(text: str) -> str:
    """Return what is wrong without what to do about it: that is being done."""
    return text.split(" Put it back", maxsplit=1)[0]


def _now_us() -> int:
    return time.time_ns() // 1000
