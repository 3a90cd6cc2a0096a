"""A ledger in memory, as much of it as the lake sees."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ocelog.model import GivenUp, NewPart, Part


@dataclass(slots=True, kw_only=True)
class FakeLedger:
    """Fits lake.ports.LakeLedger."""

    id: str = "ledger-1"
    rows: dict[str, list[Part]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    failures: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    given_up: list[GivenUp] = field(default_factory=list)

    def land(self, part: NewPart, source_id: str = "s1", landed_us: int = 0) -> Part:
        """Commit a part under the next sequence of its table."""
        sequence = self.counters.get(part.table, 0) + 1
        self.counters[part.table] = sequence
        landed = Part(
            table=part.table,
            sequence=sequence,
            path=part.path,
            rows=part.rows,
            bytes=part.bytes,
            min_cursor_us=part.min_cursor_us,
            max_cursor_us=part.max_cursor_us,
            landed_us=landed_us,
            source_id=source_id,
        )
        self.rows.setdefault(part.table, []).append(landed)
        return landed

    def parts(self, table: str, above: int = 0) -> list[Part]:
        """Return the parts above a sequence."""
        return [part for part in self.rows.get(table, []) if part.sequence > above]

    def counter(self, table: str) -> int:
        """Return the last sequence."""
        return self.counters.get(table, 0)

    def raise_counter(self, table: str, to: int) -> None:
        """Never give out sequences up to `to`."""
        self.counters[table] = max(self.counter(table), to)

    def published(self, table: str, through: int, at_us: int) -> None:
        """Note what is published; the instant of what was published before stays."""
        if through > self.marks.get(table, (0, 0))[0]:
            self.marks[table] = (through, at_us)

    def removable(self, table: str, published_before_us: int) -> list[Part]:
        """Return parts published before."""
        through, at_us = self.marks.get(table, (0, 0))
        return [p for p in self.parts(table) if p.sequence <= through and at_us < published_before_us]

    def forget(self, table: str, sequences: Sequence[int]) -> None:
        """Delete rows of parts."""
        self.rows[table] = [part for part in self.parts(table) if part.sequence not in sequences]
        self.removed[table] = max(self.removed_through(table), *sequences, 0)

    def removed_through(self, table: str) -> int:
        """Return the greatest sequence that was forgotten."""
        return self.removed.get(table, 0)

    def part_failed(self, table: str, sequence: int, at_us: int) -> tuple[int, int]:
        """Count a try."""
        tries, since_us = self.failures.get((table, sequence), (0, at_us))
        self.failures[table, sequence] = tries + 1, min(since_us, at_us)
        return self.failures[table, sequence]

    def parts_whole(self, table: str, sequences: Collection[int]) -> None:
        """Forget tries."""
        for sequence in sequences:
            self.failures.pop((table, sequence), None)

    def set_aside(self, lost: GivenUp) -> None:
        """Take a part out."""
        self.rows[lost.table] = [part for part in self.parts(lost.table) if part.sequence != lost.sequence]
        self.given_up.append(lost)

    def landing_state(self, table: str) -> tuple[frozenset[str], dict[str, int]]:
        """Return paths and fences."""
        aside = [lost.path for lost in self.given_up if lost.table == table]
        return frozenset([*(part.path for part in self.parts(table)), *aside]), dict(self.fences)
