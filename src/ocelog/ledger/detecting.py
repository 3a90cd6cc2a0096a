"""How far the rules have judged each table, and what came of it: the ledger as the detect loop uses it."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, Integer, bindparam, select

from ocelog.alert.alert import RULE_OFF, SOURCE_REMOVED
from ocelog.alert.deciding import Decision, DecisionQuery, DecisionState, Onboarding, alerts_of
from ocelog.alert.ports import CommitConflict, CommitSuccess, LoopBacklog, Outcome, Piece, Run, StaleCommit
from ocelog.alert.seed import Seed
from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alerts, claims, counters, detecting, marks, schedules, seeds, sources
from ocelog.ledger.rows.landing import add_part
from ocelog.ledger.rows.losses import lost_of
from ocelog.ledger.rows.parts import part_of
from ocelog.ledger.rows.unjudged import add_unjudged
from ocelog.model import DETECT, RULE_MATCHES, Position

_p, _g, _s = tables.parts.c, tables.given_up.c, tables.streams.c
# Built once: building a statement takes as long as running it, and these run for all that is judged.
_PARTS = (
    select(tables.parts)
    .where(_p.table_name == bindparam("table"), _p.sequence > bindparam("above"))
    .order_by(_p.sequence)
    .limit(bindparam("most", type_=Integer()))
)
_LOST = (
    select(tables.given_up)
    .where(_g.table_name == bindparam("table"), _g.sequence > bindparam("above"))
    .order_by(_g.sequence)
)
_ONBOARDED = select(_s.source_id, _s.log_type, _s.onboarded_us, _s.gap_since_us, _s.gap_until_us).where(
    _s.onboarded_us.is_not(None)
)


class JudgingLedger:
    """Marks, matches, groups and alerts of the detect loop. Fits DetectLedger."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def waiting(self, table: str, *, most_parts: int = 200) -> LoopBacklog:
        """Return the parts of `table` that the rules have not judged, the first of them."""
        with self._database.read() as tx:
            since = marks.position(tx, DETECT, table)
            above = {"table": table, "above": since.sequence}
            parts = [part_of(row) for row in tx.execute(_PARTS, {**above, "most": most_parts}).mappings()]
            return LoopBacklog(
                since=since,
                last=counters.last(tx, table),
                parts=parts,
                given_up=[lost_of(row) for row in tx.execute(_LOST, above).mappings()],
                removed=sources.removed(tx, {part.source_id for part in parts}),
            )

    def due(self, keepers: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> set[str]:
        """Return the tables in which something has landed that the rules have not judged.

        And those of which rules have judged something while one of `keepers`, rules with their folders by table, does
        not know what is there already.
        """
        with self._database.read() as tx:
            unseeded = {
                table
                for table, rules in keepers.items()
                if rules and marks.position(tx, DETECT, table) > Position() and seeds.unseeded(tx, table, rules)
            }
            return unseeded | marks.behind(tx, DETECT)

    def held_bytes(self) -> dict[str, int]:
        """Return how much the parts hold that the rules have not judged, by table."""
        with self._database.read() as tx:
            return marks.held_bytes(tx, DETECT)

    def unseeded(self, table: str, rules: Mapping[str, str]) -> list[Seed]:
        """Return those of `rules`, each with its folder, that do not know yet what `table` had before they judged."""
        with self._database.read() as tx:
            if not seeds.stands_for_all(tx, table):
                return seeds.unseeded(tx, table, rules)
        with self._database.write() as tx:
            seeds.write_down(tx, table, rules, self._now_us())
            return seeds.unseeded(tx, table, rules)

    def decision_state(self, query: DecisionQuery) -> DecisionState:
        """Return what a decision stands on, as of one instant."""
        with self._database.read() as tx:
            groups = detecting.groups(tx, query.groups)
            names = {*query.alerts, *alerts_of(groups, query.groups)}
            of_records = detecting.of_records(tx, query.records)
            ended = (RULE_OFF, SOURCE_REMOVED)
            rules_off = [name for name, alert in of_records.items() if alert.close_reason in ended]
            return DecisionState(
                streams={
                    (row.source_id, row.log_type): Onboarding(
                        since_us=row.onboarded_us,
                        gap=None if row.gap_since_us is None else (row.gap_since_us, row.gap_until_us),
                    )
                    for row in tx.execute(_ONBOARDED)
                    if (row.source_id, row.log_type) in query.streams
                },
                known=detecting.known(tx, query.match_ids),
                groups=groups,
                alerts={**alerts.of_ids(tx, names), **of_records},
                triaged=detecting.triaged(tx, rules_off),
                limits=detecting.limits(tx, query.limits),
                query=query,
            )

    def commit(self, piece: Piece) -> Outcome:
        """Commit matches, groups, alerts, tellings and the mark together, or nothing.

        Raises LostFenceError if the claim of its part is another's.
        """
        now_us = self._now_us()
        decision = piece.decision
        with self._database.write() as tx:
            held = {name: counters.hold(tx, name) for name in sorted({piece.table, RULE_MATCHES})}
            if not marks.move(tx, DETECT, piece.table, piece.since, piece.to):
                tx.rollback()
                return StaleCommit()
            if not seeds.move(tx, piece.table, piece.seeds, now_us):
                tx.rollback()
                return StaleCommit()
            if piece.source_id is not None and not sources.hold(tx, piece.source_id):
                tx.rollback()
                return StaleCommit()
            if piece.removed is not None and not sources.hold_removed(tx, piece.removed):
                tx.rollback()
                return StaleCommit()
            named = {each.source_id for each in piece.lost if each.source_id is not None}
            # Of one that was purged meanwhile nothing is noted.
            gone = named - sources.hold_known(tx, named)
            if piece.claim is not None:
                claims.hold(tx, piece.claim, now_us)
            if not _fits(tx, decision):
                tx.rollback()
                return CommitConflict()
            _save(tx, decision, now_us)
            if piece.part is not None and piece.source_id is not None:
                add_part(tx, piece.part, piece.source_id, held[RULE_MATCHES].last + 1, now_us)
            add_unjudged(tx, piece.table, decision.unjudged, now_us)
            detecting.add_unseeded(tx, piece.table, (after for _, after in piece.seeds), now_us)
            detecting.add_lost(tx, (each for each in piece.lost if each.source_id not in gone), now_us)
        return CommitSuccess()

    def begin_schedules(self, names: Collection[str], now_us: int) -> dict[str, int]:
        """Return the last fire time of each schedule by its name; one that is new counts as having run now."""
        with self._database.read() as tx:
            found = schedules.fired(tx, names)
        if new := sorted(set(names) - found.keys()):
            with self._database.write() as tx:
                schedules.begin(tx, new, now_us)
                found = schedules.fired(tx, names)
        return found

    def fired(self, names: Collection[str]) -> dict[str, int]:
        """Return the last fire time of each schedule by its name; one that never began has none."""
        with self._database.read() as tx:
            return schedules.fired(tx, names)

    def note_times(self, named: Mapping[str, str], now_us: int) -> None:
        """Note which schedule each of these has now, by name: one that was changed has it from its last run on."""
        with self._database.read() as tx:
            known = schedules.times(tx, named)
        new = {name: text for name, text in named.items() if name not in known or known[name][-1][2] != text}
        if new:
            with self._database.write() as tx:
                fired = schedules.fired(tx, new)
                for name, text in sorted(new.items()):
                    if name in fired:
                        schedules.note_time(tx, name, text, fired[name], now_us)

    def times(self, names: Collection[str]) -> dict[str, list[tuple[int, int, str]]]:
        """Return the schedules that each of these had, earlier ones first, as `timetable` takes them."""
        with self._database.read() as tx:
            return schedules.times(tx, names)

    def end_schedules(self, *, but: Collection[str]) -> None:
        """Forget all schedules but these: one that is on again begins anew, and does not look back over its pause."""
        with self._database.read() as tx:
            gone = schedules.others(tx, but)
        if gone:
            with self._database.write() as tx:
                schedules.end(tx, gone)

    def commit_run(self, run: Run) -> Outcome:
        """Commit matches, groups, alerts, tellings and the fire time together, or nothing.

        Raises LostFenceError if the claim of a part is another's.
        """
        now_us = self._now_us()
        parts = sorted(run.parts, key=lambda each: each.source_id)
        named = {each.source_id for each in parts}.union(run.told_of)
        with self._database.write() as tx:
            last = counters.hold(tx, RULE_MATCHES).last if parts else 0
            if not run.again and not schedules.move(tx, run.schedule, run.fired_us, run.fires_us):
                tx.rollback()
                return StaleCommit()
            if not all(sources.hold(tx, each) for each in sorted(named)):
                tx.rollback()
                return StaleCommit()
            for each in parts:
                claims.hold(tx, each.claim, now_us)
            if not _fits(tx, run.decision):
                tx.rollback()
                return CommitConflict()
            _save(tx, run.decision, now_us)
            for number, each in enumerate(parts, start=last + 1):
                add_part(tx, each.part, each.source_id, number, now_us)
            add_unjudged(tx, run.schedule, run.decision.unjudged, now_us)
        return CommitSuccess()


def _fits(tx: Connection, decision: Decision) -> bool:
    """Save what a decision changes, and say whether all that it stands on is as it was read."""
    return (
        not detecting.known(tx, [match.id for match, _ in decision.matches])
        and all(detecting.save_group(tx, group) for group in decision.groups)
        and all(detecting.save_limit(tx, limit) for limit in decision.limits)
        and all(alerts.save(tx, alert) for alert in decision.alerts)
    )


def _save(tx: Connection, decision: Decision, now_us: int) -> None:
    """Save what a decision adds."""
    detecting.add_matches(tx, [match for match, _ in decision.matches], now_us)
    alerts.add_to_timeline(tx, decision.timeline)
    alerts.add_tellings(tx, decision.tellings, now_us)
