"""What the manifests of a table say: which data files it has.

PyIceberg reads them too, but takes a quarter of a second to import, which is most of what `ocelog status` takes.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from typing import Any, cast

from msgspec import Struct

from ocelog.files import check_regular
from ocelog.lake.catalog.file_io import local_path
from ocelog.times import EPOCH

_DELETED = 2
"""Status of an entry whose file this commit took out."""
_OF_A_FILE = frozenset(
    {
        "file_path",
        "file_format",
        "record_count",
        "file_size_in_bytes",
        "partition",
        "lower_bounds",
        "upper_bounds",
    }
)


class Manifest(Struct, frozen=True, kw_only=True):
    """A line of a manifest list."""

    path: str
    spec_id: int
    """The partitioning of its files."""
    of_data: bool
    """Whether it names data files; others name files of deletes."""


class Entry(Struct, frozen=True, kw_only=True):
    """A data file, as its manifest names it."""

    path: str
    format: str
    rows: int
    size: int
    """Bytes."""
    partition: tuple[Any, ...]
    lower: Mapping[int, bytes]
    """By field id, as Iceberg writes a single value."""
    upper: Mapping[int, bytes]


def read_list(path: str) -> list[Manifest]:
    """Return the manifests that a manifest list names. Raises whatever a damaged file makes the decoder raise."""
    found = _records(path, lambda schema: _only(schema, {"manifest_path", "partition_spec_id", "content"}))
    return [
        Manifest(
            path=str(each["manifest_path"]),
            spec_id=int(each["partition_spec_id"]),
            # Format version 1 has no other content, and no field for it.
            of_data=each.get("content", 0) == 0,
        )
        for each in found
    ]


def read_entries(manifest: Manifest) -> Iterator[Entry]:
    """Yield the files that are in the table by `manifest`."""
    for each in _records(manifest.path, _of_entries):
        if each["status"] == _DELETED:
            continue
        file = each["data_file"]
        yield Entry(
            path=str(file["file_path"]),
            format=str(file["file_format"]).upper(),
            rows=int(file["record_count"]),
            size=int(file["file_size_in_bytes"]),
            partition=tuple(map(_stored, file["partition"].values())),
            lower={int(bound["key"]): bound["value"] for bound in file.get("lower_bounds") or ()},
            upper={int(bound["key"]): bound["value"] for bound in file.get("upper_bounds") or ()},
        )


def _records(path: str, kept: Callable[[dict[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of an Avro file, with what is `kept` of its schema: what is skipped costs a fifth."""
    from fastavro import reader  # noqa: PLC0415 - for those who read a table

    place = local_path(path)
    check_regular(place)
    with place.open("rb") as file:
        schema = json.loads(reader(file).metadata["avro.schema"])
        file.seek(0)
        return cast("list[dict[str, Any]]", list(reader(file, reader_schema=kept(schema))))


def _of_entries(schema: dict[str, Any]) -> dict[str, Any]:
    schema = _only(schema, {"status", "data_file"})
    file = next(field for field in schema["fields"] if field["name"] == "data_file")
    file["type"] = _only(file["type"], _OF_A_FILE)
    return schema


def _only(record: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {**record, "fields": [field for field in record["fields"] if field["name"] in names]}


def _stored(value: Any) -> Any:
    """Return the value of a partition as Iceberg counts it: days, months and years are numbers."""
    return (value - EPOCH.date()).days if type(value) is date else value
