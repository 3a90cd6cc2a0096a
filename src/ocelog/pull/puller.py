"""Bringing one slice to its end: ask, shape, land, until the source says that no page is left.

A request that fails although the source answers others costs its neighbours nothing: the page size goes down, then the
broken instants are searched for, and only they are parked.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import HaltError, SourceThrottledError, SourceUnavailableError, TransientError
from ocelog.model import Checkpoint, Kind, Origin, Slice, SliceState, Stamp, StreamFaults, table_name
from ocelog.pull import isolation, narrowing, slices
from ocelog.pull.landing import Lander, PageLanded, RejectionRows, rejected
from ocelog.pull.memory import Memory
from ocelog.pull.own_account import OwnAccount
from ocelog.pull.ports import (
    Answer,
    Ask,
    CursorLost,
    Lake,
    LandingLedger,
    Page,
    Pages,
    ShapedRecords,
    Shaper,
    SuspectLedger,
    Unusable,
)
from ocelog.pull.slices import Moved, Narrow, Next, SliceReading, Split
from ocelog.pull.sweep import Judge, infer
from ocelog.times import to_us

Blames: TypeAlias = Literal["slice", "stream"]
"""What an error is about: this slice alone, so that its neighbours go on, or the whole stream, which should rest."""


class Drained(Struct, frozen=True, kw_only=True):
    """How far a slice came, and what stopped it short of its end (None: nothing, or it was asked to stop)."""

    slice_: Slice
    error: TransientError | HaltError | None = None
    blames: Blames | None = None
    """None without an error. "stream" after the source failed on an empty time range too, or refused everything."""


class PullStep(Struct, frozen=True, kw_only=True):
    """What one request came to; told after the commit."""

    slice_: Slice
    landed: PageLanded | None
    request_id: str | None
    note: str | None = None


def _ignore(_: PullStep) -> None:
    """Tell nobody."""


def _our_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Puller:
    """Reads slices of one stream. One object serves many threads: all state of a reading is in the call."""

    source: Pages
    shaper: Shaper
    ledger: LandingLedger
    suspects: SuspectLedger
    lake: Lake
    kind: Kind
    rejection_rows: RejectionRows
    source_label: str
    own: OwnAccount | None = None
    """The account that reads; None: its records do not name it."""
    page_size: int = 500
    told: Callable[[PullStep], None] = _ignore
    our_now: Callable[[], datetime] = _our_clock
    """Our clock, by which slices wait; never compared with the API's."""
    rng: random.Random = field(default_factory=random.Random)

    def drain(self, slice_: Slice, *, stop: Callable[[], bool] = lambda: False) -> Drained:
        """Bring `slice_`, as the ledger handed it out, to its end.

        Events land in the same transaction as the checkpoint that vouches for them, so a crash at any point costs one
        page asked for again, and never an event lost or doubled. What landed before an error stays; the slice then
        waits for a better time. Raises LostFenceError (from the ledger) when another holder has taken the slice.
        """
        parked = slice_.state is SliceState.PARKED
        tries = slice_.checkpoint.failures if parked else 0
        work = _Work(self, slices.unparked(slice_) if parked else slice_, tries, stop)
        work.was_whole = parked and slice_.checkpoint.whole
        while work.slice_.state is SliceState.WAITING and not stop():
            try:
                work.step()
            except _StoppedError:
                break
            except _PostponeError as postpone:
                return self._postponed(work.slice_, postpone.error, postpone.blames)
            except (TransientError, HaltError) as error:
                # The ledger or the lake: no fault of what was asked for.
                return self._postponed(slices.failed(work.slice_), error, "slice")
        return Drained(slice_=work.slice_)

    def _postponed(self, slice_: Slice, error: TransientError | HaltError, blames: Blames) -> Drained:
        later = slices.postponed(slice_, error, self.our_now(), self.rng)
        self.ledger.move(slice_, later)
        return Drained(slice_=later, error=error, blames=blames)


class _PostponeError(Exception):
    """The slice waits, because of `error`."""

    def __init__(self, error: TransientError | HaltError, blames: Blames) -> None:
        super().__init__(str(error))
        self.error = error
        self.blames = blames


class _StoppedError(Exception):
    """Whoever holds the slice was asked to stop amid a search; nothing was landed or moved for what it was about."""


def _nobodys(slice_: Slice) -> Stamp:
    """Return a stamp for rows that are only looked at."""
    return Stamp(source_id=slice_.source_id, source_label="", origin=slice_.origin, observed_us=0, parsed_us=0)


class _Nowhere(Struct, frozen=True, kw_only=True):
    """What a source says of a time range in which nothing can be: a healthy one counts 0 and shows nothing."""

    counts: int
    shows: bool


class _Work:
    """One holder's reading of one slice."""

    def __init__(self, puller: Puller, slice_: Slice, tries: int, stop: Callable[[], bool]) -> None:
        self.puller = puller
        self.slice_ = slice_
        self.tries = tries
        self.stop = stop
        self.was_whole = False
        """It was parked since the source ignores dates, which a time range that holds most records would not show."""
        self.throttled_alone = False
        """It is proven that requests of this slice are refused as too many while the source answers others."""
        self.floor: int | None = None
        """What the source counts where nothing can be, once a page that shows nothing made that of interest."""
        self.reading = SliceReading(resumed=slice_.checkpoint.after is not None)
        self.created_us = list[int]()
        """When the records of a second were created that cannot be read whole: it may be split by that."""
        self.largest_total = 0
        """Records that the source counted at most for this slice, in any reading of it."""
        table = table_name(slice_.log_type)
        self.judge = Judge(ledger=puller.suspects, lake=puller.lake, kind=puller.kind)
        self.lander = Lander(
            ledger=puller.ledger,
            lake=puller.lake,
            kind=puller.kind,
            table=table,
            claim=slice_.claim,
            source_id=slice_.source_id,
            source_label=puller.source_label,
            origin=slice_.origin,
            rejection_rows=puller.rejection_rows,
            own=puller.own,
            memory=Memory(
                puller.lake, table, slice_.source_id, puller.kind, by=slice_.by, sweeps=slice_.origin is Origin.SWEEP
            ),
        )

    def step(self) -> None:
        """Ask once and act on the answer; `slice_` is what the ledger holds when this returns."""
        if self.slice_.origin is Origin.INFER:
            self.slice_ = self._infer()
            return
        ask = replace(slices.ask_of(self.slice_, self.puller.page_size), suspect=self.throttled_alone)
        try:
            answer = self.puller.source.ask(ask)
        except (TransientError, HaltError) as error:
            self._failed(error, ask)
            return
        match answer:
            case Page() as page:
                self._use(page, ask)
            case Unusable() as unusable:
                self._make_do(unusable, ask)
            case CursorLost(reason=reason):
                lost = slices.lost_place(self.slice_, reason, page_size=self.puller.page_size)
                self._go(lost, request_id=None, note=reason)

    def _use(self, page: Page, ask: Ask) -> None:
        """Land a page, unless its slice is to be split first, or put aside because splitting would not help.

        If the source shows records of any time, one slice of the stream may read them all once a day, as far as that is
        bounded; any other is parked at once: all of it at each poll would cost hundreds of times as much.
        """
        shaped = self.puller.shaper.shape(page.records)
        self.largest_total = max(self.largest_total, page.total or 0)
        if not shaped.seen and self._hides_its_records(page, ask):
            reason = f"the source counts {page.total} records and returns none of them"
            self._make_do(Unusable(reason=reason, request_id=page.request_id), ask)
            return
        split = slices.too_full(self.slice_, page)
        if page.has_next and ask.after is None and not self.slice_.checkpoint.whole:
            by_cursor = self.slice_.by == self.puller.kind.cursor_field
            instants = shaped.cursor_us if by_cursor else self._created_us(shaped)
            ignored = self.was_whole or slices.ignores_dates(ask, page, instants)
            total_lies = False
            if split is not None and not ignored:
                # Splitting that does not help is the dearest mistake: one request shows whether it can.
                # A capped total is only the least that there may be: what is known of others says nothing about it.
                total_lies = not page.capped and (page.total or 0) - self._known_off() <= slices.FULL_SLICE
                nothing = None if total_lies else self._ask_nowhere(ask, tries=3)
                if nothing is not None:
                    ignored, total_lies = nothing.shows, nothing.counts >= slices.FULL_SLICE
            whole = replace(self.slice_, checkpoint=replace(self.slice_.checkpoint, whole=True))
            if ignored:
                bounded = not page.capped and 0 < (page.total or 0) <= slices.MOST_WHOLE
                now = self.puller.our_now()
                due = self.puller.ledger.claim_whole(self.slice_, now, slices.DAY) if bounded else now + slices.DAY
                if due is not None:
                    reason = "the source ignores the dates of the request, and returns records of any time"
                    aside = replace(whole, state=SliceState.PARKED, reason=reason, due_at=due)
                    self._go(Moved(to=aside), request_id=page.request_id, note=reason)
                    return
            if ignored or total_lies:
                self.slice_, split = whole, None
        if split is not None:
            self._go(split, request_id=page.request_id, note=f"{page.total} records are too many for one slice")
        else:
            self._land(page, ask, shaped)

    def _hides_its_records(self, page: Page, ask: Ask) -> bool:
        """Whether a page that shows nothing should show several records: one of them may have emptied it.

        Smaller pages then tell which. A page of one record is taken as it is, unless no page follows although many
        records are left: then what is broken is searched for by time.
        """
        unseen = (page.total or 0) - max(len(self.reading.seen), self.slice_.checkpoint.met)
        if ask.after is not None and not page.has_next:
            # So it looks if the cursor skipped records that share an instant.
            return False
        if unseen < 2 or (ask.page_size == 1 and (page.has_next or unseen < slices.MANY)):
            return False
        if unseen <= self._known_off():
            return False
        if self.floor is None:
            nothing = self._ask_nowhere(ask)
            self.floor = 0 if nothing is None or nothing.shows else nothing.counts
        return unseen - self.floor >= 2

    def _land(self, page: Page, ask: Ask, shaped: ShapedRecords, note: str | None = None) -> None:
        self.reading.note(page, shaped.seen, self._instants(shaped))
        self.judge.note(self.slice_, page.asked_us)
        checkpoint = self.slice_.checkpoint
        if checkpoint.isolations == 0 or (checkpoint.short_readings and not slices.can_split(self.slice_)):
            self.created_us += self._created_us(shaped)
        after = slices.after_page(
            self.slice_,
            page,
            self.reading,
            page_size=self.puller.page_size,
            faults=StreamFaults() if page.has_next else self._faults(ask),
            now=self.puller.our_now(),
        )
        if isinstance(after, Narrow):
            after = self._narrowed(ask) or after.otherwise
        after = self._judged(after, ask)
        onward = isinstance(after, Moved) and after.to.state is not SliceState.PARKED
        to = after.to if isinstance(after, Moved) and onward else self.slice_
        landed = self.lander.land(page, ask, shaped, to=to)
        self.slice_ = to
        self.puller.told(PullStep(slice_=to, landed=landed, request_id=page.request_id, note=note))
        if isinstance(after, Moved) and onward:
            self._remember(after, ask)
            self._begin_again(after)
        else:
            if page.has_next:
                self._blame(ask, SourceUnavailableError("The source gave no cursor for the next page."))
            self._go(after, request_id=page.request_id, note=None)

    def _judged(self, after: Next, ask: Ask) -> Next:
        """Have a sweep's slice that is read whole judged; one that another process began is read again."""
        if not isinstance(after, Moved) or after.to.state is not SliceState.DRAINED:
            return after
        self.judge.shown(self.slice_, self.reading.seen)
        if not after.exact or self.slice_.narrowed:
            return after
        if self.judge.must_read_again(self.slice_, resumed=self.reading.resumed):
            reason = "another process began this reading: it is read again, to see what is missing"
            before = self.slice_.checkpoint
            fresh = Checkpoint(isolations=before.isolations, whole=before.whole)
            return Moved(to=replace(self.slice_, checkpoint=fresh, reason=reason), again=True)
        opened = self.lander.memory.opened(ask) if self.slice_.origin is Origin.SWEEP else None
        return replace(after, to=self.judge.judged(self.slice_, after.to, self.reading.seen, opened))

    def _infer(self) -> Slice:
        puller = self.puller
        return infer(
            self.slice_,
            ledger=puller.ledger,
            suspects=puller.suspects,
            lake=puller.lake,
            columns=puller.shaper.columns,
            source_label=puller.source_label,
        )

    def _known_off(self) -> int:
        """Return by how much this stream's totals were too high within the last day."""
        known = self.puller.ledger.stream_faults(self.slice_.source_id, self.slice_.log_type)
        return known.total_off_by if slices.totals_are_off(known, self.puller.our_now()) else 0

    def _faults(self, ask: Ask) -> StreamFaults:
        """Return what the source gets wrong in this stream.

        What it counts in an empty time range is requested again after a reading of several pages: an old figure could
        hide a record that a cursor skipped.
        """
        faults = self.puller.ledger.stream_faults(self.slice_.source_id, self.slice_.log_type)
        if faults.total_off_floor and self.reading.edges and self.reading.missing():
            nothing = self._ask_nowhere(ask)
            faults = replace(faults, total_off_floor=0 if nothing is None or nothing.shows else nothing.counts)
        return faults

    def _remember(self, after: Moved, ask: Ask) -> None:
        """Save what the end of a reading says about the stream's totals."""
        if after.total_right:
            self.puller.ledger.save_stream_faults(self.slice_, StreamFaults())
        if after.total_off:
            nothing = self._ask_nowhere(ask)
            known = self.puller.ledger.stream_faults(self.slice_.source_id, self.slice_.log_type)
            found = StreamFaults(
                total_off_by=max(after.total_off, known.total_off_by),
                total_off_floor=0 if nothing is None or nothing.shows else nothing.counts,
                total_off_at=self.puller.our_now(),
            )
            self.puller.ledger.save_stream_faults(self.slice_, found)

    def _instants(self, shaped: ShapedRecords) -> Sequence[int]:
        """Return when the events were, by the field that the slice asks by; of use only once a reading was short."""
        if not self.slice_.checkpoint.short_readings or not shaped.ids:
            return ()
        return shaped.cursor_us if self.slice_.by == self.puller.kind.cursor_field else self._created_us(shaped)

    def _created_us(self, shaped: ShapedRecords) -> list[int]:
        if not shaped.ids:
            return []
        rows = shaped.table(range(len(shaped.ids)), shaped.ids, _nobodys(self.slice_))
        created = rows[self.puller.kind.created_field].to_pylist()
        return [to_us(instant) for instant in created if instant is not None]

    def _begin_again(self, moved: Moved) -> None:
        if moved.again:
            self.reading = self.reading.begin_again()
            self.created_us.clear()

    def _failed(self, error: TransientError | HaltError, ask: Ask) -> None:
        """Count a failed request; once it is hopeless, and the source answers others, do without what it asked for."""
        self.slice_ = slices.failed(self.slice_)
        if isinstance(error, SourceThrottledError) and self._is_throttled_alone(ask):
            self.slice_, self.throttled_alone = slices.throttled_alone(self.slice_), True
            ask = replace(ask, suspect=True)
        suspected = self.slice_.checkpoint.isolations is not None
        if not slices.is_unusable(self.slice_, error):
            if suspected and not isinstance(error, SourceThrottledError):
                return
            raise _PostponeError(error, "slice")
        if not suspected:
            self._blame(ask, error)
            self.slice_ = slices.suspect(self.slice_)
        self._make_do(Unusable(reason=str(error)), ask, error)

    def _is_throttled_alone(self, ask: Ask) -> bool:
        """Whether this request is refused as one too many each time, while the source answers another right after."""
        if self.throttled_alone:
            return True
        suspected = self.slice_.checkpoint.isolations is not None
        if self.slice_.checkpoint.failures < (2 if suspected else slices.TRIES):
            return False
        for _ in range(2):
            try:
                self.puller.source.ask(replace(ask, suspect=True))
            except SourceThrottledError:
                if self._ask_nowhere(ask) is None:
                    return False
            except (TransientError, HaltError):
                return False
            else:
                return False
        return True

    def _make_do(self, answer: Unusable, ask: Ask, error: TransientError | HaltError | None = None) -> None:
        """Ask for fewer records, then cut around what fails, then record by record: the rest gets through.

        Only what fails when it is asked for alone is parked, and only while the source answers other requests. Smaller
        pages are not tried for a refusal (`error`), nor in a piece that was cut since they did not help.
        """
        one_by_one = self.slice_.checkpoint.isolations == 0
        fewer = slices.rung_below(self.slice_, self.puller.page_size)
        may_help = not isinstance(error, HaltError) and not self._was_cut()
        if fewer is not None and (answer.page is not None or one_by_one or may_help):
            if not isinstance(error, SourceThrottledError):
                fewer = replace(fewer, checkpoint=replace(fewer.checkpoint, failures=0))
            self._go(Moved(to=fewer), request_id=answer.request_id, note=answer.reason)
            return
        shaped = self.puller.shaper.shape(answer.page.records) if answer.page is not None else None
        if fewer is None and answer.page is not None and shaped is not None and len(shaped.seen) == 1:
            self._land(answer.page, ask, rejected(shaped, answer.page, answer.reason), note=answer.reason)
            return
        self._blame(ask, error or SourceUnavailableError(answer.reason))
        self.slice_ = slices.suspect(self.slice_)
        if slices.can_isolate(self.slice_):
            self._isolate(ask, answer)
            return
        if one_by_one and fewer is None:
            pieces = self._around_failure(ask)
            if pieces is not None:
                self._go(pieces, request_id=answer.request_id, note=answer.reason)
                return
            aside = replace(self.slice_, state=SliceState.PARKED, reason=answer.reason)
            self._go(Moved(to=aside), request_id=answer.request_id, note=answer.reason)
        else:
            alone = slices.record_by_record(self.slice_)
            self._go(Moved(to=alone, again=True), request_id=answer.request_id, note=answer.reason)

    def _around_failure(self, ask: Ask) -> Split | None:
        """Return how to split many records by another filter, if one of them makes requests fail; it is tried once."""
        if self.tries or 0 < self.largest_total < slices.MANY:
            return None
        return self._narrowed(ask, around_failure=True)

    def _was_cut(self) -> bool:
        """Whether this slice is a piece of one in which something failed: then smaller pages were tried already."""
        isolations = self.slice_.checkpoint.isolations
        return isolations is not None and isolations < slices.MOST_ISOLATIONS

    def _isolate(self, ask: Ask, answer: Unusable) -> None:
        """Find what is broken in the slice, and cut it there."""
        size, total = self.puller.page_size, self.slice_.checkpoint.total or 0
        if total <= size:
            search = isolation.search(ask.since, ask.until, size)
            found: isolation.SearchOutcome | None = None
            probed = next(search)
            while found is None:
                if self.stop():
                    return
                counted = self._probe(ask, probed)
                self.puller.ledger.move(self.slice_, self.slice_)
                try:
                    probed = search.send(counted)
                except StopIteration as end:
                    found = end.value
            self._blame(ask, SourceUnavailableError(answer.reason))
            if isinstance(found, isolation.BrokenRanges):
                split = slices.isolated(self.slice_, found.ranges, proven=found.proven)
                self._go(split, request_id=answer.request_id, note=answer.reason)
                return
            total = found.total if isinstance(found, isolation.TooFull) else 0
        pieces = slices.in_suspect_pieces(self.slice_, total, size)
        self._go(pieces, request_id=answer.request_id, note=answer.reason)

    def _probe(self, ask: Ask, probed: isolation.TimeRange) -> int | None:
        """Ask for the first page of a time range; return how many records are counted there, None if that fails."""
        size = self.puller.page_size
        try:
            answer = self.puller.source.ask(replace(ask, since=probed[0], until=probed[1], after=None, page_size=size))
        except SourceThrottledError as error:
            if not slices.is_unusable(self.slice_, error):
                raise _PostponeError(error, "slice") from error
            self._blame(ask, error)
            return None
        except (TransientError, HaltError):
            return None
        if not isinstance(answer, Page):
            return None
        counted = len(self.puller.shaper.shape(answer.records).seen)
        if not counted and self.floor is not None and (answer.total or 0) - self.floor > 1:
            return None
        return max(counted, answer.total or 0, size + 1) if answer.has_next else counted

    def _blame(self, ask: Ask, error: TransientError | HaltError) -> None:
        """Make sure that it is this slice which fails, and not the source as a whole: ask where there is nothing."""
        try:
            answer = self._answer_nowhere(ask)
        except (TransientError, HaltError) as other:
            worse = other if isinstance(other, HaltError) or isinstance(error, TransientError) else error
            raise _PostponeError(worse, "stream") from other
        endless = isinstance(answer, Page) and answer.has_next and not self.puller.shaper.shape(answer.records).seen
        if endless or not isinstance(answer, Page):
            # Counted, so that it waits longer each time.
            self.slice_ = slices.failed(self.slice_)
            told = SourceUnavailableError(f"The source fails on every request at the moment: {error}")
            raise _PostponeError(told, "stream")

    def _answer_nowhere(self, ask: Ask) -> Answer:
        """Ask far ahead, or far behind if that fails: a source may refuse dates that lie ahead of its clock."""
        ahead, behind = slices.nowhere(ask)
        try:
            answer = self.puller.source.ask(ahead)
        except SourceThrottledError:
            raise
        except (TransientError, HaltError):
            return self.puller.source.ask(behind)
        return answer if isinstance(answer, Page) else self.puller.source.ask(behind)

    def _ask_nowhere(self, ask: Ask, *, tries: int = 1) -> "_Nowhere | None":
        """Return what the source says of a time range in which nothing can be; None if each of `tries` fails."""
        for _ in range(tries):
            try:
                answer = self._answer_nowhere(ask)
            except (TransientError, HaltError):
                continue
            if isinstance(answer, Page):
                counts = max(answer.total or 0, slices.FULL_SLICE if answer.capped else 0)
                return _Nowhere(counts=counts, shows=bool(self.puller.shaper.shape(answer.records).seen))
        return None

    def _narrowed(self, ask: Ask, *, around_failure: bool = False) -> Split | None:
        """Split one second that cannot be shown whole by a further filter; None if no filter does that."""
        size = self.puller.page_size // 2
        if not around_failure:
            size = self.reading.largest_page * len(self.created_us) // max(1, self.largest_total)
        crowd = narrowing.Crowd(
            by=ask.by,
            total=self.largest_total,
            created_us=self.created_us,
            known=self.slice_.narrowed or {},
            size=size,
            latest=slices.nowhere(ask)[0].since,
        )
        found = narrowing.filters(
            crowd,
            self.puller.kind,
            lambda piece: self._total(replace(ask, narrowed={**crowd.known, **piece})),
            many=slices.MANY if around_failure else None,
        )
        return slices.narrowed(self.slice_, found, suspect=around_failure) if found else None

    def _total(self, ask: Ask) -> int | None:
        if self.stop():
            raise _StoppedError
        # There may be many of them: the lease must outlast them all.
        self.puller.ledger.move(self.slice_, self.slice_)
        try:
            answer = self.puller.source.ask(replace(ask, after=None, page_size=1))
        except (TransientError, HaltError):
            return None
        return answer.total if isinstance(answer, Page) else None

    def _go(self, after: Next, *, request_id: str | None, note: str | None) -> None:
        ledger = self.puller.ledger
        match after:
            case Split(children=children):
                ledger.split(self.slice_, children)
                self.slice_ = replace(self.slice_, state=SliceState.RETIRED)
            case Moved(to=to) if to.state is SliceState.PARKED:
                to = slices.parked(to, self.puller.our_now(), tries=self.tries)
                ledger.park(self.slice_, to)
                self.slice_ = to
            case Moved(to=to) as moved:
                ledger.move(self.slice_, to)
                self.slice_ = to
                self._begin_again(moved)
        self.puller.told(PullStep(slice_=self.slice_, landed=None, request_id=request_id, note=note))
