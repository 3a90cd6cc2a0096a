"""Whatever a page holds: each record is an event or a rejection, and at once or one by one it comes to the same."""

import json
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from drawn import examples
from ocelog.schema import page as pages
from ocelog.schema.columns.frame import Frame
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import ShapedPage, compile_shaper
from shaping import STAMP, TINY, TINY_KIND, tiny

SHAPER = tiny()
SLOW = tiny()
"""It reads every record member by member."""
SLOW.reader._decode = SLOW.reader._decode_record = None

texts = st.one_of(st.text(max_size=8), st.sampled_from(["a", "", "true", "1", "é", "\U0001f600", "\x7f\u2028"]))
instants = st.sampled_from(
    [
        "2026-03-25T05:46:26.681576Z",
        "2026-03-25T05:46:26Z",
        "2026-03-25T05:46:26.50Z",
        "2026-03-25T05:46:26.1234567+02:00",
        "2026-03-25 05:46:26Z",
        "2026-03-25",
        "",
    ]
)
free = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
usual = {
    "id": texts,
    "at": instants,
    "text": texts | st.booleans() | st.integers(),
    "small": st.integers(-(2**15) - 1, 2**15),
    "whole": st.integers(-(2**31) - 1, 2**31),
    "big": st.integers(-(2**63) - 1, 2**63),
    "share": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "open": st.booleans(),
    "free": free,
    "who": st.fixed_dictionaries({"id": texts}, optional={"since": instants, "new": free}),
    "words": st.lists(st.none() | texts, max_size=3),
    "things": st.lists(st.none() | st.fixed_dictionaries({}, optional={"id": texts, "free": free}), max_size=3),
}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a record that mostly fits: now and then a member is missing, null, unknown or anything at all."""
    record = {}
    for name, strategy in usual.items():
        fate = draw(st.integers(0, 19))
        if fate < 16 or name in {"id", "at"}:
            record[name] = draw(strategy)
        elif fate == 16:
            record[name] = draw(free)
        elif fate < 19:
            record[name] = None
    if draw(st.integers(0, 9)) == 0:
        record[draw(texts)] = draw(free)
    return record


def written(record: Any, *, ascii_only: Any, spaces: Any) -> Any:
    return json.dumps(record, ensure_ascii=ascii_only, separators=(", ", ": ") if spaces else (",", ":")).encode()


def whole(shaped: Any) -> Any:
    names = [f"{at:032x}" for at in range(len(shaped.ids))]
    return (
        shaped.ids,
        shaped.versions,
        shaped.cursor_us,
        shaped.version_us,
        shaped.last_event_us,
        shaped.seen,
        list(shaped.positions),
        shaped.rejections,
        shaped.unknown_fields,
        shaped.table(range(len(names)), names, STAMP),
    )


@settings(max_examples=examples(150))
@given(st.lists(records(), max_size=6), st.booleans(), st.booleans(), st.sampled_from([1, 16]))
def test_read_at_once_or_one_by_one_a_page_comes_to_the_same(
    drawn: Any, ascii_only: Any, spaces: Any, few: Any
) -> None:
    raws = [written(record, ascii_only=ascii_only, spaces=spaces) for record in drawn]
    page = b"[" + b" , ".join(raws) + b"]"
    with patch.object(pages, "_FEW", few):
        found = whole(SHAPER.shape(page))
        assert found == whole(SHAPER.shape(raws))
    assert found == whole(SLOW.shape(page))
    assert found == whole(tiny().shape(page))


@settings(max_examples=examples(150))
@given(st.lists(records(), max_size=5))
def test_every_record_is_an_event_or_a_rejection(drawn: Any) -> None:
    raws = [written(record, ascii_only=False, spaces=False) for record in drawn]
    shaped = SHAPER.shape(b"[" + b",".join(raws) + b"]")
    rejected = [rejection.raw for rejection in shaped.rejections]
    assert [raw for at, raw in enumerate(raws) if at not in set(shaped.positions)] == rejected
    assert len(shaped.ids) + len(rejected) == len(shaped.seen) == len(raws)
    assert [drawn[at]["id"] for at in shaped.positions] == shaped.ids


@settings(max_examples=examples(300))
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\ue1nutrflsa-0 .', max_size=60).map(str.encode))
def test_no_bytes_raise(noise: Any) -> None:
    for page in (noise, b"[" + noise + b"]", b'[{"id":"a","at":"2026-03-25T05:46:26Z"},' + noise + b"]"):
        shaped = SHAPER.shape(page)
        whole(shaped)
        assert len(shaped.seen) == len(shaped.ids) + len(shaped.rejections)
    whole(SHAPER.shape([noise]))


@settings(max_examples=examples(60))
@given(st.lists(records(), min_size=1, max_size=8), st.data())
def test_rows_that_are_picked_are_the_rows_of_the_whole(drawn: Any, data: Any) -> None:
    shaped = SHAPER.shape([written(record, ascii_only=True, spaces=False) for record in drawn])
    picked = data.draw(st.lists(st.sampled_from(range(len(shaped.ids))), unique=True)) if shaped.ids else []
    picked.sort()
    names = [f"{at:032x}" for at in range(len(shaped.ids))]
    every = shaped.table(range(len(names)), names, STAMP).to_pylist()
    assert shaped.table(picked, [names[at] for at in picked], STAMP).to_pylist() == [every[at] for at in picked]


RELEASED = compile_shaper(
    parse_schema(TINY, "tiny.yml"),
    replace(TINY_KIND, later_fields=(frozenset({"words", "things.free"}),), uncounted=frozenset({"who.since"})),
)
"""Of a second release: its hash has a former algorithm."""


def contents(frame: Frame) -> bytes:
    """Return all that is held in `frame`, on every level."""
    inside = [[one.distinct, one.texts.distinct, msgspec.Raw(contents(one.frame))] for one in frame.objects.values()]
    return msgspec.json.encode([frame.records, frame.columns, inside])


@settings(max_examples=examples(50))
@given(st.lists(records(), min_size=1, max_size=6), st.permutations(["versions", "former", "rows", "some"]), st.data())
def test_hashes_and_rows_change_nothing_of_what_was_read_and_are_the_same_in_any_order(
    drawn: Any, order: Any, data: Any
) -> None:
    raws = [written(record, ascii_only=True, spaces=False) for record in drawn]

    def asked(decoded: Any, ways: Any) -> Any:
        shaped = ShapedPage(RELEASED, decoded)
        names = [f"{at:032x}" for at in range(len(shaped.ids))]
        found: dict[str, Any] = {
            "versions": lambda: shaped.versions,
            "former": lambda: shaped.old_versions,
            "rows": lambda: shaped.table(range(len(names)), names, STAMP),
            "some": lambda: shaped.table(range(0, len(names), 2), names[::2], STAMP),
        }
        return {way: found[way]() for way in ways}

    decoded = RELEASED.reader.read(b"[" + b",".join(raws) + b"]")
    before = contents(decoded.frame)
    found = asked(decoded, order)
    assert contents(decoded.frame) == before
    assert found == asked(decoded, sorted(order)) == asked(RELEASED.reader.read(raws), order[::-1])

    places = data.draw(st.permutations(range(len(raws))))
    moved = RELEASED.shape([raws[at] for at in places])
    by_place = dict(zip((places[at] for at in moved.positions), moved.versions, strict=True))
    assert [by_place[at] for at in decoded.positions] == found["versions"]


@settings(max_examples=examples(30))
@given(st.lists(records(), min_size=1, max_size=4))
def test_filling_an_event_changes_nothing_of_what_was_read(drawn: Any) -> None:
    decoded = RELEASED.reader.read([written(record, ascii_only=True, spaces=False) for record in drawn])
    before = contents(decoded.frame)
    shaped = ShapedPage(RELEASED, decoded)
    row = {"text": "filled", "words": ["b", "a"], "who": {"id": "filled", "since": None}, "things": [{"free": "[1]"}]}
    for event in range(len(shaped.ids)):
        shaped.fill(event, {"text", "words", "who.id", "things.free"}, row)
    assert [one["text"] for one in shaped.table(range(len(shaped.ids)), shaped.ids, STAMP).to_pylist()] == [
        "filled" for _ in shaped.ids
    ]
    assert contents(decoded.frame) == before


@given(records())
def test_the_order_of_members_and_the_spaces_between_make_no_version(record: Any) -> None:
    shuffled = dict(sorted(record.items(), key=lambda item: item[0][::-1]))
    found = {
        tuple(SHAPER.shape([written(one, ascii_only=True, spaces=spaces)]).versions)
        for one in (record, shuffled)
        for spaces in (True, False)
    }
    assert len(found) == 1


def test_the_fields_drawn_are_the_fields_of_the_schema() -> None:
    assert set(usual) == {field.name for field in SHAPER.schema.fields}
    assert set(TINY_KIND.version_fields or ()) <= set(usual)
