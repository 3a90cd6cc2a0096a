"""Which sources a person has set up: the ledger as whoever sets them up uses it."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    Connection,
    Insert,
    RowMapping,
    Select,
    Text,
    Update,
    bindparam,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ocelog.alert.alert import SOURCE_REMOVED
from ocelog.alert.changes import resolve
from ocelog.alert.ids import system_alert_id
from ocelog.errors import ConfigError
from ocelog.kept_texts import kept_text
from ocelog.languages.phrases import Phrase
from ocelog.ledger import tables, vault
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alert_changes, alerts, claims, counters, purging, seeds, streams, suppressions, sweeps
from ocelog.ledger.vault import KeptSecret
from ocelog.model import PURGING, Marks, SourceRow

_s = tables.sources.c
# Built once: building a statement takes as long as running it, and every process that pulls asks this.
_OBSERVED = select(func.max(tables.streams.c.observed_us)).where(tables.streams.c.source_id == bindparam("source"))


class SourceLedger:
    """The sources that a person has set up."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def add(self, row: SourceRow, secrets: Sequence[KeptSecret] = ()) -> None:
        """Add a source with its secrets, or take up a removed one of the same id.

        Raises ConfigError for a name in use.
        """
        with self._database.write() as tx:
            if tx.execute(select(_s.id).where(_s.id == row.id)).first() is not None:
                # The alerts of its records ended with it, and rules that were turned on since know none of them.
                # Before the source: in the order in which all transactions lock (see `rows`).
                seeds.forget_all(tx)
            before = _held(tx, row.id)
            if before is None:
                _write(tx, insert(tables.sources).values(id=row.id, **_values(row)), row)
            elif before.removed_us is None:
                raise _in_use(row)
            elif before.purging:
                raise half_purged(before)
            else:
                _write(tx, update(tables.sources).where(_s.id == row.id).values(**_values(row), ending=False), row)
                _forget_ended(tx, row.id)
            vault.keep(tx, secrets)

    def save(
        self,
        row: SourceRow,
        secrets: Sequence[KeptSecret] = (),
        *,
        before: SourceRow | None = None,
        sees_more: Collection[str] = (),
        marks: Callable[[Marks], Marks] | None = None,
    ) -> None:
        """Put `row` in the place of the source with its id, which must be as `before`, if that is given, or so already.

        And `secrets` in the place of those that it has: whoever reads the source after that finds them. It shows more
        records from now on than it did, of the log types that `sees_more` names; `marks` returns their marks then.

        Raises ConfigError if it is not, if the source was removed, or if the name is used.
        """
        with self._database.write() as tx:
            if sees_more and not _is_so(tx, row):
                # Before the source: in the order in which all transactions lock (see `rows`).
                streams.sees_more(tx, row.id, sees_more, marks, self._now_us())
            there = _held(tx, row.id)
            if there is None or there.removed_us is not None:
                raise ConfigError(Phrase("There is no source named %(name)s any more.", name=repr(row.name)))
            if before is not None and there not in (_as_read(before), _as_read(row)):
                raise ConfigError(
                    Phrase(
                        "Somebody else changed the source %(name)s at the same time. Look at how it is now, and change "
                        "it again.",
                        name=repr(row.name),
                    )
                )
            _write(tx, update(tables.sources).where(_s.id == row.id).values(_values(row)), row)
            vault.keep(tx, secrets)

    def find(self, id_or_name: str) -> SourceRow | None:
        """Return the source of that id, else the one of that name; one that is set up goes before a removed one."""
        with self._database.read() as tx:
            found = _rows().where(or_(_s.id == id_or_name, _s.name == id_or_name))
            rows = [_row_of(row) for row in tx.execute(found).mappings()]
            return min(rows, key=lambda row: (row.removed_us is not None, row.id != id_or_name), default=None)

    def listed(self, *, removed: bool = False) -> list[SourceRow]:
        """Return the sources by the time of their adding; those that were removed only if asked for."""
        with self._database.read() as tx:
            found = _rows().order_by(_s.added_us, _s.id)
            if not removed:
                found = found.where(_s.removed_us.is_(None))
            return [_row_of(row) for row in tx.execute(found).mappings()]

    def remove(self, source_id: str, *, purging: bool = False) -> None:
        """Take a source out of work: its secrets go, its alerts are resolved; its streams, slices and marks stay.

        Killed while it resolves alerts, it can be called again, or `end_alerts`: from the first transaction on the
        source is removed, and until the last one it is among `ending`. If it is `purging`, it cannot be added again
        from the first one on, until `purge` has come to its end.
        """
        with self._database.write() as tx:
            there = _held(tx, source_id)
            if there is None:
                return
            this = update(tables.sources).where(_s.id == source_id)
            if there.removed_us is None:
                tx.execute(this.values(removed_us=self._now_us(), ending=True))
            if purging:
                tx.execute(this.values(settings={**there.settings, PURGING: True}))
            tx.execute(delete(tables.secrets).where(tables.secrets.c.source_id == source_id))
        if source_id in self.ending():
            self.end_alerts(source_id)

    def ending(self) -> list[str]:
        """Return the ids of removed sources whose alerts are not all resolved yet."""
        with self._database.read() as tx:
            return list(tx.execute(select(_s.id).where(_s.ending).order_by(_s.id)).scalars())

    def end_alerts(self, source_id: str) -> int:
        """Resolve the alerts of a source that is among `ending`, and return how many that were.

        One that is added again meanwhile keeps the others.
        """
        this = (_s.id == source_id, _s.ending)
        held = select(_s.id).where(*this).with_for_update(read=True)
        count = alert_changes.change_open(
            self._database,
            tables.alerts.c.source_id == source_id,
            resolve(kept_text("its source was removed"), reason=SOURCE_REMOVED),
            self._now_us,
            still=lambda tx: tx.execute(held).first() is not None,
        )
        with self._database.write() as tx:
            tx.execute(update(tables.sources).where(*this).values(ending=False))
        return count

    def purge(self, source_id: str) -> None:
        """Delete all that the ledger knows of a source, once its part files are gone: which they were is forgotten too.

        Counters stay, and so does what was removed: numbers that come again would be taken for landed. Of what there
        is very much, most goes before the rest: killed in between, it can be called again.
        """
        purging.purge_most(self._database, source_id)
        with self._database.write() as tx:
            # In the order in which all transactions lock (see `rows`).
            counters.hold_all(tx)
            stream = tables.streams.c
            held = select(stream.log_type).where(stream.source_id == source_id).order_by(stream.log_type)
            tx.execute(held.with_for_update()).all()
            seeds.purge(tx, source_id)
            tx.execute(select(_s.id).where(_s.id == source_id).with_for_update()).all()
            tx.execute(delete(tables.slices).where(tables.slices.c.source_id == source_id))
            sweeps.purge(tx, source_id)
            claims.purge(tx, source_id)
            alert_changes.purge(tx, source_id)
            known = (tables.parts, tables.rejection_keys, tables.given_up, tables.health, tables.system_errors)
            for table in (*known, tables.secrets, tables.streams):
                tx.execute(delete(table).where(table.c.source_id == source_id))
            tx.execute(delete(tables.sources).where(_s.id == source_id))
            suppressions.purge(tx, source_id)

    def secret_kept(self, source_id: str, name: str) -> str | None:
        """Say how a secret is kept; None: there is none. Never the secret."""
        with self._database.read() as tx:
            return vault.kept(tx, source_id).get(name)

    def observed_us(self, source_id: str) -> int:
        """Return when the last answer that landed was asked for, in microseconds by the source's clock; 0: none has."""
        with self._database.read() as tx:
            return tx.execute(_OBSERVED, {"source": source_id}).scalar() or 0

    def secret_marks(self) -> dict[str, str]:
        """Return, by source id, what changes whenever a secret of it does. Never the secret."""
        with self._database.read() as tx:
            return vault.marks(tx)


def half_purged(row: SourceRow) -> ConfigError:
    """Return the error that a source cannot be added again, as its purge has begun."""
    return ConfigError(
        Phrase(
            "The rows of %(name)s are half deleted: finish that first, or choose another name: "
            "ocelog source remove %(id)s --purge",
            name=repr(row.name),
            id=row.id,
        )
    )


def _forget_ended(tx: Connection, source_id: str) -> None:
    """Forget the system errors of a source whose alerts have ended with it: what is still so is told anew."""
    e = tables.system_errors.c
    found = tx.execute(select(e.type, e.key).where(e.source_id == source_id)).all()
    keys = {system_alert_id(row.type, row.key): row.key for row in found}
    going_on = {name for name, alert in alerts.heads_of(tx, keys).items() if alert.is_open}
    ended = [key for name, key in keys.items() if name not in going_on]
    tx.execute(delete(tables.system_errors).where(e.key.in_(ended)))


def _held(tx: Connection, source_id: str) -> SourceRow | None:
    """Return a source, removed or not, which stays as it is until the transaction ends; None: there is none."""
    found = tx.execute(_rows().where(_s.id == source_id).with_for_update()).mappings().one_or_none()
    return None if found is None else _row_of(found)


def _is_so(tx: Connection, row: SourceRow) -> bool:
    """Whether a source is as `row` already, so that what it sees more of was noted."""
    found = tx.execute(_rows().where(_s.id == row.id)).mappings().one_or_none()
    return found is not None and _row_of(found) == _as_read(row)


def _as_read(row: SourceRow) -> SourceRow:
    """Return `row` as it is read once it was saved: JSON knows no tuples."""
    return replace(row, settings=json.loads(json.dumps(dict(row.settings))))


def _write(tx: Connection, statement: Insert | Update, row: SourceRow) -> int:
    try:
        return tx.execute(statement).rowcount
    except IntegrityError as error:
        # The index of names decides, for another may have added one of this name since we looked.
        raise _in_use(row) from error


def _in_use(row: SourceRow) -> ConfigError:
    return ConfigError(
        Phrase("There is a source named %(name)s already; choose another name, or edit that one.", name=repr(row.name))
    )


def _values(row: SourceRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "settings": dict(row.settings),
        "paused": row.paused,
        "removed_us": row.removed_us,
        "added_us": row.added_us,
    }


def _rows() -> Select[Any]:
    """Select sources, their settings as text: what is damaged in one of them must not hide the others."""
    others = [column for column in _s if column.key != "settings"]
    return select(*others, cast(_s.settings, Text).label("settings_text"))


def _settings(text: str) -> Mapping[str, object]:
    """Read settings; none at all if they are damaged, which whoever reads single ones from them tells."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def _row_of(row: RowMapping) -> SourceRow:
    return SourceRow(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        settings=_settings(row["settings_text"]),
        paused=row["paused"],
        removed_us=row["removed_us"],
        added_us=row["added_us"],
    )
