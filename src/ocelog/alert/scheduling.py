"""What a run of a schedule brings about: its matches, alerts and fire time land together, or nothing does.

A process that is killed before the commit leaves the mark where it was: the run is made again. One that is killed after
it leaves nothing to do. What matched in a run before is not landed again: a match is known by its rule and its row.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.deciding import Decision, Policy, decide, decision_query
from ocelog.alert.detecting import Claims, MatchLake, MatchRows, told_columns
from ocelog.alert.judged import Event, Judgement, Match
from ocelog.alert.ports import CommitConflict, CommitSuccess, MatchPart, Run, ScheduleLedger, StaleCommit
from ocelog.errors import LakeUnavailableError, LostFenceError
from ocelog.model import RULE_MATCHES

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TRIES = 50
"""Each try that fails means that somebody changed an alert; so many in a row mean that something is broken."""


class Firing(Struct, frozen=True, kw_only=True):
    """A run of a schedule. Microseconds, UTC."""

    schedule: str
    fired_us: int
    """The fire time of the run before."""
    fires_us: int
    again: bool = False
    """Whether somebody makes it again, which the schedule has passed: it stays where it is."""


@dataclass(slots=True, kw_only=True)
class Scheduling:
    """Lands what runs of schedules found."""

    ledger: ScheduleLedger
    lake: MatchLake
    claims: Claims
    match_rows: MatchRows
    policy: Callable[[], Policy]
    """Asked before each decision: people change channels and suppressions."""
    now_us: Callable[[], int]
    numbers: "count[int]" = field(default_factory=count)

    def land(
        self, firing: Firing, found: Judgement, rows: "pa.Table", *, landed: Collection[str] = ()
    ) -> Decision | None:
        """Land what was judged of `rows`, each of which is an event, and move the schedule on.

        `landed` are ids of matches that are in the lake, of which the ledger may have forgotten some. None: another has
        made the run, or a source was removed meanwhile: nothing was changed. Raises LostFenceError if another process
        lands matches of the same source.
        """
        said, places = once(found)
        judged_us = self.now_us()
        for _ in range(_MAX_TRIES):
            now_us = self.now_us()
            state = self.ledger.decision_state(decision_query(said, now_us))
            state = replace(state, known=state.known.union(landed))
            decision = decide(said, state, self.policy(), now_us)
            parts = list[MatchPart]()
            try:
                self._write(parts, rows, places, decision, judged_us)
                outcome = self.ledger.commit_run(
                    Run(
                        schedule=firing.schedule,
                        fired_us=firing.fired_us,
                        fires_us=firing.fires_us,
                        decision=decision,
                        parts=parts,
                        told_of=_failed_on(said).union(said.names_sources if decision.matches else ()),
                        again=firing.again,
                    )
                )
            except LostFenceError:
                for event in said.events:
                    self.claims.lost(event.source_id)
                self._discard(parts)
                raise
            match outcome:
                case CommitSuccess():
                    return decision
                case StaleCommit():
                    self._discard(parts)
                    return None
                case CommitConflict():
                    self._discard(parts)
        raise LakeUnavailableError(
            f"{firing.schedule}: alerts were changed by others {_MAX_TRIES} times in a row; try again."
        )

    def _write(
        self,
        parts: list[MatchPart],
        rows: "pa.Table",
        places: dict[str, int],
        decision: Decision,
        judged_us: int,
    ) -> None:
        """Write a part for each source that new matches are of."""
        by_source = dict[str, list[tuple[Match, str | None]]]()
        for each in decision.matches:
            by_source.setdefault(each[0].event.source_id, []).append(each)
        for source_id, matches in sorted(by_source.items()):
            at = [places[match.id] for match, _ in matches]
            made = self.match_rows(rows, at, told_columns(matches), judged_us=judged_us)
            claim = self.claims.claim(source_id)
            part = self.lake.write(RULE_MATCHES, f"{claim.name}-{claim.fence}-{next(self.numbers)}", made)
            parts.append(MatchPart(part=part, source_id=source_id, claim=claim))

    def _discard(self, parts: Sequence[MatchPart]) -> None:
        for each in parts:
            # What stays goes with the other files that nobody vouches for.
            with suppress(OSError):
                self.lake.discard(each.part)


def _failed_on(said: Judgement) -> set[str]:
    """Return the sources of the rows that rules failed on. A run that failed is of none."""
    failed = [event for each in said.errors for event in each.events]
    failed += [event for each in said.unjudged for event in each.events]
    return {event.source_id for event in failed if event.source_id}


def once(found: Judgement) -> tuple[Judgement, dict[str, int]]:
    """Return what was judged with each event and each match once, and the row of each match by the match's id.

    A query may return a row twice, as a join does: the first one that matches counts.
    """
    events = dict[str, Event]()
    rows = dict[int, int]()
    for at, event in enumerate(found.events):
        events.setdefault(event.row_id, event)
        rows[id(event)] = at
    matches, places = dict[str, Match](), dict[str, int]()
    for match in found.matches:
        if match.id not in matches:
            matches[match.id] = match
            places[match.id] = rows[id(match.event)]
    return replace(found, events=list(events.values()), matches=list(matches.values())), places
