"""What a rule says of events that the loop has passed: landed as the loop lands it, and each match once.

It goes on beside the loop. Only rows behind the loop's mark are judged: what lies ahead of it is the loop's to tell of.
"""

import time
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from ocelog.alert.detecting import Detecting, events_of
from ocelog.alert.ids import match_id
from ocelog.alert.judged import JudgedBy, UnjudgedEvents
from ocelog.app.claims import HomeClaims
from ocelog.app.judging.rule_answers import judged_by, said_of
from ocelog.app.judging.rules_off import end_records
from ocelog.app.log_types import kinds, table_schemas
from ocelog.app.loops.detecting import NoJury, channel_names
from ocelog.app.rule_folders.rule_folders import find_rule
from ocelog.app.rules.replaying import MAX_TRIES, RuleReplay, policy_again, replay_claims, settle
from ocelog.app.rules.rule_candidates import OfEvents, OfMatches, OfRows, candidate_of, find_asked, judge_of, load_rule
from ocelog.app.rules.rule_history import PastEvents
from ocelog.app.rules.rule_trial import Told
from ocelog.app.rules.schedule_replay import replay_matches, replay_rows
from ocelog.detect.folders import RuleFolder
from ocelog.detect.unjudged import ReplayRange
from ocelog.errors import ConfigError, LostFenceError
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.quoting import literal
from ocelog.languages.phrases import Phrase
from ocelog.model import RULE_MATCHES, table_name
from ocelog.rule_workers.judge import Judge
from ocelog.rule_workers.wire import LoadedRule
from ocelog.schema.columns.table import match_rows
from ocelog.times import from_us, rfc3339, to_us

_PIECE_ROWS = 5_000
"""Rows that are landed at once."""
_EVERY = 1_000_000
"""More parts than ever wait."""
_LIMITS = Limits(timeout=timedelta(minutes=9))
_LANDED = f"""
SELECT event_row_id FROM {RULE_MATCHES}
WHERE rule_id = {{rule}} AND p_event_time >= {{since}}::TIMESTAMPTZ AND p_event_time < {{until}}::TIMESTAMPTZ
"""  # noqa: S608 - ours


def replay_rule(
    installation: Installation,
    named: str,
    *,
    since: datetime,
    until: datetime,
    alerts: bool,
    told: Told = lambda _what, _done, _of: None,
) -> RuleReplay:
    """Have a rule judge the events from `since` to `until` that the loop has passed, and land what it matches.

    People hear of it only if `alerts` says so: else matches join the one alert of the rule's history, and alerts of
    records open as known. What has landed before lands no more, so a replay that was killed is simply run again.
    `told` hears how many events of how many are done. Raises ConfigError for a rule that is off, or judges no events.
    """
    began_us = to_us(datetime.now(UTC))
    found = find_asked(installation, named)
    if found.status in {"last good", "refused"}:
        raise ConfigError(Phrase("Mend the file of %(id)s first: %(why)s", id=found.id, why=found.why))
    if found.status not in {"on", "suspended"}:
        raise ConfigError(
            Phrase(
                "%(id)s is not on (%(why)s), so that nothing would end its alerts. Turn it on first: "
                "ocelog rules enable %(id)s",
                id=found.id,
                why=found.why,
            )
        )
    candidate = candidate_of(found)
    with closing(judge_of(installation, candidate)) as judge:
        match load_rule(installation, judge, candidate):
            case OfEvents(rule=rule):
                done = RuleReplay(
                    rule=rule.id, kind=rule.kind, log_types=rule.log_types, since=since, until=until, alerts=alerts
                )
                _replay_events(installation, judge, rule, candidate.folder, done, began_us, told)
            case OfRows() as asked:
                done = replay_rows(installation, judge, asked, (since, until), began_us, alerts=alerts, told=told)
            case OfMatches() as asked:
                done = replay_matches(installation, asked, (since, until), began_us, alerts=alerts, told=told)
    return done


def _replay_events(
    installation: Installation,
    judge: Judge,
    rule: LoadedRule,
    folder: RuleFolder | None,
    done: RuleReplay,
    began_us: int,
    told: Told,
) -> None:
    claims = replay_claims(installation.ledger, installation.home.id)
    replaying = _EventReplay(installation, judge, judged_by(rule), done, claims)
    past = PastEvents(installation=installation, log_types=rule.log_types, since=done.since, until=done.until)
    pieces = list(past.pieces())
    total = sum(piece.rows for piece in pieces)
    told("events", 0, total)
    try:
        for piece in pieces:
            landed = replaying.landed(piece.since_us, piece.until_us)
            for batch in past.batches(piece):
                replaying.judge_batch(piece.log_type, batch, landed)
                told("events", min(done.events, total), total)
    finally:
        claims.release()
        if _is_off(installation, rule.id, folder):
            # Whoever judges has ended its alerts by then, and does so once.
            end_records(installation.ledger, [rule.id])
    known = [table_name(name) for name in rule.log_types if name in kinds()]
    covered = ReplayRange(since_us=to_us(done.since), until_us=to_us(done.until), noted_before_us=began_us)
    settle(installation.ledger, done, known, covered, replaying.left)


def _is_off(installation: Installation, rule: str, folder: RuleFolder | None) -> bool:
    """Whether somebody has disabled a rule meanwhile, its pack, or by its file, or removed its folder.

    A file that is not there, or does not read, says nothing: it may just be being written.
    """
    rules = installation.ledger.rules
    state = rules.states().get(rule)
    if state is not None and state.enabled is False:
        return True
    try:
        return find_rule(installation, rule).status == "off"
    except ConfigError:
        return folder is not None and folder.id not in {each.id for each in rules.folders()}


class _EventReplay:
    def __init__(
        self, installation: Installation, judge: Judge, rule: JudgedBy, done: RuleReplay, claims: HomeClaims
    ) -> None:
        self._installation = installation
        self._judge = judge
        self._rule = rule
        self._done = done
        self._ledger = installation.ledger
        self._lake = FileLake(installation.home.path, installation.ledger.lake, table_schemas())
        self._detecting = Detecting(
            ledger=self._ledger.judging,
            lake=self._lake,
            jury=NoJury(),
            claims=claims,
            match_rows=match_rows,
            policy=lambda: policy_again(installation.ledger, done),
            now_us=lambda: to_us(datetime.now(UTC)),
            numbers=count(time.time_ns()),
        )
        self._sources = {row.id for row in self._ledger.sources.listed()}
        self._ahead: dict[str, list[str]] = {}
        """The rows of each part that the loop had not passed at the last look, by its path."""
        self.left: dict[str, list[UnjudgedEvents]] = {}
        """What the rule said nothing of, by table."""

    def landed(self, since_us: int, until_us: int) -> frozenset[str]:
        """Return the matches of events of a time range that are in the lake."""
        queries = Queries(self._installation.home.path, self._ledger.lake, table_schemas())
        since, until = (literal(rfc3339(from_us(us))) for us in (since_us, until_us))
        text = _LANDED.format(rule=literal(self._rule.id), since=since, until=until)
        with queries.run(text, limits=_LIMITS, trusted=True) as answer:
            rows = [row_id for batch in answer.batches for row_id in batch.column(0).to_pylist()]
        return frozenset(match_id(self._rule.id, row_id) for row_id in rows)

    def judge_batch(self, log_type: str, rows: pa.Table, landed: Collection[str]) -> None:
        """Judge rows that the loop has passed, and land what comes of it."""
        table = table_name(log_type)
        self._done.events += len(rows)
        # Whatever lands from now on is not in these rows; whatever was ahead of the loop then may be behind it now.
        ahead = self._ahead_of(table)
        if ahead:
            passed = pc.invert(pc.is_in(rows.column("p_row_id"), pa.array(sorted(ahead), pa.string())))
            self._done.waiting += len(rows) - len(rows := rows.filter(passed))
        for source_id in rows.column("p_source_id").unique().to_pylist():
            some = rows.filter(pc.equal(rows.column("p_source_id"), source_id))
            if source_id not in self._sources:
                self._done.without_source += len(some)
                continue
            for start in range(0, len(some), _PIECE_ROWS):
                self._judge_piece(log_type, table, some.slice(start, _PIECE_ROWS), landed)

    def _judge_piece(self, log_type: str, table: str, rows: pa.Table, landed: Collection[str]) -> None:
        kind, asked = kinds()[log_type], {self._rule.id: self._rule}
        events = events_of(rows, kind)
        answer = self._judge.judge(rows, log_type=log_type, rules=[self._rule.id], channels=channel_names(self._ledger))
        said = said_of(events, asked, [answer])
        # Only who has it judged is told of an error. What is left is noted at the end, in the place of before.
        failed = [
            UnjudgedEvents(rule_id=each.rule.id, reason=f"{each.type}: {each.message}", events=each.events)
            for each in said.errors
        ]
        said = replace(said, errors=(), unjudged=[*failed, *said.unjudged])
        for left in said.unjudged:
            self._done.failed[left.reason] = self._done.failed.get(left.reason, 0) + len(left.events)
            self.left.setdefault(table, []).append(left)
        for tried in range(MAX_TRIES):
            try:
                step = self._detecting.land_again(table, kind, rows, said, landed=landed)
            except LostFenceError:
                if tried == MAX_TRIES - 1:
                    raise
                continue
            if step is None:
                self._done.without_source += len(rows)
            else:
                self._done.matches += step.matches
                self._done.told += step.tellings
            return

    def _ahead_of(self, table: str) -> frozenset[str]:
        """Return the rows of a table that the loop has not passed."""
        waiting = self._ledger.judging.waiting(table, most_parts=_EVERY)
        paths = {part.path for part in waiting.parts}
        self._ahead = {path: rows for path, rows in self._ahead.items() if path in paths}
        found = set[str]()
        for part in waiting.parts:
            if part.source_id in waiting.removed:
                # Nothing of it is judged. A purge that goes on, or was killed, may have deleted its file.
                continue
            if part.path not in self._ahead:
                self._ahead[part.path] = self._lake.part_rows(part).column("p_row_id").to_pylist()
            passed = waiting.since.row if part.sequence == waiting.since.sequence + 1 else 0
            found.update(self._ahead[part.path][passed:])
        return frozenset(found)
