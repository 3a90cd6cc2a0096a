"""Which folders of rules a person registered, and what is decided of single rules: the ledger as judging uses it.

A rule without a row is as its file says. A row goes with the folder of its rule, or once it says nothing any more.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ocelog.detect.folders import BUILT_IN, RuleFailures, RuleFolder, RuleState, RuleTrouble
from ocelog.detect.unjudged import ReplayRange, UnjudgedRows
from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded, insert_missing
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import seeds, sources
from ocelog.ledger.rows.unjudged import add_unjudged

if TYPE_CHECKING:
    # What was judged, which nobody needs who only reads what was not.
    from ocelog.alert.judged import UnjudgedEvents


_f = tables.rule_folders.c
_s = tables.rule_states.c
_n = tables.rule_failures.c
_u = tables.unjudged.c


class RuleLedger:
    """Folders of rules, the states of rules, and what rules said nothing of."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def folders(self) -> list[RuleFolder]:
        """Return the folders: the built-in one, then the others in the order in which they were registered."""
        with self._database.read() as tx:
            rows = tx.execute(select(tables.rule_folders).order_by(_f.added_us, _f.id)).mappings()
            found = {row["id"]: _folder(row) for row in rows}
        built_in = found.pop(BUILT_IN.id, BUILT_IN)
        return [built_in, *found.values()]

    def add(self, folder: RuleFolder) -> None:
        """Register a folder. Raises ConfigError if its name or its path is registered already."""
        if folder.name == BUILT_IN.name:
            raise _name_in_use(folder.name)
        with self._database.write() as tx:
            there = tx.execute(select(_f.name).where(_f.path == folder.path)).scalar()
            if there is not None:
                raise ConfigError(
                    Phrase("%(path)s is registered already, as %(there)s.", path=folder.path, there=repr(there))
                )
            try:
                tx.execute(insert(tables.rule_folders).values(id=folder.id, added_us=self._now_us(), **_values(folder)))
            except IntegrityError as error:
                raise _name_in_use(folder.name) from error

    def turn_packs(self, folder_id: str, packs: Mapping[str, bool]) -> None:
        """Turn packs of a folder on or off. Raises ConfigError if there is no such folder any more."""
        with self._database.write() as tx:
            if folder_id == BUILT_IN.id:
                insert_missing(tx, tables.rule_folders, id=BUILT_IN.id, added_us=0, **_values(BUILT_IN))
            here = _f.id == folder_id
            before = tx.execute(select(_f.packs).where(here).with_for_update()).scalar_one_or_none()
            if before is None:
                raise ConfigError(Phrase("This folder of rules is not registered any more."))
            tx.execute(update(tables.rule_folders).where(here).values(packs={**before, **packs}))

    def remove(self, folder_id: str, rules: Collection[str]) -> None:
        """Forget a folder, and what was decided of its `rules`."""
        with self._database.write() as tx:
            tx.execute(delete(tables.rule_folders).where(_f.id == folder_id))
            tx.execute(delete(tables.rule_troubles).where(tables.rule_troubles.c.folder_id == folder_id))
            seeds.forget_folder(tx, folder_id)
            for some in batches(sorted(rules)):
                tx.execute(delete(tables.rule_states).where(_s.rule_id.in_(some)))
                _forget_failures(tx, some)

    def troubles(self) -> list[RuleTrouble]:
        """Return why rules are not judged by as their files are, as of the last look of whoever judges."""
        with self._database.read() as tx:
            rows = tx.execute(select(tables.rule_troubles)).mappings()
            return sorted(
                RuleTrouble(folder_id=row["folder_id"], rule_id=row["rule_id"], reason=row["reason"]) for row in rows
            )

    def note_troubles(self, found: Collection[RuleTrouble]) -> None:
        """Note all that is wrong with rules now; what was before, and is not any more, is forgotten."""
        wanted = {(each.folder_id, bounded(each.rule_id)): bounded(each.reason) for each in found}
        if {(each.folder_id, each.rule_id): each.reason for each in self.troubles()} == wanted:
            return
        with self._database.write() as tx:
            tx.execute(delete(tables.rule_troubles))
            for (folder_id, rule_id), reason in wanted.items():
                values = {"reason": reason, "noted_us": self._now_us()}
                insert_missing(tx, tables.rule_troubles, folder_id=folder_id, rule_id=rule_id, **values)

    def states(self) -> dict[str, RuleState]:
        """Return what is decided of rules, by their ids."""
        with self._database.read() as tx:
            rows = tx.execute(select(tables.rule_states).order_by(_s.rule_id)).mappings()
            return {row["rule_id"]: _state(row) for row in rows}

    def enable(self, rules: Collection[str], *, enabled: bool | None) -> None:
        """Note that a person turned rules on or off; None: packs and files decide again.

        A rule that was suspended is asked again, and how any failed before counts no more.
        """
        with self._database.write() as tx:
            for rule in sorted(rules):
                self._note(tx, rule, enabled=enabled, suspended_us=None, reason=None)
            for some in batches(sorted(rules)):
                _forget_failures(tx, some)
            idle = and_(_s.enabled.is_(None), _s.suspended_us.is_(None))
            tx.execute(delete(tables.rule_states).where(idle))

    def suspend(self, rule: str, reason: str) -> bool:
        """Ask a rule no more, until a person enables it; return whether it was asked until now."""
        with self._database.write() as tx:
            this = and_(_s.rule_id == rule, _s.suspended_us.is_not(None))
            if tx.execute(select(_s.rule_id).where(this)).first() is not None:
                return False
            self._note(tx, rule, suspended_us=self._now_us(), reason=bounded(reason))
            _forget_failures(tx, [rule])
            return True

    def failures(self) -> dict[str, RuleFailures]:
        """Return how rules have failed in their last batches, by their ids; one that is not there has not failed."""
        with self._database.read() as tx:
            rows = tx.execute(select(tables.rule_failures)).mappings()
            return {
                row["rule_id"]: RuleFailures(revision=row["revision"], spent=row["spent"], failed=row["failed"])
                for row in rows
            }

    def count_failures(self, changes: Mapping[str, tuple[RuleFailures | None, RuleFailures | None]]) -> None:
        """Note how rules have failed by now: of each how it was before, and is; None: it has not failed.

        What is not as it was before any more stays: a person has turned the rule on or off meanwhile.
        """
        with self._database.write() as tx:
            for name, (before, after) in sorted(changes.items()):
                rule = bounded(name)
                if before is None:
                    if after is not None:
                        insert_missing(tx, tables.rule_failures, rule_id=rule, **asdict(after))
                    continue
                this = and_(_n.rule_id == rule, *(_n[name] == value for name, value in asdict(before).items()))
                if after is None:
                    tx.execute(delete(tables.rule_failures).where(this))
                else:
                    tx.execute(update(tables.rule_failures).where(this).values(asdict(after)))

    def forget_failures(self, but: Collection[str]) -> None:
        """Count anew for all rules but these: what others did before counts no more once they are asked again."""
        gone = sorted(self.failures().keys() - set(but))
        if not gone:
            return
        with self._database.write() as tx:
            for some in batches(gone):
                _forget_failures(tx, some)

    def forget_seeds(self, on: Collection[tuple[str, str]], kept: Collection[str] = ()) -> None:
        """Let rules get to know anew what is there once they are turned on again: all but those that are `on`.

        Each is named with its folder; those in `kept` are left as they are, whatever their folder.
        """
        with self._database.write() as tx:
            seeds.forget_others(tx, on, {*kept, seeds.ALL} if on or kept else ())

    def forget_seeds_of(self, rules: Collection[str]) -> None:
        """Let these rules get to know anew what is there once they are turned on again."""
        with self._database.read() as tx:
            there = seeds.known_of(tx, rules)
        if there:
            with self._database.write() as tx:
                seeds.forget(tx, there)

    def unjudged(self, rule: str | None = None) -> list[UnjudgedRows]:
        """Return what rules said nothing of, put together by what it has in common.

        Of one `rule`: its own, and what no rule was asked about.
        """
        alike = (_u.rule_id, _u.table_name, _u.source_id, _u.reason)
        found = select(
            *alike,
            func.sum(_u.rows).label("rows"),
            func.min(_u.first_us).label("first_us"),
            func.max(_u.last_us).label("last_us"),
            func.max(_u.noted_us).label("noted_us"),
        )
        if rule is not None:
            found = found.where(_u.rule_id.in_((rule, "")))
        with self._database.read() as tx:
            rows = tx.execute(found.group_by(*alike).order_by(*alike)).mappings()
            return [
                UnjudgedRows(
                    rule_id=row["rule_id"],
                    table=row["table_name"],
                    source_id=row["source_id"],
                    reason=row["reason"],
                    rows=int(row["rows"]),
                    first_us=row["first_us"],
                    last_us=row["last_us"],
                    noted_us=row["noted_us"],
                )
                for row in rows
            ]

    def dismiss_unjudged(self, rule: str | None, *, noted_until_us: int) -> int:
        """Forget what rules, or one, said nothing of, as far as it was noted by then; return how many rows that was."""
        these: list[ColumnElement[bool]] = [_u.noted_us <= noted_until_us]
        if rule is not None:
            these.append(_u.rule_id == rule)
        with self._database.write() as tx:
            count = tx.execute(select(func.coalesce(func.sum(_u.rows), 0)).where(*these)).scalar_one()
            tx.execute(delete(tables.unjudged).where(*these))
            return int(count)

    def settle_unjudged(
        self, rule: str, tables_: Collection[str], covered: ReplayRange, left: "Mapping[str, Sequence[UnjudgedEvents]]"
    ) -> int:
        """Forget what a rule said nothing of and has judged by now, and note what is `left`, by table.

        Of what was noted before and lies within what is `covered`; return how many rows that was. Nothing is noted of
        a source that was purged meanwhile, and what is noted of one that was removed stays: nobody judges it.
        """
        is_removed = tables.sources.c.removed_us.is_not(None)
        events = [event for each in left.values() for some in each for event in some.events]
        with self._database.write() as tx:
            there = sources.hold_known(tx, {event.source_id for event in events})
            these = (
                _u.rule_id == rule,
                _u.table_name.in_(sorted(tables_)),
                _u.noted_us < covered.noted_before_us,
                _u.first_us >= covered.since_us,
                _u.last_us < covered.until_us,
                _u.source_id.not_in(select(tables.sources.c.id).where(is_removed)),
            )
            count = tx.execute(select(func.coalesce(func.sum(_u.rows), 0)).where(*these)).scalar_one()
            tx.execute(delete(tables.unjudged).where(*these))
            for table, unjudged in left.items():
                of_these = (
                    replace(
                        each, events=[event for event in each.events if not event.source_id or event.source_id in there]
                    )
                    for each in unjudged
                )
                add_unjudged(tx, table, of_these, self._now_us())
            return int(count)

    def _note(self, tx: Connection, rule: str, **values: object) -> None:
        changed = {**values, "changed_us": self._now_us()}
        insert_missing(tx, tables.rule_states, rule_id=rule, **changed)
        tx.execute(update(tables.rule_states).where(_s.rule_id == rule).values(changed))


def _forget_failures(tx: Connection, rules: Sequence[str]) -> None:
    tx.execute(delete(tables.rule_failures).where(_n.rule_id.in_(rules)))


def _name_in_use(name: str) -> ConfigError:
    return ConfigError(
        Phrase("There is a folder of rules named %(name)s already; choose another with --name.", name=repr(name))
    )


def _values(folder: RuleFolder) -> dict[str, Any]:
    return {
        "name": folder.name,
        "path": folder.path,
        "network": folder.network,
        "unprotected": folder.unprotected,
        "packs": dict(folder.packs),
    }


def _folder(row: RowMapping) -> RuleFolder:
    return RuleFolder(
        id=row["id"],
        name=row["name"],
        # It moves with each installation of the program.
        path=BUILT_IN.path if row["id"] == BUILT_IN.id else row["path"],
        network=row["network"],
        unprotected=row["unprotected"],
        packs=row["packs"],
        added_us=row["added_us"],
    )


def _state(row: RowMapping) -> RuleState:
    return RuleState(
        rule_id=row["rule_id"],
        enabled=row["enabled"],
        suspended_us=row["suspended_us"],
        reason=row["reason"] or "",
    )
