"""What a checkout of rules consists of: rules of each kind, and what they stand on, as values."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct, field

from ocelog.detect.conditions import Expression
from ocelog.detect.paths import Path
from ocelog.model import Severity

SUPPRESSED = "SKIP"
"""A destination that stands for an empty list of them, in Panther as here."""
_PLAIN = "sql"
"""The dialect of plain SQL."""


class Kind(StrEnum):
    """What asks the question, and of what."""

    RULE = "rule"
    SCHEDULED_RULE = "scheduled_rule"
    CORRELATION_RULE = "correlation_rule"


class Status(StrEnum):
    """How far a rule has come; packs leave out those that are not stable."""

    STABLE = "stable"
    EXPERIMENTAL = "experimental"
    DEPRECATED = "deprecated"


class Place(Struct, frozen=True, order=True):
    """A line of a file; `file` is relative to the root of the checkout."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Mock(Struct, frozen=True, kw_only=True):
    """What a name of the rule's module answers during a test."""

    name: str
    answer: Any


class RuleTest(Struct, frozen=True, kw_only=True):
    """An event, and what the rule must say of it."""

    name: str
    expected: bool
    log: Mapping[str, Any]
    mocks: tuple[Mock, ...] = ()
    destinations: tuple[str, ...] | None = None
    """Where the alert must go; None: the test does not say."""
    place: Place


class DynamicSeverity(Struct, frozen=True, kw_only=True):
    """The severity that the first of these whose conditions are all true gives."""

    severity: Severity
    conditions: Expression


class ContextEntry(Struct, frozen=True, kw_only=True):
    """A key of an alert's context, and what stands there: the value at a path, or always the same."""

    name: str
    path: Path | None = None
    value: Any = None


class About(Struct, frozen=True, kw_only=True):
    """What every rule says of itself and of its alerts, whatever its kind."""

    id: str
    enabled: bool = True
    severity: Severity = Severity.INFO
    display_name: str = ""
    description: str = ""
    reference: str = ""
    runbook: str = ""
    dedup_minutes: int = 60
    threshold: int = 1
    tags: tuple[str, ...] = ()
    reports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    summary_attributes: tuple[str, ...] = ()
    output_ids: tuple[str, ...] = ()
    create_alert: bool = True
    """False: a signal, whose matches are kept and tell nobody."""
    lives_with_record: bool = False
    """Whether each record has one alert, which is resolved and reopened with it; nothing is grouped."""
    status: Status = Status.STABLE
    place: Place

    @property
    def name(self) -> str:
        """What people call it."""
        return self.display_name or self.id


class Rule(Struct, frozen=True, kw_only=True):
    """A question about one event, or about one row of a scheduled query: in Python, or as match expressions."""

    kind: Kind
    about: About
    log_types: tuple[str, ...] = ()
    scheduled_queries: tuple[str, ...] = ()
    file: str | None = None
    """Its Python file, relative to the root of the checkout."""
    detection: Expression | None = None
    """What a simple detection asks."""
    inline_filters: Expression | None = None
    dynamic_severities: tuple[DynamicSeverity, ...] = ()
    alert_title: str = ""
    alert_context: tuple[ContextEntry, ...] = ()
    group_by: tuple[Path, ...] = ()
    base: str | None = None
    """The rule that it is derived from."""
    base_files: tuple[str, ...] = ()
    """YAML files of the rules that it is derived from."""
    tests: tuple[RuleTest, ...] = ()

    @property
    def id(self) -> str:
        """Its name for programs."""
        return self.about.id

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.about.place


class Derived(Struct, frozen=True, kw_only=True):
    """A rule that takes another's logic, and replaces some of its fields whole."""

    id: str
    base: str
    about: Mapping[str, Any]
    """Fields of About."""
    rule: Mapping[str, Any]
    """Fields of Rule."""
    place: Place


class Schedule(Struct, frozen=True, kw_only=True):
    """When something runs: by a cron expression in UTC, or every so many minutes."""

    cron: str | None = None
    rate_minutes: int | None = None
    timeout_minutes: int | None = None


class CorrelationStep(Struct, frozen=True, kw_only=True):
    """A rule whose matches a correlation wants, or wants not to be there."""

    id: str
    rule: str
    least: int = 1
    absent: bool = False


class Transition(Struct, frozen=True, kw_only=True):
    """What two steps of a sequence must have in common, and how soon the second must follow."""

    id: str
    start: str
    end: str
    within_minutes: int | None = None
    match: tuple[tuple[str, str], ...] = ()
    """Fields of the first and of the second that must have a value in common."""


class Correlation(Struct, frozen=True, kw_only=True):
    """Which matches of other rules belong together."""

    steps: tuple[CorrelationStep, ...]
    is_sequence: bool
    transitions: tuple[Transition, ...] = ()
    criteria: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Of a group: name -> (step, field), all of which must have a value in common."""
    least_steps: int | None = None
    """Of a group: how many of its steps are enough; None: all."""
    lookback_minutes: int = 15
    newest_first: bool = False
    schedule: Schedule


class RuleOutput(Struct, frozen=True, kw_only=True):
    """The matches of one step in a test: field -> value -> when, in seconds."""

    step: str
    matches: Mapping[str, Mapping[str, tuple[float, ...]]]


class CorrelationTest(Struct, frozen=True, kw_only=True):
    """Matches, and whether the correlation must find something in them."""

    name: str
    expected: bool
    outputs: tuple[RuleOutput, ...]
    place: Place


class CorrelationRule(Struct, frozen=True, kw_only=True):
    """A question about the matches of other rules."""

    about: About
    correlations: tuple[Correlation, ...]
    tests: tuple[CorrelationTest, ...] = ()

    @property
    def id(self) -> str:
        """Its name for programs."""
        return self.about.id

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.about.place


class Query(Struct, frozen=True, kw_only=True):
    """SQL that is saved by name, and run by hand or on a schedule."""

    name: str
    sql: Mapping[str, str]
    """Dialect -> text; the dialect is `sql` for plain SQL, else `athena`, `snowflake`, `databricks`."""
    description: str = ""
    tags: tuple[str, ...] = ()
    lookback_seconds: int | None = None
    schedule: Schedule | None = None
    enabled: bool = True
    email: Mapping[str, Any] = field(default_factory=dict)
    place: Place

    @property
    def text(self) -> str:
        """The SQL that is run: plain SQL, else that of another engine, which may be plain too."""
        return self.sql.get(_PLAIN) or next(iter(self.sql.values()), "")

    @property
    def is_foreign(self) -> bool:
        """Whether it was written for another engine alone."""
        return _PLAIN not in self.sql


class Global(Struct, frozen=True, kw_only=True):
    """A helper module; rules import it by its id."""

    id: str
    file: str
    description: str = ""
    place: Place


class ModelMapping(Struct, frozen=True, kw_only=True):
    """A field of the unified data model, and where a log type keeps it."""

    name: str
    path: Path | None = None
    method: str | None = None


class DataModel(Struct, frozen=True, kw_only=True):
    """Where log types keep the fields of the unified data model."""

    id: str
    enabled: bool
    log_types: tuple[str, ...]
    mappings: tuple[ModelMapping, ...]
    file: str | None = None
    display_name: str = ""
    place: Place


class Pack(Struct, frozen=True, kw_only=True):
    """Rules, helpers and queries that are turned on together."""

    id: str
    ids: tuple[str, ...]
    display_name: str = ""
    description: str = ""
    place: Place


class LookupTable(Struct, frozen=True, kw_only=True):
    """Rows that rules look up by their primary key."""

    name: str
    enabled: bool
    primary_key: str
    file: str | None = None
    """None: the rows come from outside, and are not in the checkout."""
    selectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Log type -> paths whose values are looked up, so that p_enrichment has the rows."""
    description: str = ""
    place: Place


class NotRun(Struct, frozen=True, kw_only=True):
    """What is in a checkout and is not run, with the reason."""

    kind: str
    id: str
    reason: str
    place: Place


Item: TypeAlias = Rule | Derived | CorrelationRule | Query | Global | DataModel | Pack | LookupTable | NotRun
