"""Rows as rules read them: the record as it was sent."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn import examples
from ocelog.model import Kind
from ocelog.schema.columns.sent import SentRows
from ocelog.schema.language.fields import LogSchema
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import Shaper
from shaping import KINDS, STAMP, TINY, page, shaper_of, tiny
from shaping.golden import FOLDER

SCHEMA = parse_schema(TINY, "tiny.yml")
SHAPER = tiny()


def sent(records: list[Any], shaper: Shaper = SHAPER, schema: LogSchema = SCHEMA) -> SentRows:
    shaped = shaper.shape(page(records))
    names = [f"{at:032x}" for at in range(len(shaped.ids))]
    return SentRows(schema, shaped.table(range(len(names)), names, STAMP))


texts = st.text(max_size=4)
ids = st.text("abc", min_size=1)
free = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
instants = st.sampled_from(["2026-03-25T05:46:26Z", "2026-03-25T05:46:26.5Z", "0001-01-01T00:00:00.000001Z"])
RECORDS = st.fixed_dictionaries(
    {"id": ids, "at": instants},
    optional={
        "text": texts,
        "small": st.integers(-(2**15), 2**15 - 1),
        "big": st.integers(-(2**63), 2**63 - 1),
        "share": st.floats(allow_nan=False, allow_infinity=False),
        "open": st.booleans(),
        "free": free,
        "who": st.none() | st.fixed_dictionaries({"id": ids}, optional={"since": instants, "new": free}),
        "words": st.none() | st.lists(texts, max_size=3),
        "things": st.lists(st.fixed_dictionaries({}, optional={"id": texts, "free": free, "other": free}), max_size=3),
        "new": free,
        "New": free,
    },
)


def said(value: Any) -> Any:
    """Return what is not null in `value`: a row does not know whether a null was sent."""
    if isinstance(value, dict):
        return {name: kept for name, one in value.items() if (kept := said(one)) is not None}
    if isinstance(value, list):
        return [said(one) for one in value]
    return value


@settings(max_examples=examples(200))
@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_a_row_says_what_the_record_said(drawn: list[Any]) -> None:
    for record, row in zip(drawn, sent(drawn), strict=True):
        own = {name: row[name] for name in row if not name.startswith("p_")}
        assert said(own) == said(record)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.log_type)
def test_the_records_of_each_log_type_come_back(kind: Kind) -> None:
    name = kind.log_type.replace(".", "_").lower().replace("wiz_vulnerabilityfinding", "wiz_vulnerability_finding")
    lines = (FOLDER / f"{name}.records.jsonl").read_text(encoding="utf-8").splitlines()
    shaper, schema = shaper_of(kind), packaged_schemas()[kind.log_type]
    some = 0
    for record in map(json.loads, lines):
        rows = sent([record], shaper, schema)
        if not len(rows):
            continue
        (row,) = rows
        some += 1
        for field, value in said(record).items():
            assert said(row[field]) == value or isinstance(value, str | int | float), field
    assert some


def test_the_columns_of_ours_follow() -> None:
    (row,) = sent([{"id": "a", "at": "2026-03-25T05:46:26Z", "who": {"id": "x", "new": 1}, "more": [None]}])
    assert row["p_log_type"] == "Tiny"
    assert row["p_event_time"] == "2026-03-25T05:46:26Z"
    assert row["who"] == {"id": "x", "since": None, "new": 1}
    assert row["more"] == [None]
    assert "p_extra" not in row
    assert len(row) == len(list(row))
    with pytest.raises(KeyError):
        row["nothing"]


def test_a_field_of_one_row_is_missing_in_the_others() -> None:
    first, second = sent(
        [{"id": "a", "at": "2026-03-25T05:46:26Z", "more": 1}, {"id": "b", "at": "2026-03-25T05:46:26Z"}]
    )
    assert first["more"] == 1
    assert "more" not in second
    assert second.get("more", 7) == 7
    assert second["text"] is None


def test_a_slice_of_rows_is_read_like_the_whole() -> None:
    records = [
        {"id": str(at), "at": "2026-03-25T05:46:26Z", "words": ["w"] * at, "things": [{"id": str(at), "x": at}] * at}
        for at in range(5)
    ]
    shaped = SHAPER.shape(page(records))
    table = shaped.table(range(5), [f"{at:032x}" for at in range(5)], STAMP)
    rows = SentRows(SCHEMA, table.slice(2, 2))
    assert [row["words"] for row in rows] == [["w"] * 2, ["w"] * 3]
    assert [[one["x"] for one in row["things"]] for row in rows] == [[2] * 2, [3] * 3]
