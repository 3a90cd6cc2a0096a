"""Bringing one slice to its end: ask, shape, land, until the source says that no page is left."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from ocelog.errors import HaltError, SourceUnavailableError, TransientError
from ocelog.instants import to_us
from ocelog.model import Checkpoint, Kind, Origin, Slice, SliceState, Stamp, table_name
from ocelog.pull import slices
from ocelog.pull.landing import Lander, PageLanded, RejectionRows, rejected
from ocelog.pull.memory import Memory
from ocelog.pull.ports import Ask, CursorLost, Lake, LandingLedger, Page, Shaped, Shaper, Source, Unusable
from ocelog.pull.slices import Moved, Next, Reading, Split
from ocelog.pull.sweep import Judge, infer

_EMPTY_STRETCH = timedelta(days=3650)
"""So far ahead of a slice there are no records: what a healthy source answers at once."""


Blames: TypeAlias = Literal["slice", "stream"]
"""What an error is about: this slice alone, so that its neighbours go on, or the whole stream, which should rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How far a slice came, and what stopped it short of its end (None: nothing, or it was asked to stop)."""

    slice_: Slice
    error: TransientError | HaltError | None = None
    blames: Blames | None = None
    """None without an error. "stream" after the source failed on an empty stretch too, or refused everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one question came to; told after the commit."""

    slice_: Slice
    landed: PageLanded | None
    request_id: str | None
    note: str | None = None


def _ignore(_: Step) -> None:
    """Tell nobody."""


def _our_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Puller:
    """Reads slices of one stream. One object serves many threads: all state of a reading is in the call."""

    source: Source
    shaper: Shaper
    ledger: LandingLedger
    lake: Lake
    kind: Kind
    rejection_rows: RejectionRows
    source_label: str
    page_size: int = 500
    told: Callable[[Step], None] = _ignore
    our_now: Callable[[], datetime] = _our_clock
    """Our clock, by which slices wait; never compared with the API's."""
    rng: random.Random = field(default_factory=random.Random)

    def drain(self, slice_: Slice, *, stop: Callable[[], bool] = lambda: False) -> Drained:
        """Bring `slice_`, as the ledger handed it out, to its end.

        Events land in the same transaction as the checkpoint that vouches for them, so a crash at any point costs one
        page asked for again, and never an event lost or doubled. What landed before an error stays; the slice then
        waits for a better time. Raises LostFenceError (from the ledger) when another holder has taken the slice.
        """
        tries = slice_.checkpoint.failures if slice_.state is SliceState.PARKED else 0
        if slice_.state is SliceState.PARKED:
            slice_ = replace(slice_, state=SliceState.WAITING, checkpoint=Checkpoint())
        work = _Work(self, slice_, tries)
        while work.slice_.state is SliceState.WAITING and not stop():
            try:
                work.step()
            except (TransientError, HaltError) as error:
                blames: Blames = "stream" if isinstance(error, HaltError) else "slice"
                return Drained(slice_=self._postpone(work.slice_, error), error=error, blames=blames)
        return Drained(slice_=work.slice_)

    def _postpone(self, slice_: Slice, error: TransientError | HaltError) -> Slice:
        later = slices.postponed(slice_, error, self.our_now(), self.rng)
        self.ledger.move(slice_, later)
        return later


def _nobodys(slice_: Slice) -> Stamp:
    """Return a stamp for rows that are only looked at."""
    return Stamp(source_id=slice_.source_id, source_label="", origin=slice_.origin, observed_us=0, parsed_us=0)


class _Work:
    """One holder's reading of one slice."""

    def __init__(self, puller: Puller, slice_: Slice, tries: int) -> None:
        self.puller = puller
        self.slice_ = slice_
        self.tries = tries
        self.reading = Reading(resumed=slice_.checkpoint.after is not None)
        table = table_name(slice_.log_type)
        self.judge = Judge(ledger=puller.ledger, lake=puller.lake, kind=puller.kind)
        self.lander = Lander(
            ledger=puller.ledger,
            lake=puller.lake,
            kind=puller.kind,
            table=table,
            source_label=puller.source_label,
            rejection_rows=puller.rejection_rows,
            memory=Memory(puller.lake, table, slice_, puller.kind),
        )

    def step(self) -> None:
        """Ask once and act on the answer; `slice_` is what the ledger holds when this returns."""
        if self.slice_.origin is Origin.INFER:
            self.slice_ = self._infer()
            return
        ask = slices.ask_of(self.slice_, self.puller.page_size)
        match self.puller.source.ask(ask):
            case Page() as page:
                self._use(page, ask)
            case Unusable() as answer:
                self._make_do(answer, ask)
            case CursorLost(reason=reason):
                lost = slices.lost_place(self.slice_, reason, page_size=self.puller.page_size)
                self._go(lost, request_id=None, note=reason)

    def _use(self, page: Page, ask: Ask) -> None:
        split = slices.too_full(self.slice_, page)
        if split is not None:
            self._go(split, request_id=page.request_id, note=f"{page.total} records are too many for one slice")
        else:
            self._land(page, ask, self.puller.shaper.shape(page.records))

    def _land(self, page: Page, ask: Ask, shaped: Shaped, note: str | None = None) -> None:
        self.reading.note(page, shaped.seen, self._instants(shaped))
        self.judge.note(self.slice_, page.asked_us)
        after = self._judged(slices.after_page(self.slice_, page, self.reading, page_size=self.puller.page_size), ask)
        onward = isinstance(after, Moved) and after.to.state is not SliceState.PARKED
        to = after.to if isinstance(after, Moved) and onward else self.slice_
        landed = self.lander.land(page, ask, shaped, moving=self.slice_, to=to)
        self.slice_ = to
        self.puller.told(Step(slice_=to, landed=landed, request_id=page.request_id, note=note))
        if isinstance(after, Moved) and onward:
            self._begin_again(after)
        else:
            self._go(after, request_id=page.request_id, note=None)

    def _judged(self, after: Next, ask: Ask) -> Next:
        """Have a sweep's slice that is read whole judged; one that another process began is read again."""
        if not isinstance(after, Moved) or after.to.state is not SliceState.DRAINED or after.to.short_by:
            return after
        if self.judge.must_read_again(self.slice_, resumed=self.reading.resumed):
            reason = "another process began this reading: it is read again, to see what it does not show"
            return Moved(to=replace(self.slice_, checkpoint=Checkpoint(), reason=reason), again=True)
        opened = self.lander.memory.opened(ask) if self.slice_.origin is Origin.SWEEP else None
        return Moved(to=self.judge.judged(self.slice_, after.to, self.reading.seen, opened))

    def _infer(self) -> Slice:
        puller = self.puller
        return infer(
            self.slice_,
            ledger=puller.ledger,
            lake=puller.lake,
            columns=puller.shaper.columns,
            source_label=puller.source_label,
        )

    def _instants(self, shaped: Shaped) -> Sequence[int]:
        """Return when the events were, by the field that the slice asks by; of use only once a reading was short."""
        kind = self.puller.kind
        if not self.slice_.checkpoint.short_readings or not shaped.ids:
            return ()
        if self.slice_.by == kind.cursor_field:
            return shaped.cursor_us
        rows = shaped.table(range(len(shaped.ids)), shaped.ids, _nobodys(self.slice_))
        return [to_us(instant) for instant in rows[kind.created_field].to_pylist() if instant is not None]

    def _begin_again(self, moved: Moved) -> None:
        if moved.again:
            self.reading.begin_again()

    def _make_do(self, answer: Unusable, ask: Ask) -> None:
        """Ask for fewer records, so that what always fails is found and the rest gets through."""
        fewer = slices.rung_below(self.slice_, self.puller.page_size)
        if fewer is not None:
            self._go(Moved(to=fewer), request_id=answer.request_id, note=answer.reason)
            return
        shaped = self.puller.shaper.shape(answer.page.records) if answer.page is not None else None
        if answer.page is not None and shaped is not None and len(shaped.seen) == 1:
            self._land(answer.page, ask, rejected(shaped, answer.page, answer.reason), note=answer.reason)
            return
        self._blame(ask, answer.reason)
        self._go(slices.smaller(self.slice_, answer.reason), request_id=answer.request_id, note=answer.reason)

    def _blame(self, ask: Ask, reason: str) -> None:
        """Make sure that it is this stretch which fails, and not the source as a whole: ask where there is nothing."""
        nowhere = replace(
            ask, since=ask.until + _EMPTY_STRETCH, until=ask.until + _EMPTY_STRETCH + slices.SECOND, after=None
        )
        if not isinstance(self.puller.source.ask(nowhere), Page):
            raise SourceUnavailableError(f"The source fails on every question just now: {reason}")

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
        self.puller.told(Step(slice_=self.slice_, landed=None, request_id=request_id, note=note))
