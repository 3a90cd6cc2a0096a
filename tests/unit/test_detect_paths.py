from typing import Any

import pytest

from ocelog.detect.paths import of_names, parse_path

DATA = {
    "a": {"B": 1, "c d": 2, "x.y": 3},
    "l": [{"n": "one", "v": 1}, {"N": "two", "v": 2, "m": [{"k": "deep"}]}, 7],
    "k": "top",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("k", ["top"]),
        ("$.k", ["top"]),
        ("A.b", [1]),
        ("$['a']['x.y']", [3]),
        ("$.a.c d", [2]),
        ("$.l[0].n", ["one"]),
        ("$.l.[0].n", ["one"]),
        ("$.l.[*].n", ["one", "two"]),
        ("$.l.[?(@.n == 'two')].v", [2]),
        ("$.a.'x.y'", [3]),
        ('"a"."x.y"', [3]),
        ("'a.b'.c", []),
        ("$.l[-2].n", ["two"]),
        ("$.l[9].n", []),
        ("$.l[*].n", ["one", "two"]),
        ("$.l[*].m[*].k", ["deep"]),
        ("$.a.*", [1, 2, 3]),
        ("$..k", ["top", "deep"]),
        ("$.l[?(@.n == 'two')].v", [2]),
        ('$.l[?(@.n=="one")].v', [1]),
        ("$.l[?(@.v > 1)].n", ["two"]),
        ("$.l[?(@.v >= 1 & @.n != 'one')].n", ["two"]),
        ("$.l[?(@.m)].n", ["two"]),
        ("$.l[?@.v == 1].n", ["one"]),
        ("$.l[?(@.n < 5)].n", []),
        ("nowhere.at.all", []),
        ("k.deeper", []),
        ("$", None),
        ("", None),
        ("a[", None),
        ("a[?(x)]", None),
        ("a..", None),
        ("$.l.`len`", None),
        ("$.l | $.k", None),
        ("$..'k'", None),
        (".".join("a" * 70), None),
    ],
)
def test_a_path_leads_to_its_values(text: str, found: list[Any] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match="path"):
            parse_path(text)
    else:
        assert parse_path(text)(DATA) == found


def test_a_single_path_gives_its_value_and_others_give_a_list() -> None:
    assert parse_path("a.b").read(DATA) == (True, 1)
    assert parse_path("a.z").read(DATA) == (False, None)
    assert parse_path("l[*].v").read(DATA) == (True, [1, 2])
    assert parse_path("l[*].z").read(DATA) == (False, [])
    assert of_names(["a", "x.y"]).read(DATA) == (True, 3)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$.user.name", ["user.name"]),
        ("USER['name']", ["USER.name"]),
        ("items[1].id", ["items.[1].id"]),
        ("items[*].id", ["items.[0].id", "items.[1].id"]),
        ("items[?(@.id == 2)].id", ["items.[1].id"]),
        ("$..id", ["items.[0].id", "items.[1].id"]),
        ("user.*", ["user.name"]),
        ("user.nowhere", []),
    ],
)
def test_a_path_says_where_its_values_are(text: str, found: list[str]) -> None:
    event = {"user": {"name": "a"}, "items": [{"id": 1}, {"id": 2}]}
    assert list(parse_path(text).places(event)) == found
