"""Records that fit their schema: each becomes an event, whole."""

import json
from typing import Any

import pytest

from ocelog.schema import page as pages
from ocelog.schema.decode.record import read_record
from shaping import AUDIT, FINDINGS, ISSUES, STAMP, page, rows, shaper_of, tiny

AT = "2026-03-25T05:46:26.681576Z"


def whole(**members: Any) -> Any:
    return {"id": "a", "at": AT, **members}


@pytest.mark.slow
def test_a_string_of_50_megabytes_is_kept() -> None:
    huge = "x" * 50_000_000
    shaped = tiny().shape(page([whole(text=huge), whole(id="b", text="y")]))
    table = shaped.table([0, 1], ["0" * 32, "1" * 32], STAMP)
    assert [len(text) for text in table.column("text").to_pylist()] == [50_000_000, 1]


@pytest.mark.parametrize("records", [b"[]", b" [ ] ", b"null", b"", []])
def test_an_empty_page_is_no_records(records: Any) -> None:
    shaped = tiny().shape(records)
    assert (shaped.ids, shaped.rejections, shaped.seen, shaped.last_event_us) == ([], [], [], None)
    assert shaped.table([], [], STAMP).num_rows == 0


@pytest.mark.parametrize("records", [b"{}", b"nonsense", b"\xff\xfe", b'"x"'])
def test_what_is_no_list_of_records_is_one_rejection(records: Any) -> None:
    shaped = tiny().shape(records)
    assert shaped.ids == []
    assert [rejection.raw for rejection in shaped.rejections] == [records]


def test_of_a_member_that_is_there_twice_the_last_counts_both_ways() -> None:
    raw = b'{"id":"x","at":"%b","text":"a","text":"b","free":1,"free":2}' % AT.encode()
    for records in (b"[" + raw + b"]", [raw], b'[%b,{"id":1}]' % raw):
        row = rows(tiny().shape(records))[0]
        assert (row["text"], row["free"]) == ("b", "2")


@pytest.mark.parametrize(
    ("json_text", "text"),
    [("true", "true"), ("false", "false"), ("1", "1"), ("1.50", "1.50"), ("123456789012345678901234567890", None)],
)
def test_a_string_field_takes_a_boolean_or_number_as_its_text(json_text: Any, text: str) -> None:
    (row,) = rows(tiny().shape(b'[{"id":"x","at":"%b","text":%b}]' % (AT.encode(), json_text.encode())))
    assert row["text"] == (text or json_text)


def test_a_boolean_that_is_known_to_come_costs_no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    shaper = shaper_of(FINDINGS)
    monkeypatch.setattr(shaper.reader, "_one_by_one", lambda _: pytest.fail("read record by record"))
    records = [{"id": str(flag), "updatedAt": AT, "validatedInRuntime": flag} for flag in (True, False, None)]
    assert [row["validatedInRuntime"] for row in rows(shaper.shape(page(records)))] == ["true", "false", None]


def test_a_boolean_inside_an_object_may_be_known_to_come_too() -> None:
    text = """\
schema: Tiny
fields:
  - {name: id, type: string, required: true}
  - {name: at, type: timestamp}
  - {name: who, type: object, fields: [{name: is, type: string, wire: boolean}]}
  - {name: words, type: array, element: {type: string, wire: boolean}}
"""
    for name in ("text", "big", "share", "free", "things"):
        text += f"  - {{name: {name}, type: string}}\n"
    (row,) = rows(tiny(text).shape(page([whole(who={"is": True}, words=[False])])))
    assert (row["who"], row["words"]) == ({"is": "true"}, ["false"])


def test_a_real_page_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shaper = shaper_of(ISSUES)
    monkeypatch.setattr(shaper.reader, "_one_by_one", lambda _: pytest.fail("read record by record"))
    assert shaper.shape(page([{"id": "a", "createdAt": AT, "projects": [None, {"id": "p"}]}])).ids == ["a"]


ODD = {"a name of no string": {"id": None}, "an unknown field": {"new": 1}, "one in an object": {"who": {"new": 1}}}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("at", [0, 250, 499])
def test_a_record_that_is_read_member_by_member_takes_few_others_with_it(
    monkeypatch: pytest.MonkeyPatch, odd: str, at: int
) -> None:
    taken = list[bytes]()

    def counted(raw: bytes, layout: Any) -> Any:
        taken.append(raw)
        return read_record(raw, layout)

    monkeypatch.setattr(pages, "read_record", counted)
    records = [whole(id=str(number), who={"id": "w"}) for number in range(500)]
    records[at] |= ODD[odd]
    shaped = tiny().shape(page(records))
    assert len(taken) <= 16
    assert len(shaped.ids) + len(shaped.rejections) == 500
    extras = [row["p_extra"] for row in rows(shaped)]
    assert len(extras) - extras.count(None) + len(shaped.rejections) == 1


def test_pages_that_the_typed_reader_does_not_know_are_not_tried_in_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[int]()
    shaper = tiny()
    framed = shaper.reader._framed

    def counted(events: Any) -> Any:
        tried.append(len(events))
        return framed(events)

    monkeypatch.setattr(shaper.reader, "_framed", counted)
    shaped = shaper.shape(page([whole(id=str(number), at="2026-03-25T05:46:26+00:00") for number in range(500)]))
    assert len(shaped.ids) == 500
    assert sum(tried) <= 5 * 500


def test_texts_that_would_be_records_together_are_rejections_each() -> None:
    raw = b'{"id":"x","at":"%b"}' % AT.encode()
    for texts in ([raw, raw + b"," + raw], [raw[:8], raw[8:]], [raw[:-1], b"}," + raw], [raw + b"]", b"[" + raw]):
        shaped = tiny().shape([*texts, raw])
        assert len(shaped.ids) + len(shaped.rejections) == len(texts) + 1
        assert [rejection.raw for rejection in shaped.rejections] == [text for text in texts if text != raw]


def test_unknown_fields_are_kept_at_their_path_and_counted() -> None:
    shaped = tiny().shape(
        page(
            [
                whole(new={"a": 1}, who={"id": "w", "age": 3}, things=[{"id": "1"}, {"id": "2", "color": "red"}]),
                whole(id="b", new=None, things=[{"color": 1}, {"color": 2}]),
                whole(id="c"),
            ]
        )
    )
    extras = [row["p_extra"] and json.loads(row["p_extra"]) for row in rows(shaped)]
    assert extras == [
        {"new": {"a": 1}, "who.age": 3, "things[1].color": "red"},
        {"new": None, "things[0].color": 1, "things[1].color": 2},
        None,
    ]
    assert shaped.unknown_fields == {"new": 2, "things[].color": 2, "who.age": 1}
    assert shaped.rejections == []


def test_a_hostile_record_cannot_name_thousands_of_unknown_fields() -> None:
    shaped = tiny().shape(page([whole(**{f"f{n}": n for n in range(5_000)}, **{"x" * 1_000: 1})]))
    assert len(shaped.unknown_fields) == 100
    assert len(json.loads(rows(shaped)[0]["p_extra"])) == 5_001


def test_free_json_stays_the_text_that_came() -> None:
    free = '{"b": 1e400,  "a":1.10,"\\u00e9":"\\ud83d\\ude00"}'
    raw = b'{"id":"x","at":"%b","free":%b}' % (AT.encode(), free.encode())
    for records in (b"[" + raw + b"]", [raw]):
        (row,) = rows(tiny().shape(records))
        assert row["free"] == free


def test_an_unknown_field_stays_the_text_that_came() -> None:
    new = '{"b": 1e400,  "a":1.10,"\\u00e9":"\\ud83d\\ude00"}'
    (row,) = rows(tiny().shape(b'[{"id":"x","at":"%b","new":%b}]' % (AT.encode(), new.encode())))
    assert row["p_extra"] == f'{{"new":{new}}}'


def test_nulls_objects_and_lists_become_columns() -> None:
    made = rows(
        tiny().shape(
            page(
                [
                    whole(who=None, words=None, things=None, free=None),
                    whole(id="b", who={"id": "w", "since": AT}, words=[], things=[]),
                    whole(id="c", words=["x", None], things=[None, {"id": "t", "free": {"z": [1]}}]),
                ]
            )
        )
    )
    assert [row["who"] and row["who"]["id"] for row in made] == [None, "w", None]
    assert made[1]["who"]["since"].isoformat() == "2026-03-25T05:46:26.681576+00:00"
    assert [row["words"] for row in made] == [None, [], ["x", None]]
    assert [row["things"] for row in made] == [None, [], [None, {"id": "t", "free": '{"z": [1]}'}]]
    assert [row["free"] for row in made] == [None, None, None]


def test_required_inside_an_object_binds_only_where_the_object_is() -> None:
    entry = {"id": "a", "action": "Login", "timestamp": AT}
    shaped = shaper_of(AUDIT).shape(page([entry, {**entry, "id": "b", "user": {"name": "x"}}]))
    assert shaped.ids == ["a"]
    assert [rejection.path for rejection in shaped.rejections] == ["$.user.id"]


def test_every_record_has_a_name_of_its_own() -> None:
    seen = tiny().shape(b'[{"id":"x","at":"%b"},{"id":"y"},{"z":1},null]' % AT.encode()).seen
    assert seen[:2] == ["x", "y"]
    assert len(set(seen)) == 4


def test_validate_is_held_to_and_a_mismatch_names_what_is_allowed() -> None:
    text = """\
schema: Tiny
fields:
  - {name: id, type: string, required: true}
  - {name: at, type: timestamp}
  - {name: text, type: string, validate: {allow: [a, b], deny: [b]}}
  - {name: free, type: string, validate: {ip: ipv4}}
  - {name: big, type: string, validate: {cidr: any}}
  - {name: share, type: json, required: true}
  - {name: who, type: string}
  - {name: words, type: array, element: {type: timestamp, timeFormats: [unix]}}
  - {name: things, type: array, element: {type: array, element: {type: json}}}
"""
    fits: dict[str, Any] = {"id": "x", "at": AT, "text": "a", "free": "1.2.3.4", "big": "10.0.0.0/8", "share": 1}
    shaper = tiny(text)
    fine = shaper.shape(page([{**fits, "words": [1.5, None], "things": [[1, None], None, []]}]))
    (row,) = rows(fine)
    assert [when and when.isoformat() for when in row["words"]] == ["1970-01-01T00:00:01.500000+00:00", None]
    assert row["things"] == [["1", None], None, []]
    wrong: list[dict[str, Any]] = [{"text": "c"}, {"text": "b"}, {"free": "::1"}, {"big": "10.0.0.1"}, {"share": None}]
    shaped = shaper.shape(page([{**fits, **one} for one in wrong]))
    assert [rejection.path for rejection in shaped.rejections] == ["$.text", "$.text", "$.free", "$.big", "$.share"]
    assert shaped.rejections[0].expected == "one of a, b"
    assert shaped.ids == []
