"""Where queries spill: each has a folder of its own, which goes with it, however it ends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocelog.lake.storage.scratch import temporary_directory

SCRIPT = (
    "import sys, time; from pathlib import Path; from ocelog.lake.storage.scratch import temporary_directory\n"
    "with temporary_directory(Path(sys.argv[1])) as path:\n"
    "    (path / 'spilled').touch(); print(path, flush=True); time.sleep(60)"
)


@pytest.fixture
def queries() -> Iterator[list["subprocess.Popen[str]"]]:
    found: list[subprocess.Popen[str]] = []
    yield found
    for process in found:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_what_a_killed_query_left_goes_with_the_next_one_and_what_is_in_use_stays(
    tmp_path: Path, queries: list["subprocess.Popen[str]"]
) -> None:
    places = []
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        queries.append(process)
        assert process.stdout is not None
        places.append(Path(process.stdout.readline().strip()))
    running, killed = places
    queries[1].kill()
    queries[1].wait()
    assert killed.exists()
    with temporary_directory(tmp_path) as mine:
        assert set((tmp_path / "tmp").iterdir()) == {running, mine}
    assert set((tmp_path / "tmp").iterdir()) == {running}
    assert (running / "spilled").exists()
