"""Which engine upkeep sorts and searches rows with: one thread, bounded memory, the rest on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ocelog.lake.read.quoting import literal
from ocelog.lake.storage.scratch import temporary_directory


@contextmanager
def engine_that_spills(home: Path, *, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that takes `memory_mb` at most; what does not fit goes into a folder that is deleted in the end.

    It loads no extension: the files that it reads are ours.
    """
    with temporary_directory(home) as folder, duckdb.connect(":memory:") as engine:
        engine.execute(f"""
            SET TimeZone = 'UTC';
            SET threads = 1;
            SET memory_limit = '{memory_mb}MB';
            SET temp_directory = {literal(str(folder))};
            SET autoinstall_known_extensions = false;
            SET autoload_known_extensions = false;
        """)
        yield engine
