"""A field that an answer could not show takes the value of the version before."""

import json
from typing import Any

import pytest

from shaping import FINDINGS, ISSUES, STAMP, TINY, page, rows, shaper_of, tiny

AT = "2026-03-25T05:46:26.681576Z"
WHOLE = {
    "id": "x",
    "at": AT,
    "text": "t",
    "small": 1,
    "whole": 2,
    "big": 3,
    "share": 0.5,
    "open": True,
    "free": {"b": 1, "a": [None]},
    "who": {"id": "w", "since": "2026-01-01T00:00:00Z"},
    "words": ["a", None],
    "things": [{"id": "1", "free": {"z": 1}}, None, {"id": "2", "free": 5}],
}


def without(record: Any, *paths: Any) -> Any:
    copy = {key: value for key, value in record.items() if key not in paths}
    for path in paths:
        name, dot, inner = path.partition(".")
        if dot and isinstance(copy[name], list):
            copy[name] = [one and {key: value for key, value in one.items() if key != inner} for one in copy[name]]
        elif dot:
            copy[name] = {key: value for key, value in copy[name].items() if key != inner}
    return copy


@pytest.mark.parametrize(
    "paths",
    [
        *[(name,) for name in WHOLE if name not in {"id", "at"}],
        ("who.since",),
        ("things.free",),
        ("things[].free",),
        ("text", "who", "things", "free"),
    ],
)
def test_losing_a_field_and_getting_it_back_changes_nothing(paths: Any) -> None:
    shaper = tiny()
    before = shaper.shape(page([WHOLE]))
    (row,) = rows(before)
    after = shaper.shape(page([{**WHOLE, "id": "other"}, without(WHOLE, *[path.replace("[]", "") for path in paths])]))
    after.fill(1, frozenset(paths), row)
    assert after.versions[1] == before.versions[0]
    filled = rows(after)[1]
    own = [name for name in filled if not name.startswith("p_")]
    assert {name: filled[name] for name in own} == {name: row[name] for name in own}


RULE = {
    "id": "r",
    "advice": "a",
    "groups": [{"id": 1, "name": "b", "in": {"name": "c", "of": 1.10}}, None, {"id": 2, "name": "d", "in": None}],
    "plain": [{"name": "e", "of": 1}, {"name": "f", "of": 2}],
}


def lost(value: Any, *path: str) -> Any:
    if isinstance(value, list):
        return [lost(one, *path) for one in value]
    if not isinstance(value, dict):
        return value
    name, *rest = path
    if rest:
        return {key: lost(member, *rest) if key == name else member for key, member in value.items()}
    return {key: member for key, member in value.items() if key != name}


@pytest.mark.parametrize("inside", ["advice", "groups", "groups.name", "groups.in", "groups.in.name", "plain.name"])
@pytest.mark.parametrize(("place", "paths"), [("free", "free"), ("things", "things.free"), ("things", "things[].free")])
def test_losing_a_part_of_free_json_and_getting_it_back_changes_nothing(inside: str, place: str, paths: str) -> None:
    def record(rule: Any) -> Any:
        return {**WHOLE, place: rule if place == "free" else [{"id": "1", "free": rule}, {"id": "2", "free": None}]}

    shaper = tiny()
    before = shaper.shape(page([record(RULE)]))
    after = shaper.shape(page([record(lost(RULE, *inside.split(".")))]))
    assert after.versions != before.versions
    after.fill(0, {f"{paths}.{inside}"}, rows(before)[0])
    assert after.versions == before.versions
    assert after.table([0], ["0" * 32], STAMP).num_rows == 1


def test_a_real_change_beside_a_lost_part_of_free_json_stays_a_change() -> None:
    shaper = tiny()
    changed = {**RULE, "groups": [{"id": 2, "name": "d", "in": 5}, {"id": 3}, *RULE["groups"][:1]]}
    first = shaper.shape(page([{**WHOLE, "free": RULE}]))
    whole = shaper.shape(page([{**WHOLE, "free": changed}]))
    after = shaper.shape(page([{**WHOLE, "free": lost(changed, "groups", "name")}]))
    after.fill(0, {"free.groups.name"}, rows(first)[0])
    assert after.versions == whole.versions != first.versions
    assert json.loads(rows(after)[0]["free"]) == changed


@pytest.mark.parametrize("present", [None, 5, "a", [], [1], {}, {"a": None}, {"a": 1}])
@pytest.mark.parametrize("before", [None, 5, "a", [2], {}, {"a": None}, {"a": 2}])
def test_free_json_without_an_object_on_the_way_has_nothing_to_take(present: Any, before: Any) -> None:
    shaper = tiny()
    (row,) = rows(shaper.shape(page([{**WHOLE, "free": before}])))
    after = shaper.shape(page([{**WHOLE, "free": present}]))
    after.fill(0, {"free.a.b"}, row)
    assert after.versions == shaper.shape(page([{**WHOLE, "free": present}])).versions


def test_free_json_keeps_the_text_of_what_was_not_lost() -> None:
    shaper = tiny()
    (row,) = rows(shaper.shape(b'[{"id":"x","at":"%b","free":{"b":1e400,"c":[1.10]}}]' % AT.encode()))
    after = shaper.shape(b'[{"id":"x","at":"%b","free":{"a":2.50,"c":null}}]' % AT.encode())
    after.fill(0, {"free.b", "free.c"}, row)
    assert rows(after)[0]["free"] == '{"a":2.50,"c":[1.10],"b":1e400}'
    after.fill(0, {"free.b"}, {"free": '{"a":1}'})
    assert rows(after)[0]["free"] == '{"a":2.50,"c":[1.10]}'


def test_a_field_that_is_lost_is_a_change_unless_it_is_filled() -> None:
    shaper = tiny()
    before = shaper.shape(page([WHOLE]))
    assert shaper.shape(page([without(WHOLE, "text")])).versions != before.versions


def test_elements_are_matched_by_id_whatever_their_order() -> None:
    shaper = tiny()
    (row,) = rows(shaper.shape(page([WHOLE])))
    after = shaper.shape(page([{**WHOLE, "things": [{"id": "2"}, {"id": "3"}, {"id": "1"}]}]))
    after.fill(0, {"things.free"}, row)
    assert rows(after)[0]["things"] == [
        {"id": "2", "free": "5"},
        {"id": "3", "free": None},
        {"id": "1", "free": '{"z": 1}'},
    ]


def test_objects_in_lists_of_lists_are_matched_too() -> None:
    element = "{type: array, element: {type: object, fields: [{name: id, type: string}, {name: size, type: int}]}}"
    shaper = tiny(
        TINY.replace("words, type: array, element: {type: string}", f"words, type: array, element: {element}")
    )
    record = {
        **WHOLE,
        "words": [[{"id": "1", "size": 1}, None, {"id": "2", "size": 2}], None, [{"id": "3", "size": 3}]],
    }
    lacking = {**record, "words": [[{"id": "2"}, {"id": "1"}], None, [{"id": "3"}], [{"id": "4"}]]}
    (row,) = rows(shaper.shape(page([record])))
    after = shaper.shape(page([lacking]))
    after.fill(0, {"words[][].size"}, row)
    assert rows(after)[0]["words"] == [
        [{"id": "2", "size": 2}, {"id": "1", "size": 1}],
        None,
        [{"id": "3", "size": 3}],
        [{"id": "4", "size": None}],
    ]


def test_an_object_that_is_null_on_either_side_stays_as_it_is() -> None:
    shaper = tiny()
    (row,) = rows(shaper.shape(page([{**WHOLE, "who": None}])))
    after = shaper.shape(page([WHOLE, {**WHOLE, "who": None}]))
    after.fill(0, {"who.since"}, row)
    after.fill(1, {"who.since"}, rows(after)[0])
    assert [made["who"] and made["who"]["id"] for made in rows(after)] == ["w", None]


def test_filling_again_takes_the_newer_value() -> None:
    shaper = tiny()
    first, second = rows(shaper.shape(page([WHOLE, {**WHOLE, "text": "u"}])))
    after = shaper.shape(page([without(WHOLE, "text")]))
    after.fill(0, {"text"}, first)
    after.fill(0, {"text"}, second)
    assert rows(after)[0]["text"] == "u"


def test_a_path_that_the_schema_does_not_know_is_left_alone() -> None:
    shaper = tiny()
    (row,) = rows(shaper.shape(page([WHOLE])))
    after = shaper.shape(page([WHOLE]))
    after.fill(0, {"nothing", "who.nothing", "text.nothing"}, row)
    assert after.versions == shaper.shape(page([WHOLE])).versions


def test_a_date_is_filled_into_rows_that_were_picked() -> None:
    shaper = shaper_of(ISSUES)
    issue = {"id": "i", "createdAt": AT, "dueAt": "2026-04-01T00:00:00Z"}
    (row,) = rows(shaper.shape(page([issue])))
    after = shaper.shape(page([{**issue, "id": "j"}, {"id": "i", "createdAt": AT}]))
    after.fill(1, {"dueAt"}, row)
    table = after.table([1], ["0" * 32], STAMP)
    assert table.column("dueAt").to_pylist() == [row["dueAt"]]


def test_a_boolean_that_is_text_in_the_lake_is_filled() -> None:
    shaper = shaper_of(FINDINGS)
    finding = {"id": "f", "updatedAt": AT, "validatedInRuntime": True}
    before = shaper.shape(page([finding]))
    after = shaper.shape(page([{"id": "f", "updatedAt": AT}]))
    after.fill(0, {"validatedInRuntime"}, rows(before)[0])
    assert after.versions == before.versions
