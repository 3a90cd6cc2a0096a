import copy
import json
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.detect.event import Event, EventEncoder, EventList, ModelField, Surroundings, instant, to_plain
from ocelog.detect.paths import parse_path

KEYS = st.sampled_from(["a", "A", "b", "B", "ab", "aB", "Ab", "AB", "ä", "Ä"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text("xY", max_size=2)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, PLAIN, max_size=5)
MISSING = object()


def naive(data: dict[str, Any], key: str) -> Any:
    if key in data:
        return data[key]
    return next((value for name, value in data.items() if name.lower() == key.lower()), MISSING)


def naive_path(data: Any, keys: list[str], default: Any) -> Any:
    for key in keys:
        data = naive(data, key) if isinstance(data, dict) else MISSING
        if data is MISSING:
            return default
    return default if data is None else data


@given(OBJECTS, KEYS)
def test_a_key_is_found_exactly_first_and_then_in_any_case(data: dict[str, Any], key: str) -> None:
    expected = naive(data, key)
    assert Event(data).get(key, MISSING) == expected
    assert (key in Event(data)) is (expected is not MISSING)
    if expected is MISSING:
        with pytest.raises(KeyError):
            Event(data)[key]
    else:
        assert Event(data)[key] == expected


@given(OBJECTS, st.lists(KEYS, max_size=4), SCALARS)
def test_deep_get_follows_keys_as_a_naive_walk_does(data: dict[str, Any], keys: list[str], default: Any) -> None:
    assert Event(data).deep_get(*keys, default=default) == naive_path(data, keys, default)


@given(OBJECTS)
def test_an_event_equals_what_it_shows_and_copies_are_free_of_it(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    event = Event(data)
    assert event == data
    assert data == event
    assert list(event) == list(event.keys()) == list(data)
    assert list(event.values()) == list(data.values())
    assert list(event.items()) == list(data.items())
    assert len(event) == len(data)
    assert hash(event) == hash(Event(before))
    assert repr(event) == repr(data)
    for copied in (event.copy(), event.to_dict(), copy.copy(event), copy.deepcopy(event)):
        assert type(copied) is dict
        spoil(copied)
    assert data == before


def spoil(value: Any) -> None:
    """Change everything that can be changed."""
    for inner in list(value.values() if isinstance(value, dict) else value):
        if isinstance(inner, dict | list):
            spoil(inner)
    if isinstance(value, dict):
        value["spoiled"] = True
    else:
        value.append("spoiled")


@given(OBJECTS)
def test_nothing_that_an_event_gives_can_be_changed(data: dict[str, Any]) -> None:
    def look(value: Any) -> None:
        if isinstance(value, Event):
            with pytest.raises(TypeError):
                value["x"] = 1  # type: ignore[index]
            with pytest.raises(TypeError):
                del value["x"]  # type: ignore[attr-defined]
            assert not hasattr(value, "update")
            assert not hasattr(value, "pop")
            for inner in [*value.values(), *(value.get(key) for key in value), *(item for _, item in value.items())]:
                look(inner)
        elif isinstance(value, EventList):
            with pytest.raises(TypeError):
                value[0] = 1  # type: ignore[index]
            assert not hasattr(value, "append")
            for inner in [*value, *(value[at] for at in range(len(value)))]:
                look(inner)
        else:
            assert value is None or isinstance(value, str | int | float | bool)

    look(Event(data))


@given(OBJECTS)
def test_an_event_can_be_written_as_json(data: dict[str, Any]) -> None:
    assert json.loads(json.dumps(Event(data), cls=EventEncoder)) == data
    assert json.loads(json.dumps({"a": [Event(data)]}, cls=EventEncoder)) == {"a": [data]}


def test_an_event_is_a_mapping_and_a_list_a_sequence() -> None:
    event = Event({"Inner": {"Deep": 1}, "list": [1, {"A": 2}]})
    assert isinstance(event, Mapping)
    assert isinstance(event["inner"], Mapping)
    assert isinstance(event["list"], Sequence)
    assert not isinstance(event["list"], str)


def test_keys_are_found_in_any_case_at_every_level() -> None:
    event = Event({"Person": {"Name": "Ada", "Pets": [{"KIND": "cat"}]}})
    assert event["person"]["NAME"] == "Ada"
    assert event.get("PERSON").get("pets")[0].get("kind") == "cat"
    assert event.deep_get("person", "name") == "Ada"
    assert event["person"].deep_get("NAME") == "Ada"
    assert event.deep_walk("PERSON", "PETS", "kind") == "cat"


def test_the_first_key_wins_among_those_that_differ_in_case() -> None:
    assert Event({"aB": 1, "Ab": 2}).get("ab") == 1
    assert Event({"aB": 1, "Ab": 2}).get("Ab") == 2
    assert Event({"x": {"aB": 1, "Ab": 2}}).deep_get("x", "AB") == 1


def test_a_null_is_there_for_get_and_missing_for_deep_get() -> None:
    event = Event({"a": None, "b": {"c": None}})
    assert event.get("a", "default") is None
    assert "a" in event
    assert event.deep_get("a", default="default") == "default"
    assert event.deep_get("b", "c", default="default") == "default"
    assert event.deep_get("b", "c", "d", default="default") == "default"
    assert event.deep_get("nowhere", "c") is None
    assert event.deep_get("b", "c", default=[]) == []


def test_false_and_empty_values_are_no_reason_for_the_default() -> None:
    event = Event({"zero": 0, "text": "", "no": False, "list": []})
    assert event.deep_get("zero", default=1) == 0
    assert event.deep_get("text", default="x") == ""
    assert event.deep_get("no", default=True) is False
    assert event.deep_get("list", default=["x"]) == []


@pytest.mark.parametrize("items", [[], [1, "x", None], [{"a": [1]}, [2, [3]]]])
def test_a_list_equals_the_list_and_the_tuple_of_its_items(items: list[Any]) -> None:
    seen = Event({"a": items}).get("a")
    assert seen == items
    assert items == seen
    assert seen == tuple(items)
    assert tuple(items) == seen
    assert seen != [*items, 1]
    assert seen != "x"
    assert list(seen) == items
    assert seen[:2] == items[:2]
    assert seen + [1] == [*items, 1]  # noqa: RUF005  # the operator is what is tested
    assert [1] + seen == [1, *items]  # noqa: RUF005
    assert seen.copy() == items
    assert type(seen.copy()) is list
    assert all(item in seen for item in items)


def test_equal_lists_have_equal_hashes_as_tuples_do() -> None:
    assert hash(EventList([1, "x"])) == hash((1, "x"))
    assert {EventList([{"a": 1}]): 1}[EventList([{"a": 1}])] == 1


EVENTS = Event(
    {
        "events": [
            {"name": "b", "tags": ["x", "y"]},
            {"name": "a", "tags": []},
            {"Name": "b", "tags": ["y", "z"]},
            {"other": 1},
        ],
        "hollow": [[], [[]]],
        "one": [{"deep": [{"k": 1}]}],
        "none": None,
    }
)


@pytest.mark.parametrize(
    ("keys", "options", "expected"),
    [
        (("events", "name"), {}, ["b", "a"]),
        (("events", "tags"), {}, ["x", "y", "z"]),
        (("events", "name"), {"return_val": "first"}, "b"),
        (("events", "name"), {"return_val": "last"}, "a"),
        (("events", "name"), {"return_val": "all"}, ["b", "a"]),
        (("one", "deep", "k"), {}, 1),
        (("events", "nowhere"), {}, None),
        (("nowhere",), {"default": "x"}, "x"),
        (("none",), {"default": "x"}, "x"),
        (("hollow",), {"default": "x"}, "x"),
        (("events", "other"), {}, 1),
        # An item without the key counts as the default, unless that is None.
        (("events", "other"), {"default": ""}, ["", 1]),
        (("events", "other"), {"default": "", "return_val": "last"}, 1),
        (("events", "name", "deeper"), {}, None),
    ],
)
def test_deep_walk_crosses_lists(keys: tuple[str, ...], options: dict[str, Any], expected: Any) -> None:
    assert EVENTS.deep_walk(*keys, **options) == expected


def test_what_deep_walk_finds_is_plain_and_a_copy() -> None:
    data = {"list": [{"a": {"b": [1]}}], "one": {"c": 1}, "many": [{"d": {"e": 1}}, {"d": [2, {"e": 3}]}]}
    event = Event(data)
    found = event.deep_walk("list"), event.deep_walk("list", "a"), event.deep_walk("one"), event.deep_walk("many", "d")
    assert found == ([{"a": {"b": [1]}}], {"b": [1]}, {"c": 1}, [{"e": 1}, 2, {"e": 3}])
    assert [type(one) for one in found] == [list, dict, dict, list]
    assert json.loads(json.dumps(found)) == list(found)
    for one in found:
        spoil(one)
    assert event == {"list": [{"a": {"b": [1]}}], "one": {"c": 1}, "many": [{"d": {"e": 1}}, {"d": [2, {"e": 3}]}]}


def test_deep_walk_refuses_an_unknown_wish() -> None:
    with pytest.raises(ValueError, match="all, first or last"):
        EVENTS.deep_walk("events", return_val="some")


def modelled(data: dict[str, Any]) -> Event:
    fields = (
        ModelField(name="user", path="$.actor.name", reads=parse_path("$.actor.name")),
        ModelField(name="tag", path="$.tags[*]", reads=parse_path("$.tags[*]")),
        ModelField(name="kind", method=lambda event: event.get("KIND"), method_name="get_kind"),
    )
    return Event(data, Surroundings(model_id="M", mappings={one.name: one for one in fields}))


def test_what_the_data_model_maps_is_asked_of_it_alone() -> None:
    elsewhere = {"p_udm": {"user": "udm"}, "user": "event"}
    assert modelled({**elsewhere, "actor": {"name": "model"}}).udm("user") == "model"
    falsy: tuple[Any, ...] = ("", 0, False, [], None)
    for value in falsy:
        assert modelled({**elsewhere, "actor": {"name": value}}).udm("user", default="x") == value
    assert modelled(elsewhere).udm("user") is None
    assert modelled(elsewhere).udm("user", default="x") == "x"
    assert modelled({"p_udm": {"kind": "udm"}}).udm("kind", default="x") is None


def test_udm_asks_p_udm_and_then_the_event_for_what_no_data_model_maps() -> None:
    everywhere = {"p_udm": {"host": "udm"}, "host": "event"}
    assert modelled(everywhere).udm("host") == "udm"
    assert Event(everywhere).udm("host") == "udm"
    assert modelled({"p_udm": {"host": None}, "host": "event"}).udm("host") == "event"
    assert modelled({"host": 0}).udm("host", default="x") == "x"
    assert Event({"p_udm": {"user": {"email": "a"}}}).udm("user", "email") == "a"


def test_udm_calls_the_method_with_the_event() -> None:
    assert modelled({"kind": "door"}).udm("kind") == "door"
    field = ModelField(name="made", method=lambda _: {"Name": ["a"]}, method_name="make")
    event = Event({}, Surroundings(model_id="M", mappings={"made": field}))
    assert event.udm("made").deep_get("name") == ("a",)


def test_udm_raises_if_a_path_leads_to_several_values() -> None:
    assert modelled({"tags": ["one"]}).udm("tag") == "one"
    with pytest.raises(ValueError, match="2 values"):
        modelled({"tags": ["one", "two"]}).udm("tag")


def test_udm_path_says_where_the_model_finds_a_field_and_raises_without_one() -> None:
    assert modelled({"actor": {"name": "a"}}).udm_path("user") == "actor.name"
    assert modelled({"tags": ["one"]}).udm_path("tag") == "tags.[0]"
    assert modelled({}).udm_path("user") is None
    assert modelled({}).udm_path("kind") == "get_kind"
    assert modelled({}).udm_path("nothing") is None
    with pytest.raises(ValueError, match="2 values"):
        modelled({"tags": ["one", "two"]}).udm_path("tag")
    with pytest.raises(LookupError, match="no data model"):
        Event({}).udm_path("user")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01 00:01:00.123456789", 60),
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T01:01:00+01:00", 60),
        ("1970-01-01T00:01:00.5-0100", 3660),
        ("1970-01-02", 86400),
        ("1970-01-01 00:01:00 UTC", 60),
        (90, 90),
        (None, 0),
        ("", 0),
    ],
)
def test_the_time_of_an_event_is_counted_in_seconds(text: Any, expected: int) -> None:
    assert Event({"p_event_time": text}).event_time_epoch() == expected


def test_an_event_without_a_time_has_zero() -> None:
    assert Event({}).event_time_epoch() == 0
    with pytest.raises(ValueError, match="not a date"):
        instant("yesterday")


def test_a_lookup_finds_the_row_of_a_key() -> None:
    around = Surroundings(tables={"badges": {"17": {"Name": "Ada"}}, "away": "they come from S3"})
    event = Event({}, around)
    assert event.lookup("badges", "17").get("name") == "Ada"
    assert event.lookup("badges", 17) == {"Name": "Ada"}
    assert event.lookup("badges", "18") is None
    with pytest.raises(LookupError, match="did you mean 'badges'"):
        event.lookup("badge", "17")
    with pytest.raises(LookupError, match="they come from S3"):
        event.lookup("away", "17")


def test_what_rules_return_becomes_plain() -> None:
    found = to_plain({1: (1, 2), None: {"b", "a"}, False: b"x", "e": Event({"A": [1]}), "l": EventList([{"x": 1}])})
    assert found == {"1": [1, 2], "null": ["a", "b"], "false": "x", "e": {"A": [1]}, "l": [{"x": 1}]}
    with pytest.raises(TypeError, match="object"):
        to_plain({"x": object()})


def test_to_look_for_a_place_takes_no_more_memory_however_long_the_names_on_the_way_are() -> None:
    reads = parse_path("$..name")
    around = Surroundings(model_id="m", mappings={"who": ModelField(name="who", path="$..name", reads=reads)})
    event = Event({"n" * 20_000: {str(number): {"name": number} for number in range(1_000)}}, around)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="leads to 1000 values"):
            event.udm_path("who")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
