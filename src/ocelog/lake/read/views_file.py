"""The views of the lake as a file of SQL: one way in for other tools, while the files of the tables change."""

import os
import shlex
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa

from ocelog.errors import HomeError, OcelogError
from ocelog.lake.catalog.columns import with_table_columns
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.read.current import CURRENT, current_view
from ocelog.lake.read.quoting import literal
from ocelog.lake.read.saved_views import saved_views
from ocelog.lake.read.sql import all_logs_view, create_view, log_tables, view_of_files
from ocelog.lake.storage.disk import DRAFT, disk_errors, replace_file
from ocelog.model import ALL_LOGS

_NOTE = """\
-- The tables and views of this lake, for DuckDB 1.3 or newer: IMPORT DATABASE {folder};
-- Ocelog writes this file anew whenever the files of a table change: change nothing here. What has landed and is not
-- published yet is not in it. Import it again to see what was published since; the files that it names stay for at
-- least a day after that.
"""


def views_folder(home: Path) -> Path:
    """Return the folder that DuckDB imports: the views in `schema.sql`, and an empty `load.sql`, which it wants too."""
    return home / "lake" / "views"


def _check_place(folder: Path, *files: Path) -> None:
    """Raise HomeError if something else is in the place of the folder or of a file: no retry would help."""
    for path, wanted, fits in [
        (folder, "folder", folder.is_dir()),
        *((file, "file", file.is_file()) for file in files),
    ]:
        if os.path.lexists(path) and not fits:
            aside = shlex.quote(f"{path}.old")
            raise HomeError(
                f"{path} is not a {wanted}, so the views for other tools cannot be written. Tables are published and "
                f"`ocelog query` works all the same. Move it aside: mv {shlex.quote(str(path))} {aside}"
            )


class ViewsFile:
    """Keeps `HOME/lake/views/schema.sql` as the tables are."""

    def __init__(self, home: Path, schemas: Mapping[str, pa.Schema]) -> None:
        self._home = home
        self._schemas = schemas
        self._states = TableStates(home)

    def refresh(self) -> bool:
        """Write the file, whole or not at all, if a table has changed since; return whether it had.

        A table that cannot be read is left out, with the views that are made of it. Raises OcelogError if the file
        cannot be written.
        """
        made_from = dict[str, str]()
        for table in self._schemas:
            try:
                made_from[table] = self._states.location(table) or "nothing is published yet"
            except OcelogError as error:
                made_from[table] = f"left out: {error}"
        definitions = "".join(statement for view in saved_views().values() for statement in view.create())
        shape = blake2b(f"{self._schemas}{definitions}".encode(), digest_size=8).hexdigest()
        lines = [f"-- {table}: {' '.join(source.split())}\n" for table, source in made_from.items()]
        # A comment ends with its line.
        folder = literal(str(views_folder(self._home))).replace("\n", " ")
        head = "".join([_NOTE.format(folder=folder), *lines, f"-- definitions: {shape}\n"])
        path = views_folder(self._home) / "schema.sql"
        load = path.with_name("load.sql")
        with disk_errors(path):
            _check_place(path.parent, path, load)
            for left in path.parent.glob(f"{DRAFT}*"):
                # Of a process that was killed: only the holder of the home writes here.
                left.unlink(missing_ok=True)
            if path.is_file() and load.is_file() and path.read_text("utf-8", "replace").startswith(head):
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            load.touch()
            text = "\n".join([head, *(f"{statement};\n" for statement in self._statements())])
            # Not synced: what a power failure leaves is compared again by the next process that publishes.
            replace_file(path, text.encode(), mode=0o666, synced=False)
        return True

    def _statements(self) -> list[str]:
        found = list[str]()
        readable = dict[str, pa.Schema]()
        for table, schema in self._schemas.items():
            try:
                state = self._states.state(table)
            except OcelogError:
                continue
            paths = [] if state is None else [file.path for file in state.files]
            readable[table] = with_table_columns(schema, None if state is None else state.schema)
            found.append(create_view(table, view_of_files(readable[table], paths)))
            if table in log_tables(self._schemas):
                found.append(create_view(table + CURRENT, current_view(readable[table], paths)))
        logs = {table: self._schemas[table] for table in log_tables(readable)}
        found += [create_view(ALL_LOGS, all_logs_view(logs))] if logs else []
        lost = [f"{table}{end}" for table in self._schemas.keys() - readable.keys() for end in ("", CURRENT)]
        for view in saved_views().values():
            if not view.reads(lost):
                found += view.create()
        return found
