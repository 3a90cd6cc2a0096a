"""`ocelog rules try` and `replay`: what a rule says of events that are in the lake."""

import shlex
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ocelog.alert.would_be import WouldBeAlert
from ocelog.app.rules.replaying import RuleReplay
from ocelog.app.rules.rule_candidates import find_candidate
from ocelog.app.rules.rule_history import try_rule
from ocelog.app.rules.rule_replay import replay_rule
from ocelog.app.rules.rule_trial import TrialMatch, TrialResult, UnmatchedRule
from ocelog.cli import completion, remote, show
from ocelog.cli.option_values import option_value
from ocelog.cli.progress import file_progress
from ocelog.detect.rule import Kind
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.times import from_us, rfc3339
from ocelog.units import counted, instant, write_instant

_WIDE = 40
"""Columns of the longest bar."""
_SHOWN = 20
"""Alerts that are listed; --json lists more."""


def try_(
    rule: Annotated[
        str, typer.Argument(help="A rule's id, or its YAML file.", autocompletion=completion.rules, show_default=False)
    ],
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="T", help="Events from here on: 2026-08-01, RFC 3339, or 7d.")
    ] = "7d",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a rule about what is in the lake: its matches per day, the alerts they would have made, its cost.

    For a rule that judges rows of a scheduled query, the query is asked for each time that it was due, the last 500 at
    most, as of that time. A correlation rule looks at the matches that other rules have in rule_matches. Nothing is
    kept, and nobody is told. The rule need not be on, nor its folder registered. Exit 1 if the rule said nothing of
    some of it.
    """
    now = datetime.now(UTC)
    start = option_value("--since", partial(instant, now=now), since)
    if start >= now:
        raise ConfigError("--since must lie in the past.")
    if (other := remote.chosen()) is not None:
        tried = other.rules.tried(rule, since=rfc3339(start))
    else:
        with opened(reading=True) as installation, file_progress(quiet=json, of_what="") as told:
            tried = try_rule(installation, find_candidate(installation, rule), since=start, told=told)
    if json:
        show.as_json(_as_json(tried))
    else:
        _show(tried, since, rule)
    if tried.errors or tried.unjudged or tried.failed_runs:
        raise typer.Exit(1)


def replay(
    rule: Annotated[str, typer.Argument(help="The rule's id.", autocompletion=completion.rules, show_default=False)],
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="T", help="Events from here on: 2026-08-01, RFC 3339, or 7d.")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", help="Events before then; by default up to now.")
    ] = None,
    alerts: Annotated[bool, typer.Option("--alerts", help="Open alerts and tell people, as of new events.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have a rule judge what it has not judged: events before it was on, or that it failed on.

    For a rule that judges rows of a scheduled query, the query is asked again for each time that it was due, the last
    500 at most, as of that time. A correlation rule looks at the matches that other rules have. What matches is in
    rule_matches afterwards, each match once, however often this runs. Nobody is told of it, unless you say --alerts. It
    may run beside `ocelog run`; if it was interrupted, run it again. Exit 1 if the rule said nothing of some of it.
    """
    now = datetime.now(UTC)
    read = partial(instant, now=now)
    start = option_value("--since", read, since)
    end = now if until is None else option_value("--until", read, until)
    if start >= end:
        raise ConfigError("--since must lie in the past, and before --until.")
    with opened() as installation, file_progress(quiet=json, of_what="") as told:
        done = replay_rule(installation, rule, since=start, until=end, alerts=alerts, told=told)
    if json:
        show.as_json(_replayed_as_json(done))
    else:
        _show_replayed(done, since)
    if not done.is_whole:
        raise typer.Exit(1)


def _show_replayed(done: RuleReplay, typed: str) -> None:
    new = f"{done.matches:,} new {'match' if done.matches == 1 else 'matches'}"
    since = f"since {write_instant(done.since)}"
    match done.kind:
        case Kind.SCHEDULED_RULE:
            rows = f"{counted(done.events, 'row')} of {counted(done.runs, 'run')} of {', '.join(done.queries)}"
            show.paragraph(f"{done.rule}: {rows} {since}, {new}.")
        case Kind.CORRELATION_RULE:
            matches = f"{done.events:,} matches of {', '.join(done.steps)}"
            show.paragraph(f"{done.rule}: {matches} {since}, {new}.")
            _show_lacking(done.lacking, typed)
        case _:
            show.paragraph(
                f"{done.rule}: {counted(done.events, 'event')} of {', '.join(done.log_types)} {since}, {new}."
            )
    if done.settled:
        were = "was" if done.settled == 1 else "were"
        show.paragraph(f"{counted(done.settled, 'event')} that had been left unjudged {were} judged now.")
    if done.bounded:
        show.remark(
            f"More runs were due before {rfc3339(done.since)}. Make those, too: ocelog rules replay {done.rule} "
            f"--since {typed} --until {rfc3339(done.since)}"
        )
    if done.read_by is not None:
        show.remark(
            f"What was read after {write_instant(done.read_by)} is left to the next run of the schedule, so that "
            "people hear of it."
        )
    left = {Kind.SCHEDULED_RULE: "run", Kind.CORRELATION_RULE: "finding"}.get(done.kind, "event")
    for count, why in (
        (done.waiting, "are left to `ocelog run` or `ocelog pull`, which will judge them as new"),
        (done.without_source, "were left alone: their source was removed"),
    ):
        if count:
            show.remark(f"{counted(count, left)} {why}.")
    if done.stay:
        show.remark(
            f"{counted(done.stay, 'event')} that had been left unjudged stay so. Add the source again, and replay; or "
            f"forget them: ocelog rules unjudged {shlex.quote(done.rule)} --dismiss"
        )
    for why, count in done.failed.items():
        unit = "row" if done.kind is Kind.SCHEDULED_RULE else "event"
        show.remark(show.harmless(f"The rule said nothing of {counted(count, unit)}: {why}"))
    _show_failed(done.failed_runs, done.left_runs)
    if done.matches and not done.alerts:
        show.hint("See the alerts that hold them: ocelog alerts list --all")


def _replayed_as_json(done: RuleReplay) -> Mapping[str, Any]:
    return {
        "rule": done.rule,
        "kind": str(done.kind),
        "log_types": list(done.log_types),
        "queries": list(done.queries),
        "steps": list(done.steps),
        "since": rfc3339(done.since),
        "until": rfc3339(done.until),
        "alerts": done.alerts,
        "events": done.events,
        "new_matches": done.matches,
        "told": done.told,
        "waiting": done.waiting,
        "without_source": done.without_source,
        "settled": done.settled,
        "left_unjudged": done.stay,
        "failed": [{"why": why, "events": count} for why, count in done.failed.items()],
        "runs": done.runs,
        "bounded": done.bounded,
        "failed_runs": [{"why": why, "runs": count} for why, count in done.failed_runs.items()],
        "left_runs": done.left_runs,
        "read_by": None if done.read_by is None else rfc3339(done.read_by),
        "lacking": [{"rule": each.rule, "status": each.status} for each in done.lacking],
    }


def _show(tried: TrialResult, typed: str, rule: str) -> None:
    _show_faults(tried, rule)
    since = rfc3339(tried.since.replace(microsecond=0))
    match tried.kind:
        case Kind.SCHEDULED_RULE:
            _head_of_rows(tried, since)
        case Kind.CORRELATION_RULE:
            _head_of_matches(tried, since, typed)
        case _ if not tried.events:
            show.paragraph(f"{tried.rule}: there is no event of {', '.join(tried.log_types)} since {since}.")
        case _:
            counts = f"{tried.matches:,} of {counted(tried.events, 'event')} of {', '.join(tried.log_types)}"
            show.paragraph(f"{tried.rule}: {counts} since {since} match.")
    if not tried.events and not tried.runs:
        return
    most = max((matches for _, matches in tried.by_day.values()), default=0)
    digits = len(f"{most:,}")
    all_failed = not tried.matches and sum(tried.errors.values()) >= tried.events
    for day, (_, matches) in () if all_failed else sorted(tried.by_day.items()):
        bar = "━" * -(-matches * _WIDE // most) if matches else ""
        typer.echo(f"{day}  {matches:>{digits},}  {bar}".rstrip())
    _show_alerts(tried)
    if tried.samples:
        show.paragraph("")
        show.paragraph("Samples:")
        for sample in tried.samples:
            show.paragraph(f"{write_instant(sample.at)} {sample.severity.lower()}: {_with_summary(sample)}")
    _show_cost(tried)


def _show_faults(tried: TrialResult, rule: str) -> None:
    """Say what the rule said nothing of, before the matches: without it they would look like all that there is."""
    unit = "row" if tried.kind is Kind.SCHEDULED_RULE else "event"
    for problem, kept in (("The rule failed", tried.errors), ("The rule was not asked", tried.unjudged)):
        for why, count in kept.items():
            show.remark(show.harmless(f"{problem} on {counted(count, unit)}: {why}"))
    if tried.errors:
        tests = Path(rule).suffix in {".yml", ".yaml", ".py"}
        again = f"ocelog rules test {shlex.quote(rule)}" if tests else f"ocelog rules show {rule}"
        show.remark(f"Correct the rule, then run its tests: {again}" if tests else f"See where its files are: {again}")


def _head_of_rows(tried: TrialResult, since: str) -> None:
    queries = ", ".join(tried.queries)
    if not tried.runs:
        show.paragraph(f"{tried.rule}: no run of {queries} was due since {since}.")
        return
    show.paragraph(
        f"{tried.rule}: {tried.matches:,} of {counted(tried.events, 'row')} match, which {queries} returns in "
        f"{counted(tried.runs, 'run')} since {since}."
    )
    show.remark(
        "Each run is asked as of the time when it was due: what happened later is left out. What is there is as it is "
        "in the lake now, also what was read later."
    )
    if tried.bounded:
        show.remark(f"Only the last {counted(tried.runs + tried.left_runs, 'run')} are tried; more were due before.")
    _show_failed(tried.failed_runs, tried.left_runs)


def _show_failed(failed: Mapping[str, int], left: int) -> None:
    for why, count in failed.items():
        show.remark(show.harmless(f"{counted(count, 'run')} failed: {why}"))
    if left:
        show.remark(f"{counted(left, 'further run')} were not made, as those before failed one after the other.")


def _head_of_matches(tried: TrialResult, since: str, typed: str) -> None:
    matches = "match" if tried.matches == 1 else "matches"
    show.paragraph(
        f"{tried.rule}: {tried.matches:,} {matches}, in {tried.events:,} of {', '.join(tried.steps)} since {since}."
    )
    _show_lacking(tried.lacking, typed)
    for why in tried.failed_runs:
        show.remark(show.harmless(f"Not looked at: {why}"))


def _show_lacking(lacking: Collection[UnmatchedRule], since: str) -> None:
    """Say which rules have no matches that a correlation could look at, and what to do."""
    for each in lacking:
        again = f"ocelog rules replay {each.rule} --since {since}"
        match each.status:
            case "":
                show.remark(f"{each.rule} has no match: no folder has such a rule.")
            case "on" | "suspended":
                show.remark(f"{each.rule} has no match since then. If it was not on all the time: {again}")
            case status:
                on = f"ocelog rules enable {each.rule}"
                show.remark(f"{each.rule} has no match since then: it is {status}. Turn it on: {on}, and then: {again}")


def _show_cost(tried: TrialResult) -> None:
    if tried.kind is Kind.RULE:
        cost = None if (each := tried.us_per_event) is None else f"{each:,.1f} µs per event, "
    elif tried.kind is Kind.SCHEDULED_RULE:
        cost = None if (run := tried.ms_per_run) is None else f"{run:,.0f} ms per run, "
    else:
        cost = "" if tried.runs else None
    if cost is not None:
        show.paragraph("")
        show.paragraph(f"Cost: {cost}{tried.query_seconds + tried.judging_seconds:,.1f} s in all.")


def _show_alerts(tried: TrialResult) -> None:
    if tried.signal:
        show.paragraph("It is a signal (`CreateAlert: false`): its matches make no alerts.")
        return
    if not tried.alerts:
        return
    silent = tried.alerts - tried.told
    below = f"; {silent:,} more would have stayed below the threshold" if silent else ""
    show.paragraph("")
    show.paragraph(f"People would have been told of {counted(tried.told, 'alert')}{below}.")
    if not tried.told:
        return
    rows = [
        {
            "opened": write_instant(from_us(alert.opened_us)),
            "severity": str(alert.severity).lower(),
            "matches": alert.matches,
            "title": _with_summary(alert),
        }
        for alert in tried.first_alerts[:_SHOWN]
    ]
    show.fitting_table(list(rows[0]), [list(row.values()) for row in rows])
    if tried.told > len(rows):
        show.remark(f"The first {len(rows)} of {tried.told:,} alerts are shown.")


def _with_summary(each: TrialMatch | WouldBeAlert) -> str:
    """Return a title with what it is about: of one rule, all may have the same title."""
    return f"{each.title} ({each.summary})" if each.summary and each.summary not in each.title else each.title


def _as_json(tried: TrialResult) -> Mapping[str, Any]:
    return {
        "rule": tried.rule,
        "kind": str(tried.kind),
        "log_types": list(tried.log_types),
        "queries": list(tried.queries),
        "steps": list(tried.steps),
        "since": rfc3339(tried.since),
        "until": rfc3339(tried.until),
        "events": tried.events,
        "matches": tried.matches,
        "by_day": {
            str(day): {"events": events, "matches": matches} for day, (events, matches) in sorted(tried.by_day.items())
        },
        "alerts": tried.alerts,
        "told": tried.told,
        "first_alerts": [
            {
                "opened": rfc3339(from_us(each.opened_us)),
                "severity": str(each.severity),
                "title": each.title,
                "dedup": each.dedup,
                "summary": each.summary,
                "matches": each.matches,
            }
            for each in tried.first_alerts
        ],
        "samples": [
            {
                "at": rfc3339(each.at),
                "log_type": each.log_type,
                "row_id": each.row_id,
                "severity": each.severity,
                "title": each.title,
                "dedup": each.dedup,
                "context": dict(each.context),
                "summary": each.summary,
            }
            for each in tried.samples
        ],
        "errors": [{"why": why, "events": count} for why, count in tried.errors.items()],
        "unjudged": [{"why": why, "events": count} for why, count in tried.unjudged.items()],
        "us_per_event": None if tried.us_per_event is None else round(tried.us_per_event, 1),
        "runs": tried.runs,
        "bounded": tried.bounded,
        "failed_runs": [{"why": why, "runs": count} for why, count in tried.failed_runs.items()],
        "left_runs": tried.left_runs,
        "ms_per_run": None if tried.ms_per_run is None else round(tried.ms_per_run, 1),
        "lacking": [{"rule": each.rule, "status": each.status} for each in tried.lacking],
    }
