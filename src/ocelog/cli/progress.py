"""How far a command has come: bars on stderr if that is a terminal, nothing elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ocelog.cli import show
from ocelog.errors import OcelogError
from ocelog.model import Slice, SliceState
from ocelog.pull.puller import PullStep
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage
from ocelog.units import counted
from ocelog.workers.fair import StreamKey

if TYPE_CHECKING:
    # Imported only when bars are drawn: a pull without a terminal goes without.
    from rich.progress import Progress as Bars

_LOOK_EVERY = 1.0
"""Seconds between two looks at what is planned for a stream."""
_WIDE = 16
"""Columns of a bar."""
_DOING = {
    "detect": "Judging the new records ...",
    "schedule": "Running scheduled queries ...",
    "publish": "Publishing ...",
    "coverage": "Counting what the source has ...",
    "health": "Looking at the state of sources ...",
    "deliver": "Sending alerts to channels ...",
}
"""What each loop does once all is read, by its name."""
_SWEEPING = {
    Stage.READING: "Reading all open records ...",
    Stage.CATCHING_UP: "Reading what has changed meanwhile ...",
    Stage.VERIFYING: "Reading again what was missing ...",
    Stage.INFERRING: "Marking as closed what is gone ...",
}
"""What is done in each stage of a sweep, while a stream is read."""
_NEARLY = 0.99
"""A bar is full when its stream is done, and not before: more may be planned yet."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """What a command has read of one stream so far, and how much there is as far as is known."""

    events: int = 0
    repeats: int = 0
    rejections: int = 0
    fraction: float | None = None
    """How much of it is read; it never shrinks. None: that is not known yet."""
    _total: int = 0
    """Records that there are, as far as was known at the last look; 0: nothing was."""
    _guessed: bool = False
    _more: bool = False
    """Whether something is planned of which not even a guess is known."""
    _slices: dict[int, Slice] = field(default_factory=dict)
    """As they were last heard of."""

    @property
    def met(self) -> int:
        """Records read so far."""
        return self.events + self.repeats + self.rejections

    def note(self, step: PullStep) -> None:
        """Count what a request came to."""
        if step.landed is not None:
            self.events += step.landed.events
            self.repeats += step.landed.repeats
            self.rejections += step.landed.rejections
        self._slices[step.slice_.id] = step.slice_

    def look(self, waiting: Iterable[Slice]) -> None:
        """Find out how much there is, given what is planned now and not read yet."""
        settled = {each.id: each for each in self._slices.values() if each.state is not SliceState.WAITING}
        self._slices = {each.id: each for each in waiting} | settled
        known, guessed, all_known = self._left()
        self._total = self.met + known + guessed if known or guessed else 0
        self._guessed, self._more = guessed > 0, not all_known
        if all_known and self.met + known + guessed:
            self.fraction = max(self.fraction or 0.0, min(_NEARLY, self.met / (self.met + known + guessed)))

    def finish(self) -> None:
        """Note that everything is read."""
        self.fraction = 1.0

    def counts(self) -> str:
        """Write how many records were read, and of how many: `~` is a guess, `+` means that more are to be counted."""
        if self.fraction == 1.0 or not self._total:
            return counted(self.met, "record")
        total = max(self.met, self._total)
        return f"{self.met:,} of {'~' if self._guessed else ''}{total:,}{'+' if self._more else ''}"

    def _left(self) -> tuple[int, int, bool]:
        """Return how many records are left for certain, how many more by a guess, and whether that is all of them."""
        known, guessed, all_known = 0, 0, True
        for each in self._slices.values():
            if each.state is not SliceState.WAITING:
                continue
            if each.checkpoint.total is not None:
                known += max(0, each.checkpoint.total - each.checkpoint.met)
            elif (guess := self._guess(each)) is not None:
                guessed += guess
            else:
                all_known = False
        return known, guessed, all_known

    def _guess(self, slice_: Slice) -> int | None:
        """Guess what a piece of a slice holds that was split: as much of its records as of its time."""
        wholes = [
            each
            for each in self._slices.values()
            if each.state is SliceState.RETIRED
            and each.checkpoint.total is not None
            and (each.by, each.origin) == (slice_.by, slice_.origin)
            and each.since <= slice_.since
            and slice_.until <= each.until
        ]
        if not wholes:
            return None
        whole = min(wholes, key=lambda each: each.until - each.since)
        return round((whole.checkpoint.total or 0) * ((slice_.until - slice_.since) / (whole.until - whole.since)))


class Face(Protocol):
    """Shows figures."""

    def __call__(self, stream: Stream, figures: Figures) -> None:
        """Show the figures of `stream`, which have just changed."""
        ...


@dataclass(slots=True)
class Progress:
    """Counts what a command reads, and shows it."""

    face: Face | None
    step: Callable[[str], None] = lambda _: None
    """Shows what is done beside the bars."""
    stand_still: Callable[[], None] = lambda: None
    """Stops the clocks of the bars: all is read."""
    figures: dict[StreamKey, Figures] = field(default_factory=dict)
    _reading: Sequence[Stream] = ()
    _waiting: Callable[[Stream], Sequence[Slice]] | None = None
    _looked_at: dict[StreamKey, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, streams: Sequence[Stream], waiting: Callable[[Stream], Sequence[Slice]]) -> None:
        """Show `streams` from the start; `waiting` returns what is planned for one and not read yet."""
        self._reading, self._waiting = streams, waiting
        for stream in streams:
            self.figures[stream.key] = Figures()
            if self.face is not None:
                self.face(stream, self.figures[stream.key])

    def told(self, stream: Stream, step: PullStep) -> None:
        """Count a step; called by many threads."""
        with self._lock:
            figures = self.figures.setdefault(stream.key, Figures())
            figures.note(step)
            if self.face is None:
                return
            now = time.monotonic()
            if self._waiting is not None and now >= self._looked_at.get(stream.key, 0.0) + _LOOK_EVERY:
                self._looked_at[stream.key] = now
                figures.look(self._waiting(stream))
            self.face(stream, figures)

    def doing(self, what: str) -> None:
        """Show that `what` is being done; it is called when reading has ended."""
        waiting = self._waiting
        for stream in self._reading:
            # What fails here fails elsewhere too, where it is told.
            with suppress(OcelogError):
                if waiting is not None and self.figures[stream.key].met and not waiting(stream):
                    self.finish([stream])
        self._reading = ()
        self.stand_still()
        self.step(what)

    def finishing(self, loop: str) -> None:
        """Show what a loop does about what is left."""
        if loop in _DOING:
            self.doing(_DOING[loop])

    def sweeping(self, stage: Stage) -> None:
        """Show which stage the sweep of a stream is in."""
        if stage in _SWEEPING:
            self.step(_SWEEPING[stage])

    def finish(self, streams: Iterable[Stream]) -> None:
        """Show that `streams` were read to their end."""
        for stream in streams:
            figures = self.figures.setdefault(stream.key, Figures())
            figures.finish()
            if self.face is not None:
                self.face(stream, figures)

    def summary(self, stream: Stream) -> dict[str, Any]:
        """Return the figures of `stream`."""
        figures = self.figures.get(stream.key, Figures())
        return {
            "source": stream.row.name,
            "log_type": stream.kind.log_type,
            "new": figures.events,
            "repeats": figures.repeats,
            "rejections": figures.rejections,
        }


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """Count progress within the block, and show it as bars on stderr if that is a terminal and `quiet` is not set."""
    if quiet or not sys.stderr.isatty():
        yield Progress(None)
        return
    with _bars() as bars:
        tasks: dict[StreamKey, Any] = {}
        steps: list[Any] = []
        shown: list[str] = []

        def step(what: str) -> None:
            if shown == [what]:
                return
            shown[:] = [what]
            for each in steps:
                bars.remove_task(each)
            steps[:] = [bars.add_task(what, bar="", counts="")]

        def stand_still() -> None:
            for each in tasks.values():
                bars.stop_task(each)

        def face(stream: Stream, figures: Figures) -> None:
            if stream.key not in tasks:
                tasks[stream.key] = bars.add_task(_name(f"{stream.row.name} {stream.kind.log_type}"), bar="", counts="")
            bars.update(tasks[stream.key], bar=_bar(figures.fraction or 0.0), counts=figures.counts())

        try:
            yield Progress(face, step, stand_still)
        finally:
            for each in steps:
                bars.remove_task(each)


@contextmanager
def file_progress(*, quiet: bool, of_what: str = "files") -> Iterator[Callable[[str, int, int], None]]:
    """Return what is told of a table how many of its files are done, and shows it as `progress` does.

    With `of_what` empty it is told of anything else how much of it is done.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _, __, ___: None
        return
    with _bars() as bars:
        tasks: dict[str, Any] = {}

        def tell(table: str, done: int, of: int) -> None:
            if table not in tasks:
                tasks[table] = bars.add_task(_name(table), bar="", counts="")
            bars.update(
                tasks[table], bar=_bar(done / of if of else 1.0), counts=f"{done:,} of {of:,} {of_what or table}"
            )

        yield tell


@contextmanager
def count_progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Return what is told how many of how many are done, and shows it as `progress` does."""
    with file_progress(quiet=quiet, of_what=what) as tell:
        yield lambda done, of: tell(what, done, of)


def _name(text: str) -> str:
    return show.harmless(text).replace("[", r"\[")


def _bar(fraction: float) -> str:
    # What is missing is blank: rich's own bar tells it apart by colour alone.
    return ("━" * int(_WIDE * fraction)).ljust(_WIDE)


def _bars() -> "Bars":
    from rich import progress as rich_progress  # noqa: PLC0415 - see above
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Column  # noqa: PLC0415 - see above

    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        rich_progress.TextColumn("{task.fields[bar]}", table_column=Column(no_wrap=True)),
        rich_progress.TextColumn("{task.fields[counts]}", justify="right", table_column=Column(no_wrap=True)),
        rich_progress.TextColumn("in", table_column=Column(no_wrap=True)),
        rich_progress.TimeElapsedColumn(table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        expand=True,
    )
