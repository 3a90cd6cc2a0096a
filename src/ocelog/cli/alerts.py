"""`ocelog alerts`: what needs somebody, and what people do about it."""

import json as json_format
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from msgspec import Struct

from ocelog.alert import changes
from ocelog.alert.alert import ENDED, Alert
from ocelog.alert.changes import CloseReason
from ocelog.alert.listing import AlertDetails, AlertFilter, AlertOrder
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.alert.suppressing import Suppression
from ocelog.app.alerts import alerts as use
from ocelog.app.alerts.alert_wishes import Verb, Wish
from ocelog.cli import completion, output, remote, show
from ocelog.cli.consent import confirm
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation, opened
from ocelog.model import Severity
from ocelog.times import from_us, rfc3339
from ocelog.units import about, duration, write_instant

app = typer.Typer(
    help="List alerts, work with them, keep some quiet.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="An alert is named by its id, or by how that begins: as many characters as tell it from others.",
)
_Word = TypeVar("_Word", bound=StrEnum)
_SHORT = 10
"""Characters of an id that are shown in a list."""
_LONGEST_TITLE = 200
"""Characters of a title in a list; `alerts show` has all of it."""
_MOST = 10_000
_MARK = re.compile(r"(?:\d+[.)]|[-*]) +")
_WIDE = 120
"""Columns from which on a list has one for each thing."""
Ids = Annotated[list[str], typer.Argument(help="Ids of alerts, or how they begin.", metavar="ID...")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SomeIds = Annotated[
    list[str] | None,
    typer.Argument(help="Ids of alerts, or how they begin. Or select many by the options below.", metavar="[ID...]"),
]
OfRule = Annotated[
    str | None, typer.Option("--rule", metavar="RULE", help="Instead of ids: all of this rule; * stands for anything.")
]
OfSource = Annotated[
    list[str] | None,
    typer.Option(
        "--source", metavar="NAME", help="Instead of ids: all of this source.", autocompletion=completion.sources
    ),
]
OfLogType = Annotated[
    str | None,
    typer.Option(
        "--log-type",
        metavar="LOG_TYPE",
        help="Instead of ids: all of this log type.",
        autocompletion=completion.log_types,
    ),
]
OfSeverity = Annotated[
    list[str] | None,
    typer.Option(
        "--severity",
        metavar="|".join(each.lower() for each in Severity),
        help="Instead of ids: all that are so severe.",
        autocompletion=lambda: [each.lower() for each in Severity],
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Instead of ids: all opened since then: 7d, 2026-08-01T00:00:00Z."),
]
Untold = Annotated[
    bool, typer.Option("--untold", help="Of those, also what nobody was to hear of; as alerts list --untold.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many are selected.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before many are changed.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Tell nobody; the timeline says that, too.")]
As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Who you are. By default OCELOG_USER, or your login name.")
]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="What else there is to say, for the timeline.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FIELD=VALUE",
        help="Only alerts with this value; * stands for anything. Fields: severity, type, source, log_type, title, "
        "dedup, record_id, context.NAME. Repeat it: values of one field are alternatives.",
    ),
]
Lasts = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="How long, such as 4h or 7d.")]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Until when, instead of --for: +6h, 2026-08-02T06:00:00Z."),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="From when: +2h is in two hours, 2026-08-01T22:00:00Z. By default, now."
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: others will ask.")]
Owner = Annotated[str | None, typer.Option("--owner", metavar="NAME", help="Whom to ask about it. By default, you.")]


@app.command("list", short_help="List alerts, the newest first; by default, open ones.")
def list_(
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(each.lower() for each in AlertStatus),
            help="By default those that are open or triaged.",
            autocompletion=lambda: [each.lower() for each in AlertStatus],
        ),
    ] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(each.lower() for each in Severity),
            autocompletion=lambda: [each.lower() for each in Severity],
        ),
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="|".join(each.lower() for each in AlertType),
            autocompletion=lambda: [each.lower() for each in AlertType],
        ),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="Id of a rule; * stands for anything. Or SOURCE_NO_DATA, ...")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Source.", autocompletion=completion.sources)
    ] = None,
    log_type: Annotated[str | None, typer.Option(metavar="LOG_TYPE", autocompletion=completion.log_types)] = None,
    assignee: Annotated[str | None, typer.Option(metavar="NAME", help="Who looks after it.")] = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Those that nobody looks after.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Opened since then: 7d, or 2026-08-01T00:00:00Z.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Part of the title, description, dedup string or rule.")
    ] = None,
    untold: Annotated[
        bool,
        typer.Option(
            "--untold", help="Also what nobody was to hear of: suppressed, below a threshold, or known from the start."
        ),
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Whatever their status is, and --untold.")] = False,
    sort: Annotated[
        str,
        typer.Option(
            metavar="|".join(AlertOrder),
            help="What comes first: the newest (opened), the worst (severity), or what matched last (last_match).",
            autocompletion=lambda: [each.value for each in AlertOrder],
        ),
    ] = AlertOrder.OPENED.value,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=_MOST, help="How many at most.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Those behind this one: the next page.")] = None,
    json: Json = False,
) -> None:
    """List alerts, the newest first: those that are open, if nothing else is asked for."""
    order = use.word(AlertOrder, sort)
    if assignee is not None and unassigned:
        raise ConfigError("Give --assignee or --unassigned, not both.")
    wanted: dict[str, Any] = {
        "rule": rule,
        "log_type": log_type,
        "assignee": "" if unassigned else assignee,
        "since": since,
        "text": text,
        "everything": all_,
        "untold": untold,
    }
    if (other := remote.chosen()) is not None:
        several = {
            "status": _words(AlertStatus, status),
            "severity": _words(Severity, severity),
            "type": _words(AlertType, type_),
            "source": source,
        }
        found = other.alerts.listed({**several, **wanted, "sort": order.value}, limit=limit, after=after)
    else:
        with opened(reading=True) as installation:
            chosen = use.wanted(
                installation,
                statuses=status or (),
                severities=severity or (),
                types=type_ or (),
                source_names=source or (),
                **wanted,
            )
            found = use.listed(installation, chosen, limit=limit, order=order, after=after)
    if json:
        _print_json([as_json(each) for each in found.alerts])
    elif found.alerts:
        narrow = sys.stdout.isatty() and show.displayed_columns() < _WIDE
        show.table([_line(each, untold=all_ or untold, narrow=narrow) for each in found.alerts], paged=True)
    else:
        show.paragraph("There are no such alerts.")
    if found.untold and not json:
        show.remark(f"{found.untold:,} more of which nobody was to hear: add --untold to see them.")
    if found.more:
        most = " or more" if found.total == use.MOST_COUNTED else ""
        next_ones = f"add --after {found.alerts[-1].id[:_SHORT]} for the next ones"
        show.remark(f"There are {found.total:,}{most} in all: {next_ones}.")


@app.command("show", short_help="Show all there is about alerts.")
def show_(ids: Ids, *, json: Json = False) -> None:
    """Show all there is about alerts: what matched, what to do, what happened since, and who was told."""
    if (other := remote.chosen()) is not None:
        told = other.alerts.told(ids)
        found = [each.details for each in told]
        why, held_up = [each.untold for each in told], [each.held_up for each in told]
    else:
        with opened(reading=True) as installation:
            found = use.details(installation, ids)
            why = [use.untold_because(installation, each) for each in found]
            held_up = [use.waits_because(installation, each) for each in found]
    if json:
        _print_json(
            [
                {**_details_json(each), "untold": untold, "held_up": waits}
                for each, untold, waits in zip(found, why, held_up, strict=True)
            ]
        )
        return
    for number, each in enumerate(found):
        if number:
            typer.echo()
        _show(each, why[number], held_up[number])


@app.command("assign")
def assign(
    ids: SomeIds = None,
    *,
    to: Annotated[str | None, typer.Option(metavar="NAME", help="Who looks after it. By default, you.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody in particular.")] = False,
    rule: OfRule = None,
    since: Since = None,
    severity: OfSeverity = None,
    source: OfSource = None,
    log_type: OfLogType = None,
    untold: Untold = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    quiet: Quiet = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Say who looks after alerts: you, or another."""
    if nobody and to is not None:
        raise ConfigError("Give --to or --nobody, not both.")

    def wish(who: str) -> Wish:
        return Wish(
            do=Verb.ASSIGN,
            assignee=None if nobody else use.one_line(to or who, "A name", changes.LONGEST_NAME),
        )

    picked = _Picked(ids, rule, since, severity, source, log_type, untold, dry_run, yes, quiet)
    _change_picked(picked, wish, as_, json=json)


@app.command("comment")
def comment(
    ids: Ids,
    *,
    text: Annotated[str, typer.Option("--text", "-m", metavar="TEXT", help="What you found.")],
    as_: As = None,
    json: Json = False,
) -> None:
    """Write something down about alerts, on their timeline."""
    if (other := remote.chosen()) is not None:
        _refuse_as(as_)
        done: Sequence[use.Changed] = other.alerts.change(ids, _body(Wish(do=Verb.COMMENT, text=text), quiet=False))
    else:
        with opened() as installation:
            who = use.person(installation, as_)
            done = use.change(installation, ids, changes.comment(text, who=who))
    _print_changed(done, json=json, comment=text)


@app.command("triage")
def triage(
    ids: SomeIds = None,
    *,
    rule: OfRule = None,
    since: Since = None,
    severity: OfSeverity = None,
    source: OfSource = None,
    log_type: OfLogType = None,
    untold: Untold = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    quiet: Quiet = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Say that alerts are being looked at."""
    picked = _Picked(ids, rule, since, severity, source, log_type, untold, dry_run, yes, quiet)
    _change_picked(picked, lambda _: Wish(do=Verb.TRIAGE), as_, json=json)


@app.command("close", short_help="Say what alerts were, and take them off the list.")
def close(
    ids: SomeIds = None,
    *,
    reason: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help=f"{', '.join(CloseReason)}.",
            autocompletion=lambda: [each.value for each in CloseReason],
        ),
    ],
    comment: Comment = "",
    rule: OfRule = None,
    since: Since = None,
    severity: OfSeverity = None,
    source: OfSource = None,
    log_type: OfLogType = None,
    untold: Untold = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    quiet: Quiet = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Say what alerts were, and that nobody has to look at them any more.

    Channels that were told of them are told of this. The alert of a record opens again only if its severity rises, or
    if the record was resolved and is open again.
    """
    why = use.word(CloseReason, reason)
    picked = _Picked(ids, rule, since, severity, source, log_type, untold, dry_run, yes, quiet)
    _change_picked(picked, lambda _: Wish(do=Verb.CLOSE, text=comment, reason=why), as_, json=json)


@app.command("reopen")
def reopen(
    ids: SomeIds = None,
    *,
    comment: Comment = "",
    rule: OfRule = None,
    since: Since = None,
    severity: OfSeverity = None,
    source: OfSource = None,
    log_type: OfLogType = None,
    untold: Untold = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    quiet: Quiet = False,
    as_: As = None,
    json: Json = False,
) -> None:
    """Open alerts again that were closed or resolved."""
    picked = _Picked(ids, rule, since, severity, source, log_type, untold, dry_run, yes, quiet, over=True)
    _change_picked(picked, lambda _: Wish(do=Verb.REOPEN, text=comment), as_, json=json)


@app.command("resend", short_help="Tell of alerts once more, as they are now.")
def resend(
    ids: Ids,
    *,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Through this channel. By default, those that were told before."),
    ] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Tell of alerts once more, as they are now: after a delivery failed for good, or to another channel."""
    if (other := remote.chosen()) is not None:
        _refuse_as(as_)
        done: Sequence[use.Changed] = other.alerts.resend(ids, channel or ())
    else:
        with opened() as installation:
            done = use.resend(installation, ids, channel or (), who=use.person(installation, as_))
    _print_changed(done, json=json)
    if not json:
        show.hint("The next pull sends it, or the service within seconds. See: ocelog channel list")


@app.command("suppress", short_help="Tell nobody of what a rule finds, for a while.")
def suppress(
    rule: Annotated[str, typer.Argument(help="Id of a rule; * stands for anything. Or a system error by its name.")],
    *,
    reason: Reason,
    where: Where = None,
    lasts: Lasts = None,
    until: Until = None,
    since: From = None,
    owner: Owner = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Tell nobody of what a rule finds, for a while; with --where only of some.

    The alerts are kept. What was kept quiet is not told when the time is over, unless it gets worse. That the rule
    fails is told all the same.
    """
    _suppress(rule, reason, where or [], [], lasts, until, since, owner, as_, json=json)


@app.command("mute", short_help="Plan a maintenance window, in which nobody is told.")
def mute(
    *,
    reason: Reason,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only alerts of this source.", autocompletion=completion.sources),
    ] = None,
    where: Where = None,
    lasts: Lasts = None,
    until: Until = None,
    since: From = None,
    owner: Owner = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Plan a maintenance window: while it lasts, nobody is told of alerts; with --source, of those of that source.

    It covers alerts of all rules, rules that fail, and system errors. The alerts are kept.
    """
    _suppress(None, reason, where or [], source or [], lasts, until, since, owner, as_, json=json)


@app.command("suppressions")
def suppressions(
    *, all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False, json: Json = False
) -> None:
    """List what is kept quiet, by whom, until when and why."""
    if (other := remote.chosen()) is not None:
        found = other.alerts.suppressions(over=all_)
    else:
        with opened(reading=True) as installation:
            found = use.suppressions(installation, over=all_)
    if json:
        _print_json([_suppression_json(each) for each in found])
    elif found:
        now = datetime.now(UTC)
        show.table([_suppression_line(each, now) for each in found], paged=True)
    else:
        show.paragraph("Nothing is kept quiet.")


@app.command("unsuppress")
def unsuppress(
    ids: Annotated[list[str], typer.Argument(help="Ids from: ocelog alerts suppressions", metavar="ID...")],
    *,
    json: Json = False,
) -> None:
    """End suppressions and maintenance windows now."""
    if (other := remote.chosen()) is not None:
        ended: Mapping[str, bool] = other.alerts.end_suppressions(ids)
    else:
        with opened() as installation:
            ended = use.end_suppressions(installation, ids)
    if json:
        _print_json([{"id": name, "changed": changed} for name, changed in ended.items()])
        return
    for name, changed in ended.items():
        show.paragraph(f"{name}: ended." if changed else f"{name}: it was over already.")


class _Picked(Struct, frozen=True):
    """Which alerts a person means, by ids or by what they are like, and how they are to be changed."""

    ids: Sequence[str] | None
    rule: str | None
    since: str | None
    severities: Sequence[str] | None
    source_names: Sequence[str] | None
    log_type: str | None
    untold: bool
    dry_run: bool
    yes: bool
    quiet: bool
    over: bool = False
    """Whether those are meant that are closed or resolved, and not those that are open."""

    @property
    def selects(self) -> bool:
        return any((self.rule, self.since, self.severities, self.source_names, self.log_type))


def _body(wish: Wish, *, quiet: bool) -> dict[str, Any]:
    """Return what is sent to a remote Ocelog."""
    reason = None if wish.reason is None else wish.reason.value
    return {"do": wish.do.value, "text": wish.text, "reason": reason, "assignee": wish.assignee, "quiet": quiet}


def _refuse_as(given: str | None) -> None:
    if given is not None:
        raise ConfigError("--as works only on the machine of the home: from elsewhere, the token says who you are.")


def _change_picked(picked: _Picked, wish: Callable[[str], Wish], given: str | None, *, json: bool) -> None:
    """Do what a person wants with alerts; `wish` takes who they are."""
    if picked.ids and (picked.selects or picked.untold):
        raise ConfigError("Give ids, or options that select alerts, such as --rule; not both.")
    if not picked.ids and not picked.selects:
        raise ConfigError(
            "Which alerts? Give ids, or select them by --rule, --since, --severity, --source or --log-type."
        )
    if (other := remote.chosen()) is not None:
        _refuse_as(given)
        wanted = wish(other.users.me())
        _change_found(
            picked,
            wanted.do,
            found=lambda: (
                {each.details.alert.id: each.details.alert.severity for each in other.alerts.told(picked.ids)}
                if picked.ids
                else other.alerts.chosen(_wanted_there(picked))
            ),
            each=lambda ids: other.alerts.change(ids, _body(wanted, quiet=picked.quiet)),
            many=lambda ids: other.alerts.change_many(ids, _body(wanted, quiet=picked.quiet)),
            json=json,
        )
        return
    with opened(reading=picked.dry_run) as installation:
        who = "" if picked.dry_run else use.person(installation, given)
        wanted = wish(who or "nobody")
        _change_found(
            picked,
            wanted.do,
            found=lambda: (
                {each.alert.id: each.alert.severity for each in use.details(installation, picked.ids)}
                if picked.ids
                else use.chosen(installation, _wanted(installation, picked))
            ),
            each=lambda ids: use.change(installation, ids, wanted.act(who), quiet=picked.quiet),
            many=lambda ids: use.change_many(installation, ids, wanted.act(who), quiet=picked.quiet),
            json=json,
        )


def _change_found(
    picked: _Picked,
    what: str,
    *,
    found: Callable[[], Mapping[str, Severity]],
    each: Callable[[Sequence[str]], Sequence[use.Changed]],
    many: Callable[[Collection[str]], int],
    json: bool,
) -> None:
    """Do it with those that were named, all of them or none, or with all that are `found`, once a person agrees."""
    if picked.ids and not picked.dry_run:
        _print_changed(each(picked.ids), json=json)
        return
    selected = found()
    said = _many(selected)
    if picked.dry_run or not selected:
        if json:
            _print_json({"selected": len(selected), "changed": 0})
        else:
            show.paragraph(f"{said} selected. Nothing was changed.")
        return
    if not picked.yes:
        told = "; nobody is told" if picked.quiet else ", and tell the channels that were told of them"
        confirm(f"{what.capitalize()} {said}{told}?", nothing="Nothing was changed", unasked="Add --yes.")
    changed = many(selected)
    if json:
        _print_json({"selected": len(selected), "changed": changed})
    else:
        same = len(selected) - changed
        rest = f" {same:,} stay as they are: they were so already, or are over by now." if same else ""
        show.paragraph(f"Changed {_counted(changed)}.{rest}")


def _wanted_there(picked: _Picked) -> dict[str, Any]:
    return {
        "status": [each.value for each in ENDED] if picked.over else None,
        "severity": _words(Severity, picked.severities),
        "rule": picked.rule,
        "source": picked.source_names,
        "log_type": picked.log_type,
        "since": picked.since,
        "untold": picked.untold,
    }


def _words(kind: type[_Word], given: Sequence[str] | None) -> list[str]:
    """Return the words that a person means as the API takes them. Raises ConfigError with the nearest."""
    return [use.word(kind, each).value for each in given or ()]


def _wanted(installation: Installation, picked: _Picked) -> AlertFilter:
    return use.wanted(
        installation,
        statuses=[each.value for each in ENDED] if picked.over else (),
        severities=picked.severities or (),
        rule=picked.rule,
        source_names=picked.source_names or (),
        log_type=picked.log_type,
        since=picked.since,
        untold=picked.untold,
    )


def _counted(count: int) -> str:
    return f"{count:,} alert{'' if count == 1 else 's'}"


def _many(found: Mapping[str, Severity]) -> str:
    counts = Counter(found.values())
    severities = ", ".join(f"{counts[each]:,} {each}" for each in reversed(Severity) if counts[each])
    return f"{_counted(len(found))}{f' ({severities})' if severities else ''}"


def _print_changed(done: Sequence[use.Changed], *, json: bool, comment: str | None = None) -> None:
    """Print alerts as they are now, and what was written about them."""
    if json:
        _print_json([{"changed": each.changed, **as_json(each.alert)} for each in done])
        return
    show.table(
        [
            {
                "id": each.alert.id[:_SHORT],
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


def _suppress(
    rule: str | None,
    reason: str,
    where: Sequence[str],
    source_names: Sequence[str],
    lasts: str | None,
    until: str | None,
    since: str | None,
    owner: str | None,
    given: str | None,
    *,
    json: bool,
) -> None:
    if (other := remote.chosen()) is not None:
        _refuse_as(given)
        body = {"rule": rule, "where": list(where), "sources": list(source_names), "lasts": lasts, "until": until}
        made, unknown = other.alerts.suppress({**body, "since": since, "owner": owner, "reason": reason})
    else:
        with opened() as installation:
            made = use.suppress(
                installation,
                rule,
                where=where,
                source_names=source_names,
                lasts=None if lasts is None else duration(lasts),
                until=until,
                since=since,
                owner=owner or use.person(installation, given),
                reason=reason,
            )
            unknown = None if rule is None else use.unknown_rule(installation, rule)
    if json:
        _print_json(_suppression_json(made))
    else:
        begins = f"from {_seconds(made.since_us)} " if since is not None else ""
        show.paragraph(f"{made.covered}: nobody is told {begins}until {_seconds(made.until_us)}.")
        show.hint(f"To end it earlier: ocelog alerts unsuppress {made.id}")
    if unknown is not None:
        show.remark(unknown)


# How alerts look.


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


def _details_json(found: AlertDetails) -> dict[str, Any]:
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


def _line(alert: Alert, *, untold: bool, narrow: bool) -> dict[str, Any]:
    """Return what a list shows of an alert; on a narrow terminal little else than what it is about."""
    age = about(datetime.now(UTC) - from_us(alert.opened_us))
    line: dict[str, Any] = {"id": alert.id[:_SHORT], "severity": alert.severity.value}
    if not narrow:
        line |= {"status": alert.status.lower(), "age": age, "matches": alert.matches, "source": alert.source_label}
    if untold:
        line["told"] = alert.to_be_told
    if narrow:
        line["status"] = alert.status.lower()
    title = alert.title if len(alert.title) <= _LONGEST_TITLE else f"{alert.title[: _LONGEST_TITLE - 1]}…"
    return line | {"title": f"{title} ({_origin(alert)}, {age})" if narrow else title}


def _origin(alert: Alert) -> str:
    """Say where a narrow list has an alert from, and of how many matches."""
    matches = f"{alert.matches:,} matches" if alert.matches != 1 else "1 match"
    return f"{alert.source_label}, {matches}" if alert.source_label else matches


def _show(found: AlertDetails, untold: str | None, held_up: Sequence[str]) -> None:
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
        "opened": _seconds(alert.opened_us),
        "ended": _seconds(alert.ended_us),
        "events": None
        if alert.first_event_us is None
        else f"{_seconds(alert.first_event_us)} to {_seconds(alert.last_event_us)}",
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
            {"at": _seconds(each.at_us), "who": each.who, "what": each.what, "detail": each.detail or None}
            for each in found.timeline
        ]
    )
    if found.attempts:
        typer.echo("\nDeliveries")
        show.table(
            [
                {
                    "at": _seconds(each.at_us),
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
                {"channel": each.channel, "what": each.happened, "due": _seconds(each.due_us), "tries": each.tries}
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


def _suppression_line(each: Suppression, now: datetime) -> dict[str, Any]:
    begins, ends = from_us(each.since_us), from_us(each.until_us)
    state = f"begins in {about(begins - now)}" if begins > now else f"ends in {about(ends - now)}"
    return {
        "id": each.id,
        "when": "over" if ends <= now else state,
        "owner": each.owner,
        "what": each.covered,
        "reason": each.reason,
    }


def _suppression_json(each: Suppression) -> dict[str, Any]:
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


def _seconds(us: int | None) -> str | None:
    return None if us is None else write_instant(from_us(us))


def _print_json(value: object) -> None:
    """Print JSON whose texts are data: nothing in them is changed."""
    output.in_utf8()
    text = json_format.dumps(value, indent=2, ensure_ascii=False)
    typer.echo("\n".join(map(show.harmless_json, text.split("\n"))) if sys.stdout.isatty() else text)
