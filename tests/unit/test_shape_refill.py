"""A row from before a field was added becomes the row that the record gives today, but for its version."""

import json
from typing import Any

import pyarrow as pa
import pytest

from ocelog.lake.catalog.conform import conform
from ocelog.model import Kind, KnownVersions, Origin, Stamp
from ocelog.pull.versions import History
from ocelog.schema.columns.refill import Refill
from ocelog.schema.columns.table import row_schema
from ocelog.schema.language.fields import LogSchema
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import Shaper, compile_shaper

AT = "2026-03-25T05:46:26.681576Z"
STAMP = Stamp(source_id="s", source_label="S", origin=Origin.LIVE, observed_us=1, parsed_us=2)
OLD = """\
schema: Acme.Door
version: 1
fields:
  - {name: id, type: string, required: true}
  - {name: at, type: timestamp, timeFormats: [rfc3339], isEventTime: true}
  - {name: state, type: string}
  - {name: when, type: timestamp, timeFormats: [rfc3339]}
  - {name: place, type: object, fields: [{name: id, type: string}]}
  - {name: things, type: array, element: {type: object, fields: [{name: id, type: string}]}}
"""
NEW = """\
schema: Acme.Door
version: 2
fields:
  - {name: id, type: string, required: true}
  - {name: at, type: timestamp, timeFormats: [rfc3339], isEventTime: true}
  - {name: state, type: string}
  - {name: when, type: timestamp, timeFormats: [rfc3339]}
  - name: place
    type: object
    fields:
      - {name: id, type: string}
      - {name: host name, type: string, indicators: [hostname]}
      - {name: floor, type: int}
  - name: things
    type: array
    element:
      type: object
      fields:
        - {name: id, type: string}
        - {name: size, type: float}
  - name: owner
    type: object
    fields: [{name: mail, type: string, indicators: [email]}, {name: since, type: timestamp}]
  - {name: count, type: bigint}
  - {name: open, type: boolean}
  - {name: free, type: json}
  - {name: words, type: array, element: {type: string}}
  - {name: texts, type: array, element: {type: json}}
  - {name: $odd name, type: string}
  - {name: assignee, type: string}
"""
FIELDS = ("id", "state", "place")


def kind(*later: str) -> Kind:
    return Kind(
        log_type="Acme.Door",
        cursor_field="at",
        created_field="at",
        version_times=("at",),
        version_fields=(*FIELDS, *(name for name in later if "." not in name)),
        later_fields=(frozenset(later),) if later else (),
    )


def shaper_of(text: str, *later: str) -> Shaper:
    return compile_shaper(parse_schema(text, "door.yml"), kind(*later))


def schema(text: str) -> LogSchema:
    return parse_schema(text, "door.yml")


def table(shaper: Shaper, *records: Any) -> pa.Table:
    shaped = shaper.shape([one if isinstance(one, bytes) else json.dumps(one).encode() for one in records])
    assert shaped.rejections == []
    return shaped.table(range(len(records)), [f"{n}" for n in range(len(records))], STAMP)


def refilled(*records: Any) -> list[dict[str, Any]]:
    rows = conform(table(shaper_of(OLD), *records), row_schema(schema(NEW)))
    found: list[dict[str, Any]] = Refill(schema(NEW)).refill(rows).rows.to_pylist()
    return found


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same: all but what says how the row landed, and the order within p_extra."""
    kept = {name: value for name, value in row.items() if name not in {"p_schema_version", "p_version"}}
    return kept | {"p_extra": row["p_extra"] and json.loads(row["p_extra"])}


DOOR: dict[str, Any] = {"id": "d", "at": AT, "state": "OPEN"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"count": 7},
        {"open": True, "$odd name": True},
        {"free": {"b": [1, None], "a": "\u00e9"}},
        {"free": "text"},
        {"free": [[1]]},
        {"words": ["a", None, "b"]},
        {"texts": [{"a": 1}, None, 5]},
        {"owner": {"mail": "a@b.example", "since": AT, "more": {"x": 1}}},
        {"owner": {"mail": "a@b.example", "since": "yesterday"}},
        {"owner": {"mail": "nobody"}, "assignee": "[Critical] me", "never": [1]},
        {"place": {"id": "p", "host name": "Host.Example", "floor": 3, "other": 1}},
        {"things": [{"id": "1", "size": 1.5}, None, {"id": "2", "size": 2}, {"id": "3"}]},
        {"when": "never"},
        {"assignee": "me", "when": "never"},
        {"free": json.loads("[" * 300 + "]" * 300)},
        {"assignee": json.loads("[" * 300 + "]" * 300)},
        {"things": []},
        {"place": None, "things": None, "owner": {}},
    ],
)
def test_a_refilled_row_is_the_row_that_the_record_gives_today(more: dict[str, Any]) -> None:
    record = DOOR | more
    (found,) = refilled(record)
    (today,) = table(shaper_of(NEW), record).to_pylist()
    assert comparable(found) == comparable(today)


@pytest.mark.parametrize(
    "raw",
    [b'"half \\ud800"', b'"bytes \xff"', b'{"a":"\xff"}'],
)
@pytest.mark.parametrize("name", [b"assignee", b"free"])
def test_what_no_text_can_hold_stays_as_it_was_kept(name: bytes, raw: bytes) -> None:
    record = b'{"id":"d","at":"%b","state":"OPEN","%b":%b}' % (AT.encode(), name, raw)
    rows = conform(table(shaper_of(OLD), record), row_schema(schema(NEW)))
    found = Refill(schema(NEW)).refill(rows)
    if found.changed:
        # Half a character passes as free JSON, today too.
        assert (name, raw[:5]) == (b"free", b'"half')
    else:
        assert found.rows.equals(rows)


def test_a_value_that_does_not_fit_stays_and_costs_its_neighbours_nothing() -> None:
    (found,) = refilled(DOOR | {"count": 10**30, "open": "yes", "owner": 5, "words": "a", "assignee": "me"})
    assert (found["count"], found["open"], found["owner"], found["words"]) == (None, None, None, None)
    assert found["assignee"] == "me"
    assert json.loads(found["p_extra"]) == {"count": 10**30, "open": "yes", "owner": 5, "words": "a"}


def test_a_value_that_a_column_has_already_is_not_replaced() -> None:
    rows = conform(table(shaper_of(OLD), DOOR), row_schema(schema(NEW))).to_pylist()
    rows[0] |= {"assignee": "before", "p_extra": '{"assignee":"after"}'}
    before = pa.Table.from_pylist(rows, schema=row_schema(schema(NEW)))
    assert Refill(schema(NEW)).refill(before).rows.equals(before)


@pytest.mark.parametrize("extra", ["", "{", "[1]", '{"[":1}', '{"a..b":1}', '{"things[7].size":1}', '{"things[x]":1}'])
def test_what_another_engine_wrote_as_p_extra_stays(extra: str) -> None:
    rows = conform(table(shaper_of(OLD), DOOR), row_schema(schema(NEW))).to_pylist()
    rows[0]["p_extra"] = extra
    before = pa.Table.from_pylist(rows, schema=row_schema(schema(NEW)))
    assert Refill(schema(NEW)).refill(before).rows.equals(before)


def test_only_rows_with_such_a_value_change_and_they_are_counted() -> None:
    records = [
        DOOR | {"id": f"{n}"} | ({"things": [{"size": n}, {"size": 1}]} if n % 700 == 0 else {}) for n in range(2_200)
    ]
    rows = conform(table(shaper_of(OLD), *records), row_schema(schema(NEW)))
    found = Refill(schema(NEW)).refill(rows)
    assert (found.changed, dict(found.values)) == (4, {"things[].size": 8})
    assert found.rows.column("id").equals(rows.column("id"))
    assert [row["things"] for row in found.rows.to_pylist()] == [
        [{"id": None, "size": float(n)}, {"id": None, "size": 1.0}] if n % 700 == 0 else None for n in range(2_200)
    ]


def known(rows: list[dict[str, Any]]) -> KnownVersions:
    """Return refilled rows as the lake tells them to a pull."""
    return KnownVersions(
        ids=[row["id"] for row in rows],
        version_us=[int(row["p_version_time"].timestamp() * 1_000_000) for row in rows],
        observed_us=[1] * len(rows),
        row_ids=["0" * 31 + row["p_row_id"] for row in rows],
        versions=[row["p_version"] for row in rows],
    )


@pytest.mark.parametrize("later", [(), ("assignee",), ("assignee", "place.floor", "place.host name")])
def test_an_unchanged_record_is_no_new_version_after_its_row_was_refilled(later: tuple[str, ...]) -> None:
    record = DOOR | {"assignee": "me", "count": 7}
    if "place.floor" in later:
        record |= {"place": {"id": "p", "floor": 3, "host name": "h"}}
    rows = refilled(record)
    assert rows[0]["assignee"] == "me"
    shaper = shaper_of(NEW, *later)
    history = History("s", "Acme.Door")
    history.add(known(rows))
    assert history.place(shaper.shape([json.dumps(record).encode()]), 9).keep == []
    assert history.place(shaper.shape([json.dumps(record | {"state": "SHUT"}).encode()]), 9).keep == [0]
    # The answer may lack the new field: it is filled from the row, which has it by now.
    lacking = shaper.shape([json.dumps({**record, "assignee": None}).encode()])
    lacking.fill(0, ["assignee"], rows[0])
    assert history.place(lacking, 9).keep == []
