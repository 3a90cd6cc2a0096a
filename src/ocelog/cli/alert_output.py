"""How alerts and suppressions are printed: as people read them, and as programs do."""

import json as json_format
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.listing import AlertDetails
from ocelog.app.alerts.alerts import ChangedAlert
from ocelog.cli import output, show
from ocelog.cli.pager import paging
from ocelog.model import Severity
from ocelog.shorten import shorten
from ocelog.times import from_us, rfc3339
from ocelog.units import about, write_instant

SHORT = 10
"""Characters of an id that are shown in a list."""
_LONGEST_TITLE = 200
"""Characters of a title in a list; `alerts show` has all of it."""
_LONG = frozenset({"description", "runbook", "reference", "context"})
"""What is not told again of alerts that somebody changed."""
_WIDE = 120
"""Columns from which on a title stands beside the rest."""
_ROOM_TO_WRAP = 24
"""Columns that two lines of a title lose where they are indented and end between words."""
_MARK = re.compile(r"(?:\d+[.)]|[-*]) +")


def counted(count: int) -> str:
    """Say how many alerts."""
    return f"{count:,} alert{'' if count == 1 else 's'}"


def counted_by_severity(found: Mapping[str, Severity]) -> str:
    """Say how many alerts, and how many of each severity; `found` has that of each id."""
    counts = Counter(found.values())
    severities = ", ".join(f"{counts[each]:,} {each}" for each in reversed(Severity) if counts[each])
    return f"{counted(len(found))}{f' ({severities})' if severities else ''}"


def print_changed(done: Sequence[ChangedAlert], *, json: bool, comment: str | None = None) -> None:
    """Print alerts as they are now, and what was written about them."""
    if json:
        whole = ({"changed": each.changed, **as_json(each.alert)} for each in done)
        print_json([{name: value for name, value in each.items() if name not in _LONG} for each in whole])
        return
    show.table(
        [
            {
                "id": each.alert.id[:SHORT],
                "changed": each.changed,
                "status": each.alert.status.lower(),
                "assignee": each.alert.assignee or "nobody",
                **({"to": ", ".join(each.to)} if any(one.to for one in done) else {}),
                "title": each.alert.title,
                **({} if comment is None else {"comment": comment}),
            }
            for each in done
        ]
    )


def as_json(alert: Alert) -> dict[str, Any]:
    """Return an alert as programs read it."""
    return {
        "id": alert.id,
        "type": alert.type.value,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "title": alert.title,
        "description": alert.description,
        "runbook": alert.runbook,
        "reference": alert.reference,
        "rule_id": alert.rule_id,
        "rule_name": alert.rule_name,
        "rule_revision": alert.rule_revision,
        "tags": list(alert.tags),
        "dedup": alert.dedup,
        "log_type": alert.log_type,
        "source": alert.source_label,
        "source_id": alert.source_id,
        "record_id": alert.record_id,
        "visible": alert.visible,
        "link": alert.link,
        "context": alert.context,
        "matches": alert.matches,
        "told": alert.to_be_told,
        "told_severity": alert.told_severity,
        "told_at": _at(alert.told_us),
        "opened_at": _at(alert.opened_us),
        "updated_at": _at(alert.updated_us),
        "first_event": _at(alert.first_event_us),
        "last_event": _at(alert.last_event_us),
        "ended_at": _at(alert.ended_us),
        "acknowledged_at": _at(alert.acknowledged_us),
        "assignee": alert.assignee,
        "close_reason": alert.close_reason,
    }


def details_json(found: AlertDetails) -> dict[str, Any]:
    """Return all there is about an alert as programs read it."""
    return {
        **as_json(found.alert),
        "timeline": [
            {"at": _at(each.at_us), "who": each.who, "what": each.what, "detail": each.detail}
            for each in found.timeline
        ],
        "deliveries": [
            {
                "at": _at(each.at_us),
                "channel": each.channel,
                "happened": each.happened,
                "delivered": each.delivered,
                "final": each.final,
                "answer": each.answer,
            }
            for each in found.attempts
        ],
        "waiting": [
            {"channel": each.channel, "happened": each.happened, "due": _at(each.due_us), "tries": each.tries}
            for each in found.waiting
        ],
    }


def print_list(alerts: Sequence[Alert], *, untold: bool) -> None:
    """Print a line for each alert; if there is not much room, its title stands below the rest, in at most two lines."""
    columns = show.page_columns()
    lines = [_line(each, untold=untold) for each in alerts]
    if columns >= _WIDE:
        show.table(lines, paged=True)
        return
    heads = [name for name in lines[0] if name != "title"]
    drawn = list[str]()
    show.fitting_table(heads, [[each[name] for name in heads] for each in lines], drawn.append, first=heads[:2])
    head, *rows = "".join(drawn).splitlines() or [""] * (len(lines) + 1)
    if not head:
        # Not even one alert fits: a line for each of its values.
        show.table(lines, paged=True)
        return
    with paging(wanted=True) as write:
        write(f"{head}\n")
        for row, each in zip(rows, lines, strict=True):
            title = shorten(each["title"], 2 * columns - _ROOM_TO_WRAP)
            write(f"{row}\n{show.wrapped(f'  {show.harmless(title)}', columns, indent=0)}\n")


def _line(alert: Alert, *, untold: bool) -> dict[str, Any]:
    """Return what a list shows of an alert."""
    line: dict[str, Any] = {
        "id": alert.id[:SHORT],
        "severity": alert.severity.value,
        "status": alert.status.lower(),
        "age": about(datetime.now(UTC) - from_us(alert.opened_us)),
        "matches": alert.matches,
        "source": alert.source_label,
    }
    if untold:
        line["told"] = alert.to_be_told
    return line | {"title": shorten(alert.title, _LONGEST_TITLE)}


def show_alert(found: AlertDetails, untold: str | None, held_up: Sequence[str]) -> None:
    """Print all there is about an alert; `untold` says why nobody was told, `held_up` what it still waits for."""
    alert = found.alert
    status = alert.status.lower()
    if alert.close_reason is not None:
        status += f", {alert.close_reason}"
    rule = alert.rule_id if alert.rule_name in ("", alert.rule_id) else f"{alert.rule_id} ({alert.rule_name})"
    values: dict[str, object] = {
        "id": alert.id,
        "title": alert.title,
        "severity": alert.severity.value,
        "status": status,
        "assignee": alert.assignee,
        "rule": rule,
        "source": alert.source_label,
        "log type": alert.log_type,
        "record": alert.record_id,
        "link": alert.link,
        "matches": alert.matches,
        "opened": seconds(alert.opened_us),
        "ended": seconds(alert.ended_us),
        "events": None
        if alert.first_event_us is None
        else f"{seconds(alert.first_event_us)} to {seconds(alert.last_event_us)}",
        "tags": list(alert.tags) or None,
        "reference": alert.reference or None,
    }
    show.fields({name: value for name, value in values.items() if value is not None})
    if untold is not None:
        show.paragraph(f"Told: {untold}.")
    for head, text in (("Description", alert.description), ("Runbook", alert.runbook)):
        if text:
            _section(head, show.harmless_lines(text))
    if alert.context:
        whole = json_format.dumps(dict(alert.context), indent=2, ensure_ascii=False)
        # Not wrapped: what is copied from it must be what was there.
        _section("Context", "\n".join(map(show.harmless_json, whole.split("\n"))), whole=True)
    typer.echo("\nTimeline")
    show.table(
        [
            {"at": seconds(each.at_us), "who": each.who, "what": each.what, "detail": each.detail or None}
            for each in found.timeline
        ]
    )
    if found.attempts:
        typer.echo("\nDeliveries")
        show.table(
            [
                {
                    "at": seconds(each.at_us),
                    "channel": each.channel,
                    "what": each.happened,
                    "delivered": each.delivered,
                    "answer": each.answer,
                }
                for each in found.attempts
            ]
        )
    if found.waiting:
        typer.echo("\nStill to be told")
        show.table(
            [
                {"channel": each.channel, "what": each.happened, "due": seconds(each.due_us), "tries": each.tries}
                for each in found.waiting
            ]
        )
        for each in held_up:
            show.paragraph(f"{each}.")


def _section(head: str, text: str, *, whole: bool = False) -> None:
    """Print a text with its own lines, each wrapped where the terminal ends, unless it is to be `whole`."""
    typer.echo(f"\n{head}")
    for line in text.split("\n"):
        # What goes on with an item of a list stands below its words.
        found = _MARK.match(line)
        mark = 0 if found is None else len(found[0])
        typer.echo(f"  {line}" if whole else show.fitted(f"  {line}", sys.stdout, indent=mark))


def suppression_line(each: Suppression, now: datetime) -> dict[str, Any]:
    """Return what a list shows of a suppression."""
    begins, ends = from_us(each.since_us), from_us(each.until_us)
    state = f"begins in {about(begins - now)}" if begins > now else f"ends in {about(ends - now)}"
    return {
        "id": each.id,
        "when": "over" if ends <= now else state,
        "owner": each.owner,
        "what": each.covered,
        "reason": each.reason,
    }


def suppression_json(each: Suppression) -> dict[str, Any]:
    """Return a suppression as programs read it."""
    return {
        "id": each.id,
        "rule": each.rule,
        "where": {name: list(values) for name, values in each.fields.items()},
        "owner": each.owner,
        "reason": each.reason,
        "from": _at(each.since_us),
        "until": _at(each.until_us),
        "added": _at(each.added_us),
    }


def _at(us: int | None) -> str | None:
    return None if us is None else rfc3339(from_us(us))


def seconds(us: int | None) -> str | None:
    """Write an instant to the second."""
    return None if us is None else write_instant(from_us(us))


def print_json(value: object) -> None:
    """Print JSON whose texts are data: nothing in them is changed."""
    output.in_utf8()
    typer.echo(_json(value))


def print_json_list(values: Iterable[object]) -> None:
    """Print a list as `print_json` does, one value after the other: all of them may be larger than the memory."""
    output.in_utf8()
    before = "["
    for each in values:
        # A line break within a text is written as one in JSON: each that is there begins a line.
        typer.echo(before + ("\n" + _json(each)).replace("\n", "\n  "), nl=False)
        before = ","
    typer.echo("[]" if before == "[" else "\n]")


def _json(value: object) -> str:
    text = json_format.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(map(show.harmless_json, text.split("\n"))) if sys.stdout.isatty() else text
