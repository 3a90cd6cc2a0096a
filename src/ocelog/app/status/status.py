"""The status of every stream, and what needs attention."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from msgspec import Struct
from msgspec.structs import replace

from ocelog.app import advice
from ocelog.app.source_settings import damage, product_title, source_settings, stream_settings
from ocelog.app.sources.stream_health import (
    alarm_settings,
    facts_of,
    failing_slices,
    is_of_the_past,
    is_tired,
    read_source,
)
from ocelog.errors import ConfigError, HomeError, SourceThrottledError, TransientError, error_class
from ocelog.health.settings import AlarmSettings
from ocelog.health.stream import AlarmState, Facts, Memory, State, first_look, look
from ocelog.installation.home import Home
from ocelog.installation.home_lock import Holder, holder
from ocelog.installation.opening import Installation
from ocelog.ledger.health import HealthView, StreamKey
from ocelog.ledger.ledger import Ledger
from ocelog.model import (
    ALL_LOGS,
    DETECT,
    HANGING,
    PUBLISH,
    PUBLISHING,
    LoopFault,
    LoopMark,
    Marks,
    Origin,
    Slice,
    SliceState,
    SourceRow,
    StreamRow,
    TableFault,
    table_name,
)
from ocelog.pull.planner import complete_through, still_short, unread_since
from ocelog.pull.ports import LONGEST_WAITS, Coverage
from ocelog.pull.sweep import Sweep as SweepRound
from ocelog.times import CLOCKS_APART, from_us, has_passed
from ocelog.units import write_instant

_CLOCK_OFF = timedelta(minutes=1)
"""A clock that differs by more from the source's is shown, so that a person sets it while nothing depends on it yet.

Rows expire until it differs by `expiry.CLOCK_OFF`: a few minutes do not matter to a retention of days.
"""
_NO_POLL = timedelta(0)
_COMPLETE = frozenset({"live", "empty"})
"""States of streams that are complete up to an instant."""
_STOPPED = frozenset({"paused", "broken", "retrying"})
"""States of streams that are no longer read, or not just now."""
_ENOUGH = 0.05
"""Which part of the time that is read must be counted before anything is said of how long the rest takes."""
_LATE = timedelta(minutes=5)
"""By how much more than the settings say a table may be published late, whatever lag is allowed."""
_JUDGING_BEHIND = timedelta(minutes=1)
"""Events that have waited longer for the rules are told of."""
_JUDGING_LATE = timedelta(minutes=5)
"""If they have waited longer, a person must act, unless there is just much to judge."""


class UnpublishedParts(Struct, frozen=True, kw_only=True):
    """What has landed in a table and is not published yet."""

    parts: int
    rows: int
    bytes: int
    oldest: datetime | None


class Sweep(Struct, frozen=True, kw_only=True):
    """How much of the first sweep of the open records is there."""

    met: int
    total: int | None
    """None: some slices were not begun, so nobody knows yet."""
    slices_left: int

    def __str__(self) -> str:
        if self.total:
            return f"{self.met:,} of {self.total:,} open records ({100 * self.met // self.total}%)"
        return f"{self.met:,} open records so far, {self.slices_left} time range{'s' * (self.slices_left != 1)} left"


class Gap(Struct, frozen=True, kw_only=True):
    """How many records of one status the source counts, and how many the lake has."""

    status: str
    """Empty for a log type whose records have none."""
    at_source: int
    at_least: bool
    """The source stopped counting there."""
    in_lake: int
    measured: datetime

    @property
    def difference(self) -> int:
        """How many more the source counts than the lake has."""
        return self.at_source - self.in_lake

    def __str__(self) -> str:
        more = "more than " if self.at_least else ""
        whose = f"{self.status}: " if self.status else ""
        return f"{whose}{more}{self.at_source:,} at the source, {self.in_lake:,} in the lake"


class StreamStatus(Struct, frozen=True, kw_only=True):
    """One stream as it stands."""

    source: str
    source_id: str
    log_type: str
    product: str
    """Whose logs these are, as its maker writes it."""
    state: str
    """new, paused, broken, retrying, catching up, live, or empty: live, but no record ever came."""
    needs_attention: bool
    facts: Facts
    """What is known of how it is."""
    health: Memory
    """How it is by that, after it was as the ledger remembers."""
    alarm: AlarmSettings
    """When people are told that no event comes."""
    added: datetime
    """When its source was added."""
    last_success: datetime | None
    last_event: datetime | None
    """The newest time that an event bears, whoever caused it."""
    last_received: datetime | None
    """When the newest event was received that our own account did not cause, by our clock.

    News is received when it is read; of what was there before, this is the event's own time.
    """
    rate: float | None
    """How many events land in an hour, of late; None: nobody has looked for long enough."""
    complete_through: datetime | None
    lag: timedelta | None
    """How old the oldest time range is that live reading lacks; what it reads again is there."""
    poll: timedelta
    """How often it is asked for news."""
    reading: bool
    """News is planned and not read yet."""
    throttled: bool
    """The source asks it to wait."""
    slices_left: int
    eta: timedelta | None
    past_read: float | None
    """Which part of the time of the backfill is read; None: all of it, or there is none."""
    parked: tuple[Slice, ...]
    short: tuple[Slice, ...]
    failing: tuple[Slice, ...]
    """Those that have failed for an hour without a success, whatever the stream's other slices do.

    While it is paused none of them needs attention: nothing is tried.
    """
    sweep: Sweep | None
    """None: the first sweep is drained, or there is none."""
    last_sweep: SweepRound | None
    """The newest of the sweeps, daily ones included; None: there was none."""
    coverage: tuple[Gap, ...]
    waiting: UnpublishedParts
    events: int
    rejections: int
    """All that there were."""
    still_rejected: int
    """Those that are not in the lake: no replay has found that they fit by now."""
    unknown_fields: dict[str, int]
    refused: tuple[str, ...]
    total_off_by: int | None
    """The source counts up to so many records that it does not return; None: its counts are right, as far as known."""
    total_off_since: datetime | None
    """When that was first found."""
    clock_off: timedelta | None
    """How far this machine's clock is behind the API's (ahead: negative), if that is more than a minute.

    None while it is paused, for nobody looks at the API's clock then; and once our clock was set back since the last
    look, which the next poll does anew.
    """
    error: str | None
    error_code: str | None
    """None, with an error: it was noted by a version that kept no codes."""
    todo: str | None
    error_at: datetime | None
    resume: str | None
    """How it goes on, if it is paused."""

    @property
    def is_retried(self) -> bool:
        """Whether reading it fails for now, and its health does not say anything worse."""
        return self.state == "retrying" and self.health.state in {State.HEALTHY, State.QUIET, State.CATCHING_UP}


class StreamsVerdict(Struct, frozen=True, kw_only=True):
    """What is said of all streams in one line."""

    streams: int
    complete: int
    """How many of them are complete."""
    through: datetime | None
    """Through when those are; None: none is."""
    others: Mapping[str, int]
    """How many streams are in each other state."""
    paused_through: datetime | None
    """Through when all are complete, if all are paused."""
    stopped_through: datetime | None
    """Through when all are complete, if each is paused, broken or retrying, and none has its past still to read."""
    ranges_left: int
    """Time ranges that those still have to read which catch up."""


def verdict(streams: Sequence[StreamStatus]) -> StreamsVerdict:
    """Say of all streams how far they are."""
    complete = [each.complete_through for each in streams if each.state in _COMPLETE and each.complete_through]
    paused = [each.complete_through for each in streams if each.state == "paused" and each.complete_through]
    stopped = [
        each.complete_through
        for each in streams
        if each.state in _STOPPED and each.complete_through and not each.facts.past_left
    ]
    states = Counter(each.state for each in streams if each.state not in _COMPLETE)
    return StreamsVerdict(
        streams=len(streams),
        complete=len(complete),
        through=min(complete, default=None),
        others=states,
        paused_through=min(paused) if paused and len(paused) == len(streams) else None,
        stopped_through=min(stopped) if stopped and len(stopped) == len(streams) else None,
        ranges_left=sum(each.slices_left for each in streams if each.state == "catching up"),
    )


def stream_statuses(
    ledger: Ledger, now: datetime | None = None, *, idle: bool = False, source_id: str | None = None
) -> list[StreamStatus]:
    """Return how every stream of every source stands, or of one; `idle`: nothing runs that would try anything again.

    It is read as of one instant, by a few statements however many streams there are.
    """
    now = now or datetime.now(UTC)
    with ledger.snapshot():
        view = ledger.health.view()
        slices = defaultdict[StreamKey, list[Slice]](list)
        for each in ledger.pulling.slices(source_id=source_id):
            slices[each.source_id, each.log_type].append(each)
        known = _LedgerView(view=view, slices=slices, waiting=cache(partial(_waiting, ledger)))
        found = list[StreamStatus]()
        for row in (row for row in ledger.sources.listed() if source_id in (None, row.id)):
            error = damage(row)
            if error is None:
                found += [_stream_status(known, row, each, now, idle=idle) for each in source_settings(row).log_types]
            else:
                # Which log types it reads is not known any more: those that it has read.
                read = [log_type for owner, log_type in view.streams if owner == row.id] or ["?"]
                stood = [_stream_status(known, row, each, now, idle=idle) for each in read]
                found += [_broken(each, row.id, error) for each in stood]
    return found


def running(home: Home) -> Holder | str | None:
    """Return who holds the home; None: nobody; a text if this user may not see it."""
    try:
        return holder(home)
    except HomeError:
        return "unknown: the lock may not be read by this user"


def caught_up(installation: Installation, source_id: str, log_type: str) -> tuple[datetime | None, int]:
    """Return through when a stream is complete, and how many time ranges of its past are left to read."""
    ledger = installation.ledger.pulling
    marks, slices = ledger.marks(source_id, log_type), ledger.slices(source_id=source_id, log_type=log_type)
    return complete_through(marks, slices), sum(map(is_of_the_past, slices))


def _broken(each: StreamStatus, source_id: str, error: ConfigError) -> StreamStatus:
    todo = f"Correct the setting that the message names. How: ocelog source edit {source_id} --help"
    return replace(
        each,
        state="broken",
        needs_attention=True,
        error=str(error),
        error_code=error.code,
        todo=todo,
        error_at=None,
    )


def sweeps(ledger: Ledger) -> dict[str, Sweep]:
    """Return, by `source log type`, the first sweeps that are not drained."""
    found = dict[str, Sweep]()
    for row in (row for row in ledger.sources.listed() if damage(row) is None):
        for log_type in source_settings(row).log_types:
            sweep = sweep_of(ledger.pulling.slices(source_id=row.id, log_type=log_type))
            if sweep is not None:
                found[f"{row.name} {log_type}"] = sweep
    return found


class OverdueTable(Struct, frozen=True, kw_only=True):
    """A table whose parts should be published by now."""

    table: str
    parts: int
    rows: int
    oldest: datetime
    fault: TableFault | None
    """How publishing failed; None: nobody has tried."""

    @property
    def lines(self) -> list[str]:
        """What a person is told."""
        count = "1 part has" if self.parts == 1 else f"{self.parts:,} parts have"
        waits = f"{count} been waiting since {write_instant(self.oldest)} ({self.rows:,} rows)"
        others = "`ocelog query` sees them, other engines do not"
        if self.fault is None:
            return [f"{self.table}: {waits}, and nothing publishes them; {others}. Run: ocelog publish"]
        return [
            f"{self.table}: publishing has been failing since {write_instant(self.fault.since)}: {self.fault.reason}",
            f"    {waits}; {others}. No row is lost.",
            "    To do: fix what the message says. A running service then tries again; otherwise run: ocelog publish",
        ]


def unpublished(
    ledger: Ledger, tables: Iterable[str], *, publish_after: timedelta, allowed: timedelta, now: datetime
) -> list[OverdueTable]:
    """Return the tables that cannot be published, or whose oldest part waits longer than it should by `allowed`."""
    faults = {each.table: each for each in ledger.lake.table_faults() if each.what == PUBLISHING}
    found = list[OverdueTable]()
    for table in tables:
        parts, rows, _, oldest_us = ledger.lake.unpublished(table)
        if oldest_us is None:
            continue
        oldest, fault = from_us(oldest_us), faults.get(table)
        late = publish_after + max(allowed, _LATE)
        if fault is not None or has_passed(late, since=oldest, now=now):
            found.append(OverdueTable(table=table, parts=parts, rows=rows, oldest=oldest, fault=fault))
    return found


def failing_loops(ledger: Ledger, who: Holder | str | None = None) -> list[LoopFault]:
    """Return what is wrong with loops, one line for each: that it hangs, or what it has failed by for longest.

    `who` holds the home, and says itself what fails: its ledger may have no room for that.
    """
    found = dict[str, LoopFault]()
    told = [*ledger.lake.loop_faults(), *(who.failing if isinstance(who, Holder) else ())]
    for each in sorted(told, key=lambda fault: (fault.during != HANGING, fault.since)):
        found.setdefault(each.loop, each)
    return list(found.values())


def lagging(marks: Sequence[LoopMark], *, allowed: timedelta, now: datetime) -> list[str]:
    """Say which loops have not done what landed longer ago than they should, and so keep its files from going.

    Publishing is told by `unpublished`, which knows why it fails.
    """
    late = max(allowed, _LATE)
    return [
        f"{each.table}: the loop {each.loop!r} is behind by {each.parts} parts ({each.rows:,} rows), the first of them "
        f"from {write_instant(from_us(each.oldest_us))}. Their files stay until it is done with them. Its log says why."
        for each in marks
        if each.loop != PUBLISH
        and each.oldest_us is not None
        and has_passed(late, since=from_us(each.oldest_us), now=now)
    ]


def judging_behind(marks: Sequence[LoopMark], now: datetime) -> datetime | None:
    """Return since when events wait for the rules, if that is longer than a batch usually takes, else None."""
    waiting = [from_us(each.oldest_us) for each in marks if each.loop == DETECT and each.oldest_us is not None]
    oldest = min(waiting, default=None)
    return oldest if oldest is not None and has_passed(_JUDGING_BEHIND, since=oldest, now=now) else None


def judging_late(behind: datetime | None, now: datetime) -> bool:
    """Whether events that wait for the rules since then have waited for too long."""
    return behind is not None and has_passed(_JUDGING_LATE, since=behind, now=now)


def lost_lines(ledger: Ledger, tables: Collection[str] | None = None) -> list[str]:
    """Say which rows publishing passed because their part is lost, and what to do; of `tables`, if they are given.

    `_current` and `all_logs` count as the tables below them.
    """
    lines = list[str]()
    for lost in ledger.losses.listed():
        named = tables is None or any(name in {lost.table, f"{lost.table}_current", ALL_LOGS} for name in tables)
        if named:
            rows = "an unknown number of" if lost.rows is None else f"{lost.rows:,}"
            lines.append(
                f"{lost.table} lacks {rows} rows: {lost.path} {lost.reason}. To read them again: ocelog repair"
            )
    return lines


def sweep_of(slices: Sequence[Slice]) -> Sweep | None:
    """Return how far a stream's first sweep has come, None if nothing of it is left."""
    first = [each for each in slices if each.origin is Origin.SWEEP and each.sweep_round <= 1]
    all_of_it = [each for each in first if each.state is not SliceState.RETIRED]
    left = [each for each in all_of_it if each.state is SliceState.WAITING]
    if not left:
        return None
    totals = [each.checkpoint.total for each in all_of_it]
    known = [each for each in totals if each is not None]
    return Sweep(
        met=sum(each.checkpoint.met for each in all_of_it),
        total=sum(known) if len(known) == len(totals) else None,
        slices_left=len(left),
    )


class _LedgerView(Struct, frozen=True, kw_only=True):
    """What the ledger holds of all streams."""

    view: HealthView
    slices: Mapping[StreamKey, Sequence[Slice]]
    waiting: Callable[[str], UnpublishedParts]
    """What waits to be published in a table."""


def _stream_status(known: _LedgerView, row: SourceRow, log_type: str, now: datetime, *, idle: bool) -> StreamStatus:
    key = (row.id, log_type)
    stream, slices = known.view.streams.get(key), known.slices.get(key, ())
    waiting = [each for each in slices if each.state is SliceState.WAITING]
    wait = LONGEST_WAITS[SliceState.PARKED]
    parked = tuple(
        replace(each, due_at=now) if has_passed(wait, since=each.due_at - wait, now=now) else each
        for each in slices
        if each.state is SliceState.PARKED
    )
    short = still_short(slices)
    marks = stream.marks if stream is not None else Marks(source_id=row.id, log_type=log_type)
    state = _state(row, stream, waiting)
    tired = state == "retrying" and is_tired(row, stream, now)
    failing = failing_slices(slices, now)
    swept, counts = known.view.sweeps.get(key), known.view.counts.get(key, ())
    facts = facts_of(read_source(row), stream, slices, swept=swept, counts=counts, now=now)
    alarm = alarm_settings(row, log_type)
    health = look(facts, alarm, known.view.remembered.get(key) or first_look(now))
    tired = tired or (swept is not None and swept.vanished)
    off = None if row.paused else _clock_off(marks, now)
    total_off = stream.total_off_by if stream is not None else None
    todo = None
    if stream is not None and stream.trouble is not None:
        code = stream.trouble_code
        todo = stream.trouble_todo if code is None else advice.todo(code, row.id, idle=idle)
    resume = f"nothing is tried while it is paused; to go on: ocelog source resume {row.id}" if row.paused else None
    return StreamStatus(
        source=row.name,
        source_id=row.id,
        log_type=log_type,
        product=product_title(row),
        state=state,
        needs_attention=state == "broken"
        or bool(parked or short or off or total_off or (failing and not row.paused))
        or tired
        or health.alarm is AlarmState.ALARM,
        facts=facts,
        health=health,
        alarm=alarm,
        added=from_us(row.added_us),
        last_success=_instant(stream.last_success_us if stream else None),
        last_event=_instant(stream.last_event_us if stream else None),
        last_received=_instant(stream.received_us if stream else None),
        rate=health.rate(facts.events, now),
        complete_through=complete_through(marks, slices),
        lag=_lag(marks, slices, now),
        poll=stream_settings(row).poll if damage(row) is None else _NO_POLL,
        reading=any(each.origin is Origin.LIVE for each in waiting),
        throttled=stream is not None and stream.trouble_kind == SourceThrottledError.code,
        slices_left=len(waiting),
        eta=_eta(row, slices, [known.slices[row.id, each] for each in _others(row, log_type)]),
        past_read=_past_read(slices),
        parked=parked,
        short=short,
        failing=failing,
        sweep=sweep_of(slices),
        last_sweep=swept,
        coverage=_gaps(counts),
        waiting=known.waiting(table_name(log_type)),
        events=stream.events if stream else 0,
        rejections=stream.rejections if stream else 0,
        still_rejected=max(0, stream.rejections - stream.replayed) if stream else 0,
        unknown_fields=dict(stream.unknown_fields) if stream else {},
        refused=tuple(sorted(stream.refused)) if stream else (),
        total_off_by=total_off,
        total_off_since=_instant(stream.total_off_since_us if stream else None),
        clock_off=off,
        error=stream.trouble if stream else None,
        error_code=stream.trouble_code if stream else None,
        todo=resume or todo if todo else None,
        resume=resume,
        error_at=_instant(stream.trouble_us if stream else None),
    )


def _state(row: SourceRow, stream: StreamRow | None, waiting: Sequence[Slice]) -> str:
    if row.paused:
        return "paused"
    if stream is not None and stream.trouble_kind is not None:
        kind = error_class(stream.trouble_kind)
        return "retrying" if kind is not None and issubclass(kind, TransientError) else "broken"
    if stream is None or stream.marks.edge is None:
        return "new"
    if any(map(is_of_the_past, waiting)):
        return "catching up"
    return "live" if stream.events or stream.repeats or stream.rejections else "empty"


def coverage(ledger: Ledger, source_id: str, log_type: str) -> tuple[Gap, ...]:
    """Return what was last measured of a stream, by status."""
    return _gaps(ledger.sweeps.coverage(source_id, log_type))


def _gaps(counts: Sequence[Coverage]) -> tuple[Gap, ...]:
    return tuple(
        Gap(
            status=each.status,
            at_source=each.at_source,
            at_least=each.at_least,
            in_lake=each.in_lake,
            measured=from_us(each.measured_us),
        )
        for each in counts
    )


def _clock_off(marks: Marks, now: datetime) -> timedelta | None:
    if marks.offset is None or abs(marks.offset) <= _CLOCK_OFF:
        return None
    # The edge is the API's instant of the last look.
    set_back = marks.edge is not None and marks.edge - marks.offset > now + CLOCKS_APART
    return None if set_back else marks.offset


def _lag(marks: Marks, slices: Sequence[Slice], now: datetime) -> timedelta | None:
    """Return how old the oldest news is that was not read."""
    if marks.edge is None:
        return None
    news = [each for each in slices if each.origin is Origin.LIVE and each.state is SliceState.WAITING]
    return max(timedelta(0), now - min(unread_since(news, slices), default=marks.edge))


def _others(row: SourceRow, log_type: str) -> list[str]:
    """Return the other log types that a source reads."""
    return [] if damage(row) is not None else [each for each in source_settings(row).log_types if each != log_type]


def _eta(row: SourceRow, slices: Sequence[Slice], others: Iterable[Sequence[Slice]]) -> timedelta | None:
    """Guess how long a stream's waiting slices take at its source's rate, which its `others` use at the same time.

    None: nothing waits, or too little of it is counted to tell.
    """
    if damage(row) is not None:
        return None
    settings = source_settings(row)
    own = _pages_left(slices, settings.page_size)
    if not own:
        return None
    # They take turns: each uses up as much of the rate, until it is done.
    shared = sum(min(_pages_left(each, settings.page_size) or 0, own) for each in others)
    return timedelta(seconds=(own + shared) / settings.rate)


def _pages_left(slices: Sequence[Slice], page_size: int) -> float | None:
    """Guess how many requests the waiting slices take: those not begun hold as much per hour as their like.

    None: of their like too little is counted to say so.
    """
    left = 0.0
    waiting = [each for each in slices if each.state is SliceState.WAITING]
    for origin in {each.origin for each in waiting}:
        alike = [each for each in slices if each.origin is origin and each.state is not SliceState.RETIRED]
        counted = [each for each in alike if each.checkpoint.total is not None]
        whole, known = _span(alike), _span(counted)
        if not counted or known < _ENOUGH * whole:
            return None
        density = sum(each.checkpoint.total or 0 for each in counted) / max(known.total_seconds(), 1)
        for each in (each for each in waiting if each.origin is origin):
            total = each.checkpoint.total
            guess = density * (each.until - each.since).total_seconds() if total is None else total
            left += max(0, guess - each.checkpoint.met) / page_size + 1
    return left


def _span(slices: Iterable[Slice]) -> timedelta:
    return sum((each.until - each.since for each in slices), timedelta())


def _past_read(slices: Sequence[Slice]) -> float | None:
    """Return which part of the backfill's time is read, None if nothing of it is left."""
    past = [each for each in slices if each.origin is Origin.BACKFILL and each.state is not SliceState.RETIRED]
    whole = _span(past)
    if all(each.state is SliceState.DRAINED for each in past) or not whole:
        return None
    return sum((_read_part(each) * (each.until - each.since) for each in past), timedelta()) / whole


def _read_part(each: Slice) -> float:
    if each.state is SliceState.DRAINED:
        return 1.0
    total = each.checkpoint.total
    return min(each.checkpoint.met / total, 1.0) if total else 0.0


def _waiting(ledger: Ledger, table: str) -> UnpublishedParts:
    parts, rows, size, oldest_us = ledger.lake.unpublished(table)
    return UnpublishedParts(parts=parts, rows=rows, bytes=size, oldest=_instant(oldest_us))


def _instant(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
