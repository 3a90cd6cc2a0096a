import json
from typing import Any

import pytest

from ocelog.detect.document import MAX_BYTES, parse
from ocelog.errors import RuleFileError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # As YAML 1.2 has it: these are text.
        ("on", "on"),
        ("No", "No"),
        ("yes", "yes"),
        ("12:30:45", "12:30:45"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01 10:00:00", "2026-03-01 10:00:00"),
        ("1.2.3", "1.2.3"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("010", 10),
        ("012345678901", "012345678901"),
        ("-09", "-09"),
        ("0189.5", 189.5),
        ("5.", 5.0),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        (".5", 0.5),
        (".inf", float("inf")),
        ("{a: [1, {b: ''}]}", {"a": [1, {"b": ""}]}),
        ("{2: x, true: y}", {2: "x", True: "y"}),
        ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
        ("[&x {a: 1, b: 2}, {<<: *x, b: 3}]", [{"a": 1, "b": 2}, {"a": 1, "b": 3}]),
    ],
)
def test_a_value_is_read_as_yaml_1_2_has_it(text: str, value: Any) -> None:
    found = parse(f"k: {text}", "x.yml").mapping().raw("k")
    assert found is not None
    assert repr(found.value()) == repr(value)


@pytest.mark.parametrize("lead", ["", "\ufeff", "\n "])
def test_what_programs_write_as_json_is_read(lead: str) -> None:
    value = {"title": "\U0001f6a8 \\ud83d\\ude00 \\\U0001f600", "tests": [{"log": '"\U0001f600\x01'}]}
    assert parse(f"{lead}{json.dumps(value, indent=chr(9))}", "x.yml").value() == value
    # Without braces it is YAML, in which this may be a pattern.
    assert parse(r"k: '\ud83d\ude00'", "x.yml").value() == {"k": r"\ud83d\ude00"}
    assert parse(r"{k: '\ud83d\ude00'}", "x.yml").value() == {"k": r"\ud83d\ude00"}


def test_texts_accept_one_text_for_a_list() -> None:
    top = parse("a: x\nb: [x, 5]\nc:", "x.yml").mapping()
    assert [top.needs("a").texts(), top.needs("b").texts()] == [("x",), ("x", "5")]
    assert top.get("c") is None
    assert "c" in top


def test_the_keys_here_go_before_those_that_are_merged_in() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x}\nz: {<<: *x, b: 3}"
    top = parse(text, "x.yml").mapping()
    for name in "yz":
        merged = top.needs(name).mapping()
        assert {key: value.text() for key, (_, value) in merged.pairs()} == {"a": "1", "b": "3"}


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]" for at in range(1, 9)]
    return "\n".join(lines)


def merges(times: int) -> str:
    """Return mappings that each merge the one before twice."""
    each = (f"a{at}: &x{at} {{<<: *x{at - 1}, <<: *x{at - 1}}}" for at in range(1, times + 1))
    return "\n".join(("a0: &x0 {b: 1}", *each))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yml:1: the file is empty"),
        ("a: [", "this is not YAML"),
        ("a:\n\t- b", "x.yml:2: this is not YAML: a tab where only spaces may stand"),
        ("a: b\n---\nc: d", "x.yml:2: expected one YAML document, found another after it"),
        ("a: \x00", "this is not YAML"),
        ("a: 1\na: 2", "x.yml:2: the key 'a' appears twice"),
        ("a: {b: 1, b: 2}", "the key 'b' appears twice"),
        ("a: {[1]: 1}", "a key must be text or a number"),
        ("a: " + "[" * 201 + "]" * 201, "nested more than 200 deep"),
        ("a: &a [*a]", "holds more than 200,000 values, or itself"),
        (bomb(), "holds more than 200,000 values"),
        ("a: " + "x" * MAX_BYTES, "at most 2,000,000 bytes"),
        ("a: !!int x", "'x' is not a number"),
        ("- a", "expected a mapping of keys to values, found a list"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(RuleFileError) as error:
        [value.value() for _, (_, value) in parse(text, "x.yml").mapping().pairs()]
    assert str(error.value).startswith("x.yml:")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: &a {<<: *a, b: 1}", "it merges itself"), (merges(28), "merges more than 200,000 values")],
)
def test_mappings_that_merge_each_other_cost_little(text: str, message: str) -> None:
    pairs = list(parse(text, "x.yml").mapping().pairs())
    with pytest.raises(RuleFileError, match=message):
        [value.mapping() for _, (_, value) in pairs]
