"""A field that a schema gets becomes a column, and stored rows give it what they kept in p_extra."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException

from lakeside.ledger import MemoryLedger
from ocelog.errors import HomeError
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import MARK, TableFile, TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.upkeep import reshape as reshaping
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.upkeep.reshape import ReshapeResult, reshape
from ocelog.lake.write.append import commit
from ocelog.lake.write.publish import Publisher
from ocelog.model import Kind, Origin, Stamp
from ocelog.pull.versions import History
from ocelog.schema.columns.refill import Refill
from ocelog.schema.columns.table import arrow_schema
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import Shaper, compile_shaper

TABLE = "acme_door"
AT = "2026-03-25T05:46:26Z"
_FIELDS = """\
fields:
  - {name: id, type: string, required: true}
  - {name: at, type: timestamp, timeFormats: [rfc3339], isEventTime: true}
  - {name: status, type: string}
"""
OLD = parse_schema(
    f"""schema: Acme.Door\nversion: 1\n{_FIELDS}
  - {{name: place, type: object, fields: [{{name: id, type: string}}]}}
""",
    "door.yml",
)
NEW = parse_schema(
    f"""schema: Acme.Door\nversion: 2\n{_FIELDS}
  - name: place
    type: object
    fields: [{{name: id, type: string}}, {{name: host, type: string, indicators: [hostname]}}]
  - {{name: owner, type: object, fields: [{{name: name, type: string}}]}}
""",
    "door.yml",
)
OLD_COLUMNS, NEW_COLUMNS = {TABLE: arrow_schema(OLD)}, {TABLE: arrow_schema(NEW)}
KIND = Kind(
    log_type="Acme.Door",
    cursor_field="at",
    created_field="at",
    version_times=("at",),
    version_fields=("id", "status"),
)
BEFORE, AFTER = compile_shaper(OLD, KIND), compile_shaper(NEW, KIND)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def door(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "at": AT, "status": "OPEN", **more}


def publish(
    home: Path,
    ledger: MemoryLedger,
    shaper: Shaper,
    columns: Mapping[str, pa.Schema],
    *records: Mapping[str, Any],
    observed_us: int = 1,
) -> None:
    """Land and publish those of `records` that are new versions, as a pull does."""
    lake = FileLake(home, ledger, columns)
    history = History("s", "Acme.Door")
    history.add(lake.load(TABLE, "s", since_us=-(2**62), until_us=None).known)
    shaped = shaper.shape([json.dumps(one).encode() for one in records])
    placed = history.place(shaped, observed_us)
    stamp = Stamp(source_id="s", source_label="S", origin=Origin.LIVE, observed_us=observed_us, parsed_us=2)
    if placed.keep:
        rows = shaped.table(placed.keep, placed.row_ids, stamp)
        ledger.land(lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows))
    Publisher(home, ledger, columns).publish(TABLE)


def publish_old(home: Path, ledger: MemoryLedger, *records: Mapping[str, Any]) -> None:
    publish(home, ledger, BEFORE, OLD_COLUMNS, *records)


def run(home: Path, *, dry_run: bool = False) -> ReshapeResult:
    return reshape(home, TABLE, NEW_COLUMNS[TABLE], Refill(NEW), dry_run=dry_run)


def files(home: Path) -> tuple[TableFile, ...]:
    state = TableStates(home).state(TABLE)
    return () if state is None else state.files


def paths(home: Path) -> set[str]:
    return {file.path for file in files(home)}


def ask(home: Path, ledger: MemoryLedger, columns: str) -> list[tuple[Any, ...]]:
    with Queries(home, ledger, NEW_COLUMNS).run(f"SELECT {columns} FROM {TABLE} ORDER BY id") as answer:  # noqa: S608
        return [tuple(one.values()) for batch in answer.batches for one in batch.to_pylist()]


def with_owners(home: Path, ledger: MemoryLedger) -> None:
    """Publish three files: two with rows to refill, one without."""
    publish_old(home, ledger, door("a", owner={"name": "ann", "age": 3}), door("b"))
    publish_old(home, ledger, door("c", other=1))
    publish_old(home, ledger, door("d", place={"id": "p", "host": "h.example"}), door("e", owner={"name": "eve"}))


WHOLE = "id, owner.name, place.host, p_any_domain_names, p_extra"
RESHAPED = [
    ("a", "ann", None, None, '{"owner.age":3}'),
    ("b", None, None, None, None),
    ("c", None, None, None, '{"other":1}'),
    ("d", None, "h.example", ["h.example"], None),
    ("e", "eve", None, None, None),
]


def test_a_field_that_a_schema_gets_is_a_column_from_the_next_publish_on(home: Path, ledger: MemoryLedger) -> None:
    publish_old(home, ledger, door("a", owner={"name": "ann"}))
    publish(home, ledger, AFTER, NEW_COLUMNS, door("b", owner={"name": "bob"}))
    assert ask(home, ledger, "id, owner.name, p_extra") == [
        ("a", None, '{"owner":{"name": "ann"}}'),
        ("b", "bob", None),
    ]
    with opened_catalog(home) as catalog:
        rows = catalog.load_table(("ocelog", TABLE)).scan().to_arrow()
    assert sorted(map(str, rows.column("owner").to_pylist())) == ["None", "{'name': 'bob'}"]


@pytest.mark.slow
@pytest.mark.parametrize("published", [False, True])
def test_stored_rows_get_what_they_kept(home: Path, ledger: MemoryLedger, published: bool) -> None:
    with_owners(home, ledger)
    if published:
        publish(home, ledger, AFTER, NEW_COLUMNS, door("f"))
    kept = "id, p_row_id, p_version, p_event_time, p_observed_at, p_schema_version"
    before, there = ask(home, ledger, kept), paths(home)
    done = run(home)
    assert (done.files, done.rows, done.values) == (2, 3, {"owner": 2, "place.host": 1})
    assert ask(home, ledger, WHOLE)[:5] == RESHAPED
    assert ask(home, ledger, kept) == before
    assert len(there & paths(home)) == 1 + published, "files without such rows stay"
    assert (run(home).files, run(home).rows) == (0, 0)


def test_records_that_did_not_change_land_no_more_after_reshaping(home: Path, ledger: MemoryLedger) -> None:
    with_owners(home, ledger)
    run(home)
    again = [door("a", owner={"name": "ann", "age": 3}), door("e", owner={"name": "eve"}), door("b")]
    publish(home, ledger, AFTER, NEW_COLUMNS, *again, observed_us=9)
    assert len(ask(home, ledger, "id")) == 5
    publish(home, ledger, AFTER, NEW_COLUMNS, door("b", status="SHUT"), observed_us=10)
    assert len(ask(home, ledger, "id")) == 6


def test_a_dry_run_counts_and_changes_nothing(home: Path, ledger: MemoryLedger) -> None:
    with_owners(home, ledger)
    location = TableStates(home).location(TABLE)
    there = sorted(map(str, home.rglob("*")))
    done = run(home, dry_run=True)
    assert (done.files, done.rows, done.values) == (2, 3, {"owner": 2, "place.host": 1})
    assert TableStates(home).location(TABLE) == location
    assert sorted(map(str, home.rglob("*"))) == there


def test_a_table_that_was_never_made_needs_nothing(home: Path) -> None:
    assert run(home) == ReshapeResult(table=TABLE)


def test_the_mark_is_carried_on_and_publishing_goes_on(home: Path, ledger: MemoryLedger) -> None:
    with_owners(home, ledger)
    run(home)
    assert TableStates(home).mark(TABLE) == ("ledger-1", 3)
    with opened_catalog(home) as catalog:
        snapshot = catalog.load_table(("ocelog", TABLE)).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[MARK] == "ledger-1:3"
    publish(home, ledger, AFTER, NEW_COLUMNS, door("f"))
    Maintenance(home, ledger, NEW_COLUMNS).tend_whole(TABLE)
    assert len(files(home)) == 1
    assert ask(home, ledger, WHOLE)[:5] == RESHAPED


def test_a_publish_between_the_last_look_and_the_commit_is_kept(
    home: Path, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_owners(home, ledger)
    commit_table = SqlCatalog.commit_table
    lost = list[CommitFailedException]()

    def meanwhile(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(SqlCatalog, "commit_table", commit_table)
        publish_old(home, ledger, door("f", owner={"name": "fay"}))
        try:
            return commit_table(*args, **named)
        except CommitFailedException as error:
            lost.append(error)
            raise

    monkeypatch.setattr(SqlCatalog, "commit_table", meanwhile)
    assert run(home).rows == 4
    assert len(lost) == 1
    assert ask(home, ledger, WHOLE) == [*RESHAPED, ("f", "fay", None, None, None)]
    assert TableStates(home).mark(TABLE) == ("ledger-1", 4)


def test_upkeep_that_comes_first_doubles_nothing_and_its_file_is_reshaped(
    home: Path, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_owners(home, ledger)

    def meanwhile(*args: Any, **named: Any) -> None:
        monkeypatch.setattr(reshaping, "commit", commit)
        Maintenance(home, ledger, NEW_COLUMNS).tend_whole(TABLE)
        commit(*args, **named)

    monkeypatch.setattr(reshaping, "commit", meanwhile)
    done = run(home)
    assert (done.files, done.rows, done.values) == (1, 3, {"owner": 2, "place.host": 1})
    assert ask(home, ledger, WHOLE) == RESHAPED
    there = list((home / "lake/warehouse/ocelog" / TABLE / "data").rglob("*.parquet"))
    assert len(there) == 3 + 2, "the loser deletes what it wrote"


def test_one_that_is_killed_between_two_files_is_finished_by_the_next(
    home: Path, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_owners(home, ledger)
    commits = 0

    def dying(*args: Any, **named: Any) -> None:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise KeyboardInterrupt
        commit(*args, **named)

    monkeypatch.setattr(reshaping, "commit", dying)
    with pytest.raises(KeyboardInterrupt):
        run(home)
    assert len(ask(home, ledger, "id")) == 5
    monkeypatch.setattr(reshaping, "commit", commit)
    assert run(home).files == 1
    assert ask(home, ledger, WHOLE) == RESHAPED


def test_a_file_that_lacks_rows_is_not_replaced(
    home: Path, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_owners(home, ledger)
    monkeypatch.setattr(reshaping, "_every_group", lambda _: iter([]))
    with pytest.raises(HomeError, match="rows should be in"):
        run(home)
    assert len(ask(home, ledger, "id")) == 5


def test_a_damaged_file_is_named_and_the_others_are_reshaped(home: Path, ledger: MemoryLedger) -> None:
    with_owners(home, ledger)
    damaged = next(Path(file.path) for file in files(home) if "a" in pq.read_table(file.path)["id"].to_pylist())
    content = bytearray(damaged.read_bytes())
    content[-40] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    done = run(home)
    assert (done.files, list(done.left_alone)) == (1, [str(damaged)])


def test_rows_in_several_row_groups_stay_in_their_order(home: Path, ledger: MemoryLedger) -> None:
    for n in range(6):
        publish_old(home, ledger, *(door(f"{n:02}-{m}", owner={"name": f"{n}"}) for m in range(2)))
    Maintenance(home, ledger, OLD_COLUMNS).tend_whole(TABLE)
    assert run(home).rows == 12
    assert ask(home, ledger, "id, owner.name") == [(f"{n:02}-{m}", f"{n}") for n in range(6) for m in range(2)]
