"""A ledger is made, opened again, migrated after a copy, and refused where it is not ours to change."""

import json
import sqlite3
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import Column, Index, inspect, text

from bookkeeping.races import at_once, everything
from bookkeeping.records import planned, slice_of
from ocelog.app.sources.sources import row_of
from ocelog.app.status.status import stream_statuses
from ocelog.errors import ConfigError, HomeError, LedgerUnavailableError
from ocelog.ledger import tables
from ocelog.ledger.database import open as opening
from ocelog.ledger.database.transactions import Database, connect
from ocelog.ledger.ledger import Ledger
from ocelog.sources.wiz.settings import from_mapping
from ocelog.times import from_us


@pytest.fixture
def ledger_address(address: str) -> str:
    """Have ledgers made: that is what the tests are about."""
    return address


@pytest.fixture
def bare(address: str) -> Database:
    return connect(address, durable=False)


def _shape(database: Database) -> dict[str, object]:
    """Return tables, columns, keys and indexes as the database describes them."""
    made = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        if database.is_sqlite
        else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"
    )
    # Of an index of expressions SQLAlchemy tells little, and warns.
    with database.read() as tx, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection")
        seen = inspect(tx)
        return {"indexes as they are made": [tuple(row) for row in tx.execute(text(made))]} | {
            name: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(name)],
                seen.get_pk_constraint(name),
                [_index(found) for found in seen.get_indexes(name)],
                sorted(map(repr, seen.get_unique_constraints(name))),
                sorted(map(repr, seen.get_foreign_keys(name))),
            )
            for name in seen.get_table_names()
        }


def _index(found: Any) -> tuple[object, ...]:
    options = {key: str(value) for key, value in found["dialect_options"].items()}
    return found["name"], found["column_names"], bool(found["unique"]), options


def _plain(index: Index) -> bool:
    return all(isinstance(each, Column) for each in index.expressions)


def test_a_ledger_keeps_its_id_and_each_has_its_own(open_ledger: Callable[[], Ledger], tmp_path: Path) -> None:
    one = open_ledger()
    assert len(one.id) == 16
    assert open_ledger().id == one.id
    apart = Ledger.open(f"sqlite:///{tmp_path}/apart.db")
    assert apart.id != one.id
    apart.close()


def test_two_that_make_a_ledger_at_once_make_one(address: str) -> None:
    opened = at_once([lambda: Ledger.open(address, durable=False)] * 4)
    ledgers = [found for found in opened if isinstance(found, Ledger)]
    assert len({found.id for found in ledgers}) == 1
    for found in ledgers:
        found.close()
    assert len(ledgers) == 4, opened


@pytest.mark.slow
@pytest.mark.postgresql
def test_the_migrations_make_the_very_tables_that_a_new_ledger_has(
    bare: Database, ledger: Ledger, tmp_path: Path, postgresql: Callable[[], str]
) -> None:
    fresh = connect(f"sqlite:///{tmp_path}/fresh.db" if bare.is_sqlite else postgresql(), durable=False)
    with fresh.write() as tx:
        opening.migrate(tx)
        # Each database writes expressions in its own way: `_shape` compares those.
        named = {each.name for table in tables.metadata.sorted_tables for each in table.indexes if not _plain(each)}
        options = {"compare_type": True, "include_object": lambda _, name, *__: name not in named}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipped unsupported reflection|autogenerate skipping")
            differences = compare_metadata(MigrationContext.configure(tx, opts=options), tables.metadata)
    assert differences == []
    assert _shape(fresh) == _shape(ledger._database)
    fresh.close()
    migrated = Ledger.open(fresh.url.render_as_string(hide_password=False))
    assert migrated.id not in ("", ledger.id)
    assert planned(migrated, slice_of())
    migrated.close()
    bare.close()


def test_the_newest_migration_is_the_revision_that_the_program_writes(bare: Database) -> None:
    with bare.write() as tx:
        opening.migrate(tx)
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == opening.REVISIONS[-1]
    bare.close()


def test_a_stream_of_the_first_version_is_there_after_the_migration(bare: Database, address: str) -> None:
    with bare.write() as tx:
        opening.migrate(tx, "0001")
        tx.execute(
            text(
                "INSERT INTO sources (id, name, kind, settings, paused, added_us)"
                " VALUES ('acme', 'acme', 'wiz', '{}', false, 0)"
            )
        )
        tx.execute(
            text(
                "INSERT INTO streams"
                " (source_id, log_type, edge_us, events, repeats, rejections, unknown_fields, refused)"
                " VALUES ('acme', 'Wiz.Issues', 5, 7, 0, 0, '{}', '[]')"
            )
        )
    bare.close()
    migrated = Ledger.open(address)
    marks = migrated.pulling.marks("acme", "Wiz.Issues")
    assert (marks.edge, marks.offset, marks.covered) == (from_us(5), None, ())
    assert migrated.pulling.plan(marks, replace(marks, offset=timedelta(hours=1)), []) == []
    assert migrated.pulling.marks("acme", "Wiz.Issues").offset == timedelta(hours=1)
    migrated.close()


def test_what_was_wrong_before_errors_had_codes_is_still_told_as_it_was_stored(bare: Database, address: str) -> None:
    with bare.write() as tx:
        opening.migrate(tx, "0012")
        settings = from_mapping({"token_url": "cognito", "client_id": "x", "log_types": ["issues"]})
        tx.execute(
            text(
                "INSERT INTO sources (id, name, kind, settings, paused, added_us)"
                " VALUES ('acme', 'acme', 'wiz', :settings, false, 0)"
            ),
            {"settings": json.dumps(row_of("acme", settings, {}).settings)},
        )
        tx.execute(
            text(
                "INSERT INTO streams (source_id, log_type, edge_us, events, repeats, rejections, unknown_fields,"
                " refused, trouble, trouble_kind, trouble_todo, trouble_us) VALUES"
                " ('acme', 'Wiz.Issues', 5, 7, 0, 0, '{}', '[]', 'no scope', 'AccessRefusedError', 'add it', 6)"
            )
        )
        tx.execute(text("INSERT INTO table_faults VALUES ('wiz_issues', 'publishing', 'no room', 3, 4)"))
    bare.close()
    migrated = Ledger.open(address)
    (told,) = stream_statuses(migrated)
    assert (told.state, told.error, told.error_code, told.todo) == ("broken", "no scope", None, "add it")
    assert [(each.code, each.reason) for each in migrated.lake.table_faults()] == [(None, "no room")]
    kind = "source_unavailable"
    migrated.pulling.trouble("acme", "Wiz.Issues", kind=kind, code="source_unavailable", text="down", at_us=8)
    (told,) = stream_statuses(migrated)
    assert (told.error, told.error_code) == ("down", "source_unavailable")
    assert "add it" not in str(told.todo)
    migrated.close()


def test_a_ledger_of_an_older_version_is_copied_and_then_migrated(
    ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    planned(ledger, slice_of())
    held = everything(ledger)
    with ledger._database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    ledger.close()
    monkeypatch.setattr(opening, "REVISIONS", ("0000", *opening.REVISIONS))

    def upgrade(tx: object) -> None:
        tx.execute(text("CREATE TABLE newer (n INTEGER)"))  # type: ignore[attr-defined] # a connection
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))  # type: ignore[attr-defined] # a connection

    monkeypatch.setattr(opening, "migrate", upgrade)
    migrated = Ledger.open(address)
    assert everything(migrated) == held
    migrated.close()
    copies = list(tmp_path.glob("ledger.db.0000-*.bak"))
    assert len(copies) == (1 if address.startswith("sqlite") else 0)
    for copy in copies:
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0000",)]
            assert connection.execute("SELECT count(*) FROM slices").fetchall() == [(1,)]


def test_a_migration_that_fails_changes_nothing(ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger._database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    before = _shape(ledger._database)
    monkeypatch.setattr(opening, "REVISIONS", ("0000", *opening.REVISIONS))

    def upgrade(tx: object) -> None:
        tx.execute(text("CREATE TABLE newer (n INTEGER)"))  # type: ignore[attr-defined] # a connection
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "migrate", upgrade)
    with pytest.raises(ZeroDivisionError):
        Ledger.open(address)
    assert _shape(ledger._database) == before


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(ledger: Ledger, address: str) -> None:
    with ledger._database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = everything(ledger)
    with pytest.raises(HomeError, match=r"made by a newer ocelog.*Upgrade ocelog"):
        Ledger.open(address)
    assert everything(ledger) == before


def test_a_database_with_tables_of_another_program_is_refused_and_left_alone(bare: Database, address: str) -> None:
    with bare.write() as tx:
        tx.execute(text("CREATE TABLE sources (x INTEGER)"))
    before = _shape(bare)
    with pytest.raises(HomeError, match="another program"):
        Ledger.open(address)
    assert _shape(bare) == before
    bare.close()


@pytest.mark.slow
def test_opening_an_up_to_date_ledger_does_not_import_alembic(ledger: Ledger, address: str) -> None:
    assert ledger.id
    script = (
        "import sys; from ocelog.ledger.ledger import Ledger; Ledger.open(sys.argv[1]).close();"
        "print([name for name in ('alembic', 'pyarrow', 'duckdb') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, address], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_an_address_without_a_scheme_or_of_another_database_is_refused() -> None:
    for address in ("ledger.db", "", "mysql://root:hunter2@db/x", "oracle://x", "postgresql://u:hunter2@h:port/x"):
        with pytest.raises(ConfigError, match="expected sqlite:///PATH or postgresql:") as caught:
            Ledger.open(address)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:hun@ter2@127.0.0.1:1/x",
        "postgresql://u:hun@ter2/x@127.0.0.1:1/x",
        "postgresql://u:hun@ter2?x=ter2@127.0.0.1:1/x",
        "postgresql://u:hun@ter2:1/x@127.0.0.1/x",
        "postgresql://u@corp:hun@ter2@127.0.0.1:1/x",
    ],
)
def test_a_password_that_would_be_taken_for_a_server_is_refused_and_told_in_no_part(address: str) -> None:
    with pytest.raises(ConfigError, match=r"%40|expected") as caught:
        Ledger.open(address)
    assert not any(part in str(caught.value) for part in ("hun", "ter2"))


@pytest.mark.parametrize("password", ["hun@ter2", "hun/ter2", "hun:ter2", "hun?ter2#x"])
def test_a_password_that_is_written_as_in_an_address_is_told_in_no_part(password: str) -> None:
    with pytest.raises(LedgerUnavailableError, match=r"127\.0\.0\.1/x does not answer") as caught:
        Ledger.open(f"postgresql://u:{quote(password, safe='')}@127.0.0.1:1/x")
    assert not any(part in str(caught.value) for part in ("hun", "ter2"))


def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    with pytest.raises(LedgerUnavailableError, match=r"127\.0\.0\.1/x does not answer") as caught:
        Ledger.open("postgresql://u:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.postgresql
def test_a_password_is_not_in_the_url_that_is_shown(postgresql: Callable[[], str]) -> None:
    ledger = Ledger.open(postgresql().replace("postgres:@", "postgres:hunter2@"))
    assert "hunter2" not in ledger.url + repr(ledger)
    ledger.close()


@pytest.mark.postgresql
def test_options_in_a_postgresql_address_are_kept(postgresql: Callable[[], str]) -> None:
    ledger = Ledger.open(postgresql() + "&options=-c%20work_mem%3D7MB&application_name=mine")
    with ledger._database.read() as tx:
        assert tx.execute(text("SHOW work_mem")).scalar_one() == "7MB"
        assert tx.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "2min"
    ledger.close()
