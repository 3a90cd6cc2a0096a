"""The detect loop of a table: from its mark it takes the next piece, has it judged, and lands what comes of it.

Judging is done outside of any transaction. What it brings about is decided on what the ledger has, and committed with
the mark only if that has not changed; else it is decided again. So each row is judged to an end once, whatever crashes.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.alert import Alert
from ocelog.alert.deciding import Decision, News, Policy, decide, decision_query
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, UnjudgedEvents
from ocelog.alert.ports import CommitConflict, CommitSuccess, DetectLedger, LoopBacklog, Outcome, Piece, StaleCommit
from ocelog.alert.seed import Seed
from ocelog.errors import LakeDamagedError, LakeUnavailableError, LedgerUnavailableError, LostFenceError, OcelogError
from ocelog.model import RULE_MATCHES, Claim, GivenUp, JsonObject, Kind, KnownVersions, NewPart, Part, Position

if TYPE_CHECKING:
    import pyarrow as pa

PIECE_ROWS = 5_000
"""Rows of a piece, at most."""
PIECE_BYTES = 16 << 20
"""Bytes of its parts, at most, unless one part is larger."""
MOST_PARTS = 200
_MAX_TRIES = 50
"""Each try that fails means that somebody changed an alert; so many in a row mean that something is broken."""
SEED_TRIES = 5
"""Where what a table has cannot be read or judged so often in a row, rules judge without knowing it."""
GIVE_UP_AFTER_US = 7 * 24 * 3_600 * 1_000_000
"""Parts that could not be judged for so long are passed, so that their files do not fill the disk."""


class Jury(Protocol):
    """The rules that are on, and what asks them."""

    def rules(self, log_type: str, /) -> Mapping[str, JudgedBy]:
        """Return the rules that judge rows of `log_type` now, by id. They stay as they are until they are asked for."""
        ...

    def passed(self, log_type: str, /) -> Mapping[str, str]:
        """Return what should judge them and does not, a suspended rule or a folder that cannot be read; and why."""
        ...

    def judge(self, rows: "pa.Table", log_type: str, events: Sequence[Event], /) -> Judgement:
        """Ask the rules that `rules` returned last about rows, each of which is an event. Raises SandboxError."""
        ...

    def committed(self, said: Judgement, /) -> None:
        """Hear that what was judged has been committed, with all that is told of it."""
        ...


class Seeder(Protocol):
    """What a table has of before, and what asks rules about it."""

    def page(self, table: str, kind: Kind, after: tuple[str, str] | None, mark: Position, /) -> "tuple[pa.Table, bool]":
        """Return records as they were at the mark, in the order of source and id, and whether no more follow.

        Those that are open, and those of which an alert is.
        """
        ...

    def judge(self, rules: Collection[str], rows: "pa.Table", log_type: str, events: Sequence[Event], /) -> Judgement:
        """Ask some of the rules that `Jury.rules` returned last. Raises SandboxError."""
        ...

    def landed(self, matches: Collection[str], /) -> Collection[str]:
        """Return those of `matches` that the lake has."""
        ...


class MatchLake(Protocol):
    """What judging needs of the lake."""

    def part_rows(self, part: Part) -> "pa.Table":
        """Return the rows of a part. Raises LakeUnavailableError if it cannot be read."""
        ...

    def load_ids(self, table: str, source_id: str, ids: Collection[str]) -> KnownVersions:
        """Return every version of records, from parts and table."""
        ...

    def write(self, table: str, name: str, rows: "pa.Table") -> NewPart:
        """Make rows durable as a part that no transaction vouches for yet."""
        ...

    def discard(self, part: NewPart) -> None:
        """Delete a part that never landed."""
        ...


class Claims(Protocol):
    """Who may land matches of a source."""

    def claim(self, source_id: str) -> Claim:
        """Return the claim of this process, taken anew if it was lost. Raises LostFenceError while another has it."""
        ...

    def lost(self, source_id: str) -> None:
        """Forget the claim: another has it."""
        ...


class MatchRows(Protocol):
    """Makes rows of `rule_matches`."""

    def __call__(
        self, events: "pa.Table", at: Sequence[int], told: Mapping[str, Sequence[object]], *, judged_us: int
    ) -> "pa.Table":
        """Return one row a match: `at` is the row of its event, `told` what the rule said, by column."""
        ...


class JudgingStep(Struct, frozen=True, kw_only=True):
    """What one step brought."""

    rows: int = 0
    matches: int = 0
    tellings: int = 0
    more: bool = False
    """Whether there may be more to judge."""
    seeding: bool = False
    """Whether it judged what was there before, for rules that were turned on, and may have to go on with that."""


class _RowBatch(Struct, frozen=True):
    """Rows of one source that are to be judged together."""

    parts: Sequence[Part]
    rows: "pa.Table | None"
    to: Position
    lost: Sequence[GivenUp]


@dataclass(slots=True, kw_only=True)
class Detecting:
    """Judges what lands in the tables, one piece after the other."""

    ledger: DetectLedger
    lake: MatchLake
    jury: Jury
    claims: Claims
    match_rows: MatchRows
    policy: Callable[[], Policy]
    """Asked before each decision: people change channels and suppressions."""
    now_us: Callable[[], int]
    seeder: Seeder | None = None
    """None: rules get to know nothing of before."""
    piece_rows: int = PIECE_ROWS
    numbers: "count[int]" = field(default_factory=count)

    def step(self, table: str, kind: Kind) -> JudgingStep:
        """Judge the next piece of `table`.

        Raises LostFenceError if another process judges it, LakeUnavailableError if a part cannot be read for now, and
        SandboxError if the rules cannot be asked: then nothing has changed, and the next step tries again.
        """
        waiting = self.ledger.waiting(table, most_parts=MOST_PARTS)
        rules, passed = self.jury.rules(kind.log_type), self.jury.passed(kind.log_type)
        if not rules and not passed:
            return self._pass(table, waiting)
        if waiting.parts:
            # First: whoever may not land what rules say need not ask them.
            self.claims.claim(waiting.parts[0].source_id)
        if self.seeder is not None and (unseeded := self._unseeded(table, kind, rules)):
            return self._seed(self.seeder, table, kind, waiting.since, unseeded)
        try:
            taken = self._take(waiting)
        except (LakeDamagedError, LakeUnavailableError):
            source_id = waiting.parts[0].source_id
            if source_id not in waiting.removed:
                raise
            # A purge that goes on, or was killed, has deleted its file: what others have waits for no purge.
            return self._give_up(table, waiting, waiting.parts[:1], "its source was removed", removed=source_id)
        if taken is None:
            return self._pass(table, waiting) if waiting.last > waiting.since.sequence else JudgingStep()
        if taken.rows is None:
            self.ledger.commit(_skipped(table, waiting.since, taken.to, taken.lost))
            return JudgingStep(more=True)
        events = events_of(taken.rows, kind)
        if taken.parts[0].source_id in waiting.removed:
            return self._pass_removed(table, waiting.since, taken.to, taken.parts[0].source_id, events)
        found = self.jury.judge(taken.rows, kind.log_type, events)
        found = replace(
            found,
            unjudged=[
                *found.unjudged,
                *(UnjudgedEvents(rule_id=rule, reason=why, events=events) for rule, why in passed.items()),
            ],
        )
        return self._land(table, kind, waiting.since, taken, found)

    def _unseeded(self, table: str, kind: Kind, rules: Mapping[str, JudgedBy]) -> Sequence[Seed]:
        """Return the rules that would tell of what was so already when they were turned on."""
        if kind.version_fields is None:
            return ()
        return self.ledger.unseeded(table, keepers(rules))

    def _seed(self, seeder: Seeder, table: str, kind: Kind, mark: Position, unseeded: Sequence[Seed]) -> JudgingStep:
        """Let rules know some of the records that are open already: their alerts open, and nobody is told.

        The mark stays until they know all of them. Raises as `step` does.
        """
        first = unseeded[0]
        # One by one if they failed together: whatever is the matter with one, the others get there.
        seeds = [first] if first.tries else [each for each in unseeded if (each.after, each.tries) == (first.after, 0)]
        if mark == Position():
            self._move_seeds(table, mark, [(each, replace(each, done=True)) for each in unseeded])
            return JudgingStep(more=True)
        try:
            return self._seed_page(seeder, table, kind, mark, seeds)
        except (LostFenceError, LedgerUnavailableError):
            raise
        except Exception as error:
            left = self.ledger.unseeded(table, {each.rule_id: each.folder_id for each in seeds})
            self._move_seeds(table, mark, [(each, _failed(each, error)) for each in left])
            raise

    def _seed_page(self, seeder: Seeder, table: str, kind: Kind, mark: Position, seeds: Sequence[Seed]) -> JudgingStep:
        if seeds[0].after is not None:
            # As in a step, first: whoever may not land what rules say need not read what they are asked about.
            self.claims.claim(seeds[0].after[0])
        page, is_last = seeder.page(table, kind, seeds[0].after, mark)
        rows = matches = 0
        for piece in _by_source(page, self.piece_rows):
            source_id = piece.column("p_source_id")[0].as_py()
            if seeds[0].after is None or seeds[0].after[0] != source_id:
                # Whoever has no claim sees by this which one it takes, without a look at the table.
                reached = [replace(each, after=(source_id, "")) for each in seeds]
                # One that was purged meanwhile is never reached: nobody could take its claim.
                if not self._move_seeds(table, mark, list(zip(seeds, reached, strict=True)), source_id):
                    return JudgingStep(more=True, seeding=True)
                seeds = reached
            self.claims.claim(source_id)
            # The mark stays and is committed on, so that each is the newest of all that rules have passed.
            events = [replace(event, latest=True) for event in events_of(piece, kind)]
            found = seeder.judge([each.rule_id for each in seeds], piece, kind.log_type, events)
            after = (events[-1].source_id, events[-1].record_id or "")
            moved = [(each, replace(each, after=after, tries=0)) for each in seeds]
            landed = seeder.landed([match.id for match in found.matches])
            step = self._land_seeds(table, kind, mark, piece, found, landed, moved)
            if step is None:
                return JudgingStep(more=True, seeding=True)
            seeds = [each for _, each in moved]
            rows, matches = rows + step.rows, matches + step.matches
        if is_last:
            self._move_seeds(table, mark, [(each, replace(each, done=True)) for each in seeds])
        return JudgingStep(rows=rows, matches=matches, more=True, seeding=True)

    def _land_seeds(
        self,
        table: str,
        kind: Kind,
        mark: Position,
        rows: "pa.Table",
        found: Judgement,
        landed: Collection[str],
        seeds: Sequence[tuple[Seed, Seed]],
    ) -> JudgingStep | None:
        """Land what rules said of records that were there; None: it stands on what is not so any more."""
        source_id, judged_us = found.events[0].source_id, self.now_us()
        for _ in range(_MAX_TRIES):
            outcome, decision = self._attempt(
                table, kind, source_id, rows, found, (mark, mark), judged_us, landed, seeds
            )
            match outcome:
                case CommitSuccess():
                    self.jury.committed(found)
                    return _step(found, decision)
                case StaleCommit():
                    return None
                case CommitConflict():
                    pass
        raise _overtaken(table)

    def _move_seeds(
        self, table: str, mark: Position, seeds: Sequence[tuple[Seed, Seed]], source_id: str | None = None
    ) -> bool:
        """Note how far rules are, in a source that is there if given; False: somebody else has, since that was read."""
        moved = Piece(table=table, since=mark, to=mark, source_id=source_id, decision=_NOTHING, seeds=seeds)
        return isinstance(self.ledger.commit(moved), CommitSuccess)

    def give_up_old(self, table: str, reason: str) -> JudgingStep:
        """Pass the next parts if they have waited for too long, and remember that they were not judged."""
        waiting, now_us = self.ledger.waiting(table, most_parts=MOST_PARTS), self.now_us()
        return self._give_up(
            table,
            waiting,
            list(takewhile(lambda part: now_us - part.landed_us > GIVE_UP_AFTER_US, waiting.parts)),
            reason,
        )

    def make_room(self, table: str, most_bytes: int) -> JudgingStep:
        """Pass the next parts if those that wait in all tables hold more than that, so that others can land."""
        over = sum(self.ledger.held_bytes().values()) - most_bytes
        if over <= 0:
            return JudgingStep()
        waiting, gone = self.ledger.waiting(table, most_parts=MOST_PARTS), list[Part]()
        for part in waiting.parts:
            if over <= 0:
                break
            gone.append(part)
            over -= part.bytes
        return self._give_up(table, waiting, gone, "what waited for the rules held more than a fifth of the free disk")

    def _give_up(
        self, table: str, waiting: LoopBacklog, old: Sequence[Part], reason: str, *, removed: str | None = None
    ) -> JudgingStep:
        """Pass parts as they are; if they are of a source that was `removed`, only while it is."""
        if not old:
            return JudgingStep()
        lost = [
            GivenUp(
                table=table,
                path=part.path,
                reason=reason,
                noticed_us=self.now_us(),
                sequence=part.sequence,
                source_id=part.source_id,
                rows=part.rows,
                min_cursor_us=part.min_cursor_us,
                max_cursor_us=part.max_cursor_us,
            )
            for part in old
        ]
        to = Position(sequence=old[-1].sequence)
        lost += [each for each in waiting.given_up if (each.sequence or 0) <= to.sequence]
        self.ledger.commit(replace(_skipped(table, waiting.since, to, lost), removed=removed))
        return JudgingStep(more=True)

    def _pass_removed(
        self, table: str, since: Position, to: Position, source_id: str, events: Sequence[Event]
    ) -> JudgingStep:
        """Pass what landed before its source was removed: nothing would end the alerts that it opened."""
        left = UnjudgedEvents(rule_id="", reason="its source was removed", events=events)
        passed = replace(_skipped(table, since, to, ()), removed=source_id, decision=Decision(unjudged=[left]))
        # If it was added again meanwhile, the next step has them judged.
        self.ledger.commit(passed)
        return JudgingStep(more=True)

    def _pass(self, table: str, waiting: LoopBacklog) -> JudgingStep:
        """Move the mark to the end of what there is."""
        full = len(waiting.parts) == MOST_PARTS
        to = Position(sequence=waiting.parts[-1].sequence if full else waiting.last)
        if to <= waiting.since:
            return JudgingStep()
        lost = [each for each in waiting.given_up if (each.sequence or 0) <= to.sequence]
        self.ledger.commit(_skipped(table, waiting.since, to, lost))
        return JudgingStep(more=full)

    def _take(self, waiting: LoopBacklog) -> _RowBatch | None:
        """Read the next rows of one source; None: there are none."""
        import pyarrow as pa  # noqa: PLC0415 - whoever only names the loop goes without Arrow

        if not waiting.parts:
            return None
        first = waiting.parts[0]
        skip = waiting.since.row if first.sequence == waiting.since.sequence + 1 else 0
        lost = [each for each in waiting.given_up if (each.sequence or 0) < first.sequence]
        if lost:
            return _RowBatch((), None, Position(sequence=first.sequence - 1, row=skip), lost)
        parts, tables, rows, size = list[Part](), list[pa.Table](), 0, 0
        for part in waiting.parts:
            gone = any(first.sequence < (each.sequence or 0) < part.sequence for each in waiting.given_up)
            if parts and (part.source_id != first.source_id or gone):
                break
            if parts and (rows + part.rows > self.piece_rows or size + part.bytes > PIECE_BYTES):
                break
            read = self.lake.part_rows(part)
            if part is first and skip:
                read = read.slice(skip)
            if len(read) > self.piece_rows:
                read = read.slice(0, self.piece_rows)
                to = Position(sequence=part.sequence - 1, row=skip + self.piece_rows)
                return _RowBatch([part], read, to, ())
            parts.append(part)
            tables.append(read)
            rows, size = rows + len(read), size + part.bytes
        together = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="default")
        return _RowBatch(parts, together, Position(sequence=parts[-1].sequence), ())

    def land_again(
        self, table: str, kind: Kind, rows: "pa.Table", found: Judgement, *, landed: Collection[str]
    ) -> JudgingStep | None:
        """Land what rules said of rows of one source that the loop has passed already; None: the source is gone.

        `landed` are ids of matches that are in the lake, of which the ledger may have forgotten some. The mark stays,
        and is decided on: if it moved meanwhile, the newest version of a record would be an old one by now, and its
        alert would be opened behind the version that ends it. Raises LostFenceError: then nothing was landed.
        """
        source_id = found.events[0].source_id
        judged_us = self.now_us()
        for _ in range(_MAX_TRIES):
            mark = self.ledger.waiting(table, most_parts=1).since
            outcome, decision = self._attempt(table, kind, source_id, rows, found, (mark, mark), judged_us, landed)
            match outcome:
                case CommitSuccess():
                    return _step(found, decision)
                case StaleCommit() if self.ledger.waiting(table, most_parts=1).since == mark:
                    return None
                case _:
                    pass
        raise _overtaken(table)

    def _land(self, table: str, kind: Kind, since: Position, taken: _RowBatch, found: Judgement) -> JudgingStep:
        source_id = taken.parts[0].source_id
        judged_us = self.now_us()
        for _ in range(_MAX_TRIES):
            outcome, decision = self._attempt(table, kind, source_id, taken.rows, found, (since, taken.to), judged_us)
            match outcome:
                case CommitSuccess():
                    self.jury.committed(found)
                    return _step(found, decision)
                case StaleCommit():
                    return JudgingStep(more=True)
                case CommitConflict():
                    pass
        raise _overtaken(table)

    def _attempt(
        self,
        table: str,
        kind: Kind,
        source_id: str,
        rows: "pa.Table | None",
        found: Judgement,
        mark: tuple[Position, Position],
        judged_us: int,
        landed: Collection[str] = (),
        seeds: Sequence[tuple[Seed, Seed]] = (),
    ) -> tuple[Outcome, Decision]:
        """Decide and commit once; the mark goes from the first position to the second. Raises LostFenceError."""
        now_us = self.now_us()
        state = self.ledger.decision_state(decision_query(found, now_us))
        state = replace(state, known=state.known.union(landed))
        policy = self.policy()
        if seeds:
            policy = replace(policy, again=News.HISTORY, seeding=True)
        else:
            found = _ordered(found, self._known(table, source_id, kind, found, state.alerts.values()))
        decision = decide(found, state, policy, now_us)
        part: NewPart | None = None
        try:
            part = self._write(source_id, rows, found.events, decision, judged_us)
            outcome = self.ledger.commit(
                Piece(
                    table=table,
                    since=mark[0],
                    to=mark[1],
                    source_id=source_id,
                    decision=decision,
                    part=part,
                    # Also if nothing is landed: the loop keeps its claim by that, and no other judges the same.
                    claim=self.claims.claim(source_id) if part is not None or seeds or mark[0] != mark[1] else None,
                    seeds=seeds,
                )
            )
        except LostFenceError:
            self.claims.lost(source_id)
            if part is not None:
                self.lake.discard(part)
            raise
        if part is not None and not isinstance(outcome, CommitSuccess):
            self.lake.discard(part)
        return outcome, decision

    def _known(
        self, table: str, source_id: str, kind: Kind, found: Judgement, alerts: Iterable[Alert]
    ) -> dict[str, list[tuple[int, int, str]]]:
        """Return the versions of the records whose alerts may move, in their order. Call it before the commit."""
        if kind.version_fields is None:
            return {}
        ids = {match.event.record_id for match in found.matches if match.event.record_id is not None}
        ids |= {each.record_id for each in alerts if each.record_id is not None}
        ids &= {each.record_id for each in found.events}
        if not ids:
            return {}
        known = self.lake.load_ids(table, source_id, ids)
        versions = dict[str, list[tuple[int, int, str]]]()
        for record, version_us, observed_us, row_id in zip(
            known.ids, known.version_us, known.observed_us, known.row_ids, strict=True
        ):
            versions.setdefault(record, []).append((version_us, observed_us, row_id))
        return {record: sorted(each) for record, each in versions.items()}

    def _write(
        self, source_id: str, rows: "pa.Table | None", events: Sequence[Event], decision: Decision, judged_us: int
    ) -> NewPart | None:
        if not decision.matches or rows is None:
            return None
        places = {event.row_id: at for at, event in enumerate(events)}
        made = self.match_rows(
            rows,
            [places[match.event.row_id] for match, _ in decision.matches],
            told_columns(decision.matches),
            judged_us=judged_us,
        )
        claim = self.claims.claim(source_id)
        return self.lake.write(RULE_MATCHES, f"{claim.name}-{claim.fence}-{next(self.numbers)}", made)


_NOTHING = Decision()


def keepers(rules: Mapping[str, JudgedBy]) -> dict[str, str]:
    """Return the folders of those rules, by id, whose alerts live with a record: they get to know what is so."""
    return {
        name: rule.folder_id for name, rule in rules.items() if rule.about.lives_with_record and rule.about.create_alert
    }


def _skipped(table: str, since: Position, to: Position, lost: Sequence[GivenUp]) -> Piece:
    return Piece(table=table, since=since, to=to, source_id=None, decision=_NOTHING, lost=lost)


def _step(found: Judgement, decision: Decision) -> JudgingStep:
    return JudgingStep(
        rows=len(found.events), matches=len(decision.matches), tellings=len(decision.tellings), more=True
    )


def _failed(seed: Seed, error: Exception) -> Seed:
    """Return how far a rule is after its records could not be read or judged."""
    tries = seed.tries + 1
    if tries < SEED_TRIES:
        return replace(seed, tries=tries)
    what = str(error) if isinstance(error, OcelogError) else f"a bug in Ocelog: {type(error).__name__}"
    why = f"records that were so already when it was turned on could not be judged: {what}"
    return replace(seed, tries=tries, done=True, given_up=why)


def _by_source(rows: "pa.Table", most: int) -> "Iterator[pa.Table]":
    """Cut rows that are sorted by source into pieces, each of one source."""
    sources, first = rows.column("p_source_id").to_pylist(), 0
    for at in range(1, len(sources) + 1):
        if at == len(sources) or sources[at] != sources[first] or at - first == most:
            yield rows.slice(first, at - first)
            first = at


def _overtaken(table: str) -> LakeUnavailableError:
    return LakeUnavailableError(f"{table}: alerts were changed by others {_MAX_TRIES} times in a row; try again.")


def told_columns(matches: Sequence[tuple[Match, str | None]]) -> dict[str, list[object]]:
    """Return the columns of `rule_matches` that rules fill."""
    found = [match for match, _ in matches]
    return {
        "p_row_id": [each.id for each in found],
        "rule_id": [each.rule.id for each in found],
        "rule_name": [each.rule.about.name for each in found],
        "rule_revision": [each.rule.revision for each in found],
        "rule_tags": [list(each.rule.about.tags) for each in found],
        "severity": [each.verdict.severity.value for each in found],
        "title": [each.verdict.title for each in found],
        "dedup": [each.verdict.dedup for each in found],
        "unique_value": [each.verdict.unique for each in found],
        "alert_id": [alert for _, alert in matches],
        "alert_context": [_text(each.verdict.context) for each in found],
    }


def _text(context: Mapping[str, object]) -> str | None:
    text = context.text if isinstance(context, JsonObject) else json.dumps(context)
    return None if text == "{}" else text


def _ordered(found: Judgement, known: Mapping[str, list[tuple[int, int, str]]]) -> Judgement:
    """Say of each event whether it is the newest version of its record, and whether the one before began with it."""
    fresh = dict[str, Event]()
    for event in found.events:
        versions = known.get(event.record_id or "")
        if versions is None:
            continue
        at = next((place for place, version in enumerate(versions) if version[2] == event.row_id), None)
        # One that is not there any more was removed meanwhile: it is the newest of nothing.
        fresh[event.row_id] = replace(
            event,
            latest=at == len(versions) - 1,
            same_since=at is not None and at > 0 and versions[at - 1][0] == event.version_us,
        )
    if not fresh:
        return found
    return replace(
        found,
        events=[fresh.get(event.row_id, event) for event in found.events],
        matches=[replace(match, event=fresh.get(match.event.row_id, match.event)) for match in found.matches],
    )


def events_of(rows: "pa.Table", kind: Kind) -> list[Event]:
    """Return what alerts need to know of the rows of a table."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    names = rows.column_names

    def texts(name: str) -> Iterable[str | None]:
        return rows.column(name).to_pylist() if name in names else [None] * len(rows)

    def instants(name: str) -> list[int]:
        return [0 if us is None else us for us in rows.column(name).cast(pa.int64()).to_pylist()]

    links = texts(kind.page) if kind.page is not None else [None] * len(rows)
    changes = kind.version_fields is not None
    version_name = "p_version_time" if "p_version_time" in names else "p_event_time"
    return [
        Event(
            row_id=row_id or "",
            log_type=kind.log_type,
            source_id=source_id or "",
            source_label=label or "",
            event_us=event_us,
            version_us=version_us,
            observed_us=observed_us,
            record_id=record_id,
            latest=not changes,
            inferred=inferred is not None,
            link=link,
        )
        for row_id, source_id, label, event_us, version_us, observed_us, record_id, inferred, link in zip(
            texts("p_row_id"),
            texts("p_source_id"),
            texts("p_source_label"),
            instants("p_event_time"),
            instants(version_name),
            instants("p_observed_at"),
            texts("id"),
            texts("p_inferred"),
            links,
            strict=True,
        )
    ]
