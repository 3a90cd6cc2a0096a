"""What judging needs from the ledger."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from ocelog.alert.deciding import Decision, DecisionQuery, DecisionState
from ocelog.alert.seed import Seed
from ocelog.model import Claim, GivenUp, NewPart, Part, Position


class LoopBacklog(Struct, frozen=True, kw_only=True):
    """What a table has for its loop."""

    since: Position
    """How far the loop has come."""
    last: int
    """Sequence of the newest part that the table ever had."""
    parts: Sequence[Part]
    """The next ones, in the order of their commits; the first may be judged in part."""
    given_up: Sequence[GivenUp] = ()
    """Parts above the mark that are lost."""
    removed: frozenset[str] = frozenset()
    """Sources of these parts that were removed: no alert is opened for them."""


class Piece(Struct, frozen=True, kw_only=True):
    """What was judged, and all that it brings about."""

    table: str
    since: Position
    to: Position
    source_id: str | None
    """Whose rows they are; None: there were none, or nobody was asked about them."""
    decision: Decision
    removed: str | None = None
    """The source whose rows are passed because it was removed: nothing is committed if it was added again."""
    lost: Sequence[GivenUp] = ()
    """Parts in it that nobody can judge."""
    part: NewPart | None = None
    """The rows of `rule_matches`, on disk; None: nothing matched that is new."""
    claim: Claim | None = None
    """Under which `part` was written."""
    seeds: Sequence[tuple[Seed, Seed]] = ()
    """How far rules have got to know what was there: as it was read, and as it is to be."""


class MatchPart(Struct, frozen=True, kw_only=True):
    """Rows of `rule_matches` on disk, of one source."""

    part: NewPart
    source_id: str
    claim: Claim
    """Under which the part was written."""


class Run(Struct, frozen=True, kw_only=True):
    """What a run of a schedule found, and all that it brings about. Microseconds, UTC."""

    schedule: str
    fired_us: int
    """The fire time of the run before, which the decision stands on."""
    fires_us: int
    """That of this one."""
    decision: Decision
    parts: Sequence[MatchPart] = ()
    told_of: Collection[str] = ()
    """Further sources that it has something to tell of."""
    again: bool = False
    """Whether the schedule has passed it: then it stays where it is."""


class CommitSuccess(Struct, frozen=True, kw_only=True):
    """All of it is in the ledger."""


class CommitConflict(Struct, frozen=True, kw_only=True):
    """Nothing was committed: what the decision stands on has changed. Decide again."""


class StaleCommit(Struct, frozen=True, kw_only=True):
    """Nothing was committed: another has judged it, or a source of it is gone. Begin again from the mark."""


Outcome: TypeAlias = CommitSuccess | CommitConflict | StaleCommit


class DetectLedger(Protocol):
    """How far rules have judged, and what came of it. Every call is one transaction."""

    def waiting(self, table: str, *, most_parts: int) -> LoopBacklog:
        """Return the parts of `table` that the rules have not judged, the first of them."""
        ...

    def unseeded(self, table: str, rules: Mapping[str, str]) -> Sequence[Seed]:
        """Return those of `rules`, each with its folder, that do not know yet what `table` had before they judged."""
        ...

    def held_bytes(self) -> Mapping[str, int]:
        """Return how much the parts hold that the rules have not judged, by table."""
        ...

    def decision_state(self, query: DecisionQuery) -> DecisionState:
        """Return what a decision stands on, as of one instant."""
        ...

    def commit(self, piece: Piece) -> Outcome:
        """Commit matches, groups, alerts, tellings and the mark together, or nothing.

        Raises LostFenceError if the claim of its part is another's.
        """
        ...


class ScheduleLedger(Protocol):
    """When schedules ran last, and what came of it. Every call is one transaction."""

    def begin_schedules(self, names: Collection[str], now_us: int) -> dict[str, int]:
        """Return the last fire time of each schedule by its name; one that is new counts as having run now."""
        ...

    def end_schedules(self, *, but: Collection[str]) -> None:
        """Forget all schedules but these: one that is on again begins anew, and does not look back over its pause."""
        ...

    def decision_state(self, query: DecisionQuery) -> DecisionState:
        """Return what a decision stands on, as of one instant."""
        ...

    def commit_run(self, run: Run) -> Outcome:
        """Commit matches, groups, alerts, tellings and the fire time together, or nothing.

        Raises LostFenceError if the claim of a part is another's.
        """
        ...
