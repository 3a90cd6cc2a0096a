import json
from typing import Any

import pytest

from ocelog.detect.evaluate import NO_MATCH, Detector, Verdict
from ocelog.detect.event import Event
from ocelog.detect.modules import Modules
from ocelog.detect.parse import parse_item
from ocelog.detect.rule import Rule
from ocelog.model import Severity

RULE = """
AnalysisType: rule
RuleID: A.B
DisplayName: A name
Enabled: true
Filename: r.py
LogTypes: [X]
Severity: Low
Description: Its description
Reference: Its reference
Runbook: Its runbook
"""
SCHEDULED = RULE.replace("rule\n", "scheduled_rule\n", 1).replace("LogTypes", "ScheduledQueries")
SIMPLE = RULE.replace("Filename: r.py", "Detection: [{Key: state, Condition: Equals, Value: OPEN}]")
MATCHES = "def rule(event): return True\n"
LONG = "x" * 1001


def detector(source: str, yaml: str = RULE) -> Detector:
    rule = parse_item(yaml, "r.yml")
    assert isinstance(rule, Rule)
    return Detector(rule, Modules({"r.py": source}, {}))


def judge(
    source: str, data: dict[str, Any] | None = None, *, yaml: str = RULE, channels: dict[str, str] | None = None
) -> Verdict:
    return detector(source, yaml).judge(Event(data or {}), channels)


def answering(function: str, answer: str, **options: Any) -> Verdict:
    """Return the verdict of a rule that matches, and whose `function` answers the expression `answer`."""
    found = judge(f"{MATCHES}def {function}(event): return {answer}\n", **options)
    assert found.matched
    return found


def raising(function: str, error: str = "ValueError('no')") -> Verdict:
    found = judge(f"{MATCHES}def {function}(event): raise {error}\n")
    assert found.matched
    assert [(one.function, one.is_fatal) for one in found.raised] == [(function, "SystemExit" in error)]
    return found


def test_true_is_a_match_and_false_is_none() -> None:
    assert judge(MATCHES).matched
    assert judge("def rule(event): return False") is NO_MATCH


@pytest.mark.parametrize("answer", ["None", "1", "0", "''", "'True'", "[]", "event", "object()"])
def test_anything_but_a_bool_is_a_rule_error(answer: str) -> None:
    found = judge(f"def rule(event): return {answer}")
    assert not found.matched
    assert found.error is not None
    assert (found.error.function, found.error.type) == ("rule", "TypeError")
    assert "expected True or False, found " in found.error.message


@pytest.mark.parametrize(
    "error", ["ValueError('no')", "SystemExit(1)", "KeyboardInterrupt", "GeneratorExit", "BaseException('x')"]
)
def test_whatever_rule_raises_is_a_rule_error(error: str) -> None:
    found = judge(f"def rule(event): raise {error}")
    assert not found.matched
    assert found.error is not None
    assert found.error.type == error.partition("(")[0]
    assert "(r.py:1)" in found.error.message


def test_deep_recursion_is_a_rule_error() -> None:
    found = judge("def rule(event): return rule(event)")
    assert found.error is not None
    assert found.error.type == "RecursionError"


@pytest.mark.parametrize("source", ["x = 1", "import no_such_package\n" + MATCHES, "rule = 5", "x = (", ""])
def test_a_module_without_rule_or_that_does_not_import_is_a_setup_error_for_each_event(source: str) -> None:
    found = detector(source)
    for _ in range(2):
        verdict = found.judge(Event({}))
        assert not verdict.matched
        assert verdict.error is not None
        assert verdict.error.function == "setup"


def test_a_scheduled_rule_without_rule_counts_as_true() -> None:
    assert judge("x = 1", yaml=SCHEDULED).matched
    assert judge("def rule(event): return False", yaml=SCHEDULED) is NO_MATCH
    assert judge("x = (", yaml=SCHEDULED).error is not None


def test_filters_come_before_the_rule_and_all_must_be_true() -> None:
    yaml = RULE + "InlineFilters: [{Key: a, Condition: Equals, Value: 1}, {Key: b, Condition: Equals, Value: 2}]"
    raises = "def rule(event): raise ValueError"
    assert judge(MATCHES, {"a": 1, "b": 2}, yaml=yaml).matched
    assert judge(raises, {"a": 1, "b": 3}, yaml=yaml) is NO_MATCH
    assert judge(MATCHES, {"a": 1}, yaml=yaml).matched
    assert judge(MATCHES, {"a": 1, "b": None}, yaml=yaml) is NO_MATCH


def test_an_exception_in_a_filter_is_a_rule_error() -> None:
    yaml = RULE + "InlineFilters: [{Key: a, Condition: IsGreaterThan, Value: 1}]"
    found = judge(MATCHES, {"a": "x"}, yaml=yaml)
    assert not found.matched
    assert found.error is not None
    assert (found.error.function, found.error.type) == ("inline filters", "TypeError")


def test_functions_are_called_in_order_and_only_on_a_match() -> None:
    names = ["rule", "title", "description", "reference", "severity", "runbook", "destinations", "dedup"]
    names += ["alert_context", "unique"]
    answers = {"rule": "event.get('match')"}
    source = "CALLED = []\n" + "".join(
        f"def {name}(event):\n    CALLED.append('{name}')\n    return {answers.get(name)}\n" for name in reversed(names)
    )
    found = detector(source)
    assert not found.judge(Event({"match": False})).matched
    assert found.module.CALLED == ["rule"]  # type: ignore[union-attr]
    assert found.judge(Event({"match": True})).matched
    assert found.module.CALLED[1:] == names  # type: ignore[union-attr]


def test_a_title_is_taken_and_cut() -> None:
    assert answering("title", "'A title'").title == "A title"
    exact = answering("title", "'x' * 1000")
    assert (exact.title, exact.notes) == ("x" * 1000, ())
    cut = answering("title", "'x' * 1001").title
    assert len(cut) == 1000
    assert cut == "x" * 985 + "... (truncated)"


@pytest.mark.parametrize("answer", ["None", "5", "''", "['x']", "b'x'"])
def test_a_title_of_the_wrong_type_or_empty_is_the_rules_id(answer: str) -> None:
    found = answering("title", answer)
    assert (found.title, found.raised) == ("A.B", ())


def test_a_title_that_raises_is_the_rules_id() -> None:
    assert raising("title").title == "A.B"
    assert raising("title", "SystemExit").title == "A.B"


def test_without_title_the_rules_name_is_shown() -> None:
    assert judge(MATCHES).title == "A name"


def test_half_a_pair_of_surrogates_does_not_get_through() -> None:
    answering("title", r"'a\ud800b'").title.encode()
    answering("dedup", r"'a\ud800b'").dedup.encode()


@pytest.mark.parametrize("name", ["description", "reference", "runbook"])
def test_a_text_is_taken_cut_or_empty_and_the_files_if_there_is_no_function(name: str) -> None:
    assert getattr(answering(name, "'A text'"), name) == "A text"
    assert getattr(answering(name, f"'{LONG}'"), name) == "x" * 985 + "... (truncated)"
    for answer in ("None", "5", "''", "['x']"):
        assert getattr(answering(name, answer), name) == ""
    assert getattr(raising(name), name) == ""
    assert getattr(raising(name, "SystemExit"), name) == ""
    assert getattr(judge(MATCHES), name) == f"Its {name}"


@pytest.mark.parametrize("answer", ["INFO", "low", "Medium", "hIGH", "CRITICAL"])
def test_a_severity_is_taken_in_any_case(answer: str) -> None:
    assert answering("severity", repr(answer)).severity is Severity(answer.upper())


@pytest.mark.parametrize("answer", ["'DEFAULT'", "'default'", "'WORSE'", "''", "None", "5"])
def test_default_and_unknown_severities_are_the_files(answer: str) -> None:
    found = answering("severity", answer)
    assert (found.severity, found.raised) == (Severity.LOW, ())
    assert bool(found.notes) is ("default" not in answer.lower())


def test_a_severity_that_raises_is_the_files() -> None:
    assert raising("severity").severity is Severity.LOW
    assert judge(MATCHES).severity is Severity.LOW


CHANNELS = {"one": "id-1", "id-1": "id-1", "two": "id-2", "id-2": "id-2"}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("None", None),
        ("[]", ()),
        ("()", ()),
        ("['SKIP']", ()),
        ("['one', 'SKIP']", ()),
        ("['one']", ("id-1",)),
        ("['id-2', 'one']", ("id-2", "id-1")),
        ("['one', 'three']", None),
        ("['one', 'one']", None),
        ("['one', 'id-1']", None),
        ("['one', 5]", None),
        ("'one'", None),
        ("{'one': 1}", None),
        ("5", None),
    ],
)
def test_one_unknown_or_repeated_destination_makes_the_whole_answer_none(
    answer: str, found: tuple[str, ...] | None
) -> None:
    assert answering("destinations", answer, channels=CHANNELS).destinations == found


def test_the_first_ten_destinations_are_kept() -> None:
    channels = {str(at): f"id-{at}" for at in range(12)}
    found = answering("destinations", "[str(at) for at in range(12)]", channels=channels)
    assert found.destinations == tuple(f"id-{at}" for at in range(10))


def test_destinations_that_raise_or_are_not_there_are_none() -> None:
    assert raising("destinations").destinations is None
    assert judge(MATCHES).destinations is None
    assert answering("destinations", "['anything']").destinations == ("anything",)


def test_a_list_of_the_event_will_do_as_destinations() -> None:
    assert answering("destinations", "event.get('to')", data={"to": ["one"]}).destinations == ("one",)


def test_a_dedup_string_is_taken_and_cut() -> None:
    assert answering("dedup", "'key'").dedup == "key"
    assert answering("dedup", f"'{LONG}'").dedup == "x" * 985 + "... (truncated)"


@pytest.mark.parametrize("answer", ["None", "5", "''", "['x']"])
def test_a_dedup_string_that_is_empty_or_none_is_the_default_and_never_the_title(answer: str) -> None:
    found = judge(f"{MATCHES}def title(event): return 'A title'\ndef dedup(event): return {answer}")
    assert found.dedup == "defaultDedupString:A.B"


@pytest.mark.parametrize("error", ["ValueError", "SystemExit"])
def test_a_dedup_that_raises_is_the_default_and_never_the_title(error: str) -> None:
    found = judge(f"{MATCHES}def title(event): return 'A title'\ndef dedup(event): raise {error}")
    assert found.dedup == "defaultDedupString:A.B"


def test_without_dedup_the_cut_title_is_taken() -> None:
    assert answering("title", "'A title'").dedup == "A title"
    assert answering("title", f"'{LONG}'").dedup == "x" * 985 + "... (truncated)"


def test_without_dedup_and_title_or_with_an_empty_one_it_is_the_default() -> None:
    assert judge(MATCHES).dedup == "defaultDedupString:A.B"
    assert answering("title", "''").dedup == "defaultDedupString:A.B"


def test_a_context_is_taken_as_plain_values() -> None:
    found = answering("alert_context", "{'e': event, 'l': event.get('l'), 's': {1}, 5: None}", data={"l": [{"a": 1}]})
    assert found.context == {"e": {"l": [{"a": 1}]}, "l": [{"a": 1}], "s": [1], "5": None}
    assert json.loads(json.dumps(found.context)) == found.context
    assert answering("alert_context", "event", data={"a": 1}).context == {"a": 1}
    assert answering("alert_context", "{}").context == {}


@pytest.mark.parametrize("answer", ["None", "5", "'x'", "[1]", "''"])
def test_a_context_of_the_wrong_type_is_an_error_text(answer: str) -> None:
    found = answering("alert_context", answer)
    assert list(found.context) == ["_error"]
    assert "expected a mapping" in found.context["_error"]
    assert found.raised == ()


@pytest.mark.parametrize("answer", ["{'a': float('nan')}", "{'a': float('inf')}", "{'a': object()}", "{'a': rule}"])
def test_a_context_that_json_cannot_hold_is_an_error_text(answer: str) -> None:
    assert "cannot be written as JSON" in answering("alert_context", answer).context["_error"]


def test_a_context_that_holds_itself_is_an_error_text() -> None:
    found = judge(f"{MATCHES}def alert_context(event):\n    a = {{}}\n    a['a'] = a\n    return a")
    assert "cannot be written as JSON" in found.context["_error"]


def test_a_context_may_have_so_many_characters_of_json() -> None:
    around = len(json.dumps({"a": ""}))
    most = 200 * 1024 - around
    assert answering("alert_context", f"{{'a': 'x' * {most}}}").context == {"a": "x" * most}
    assert "at most 204,800" in answering("alert_context", f"{{'a': 'x' * {most + 1}}}").context["_error"]


def test_a_context_that_raises_is_an_error_text() -> None:
    assert "ValueError: no" in raising("alert_context").context["_error"]
    assert "SystemExit" in raising("alert_context", "SystemExit").context["_error"]


def test_without_a_context_there_is_none() -> None:
    assert judge(MATCHES).context == {}


def test_a_unique_value_is_text_or_none() -> None:
    assert answering("unique", "'u'").unique == "u"
    assert answering("unique", f"'{LONG}'").unique == "x" * 985 + "... (truncated)"
    for answer in ("None", "5", "''"):
        assert answering("unique", answer).unique is None
    assert raising("unique").unique is None
    assert judge(MATCHES).unique is None


def simple(data: dict[str, Any], more: str = "") -> Verdict:
    return judge("", data, yaml=SIMPLE + more)


def test_a_simple_detection_matches_by_its_expressions() -> None:
    found = simple({"state": "OPEN"})
    assert found.matched
    assert (found.title, found.dedup) == ("A name", "defaultDedupString:A.B")
    assert (found.severity, found.context) == (Severity.LOW, {})
    assert simple({"state": "CLOSED"}) is NO_MATCH
    assert simple({}) is NO_MATCH


def test_a_simple_detection_that_cannot_compare_is_a_rule_error() -> None:
    yaml = SIMPLE.replace("Condition: Equals, Value: OPEN", "Condition: IsGreaterThan, Value: 5")
    assert judge("", {"state": "OPEN"}, yaml=yaml).error is not None


def test_the_title_of_a_simple_detection_is_filled_in_and_is_its_dedup_string() -> None:
    more = "AlertTitle: '{who.name} at {places[0]} of {n} {gone.away} {open'"
    found = simple({"state": "OPEN", "WHO": {"Name": "Ada"}, "places": ["hall"], "n": 5}, more)
    assert found.title == "Ada at hall of 5 null {open"
    assert found.dedup == found.title
    assert len(simple({"state": "OPEN", "places": ["hall"], "n": LONG}, more).title) == 1000


def test_grouping_makes_the_dedup_string_of_a_simple_detection() -> None:
    found = simple({"state": "OPEN", "ip": "::1"}, "AlertTitle: T\nGroupBy: [{KeyPath: ip}, {Key: user}]")
    assert (found.title, found.dedup) == ("T", "ip=::1, user=null")


def test_the_first_dynamic_severity_whose_conditions_are_true_is_taken() -> None:
    more = """
DynamicSeverities:
  - {ChangeTo: High, Conditions: [{Key: n, Condition: IsGreaterThan, Value: 5}]}
  - {ChangeTo: Medium, Conditions: [{Key: n, Condition: IsGreaterThan, Value: 2}]}
"""
    assert simple({"state": "OPEN", "n": 9}, more).severity is Severity.HIGH
    assert simple({"state": "OPEN", "n": 3}, more).severity is Severity.MEDIUM
    assert simple({"state": "OPEN", "n": 1}, more).severity is Severity.LOW
    wrong = simple({"state": "OPEN", "n": "x"}, more)
    assert (wrong.severity, [one.function for one in wrong.raised]) == (Severity.LOW, ["severity"])


def test_the_context_of_a_simple_detection_has_the_values_at_its_keys() -> None:
    more = """
AlertContext:
  - {KeyName: who, KeyValue: {KeyPath: user.name}}
  - {KeyName: gone, KeyValue: {Key: nowhere}}
  - {KeyName: team, KeyValue: {Value: doors}}
"""
    found = simple({"state": "OPEN", "user": {"name": "Ada"}}, more)
    assert found.context == {"who": "Ada", "gone": None, "team": "doors"}


def test_a_rule_cannot_change_what_the_next_one_sees() -> None:
    source = """
def rule(event):
    event.to_dict()["list"].append(1)
    event.get("list").copy().append(1)
    try:
        event["list"] = 5
    except TypeError:
        return event.get("list") == ["x"]
"""
    event = Event({"list": ["x"]})
    found = detector(source)
    assert found.judge(event).matched
    assert found.judge(event).matched


HOSTILE = """
from collections.abc import Mapping

class Evil(BaseException):
    def __str__(self): raise SystemExit

class Odd(Mapping):
    def __getitem__(self, key): raise Evil
    def __iter__(self): raise Evil
    def __len__(self): return 1

class Names(list):
    def __iter__(self): raise Evil

class Text(str):
    def upper(self): raise Evil
    def __str__(self): raise Evil
    def __repr__(self): raise Evil

class Shy:
    def __repr__(self): raise Evil

def rule(event):
    if event.get("raise"):
        raise Evil
    return Shy() if event.get("shy") else True
"""


@pytest.mark.parametrize(
    "function",
    [
        "def alert_context(event): return Odd()",
        "def alert_context(event): return Shy()",
        "def title(event): return Text('t')",
        "def title(event): return Shy()",
        "def destinations(event): return Names(['x'])",
        "def destinations(event): return [Text('x')]",
        "def severity(event): return Text('t')",
        "def dedup(event): return Text('t')",
    ],
)
def test_answers_that_raise_when_they_are_looked_at_lose_no_match(function: str) -> None:
    found = judge(HOSTILE + function)
    assert (found.matched, found.error) == (True, None)
    assert [type(text) for text in (found.title, found.dedup, *(found.destinations or ()))] == [str] * (
        3 if found.destinations else 2
    )


def test_errors_and_answers_of_rule_that_raise_when_they_are_shown_are_rule_errors() -> None:
    for data in ({"raise": True}, {"shy": True}):
        found = judge(HOSTILE, data)
        assert found.error is not None
        assert found.error.type in {"Evil", "TypeError"}
