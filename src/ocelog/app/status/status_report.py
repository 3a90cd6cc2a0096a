"""What `ocelog status` says of an overview to people: the verdict, what needs attention, what is good to know."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from msgspec import Struct

from ocelog.app.advice import without_request
from ocelog.app.log_types import kinds
from ocelog.app.status.overview import Overview, overview
from ocelog.app.status.status import StreamStatus, StreamsVerdict, verdict
from ocelog.app.status.status_values import status_values
from ocelog.detect.unjudged import oldest_us
from ocelog.health.stream import AlarmState, State
from ocelog.installation.home_lock import Holder
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import say_in
from ocelog.model import Severity, Slice
from ocelog.times import from_us
from ocelog.units import about, counted, with_full_stop, write_duration, write_instant, write_list, write_size

_MOST_NOT_JUDGED = 5
"""Of rows that were not judged, those that are told of one by one."""
_SAYS_MORE = frozenset({State.SILENT, State.QUIET, State.FORBIDDEN})
"""States of health that say more of a stream than how far it is read."""
_LOOSER = (timedelta(days=7), timedelta(days=30))
"""After how long without an event people may be told instead, the shortest first."""
_CATCHING_UP = "catching up"
_SEEM_WELL = frozenset({"live", "empty", _CATCHING_UP})
"""States in which a stream is read, though some of its news may not be."""
_OTHERWISE = {
    "new": "not read yet",
    _CATCHING_UP: "catching up",
    "retrying": "retrying",
    "broken": "broken",
    "paused": "paused",
}
"""How it is said in the verdict that a stream is in a state in which it is not complete."""
_NORMAL = (
    "A few are normal while records change: the next pull or sweep brings them. Count again: ocelog coverage --measure"
)
"""What is said of counts that differ for no reason that is known."""


_Fault: TypeAlias = tuple[str, str, str | None]


class StatusReport(Struct, frozen=True, kw_only=True):
    """How an installation is, as people read it and as programs do."""

    well: bool
    """Nothing needs attention."""
    first: str
    """The verdict, or that something needs attention."""
    urgent: Sequence[str]
    """What does, and what to do; and what keeps alerts quiet."""
    streams: Sequence[Mapping[str, Any]]
    """A row of a table for each."""
    details: Sequence[Mapping[str, Any]]
    """More of each, if one source was asked about."""
    notes: Sequence[str]
    """What is merely good to know."""
    service: str | None
    """Which service runs; None: none."""
    idle: str | None
    """What there is instead; None: nothing to say."""
    machine: str
    """About the machine."""
    values: Mapping[str, Any]
    """The same for programs."""


def status_report(
    installation: Installation,
    *,
    allowed: timedelta,
    now: datetime,
    source: str | None = None,
    near: Callable[[str], str] = str,
    advise: bool = True,
) -> StatusReport:
    """Look at everything, or at the streams of one source; data may be as old as `allowed`.

    `near` returns a path as the reader names it. Unless told to `advise`, rules are not read for what to do about
    events that they did not judge. Raises ConfigError if there is no such source.
    """
    source_id = None
    if source is not None:
        from ocelog.app.sources import sources  # noqa: PLC0415 - takes longer than all the rest, with what it stands on

        source_id = sources.find(installation, source).id
    found = overview(installation, allowed=allowed, now=now, source_id=source_id)
    todo = dict[str, str]()
    if advise and found.not_judged:
        from ocelog.app.rule_folders import rule_folders  # noqa: PLC0415 - as above

        todo = rule_folders.what_to_do(installation, oldest_us(found.not_judged))
    return report_of(found, todo, now, near, details=source is not None)


def report_of(
    found: Overview, todo: Mapping[str, str], now: datetime, near: Callable[[str], str] = str, *, details: bool
) -> StatusReport:
    """Put an overview into words; `todo` says what to do about events that were not judged, by rule."""
    urgent = [each for each in found.streams if each.needs_attention]
    told, idle = set[_Fault](), found.holder is None
    lines = _all_remarks(urgent, found.streams, told, idle=idle)
    waits = not idle and all(_only_waits(each) for each in urgent)
    of_streams = len(lines)
    lines += [*found.stale, *(line for each in found.not_published for line in each.lines)]
    lines += _failing(found)
    lines += _rule_troubles(found, near)
    for rule in found.suspended_rules:
        since = "" if rule.suspended_us is None else f" since {write_instant(from_us(rule.suspended_us))}"
        lines.append(f"The rule {rule.rule_id} is suspended{since}, and judges nothing: {rule.reason}")
        lines.append(f"    To do: correct it, then run: ocelog rules enable {shlex.quote(rule.rule_id)}")
    lines += [*(_behind(found) if found.held_up else ()), *_schedules_behind(found), *found.lagging]
    if found.hangs:
        lines.append(f"Hanging: {found.hangs}")
    if found.key is not None and not any(found.key in line for line in lines):
        lines.append(f"Key: {found.key}")
    lines += [f"Lake: {line}" for line in found.lake]
    if found.disk_is_short:
        lines.append(f"Only {write_size(found.disk_free)} of disk are free: free some space.")
    heading = (
        "Needs attention, and is tried again by itself:" if waits and len(lines) == of_streams else "Action required:"
    )
    others = [each for each in found.streams if not each.needs_attention]
    notes = _all_remarks(others, found.streams, told, idle=idle)
    service, instead = _running(found)
    return StatusReport(
        well=found.well,
        first=_verdict(verdict(found.streams), now) if found.well else heading,
        urgent=[*lines, *_muted(found)],
        streams=[_row(each) for each in found.streams],
        details=_all_details(found.streams, told) if details else [],
        notes=[*notes, *(() if found.held_up else _behind(found)), *_alerts(found, todo)],
        service=service,
        idle=instead,
        machine=f"Disk free: {write_size(found.disk_free)}. SQL sandbox: {found.sandbox}",
        values=status_values(found),
    )


def _running(found: Overview) -> tuple[str | None, str | None]:
    """Return which service runs, and what there is to say if none does."""
    match found.holder:
        case None:
            return None, "Nothing is running. Keep it going with: ocelog run" if found.streams else None
        case str() as who:
            return None, f"Whether anything runs is {who}."
        case Holder() as who if who.is_service:
            return f"Running: {who.command}, since {who.since} (process {who.pid} on {who.host}).", None
        case Holder() as who:
            at_work = f"`{who.command}` is at work since {who.since} (process {who.pid} on {who.host})"
            return None, f"No service is running; {at_work}. When that ends, start the service: ocelog run"


def _failing(found: Overview) -> list[str]:
    """Say which loops fail, which channels take nothing, and for which something was given up, and what to do."""
    lines = list[str]()
    for fault in found.loop_faults:
        lines.append(f"The loop {fault.loop!r} has been failing since {write_instant(fault.since)}: {fault.reason}")
        lines.append(
            "    To do: fix what the message says. A running service then tries again; otherwise run: ocelog pull"
        )
    for channel in found.channel_faults:
        since = write_instant(from_us(channel.since_us))
        lines.append(f"Alerts do not reach the channel {channel.name}, since {since}: {channel.reason}")
        lines.append(f"    To do: see what the far end says: ocelog channel test {channel.id}")
        lines.append(f"    Once it works, send what was given up: ocelog channel resend {channel.id}")
    for each in found.behind:
        since = write_instant(from_us(each.waiting_since_us or 0))
        lines.append(
            f"{each.waiting:,} messages wait for the channel {each.channel.name}, the oldest since {since}: they come "
            "faster than it takes them."
        )
        lines.append(f"    To do: see how long the far end takes: ocelog channel test {each.channel.id}")
    for each in found.gave_up:
        name = each.channel.name
        what, why = ("alert", "its message was") if each.given_up == 1 else ("alerts", "their messages were")
        lines.append(f"{each.given_up:,} {what} did not reach the channel {name}: {why} given up.")
        if each.channel.id not in {fault.id for fault in found.channel_faults}:
            lines.append(f"    To do: see whether it works: ocelog channel test {each.channel.id}")
            lines.append(f"    If so, send them again: ocelog channel resend {each.channel.id}")
    return lines


def _muted(found: Overview) -> list[str]:
    """Say what keeps alerts quiet just now: each maintenance window, and how many suppressions."""
    lines = list[str]()
    for each in (each for each in found.suppressions if each.rule is None):
        what = "any alert" if not each.fields else f"alerts with {each.covered.partition(', ')[2]}"
        until = write_instant(from_us(each.until_us))
        lines.append(f"Muted: nobody is told of {what} until {until}, by {each.owner}: {each.reason}")
        lines.append(f"    To end it: ocelog alerts unsuppress {each.id}")
    others = [each for each in found.suppressions if each.rule is not None]
    if others:
        until = write_instant(from_us(max(each.until_us for each in others)))
        rules = sorted({each.rule for each in others if each.rule is not None})
        named = ", ".join(rules[:3]) + (", …" if len(rules) > 3 else "")
        lines.append(
            f"Suppressed, the longest until {until}: alerts of {named} ({len(others)} "
            f"suppression{'' if len(others) == 1 else 's'}). See: ocelog alerts suppressions"
        )
    return lines


def _rule_troubles(found: Overview, near: Callable[[str], str]) -> list[str]:
    """Say which files of rules have errors, and what to do: the first of each folder."""
    lines = list[str]()
    for folder_id, folder in found.rule_folders.items():
        mine = [each for each in found.rule_troubles if each.folder_id == folder_id]
        if not mine:
            continue
        more = f" ({len(mine) - 1:,} more)" if len(mine) > 1 else ""
        lines.append(f"Rules of the folder {folder.name}: {near(mine[0].placed(folder))}{more}")
        name = shlex.quote(folder.name)
        if mine[0].rule_id:
            check = f"ocelog rules check {shlex.quote(folder.path)}"
            lines += [
                f"    To do: correct the file; it is read again by itself. Each error: {check}",
                f"    What runs: ocelog rules list {name}",
            ]
        else:
            lines.append(f"    To do: put the folder back. If it is gone for good: ocelog rules remove {name}")
    return lines


def _behind(found: Overview) -> list[str]:
    """Say that events wait for the rules, since when, and for which rules the most."""
    if found.judging_behind is None:
        return []
    lines = [f"Judging is behind: events wait for the rules since {write_instant(found.judging_behind)}."]
    if found.holder is None:
        lines[0] += " Nothing is running that would judge them. Run: ocelog pull"
    # As it is written: 0 s blames nobody.
    if (slow := found.slowest) is not None and round(slow.worst[0].seconds):
        batches = "batch" if slow.batches == 1 else f"{slow.batches} batches"
        names, seconds = [each.rule for each in slow.worst], [f"{each.seconds:,.0f}" for each in slow.worst]
        lines[0] += (
            f" The rule{'s' * (len(names) > 1)} {write_list(names)} took the most time: "
            f"{write_list(seconds)} of {slow.of:,.0f} s that all rules took for the last {batches}."
        )
        if slow.more:
            lines[0] += f" {slow.more:,} more take long, too."
        off = shlex.join(["ocelog", "rules", "disable", *names])
        what = "them" if len(names) > 1 else "it"
        lines.append(f"    To do: if that is too much, make {what} quicker, or turn {what} off: {off}")
    return lines


def _schedules_behind(found: Overview) -> list[str]:
    """Say which schedules are behind, and which takes the most time."""
    if (behind := found.schedules_behind) is None:
        return []
    others = len(behind.names) - 1
    more = f" and {others:,} more" if others else ""
    since = write_instant(behind.since)
    lines = [f"Schedules are behind by more than a period: {behind.names[0]}{more}, since {since}."]
    if behind.slowest is not None:
        lines[0] += (
            f" The {behind.slowest} takes the most time: it has been running for {behind.seconds:,.0f} s."
            if behind.runs
            else f" The {behind.slowest} took the most time: {behind.seconds:,.0f} s for its last run."
        )
        off = f"ocelog rules disable {shlex.quote(behind.slowest.partition(' ')[2])}"
        lines.append(f"    To do: have it read less, or run less often, or turn it off: {off}")
    return lines


def _alerts(found: Overview, todo: Mapping[str, str]) -> list[str]:
    """Say how many alerts are open, and what rules were not asked about; `todo` says what to do, by rule."""
    lines, told = list[str](), found.alerts.told
    counts = [f"{told[severity]:,} {severity}" for severity in reversed(Severity) if severity in told]
    if counts:
        oldest_us = found.alerts.oldest_us
        since = "" if oldest_us is None else f", the oldest since {write_instant(from_us(oldest_us))}"
        lines.append(f"Open alerts: {', '.join(counts)}{since}. See: ocelog alerts list")
    for each in found.not_judged[:_MOST_NOT_JUDGED]:
        rule = f"the rule {each.rule_id}" if each.rule_id else "any rule"
        again = f" {todo[each.rule_id]}" if each.rule_id in todo else ""
        span = f"{write_instant(from_us(each.first_us))} to {write_instant(from_us(each.last_us))}"
        why = with_full_stop(each.reason)
        lines.append(f"{each.table}: {each.rows:,} rows ({span}) were not judged by {rule}: {why}{again}")
    if rest := found.not_judged[_MOST_NOT_JUDGED:]:
        rules = counted(len({each.rule_id for each in rest}), "rule")
        lines.append(f"More rows were not judged, by {rules}. Which, and what to do: ocelog rules unjudged")
    return lines


def _verdict(found: StreamsVerdict, now: datetime) -> str:
    """Say in one line whether all that happened is here, and up to when; else how many streams are how far."""
    if not found.streams:
        return "There is no source yet. Add one: ocelog source add"
    ranges = f" ({found.ranges_left:,} time range{'' if found.ranges_left == 1 else 's'} left)"
    rest = [
        f"{found.others[state]} {said}{ranges if state == _CATCHING_UP else ''}"
        for state, said in _OTHERWISE.items()
        if found.others.get(state)
    ]
    also = f"{', '.join(rest)}."
    stopped = found.paused_through or found.stopped_through
    if stopped is not None:
        all_ = "The stream is" if found.streams == 1 else f"All {found.streams} streams are"
        one = len(found.others) == 1
        how = f"{all_} {next(iter(found.others))}" if one else f"No stream is read now: {', '.join(rest)}"
        return f"{how}; what is here is complete through {write_instant(stopped)}."
    if found.through is None:
        return f"{'No stream is' if found.streams > 1 else 'The stream is not'} complete yet: {also}"
    ago = about(max(now - found.through, timedelta(0)))
    complete = f"complete through {write_instant(found.through)}, {ago} ago"
    if found.complete == found.streams:
        return f"{'The stream is' if found.streams == 1 else f'All {found.streams} streams are'} {complete}."
    return f"{found.complete} of {found.streams} streams {'is' if found.complete == 1 else 'are'} {complete}; {also}"


def _row(each: StreamStatus) -> dict[str, Any]:
    return {
        "source": each.source,
        "log type": each.log_type,
        "state": _state(each),
        "complete through": write_instant(each.complete_through),
        # While the past is read, it is that of the news alone, which beside how far all is complete reads as a mistake.
        "lag": None if each.lag is None or each.state == _CATCHING_UP else about(each.lag),
    }


def _state(each: StreamStatus) -> str:
    """Return in one word how a stream is: how far it is read, unless its health says more."""
    hides_it = each.health.state is State.BROKEN and each.state in _SEEM_WELL
    return each.health.state.value if hides_it or each.health.state in _SAYS_MORE else each.state


def _all_details(streams: Sequence[StreamStatus], told: Collection[_Fault]) -> list[dict[str, Any]]:
    """Return more of each stream; why it is so stands there once, and not if it is an error that was `told` of."""
    whys, found = dict[str, str](), list[dict[str, Any]]()
    errors = {error for _, error, _ in told}
    for each in streams:
        name, why = f"{each.source} {each.log_type}", without_request(each.health.why)
        if why in errors or _is_told_silent(each):
            said = "see above"
        elif why and (first := whys.setdefault(why, name)) != name:
            said = f"the same as {first}"
        else:
            said = each.health.why
        found.append(_details(each, said))
    return found


def _details(each: StreamStatus, why: str) -> dict[str, Any]:
    state = _state(each)
    is_health = state == each.health.state.value or (state == "live" and each.health.state is State.HEALTHY)
    received, newest = write_instant(each.last_received), write_instant(each.last_event)
    if each.last_received is not None:
        # The past is as old as it says; news is received when it is read.
        old = each.last_received < each.added
        received = f"{received}, {'its own time: older than this source' if old else 'when it was received'}"
    return {
        "stream": f"{each.source} {each.log_type}",
        "state": f"{state} since {write_instant(each.health.since)}" if is_health else state,
        **({"why": why} if why else {}),
        "no-events alarm": _alarm(each),
        "last from others": received,
        **({} if each.rate is None else {"events per hour": f"{each.rate:,.1f}"}),
        "last success": write_instant(each.last_success),
        "newest event": None if newest is None else f"{newest}, its own time",
        **_read_so_far(each),
        **({} if each.eta is None else {"done in": f"about {about(each.eta)}"}),
        **({"parked": len(each.parked)} if each.parked else {}),
        **({"incomplete": len(each.short)} if each.short else {}),
        "unpublished parts": each.waiting.parts,
        "events": each.events,
        "rejections": each.rejections,
        "still rejected": each.still_rejected,
    }


def _read_so_far(each: StreamStatus) -> dict[str, Any]:
    """Say through when a stream is complete, and how much is left that is known of."""
    if each.complete_through is None and not each.slices_left and each.last_success is None:
        return {"complete through": "nothing was read yet"}
    return {"complete through": write_instant(each.complete_through), "time ranges left": each.slices_left}


def _alarm(each: StreamStatus) -> str:
    """Say how the no-events alarm is and what it is set to."""
    settings = each.alarm
    if settings.after is None:
        return "off"
    again = f", repeated every {write_duration(settings.repeat)}" if settings.repeat else ""
    hours = f", not within {settings.quiet_hours}" if settings.quiet_hours else ""
    after = write_duration(settings.after)
    return f"{say_in('en', each.health.alarm.value)} (set to {after} without an event{again}{hours})"


def _looser_alarm(each: StreamStatus) -> str:
    """Return the command by which people are told later of silence, of this log type alone."""
    after = next((longer for longer in _LOOSER if longer > each.alarm.silent_after), None)
    kind = kinds().get(each.log_type)
    which = each.log_type if kind is None else kind.short
    return (
        f"ocelog source edit {each.source_id} --no-events-after "
        f"{which}={'off' if after is None else write_duration(after)}"
    )


def _only_waits(each: StreamStatus) -> bool:
    """Whether all that a stream of a running service needs attention for is tried again, without a person."""
    vanished = each.last_sweep is not None and each.last_sweep.vanished
    others = each.resume or each.short or each.clock_off or each.total_off_by or vanished
    others = others or each.health.alarm is AlarmState.ALARM
    return each.state != "broken" and not others


def _all_remarks(
    streams: Sequence[StreamStatus], among: Sequence[StreamStatus], told: set[_Fault], *, idle: bool
) -> list[str]:
    """Return the lines about streams: first what they failed of, then what else there is of each, then the counts.

    An error is said once, of all the streams `among` which it is, and added to what is `told`. `idle`: nothing runs
    that would try anything again.
    """
    lines = list[str]()
    for each in streams:
        fault = _fault(each)
        if fault is None or fault in told:
            continue
        told.add(fault)
        names = write_list(other.log_type for other in among if _fault(other) == fault)
        lines += [f"{each.source} {names}: {each.error} ({write_instant(each.error_at)})", f"    To do: {each.todo}"]
    return [*lines, *(line for each in streams for line in _remarks(each, idle=idle)), *_differences(streams)]


def _remarks(each: StreamStatus, *, idle: bool) -> list[str]:
    """Return the lines about a stream, but its error and its counts; `idle`: nothing runs that would try it again."""
    name = f"{each.source} {each.log_type}"
    # A pull is refused while another command holds the home.
    first = "" if idle else " (stop the service first)"
    lines = list[str]()
    if each.sweep is not None:
        lines.append(
            f"{name}: the first sweep is not done: {each.sweep}. Until then its _current view lacks older open records."
        )
    lines += _swept(name, each)
    for parked in each.parked:
        lines.append(f"{name}: parked {_range_of(parked)}: {parked.reason}")
        again = (
            "nothing is running that would try it again. Run: ocelog pull, or to keep it going: ocelog run"
            if idle
            else f"nothing yet; it is tried again at {write_instant(parked.due_at)}."
        )
        lines.append(f"    To do: {each.resume or again}")
    for failing in each.failing:
        lines.append(f"{name}: failing since {write_instant(failing.failing_since)} {_range_of(failing)}")
        reason = failing.reason or "It makes no progress; the log says more."
        if each.error is None or without_request(reason) != without_request(each.error):
            lines.append(f"    {reason}")
        if each.resume:
            lines.append(f"    To do: {each.resume}")
    if each.total_off_by:
        lines.append(
            f"{name}: {each.product}'s totals are unreliable since {write_instant(each.total_off_since)}: they count "
            f"up to {each.total_off_by} more records than it returns, and a second reading with other page edges "
            "showed the same records. Perhaps this account may not see the others: check its projects."
        )
        lines.append(f"    To do: once the cause is gone, read the ranges again{first}: ocelog pull --since 7d")
    if each.clock_off is not None:
        behind = "behind" if each.clock_off > timedelta(0) else "ahead of"
        lines.append(
            f"{name}: this machine's clock is {about(abs(each.clock_off))} {behind} {each.product}'s: one of them is "
            "wrong. Nothing is missed, but ages are wrong. If it is this machine's, set it by NTP; if not, rows that "
            "land meanwhile bear a wrong p_observed_at."
        )
    if _is_told_silent(each):
        lines.append(f"{name}: silent. {each.health.why}")
        lines.append(
            f"    To do: see whether the tenant still writes it, and run: ocelog source check {each.source_id}. If so "
            f"little happens there: {_looser_alarm(each)}"
        )
    if each.state == "empty":
        lines.append(
            f"{name}: no record has ever come. Check what its account may read: ocelog source check {each.source_id}"
        )
    for short in each.short:
        lines.append(
            f"{name}: {short.short_by} records missing in {_range_of(short)}: {each.product} reported more than it "
            "returned."
        )
        since, until = short.since.replace(microsecond=0), short.until.replace(microsecond=0) + timedelta(seconds=1)
        again = f"ocelog pull --since {write_instant(since)} --until {write_instant(until)}"
        lines.append(f"    To do: read it again{first}: {again}")
    if each.refused:
        lines.append(f"{name}: {each.product} refuses these fields, new records lack them: {', '.join(each.refused)}")
    if each.unknown_fields:
        lines.append(
            f"{name}: these fields have no column, or a value that no column can hold; they are kept in p_extra: "
            f"{', '.join(each.unknown_fields)}"
        )
    if each.still_rejected:
        lines.append(f"{name}: {each.still_rejected} records did not fit. See: ocelog rejections")
    return lines


def _is_told_silent(each: StreamStatus) -> bool:
    """Whether a remark says that a stream is silent, and why that is known."""
    return each.health.state is State.SILENT and each.state != "empty" and each.error is None


def _swept(name: str, each: StreamStatus) -> list[str]:
    """Tell of the daily sweep what needs attention."""
    lines = list[str]()
    sweep = each.last_sweep
    if sweep is not None and sweep.note is not None:
        lines.append(f"{name}: {sweep.note}.")
    if sweep is not None and sweep.vanished:
        lines.append(f"    To do: check what its account may read: ocelog source check {each.source_id}")
        lines.append(f"    If these records are really gone: ocelog sweep {each.source_id} --accept")
    return lines


def _differences(streams: Sequence[StreamStatus]) -> list[str]:
    """Tell in what the lake differs from what the source counts: in one line for all streams that may well differ."""
    lines, normal = list[str](), list[tuple[str, str, datetime]]()
    for each in streams:
        # No source keeps its logs for ever: that it has fewer entries than the lake is no fault.
        different = [gap for gap in each.coverage if gap.difference > 0 or (gap.difference and gap.status)]
        if not different:
            continue
        name, listed, measured = f"{each.source} {each.log_type}", "; ".join(map(str, different)), different[0].measured
        missing = sum(gap.difference for gap in different)
        if not each.still_rejected:
            normal.append((name, listed, measured))
            continue
        why = (
            f"The difference is the {missing} records that did not fit. See: ocelog rejections"
            if missing == each.still_rejected and not any(gap.at_least for gap in different)
            else f"Records that did not fit are not in the lake (see: ocelog rejections). {_NORMAL}"
        )
        lines.append(f"{name}: counts differ: {listed} ({write_instant(measured)}). {why}")
    if normal:
        all_ = write_list(f"{name} ({listed})" for name, listed, _ in normal)
        oldest = min(measured for _, _, measured in normal)
        lines.append(f"Counts differed at {write_instant(oldest)}: {all_}. {_NORMAL}")
    return lines


def _fault(each: StreamStatus) -> _Fault | None:
    """Return by what an error is known that several streams of a source may have; None: there is none."""
    return None if each.error is None else (each.source_id, without_request(each.error), each.todo)


def _range_of(slice_: Slice) -> str:
    return f"{write_instant(slice_.since)} to {write_instant(slice_.until)} by {slice_.by}"
