"""Hostile values at every place of a record: one costs no other, is told where it is, and both readers agree on it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn import examples
from ocelog.schema.language.fields import Array, Field, Object
from shaping import AUDIT, FINDINGS, ISSUES, STAMP, shaper_of, tiny

AT = b"2026-03-25T05:46:26Z"
NUMBERS = [
    *(b"0", b"-0", b"-0.0", b"1e999", b"1E400", b"-1e400", b"1e-400", b"1E5", b"1.0", b"9" * 5_000, b"-" + b"9" * 400),
    *(b"32768", b"-2147483649", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616"),
    *(b"01", b"+1", b".5", b"1.", b"1e", b"NaN", b"Infinity", b"-Infinity", b"nonsense", b"true", b"null", b""),
]
TEXTS = [
    *(b'""', b'" "', b'"\\u0000"', b'"\\ud800"', b'"\\udc00x"', b'"\\ud83d\\ude00"', b'"\\ude00\\ud83d"', b'"\\x"'),
    *(b'"\xff"', b'"\xc3("', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\n"', b'"\x00"', b"\xef\xbb\xbf1", b'"]}"'),
]
DATES = [
    b'"%b"' % text.encode()
    for text in [
        *("2016-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00+24:00"),
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"),
        *("9999-12-31T23:59:59.9999999Z", "2026-01-01t00:00:00z", "2026-01-01 00:00:00Z", " 2026-01-01T00:00:00Z"),
        *("2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00." + "1" * 200 + "Z"),
        *("12026-01-01T00:00:00Z", "-2026-01-01T00:00:00Z", "2026-01-01T00:00:00+0000", "2026-01-01T0\\u0030:00:00Z"),
    ]
]
OTHERS = [
    *(b"[]", b"{}", b"[[]]", b"[null]", b"[{}]", b'{"id":null}', b"[1,]", b'{"a":1,}', b'{"a"}', b"{,}", b"{1:2}"),
    *(b"[1 2]", b'{"a":1,"a":2}', b'{"id":"1","id":2}', b'{"\\ud800":1}', b'{"\xff":1}', b'{"":1}', b"{'a':1}"),
    *(b"[" * 2_000 + b"]" * 2_000, b'{"a":' * 2_000 + b"1" + b"}" * 2_000, b"[" * 250 + b"]" * 250),
]
HOSTILE = [*NUMBERS, *TEXTS, *DATES, *OTHERS]


def places(fields: tuple[Field, ...], path: str = "$") -> Iterator[tuple[str, bytes]]:
    """Yield each place of a record: its path, and a member with that place left open."""
    for field in (*fields, Field(name="new", type=fields[0].type)):
        name, inner, left, right = b'"%b":' % field.name.encode(), field.type, b"", b""
        here = f"{path}.{field.name}"
        yield here, name + b"%b"
        while isinstance(inner, Array):
            inner, left, right, here = inner.element, left + b"[", b"]" + right, here + "[0]"
            yield here, name + left + b"%b" + right
        if isinstance(inner, Object):
            needed = b"".join(b'"%b":"r",' % one.name.encode() for one in inner.fields if one.required)
            for below, member in places(inner.fields, here):
                yield below, name + left + b"{" + needed + member + b"}" + right


SHAPERS = {
    "tiny": (tiny(), b'"at":"%b"' % AT),
    "audit": (shaper_of(AUDIT), b'"timestamp":"%b","action":"Login"' % AT),
    "issues": (shaper_of(ISSUES), b'"createdAt":"%b"' % AT),
    "findings": (shaper_of(FINDINGS), b'"updatedAt":"%b"' % AT),
}
PLACES = {name: list(places(shaper.schema.fields)) for name, (shaper, _) in SHAPERS.items()}


def whole(shaped: Any) -> Any:
    names = [f"{at:032x}" for at in range(len(shaped.ids))]
    return (
        *(shaped.ids, shaped.versions, shaped.cursor_us, shaped.version_us, shaped.seen, list(shaped.positions)),
        *(shaped.rejections, shaped.unknown_fields, shaped.table(range(len(names)), names, STAMP)),
    )


@pytest.mark.parametrize("name", SHAPERS)
@settings(max_examples=examples(250))
@given(data=st.data())
def test_one_hostile_value_costs_no_other_record_and_is_told_where_it_is(name: str, data: Any) -> None:
    shaper, needed = SHAPERS[name]
    path, member = data.draw(st.sampled_from(PLACES[name]))
    value = data.draw(st.sampled_from(HOSTILE))
    odd = b'{"id":"odd",%b,%b}' % (needed, member.replace(b"%b", value))
    records = [b'{"id":"before",%b}' % needed, odd, b'{"id":"after",%b}' % needed]
    shaped = shaper.shape(b"[" + b",".join(records) + b"]")
    assert whole(shaped) == whole(shaper.shape(records))
    assert (shaped.ids[0], shaped.ids[-1]) == ("before", "after")
    assert len(shaped.ids) + len(shaped.rejections) == 3
    for rejection in shaped.rejections:
        assert rejection.raw == odd
        assert rejection.path.startswith(path)
        assert path == "$.id" or rejection.record_id == "odd"


@given(st.lists(st.sampled_from(HOSTILE), max_size=5))
def test_whatever_stands_for_a_record_costs_no_record(values: Any) -> None:
    shaper, needed = SHAPERS["tiny"]
    records = [b'{"id":"before",%b}' % needed, *values, b'{"id":"after",%b}' % needed]
    shaped = shaper.shape(b"[" + b",".join(records) + b"]")
    assert shaped.ids == ["before", "after"]
    assert [rejection.raw for rejection in shaped.rejections] == values


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(st.sampled_from(PLACES["tiny"]), st.sampled_from(HOSTILE)), min_size=2, max_size=4))
def test_several_hostile_values_in_one_record_are_one_rejection_or_one_event(drawn: Any) -> None:
    shaper, needed = SHAPERS["tiny"]
    members = b",".join(member.replace(b"%b", value) for (_, member), value in drawn)
    odd = b'{"id":"odd",%b,%b}' % (needed, members)
    shaped = shaper.shape(b"[" + odd + b"]")
    assert whole(shaped) == whole(shaper.shape([odd]))
    assert len(shaped.seen) == 1


def test_every_kind_of_place_is_tried() -> None:
    paths = {re.sub(r"\w+", "x", path) for name in PLACES for path, _ in PLACES[name]}
    assert {"$.x", "$.x[x]", "$.x.x", "$.x[x].x"} <= paths
