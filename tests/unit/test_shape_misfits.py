"""Records that do not fit their schema: each becomes a rejection that says where, and costs no other."""

import json
import subprocess
import sys
from typing import Any

import pytest

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


MISFITS = [
    ('{"id":"x","at":"yesterday"}', "$.at", "a timestamp (rfc3339)", 'a string, "yesterday"'),
    ('{"id":"x","at":"2026-03-25T05:46:26"}', "$.at", "a timestamp (rfc3339)", 'a string, "2026-03-25T05:46:26"'),
    ('{"id":"x","at":12}', "$.at", "a timestamp (rfc3339)", "a number, 12"),
    ('{"id":"x"}', "$.at", "a timestamp there or in at", "nothing"),
    ('{"id":"x","at":null}', "$.at", "a timestamp there or in at", "nothing"),
    ('{"id":null,"at":"AT"}', "$.id", "text: the field is required", "null"),
    ('{"at":"AT"}', "$.id", "text: the field is required", "nothing"),
    ('{"id":"x","at":"AT","text":{"a":1}}', "$.text", "text", "an object"),
    ('{"id":"x","at":"AT","text":[1]}', "$.text", "text", "a list"),
    ('{"id":"x","at":"AT","small":32768}', "$.small", "a whole number of 16 bits", "a number, 32768"),
    ('{"id":"x","at":"AT","whole":-2147483649}', "$.whole", "a whole number of 32 bits", "a number, -2147483649"),
    (
        '{"id":"x","at":"AT","big":9223372036854775808}',
        "$.big",
        "a whole number of 64 bits",
        "a number, 922337203685477",
    ),
    ('{"id":"x","at":"AT","big":' + "9" * 5_000 + "}", "$.big", "a whole number of 64 bits", "a number, 999"),
    ('{"id":"x","at":"AT","big":1.0}', "$.big", "a whole number of 64 bits", "a number, 1.0"),
    ('{"id":"x","at":"AT","big":"1"}', "$.big", "a whole number of 64 bits", 'a string, "1"'),
    ('{"id":"x","at":"AT","big":true}', "$.big", "a whole number of 64 bits", "a boolean, true"),
    ('{"id":"x","at":"AT","share":1e999}', "$.share", "a number", "a number, 1e999"),
    ('{"id":"x","at":"AT","share":"1"}', "$.share", "a number", 'a string, "1"'),
    ('{"id":"x","at":"AT","share":NaN}', "$.share", "a number", "no JSON, NaN ("),
    ('{"id":"x","at":"AT","free":[Infinity]}', "$.free", "JSON", "no JSON"),
    ('{"id":"x","at":"AT","open":"true"}', "$.open", "true or false", 'a string, "true"'),
    ('{"id":"x","at":"AT","open":1}', "$.open", "true or false", "a number, 1"),
    ('{"id":"x","at":"AT","who":"me"}', "$.who", "an object", 'a string, "me"'),
    ('{"id":"x","at":"AT","who":{}}', "$.who.id", "text: the field is required", "nothing"),
    ('{"id":"x","at":"AT","who":{"id":"y","since":"z"}}', "$.who.since", "a timestamp (rfc3339)", 'a string, "z"'),
    ('{"id":"x","at":"AT","words":"a"}', "$.words", "a list", 'a string, "a"'),
    ('{"id":"x","at":"AT","words":["a",null,{}]}', "$.words[2]", "text", "an object"),
    ('{"id":"x","at":"AT","things":[{},{"id":[]}]}', "$.things[1].id", "text", "a list"),
    ('{"id":"x","at":"AT","text":"\\ud800"}', "$.text", "text", "half of a surrogate pair"),
    ('{"id":"x","at":"AT","free":{"a":"\\udc00 "}}', "$.free", "JSON", "half of a surrogate pair"),
    ('{"id":"x","at":"AT",}', "$", "an object", "no JSON"),
    ('{"id":"x","at":"AT"', "$", "an object", "no JSON"),
    ("{" * 3, "$", "an object", "no JSON"),
    ("null", "$", "an object", "null"),
    ('"x"', "$", "an object", 'a string, "x"'),
    ("17", "$", "an object", "a number, 17"),
    ("[]", "$", "an object", "a list"),
    ("xyz", "$", "an object", "no JSON"),
    ("", "$", "an object", "no JSON"),
]


DEEP = [
    ('"free":', "", "$.free"),
    ('"free":{"a":"]}\\"[","b":', "}", "$.free"),
    ('"who":{"id":"y","new":', "}", "$.who.new"),
    ('"things":[null,{"id":"1","free":', "}]", "$.things[1].free"),
    ('"new":', "", "$.new"),
]


@pytest.mark.parametrize(("text", "path", "expected", "found"), MISFITS)
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


@pytest.mark.parametrize("member", ["text", "free"])
def test_text_that_is_not_utf_8_is_a_rejection(member: str) -> None:
    rejection = one_rejection(b'{"id":"x","at":"%b","%b":"\xff"}' % (AT.encode(), member.encode()))
    assert "not UTF-8" in rejection.found
    assert rejection.path == f"$.{member}"
    assert rejection.record_id == "x"


@pytest.mark.parametrize("levels", [251, 2_000, 200_000])
@pytest.mark.parametrize(("before", "after", "path"), DEEP)
def test_deep_nesting_is_a_rejection_at_its_place_and_costs_no_other(
    levels: int, before: str, after: str, path: str
) -> None:
    deep = "[" * levels + "]" * levels
    rejection = one_rejection(f'{{"at":"{AT}",{before}{deep}{after},"id":"x"}}'.encode())
    assert (rejection.path, rejection.record_id) == (path, "x")
    assert (rejection.expected, rejection.found) == ("JSON nested 250 deep at most", "JSON nested deeper")


def test_deep_nesting_where_text_should_be_is_a_list() -> None:
    deep = "[" * 200_000 + "]" * 200_000
    rejection = one_rejection(f'{{"id":"x","at":"{AT}","text":{deep}}}'.encode())
    assert (rejection.path, rejection.expected, rejection.found) == ("$.text", "text", "a list")


@pytest.mark.parametrize(("before", "after", "path"), DEEP)
def test_nesting_that_every_reader_can_follow_is_kept(
    before: str, after: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = "[" * 125 + '{"a":' * 124 + '"]}["' + "}" * 124 + "]" * 125
    raw = f'{{"id":"x","at":"{AT}",{before}{deep}{after}}}'.encode()
    careful = rows(tiny().shape([raw]))
    shaper = tiny()
    if not path.endswith("new"):
        monkeypatch.setattr(shaper.reader, "_one_by_one", lambda _: pytest.fail("read record by record"))
    assert rows(shaper.shape(b"[" + raw + b"]")) == careful
    assert deep in json.dumps(careful, default=str).replace('\\"', '"').replace('\\"', '"')


HALVES = [
    ('"free":{"a":["\\ud800x"]}', "$.free", "JSON"),
    ('"text":"\\ud800x"', "$.text", "text"),
    ('"words":["a","\\udc00x"]', "$.words[1]", "text"),
    ('"who":{"id":"\\ud800x"}', "$.who.id", "text"),
    ('"who":{"id":"y","new":["\\ud800x"]}', "$.who.new", "JSON"),
    ('"things":[{},{"id":"1","free":"\\ud800x"}]', "$.things[1].free", "JSON"),
    ('"new":"\\ud800x"', "$.new", "JSON"),
    ('"a b":"\\ud800x"', '$["a b"]', "JSON"),
    ('"new\\ud800x":1', "$", "an object"),
    ('"free":{"\\ud800x":1}', "$.free", "JSON"),
    ('"who":{"\\ud800x":1}', "$.who", "an object"),
]


@pytest.mark.parametrize(("member", "path", "expected"), HALVES)
@pytest.mark.parametrize(
    ("wrong", "found"), [("\\ud800x", "half of a surrogate pair"), ("\\udc00x", "half of a"), ("\xff", "not UTF-8")]
)
def test_text_that_cannot_be_is_a_rejection_at_its_place_with_its_id(
    member: str, path: str, expected: str, wrong: str, found: str
) -> None:
    member = member.replace("\\udc00x", "\\ud800x").replace("\\ud800x", wrong)
    rejection = one_rejection(f'{{"at":"{AT}",{member},"id":"x"}}'.encode("latin-1"))
    assert (rejection.path, rejection.expected, rejection.record_id) == (path, expected, "x")
    assert found in rejection.found


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
    assert "records are told apart by it" in rejection.expected
    assert rejection.found.startswith(f"a string, {json.dumps(name, ensure_ascii=False)[:60]}")


def test_two_records_without_an_id_are_two_that_were_seen() -> None:
    shaped = tiny().shape(page([whole(id="", text="a"), whole(id="", text="b"), whole(id="x" * 1_000)]))
    assert (len(set(shaped.seen)), len(shaped.rejections), shaped.ids) == (3, 2, ["x" * 1_000])


@pytest.mark.parametrize("record", ['{"id":"x","free":[1,2}', '{"id":"x","free":{"a":1]}}', '{"id":"x","free":]]}'])
def test_brackets_that_do_not_match_cost_no_other(record: str) -> None:
    assert one_rejection(record.encode()).record_id == "x"


def test_a_record_that_does_not_fit_beside_50_megabytes_takes_no_more_memory_than_they_do() -> None:
    code = """\
from pathlib import Path
from ocelog.schema.split import split_array, split_object
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
    rejection = one_rejection(b'{"id":"x","at":"%b","%b":"\xff"}' % (AT.encode(), b"n" * 5_000))
    assert rejection.path == "$." + "n" * 498 + "..."
