"""Records that do not fit their schema: each becomes a rejection that says where, and costs no other."""

import gc
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from ocelog.schema.decode.mismatch import Mismatch
from shaping import page, rows, tiny

AT = "2026-03-25T05:46:26.681576Z"


def whole(**members: Any) -> Any:
    return {"id": "a", "at": AT, **members}


def one_rejection(raw: bytes) -> Any:
    shaped = tiny().shape(b'[{"id":"before","at":"%b"},%b,{"id":"after","at":"%b"}]' % (AT.encode(), raw, AT.encode()))
    assert shaped.ids == ["before", "after"]
    assert list(shaped.positions) == [0, 2]
    assert len(shaped.seen) == 3
    (rejection,) = shaped.rejections
    assert rejection.raw == raw
    return rejection


MISMATCHES = [
    ('{"id":"x","at":"yesterday"}', "$.at", "a timestamp (rfc3339)", 'a string, "yesterday"'),
    ('{"id":"x","at":"2026-03-25T05:46:26"}', "$.at", "a timestamp (rfc3339)", 'a string, "2026-03-25T05:46:26"'),
    ('{"id":"x","at":12}', "$.at", "a timestamp (rfc3339)", "a number, 12"),
    ('{"id":"x"}', "$.at", "a timestamp there or in at", "nothing"),
    ('{"id":"x","at":null}', "$.at", "a timestamp there or in at", "nothing"),
    ('{"id":null,"at":"AT"}', "$.id", "text: the field is required", "null"),
    ('{"at":"AT"}', "$.id", "text: the field is required", "nothing"),
    ('{"id":"x","at":"AT","text":{"a":1}}', "$.text", "text", "an object"),
    ('{"id":"x","at":"AT","text":[1]}', "$.text", "text", "a list"),
    ('{"id":"x","at":"AT","big":1.0}', "$.big", "a whole number of 64 bits", "a number, 1.0"),
    ('{"id":"x","at":"AT","big":"1"}', "$.big", "a whole number of 64 bits", 'a string, "1"'),
    ('{"id":"x","at":"AT","big":true}', "$.big", "a whole number of 64 bits", "a boolean, true"),
    ('{"id":"x","at":"AT","share":"1"}', "$.share", "a number", 'a string, "1"'),
    ('{"id":"x","at":"AT","share":NaN}', "$.share", "a number", "not JSON, NaN ("),
    ('{"id":"x","at":"AT","free":[Infinity]}', "$.free", "JSON", "not JSON"),
    ('{"id":"x","at":"AT","open":"true"}', "$.open", "true or false", 'a string, "true"'),
    ('{"id":"x","at":"AT","open":1}', "$.open", "true or false", "a number, 1"),
    ('{"id":"x","at":"AT","who":"me"}', "$.who", "an object", 'a string, "me"'),
    ('{"id":"x","at":"AT","who":{}}', "$.who.id", "text: the field is required", "nothing"),
    ('{"id":"x","at":"AT","words":"a"}', "$.words", "a list", 'a string, "a"'),
    ('{"id":"x","at":"AT","words":["a",null,{}]}', "$.words[2]", "text", "an object"),
    ('{"id":"x","at":"AT","things":[{},{"id":[]}]}', "$.things[1].id", "text", "a list"),
    ('{"id":"x","at":"AT",}', "$", "an object", "not JSON"),
    ('{"id":"x","at":"AT"', "$", "an object", "not JSON"),
    ("{" * 3, "$", "an object", "not JSON"),
    ("null", "$", "an object", "null"),
    ('"x"', "$", "an object", 'a string, "x"'),
    ("17", "$", "an object", "a number, 17"),
    ("[]", "$", "an object", "a list"),
    ("xyz", "$", "an object", "not JSON"),
    ("", "$", "an object", "not JSON"),
]


DEEP = [
    ('"free":', "", "$.free"),
    ('"free":{"a":"]}\\"[","b":', "}", "$.free"),
    ('"who":{"id":"y","new":', "}", "$.who.new"),
    ('"things":[null,{"id":"1","free":', "}]", "$.things[1].free"),
    ('"new":', "", "$.new"),
]


@pytest.mark.parametrize(("text", "path", "expected", "found"), MISMATCHES)
def test_a_record_that_does_not_fit_is_a_rejection_and_costs_no_other(
    text: str, path: str, expected: str, found: str
) -> None:
    if text in {'{"id":"x","at":"AT"', "{" * 3}:
        shaped = tiny().shape([text.replace("AT", AT).encode(), page([whole()])[1:-1]])
        (rejection,) = shaped.rejections
        assert shaped.ids == ["a"]
    else:
        rejection = one_rejection(text.replace("AT", AT).encode())
    assert (rejection.path, rejection.expected) == (path, expected)
    assert found in rejection.found


def one_event(raw: bytes) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """Return the row of a record between two others, what its p_extra holds, and what was counted."""
    shaped = tiny().shape(b'[{"id":"before","at":"%b"},%b,{"id":"after","at":"%b"}]' % (AT.encode(), raw, AT.encode()))
    assert (shaped.ids, shaped.rejections) == (["before", "x", "after"], [])
    row = rows(shaped)[1]
    return row, json.loads(row["p_extra"]), dict(shaped.unknown_fields)


UNREADABLE = [
    ('"small":32768', "small", "32768"),
    ('"small":-32769', "small", "-32769"),
    ('"whole":-2147483649', "whole", "-2147483649"),
    ('"big":9223372036854775808', "big", "9223372036854775808"),
    ('"big":' + "9" * 5_000, "big", "9" * 5_000),
    ('"share":1e999', "share", "1e999"),
    ('"who":{"id":"y","since":"soon"}', "who.since", "soon"),
    ('"who":{"id":"y","since":17}', "who.since", "17"),
    ('"who":{"id":"y","since":["a"]}', "who.since", '["a"]'),
    ('"who":{"id":"y","since":"2026-02-30T00:00:00Z"}', "who.since", "2026-02-30T00:00:00Z"),
    ('"text":"\\ud800"', "text", '"\\ud800"'),
    ('"free":{"a":"\\udc00 "}', "free", '{"a":"\\udc00 "}'),
    ('"text":"\xff"', "text", '"\\xff"'),
    ('"free":{"a":"\xff"}', "free", '{"a":"\\xff"}'),
    ('"words":["a","\\udc00x"]', "words[1]", '"\\udc00x"'),
    ('"who":{"id":"\\ud800x"}', "who", '{"id":"\\ud800x"}'),
    ('"who":{"\\ud800x":1}', "who", '{"\\ud800x":1}'),
    ('"who":{"id":"y","new":["\\ud800x"]}', "who.new", '["\\ud800x"]'),
    ('"things":[{},{"id":"1","free":"\\ud800x"}]', "things[1].free", '"\\ud800x"'),
    ('"new":"\\ud800x"', "new", '"\\ud800x"'),
    ('"a b":"\\ud800x"', '["a b"]', '"\\ud800x"'),
]


@pytest.mark.parametrize(("member", "path", "kept"), UNREADABLE)
def test_an_optional_field_that_no_column_can_hold_is_null_and_its_text_is_kept(
    member: str, path: str, kept: str
) -> None:
    row, extra, counted = one_event(f'{{"at":"{AT}",{member},"id":"x"}}'.encode("latin-1"))
    assert extra == {("$" if path.startswith("[") else "") + path: kept}
    assert set(counted) == {re.sub(r"\[\d+\]", "[]", ("$" if path.startswith("[") else "") + path) + " (unreadable)"}
    assert row["id"] == "x"


def test_what_can_be_read_beside_an_unreadable_field_is_there() -> None:
    row, extra, _ = one_event(f'{{"id":"x","at":"{AT}","who":{{"id":"y","since":"z","new":1}},"text":"t"}}'.encode())
    assert (row["who"], row["text"]) == ({"id": "y", "since": None}, "t")
    assert extra == {"who.since": "z", "who.new": 1}


def test_the_reason_of_a_record_without_a_place_in_time_is_its_unreadable_date() -> None:
    rejection = one_rejection(b'{"id":"x","at":"yesterday"}')
    assert (rejection.path, rejection.found) == ("$.at", 'a string, "yesterday"')


@pytest.mark.parametrize("levels", [251, 2_000, 10_000])
@pytest.mark.parametrize(("before", "after", "path"), [*DEEP, ('"text":', "", "$.text"), ('"who":', "", "$.who")])
def test_a_field_that_is_nested_too_deep_never_hides_its_record(
    levels: int, before: str, after: str, path: str
) -> None:
    deep = "[" * levels + "]" * levels
    _, extra, counted = one_event(f'{{"at":"{AT}",{before}{deep}{after},"id":"x"}}'.encode())
    assert list(extra) == [path.removeprefix("$.")]
    assert deep in extra[path.removeprefix("$.")]
    assert list(counted) == [re.sub(r"\[\d+\]", "[]", path.removeprefix("$.")) + " (unreadable)"]


@pytest.mark.parametrize("member", ['"id":"x","text":DEEP', '"id":"x","free":DEEP', '"id":"x","new":DEEP', '"id":DEEP'])
@pytest.mark.parametrize("at", [AT, "yesterday"])
def test_a_page_that_was_read_is_let_go_at_once(at: str, member: str) -> None:
    """An exception that was kept would hold the frames that it passed, the page with them, and they the exception."""
    deep = "[" * 400 + "]" * 400
    gc.disable()
    # What is older is no matter of this test, and looking at all of it takes long.
    gc.collect(0)
    try:
        tiny().shape(f'[{{"at":"{at}",{member.replace("DEEP", deep)}}}]'.encode())
        assert not [each for each in gc.get_objects(generation=0) if isinstance(each, Mismatch)]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("name", "member"),
    [("$.id", '"id":"\\ud800"'), ("$.id", '"id":"\xff"'), ("$", '"id":"x","new\\ud800x":1')],
)
def test_a_required_field_that_cannot_be_read_is_a_rejection(name: str, member: str) -> None:
    assert one_rejection(f'{{"at":"{AT}",{member}}}'.encode("latin-1")).path == name


@pytest.mark.parametrize(("before", "after", "path"), DEEP)
def test_nesting_that_every_reader_can_follow_is_kept(
    before: str, after: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = "[" * 125 + '{"a":' * 124 + '"]}["' + "}" * 124 + "]" * 125
    raw = f'{{"id":"x","at":"{AT}",{before}{deep}{after}}}'.encode()
    read_alone = rows(tiny().shape([raw]))
    shaper = tiny()
    if not path.endswith("new"):
        monkeypatch.setattr(shaper.reader, "_one_by_one", lambda _: pytest.fail("read record by record"))
    assert rows(shaper.shape(b"[" + raw + b"]")) == read_alone
    assert deep in json.dumps(read_alone, default=str).replace('\\"', '"').replace('\\"', '"')


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"id":"x","at":12}', "x"),
        ('{"id":17,"at":12}', "17"),
        ('{"id":"a","\\u0069d":"b","at":12}', "b"),
        ('{"id":"x","at":nonsense,"free":[1,}', "x"),
        ('{"id":"x",}', "x"),
        ('{"id":["x"],"at":12}', None),
        ('{"id":null,"at":12}', None),
        ('{"id":"\\ud800","at":12}', None),
        ('{"free":{"id":"x"},"at":12}', None),
        ('["id","x"]', None),
    ],
)
def test_a_rejection_has_the_id_of_its_record_where_that_can_be_read(text: str, name: str | None) -> None:
    assert one_rejection(text.encode()).record_id == name


@pytest.mark.parametrize("name", ["", " ", " \t\u00a0", "x" * 1_001])
def test_a_record_whose_id_says_nothing_is_a_rejection(name: str) -> None:
    rejection = one_rejection(json.dumps(whole(id=name)).encode())
    assert (rejection.path, rejection.record_id) == ("$.id", None)
    assert "it identifies the record" in rejection.expected
    assert rejection.found.startswith(f"a string, {json.dumps(name, ensure_ascii=False)[:60]}")


def test_two_records_without_an_id_are_two_that_were_seen() -> None:
    shaped = tiny().shape(page([whole(id="", text="a"), whole(id="", text="b"), whole(id="x" * 1_000)]))
    assert (len(set(shaped.seen)), len(shaped.rejections), shaped.ids) == (3, 2, ["x" * 1_000])


@pytest.mark.parametrize("record", ['{"id":"x","free":[1,2}', '{"id":"x","free":{"a":1]}}', '{"id":"x","free":]]}'])
def test_brackets_that_do_not_match_cost_no_other(record: str) -> None:
    assert one_rejection(record.encode()).record_id == "x"


@pytest.mark.slow
def test_a_record_that_does_not_fit_beside_50_megabytes_takes_no_more_memory_than_they_do() -> None:
    code = """\
from pathlib import Path
from ocelog.schema.decode.brackets import split_array, split_object
for text in ("x" * 20_000_000, "\\\\n" * 10_000_000):
    assert len(split_array(b'["%b",nonsense]' % text.encode())) == 2
    assert len(split_object(b'{"a":"%b","b":nonsense}' % text.encode()).texts["a"]) == 20_000_002
# Not what getrusage says: that begins with what the parent held.
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) < 400_000


def test_a_path_is_never_longer_than_it_can_be_read() -> None:
    rejection = one_rejection(b'{"id":"x","at":"%b","%b":nonsense}' % (AT.encode(), b"n" * 5_000))
    assert rejection.path == "$." + "n" * 498 + "..."
