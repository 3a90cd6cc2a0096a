from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.detect.conditions import CONDITIONS, SHORT, Comparison, Operand, parse_expressions
from ocelog.detect.document import parse
from ocelog.detect.paths import of_names
from ocelog.errors import RuleFileError


def asks(yaml: str, data: dict[str, Any], *, missing_passes: bool = False) -> bool:
    return parse_expressions(parse(yaml, "x.yml")).is_true(data, missing_passes=missing_passes)


def one(condition: str, value: Any, operand: str | None = None, **options: bool) -> bool:
    key = "Values" if CONDITIONS[condition].operand is Operand.VALUES else "Value"
    given = f", {key}: {operand}" if operand is not None else ""
    return asks(f"- {{KeyPath: k, Condition: {condition}{given}}}", {"k": value}, **options)


# condition, operand, values of which it is true, values of which it is false
TABLE = [
    ("Equals", "x", ["x"], ["X", "xy", 1]),
    ("DoesNotEqual", "x", ["X", "xy", 1], ["x"]),
    ("IEquals", "x", ["x", "X"], ["xy", 1]),
    ("IDoesNotEqual", "x", ["xy", 1], ["x", "X"]),
    ("IsGreaterThan", "5", [6, 5.5], [5, 4]),
    ("IsGreaterThanOrEquals", "5", [6, 5], [4]),
    ("IsLessThan", "5", [4], [5, 6]),
    ("IsLessThanOrEquals", "5", [4, 5], [6]),
    ("Contains", "x", ["axb", ["x", "y"]], ["aXb", ["y"], ""]),
    ("DoesNotContain", "x", ["aXb", ["y"]], ["axb", ["x"]]),
    ("IContains", "x", ["aXb", ["X"]], ["ab", ["y"]]),
    ("IDoesNotContain", "x", ["ab", ["y"]], ["aXb", ["X"]]),
    ("StartsWith", "x", ["xa"], ["Xa", "ax"]),
    ("DoesNotStartWith", "x", ["Xa", "ax"], ["xa"]),
    ("IStartsWith", "x", ["xa", "Xa"], ["ax"]),
    ("IDoesNotStartWith", "x", ["ax"], ["xa", "Xa"]),
    ("EndsWith", "x", ["ax"], ["aX", "xa"]),
    ("DoesNotEndWith", "x", ["aX", "xa"], ["ax"]),
    ("IEndsWith", "x", ["ax", "aX"], ["xa"]),
    ("IDoesNotEndWith", "x", ["xa"], ["ax", "aX"]),
    ("IsIn", "[x, 1]", ["x", 1], ["X", 2]),
    ("IsNotIn", "[x, 1]", ["X", 2], ["x", 1]),
    ("IsIPAddressInCIDR", "10.0.0.0/8", ["10.1.2.3", ["8.8.8.8", "10.0.0.1"]], ["8.8.8.8", "host", 5]),
    ("IsIPAddressNotInCIDR", "10.0.0.0/8", ["8.8.8.8", "host"], ["10.1.2.3"]),
    ("IsIPAddressInCIDR", "'2001:db8::/32'", ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
    ("CIDRContainsIPAddresses", "10.1.2.3", ["10.0.0.0/8", "10.1.2.3"], ["8.0.0.0/8", "net"]),
    ("CIDRDoesNotContainIPAddresses", "10.1.2.3", ["8.0.0.0/8", "net"], ["10.0.0.0/8"]),
    ("IsIPAddressPublic", None, ["8.8.8.8", "2606:4700::1"], ["10.0.0.1", "127.0.0.1", "host"]),
    ("IsIPAddressPrivate", None, ["10.0.0.1", "127.0.0.1", "fd00::1"], ["8.8.8.8", "host"]),
    ("IsNullOrEmpty", None, [None, "", [], {}], ["x", 0, False, ["x"]]),
    ("IsNotNullOrEmpty", None, ["x", 0, False, ["x"]], [None, "", [], {}]),
    ("IsIPAddress", None, ["8.8.8.8", "::1"], ["host", "8.8.8", 8]),
    ("IsIPv4Address", None, ["8.8.8.8"], ["::1", "host"]),
    ("IsIPv6Address", None, ["::1"], ["8.8.8.8", "host"]),
    ("IsNull", None, [None], ["", 0]),
    ("IsNotNull", None, ["", 0], [None]),
]


@pytest.mark.parametrize(("name", "operand", "true", "false"), TABLE, ids=[row[0] for row in TABLE])
def test_a_condition_is_true_of_these_values_and_false_of_those(
    name: str, operand: str | None, true: list[Any], false: list[Any]
) -> None:
    assert [value for value in true if not one(name, value, operand)] == []
    assert [value for value in false if one(name, value, operand)] == []


def test_every_condition_is_in_the_table() -> None:
    assert {row[0] for row in TABLE} == set(CONDITIONS)


@pytest.mark.parametrize(("short", "name"), SHORT.items())
def test_other_spellings_mean_the_same(short: str, name: str) -> None:
    key = "Values: [x]" if CONDITIONS[name].operand is Operand.VALUES else "Value: '10.0.0.0/8'"
    found = parse_expressions(parse(f'- {{KeyPath: k, Condition: "{short}", {key}}}', "x.yml")).parts[0]
    assert found.condition.name == name  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [name for name, one in CONDITIONS.items() if not one.of_null])
def test_only_negative_conditions_are_true_of_a_null(name: str) -> None:
    operand = "['10.0.0.0/8']" if CONDITIONS[name].operand is Operand.VALUES else "10.0.0.0/8"
    expected = "Not" in name
    assert one(name, None, operand) is expected
    assert one(name, None, operand, missing_passes=True) is expected


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_filter_passes_what_is_missing_and_a_detection_takes_it_as_null(name: str) -> None:
    operand = "['10.0.0.0/8']" if CONDITIONS[name].operand is Operand.VALUES else "10.0.0.0/8"
    key = "Values" if CONDITIONS[name].operand is Operand.VALUES else "Value"
    yaml = f"- {{KeyPath: nowhere.at.all, Condition: {name}, {key}: {operand}}}"
    assert asks(yaml, {}, missing_passes=True) is True
    assert asks(yaml, {}) is one(name, None, operand)


def test_values_that_cannot_be_compared_raise() -> None:
    for name, value in (("IsGreaterThan", "x"), ("Contains", 5), ("StartsWith", 5), ("EndsWith", [])):
        with pytest.raises(TypeError):
            one(name, value, "5")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.1.2.3", "10.0.0.0/8", "fe80::1%eth0", "::/0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
RAISES_NOTHING = {
    *("Equals", "DoesNotEqual", "IEquals", "IDoesNotEqual", "IsNullOrEmpty", "IsNotNullOrEmpty", "IsNull", "IsNotNull"),
    *("IsIPAddress", "IsIPv4Address", "IsIPv6Address", "IsIPAddressPublic", "IsIPAddressPrivate"),
}


def outcome(name: str, value: Any, other: Any) -> str:
    """Return the type of what the condition answers, or why it cannot compare."""
    held = Comparison(path=of_names(["k"]), condition=CONDITIONS[name], operand=of_names(["other"]), line=1)
    try:
        return type(held.is_true({"k": value, "other": other})).__name__
    except TypeError as error:
        return str(error)


@given(value=JSON, other=JSON)
def test_whatever_an_event_holds_a_condition_answers_or_cannot_compare(value: Any, other: Any) -> None:
    outcomes = {name: outcome(name, value, other) for name in CONDITIONS}
    assert {name: found for name, found in outcomes.items() if "unhashable" in found} == {}
    assert {outcomes[name] for name in RAISES_NOTHING} == {"bool"}
    assert {outcome(name, value, ["10.0.0.0/8"]) for name in ("IsIPAddressInCIDR", "IsIPAddressNotInCIDR")} == {"bool"}


@pytest.mark.parametrize("value", [{"a": 1}, [{"a": 1}], [["10.1.2.3"]], [{"a": 1}, "10.1.2.3"]], ids=str)
def test_objects_and_lists_among_addresses_are_passed_over(value: Any) -> None:
    held = value == [{"a": 1}, "10.1.2.3"]
    assert one("IsIPAddressPrivate", value) is held
    assert one("IsIPAddressInCIDR", value, "10.0.0.0/8") is held
    assert one("IsIPAddressNotInCIDR", value, "10.0.0.0/8") is not held


def test_an_address_may_be_in_any_of_several_networks() -> None:
    yaml = "- {KeyPath: ip, Condition: IsIPAddressInCIDR, Values: [10.0.0.0/8, 192.168.0.0/16]}"
    assert asks(yaml, {"ip": "192.168.1.1"})
    assert not asks(yaml, {"ip": "172.16.0.1"})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("Key: User", "u"),
        ("DeepKey: [user2, name]", "n"),
        ("DeepKey: [list, 1, v]", 2),
        ("DeepKey: [numbered, '1']", "o"),
        ("DeepKey: [numbered, 1]", "o"),
        ("DeepKey: [numbered, 0120, 1]", "q"),
        ("KeyPath: USER2.NAME", "n"),
        ("KeyPath: list[1].v", 2),
        ("KeyPath: list[-1].v", 2),
        ("KeyPath: list[*].v", [1, 2]),
        ("Key: dotted.key", "d"),
        ("Enrichment: {Table: t, Selector: a.b, FieldPath: x.y}", "e"),
        ("Enrichment: {Table: t, Selector: $.a.b, FieldPath: x.y}", "e"),
    ],
)
def test_keys_are_named_in_several_ways(keys: str, expected: Any) -> None:
    data = {
        "user": "u",
        "user2": {"name": "n"},
        "list": [{"v": 1}, {"v": 2}],
        "dotted.key": "d",
        "numbered": {"1": "o", "0120": ["p", "q"]},
        "p_enrichment": {"t": {"a.b": {"x": {"y": "e"}}}},
    }
    assert asks(f"- {keys}\n  Condition: Equals\n  Value: {expected}", data)


def test_all_any_only_one_and_none_combine() -> None:
    def parts(*wanted: str) -> str:
        return "[" + ", ".join(f"{{Key: {name}, Condition: Equals, Value: 1}}" for name in wanted) + "]"

    data = {"a": 1, "b": 1, "c": 0, "d": 0}
    assert asks(f"- All: {parts('a', 'b')}", data)
    assert not asks(f"- All: {parts('a', 'c')}", data)
    assert asks(f"- Any: {parts('a', 'c')}", data)
    assert not asks(f"- Any: {parts('c', 'd')}", data)
    assert asks(f"- OnlyOne: {parts('a', 'c')}", data)
    assert not asks(f"- OnlyOne: {parts('a', 'b')}", data)
    assert asks(f"- None: {parts('c', 'd')}", data)
    assert not asks(f"- None: {parts('a', 'c')}", data)
    assert asks(f"- Any:\n  - All: {parts('a', 'c')}\n  - None: {parts('c')}", data)
    assert asks(f"Any: {parts('a', 'c')}\nNone: {parts('c')}", data)
    assert asks(parts("a", "b"), data)
    assert not asks(parts("a", "c"), data)


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("AnyElement", {(): False, (0,): False, (1, 0): True, (1, 1): True}),
        ("AllElements", {(): False, (0,): False, (1, 0): False, (1, 1): True}),
        ("OnlyOneElement", {(): False, (0,): False, (1, 0): True, (1, 1): False}),
        ("NoElement", {(): True, (0,): True, (1, 0): False, (1, 1): False}),
    ],
)
def test_elements_of_a_list_are_counted(name: str, of: dict[tuple[int, ...], bool]) -> None:
    by_key = f"- {{KeyPath: k, Condition: {name}, Expressions: [{{Key: v, Condition: Equals, Value: 1}}]}}"
    by_itself = f"- {{KeyPath: k, Condition: {name}, Expressions: [{{Condition: Equals, Value: 1}}]}}"
    for values, expected in of.items():
        assert asks(by_key, {"k": [{"v": value} for value in values]}) is expected
        assert asks(by_itself, {"k": list(values)}) is expected


def test_a_filter_passes_if_the_list_is_missing() -> None:
    yaml = "- {Key: k, Condition: AnyElement, Expressions: [{Condition: Equals, Value: 1}]}"
    assert asks(yaml, {}, missing_passes=True)
    assert not asks(yaml, {"k": None}, missing_passes=True)
    assert not asks(yaml, {})


def test_two_keys_are_compared() -> None:
    yaml = "- {Condition: IsGreaterThan, Values: [{KeyPath: a.n}, {KeyPath: b.n}]}"
    assert asks(yaml, {"a": {"n": 2}, "b": {"n": 1}})
    assert not asks(yaml, {"a": {"n": 1}, "b": {"n": 2}})
    assert not asks(yaml, {"a": {"n": 1}})
    assert asks("- {Key: a, Condition: Equals, Value: {Key: b}}", {"a": 1, "b": 1})


def test_presence_and_constants() -> None:
    assert asks("- {Key: a, Condition: Exists}", {"a": None})
    assert not asks("- {Key: b, Condition: Exists}", {"a": None})
    assert asks("- {Key: b, Condition: DoesNotExist}", {"a": None})
    assert not asks("- {Key: b, Condition: Exists}", {"a": None}, missing_passes=True)
    assert asks("- Condition: AlwaysTrue", {})
    assert not asks("- Condition: AlwaysFalse", {})


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("- {Key: a, Condition: Equal, Value: 1}", "x.yml:1: unknown condition 'Equal'; did you mean 'Equals'"),
        ("\n- {Key: a, Condition: Equals}", "x.yml:2: Equals needs `Value`"),
        ("- {Key: a, Condition: IsIn, Value: x}", "IsIn needs `Values`"),
        ("- {Key: a, Condition: IsIn, Values: x}", "expected a list"),
        ("- {Key: a, Condition: IsIPAddressInCIDR, Value: 10.0.0.0/99}", "is not a network"),
        ("- {Key: a, Condition: IsIPAddressInCIDR, Value: 5}", "is not a network"),
        ("- {KeyPath: 'a[', Condition: Exists}", "cannot be read from '[' on"),
        ("- {KeyPath: '', Condition: Exists}", "the path is empty"),
        ("- {Condition: Exists}", "which key?"),
        ("- {Key: a, Condition: Exists, Vale: 1}", "unknown key 'Vale' of a match expression; did you mean 'Value'"),
        ("- {Any: [], Condition: Exists}", "unknown key 'Condition'"),
        ("- {Condition: Equals, Values: [{Key: a}]}", "expected two keys to compare, found 1"),
        ("- x", "expected a mapping"),
        ("- {Any: [" + "{Any: [" * 30 + "]}" * 30 + "]}", "nested more than 20 deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(yaml: str, message: str) -> None:
    with pytest.raises(RuleFileError) as error:
        asks(yaml, {})
    assert message in str(error.value)
