"""What a person who looks at rules wants to know beside their files: what cannot run, and what came of each so far."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.alerts import alerts
from ocelog.app.rule_folders.rule_folders import (
    ListedFolder,
    ListedRule,
    file_of,
    find_folder,
    find_rule,
    listed,
    read_folders,
)
from ocelog.app.rules.query_checks import query_faults
from ocelog.app.search.queries import Stop, ask
from ocelog.detect.rule import CorrelationRule, Query, Rule
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.lake.read.quoting import literal
from ocelog.languages.phrases import Phrase
from ocelog.model import RULE_MATCHES
from ocelog.secrets.secret import shown
from ocelog.suggest import suggest
from ocelog.units import write_instant

NOT_RUN = "not run"
"""The status of a rule that is on and could not run."""
Faults = Mapping[tuple[str, str], str]
"""Folder and id -> why it cannot run."""
_LONGEST = 20_000
"""Characters of a condition that is shown."""
_HISTORY = """
SELECT (SELECT count(*) FROM {table} WHERE rule_id = {rule}) AS matches,
  (SELECT max(p_event_time) FROM {table} WHERE rule_id = {rule}) AS last_match,
  count(*) FILTER (type = 'ALERT') AS alerts,
  count(*) FILTER (type = 'ALERT' AND status IN ('OPEN', 'TRIAGED')) AS open_alerts,
  arg_max(description, updated) FILTER (type = 'DETECTION_ERROR') AS error,
  max(last_event) FILTER (type = 'DETECTION_ERROR') AS last_error,
  coalesce(bool_or(type = 'DETECTION_ERROR' AND status IN ('OPEN', 'TRIAGED')), false) AS fails
FROM alerts WHERE rule_id = {rule}
"""


class History(Struct, frozen=True, kw_only=True):
    """What came of a rule."""

    matches: int
    last_match: datetime | None
    alerts: int
    open_alerts: int
    error: str | None
    """How it failed last; None: it has never failed."""
    last_error: datetime | None
    """Time of the last event on which it failed."""
    fails: bool
    """Whether an alert that it fails is open."""
    unjudged: int
    """Events of which it said nothing."""


class OtherItem(Struct, frozen=True, kw_only=True):
    """What is in a folder of rules, and is no rule."""

    kind: str
    folder: str
    values: Mapping[str, Any]


def history(installation: Installation, rule: str, *, stop: Stop | None = None) -> History:
    """Return what came of the rule of that id so far."""
    sql = _HISTORY.format(table=RULE_MATCHES, rule=literal(rule))
    with ask(installation, sql, trusted=True, stop=stop) as answer:
        (row,) = [row for batch in answer.batches for row in batch.to_pylist()]
    unjudged = sum(each.rows for each in installation.ledger.rules.unjudged(rule))
    return History(**row, unjudged=unjudged)


def failing(installation: Installation) -> frozenset[str]:
    """Return the rules whose errors are an open alert."""
    return frozenset(installation.ledger.alerts.failing_rules())


def cannot_run(found: Collection[ListedFolder]) -> dict[tuple[str, str], str]:
    """Return what is on and could not run, since its SQL is none: folder and id -> why.

    Queries of these folders are planned; those that come with Ocelog are known to run.
    """
    faults = dict[tuple[str, str], str]()
    for each in found:
        on = [rule for rule in each.rules if rule.status == "on"]
        queries = [] if each.folder.is_built_in else [rule for rule in on if isinstance(rule.item, Query)]
        if not queries:
            continue
        items = [rule.item for rule in queries if isinstance(rule.item, Query)]
        wrong = {one.query: one for one in query_faults(items, queries[0].root)}
        for rule in on:
            if (fault := wrong.get(rule.id)) is not None and isinstance(rule.item, Query):
                engines = f"it is for {', '.join(sorted(rule.item.sql))}: " if fault.is_foreign else ""
                place = f"{rule.root / fault.place.file}:{fault.place.line}"
                faults[each.folder.id, rule.id] = f"{place}: {engines}{fault.why}"
            elif isinstance(rule.item, Rule) and (named := rule.item.scheduled_queries) and wrong.keys() >= set(named):
                faults[each.folder.id, rule.id] = f"its query {named[0]} cannot run"
    return faults


def folders(installation: Installation, name: str | None = None, *, waits: bool = False) -> list[dict[str, Any]]:
    """Return every folder, or the one of that name, with its rules as programs read them. Raises ConfigError.

    `waits` for those that are just being written, for some seconds at most.
    """
    wanted = None if name is None else find_folder(installation, name).id
    found = [each for each in listed(installation, waits=waits) if wanted in (None, each.folder.id)]
    faults, failed = cannot_run(found), failing(installation)
    return [folder_values(each, faults, failed) for each in found]


def folder_values(found: ListedFolder, faults: Faults, failed: Collection[str] = ()) -> dict[str, Any]:
    """Return a folder and its rules as programs read them."""
    folder = found.folder
    return {
        "folder": folder.name,
        "path": folder.path,
        "built_in": folder.is_built_in,
        "network": folder.network,
        "unsafe": folder.unprotected,
        "packs": dict(folder.packs),
        "rules": [rule_values(rule, faults, failed) for rule in found.rules],
        "not_run": [
            *({"id": one.id, "kind": one.kind, "why": one.reason} for one in found.not_run),
            *(
                {"id": rule.id, "kind": rule.kind, "why": why}
                for rule in found.rules
                if (why := faults.get((folder.id, rule.id))) is not None
            ),
        ],
        "problems": list(found.problems),
    }


def rule_values(rule: ListedRule, faults: Faults, failed: Collection[str] = ()) -> dict[str, Any]:
    """Return a rule of a folder as programs read it."""
    item = rule.item
    fault = faults.get((rule.folder.id, rule.id))
    # First, since a narrow terminal cuts the end.
    fails = "it fails; " if rule.status == "on" and rule.id in failed else ""
    return {
        "id": rule.id,
        "kind": rule.kind,
        "status": rule.status if fault is None else NOT_RUN,
        "why": f"{fails}{rule.why}" if fault is None else fault,
        "severity": None if isinstance(item, Query) else str(item.about.severity),
        "log_types": list(rule.log_types),
        "no_source": list(rule.without_source),
        "scheduled_queries": list(item.scheduled_queries) if isinstance(item, Rule) else [],
        "packs": list(rule.packs),
        "suspended": rule.is_suspended,
        "fails": rule.id in failed,
        "file": file_of(rule),
    }


def report(installation: Installation, name: str, *, stop: Stop | None = None) -> dict[str, Any]:
    """Return all that a rule says of itself, whether it runs, and what came of it; or what a pack or a table holds.

    Raises ConfigError with the nearest name.
    """
    folders = listed(installation)
    found = find(installation, name, folders)
    if isinstance(found, OtherItem):
        return {"kind": found.kind, "folder": found.folder, **found.values}
    # Of the queries only those count that it may have its events from: a folder may have a thousand.
    named = found.item.scheduled_queries if isinstance(found.item, Rule) else ()
    mine = [
        replace(each, rules=tuple(rule for rule in each.rules if rule.id == found.id or rule.id in named))
        for each in folders
        if each.folder.id == found.folder.id
    ]
    came = None if isinstance(found.item, Query) else history(installation, found.id, stop=stop)
    muted = [each.why for each in alerts.muting(installation, found.id)]
    return {**_report(found, cannot_run(mine), came), "muted_by": muted}


def _report(found: ListedRule, faults: Faults, came: History | None) -> dict[str, Any]:
    item = found.item
    values: dict[str, Any] = {**rule_values(found, faults), "folder": found.folder.name}
    if isinstance(item, Query):
        return values | {"description": item.description, "sql": dict(item.sql)}
    if came is not None:
        values |= {
            "matches": came.matches,
            "last_match": write_instant(came.last_match),
            "alerts_made": came.alerts,
            "alerts_open": came.open_alerts,
            "fails": came.fails,
            "last_error": came.error,
            "last_error_at": write_instant(came.last_error),
            "unjudged": came.unjudged,
        }
        if came.fails and values["status"] == "on":
            values["why"] = f"{values['why']}; but it fails: {came.error}"
    about = item.about
    return values | {
        "name": about.name,
        "description": about.description,
        "runbook": about.runbook,
        "reference": about.reference,
        "dedup_minutes": about.dedup_minutes,
        "threshold": about.threshold,
        "alerts": about.create_alert,
        "destinations": list(about.output_ids),
        "tags": list(about.tags),
        "reports": {name: list(each) for name, each in about.reports.items()},
        "tests": len(item.tests),
        "python": item.file if isinstance(item, Rule) else None,
        "condition": condition(found),
    }


def condition(rule: ListedRule) -> str:
    """Return what a rule asks, as its file says it; empty for one whose Python says it, or whose file is gone."""
    if isinstance(rule.item, Query):
        return rule.item.text[:_LONGEST]
    keys = ("Detection",) if isinstance(rule.item, CorrelationRule) else ("InlineFilters", "Detection")
    try:
        lines = (rule.root / rule.item.place.file).read_text("utf-8-sig").splitlines()
    except (OSError, ValueError):
        return ""
    found = list[str]()
    inside = False
    for line in lines[rule.item.place.line - 1 :]:
        if re.match(r"[^\s#-]", line):
            inside = line.partition(":")[0].strip("\"'") in keys
        if inside:
            found.append(line.rstrip())
    return "\n".join(found).strip()[:_LONGEST]


def find(installation: Installation, name: str, among: Sequence[ListedFolder] | None = None) -> ListedRule | OtherItem:
    """Return the rule, pack, lookup table or broken file of that name. Raises ConfigError with the nearest name."""
    try:
        return find_rule(installation, name, among)
    except ConfigError:
        others = _others(installation)
        if name in others:
            return others[name]
        rules = [rule.id for folder in among or listed(installation) for rule in folder.rules]
        nearest = suggest(name, [*rules, *others]) or Phrase(". See: ocelog rules list")
        raise ConfigError(Phrase("There is no rule %(name)s%(nearest)s", name=shown(name), nearest=nearest)) from None


def _others(installation: Installation) -> dict[str, OtherItem]:
    """Return what is no rule: the first of each name counts."""
    found = dict[str, OtherItem]()

    def add(name: str, kind: str, folder: str, /, **values: Any) -> None:
        found.setdefault(name, OtherItem(kind=kind, folder=folder, values={"id": name, **values}))

    for each in read_folders(installation):
        checkout, folder = each.checkout, each.folder.name
        if checkout is None:
            continue
        for pack in checkout.packs.values():
            turned = each.folder.packs.get(pack.id)
            turned_to = {} if turned is None else {"turned": "on" if turned else "off"}
            about = {"name": pack.display_name, "description": pack.description, **turned_to}
            add(pack.id, "pack", folder, **about, members=list(pack.ids), file=str(pack.place))
        for table in checkout.tables.values():
            rows = checkout.rows.get(table.name, {})
            add(
                table.name,
                "lookup_table",
                folder,
                description=table.description,
                enabled=table.enabled,
                primary_key=table.primary_key,
                rows=rows if isinstance(rows, str) else len(rows),
                selectors={name: list(paths) for name, paths in table.selectors.items()},
                file=str(table.place),
            )
        for left in checkout.not_run:
            add(left.id, left.kind, folder, status="not run", why=left.reason, file=str(left.place))
        for problem in checkout.problems:
            broken = {"status": "does not read", "why": problem.message}
            add(problem.id, "file", folder, **broken)
            if problem.file:
                add(problem.file, "file", folder, **broken)
    return found
