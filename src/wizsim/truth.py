"""What was really there, and what each answer showed of it: the log against which a collector's lake is judged.

Lines, as NDJSON or as dictionaries in process:

    {"kind": "version", "type": "issues", "id": ..., "version": 1, "visible_at": "...Z", "record": {...}}
    {"kind": "gone", "type": "findings", "id": ..., "visible_at": "...Z"}
    {"kind": "answer", "request_id": ..., "root": "issuesV2", "type": "issues", "at": "...Z", "client": ...,
     "whole": true, "errors": 0, "fault": null, "has_next": false, "shown": [[id, version], ...]}

`whole` is false where a fault spoiled the answer on its way, so that a client cannot have read it; `errors` is how many
errors came beside the data.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from wizsim.instants import text
from wizsim.plans import plan_of
from wizsim.tables import Version

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One answer: `shown` lists the id and version number of each record in it, in page order."""

    request_id: str
    root: str
    type: str
    at_us: int
    client: str
    shown: Sequence[tuple[str, int]]
    has_next: bool
    whole: bool
    errors: int = 0
    fault: str | None = None

    def line(self) -> Json:
        """Return the answer as its line of the log."""
        named = {"request_id": self.request_id, "root": self.root, "type": self.type, "at": text(self.at_us)}
        how = {"client": self.client, "whole": self.whole, "errors": self.errors, "fault": self.fault}
        shown = [list(pair) for pair in self.shown]
        return {"kind": "answer", **named, **how, "has_next": self.has_next, "shown": shown}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A record that the API shows no more."""

    type: str
    id: str
    visible_us: int

    def line(self) -> Json:
        """Return the end of the record as its line of the log."""
        return {"kind": "gone", "type": self.type, "id": self.id, "visible_at": text(self.visible_us)}


class Truth:
    """Keeps the log in memory, or writes it to a file, a line as soon as it is true."""

    def __init__(self, path: Path | None = None, *, silent: bool = False) -> None:
        self._silent = silent
        self._kept: list[Version | Gone | Shown] = []
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None if path is None else path.open("wb", buffering=1 << 20)
        self.path = path

    @classmethod
    def silent(cls) -> "Truth":
        """Return a log that keeps nothing, for worlds that are only served."""
        return cls(silent=True)

    def note(self, entry: Version | Gone | Shown) -> None:
        """Add one line. An answer's line is in the file before the answer leaves."""
        if self._silent:
            return
        with self._lock:
            if self._file is None:
                self._kept.append(entry)
                return
            self._file.write(msgspec.json.encode(_line(entry)) + b"\n")
            if isinstance(entry, Shown):
                self._file.flush()

    def flush(self) -> None:
        """Bring what is buffered to the file."""
        with self._lock:
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Close the file; nothing is noted any more."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._silent = True

    def versions(self, type_: str | None = None) -> list[Version]:
        """Return the versions kept in memory, of one type or of all."""
        return [e for e in self._kept if isinstance(e, Version) and type_ in {None, e.type}]

    def answers(self) -> list[Shown]:
        """Return the answers kept in memory."""
        return [e for e in self._kept if isinstance(e, Shown)]

    def lines(self) -> Iterator[Json]:
        """Yield every line so far, from memory or from the file."""
        if self.path is None:
            yield from (_line(entry) for entry in tuple(self._kept))
            return
        if not self._silent:
            self.flush()
        with self.path.open("rb") as written:
            for line in written:
                entry: Json = msgspec.json.decode(line)
                yield entry

    def __iter__(self) -> Iterator[Json]:
        return self.lines()


def project(document: str, root: str, record: Json) -> Json:
    """Show `record` (as in the log) as the selection of `root`'s records in `document` would.

    `root` is a root field such as issuesV2. Raises KeyError where the document does not ask for it.
    """
    for field in plan_of(document).fields:
        if field.name == root:
            shown: Json = field.show(record)
            return shown
    raise KeyError(root)


def _line(entry: Version | Gone | Shown) -> Json:
    if not isinstance(entry, Version):
        return entry.line()
    named = {"type": entry.type, "id": entry.id, "version": entry.number, "visible_at": text(entry.visible_us)}
    return {"kind": "version", **named, "record": entry.full()}
