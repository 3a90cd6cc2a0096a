"""`ocelog rules try` and `replay`: what a rule says of events that are in the lake."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ocelog.app.rule_history import Tried, find_candidate, try_rule
from ocelog.app.rule_replay import Replayed, replay_rule
from ocelog.cli import completion, show
from ocelog.cli.progress import count_progress
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.times import from_us, rfc3339
from ocelog.units import counted, instant

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
    """Ask a rule about events that are in the lake: its matches per day, the alerts they would have made, its cost.

    Nothing is kept, and nobody is told. The rule need not be on, nor its folder registered.
    """
    now = datetime.now(UTC)
    start = instant(since, now=now)
    if start >= now:
        raise ConfigError("--since must lie in the past.")
    with opened(reading=True) as installation, count_progress("events", quiet=json) as told:
        tried = try_rule(installation, find_candidate(installation, rule), since=start, told=told)
    if json:
        show.as_json(_as_json(tried))
    else:
        _show(tried)


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
    """Have a rule judge events that it has not judged: those before it was on, or that it failed on.

    What matches is in rule_matches afterwards, each match once, however often this runs. Nobody is told of it, unless
    you say --alerts. It may run beside `ocelog run`; if it was interrupted, run it again. Exit 1 if the rule said
    nothing of some events.
    """
    now = datetime.now(UTC)
    start, end = instant(since, now=now), now if until is None else instant(until, now=now)
    if start >= end:
        raise ConfigError("--since must lie in the past, and before --until.")
    with opened() as installation, count_progress("events", quiet=json) as told:
        done = replay_rule(installation, rule, since=start, until=end, alerts=alerts, told=told)
    if json:
        show.as_json(_replayed_as_json(done))
    else:
        _show_replayed(done)
    if done.failed:
        raise typer.Exit(1)


def _show_replayed(done: Replayed) -> None:
    show.paragraph(
        f"{done.rule}: {counted(done.events, 'event')} of {', '.join(done.log_types)} since "
        f"{done.since:%Y-%m-%d %H:%M}Z, {done.matches:,} new {'match' if done.matches == 1 else 'matches'}."
    )
    if done.settled:
        show.paragraph(f"{counted(done.settled, 'event')} had been left unjudged; that is forgotten.")
    for count, why in (
        (done.waiting, "are left to `ocelog run` or `ocelog pull`, which will judge them as new"),
        (done.without_source, "were left alone: their source was removed"),
    ):
        if count:
            show.remark(f"{counted(count, 'event')} {why}.")
    for why, count in done.failed.items():
        show.remark(show.harmless(f"The rule said nothing of {counted(count, 'event')}: {why}"))
    if done.matches and not done.alerts:
        show.hint("See the alerts that hold them: ocelog alerts list --all")


def _replayed_as_json(done: Replayed) -> Mapping[str, Any]:
    return {
        "rule": done.rule,
        "log_types": list(done.log_types),
        "since": rfc3339(done.since),
        "until": rfc3339(done.until),
        "alerts": done.alerts,
        "events": done.events,
        "new_matches": done.matches,
        "told": done.told,
        "waiting": done.waiting,
        "without_source": done.without_source,
        "settled": done.settled,
        "failed": [{"why": why, "events": count} for why, count in done.failed.items()],
    }


def _show(tried: Tried) -> None:
    types, since = ", ".join(tried.log_types), f"{tried.since:%Y-%m-%d %H:%M}Z"
    if not tried.events:
        show.paragraph(f"{tried.rule}: there is no event of {types} since {since}.")
        return
    show.paragraph(
        f"{tried.rule}: {tried.matches:,} of {counted(tried.events, 'event')} of {types} since {since} match."
    )
    most = max(matches for _, matches in tried.by_day.values())
    digits = len(f"{most:,}")
    for day, (_, matches) in sorted(tried.by_day.items()):
        bar = "━" * -(-matches * _WIDE // most) if matches else ""
        typer.echo(f"{day}  {matches:>{digits},}  {bar}".rstrip())
    _show_alerts(tried)
    if tried.samples:
        show.paragraph("")
        show.paragraph("Samples:")
        for sample in tried.samples:
            show.paragraph(f"{rfc3339(sample.at)} {sample.severity.lower()}: {sample.title}")
    for problem, kept in (("The rule failed", tried.errors), ("The rule was not asked", tried.unjudged)):
        for why, count in kept.items():
            show.remark(show.harmless(f"{problem} on {counted(count, 'event')}: {why}"))
    if (cost := tried.us_per_event) is not None:
        show.paragraph("")
        show.paragraph(f"Cost: {cost:,.1f} µs per event, {tried.judging_seconds:,.1f} s in all.")


def _show_alerts(tried: Tried) -> None:
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
            "opened": f"{from_us(alert.opened_us):%Y-%m-%d %H:%M}Z",
            "severity": str(alert.severity).lower(),
            "matches": alert.matches,
            "title": alert.title,
        }
        for alert in tried.first_alerts[:_SHOWN]
    ]
    show.fitting_table(list(rows[0]), [list(row.values()) for row in rows])
    if tried.told > len(rows):
        show.remark(f"The first {len(rows)} of {tried.told:,} alerts are shown.")


def _as_json(tried: Tried) -> Mapping[str, Any]:
    return {
        "rule": tried.rule,
        "log_types": list(tried.log_types),
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
            }
            for each in tried.samples
        ],
        "errors": [{"why": why, "events": count} for why, count in tried.errors.items()],
        "unjudged": [{"why": why, "events": count} for why, count in tried.unjudged.items()],
        "us_per_event": None if tried.us_per_event is None else round(tried.us_per_event, 1),
    }
