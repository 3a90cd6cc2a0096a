"""How a YAML file of a checkout reads: a rule, or what rules stand on, with `file:line` of whatever is wrong."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from ocelog.detect.conditions import parse_expressions, parse_key
from ocelog.detect.cron import check_cron
from ocelog.detect.document import parse
from ocelog.detect.event import instant
from ocelog.detect.paths import Path, parse_path
from ocelog.detect.rule import (
    About,
    ContextEntry,
    Correlation,
    CorrelationRule,
    CorrelationStep,
    CorrelationTest,
    DataModel,
    Derived,
    DynamicSeverity,
    Global,
    Item,
    Kind,
    LookupTable,
    Mock,
    ModelMapping,
    NotRun,
    Pack,
    Place,
    Query,
    Rule,
    RuleOutput,
    RuleTest,
    Schedule,
    Status,
    Transition,
)
from ocelog.errors import RuleFileError
from ocelog.model import Severity
from ocelog.suggest import suggest
from ocelog.yaml_nodes import Node, NodeMapping

_NOT_USED = ("CreatedBy", "BaseVersion")
"""Keys that Panther and its tool write into items of any kind: who made it, and from which version it was cloned."""
_ABOUT = (
    "AnalysisType",
    "RuleID",
    "Enabled",
    "Severity",
    "Description",
    "DisplayName",
    "Tags",
    "Reports",
    "Reference",
    "Runbook",
    "SummaryAttributes",
    "OutputIds",
    "CreateAlert",
    "Status",
    *_NOT_USED,
    "OnlyUseBaseRiskScore",
    "Tests",
)
_RULE = (
    *_ABOUT,
    "Filename",
    "Detection",
    "LogTypes",
    "ScheduledQueries",
    "DedupPeriodMinutes",
    "Threshold",
    "InlineFilters",
    "DynamicSeverities",
    "AlertTitle",
    "AlertContext",
    "GroupBy",
    "BaseDetection",
    "AlertLivesWithRecord",
)
_MOST_MINUTES = 60 * 24 * 365
_DIALECTS: Mapping[str, str] = {
    "Query": "sql",
    "AthenaQuery": "athena",
    "SnowflakeQuery": "snowflake",
    "DatabricksQuery": "databricks",
}


@lru_cache(maxsize=512)
def parse_item(text: str, file: str) -> Item:
    """Read `text`, the file `file` of a checkout. Raises RuleFileError, whose message opens with `file:line:`.

    What was read is kept: most of a folder is as it was when a command, or the next look at the folder, reads it again.
    """
    top = parse(text, file).mapping()
    kind = top.needs("AnalysisType").one_of(_KINDS, "AnalysisType")
    return _KINDS[kind](top)


def read_each(text: str, file: str) -> tuple[dict[str, Node], list[str]]:
    """Return the keys of the file of a rule that read by themselves, and what is wrong with each of the others.

    For a file that does not read: `parse_item` tells only what it meets first.
    """
    good, wrong = dict[str, Node](), list[str]()
    try:
        top = parse(text, file).mapping()
    except RuleFileError as error:
        return good, [str(error)]
    readers = {**_about_readers(), **_rule_readers()}
    for key, (_, node) in top.pairs():
        try:
            if key in readers and not node.is_null:
                readers[key][1](node)
            good[key] = node
        except RuleFileError as error:
            wrong.append(str(error))
    return good, wrong


def _place(node: Node | NodeMapping) -> Place:
    node = node.place if isinstance(node, NodeMapping) else node
    return Place(node.origin, node.line)


def _text(node: Node | None) -> str:
    return node.text().strip() if node else ""


def _truth(node: Node | None, *, default: bool) -> bool:
    return node.truth() if node else default


def _texts(node: Node | None) -> tuple[str, ...]:
    return node.texts() if node else ()


def _severity(node: Node) -> Severity:
    name = node.text().upper()
    if name not in Severity.__members__:
        node.one_of([one.capitalize() for one in Severity], "severity")
    return Severity(name)


def _file(node: Node) -> str:
    """Return the path of the file that `node` names, relative to the checkout; it stands beside the YAML file."""
    folder = node.origin.rpartition("/")[0]
    parts: list[str] = folder.split("/") if folder else []
    for part in node.filled().split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part == ".." or not part:
            raise node.wrong(f"{node.text()!r} leads out of the checkout")
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _about_readers() -> Mapping[str, tuple[str, Callable[[Node], Any]]]:
    """Return, by key, which field of About it is, and how it reads."""
    return {
        "Enabled": ("enabled", Node.truth),
        "Severity": ("severity", _severity),
        "DisplayName": ("display_name", _text),
        "Description": ("description", _text),
        "Reference": ("reference", _text),
        "Runbook": ("runbook", _text),
        "DedupPeriodMinutes": ("dedup_minutes", lambda node: node.whole(0, _MOST_MINUTES)),
        "Threshold": ("threshold", lambda node: max(1, node.whole(0, 1_000_000))),
        "Tags": ("tags", _texts),
        "Reports": ("reports", _reports),
        "SummaryAttributes": ("summary_attributes", _texts),
        "OutputIds": ("output_ids", _texts),
        "CreateAlert": ("create_alert", Node.truth),
        "AlertLivesWithRecord": ("lives_with_record", Node.truth),
        "Status": ("status", _status),
    }


def _about_fields(top: NodeMapping) -> dict[str, Any]:
    """Return the fields of About that are there."""
    fields: dict[str, Any] = {}
    for key, (name, reader) in _about_readers().items():
        if (node := top.get(key)) is not None:
            fields[name] = reader(node)
    return fields


def _reports(node: Node) -> Mapping[str, tuple[str, ...]]:
    return {name: value.texts() for name, (_, value) in node.mapping().pairs()}


def _status(node: Node) -> Status:
    """Return what is meant; a word of one's own, such as `In review`, says nothing of whether packs take the rule."""
    name = node.text().strip().lower()
    if name not in {"experimental", "deprecated", "beta"} and suggest(name, ("experimental", "deprecated")):
        node.one_of(("Experimental", "Deprecated"), "status")
    return (
        Status.EXPERIMENTAL
        if name in {"experimental", "beta"}
        else (Status.DEPRECATED if name == "deprecated" else Status.STABLE)
    )


def _about(top: NodeMapping) -> About:
    top.needs("Enabled")
    top.needs("Severity")
    return About(id=top.needs("RuleID").name(), place=_place(top), **_about_fields(top))


def _rule_readers() -> Mapping[str, tuple[str, Callable[[Node], Any]]]:
    """Return, by key, which field of Rule it is, and how it reads."""
    return {
        "LogTypes": ("log_types", _texts),
        "ScheduledQueries": ("scheduled_queries", _texts),
        "InlineFilters": ("inline_filters", parse_expressions),
        "DynamicSeverities": ("dynamic_severities", _dynamic_severities),
        "AlertTitle": ("alert_title", _title_template),
        "AlertContext": ("alert_context", _alert_context),
        "GroupBy": ("group_by", _group_by),
        "Tests": ("tests", _tests),
    }


def _rule_fields(top: NodeMapping) -> dict[str, Any]:
    """Return the fields of Rule, besides what it asks, that are there."""
    fields: dict[str, Any] = {}
    for key, (name, reader) in _rule_readers().items():
        if (node := top.get(key)) is not None:
            fields[name] = reader(node)
    return fields


def _rule(top: NodeMapping) -> Item:
    top.only(_RULE)
    if (base := top.get("BaseDetection")) is not None:
        return _derived(top, base.filled())
    about = _about(top)
    file, detection = top.get("Filename"), top.get("Detection")
    if (file is None) == (detection is None):
        raise top.wrong("expected one of `Filename` and `Detection`")
    fields = _rule_fields(top)
    if not fields.get("log_types"):
        raise top.wrong("`LogTypes` is missing")
    if "scheduled_queries" in fields:
        raise top.needs("ScheduledQueries").wrong("only a scheduled_rule has `ScheduledQueries`")
    if about.lives_with_record:
        _check_lives_with_record(top)
    return Rule(
        kind=Kind.RULE,
        about=about,
        file=_file(file) if file else None,
        detection=parse_expressions(detection) if detection else None,
        **fields,
    )


def _check_lives_with_record(top: NodeMapping) -> None:
    """Refuse what contradicts one alert per record, which is opened and resolved by the record's own states."""
    excluded = "and `AlertLivesWithRecord` exclude each other: each record has its own alert"
    if (group := top.get("GroupBy")) is not None:
        raise group.wrong(f"`GroupBy` {excluded}")
    if (threshold := top.get("Threshold")) is not None and threshold.whole(0, 1_000_000) > 1:
        raise threshold.wrong(f"`Threshold` {excluded}")


def _scheduled_rule(top: NodeMapping) -> Rule:
    top.only(_RULE)
    if (lives := top.get("AlertLivesWithRecord")) is not None:
        raise lives.wrong("only a rule has `AlertLivesWithRecord`: a row of a query is no record")
    fields = _rule_fields(top)
    if not fields.get("scheduled_queries"):
        raise top.wrong("`ScheduledQueries` is missing")
    if (filters := top.get("InlineFilters")) is not None:
        raise filters.wrong("only a rule has `InlineFilters`")
    return Rule(kind=Kind.SCHEDULED_RULE, about=_about(top), file=_file(top.needs("Filename")), **fields)


def _derived(top: NodeMapping, base: str) -> Derived:
    fields = _rule_fields(top)
    for fixed in ("LogTypes", "Filename", "AlertLivesWithRecord"):
        if (node := top.get(fixed)) is not None:
            raise node.wrong(f"a derived rule takes `{fixed}` from its base; it cannot replace it")
    return Derived(id=top.needs("RuleID").name(), base=base, about=_about_fields(top), rule=fields, place=_place(top))


def _tests(node: Node) -> tuple[RuleTest, ...]:
    return tuple(_test(item) for item in node.items())


def _test(node: Node) -> RuleTest:
    entry = node.mapping()
    entry.only(("Name", "ExpectedResult", "ExpectedDestinations", "Log", "Mocks", "LogType"), " of a test")
    log = entry.needs("Log").value(last_wins=True)
    if not isinstance(log, dict):
        raise entry.needs("Log").wrong("expected a mapping: the event that the rule is shown")
    destinations = entry.raw("ExpectedDestinations")
    mocks = entry.get("Mocks")
    return RuleTest(
        name=entry.needs("Name").text(),
        expected=entry.needs("ExpectedResult").truth(),
        log=log,
        mocks=tuple(_mock(item) for item in mocks.items()) if mocks else (),
        destinations=destinations.texts() if destinations is not None and not destinations.is_null else None,
        place=_place(node),
    )


def _mock(node: Node) -> Mock:
    entry = node.mapping()
    entry.only(("objectName", "returnValue"), " of a mock")
    answer = entry.raw("returnValue")
    return Mock(name=entry.needs("objectName").filled(), answer=answer.value() if answer else None)


def _dynamic_severities(node: Node) -> tuple[DynamicSeverity, ...]:
    found = []
    for item in node.items():
        entry = item.mapping()
        entry.only(("ChangeTo", "Conditions"), " of a dynamic severity")
        severity, conditions = _severity(entry.needs("ChangeTo")), parse_expressions(entry.needs("Conditions"))
        found.append(DynamicSeverity(severity=severity, conditions=conditions))
    return tuple(found)


def _title_template(node: Node) -> str:
    text = node.text().strip()
    for piece in text.split("{")[1:]:
        inner, closed, _ = piece.partition("}")
        if closed:
            _parsed_path(node, inner)
    return text


def _parsed_path(node: Node, text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError as error:
        raise node.wrong(str(error)) from None


def _alert_context(node: Node) -> tuple[ContextEntry, ...]:
    found = []
    for item in node.items():
        entry = item.mapping()
        entry.only(("KeyName", "KeyValue"), " of an alert context")
        value = entry.needs("KeyValue")
        name = entry.needs("KeyName").filled()
        path = parse_key(value.mapping()) if value.is_mapping else None
        if path is None and value.is_mapping and (fixed := value.mapping().raw("Value")) is not None:
            value = fixed
        found.append(ContextEntry(name=name, path=path, value=None if path else value.value()))
    return tuple(found)


def _group_by(node: Node) -> tuple[Path, ...]:
    found = []
    for item in node.items():
        path = parse_key(item.mapping()) if item.is_mapping else _parsed_path(item, item.text())
        if path is None:
            raise item.wrong("which key? expected Key, DeepKey or KeyPath")
        found.append(path)
    return tuple(found)


def _schedule(node: Node) -> Schedule:
    entry = node.mapping()
    entry.only(("CronExpression", "RateMinutes", "TimeoutMinutes"), " of a schedule")
    cron, rate, timeout = (entry.get(key) for key in ("CronExpression", "RateMinutes", "TimeoutMinutes"))
    if cron is not None and rate is not None:
        # Panther's template has both keys, and the one that does not count is empty.
        cron, rate = cron if cron.text().strip() else None, rate if rate.value() != 0 else None
    if (cron is None) == (rate is None):
        raise entry.wrong("expected one of `CronExpression` and `RateMinutes`")
    minutes = timeout.whole(1, _MOST_MINUTES) if timeout else None
    if cron is not None:
        try:
            check_cron(cron.text())
        except ValueError as error:
            raise cron.wrong(str(error)) from None
        return Schedule(cron=cron.text(), timeout_minutes=minutes)
    assert rate is not None  # noqa: S101  # one of the two is there
    every = rate.whole(2, _MOST_MINUTES)
    if timeout is not None and minutes is not None and every < minutes:
        raise timeout.wrong(f"`TimeoutMinutes` ({minutes}) must not exceed `RateMinutes` ({every})")
    return Schedule(rate_minutes=every, timeout_minutes=minutes)


def _correlation_rule(top: NodeMapping) -> CorrelationRule:
    top.only((*_ABOUT, "Detection", "DedupPeriodMinutes", "Threshold"))
    detection = top.needs("Detection")
    parts = detection.items() if detection.is_list else [detection]
    if not parts:
        raise detection.wrong("expected a group or a sequence, found an empty list")
    correlations = tuple(_correlation(part.mapping()) for part in parts)
    known = {step.id for correlation in correlations for step in correlation.steps}
    tests = top.get("Tests")
    return CorrelationRule(
        about=_about(top),
        correlations=correlations,
        tests=tuple(_correlation_test(item, known) for item in tests.items()) if tests else (),
    )


def _correlation(entry: NodeMapping) -> Correlation:
    entry.only(
        (
            "Group",
            "Sequence",
            "Transitions",
            "MatchCriteria",
            "MinMatchCount",
            "LookbackWindowMinutes",
            "EventEvaluationOrder",
            "Schedule",
        ),
        " of a correlation",
    )
    group, sequence = entry.get("Group"), entry.get("Sequence")
    if (listed := group or sequence) is None or (group and sequence):
        raise entry.wrong("expected one of `Group` and `Sequence`")
    steps = tuple(_step(item) for item in listed.items())
    if len(ids := {step.id for step in steps}) < len(steps) or not steps:
        raise listed.wrong("expected at least one step, each with an ID of its own")
    if all(step.absent for step in steps):
        raise listed.wrong("at least one step must not be `Absence: true`")
    transitions, criteria = entry.get("Transitions"), entry.get("MatchCriteria")
    if transitions is not None and group is not None:
        raise transitions.wrong("a group has `MatchCriteria`; `Transitions` belong to a sequence")
    keys = ("MinMatchCount", "LookbackWindowMinutes", "EventEvaluationOrder")
    least, lookback, order = (entry.get(key) for key in keys)
    return Correlation(
        steps=steps,
        is_sequence=sequence is not None,
        transitions=tuple(_transition(item, ids) for item in transitions.items()) if transitions else (),
        criteria=_criteria(criteria, ids) if criteria else {},
        least_steps=least.whole(1, len(steps)) if least else None,
        lookback_minutes=lookback.whole(1, 21_600) if lookback else 15,
        newest_first=bool(order)
        and order is not None
        and order.one_of(("Chronological", "ReverseChronological"), "order") == "ReverseChronological",
        schedule=_schedule(entry.needs("Schedule")),
    )


def _step(node: Node) -> CorrelationStep:
    entry = node.mapping()
    entry.only(("ID", "RuleID", "MinMatchCount", "Absence"), " of a step")
    rule = entry.needs("RuleID").name()
    given, least, absent = (entry.get(key) for key in ("ID", "MinMatchCount", "Absence"))
    return CorrelationStep(
        id=given.name() if given else rule,
        rule=rule,
        least=least.whole(1, 1_000_000) if least else 1,
        absent=_truth(absent, default=False),
    )


def _transition(node: Node, steps: set[str]) -> Transition:
    entry = node.mapping()
    entry.only(("ID", "From", "To", "WithinTimeFrameMinutes", "Match"), " of a transition")
    start, end = (entry.needs(key).one_of(steps, "step") for key in ("From", "To"))
    name, within, match = (entry.get(key) for key in ("ID", "WithinTimeFrameMinutes", "Match"))
    return Transition(
        id=name.text() if name else f"{start} to {end}",
        start=start,
        end=end,
        within_minutes=within.whole(1, _MOST_MINUTES) if within else None,
        match=tuple(_matched_fields(item) for item in match.items()) if match else (),
    )


def _matched_fields(node: Node) -> tuple[str, str]:
    entry = node.mapping()
    entry.only(("On", "From", "To"), " of a match")
    if (on := entry.get("On")) is not None:
        return on.filled(), on.filled()
    return entry.needs("From").filled(), entry.needs("To").filled()


def _criteria(node: Node, steps: set[str]) -> Mapping[str, tuple[tuple[str, str], ...]]:
    criteria: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, (_, value) in node.mapping().pairs():
        pairs = []
        for item in value.items():
            entry = item.mapping()
            entry.only(("GroupID", "Match"), " of a match criterion")
            pairs.append((entry.needs("GroupID").one_of(steps, "step"), entry.needs("Match").filled()))
        criteria[name] = tuple(pairs)
    return criteria


def _correlation_test(node: Node, steps: set[str]) -> CorrelationTest:
    entry = node.mapping()
    entry.only(("Name", "ExpectedResult", "RuleOutputs"), " of a test of a correlation")
    outputs = entry.get("RuleOutputs")
    return CorrelationTest(
        name=entry.needs("Name").text(),
        expected=entry.needs("ExpectedResult").truth(),
        outputs=tuple(_rule_output(item, steps) for item in outputs.items()) if outputs else (),
        place=_place(node),
    )


def _rule_output(node: Node, steps: set[str]) -> RuleOutput:
    entry = node.mapping()
    entry.only(("ID", "Matches"), " of a rule's output")
    matches = entry.get("Matches")
    return RuleOutput(
        step=entry.needs("ID").one_of(steps, "step"),
        matches={
            name: {key: tuple(map(_seconds, times.items())) for key, (_, times) in values.mapping().pairs()}
            for name, (_, values) in matches.mapping().pairs()
        }
        if matches
        else {},
    )


def _seconds(node: Node) -> float:
    """Return the instant here: a date and time, or a number of minutes from some start."""
    value = node.value()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) * 60
    try:
        return instant(node.text()).timestamp()
    except ValueError as error:
        raise node.wrong(f"{error}; expected one, or a number of minutes") from None


def _query(top: NodeMapping) -> Query:
    scheduled = top.needs("AnalysisType").text() == "scheduled_query"
    top.only(
        (
            "AnalysisType",
            "QueryName",
            "Enabled",
            "Description",
            "Tags",
            "Lookback",
            "LookbackWindowSeconds",
            *_DIALECTS,
            *(("Schedule", "EmailConfig") if scheduled else ("Schedule",)),
            *_NOT_USED,
        )
    )
    sql = {dialect: node.text() for key, dialect in _DIALECTS.items() if (node := top.get(key)) is not None}
    if not sql:
        raise top.wrong(f"expected one of {', '.join(f'`{key}`' for key in _DIALECTS)}")
    lookback, window, email = (top.get(key) for key in ("Lookback", "LookbackWindowSeconds", "EmailConfig"))
    enabled = _truth(top.get("Enabled"), default=not scheduled)
    # One that is not enabled need not say when it would run.
    schedule = top.needs("Schedule") if scheduled and enabled else top.get("Schedule")
    return Query(
        name=top.needs("QueryName").name(),
        sql=sql,
        description=_text(top.get("Description")),
        tags=_texts(top.get("Tags")),
        lookback_seconds=window.whole(1, 60 * _MOST_MINUTES) if window and _truth(lookback, default=True) else None,
        schedule=_schedule(schedule) if scheduled and schedule else None,
        enabled=enabled,
        email=email.value() if email is not None and email.is_mapping else {},
        place=_place(top),
    )


def _global(top: NodeMapping) -> Global:
    top.only(("AnalysisType", "GlobalID", "Filename", "Description", "Tags", *_NOT_USED))
    return Global(
        id=top.needs("GlobalID").name(),
        file=_file(top.needs("Filename")),
        description=_text(top.get("Description")),
        place=_place(top),
    )


def _data_model(top: NodeMapping) -> DataModel:
    top.only(("AnalysisType", "DataModelID", "Enabled", "LogTypes", "Mappings", "DisplayName", "Filename", *_NOT_USED))
    file = top.get("Filename")
    mappings = tuple(_model_mapping(item) for item in top.needs("Mappings").items())
    if file is None and any(mapping.method for mapping in mappings):
        raise top.wrong("`Filename` is missing: a mapping names a method")
    return DataModel(
        id=top.needs("DataModelID").name(),
        enabled=_truth(top.get("Enabled"), default=True),
        log_types=top.needs("LogTypes").texts(),
        mappings=mappings,
        file=_file(file) if file else None,
        display_name=_text(top.get("DisplayName")),
        place=_place(top),
    )


def _model_mapping(node: Node) -> ModelMapping:
    entry = node.mapping()
    entry.only(("Name", "Path", "Method"), " of a mapping")
    path, method = entry.get("Path"), entry.get("Method")
    if (path is None) == (method is None):
        raise entry.wrong("expected one of `Path` and `Method`")
    return ModelMapping(
        name=entry.needs("Name").filled(),
        path=_parsed_path(path, path.text()) if path else None,
        method=method.filled() if method else None,
    )


def _pack(top: NodeMapping) -> Pack:
    top.only(("AnalysisType", "PackID", "PackDefinition", "Description", "DisplayName", *_NOT_USED))
    definition = top.needs("PackDefinition").mapping()
    definition.only(("IDs",), " of a pack")
    return Pack(
        id=top.needs("PackID").name(),
        ids=definition.needs("IDs").texts(),
        display_name=_text(top.get("DisplayName")),
        description=_text(top.get("Description")),
        place=_place(top),
    )


def _lookup_table(top: NodeMapping) -> LookupTable:
    top.only(
        (
            "AnalysisType",
            "LookupName",
            "Enabled",
            "Filename",
            "Refresh",
            "Schema",
            "LogTypeMap",
            "Schedule",
            *_DIALECTS,
            "Indicators",
            "Validations",
            "Description",
            "Reference",
            "Tags",
            *_NOT_USED,
        )
    )
    key_map = top.needs("LogTypeMap").mapping()
    key_map.only(("PrimaryKey", "AssociatedLogTypes"), " of LogTypeMap")
    selectors: dict[str, tuple[str, ...]] = {}
    if (associated := key_map.get("AssociatedLogTypes")) is not None:
        for item in associated.items():
            entry = item.mapping()
            entry.only(("LogType", "Selectors"), " of an associated log type")
            named = entry.get("Selectors")
            paths = named.items() if named else []
            selectors[entry.needs("LogType").filled()] = tuple(_parsed_path(one, one.text()).text for one in paths)
    file = top.get("Filename")
    return LookupTable(
        name=top.needs("LookupName").name(),
        enabled=_truth(top.get("Enabled"), default=True),
        primary_key=key_map.needs("PrimaryKey").filled(),
        file=_file(file) if file else None,
        selectors=selectors,
        description=_text(top.get("Description")),
        place=_place(top),
    )


def _not_run(id_keys: tuple[str, ...], reason: str) -> Callable[[NodeMapping], NotRun]:
    def read(top: NodeMapping) -> NotRun:
        found = [node.text() for key in id_keys if (node := top.get(key)) is not None]
        place = _place(top)
        kind = top.needs("AnalysisType").text()
        return NotRun(kind=kind, id=found[0] if found else place.file, reason=reason, place=place)

    return read


_KINDS: Mapping[str, Callable[[NodeMapping], Item]] = {
    "rule": _rule,
    "scheduled_rule": _scheduled_rule,
    "correlation_rule": _correlation_rule,
    "scheduled_query": _query,
    "saved_query": _query,
    "global": _global,
    "datamodel": _data_model,
    "pack": _pack,
    "lookup_table": _lookup_table,
    "policy": _not_run(("PolicyID",), "a policy judges cloud resources, which Ocelog does not collect"),
    "scheduled_prompt": _not_run(
        ("PromptID", "PromptName", "QueryName", "ID", "RuleID"),
        "a scheduled prompt needs an AI service, which Ocelog does not have",
    ),
}
