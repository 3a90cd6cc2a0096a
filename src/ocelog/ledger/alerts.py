"""Alerts as people work with them: the ledger as whoever lists, changes, suppresses and forgets them uses it."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate, islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from ocelog.alert.alert import ENDED, OCELOG, OPEN, RULE_OFF, Alert, TimelineEntry
from ocelog.alert.changes import BY_PEOPLE, Act, Change, resolve
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.ids import ONBOARDED, SUSPENDED
from ocelog.alert.listing import (
    AlertDetails,
    AlertFilter,
    AlertOrder,
    Attempt,
    ListPlace,
    NotJudged,
    TitledAlert,
    WaitingDelivery,
)
from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.ledger import tables
from ocelog.ledger.database.batches import among, batches
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alert_changes, outbox, suppressions
from ocelog.ledger.rows import alerts as rows
from ocelog.model import Severity

MATCH_KEYS_KEPT = timedelta(days=30)
"""How long it is known which matches have landed: what is judged again later asks the lake."""
COUNTS_KEPT = timedelta(days=1)
"""How long a window that is over, and what a rule opened in an hour, are kept."""
UNTOLD_KEPT = timedelta(days=30)
"""How long an alert is kept that nobody heard of, and nobody can any more: after the last match that joined it."""
SUPPRESSIONS_KEPT = timedelta(days=90)
"""How long a suppression that is over is still listed."""
_AT_ONCE = 500
"""Rows that one transaction deletes, so that others write between two of them; or that are read at once."""
_WITH_CONTEXT_AT_ONCE = 50
"""Alerts that are read at once with their contexts, each of which may have 200 KB."""
_US = timedelta(microseconds=1)
_a = tables.alerts.c
_d = tables.deliveries.c
_e = tables.alert_events.c
_s = tables.suppressions.c


class ExpiredCounts(Struct, frozen=True, kw_only=True):
    """How much was too old, and is deleted."""

    alerts: int
    untold: int
    """Alerts that nobody heard of."""
    told: int
    """What was told of alerts that are kept, and what happened to them."""
    groups: int
    limits: int
    match_keys: int
    suppressions: int


class OpenAlerts(Struct, frozen=True, kw_only=True):
    """How many alerts somebody has to look at."""

    told: Mapping[Severity, int]
    """Those that are sent to people, by severity."""
    untold: int
    """Others: below a threshold, suppressed, or known from the start."""
    oldest_us: int | None = None
    """When the oldest of those was opened that are sent to people; None: there is none."""


class AlertLedger:
    """The alerts, and what people do with them."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def listed(
        self,
        wanted: AlertFilter,
        *,
        limit: int,
        order: AlertOrder = AlertOrder.OPENED,
        after: ListPlace | None = None,
        with_context: bool = True,
    ) -> list[Alert]:
        """Return alerts, by default the newest first; those behind the place `after`, which is of the same order.

        Their contexts are empty, if nobody wants those.
        """
        keys = _KEYS[order]
        read = rows.alert_of if with_context else rows.contextless_of
        columns = tables.alerts.c if with_context else rows.CONTEXTLESS
        found = select(*columns).where(*_filter(wanted)).order_by(*(each.desc() for each in keys))
        if after is not None:
            values = (after.rank, after.at_us, after.id)[-len(keys) :]
            found = found.where(tuple_(*keys) < tuple_(*map(literal, values)))
        with self._database.read() as tx:
            return [read(row) for row in tx.execute(found.limit(limit)).mappings()]

    def whole(self, ids: Iterable[str]) -> Iterator[Alert]:
        """Yield alerts in the order of `ids`, few of which are held at once; what is gone by now is left out."""
        left = iter(ids)
        while some := list(islice(left, _WITH_CONTEXT_AT_ONCE)):
            with self._database.read() as tx:
                found = rows.of_ids(tx, some)
            yield from (found[name] for name in some if name in found)

    def within(self, most: int, ids: Sequence[str]) -> Sequence[str]:
        """Return the first of `ids`, and those after it while their contexts have at most so many characters together.

        They are not read for that.
        """
        size = func.length(cast(_a.context, Text))
        sizes = dict[str, int]()
        with self._database.read() as tx:
            for some in batches(sorted(ids)):
                sizes |= {name: length or 0 for name, length in tx.execute(select(_a.id, size).where(_a.id.in_(some)))}
        sums = accumulate(sizes.get(name, 0) for name in ids)
        return ids[: max(1, sum(each <= most for each in sums))]

    def heads(self, ids: Collection[str]) -> dict[str, Alert]:
        """Return the alerts with these ids, by id, without what is long in them; what is gone by now is left out."""
        with self._database.read() as tx:
            return rows.heads_of(tx, ids)

    def count(self, wanted: AlertFilter, *, most: int) -> int:
        """Return how many alerts are as wanted; no more than `most` are counted."""
        return self._count(_filter(wanted), most)

    def count_untold(self, wanted: AlertFilter, *, most: int) -> int:
        """Return how many further alerts are as wanted, but sent to nobody; at most `most`."""
        return self._count([*_filter(replace(wanted, untold=True)), ~_heard()], most)

    def _count(self, where: Sequence[ColumnElement[bool]], most: int) -> int:
        some = select(_a.id).where(*where).limit(most).subquery()
        with self._database.read() as tx:
            return tx.execute(select(func.count()).select_from(some)).scalar_one()

    def titles(self, wanted: AlertFilter, *, most: int) -> list[TitledAlert]:
        """Return what alerts that are as wanted are called, each once; at most `most`."""
        columns = (_a.type, _a.rule_id, _a.rule_name, _a.title)
        found = select(*columns).where(*_filter(wanted)).distinct().limit(most)
        with self._database.read() as tx:
            return [
                TitledAlert(type=AlertType(kind), rule_id=rule_id, rule_name=rule_name, title=title)
                for kind, rule_id, rule_name, title in tx.execute(found)
            ]

    def rule_ids(self) -> list[str]:
        """Return the ids of the rules that alerts are of, and the kinds of system errors."""
        with self._database.read() as tx:
            return list(tx.execute(select(_a.rule_id).distinct().order_by(_a.rule_id)).scalars())

    def open(self) -> OpenAlerts:
        """Return how many alerts are not over."""
        with self._database.read() as tx:
            counted = (
                select(_a.severity, _heard(), func.count(), func.min(_a.opened_us))
                .where(tables.OPEN_ALERT)
                .group_by(_a.severity, _heard())
            )
            told, untold, opened_us = dict[Severity, int](), 0, list[int]()
            for severity, heard, count, first_us in tx.execute(counted):
                if heard:
                    told[Severity(severity)] = count
                    opened_us.append(first_us)
                else:
                    untold += count
        return OpenAlerts(told=told, untold=untold, oldest_us=min(opened_us, default=None))

    def not_judged(self) -> list[NotJudged]:
        """Return what was passed without being judged, by table and rule."""
        u = tables.unjudged.c
        with self._database.read() as tx:
            newest = func.max(u.id).label("newest")
            counted = select(
                u.table_name, u.rule_id, func.sum(u.rows), func.min(u.first_us), func.max(u.last_us), newest
            ).group_by(u.table_name, u.rule_id)
            found = tx.execute(counted.order_by(u.table_name, u.rule_id)).all()
            ids = [each.newest for each in found]
            reasons = {
                row.id: row.reason
                for some in batches(ids)
                for row in tx.execute(select(u.id, u.reason).where(u.id.in_(some)))
            }
        return [
            NotJudged(
                table=table, rule_id=rule_id, rows=int(rows), first_us=first, last_us=last, reason=reasons[newest]
            )
            for table, rule_id, rows, first, last, newest in found
        ]

    def ids(self, prefix: str, *, limit: int) -> list[str]:
        """Return ids that begin with `prefix`, some hexadecimal digits."""
        with self._database.read() as tx:
            # In every collation digits come before letters.
            like = (_a.id >= prefix, _a.id < f"{prefix}g")
            return list(tx.execute(select(_a.id).where(*like).order_by(_a.id).limit(limit)).scalars())

    def details(self, alert_id: str) -> AlertDetails | None:
        """Return an alert with its timeline and what came of telling it; None: there is none (any more)."""
        with self._database.read() as tx:
            alert = rows.of_ids(tx, [alert_id]).get(alert_id)
            if alert is None:
                return None
            events = select(tables.alert_events).where(_e.alert_id == alert_id).order_by(_e.id)
            deliveries, left = tables.deliveries, tables.outbox
            attempts = _with_channel(deliveries).where(deliveries.c.alert_id == alert_id).order_by(deliveries.c.id)
            waiting = _with_channel(left).where(left.c.alert_id == alert_id).order_by(left.c.id)
            return AlertDetails(
                alert=alert,
                timeline=[_entry_of(row) for row in tx.execute(events).mappings()],
                attempts=[_attempt_of(row) for row in tx.execute(attempts).mappings()],
                waiting=[_waiting_of(row) for row in tx.execute(waiting).mappings()],
            )

    def every(self, *, with_context: bool = True) -> Iterator[list[Alert]]:
        """Yield all alerts, some at a time, as of one instant; without their contexts, if nobody wants those."""
        read = rows.alert_of if with_context else rows.contextless_of
        columns = tables.alerts.c if with_context else rows.CONTEXTLESS
        with self._database.read() as tx:
            found = select(*columns).order_by(_a.id).limit(_WITH_CONTEXT_AT_ONCE if with_context else _AT_ONCE)
            last = ""
            while page := [read(row) for row in tx.execute(found.where(_a.id > last)).mappings()]:
                yield page
                last = page[-1].id

    def every_event(self) -> Iterator[list[tuple[int, TimelineEntry]]]:
        """Yield the entries of all timelines, each with its number, some at a time, as of one instant."""
        with self._database.read() as tx:
            found = select(tables.alert_events).order_by(_e.id).limit(_AT_ONCE)
            last = 0
            while page := [(row["id"], _entry_of(row)) for row in tx.execute(found.where(_e.id > last)).mappings()]:
                yield page
                last = page[-1][0]

    def change(self, ids: Collection[str], act: Act, *, quiet: bool = False) -> list[tuple[Alert, bool]]:
        """Change alerts: all of them, or none if that raises. Return each as it is now, and whether it changed.

        Contexts are not read: those of what is returned are empty.

        Channels that were told of an alert hear of it. If `quiet`, `act` tells nobody, and what still waits to be told
        of an alert that is over then is not told any more. Raises ConfigError if an alert is gone.
        """
        with self._database.write() as tx:
            return self._change(tx, ids, act, quiet=quiet)

    def change_some(self, ids: Collection[str], act: Act, *, quiet: bool = False) -> int:
        """Change those of many alerts that are still there, as `change`; return how many changed."""
        with self._database.write() as tx:
            there = rows.hold(tx, ids)
            return sum(changed for _, changed in self._change(tx, there, act, quiet=quiet))

    def _change(self, tx: Connection, ids: Collection[str], act: Act, *, quiet: bool) -> list[tuple[Alert, bool]]:
        done = alert_changes.change(tx, ids, act, self._now_us())
        if quiet:
            outbox.forget(tx, [alert.id for alert, changed in done if changed and not alert.is_open])
        return done

    def chosen(self, wanted: AlertFilter) -> dict[str, Severity]:
        """Return the ids of the alerts that are as wanted, with their severities, the oldest first."""
        found = select(_a.id, _a.severity).where(*_filter(wanted)).order_by(_a.opened_us, _a.id)
        with self._database.read() as tx:
            return {name: Severity(severity) for name, severity in tx.execute(found)}

    def resend(self, ids: Collection[str], act: Act, channels: Mapping[str, Sequence[str]]) -> list[tuple[Alert, bool]]:
        """Tell of alerts once more, each through its `channels` (ids of them), as `change`."""
        with self._database.write() as tx:
            now_us = self._now_us()
            changed = alert_changes.change(tx, ids, act, now_us)
            for alert, _ in changed:
                to = channels[alert.id]
                again = alert_changes.tellings_of(alert.id, to, Happened.RESENT, "", now_us)
                rows.add_tellings(tx, again, now_us)
            return changed

    def told_channels(self, alert_id: str) -> list[str]:
        """Return the ids of the channels that were told of an alert, or are about to be."""
        with self._database.read() as tx:
            return alert_changes.told_channels(tx, [alert_id]).get(alert_id, [])

    def rules_of_records(self) -> list[str]:
        """Return the ids of the rules of which alerts are open that live with a record."""
        with self._database.read() as tx:
            found = (
                select(_a.rule_id).where(tables.OPEN_ALERT, _a.record_id.is_not(None)).distinct().order_by(_a.rule_id)
            )
            return list(tx.execute(found).scalars())

    def alerted_records(self, log_type: str) -> list[tuple[str, str]]:
        """Return the records of a log type, by source and id, of which alerts are not resolved.

        Those that a person closed, too: one whose record ends, and is open again, opens again.
        """
        found = select(_a.source_id, _a.record_id).where(tables.STANDING_ALERT, _a.log_type == log_type)
        with self._database.read() as tx:
            return [(row.source_id, row.record_id) for row in tx.execute(found.distinct())]

    def end_rules(self, rule_ids: Collection[str], why: str) -> int:
        """Resolve the alerts of rules that live with a record: nothing else would any more. Return how many.

        For rules that were disabled, removed or renamed. Each transaction resolves some: killed, call it again.
        """
        theirs = and_(_a.rule_id.in_(list(rule_ids)), _a.record_id.is_not(None))
        return alert_changes.change_open(self._database, theirs, resolve(why, reason=RULE_OFF), self._now_us)

    def failing_rules(self) -> dict[str, set[str]]:
        """Return the rules whose errors are an open alert, each with the revisions that failed."""
        failed = (_a.type == AlertType.DETECTION_ERROR.value, _a.rule_revision != "")
        found = dict[str, set[str]]()
        with self._database.read() as tx:
            for rule_id, revision in tx.execute(select(_a.rule_id, _a.rule_revision).where(*failed, tables.OPEN_ALERT)):
                found.setdefault(rule_id, set()).add(revision)
        return found

    def end_errors(
        self, rule_id: str, why: str, *, but: str = "", of_runs: bool = False, suspended: bool | None = None
    ) -> int:
        """Resolve the alerts about errors of a rule, other than those of one revision. Return how many.

        `of_runs`: only those about runs of its schedule, which are of no source. `suspended`: only those that say that
        it is suspended, or only the others.
        """
        failed = [_a.type == AlertType.DETECTION_ERROR.value, _a.rule_revision.not_in(["", but])]
        if of_runs:
            failed.append(_a.source_id.is_(None))
        if suspended is not None:
            failed.append((_a.dedup == SUSPENDED) if suspended else (_a.dedup != SUSPENDED))
        over = resolve(why)

        def act(alert: Alert, now_us: int) -> Change | None:
            # It may have failed once more.
            return None if alert.rule_revision == but else over(alert, now_us)

        return alert_changes.change_open(self._database, and_(_a.rule_id == rule_id, *failed), act, self._now_us)

    def suppress(self, suppression: Suppression) -> None:
        """Add a suppression."""
        with self._database.write() as tx:
            tx.execute(insert(tables.suppressions).values(suppressions.columns_of(suppression)))

    def suppressions(self, *, over: bool = False) -> list[Suppression]:
        """Return the suppressions, by when they begin; those that are over only if asked for."""
        with self._database.read() as tx:
            return suppressions.listed(tx, ending_after_us=None if over else self._now_us())

    def end_suppression(self, suppression_id: str) -> bool:
        """End a suppression now; False: it is over already."""
        with self._database.write() as tx:
            # Who is just putting something off until the end that it had is done with that, or sees the new one.
            channels = tables.channels.c.id
            tx.execute(select(channels).order_by(channels).with_for_update(read=True)).all()
            now_us = self._now_us()
            this = (_s.id == suppression_id, _s.until_us > now_us)
            until_us = tx.execute(select(_s.until_us).where(*this)).scalar()
            if until_us is None:
                return False
            # Before the suppression: in the order in which all transactions lock (see `rows`).
            outbox.unmute(tx, until_us, now_us)
            # A purge may have taken it along meanwhile.
            return tx.execute(update(tables.suppressions).where(*this).values(until_us=now_us)).rowcount == 1

    def forget(self, *, ended_before_us: int, now_us: int) -> ExpiredCounts:
        """Delete what is too old, some of it at a time: alerts that ended before an instant, and all counts.

        Of alerts that stay: what was told before that instant, and what happened by itself.
        `now_us` is an instant by which it is known to be old: not a clock that may be wrong.
        """

        def before(kept: timedelta) -> int:
            return now_us - kept // _US

        groups = tables.alert_groups.c
        limits, match_keys = tables.alert_limits.c, tables.match_keys.c
        return ExpiredCounts(
            alerts=self._forget_alerts(ended_before_us),
            # First: what no group names any more is over.
            groups=self._delete(tables.alert_groups, groups.opened_us + groups.lasts_us < before(COUNTS_KEPT)),
            untold=self._forget_untold(max(ended_before_us, before(UNTOLD_KEPT))),
            told=self._delete(tables.deliveries, _told_before(ended_before_us), in_order=True)
            + self._delete(tables.alert_events, _gone_by(ended_before_us), in_order=True),
            limits=self._delete(tables.alert_limits, limits.hour_us < before(COUNTS_KEPT)),
            match_keys=self._delete(tables.match_keys, match_keys.matched_us < before(MATCH_KEYS_KEPT)),
            suppressions=self._delete(tables.suppressions, _s.until_us < before(SUPPRESSIONS_KEPT)),
        )

    def _forget_alerts(self, ended_before_us: int) -> int:
        count = 0
        while True:
            began = time.monotonic()
            with self._database.write() as tx:
                old = and_(
                    _a.status.in_([each.value for each in ENDED]),
                    _a.ended_us < ended_before_us,
                    # It would be told a second time: it stays as long as its source.
                    _a.rule_id != ONBOARDED,
                    # So would what a person closed, and whose record still is so; until that ends, or the source goes.
                    ~and_(_a.status == AlertStatus.CLOSED.value, _a.record_id.is_not(None), _a.visible),
                )
                found = list(tx.execute(select(_a.id).where(old).order_by(_a.ended_us).limit(_AT_ONCE)).scalars())
                # Somebody may have opened one again before it is held.
                there = rows.hold(tx, found)
                rows.forget(tx, tx.execute(select(_a.id).where(_a.id.in_(there), old)).scalars().all())
            count += len(found)
            if len(found) < _AT_ONCE:
                return count
            self._database.let_others(began)

    def _forget_untold(self, updated_before_us: int) -> int:
        """Delete alerts of windows that are over, of which nobody heard: below a threshold, or suppressed."""
        old = and_(
            tables.OPEN_ALERT,
            _a.status == AlertStatus.OPEN.value,
            _a.type == AlertType.ALERT.value,
            # Others end with their record.
            _a.record_id.is_(None),
            ~_heard(),
            _a.updated_us < updated_before_us,
        )
        some = select(_a.id, _a.rule_id, _a.dedup, _a.updated_us).where(old).order_by(_a.updated_us, _a.id)
        page, count = some.limit(_AT_ONCE), 0
        while True:
            began = time.monotonic()
            with self._database.write() as tx:
                found = tx.execute(page).all()
                joined = alert_changes.joined_still(tx, {(each.rule_id, each.dedup) for each in found})
                # A match may have joined one, or a person opened it again, before it is held.
                there = rows.hold(tx, [each.id for each in found if each.id not in joined])
                gone = tx.execute(select(_a.id).where(_a.id.in_(there), old)).scalars().all()
                rows.forget(tx, gone)
            count += len(gone)
            if len(found) < _AT_ONCE:
                return count
            self._database.let_others(began)
            last = found[-1]
            page = some.where(tuple_(_a.updated_us, _a.id) > (last.updated_us, last.id)).limit(_AT_ONCE)

    def _delete(self, table: Table, old: ColumnElement[bool], *, in_order: bool = False) -> int:
        """Delete what is `old`; `in_order` of the key, if no index finds it: then each row is looked at once."""
        keys = list(table.primary_key.columns)
        wanted = select(*keys).where(old).limit(_AT_ONCE)
        page, count = wanted.order_by(*keys) if in_order else wanted, 0
        while True:
            # It may take long to find them: nobody waits for that.
            with self._database.read() as tx:
                found = [tuple(row) for row in tx.execute(page)]
            if not found:
                return count
            began = time.monotonic()
            with self._database.write() as tx:
                # What was old when it was found may be no more. What others take at this moment, such as a purge, is
                # left to the next time: they take rows in an order of their own.
                held = select(*keys).where(among(keys, found), old).with_for_update(skip_locked=True)
                if gone := [tuple(row) for row in tx.execute(held)]:
                    tx.execute(delete(table).where(among(keys, gone)))
            count += len(gone)
            if len(found) < _AT_ONCE or not (gone or in_order):
                return count
            self._database.let_others(began)
            if in_order:
                page = wanted.order_by(*keys).where(tuple_(*keys) > found[-1])


_KEYS: Mapping[AlertOrder, Sequence[ColumnElement[Any]]] = {
    AlertOrder.OPENED: (_a.opened_us, _a.id),
    AlertOrder.SEVERITY: (tables.SEVERITY_RANK, _a.opened_us, _a.id),
    AlertOrder.LAST_MATCH: (tables.LAST_MATCH_US, _a.id),
}
"""By what alerts are put in order, each the greatest first: as `place_of` has it."""


def _heard() -> ColumnElement[bool]:
    """Hold for what is sent to people, or what somebody has taken notice of."""
    return or_(_a.told, _a.acknowledged_us.is_not(None))


def _told_before(before_us: int) -> ColumnElement[bool]:
    """Hold for attempts of before an instant, but the last of an alert through each channel, and the last that arrived.

    By those a channel is told what comes next.
    """
    later = tables.deliveries.alias("later")
    same = and_(later.c.alert_id == _d.alert_id, later.c.channel_id == _d.channel_id, later.c.id > _d.id)
    good = or_(~_d.delivered, exists().where(same, later.c.delivered))
    return and_(_d.at_us < before_us, exists().where(same), good)


def _gone_by(before_us: int) -> ColumnElement[bool]:
    """Hold for what happened to an alert by itself before an instant, but what opened it and what happened last."""
    other = tables.alert_events.alias("other")
    beside = other.c.alert_id == _e.alert_id
    between = (exists().where(beside, other.c.id < _e.id), exists().where(beside, other.c.id > _e.id))
    return and_(_e.at_us < before_us, _e.who == OCELOG, _e.what.not_in(BY_PEOPLE), *between)


def _filter(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    found = list[ColumnElement[bool]]()
    if wanted.statuses and wanted.statuses <= OPEN:
        found.append(tables.OPEN_ALERT)
    for column, values in (
        (_a.status, wanted.statuses if wanted.statuses != OPEN else ()),
        (_a.severity, wanted.severities),
        (_a.type, wanted.types),
        (_a.source_id, wanted.source_ids),
    ):
        if values:
            found.append(column.in_(sorted(str(each) for each in values)))
    for column, value in ((_a.log_type, wanted.log_type), (_a.record_id, wanted.record_id)):
        if value is not None:
            found.append(column == value)
    if wanted.rule is not None:
        found.append(_like(_a.rule_id, wanted.rule))
    if wanted.assignee is not None:
        found.append(_a.assignee == wanted.assignee if wanted.assignee else _a.assignee.is_(None))
    if wanted.since_us is not None:
        found.append(_a.opened_us >= wanted.since_us)
    if wanted.text is not None:
        texts = (_a.title, _a.description, _a.dedup, _a.rule_id, _a.rule_name)
        holds = [column.icontains(wanted.text, autoescape=True) for column in texts]
        if wanted.shown:
            holds.append(tuple_(_a.rule_id, _a.title).in_(sorted(wanted.shown)))
        found.append(or_(*holds))
    if not wanted.untold:
        found.append(_heard())
    return found


def _like(column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    escaped = re.sub(r"([\\\\%_])", r"\\\1", pattern).replace("*", "%")
    return column.ilike(escaped, escape="\\")


def _with_channel(table: Table) -> Select[Any]:
    """Select rows with the name of their channel, or its id if that was removed."""
    channels = tables.channels.c
    name = func.coalesce(channels.name, table.c.channel_id).label("channel")
    return select(table, name).outerjoin(tables.channels, channels.id == table.c.channel_id)


def _entry_of(row: RowMapping) -> TimelineEntry:
    return TimelineEntry(
        alert_id=row["alert_id"], at_us=row["at_us"], who=row["who"], what=row["what"], detail=row["detail"]
    )


def _attempt_of(row: RowMapping) -> Attempt:
    return Attempt(
        at_us=row["at_us"],
        channel=row["channel"],
        happened=row["happened"],
        delivered=row["delivered"],
        final=row["final"],
        answer=row["answer"],
        failed=row["code"] is not None,
    )


def _waiting_of(row: RowMapping) -> WaitingDelivery:
    return WaitingDelivery(
        channel=row["channel"],
        happened=row["happened"],
        due_us=row["due_us"],
        tries=row["tries"],
    )
