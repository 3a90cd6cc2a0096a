"""How far a pull has come: bars on a terminal, a log line a landing elsewhere."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ocelog.app.assemble import Stream
from ocelog.cli import show
from ocelog.dispatch.fair import StreamKey
from ocelog.pull.puller import Step


@dataclass(slots=True, kw_only=True)
class Figures:
    """What a pull has done for one stream so far."""

    events: int = 0
    repeats: int = 0
    rejections: int = 0
    totals: dict[int, int] = field(default_factory=dict)
    """How many records the source counts in each slice that was begun."""

    @property
    def met(self) -> int:
        """Records seen so far."""
        return self.events + self.repeats + self.rejections

    @property
    def total(self) -> int:
        """Records to be seen, as far as is known yet."""
        return max(self.met, sum(self.totals.values()))


class Face(Protocol):
    """Shows figures."""

    def __call__(self, stream: Stream, figures: Figures) -> None:
        """Show the figures of `stream`, which have just changed."""
        ...


@dataclass(slots=True)
class Progress:
    """Counts what a pull does, and shows it."""

    face: Face
    figures: dict[StreamKey, Figures] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, streams: Sequence[Stream]) -> None:
        """Show `streams` from the start."""
        for stream in streams:
            self.figures[stream.key] = Figures()
            self.face(stream, self.figures[stream.key])

    def told(self, stream: Stream, step: Step) -> None:
        """Count a step; called by many threads."""
        with self._lock:
            figures = self.figures.setdefault(stream.key, Figures())
            if step.landed is not None:
                figures.events += step.landed.events
                figures.repeats += step.landed.repeats
                figures.rejections += step.landed.rejections
            total = step.slice_.checkpoint.total
            if total is not None:
                figures.totals[step.slice_.id] = total
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
        yield Progress(lambda _, __: None)
    else:
        with _bars() as face:
            yield Progress(face)


@contextmanager
def _bars() -> Iterator[Face]:
    # Imported only here: a pull without a terminal goes without.
    from rich import progress as rich_progress  # noqa: PLC0415 - see above
    from rich.console import Console  # noqa: PLC0415 - see above

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=30),
        rich_progress.TextColumn("{task.completed:>9,} of {task.total:,} records"),
        rich_progress.TimeElapsedColumn(),
    )
    tasks: dict[StreamKey, rich_progress.TaskID] = {}
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bars:

        def face(stream: Stream, figures: Figures) -> None:
            name = f"{show.harmless(stream.row.name)} {stream.kind.log_type}"
            if stream.key not in tasks:
                tasks[stream.key] = bars.add_task(name.replace("[", r"\["), total=0)
            bars.update(tasks[stream.key], completed=figures.met, total=figures.total)

        yield face
