"""Rules: what runs and why, their tests, and what one would have said of the past."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ocelog.app.rule_folders import rule_folders
from ocelog.app.rule_folders.rule_folders import ListedRule
from ocelog.app.rules import rule_showing
from ocelog.app.search.queries import Stop
from ocelog.console import trying
from ocelog.console.api.caller import Admin, Analyst, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.values import Line, Name, Row, plain, row, written
from ocelog.console.asking import answered
from ocelog.detect.rule import Kind
from ocelog.detect.rule import Query as RuleQuery
from ocelog.installation.opening import Installation
from ocelog.times import from_us
from ocelog.units import instant

router = APIRouter(prefix="/rules", tags=["Rules"])
Words = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


class Rule(BaseModel):
    """A rule, a correlation or a scheduled query."""

    id: str
    title: str
    kind: str
    severity: str | None
    description: str
    folder: str
    packs: list[str]
    log_types: list[str]
    status: str = Field(description="`on`, `off`, `suspended`, and so on.")
    why: str = Field(description="Why it is so.")
    enabled: bool


class RuleFiles(Rule):
    """A rule with its files."""

    runbook: str
    files: dict[str, str]


class RuleEdit(BaseModel):
    """What to change of a rule."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool


class RulesEdit(BaseModel):
    """Rules and packs to be turned on or off."""

    model_config = ConfigDict(extra="forbid")
    names: list[Line] = Field(
        min_length=1, max_length=500, description="Ids of rules and packs, or patterns of ids such as `Acme.*`."
    )
    enabled: bool


class SwitchedRules(BaseModel):
    """What was turned on or off."""

    rules: list[str]
    packs: list[str]
    living: list[str] = Field(description="Those of them, or in these packs, whose alerts live with a record.")


class TestFailure(BaseModel):
    """A test that failed."""

    rule: str
    test: str | None
    why: str


class TestsNotRun(BaseModel):
    """What was not run."""

    rule: str
    why: str


class TestReport(BaseModel):
    """What came of the tests of a rule."""

    rules: int
    tests: int
    passed: int
    failed: list[TestFailure]
    not_run: list[TestsNotRun]


class TrialRequest(BaseModel):
    """Over which past a rule is tried."""

    model_config = ConfigDict(extra="forbid")
    since: str = Field(default="7d", max_length=50, description="An instant, or how long ago: at most 30d.")


class TrialDay(BaseModel):
    """What was judged and what matched on a day, in UTC."""

    day: date
    events: int
    matches: int


class Sample(BaseModel):
    """A match, as it would be told."""

    at: AwareDatetime
    log_type: str
    row_id: str
    title: str
    severity: str
    dedup: str
    context: Any
    summary: str = Field(description="What the event says, in one line; empty: it is in no table of a log type.")


class WouldBeAlert(BaseModel):
    """An alert that people would have been told of."""

    opened_at: AwareDatetime
    severity: str
    title: str
    dedup: str = Field(description="What its matches have in common.")
    summary: str = Field(description="What its first event says, in one line; empty: as of a sample.")
    matches: int


class UnmatchedRule(BaseModel):
    """A rule that a correlation names, and that has no match in that time."""

    rule: str
    status: str = Field(description="Empty: there is no such rule.")


class TrialResult(BaseModel):
    """What a rule would have said. Nothing of it is kept, and nobody was told."""

    rule: str
    kind: Kind
    log_types: list[str]
    queries: list[str] = Field(description="Whose rows it judges.")
    steps: list[str] = Field(description="Whose matches it looks at.")
    since: AwareDatetime
    until: AwareDatetime
    events: int
    matches: int
    alerts: int
    told: int = Field(description="Alerts that people would have been told of.")
    by_day: list[TrialDay]
    samples: list[Sample]
    first_alerts: list[WouldBeAlert]
    errors: dict[str, int] = Field(description="What went wrong -> on how many events.")
    unjudged: dict[str, int] = Field(description="Why the rule was not asked -> about how many events.")
    signal: bool = Field(description="Its matches make no alerts.")
    judging_seconds: float
    query_seconds: float
    runs: int = Field(description="Of its queries, those that failed too.")
    bounded: bool = Field(description="There were more runs than are made at once.")
    failed_runs: dict[str, int] = Field(description="Why a run failed -> how often.")
    left_runs: int = Field(description="Those that were not made, as those before failed one after the other.")
    lacking: list[UnmatchedRule]


def _values(rule: ListedRule) -> dict[str, Any]:
    about = None if isinstance(rule.item, RuleQuery) else rule.item.about
    return {
        "id": rule.id,
        "title": rule.id if about is None else about.name,
        "kind": rule.kind,
        "severity": None if about is None else about.severity.value,
        "description": "" if about is None else about.description,
        "folder": rule.folder.name,
        "packs": list(rule.packs),
        "log_types": list(rule.log_types),
        "status": rule.status,
        "why": rule.why,
        "enabled": rule.decision.runs,
    }


def _found(installation: Installation, name: str) -> ListedRule:
    with not_found():
        return rule_folders.find_rule(installation, name)


def _whole(installation: Installation, name: str) -> RuleFiles:
    rule = _found(installation, name)
    about = None if isinstance(rule.item, RuleQuery) else rule.item.about
    runbook = "" if about is None else about.runbook
    return RuleFiles(**_values(rule), runbook=runbook, files=rule_folders.texts(rule))


@router.get("")
def list_rules(
    caller: Viewer,
    text: Annotated[Words | None, Query(description="Part of the id, the title or a pack.")] = None,
    status: Words | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Rule]:
    """List the rules. One that is shadowed by one of its id in another folder is left out."""
    every = (rule for folder in rule_folders.listed(caller.installation) for rule in folder.rules)
    first = dict[str, ListedRule]()
    for rule in every:
        if rule.shadowed_by is None:
            first.setdefault(rule.id, rule)
    wanted = [
        rule for rule in first.values() if status in (None, rule.status) and _is_like(rule, (text or "").casefold())
    ]
    found, further = page_of(wanted, lambda rule: rule.id, limit=limit, cursor=cursor)
    return Page(items=[Rule(**_values(each)) for each in found], next=further)


def _is_like(rule: ListedRule, text: str) -> bool:
    return any(text in part.casefold() for part in (rule.id, _values(rule)["title"], *rule.packs))


@router.post("/changes")
def change_rules(caller: Admin, body: RulesEdit) -> SwitchedRules:
    """Turn rules and packs on or off, all of them or none. A running service notices within seconds."""
    turned = rule_folders.turn(caller.installation, body.names, on=body.enabled)
    for name in body.names:
        caller.note("rule.enabled" if body.enabled else "rule.disabled", name)
    return SwitchedRules(rules=list(turned.rules), packs=list(turned.packs), living=list(turned.living))


@router.get("/{rule}")
def get_rule(caller: Viewer, rule: Name) -> RuleFiles:
    """Return one rule with its files."""
    return _whole(caller.installation, rule)


@router.patch("/{rule}")
def edit_rule(caller: Admin, rule: Name, body: RuleEdit) -> RuleFiles:
    """Turn a rule on or off. A running service notices within seconds."""
    found = _found(caller.installation, rule)
    rule_folders.turn(caller.installation, [found.id], on=body.enabled)
    caller.note("rule.enabled" if body.enabled else "rule.disabled", found.id)
    return _whole(caller.installation, found.id)


@router.get("/{rule}/report", response_model=Row)
async def report_rule(request: Request, caller: Viewer, rule: Name) -> Response:
    """Return all that `ocelog rules show` says of a rule, and what came of it; or what a pack or a lookup table has."""

    def look(stop: Stop) -> Response:
        return written(row(rule_showing.report(caller.installation, rule, stop=stop)))

    with not_found():
        return await answered(request, caller, look)


@router.post("/{rule}/tests")
async def test_rule(request: Request, caller: Analyst, rule: Name) -> TestReport:
    """Run the tests that a rule's file has."""
    found = await run_in_threadpool(_found, caller.installation, rule)
    return TestReport.model_validate((await trying.tested(request, caller, found)).as_json())


@router.post("/{rule}/try")
async def try_rule(request: Request, caller: Analyst, rule: Name, body: TrialRequest) -> TrialResult:
    """Ask a rule about the past, before it is turned on."""
    found = await run_in_threadpool(_found, caller.installation, rule)
    now = datetime.now(UTC)
    tried = await trying.tried(request, caller, caller.installation, found.id, now - instant(body.since, now=now))
    return TrialResult(
        rule=tried.rule,
        kind=tried.kind,
        log_types=list(tried.log_types),
        queries=list(tried.queries),
        steps=list(tried.steps),
        since=tried.since,
        until=tried.until,
        events=tried.events,
        matches=tried.matches,
        alerts=tried.alerts,
        told=tried.told,
        by_day=[TrialDay(day=day, events=each[0], matches=each[1]) for day, each in sorted(tried.by_day.items())],
        samples=[
            Sample(
                at=each.at,
                log_type=each.log_type,
                row_id=each.row_id,
                title=each.title,
                severity=each.severity,
                dedup=each.dedup,
                context=plain(each.context),
                summary=each.summary,
            )
            for each in tried.samples
        ],
        first_alerts=[
            WouldBeAlert(
                opened_at=from_us(each.opened_us),
                severity=each.severity.value,
                title=each.title,
                dedup=each.dedup,
                summary=each.summary,
                matches=each.matches,
            )
            for each in tried.first_alerts
        ],
        errors=tried.errors,
        unjudged=tried.unjudged,
        signal=tried.signal,
        judging_seconds=tried.judging_seconds,
        query_seconds=tried.query_seconds,
        runs=tried.runs,
        bounded=tried.bounded,
        failed_runs=tried.failed_runs,
        left_runs=tried.left_runs,
        lacking=[UnmatchedRule(rule=each.rule, status=each.status) for each in tried.lacking],
    )
