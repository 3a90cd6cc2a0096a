"""Our rules are what docs and design say of them: tested, tagged, with a runbook that works, and no weak grouping."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ocelog.app.log_types import table_schemas
from ocelog.detect.checkout import Checkout, read_checkout
from ocelog.detect.conditions import Combination, Comparison, Elements, Expression, Presence
from ocelog.detect.paths import Path as FieldPath
from ocelog.detect.rule import CorrelationRule, Kind, Query, Rule
from ocelog.detect.testing import run
from ocelog.lake.query.statement import checked
from ocelog.model import table_name
from ocelog.schema.language.fields import Array, Json, Object, Type
from ocelog.schema.language.packaged import packaged_schemas

FOLDER = Path(__file__).parents[2] / "src" / "ocelog" / "content" / "rules" / "wiz"
CHECKOUT: Checkout = read_checkout(FOLDER)
EVERY: dict[str, Rule | CorrelationRule] = {**CHECKOUT.rules, **CHECKOUT.correlations}
SIMPLE = {name: rule for name, rule in CHECKOUT.rules.items() if rule.detection is not None}
FINDS_TIME = re.compile(r"\b\d+\s+(minutes|hours|days)\b")
MITRE = re.compile(r"TA\d{4}:T\d{4}(\.\d{3})?")
LEAST = 60
ACTOR = {"user.id", "serviceAccount.id"}
DEFAULT = "Ocelog.Wiz.Default"


def id_of(name: str) -> str:
    return name.removeprefix("Ocelog.Wiz.")


def lies_in(type_: Type, names: list[str]) -> bool:
    """Whether a path of names leads to something that a record of this type may have."""
    if not names or isinstance(type_, Json):
        return True
    if isinstance(type_, Array):
        return lies_in(type_.element, names)
    if isinstance(type_, Object):
        found = [field for field in type_.fields if field.name.lower() == names[0].lower()]
        return bool(found) and lies_in(found[0].type, names[1:])
    return False


def is_field(path: str, log_type: str) -> bool:
    names = [one for one in re.split(r"[.\[\]*]+", path) if one]
    if names[0].startswith("p_") or log_type not in packaged_schemas():
        return True
    return lies_in(Object(fields=packaged_schemas()[log_type].fields), names)


def paths(expression: Expression | None, before: str = "") -> Iterator[str]:
    """Yield the fields that an expression asks about."""
    match expression:
        case Comparison():
            for path in (expression.path, expression.operand):
                if isinstance(path, FieldPath):
                    yield before + path.text
        case Presence():
            yield before + expression.path.text
        case Elements():
            yield before + expression.path.text
            for part in expression.parts:
                yield from paths(part, f"{before}{expression.path.text}.")
        case Combination():
            for part in expression.parts:
                yield from paths(part, before)


def fields_named(rule: Rule) -> set[str]:
    asked = [rule.detection, rule.inline_filters, *(one.conditions for one in rule.dynamic_severities)]
    named = {path for expression in asked for path in paths(expression)}
    named |= {one.path.text for one in rule.alert_context if one.path} | {one.text for one in rule.group_by}
    return named | set(rule.about.summary_attributes) | set(title_fields(rule))


def title_fields(rule: Rule) -> list[str]:
    return re.findall(r"\{([^}]+)\}", rule.alert_title)


@cache
def database() -> duckdb.DuckDBPyConnection:
    """Return a database with the lake's tables, all of them empty."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, schema in table_schemas().items():
        connection.register("empty", schema.empty_table())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM empty")  # noqa: S608
        connection.execute(f"CREATE VIEW {name}_current AS SELECT * FROM {name}")  # noqa: S608
    return connection


def columns_of(query: Query) -> set[str]:
    return {column[0] for column in database().cursor().execute(query.sql["sql"]).description or ()}


def tables_of(query: Query) -> frozenset[str]:
    names = [name + end for name in table_schemas() for end in ("", "_current")]
    found = checked(query.sql["sql"], names, connection=database()).tables
    assert found is not None
    return found


def log_types_of(one: Rule | CorrelationRule) -> set[str]:
    """Return the log types whose events a rule is about, in the end."""
    if isinstance(one, CorrelationRule):
        steps = {step.rule for correlation in one.correlations for step in correlation.steps}
        return {log_type for step in steps for log_type in log_types_of(EVERY[step])}
    read = {table for name in one.scheduled_queries for table in tables_of(CHECKOUT.queries[name])}
    read = {table.removesuffix("_current") for table in read}
    return set(one.log_types) | {log_type for log_type in packaged_schemas() if table_name(log_type) in read}


def test_the_pack_reads_and_passes_its_own_tests() -> None:
    report = run(FOLDER)
    assert report.failed == ()
    assert report.not_run == ()
    assert report.rules == len(EVERY)
    assert report.passed == report.tests


def test_the_pack_has_the_rules_that_were_promised() -> None:
    assert len(EVERY) >= LEAST


@pytest.mark.parametrize("name", EVERY, ids=id_of)
def test_a_rule_says_what_to_do_and_what_it_is_about(name: str) -> None:
    one = EVERY[name]
    about = one.about
    assert {test.expected for test in one.tests} == {True, False}
    assert len({test.name for test in one.tests}) == len(one.tests)
    assert about.display_name
    assert about.description
    assert "Wiz" in about.tags
    techniques = about.reports["MITRE ATT&CK"]
    assert techniques
    assert all(MITRE.fullmatch(one) for one in techniques)
    steps = re.findall(r"^(\d)\. ", about.runbook, re.MULTILINE)
    assert steps in (["1", "2"], ["1", "2", "3"])
    assert FINDS_TIME.search(about.runbook), "a runbook names a time window"


@pytest.mark.parametrize("name", EVERY, ids=id_of)
def test_a_runbook_names_fields_that_exist(name: str) -> None:
    one = EVERY[name]
    known = log_types_of(one)
    asked = [columns_of(CHECKOUT.queries[query]) for query in getattr(one, "scheduled_queries", ())]
    quoted = re.findall(r"`([A-Za-z_][A-Za-z_.]*)`", one.about.runbook)
    assert quoted, "a runbook names a field"
    for field in quoted:
        there = any(is_field(field, log_type) for log_type in known) or any(field in columns for columns in asked)
        assert there, f"{field} is no field of {known}"


@pytest.mark.parametrize("name", CHECKOUT.rules, ids=id_of)
def test_a_rule_names_fields_that_exist(name: str) -> None:
    rule = CHECKOUT.rules[name]
    for log_type in rule.log_types:
        assert [path for path in fields_named(rule) if not is_field(path, log_type)] == []
    for query in rule.scheduled_queries:
        assert fields_named(rule) <= columns_of(CHECKOUT.queries[query])
        for test in rule.tests:
            assert set(test.log) == columns_of(CHECKOUT.queries[query]), test.name


@pytest.mark.parametrize("name", CHECKOUT.rules, ids=id_of)
def test_events_of_tests_have_the_fields_of_their_log_type(name: str) -> None:
    rule = CHECKOUT.rules[name]
    for test in rule.tests if rule.kind is Kind.RULE else ():
        assert test.log["p_log_type"] in rule.log_types
        for field in [*test.log, *(f"{field}.{inner}" for field, value in test.log.items() for inner in inside(value))]:
            assert is_field(field, test.log["p_log_type"]), field


def inside(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


@pytest.mark.parametrize("name", SIMPLE, ids=id_of)
def test_a_title_has_no_place_for_a_null(name: str) -> None:
    rule = SIMPLE[name]
    assert rule.alert_title
    for log_type in rule.log_types:
        needed = {field.name for field in packaged_schemas()[log_type].fields if field.required}
        assert set(title_fields(rule)) <= needed


@pytest.mark.parametrize("name", CHECKOUT.rules, ids=id_of)
def test_alerts_are_grouped_by_who_or_what_they_are_about(name: str) -> None:
    rule = CHECKOUT.rules[name]
    grouped = {path.text for path in rule.group_by}
    if rule.about.lives_with_record:
        assert grouped == set()
        assert rule.about.threshold == 1
        assert "def dedup" not in CHECKOUT.sources[rule.file or ""]
    elif rule.detection is not None:
        assert "id" in grouped or grouped >= ACTOR or grouped >= {f"resolvedBy.{one}" for one in ACTOR}
    else:
        source = CHECKOUT.sources[rule.file or ""]
        assert re.search(r"^def dedup\(event\):$", source, re.MULTILINE)
        assert re.search(r"^def title\(event\):$", source, re.MULTILINE)


@pytest.mark.parametrize("name", CHECKOUT.rules, ids=id_of)
def test_actions_are_found_however_their_letters_are(name: str) -> None:
    rule = CHECKOUT.rules[name]
    if rule.detection is not None and "Wiz.Audit" in rule.log_types:
        for comparison in comparisons(rule.detection):
            if comparison.path and comparison.path.text in {"action", "status"}:
                assert comparison.condition.name.startswith("I"), comparison
                assert comparison.condition.name not in {"IsIn", "IsNotIn"}


def comparisons(expression: Expression | None) -> Iterator[Comparison]:
    if isinstance(expression, Comparison):
        yield expression
    elif isinstance(expression, Combination):
        for part in expression.parts:
            yield from comparisons(part)


@pytest.mark.parametrize("name", CHECKOUT.rules, ids=id_of)
def test_alerts_that_live_with_a_record_match_its_open_states(name: str) -> None:
    rule = CHECKOUT.rules[name]
    if not rule.about.lives_with_record:
        return
    from ocelog.detect.evaluate import RuleSet  # noqa: PLC0415  # runs the Python of rules

    rules = RuleSet(CHECKOUT)
    detector = rules.load(rule)
    for test in rule.tests:
        if test.expected:
            for status, matches in {"OPEN": True, "IN_PROGRESS": True, "RESOLVED": False, "REJECTED": False}.items():
                verdict = detector.judge(rules.event({**test.log, "status": status}, rule.log_types[0]))
                assert (verdict.matched, verdict.error) == (matches, None), status


@pytest.mark.parametrize("name", CHECKOUT.rules, ids=id_of)
def test_a_rule_bears_an_event_that_has_nothing_but_what_it_must(name: str) -> None:
    from ocelog.detect.evaluate import RuleSet  # noqa: PLC0415  # runs the Python of rules

    rule = CHECKOUT.rules[name]
    rules = RuleSet(CHECKOUT)
    detector = rules.load(rule)
    for test in rule.tests:
        bare = {
            key: value if key in {"id", "action", "timestamp", "createdAt"} else None for key, value in test.log.items()
        }
        verdict = detector.judge(rules.event(bare, rule.log_types[0] if rule.log_types else None))
        assert verdict.error is None
        assert verdict.raised == ()
        assert "None" not in verdict.title
        assert "null" not in verdict.title


@pytest.mark.parametrize("name", CHECKOUT.correlations, ids=id_of)
def test_a_correlation_stands_on_rules_that_are_on(name: str) -> None:
    correlation = CHECKOUT.correlations[name]
    for each in correlation.correlations:
        for step in each.steps:
            assert EVERY[step.rule].about.enabled or not correlation.about.enabled
            for log_type in log_types_of(EVERY[step.rule]):
                matched = {field for one in each.transitions for pair in one.match for field in pair}
                matched |= {field for pairs in each.criteria.values() for _, field in pairs}
                assert [field for field in matched if not is_field(field, log_type)] == []


@pytest.mark.parametrize("name", CHECKOUT.queries)
def test_a_query_is_one_that_may_run_and_says_which_row_it_is_about(name: str) -> None:
    query = CHECKOUT.queries[name]
    assert tables_of(query)
    assert {"p_row_id", "p_event_time", "p_source_id"} <= columns_of(query)
    assert any(name in rule.scheduled_queries for rule in CHECKOUT.rules.values())
    assert query.description


def test_each_pack_turns_on_what_its_rules_need() -> None:
    known = {*EVERY, *CHECKOUT.queries, *CHECKOUT.globals}
    themes = {name: pack for name, pack in CHECKOUT.packs.items() if name != DEFAULT}
    assert {one for pack in themes.values() for one in pack.ids} == known
    for pack in CHECKOUT.packs.values():
        assert len(set(pack.ids)) == len(pack.ids)
        for one in pack.ids:
            assert one in known
            if (rule := CHECKOUT.rules.get(one)) is None:
                continue
            assert set(rule.scheduled_queries) <= set(pack.ids)
            if rule.file:
                needed = {helper for helper in CHECKOUT.globals if helper in CHECKOUT.sources[rule.file]}
                assert needed <= set(pack.ids)


def test_the_default_pack_is_what_is_enabled() -> None:
    ids = {one for one in CHECKOUT.packs[DEFAULT].ids if one not in CHECKOUT.globals}
    on = {name for name, rule in EVERY.items() if rule.about.enabled}
    assert ids == on | {name for name, query in CHECKOUT.queries.items() if query.enabled}


def test_a_rule_lies_in_the_folder_of_its_theme() -> None:
    for name, rule in EVERY.items():
        _, _, theme, _ = name.split(".")
        assert Path(rule.place.file).parent.name == theme.lower()
        assert theme in rule.about.tags
