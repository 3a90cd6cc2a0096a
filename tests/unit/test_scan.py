"""What reading Parquet files leaves behind: nothing, also where no garbage is collected."""

import gc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocelog.lake.read.scan import CURSOR, RowFilter, scan


def metadata_left() -> int:
    return sum(isinstance(each, pq.FileMetaData) for each in gc.get_objects(generation=0))


@pytest.mark.parametrize("wanted", [RowFilter(), RowFilter(since_us=3, until_us=5), RowFilter(since_us=50)])
def test_a_file_that_was_read_is_let_go_at_once(tmp_path: Path, wanted: RowFilter) -> None:
    times = pa.array(range(10), pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"id": list(map(str, range(10))), CURSOR: times}), tmp_path / "part", row_group_size=4)
    gc.disable()
    # What is older is no matter of this test, and looking at all of it takes long.
    gc.collect(0)
    try:
        for _ in range(3):
            found = [rows.column("id").to_pylist() for rows in scan(tmp_path / "part", wanted, ["id"])]
        assert metadata_left() == 0
    finally:
        gc.enable()
    expected = {None: [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]], 3: [["3"], ["4", "5"]], 50: []}
    assert found == expected[wanted.since_us]
