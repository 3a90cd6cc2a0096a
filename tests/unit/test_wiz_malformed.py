import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelog.sources.wiz.envelope import GarbledError, UnknownShapeError, open_envelope
from ocelog.sources.wiz.malformed import CutShortError, take_apart

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(['"', "\\", "]}", '\\"}']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def _body(records: list[Any], *, indent: int | None = None) -> bytes:
    around = {"pageInfo": {"hasNextPage": True, "endCursor": 'nodes":[', "nodes": [9]}, "totalCount": len(records)}
    connection = {"x": {"nodes": [1]}, "nodes": records, **around}
    whole = {"errors": [{"data": {"issuesV2": {"nodes": [5]}}}], "data": {"other": 1, "issuesV2": connection}}
    return json.dumps(whole, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(records=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 1]))
@settings(deadline=None)
def test_every_record_is_found_whole_and_nothing_of_it_is_left_around(records: list[Any], indent: int | None) -> None:
    found = take_apart(_body(records, indent=indent), "issuesV2")
    texts = [text.decode("utf-8", "surrogatepass") for text in found.records]
    assert json.dumps([json.loads(text) for text in texts]) == json.dumps(records)
    assert json.loads(found.envelope.decode("utf-8", "surrogatepass"))["data"]["issuesV2"]["nodes"] == []


@given(records=st.lists(VALUES, max_size=4), at=st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_a_body_cut_anywhere_is_known_as_cut(records: list[Any], at: float) -> None:
    body = _body(records)
    with pytest.raises(CutShortError):
        take_apart(body[: int(len(body) * at)], "issuesV2")


@given(body=st.binary(max_size=200) | st.text('{}[]",:\\ nodesat1', max_size=60).map(str.encode))
@settings(deadline=None)
def test_nothing_that_comes_in_raises_anything_else(body: bytes) -> None:
    with suppress(GarbledError, UnknownShapeError):
        open_envelope(body, "issuesV2")


@pytest.mark.slow
def test_a_body_of_brackets_alone_is_read_in_one_pass() -> None:
    with pytest.raises(CutShortError):
        take_apart(b'{"data":{"issuesV2":{"nodes":' + b"[" * 1_000_000, "issuesV2")
    with pytest.raises(GarbledError):
        open_envelope(b'{"a":' * 200_000, "issuesV2")


def test_the_records_are_those_of_the_query_root_and_of_no_other_list_of_that_name() -> None:
    body = b'{"data":{"other":{"nodes":[1,2]},"issuesV2":{"edges":{"nodes":[3]},"nodes":[4,NaN]}}}'
    assert take_apart(body, "issuesV2").records == [b"4", b"NaN"]


def test_something_after_the_answer_makes_it_none() -> None:
    for tail in (b"x", b"{}", b"]"):
        with pytest.raises(CutShortError):
            take_apart(b'{"data":{}}' + tail, "issuesV2")
