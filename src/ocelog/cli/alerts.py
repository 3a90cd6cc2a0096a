"""`ocelog alerts`: what needs somebody, and what people do about it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import typer

from ocelog.alert import changes
from ocelog.alert.changes import CloseReason
from ocelog.alert.delivery.suppressing import conditions
from ocelog.alert.listing import AlertOrder
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.alerts import alerts as use
from ocelog.app.alerts.alert_wishes import Verb, Wish
from ocelog.cli import alert_output, completion, remote, show
from ocelog.cli.alert_choice import AlertChoice, As, Json, with_choice, words
from ocelog.cli.consent import confirm
from ocelog.cli.option_values import option_value
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.model import Severity
from ocelog.units import duration, instant

app = typer.Typer(
    help="List alerts, work with them, keep some quiet.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="An alert is named by its id, or by how that begins: as many characters as tell it from others.",
)
_MOST = 10_000
Ids = Annotated[list[str], typer.Argument(help="Ids of alerts, or how they begin.", metavar="ID...")]
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
            "--untold",
            help="Also alerts sent to nobody: suppressed, below their threshold, or older than the source or rule.",
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
    order = option_value("--sort", partial(use.word, AlertOrder), sort)
    if assignee is not None and unassigned:
        raise ConfigError("Give --assignee or --unassigned, not both.")
    _require_readable(since, severity, status, type_)
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
            "status": words(AlertStatus, status),
            "severity": words(Severity, severity),
            "type": words(AlertType, type_),
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
            found = use.listed(installation, chosen, limit=limit, order=order, after=after, with_context=False)
            if json:
                alert_output.print_json_list(map(alert_output.as_json, use.whole(installation, found.alerts)))
    if json and other is not None:
        alert_output.print_json_list(map(alert_output.as_json, found.alerts))
    elif json:
        pass
    elif found.alerts:
        alert_output.print_list(found.alerts, untold=all_ or untold)
    else:
        show.paragraph("There are no such alerts.")
    if found.untold and not json:
        more, them = ("more alert was", "it") if found.untold == 1 else ("more alerts were", "them")
        show.remark(f"{found.untold:,} {more} not sent to anyone; add --untold to list {them}.")
    if found.more:
        most = " or more" if found.total == use.MOST_COUNTED else ""
        next_ones = f"add --after {found.alerts[-1].id[: alert_output.SHORT]} for the next ones"
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
        alert_output.print_json(
            [
                {**alert_output.details_json(each), "untold": untold, "held_up": waits}
                for each, untold, waits in zip(found, why, held_up, strict=True)
            ]
        )
        return
    for number, each in enumerate(found):
        if number:
            typer.echo()
        alert_output.show_alert(each, why[number], held_up[number])


@app.command("assign")
@with_choice()
def assign(
    *,
    to: Annotated[str | None, typer.Option(metavar="NAME", help="Who looks after it. By default, you.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody in particular.")] = False,
    chosen: AlertChoice,
) -> None:
    """Say who looks after alerts: you, or another."""
    if nobody and to is not None:
        raise ConfigError("Give --to or --nobody, not both.")

    def wish(who: str) -> Wish:
        return Wish(
            do=Verb.ASSIGN,
            assignee=None if nobody else use.one_line(to or who, "A name", changes.LONGEST_NAME),
        )

    _change_chosen(chosen, wish)


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
        done: Sequence[use.ChangedAlert] = other.alerts.change(
            ids, _body(Wish(do=Verb.COMMENT, text=text), quiet=False)
        )
    else:
        with opened() as installation:
            who = use.person(installation, as_)
            done = use.change(installation, ids, changes.comment(text, who=who))
    alert_output.print_changed(done, json=json, comment=text)


@app.command("triage")
@with_choice()
def triage(*, chosen: AlertChoice) -> None:
    """Say that alerts are being looked at."""
    _change_chosen(chosen, lambda _: Wish(do=Verb.TRIAGE))


@app.command("close", short_help="Say what alerts were, and take them off the list.")
@with_choice()
def close(
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
    chosen: AlertChoice,
) -> None:
    """Say what alerts were, and that nobody has to look at them any more.

    Channels that were told of them are told of this. The alert of a record opens again only if its severity rises, or
    if the record was resolved and is open again.
    """
    why = use.word(CloseReason, reason)
    _change_chosen(chosen, lambda _: Wish(do=Verb.CLOSE, text=comment, reason=why))


@app.command("reopen")
@with_choice(over=True)
def reopen(*, comment: Comment = "", chosen: AlertChoice) -> None:
    """Open alerts again that were closed or resolved."""
    _change_chosen(chosen, lambda _: Wish(do=Verb.REOPEN, text=comment))


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
        done: Sequence[use.ChangedAlert] = other.alerts.resend(ids, channel or ())
    else:
        with opened() as installation:
            done = use.resend(installation, ids, channel or (), who=use.person(installation, as_))
    alert_output.print_changed(done, json=json)
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
        alert_output.print_json([alert_output.suppression_json(each) for each in found])
    elif found:
        now = datetime.now(UTC)
        show.table([alert_output.suppression_line(each, now) for each in found], paged=True)
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
        alert_output.print_json([{"id": name, "changed": changed} for name, changed in ended.items()])
        return
    for name, changed in ended.items():
        show.paragraph(f"{name}: ended." if changed else f"{name}: it was over already.")


def _body(wish: Wish, *, quiet: bool) -> dict[str, Any]:
    """Return what is sent to a remote Ocelog."""
    reason = None if wish.reason is None else wish.reason.value
    return {"do": wish.do.value, "text": wish.text, "reason": reason, "assignee": wish.assignee, "quiet": quiet}


def _refuse_as(given: str | None) -> None:
    if given is not None:
        raise ConfigError("--as works only on the machine of the home: from elsewhere, the token says who you are.")


def _change_chosen(chosen: AlertChoice, wish: Callable[[str], Wish]) -> None:
    """Do what a person wants with alerts; `wish` takes who they are."""
    chosen.check()
    if (other := remote.chosen()) is not None:
        _refuse_as(chosen.as_)
        wanted = wish(other.users.me())
        _change_found(
            chosen,
            wanted.do,
            found=lambda: (
                {each.details.alert.id: each.details.alert.severity for each in other.alerts.told(chosen.ids)}
                if chosen.ids
                else other.alerts.chosen(chosen.remote_filter())
            ),
            each=lambda ids: other.alerts.change(ids, _body(wanted, quiet=chosen.quiet)),
            many=lambda ids: other.alerts.change_many(ids, _body(wanted, quiet=chosen.quiet)),
        )
        return
    with opened(reading=chosen.dry_run) as installation:
        who = "" if chosen.dry_run else use.person(installation, chosen.as_)
        wanted = wish(who or "nobody")
        _change_found(
            chosen,
            wanted.do,
            found=lambda: (
                {each.alert.id: each.alert.severity for each in use.details(installation, chosen.ids)}
                if chosen.ids
                else use.chosen(installation, chosen.filter(installation))
            ),
            each=lambda ids: use.change(installation, ids, wanted.act(who), quiet=chosen.quiet),
            many=lambda ids: use.change_many(installation, ids, wanted.act(who), quiet=chosen.quiet),
        )


def _change_found(
    chosen: AlertChoice,
    what: str,
    *,
    found: Callable[[], Mapping[str, Severity]],
    each: Callable[[Sequence[str]], Sequence[use.ChangedAlert]],
    many: Callable[[Collection[str]], int],
) -> None:
    """Do it with those that were named, all of them or none, or with all that are `found`, once a person agrees."""
    _require_readable(chosen.since, chosen.severity)
    if chosen.ids and not chosen.dry_run:
        alert_output.print_changed(each(chosen.ids), json=chosen.json)
        return
    selected = found()
    said = alert_output.counted_by_severity(selected)
    if chosen.dry_run or not selected:
        if chosen.json:
            alert_output.print_json({"selected": len(selected), "changed": 0})
        else:
            show.paragraph(f"{said} selected. Nothing was changed.")
        return
    if not chosen.yes:
        told = "; nobody is told" if chosen.quiet else ", and tell the channels that were told of them"
        confirm(f"{what.capitalize()} {said}{told}?", nothing="Nothing was changed", unasked="Add --yes.")
    changed = many(selected)
    if chosen.json:
        alert_output.print_json({"selected": len(selected), "changed": changed})
    else:
        same = len(selected) - changed
        rest = f" {same:,} stay as they are: they were so already, or are over by now." if same else ""
        show.paragraph(f"Changed {alert_output.counted(changed)}.{rest}")


def _require_readable(
    since: str | None,
    severities: Sequence[str] | None,
    statuses: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
) -> None:
    """Raise ConfigError, which names the option, for a value that means nothing."""
    several = (("--severity", Severity, severities), ("--status", AlertStatus, statuses), ("--type", AlertType, types))
    for option, kind, given in several:
        for each in given or ():
            option_value(option, partial(use.word, kind), each)
    if since is not None:
        option_value("--since", partial(instant, now=datetime.now(UTC)), since)


def _require_suppressible(
    reason: str,
    where: Sequence[str],
    lasts: str | None,
    until: str | None,
    since: str | None,
    owner: str | None,
) -> timedelta | None:
    """Return how long something is to last. Raises ConfigError, which names the option, for a value that is wrong."""
    option_value("--where", conditions, where)
    now = datetime.now(UTC)
    for option, text in (("--from", since), ("--until", until)):
        if text is not None:
            option_value(option, partial(use.planned, now=now), text)
    option_value("--reason", partial(use.one_line, what="A reason", longest=changes.LONGEST_TEXT), reason)
    if owner:
        option_value("--owner", partial(use.one_line, what="An owner", longest=changes.LONGEST_NAME), owner)
    return None if lasts is None else option_value("--for", duration, lasts)


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
    length = _require_suppressible(reason, where, lasts, until, since, owner)
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
                lasts=length,
                until=until,
                since=since,
                owner=owner or use.person(installation, given),
                reason=reason,
            )
            unknown = None if rule is None else use.unknown_rule(installation, rule)
    if json:
        alert_output.print_json(alert_output.suppression_json(made))
    else:
        begins = f"from {alert_output.seconds(made.since_us)} " if since is not None else ""
        show.paragraph(f"{made.covered}: nobody is told {begins}until {alert_output.seconds(made.until_us)}.")
        show.hint(f"To end it earlier: ocelog alerts unsuppress {made.id}")
    if unknown is not None:
        show.remark(unknown)
