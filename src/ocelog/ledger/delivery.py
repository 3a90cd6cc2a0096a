"""What is delivered next, by whom, and what came of it: the ledger as delivering uses it."""

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from itertools import islice
from random import random

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, delete, exists, func, or_, select, update

from ocelog.alert.alert import OCELOG, Alert, Telling, TimelineEntry
from ocelog.alert.delivery import delivering
from ocelog.alert.delivery.delivering import (
    MOST_IN_DIGEST,
    DeliveryDelay,
    DeliverySuccess,
    Entry,
    Outcome,
    OutgoingMessage,
    Wait,
    allowance,
    came_back,
    gives_up,
    is_owed,
    says_nothing_new,
    tells_ends_only,
    was_muted,
)
from ocelog.alert.delivery.routing import RESTS_FROM, ChannelRow, channels_for, is_unrouted
from ocelog.alert.delivery.suppressing import Suppression, suppressed
from ocelog.alert.ids import DELIVERY_ERROR, failure_id
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.errors import LedgerUnavailableError, LostFenceError
from ocelog.kept_texts import kept_text
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alerts, channels, delivery_errors, outbox, raising, suppressions
from ocelog.model import Claim, Severity
from ocelog.times import from_us, has_passed, to_us

LEASE = timedelta(minutes=5)
"""Longer than any attempt takes, which whoever delivers checks: two processes must not send one message at once."""
_COMMITTED_WITHIN = timedelta(minutes=10)
"""How long after it was decided what happens to an alert is committed, at most."""
_AT_ONCE = 500
_READ_AT_ONCE = 50
"""Alerts that are read whole at once: their contexts may be long."""
_US = timedelta(microseconds=1)
_a = tables.alerts.c
_c = tables.channels.c
_d = tables.deliveries.c
_o = tables.outbox.c
_s = tables.sources.c


class ChannelBacklog(Struct, frozen=True, kw_only=True):
    """What waits for a channel."""

    channel: ChannelRow
    due_us: int
    """When the first of it is due, as far as it is not held up by quiet hours or a rate limit."""
    newest: int
    """Number of the newest entry: another one, and there is more to tell."""


class DeliveryAttempt(Struct, frozen=True, kw_only=True):
    """One attempt to tell of an alert through a channel."""

    number: int
    alert_id: str
    message: int
    channel: str
    """Name of the channel; its id, if it was removed."""
    happened: str
    at_us: int
    delivered: bool
    final: bool
    answer: str
    code: str | None
    merged: int


class DeliveryLedger:
    """The outbox, handed to whoever delivers it, and what came of that.

    One holder at a time delivers to a channel. What is handed out stays in the outbox until its outcome is noted: the
    next holder is handed the same again, under the same number.
    """

    def __init__(self, database: Database, now_us: Callable[[], int], *, jitter: Callable[[], float] = random) -> None:
        self._database = database
        self._now_us = now_us
        self._jitter = jitter

    def waiting(self) -> list[ChannelBacklog]:
        """Return what waits, by channel, but for channels that are paused. Only reads."""
        now_us = self._now_us()
        with self._database.read() as tx:
            found = {row["channel_id"]: row for row in outbox.waiting(tx, now_us)}
            if not found:
                return []
            rows = tx.execute(select(tables.channels).where(_c.id.in_(found), ~_c.paused)).mappings()
            return [
                ChannelBacklog(
                    channel=channels.channel_of(row),
                    due_us=max(found[row["id"]]["due_us"], _rests_until(row, now_us) or 0),
                    newest=found[row["id"]]["newest"],
                )
                for row in rows
            ]

    def take(self, channel_id: str, holder: str, *, lease: timedelta = LEASE) -> Claim | None:
        """Hand a channel to `holder`; None: another delivers there, or it is gone. Each step extends the lease."""
        with self._database.write() as tx:
            return channels.take(tx, channel_id, holder, self._now_us(), lease)

    def release(self, claim: Claim) -> None:
        """Let go of a channel, unless another holder has it by now."""
        with self._database.write() as tx:
            channels.release(tx, claim)

    def release_home(self, home_id: str) -> None:
        """Let go of what processes of a home hold: for whoever has its lock, so that they must be gone."""
        with self._database.write() as tx:
            channels.release_home(tx, home_id)

    def hand(self, claim: Claim, *, one_by_one: bool = False) -> OutgoingMessage | Wait:
        """Return what is to be sent to a channel now, or how long nothing is. Raises LostFenceError.

        If it takes less than comes, the rest goes together, unless it is to hear of each alert `one_by_one`.
        What was handed out before, and of which no outcome was noted, comes first, and as it was. There may be very
        much that is not told after all, as when a storm is muted: each transaction drops some of it. Whoever is killed
        between two of them leaves the rest to the next.
        """
        while True:
            began, now_us = time.monotonic(), self._now_us()
            with self._database.write() as tx:
                row = channels.hold(tx, claim, now_us)
                channel = channels.channel_of(row)
                rests_us = _rests_until(row, now_us)
                if channel.paused or rests_us is not None:
                    return Wait(until_us=None if channel.paused else rests_us)
                under_way = outbox.handed(tx, channel.id)
                found = (
                    _again(tx, channel, *under_way, now_us)
                    if under_way is not None
                    else _next(tx, channel, now_us, one_by_one=one_by_one)
                )
            if found is not None:
                return found
            self._database.let_others(began)

    def settle(self, claim: Claim, handed: OutgoingMessage, outcome: Outcome) -> None:
        """Note what came of an attempt. Raises LostFenceError: then nothing was noted, and it is sent once more.

        If it is given up, what has waited as long goes with it, some in each transaction: whoever is killed between two
        of them leaves the rest to the next try that fails.
        """
        began, now_us, is_given_up = time.monotonic(), self._now_us(), False
        with self._database.write() as tx:
            row = channels.hold(tx, claim, now_us)
            # It may be over, or begin: alerts are taken before what belongs to them.
            alerts.hold(tx, [failure_id(handed.channel.id)])
            if isinstance(outcome, DeliverySuccess):
                self._delivered(tx, row, handed, outcome, now_us)
            elif isinstance(outcome, DeliveryDelay):
                is_given_up = self._postponed(tx, row, handed, outcome, now_us)
            else:
                entries = [each for own in handed.entries.values() for each in own]
                outbox.drop(tx, entries)
                _note(tx, handed, handed.entries, delivering.told(handed), outcome, handed.entries, now_us)
                _failing(tx, row, outcome.answer, outcome.code, now_us, rests=None)
                _given_up(tx, handed.channel, handed.alerts, outcome.answer, len(entries), now_us)
        if is_given_up and isinstance(outcome, DeliveryDelay):
            # The attempt is noted, whatever comes of these.
            with suppress(LostFenceError, LedgerUnavailableError):
                self._abandon(claim, handed, outcome, began)

    def _delivered(
        self, tx: Connection, row: RowMapping, handed: OutgoingMessage, outcome: DeliverySuccess, now_us: int
    ) -> None:
        outbox.drop(tx, [each for own in handed.entries.values() for each in own])
        outbox.note(
            tx,
            handed.number,
            handed.channel.id,
            handed.entries,
            told=delivering.told(handed),
            delivered=True,
            final=handed.entries,
            answer=outcome.answer,
            code=None,
            now_us=now_us,
        )
        if row["failures"]:
            _well(tx, handed.channel.id)
            if row["failures"] >= RESTS_FROM:
                # It was the channel that failed, so what waits need not wait for its own next try.
                outbox.wake(tx, handed.channel.id, now_us)
        others = [each for each in channels.listed(tx) if each.id != handed.channel.id]
        delivery_errors.end(tx, handed.channel.id, others, now_us)

    def _postponed(
        self, tx: Connection, row: RowMapping, handed: OutgoingMessage, outcome: DeliveryDelay, now_us: int
    ) -> bool:
        """Note a try that failed; return whether any of its entries is given up."""
        failures = row["failures"] + 1
        rest_us = delivering.rest(failures, outcome.retry_after) // _US
        failing_us = _failing(tx, row, outcome.answer, outcome.code, now_us, rests=rest_us)
        jitter = self._jitter()
        going_on, ended, final = list[Entry](), dict[str, list[Entry]](), list[str]()
        for name, own in handed.entries.items():
            tried = [replace(each, tries=each.tries + 1) for each in own]
            over = [each for each in tried if gives_up(each, failures, failing_us, now_us)]
            going_on += [each for each in tried if each not in over]
            if over:
                ended[name] = over
            if len(over) == len(tried):
                final.append(name)
        waits = {each.tries: delivering.try_again(each.tries, outcome.retry_after, jitter) for each in going_on}
        outbox.postpone(tx, going_on, {tries: now_us + wait // _US for tries, wait in waits.items()}, now_us)
        entries = [each for own in ended.values() for each in own]
        outbox.drop(tx, entries)
        _note(tx, handed, handed.entries, delivering.told(handed), outcome, final, now_us)
        if ended:
            gone = {name: handed.alerts[name] for name in ended}
            _given_up(tx, handed.channel, gone, outcome.answer, len(entries), now_us)
        return bool(ended)

    def _abandon(self, claim: Claim, handed: OutgoingMessage, outcome: DeliveryDelay, began: float) -> None:
        """Give up what has waited for a channel for as long as what was given up, untried. Raises LostFenceError."""
        left = True
        while left:
            self._database.let_others(began)
            began, now_us = time.monotonic(), self._now_us()
            with self._database.write() as tx:
                row = channels.hold(tx, claim, now_us)
                alerts.hold(tx, [failure_id(handed.channel.id)])
                if row["failing_us"] is None:
                    # Somebody has changed it meanwhile: it is tried anew.
                    return
                old = outbox.old(tx, handed.channel.id, now_us - delivering.GIVES_UP_AFTER // _US, most=_AT_ONCE)
                waited = {
                    name: over
                    for name, own in old.items()
                    if (over := [each for each in own if gives_up(each, row["failures"], row["failing_us"], now_us)])
                }
                if left := bool(waited):
                    entries = [each for own in waited.values() for each in own]
                    # First: a purge that takes them along waits for this, or is done.
                    outbox.drop(tx, entries)
                    newest = {name: own[-1].happened for name, own in waited.items()}
                    _note(tx, handed, waited, newest, outcome, waited, now_us)
                    gone = alerts.heads_of(tx, waited)
                    _given_up(tx, handed.channel, gone, outcome.answer, len(entries), now_us)

    def works(self, channel_id: str) -> None:
        """Note that a channel took a message that was no alert's: it fails no more, and what waits is tried at once."""
        now_us = self._now_us()
        with self._database.write() as tx:
            held = select(tables.channels).where(_c.id == channel_id).with_for_update()
            if tx.execute(held).first() is None:
                return
            # It may be over: alerts are taken before what belongs to them.
            alerts.hold(tx, [failure_id(channel_id)])
            _well(tx, channel_id)
            outbox.wake(tx, channel_id, now_us)
            delivery_errors.end(tx, channel_id, [each for each in channels.listed(tx) if each.id != channel_id], now_us)

    def adopt(self) -> int:
        """Hand what waits for channels that are gone to those that take it, and return how many entries that was.

        What is about alerts that are gone is forgotten; what no channel takes is told of as such.
        """
        now_us = self._now_us()
        channel_there = exists().where(_c.id == _o.channel_id)
        alert_there = exists().where(_a.id == _o.alert_id)
        with self._database.read() as tx:
            if tx.execute(select(_o.id).where(or_(~channel_there, ~alert_there)).limit(1)).first() is None:
                return 0
        count, left = 0, True
        while left:
            began = time.monotonic()
            with self._database.write() as tx:
                # Alerts are taken before what belongs to them.
                alerts.hold(tx, [failure_id("")])
                tx.execute(delete(tables.outbox).where(~alert_there))
                gone = tx.execute(select(func.min(_o.channel_id)).where(~channel_there)).scalar()
                moved, _ = (0, False) if gone is None else outbox.reroute(tx, gone, channels.listed(tx), now_us)
            count, left = count + moved, gone is not None
            if left:
                self._database.let_others(began)
        return count

    def escalate(self) -> int:
        """Tell channels of what nobody has acknowledged for as long as they say; return of how many alerts.

        What is muted waits: it is told then, unless somebody acknowledged it meanwhile.
        """
        now_us = self._now_us()
        with self._database.read() as tx:
            wanted = [each for each in channels.listed(tx) if each.routing.escalate_after is not None]
            found = [(each, name) for each in wanted for name in _unacknowledged(tx, each, now_us)]
        done = 0
        for channel, name in found:
            with self._database.write() as tx:
                # It may have been acknowledged, told or muted since.
                alert = alerts.of_ids(tx, [name], hold=True).get(name)
                if alert is None or name not in _unacknowledged(tx, channel, now_us, only=name):
                    continue
                after = channel.routing.escalate_after or timedelta(0)
                note = kept_text("nobody acknowledged it within %(count)s minutes", count=after // timedelta(minutes=1))
                telling = Telling(
                    alert_id=name, channel_id=channel.id, happened=Happened.ESCALATED, note=note, due_us=now_us
                )
                alerts.add_tellings(tx, [telling], now_us)
                told = f"to {channel.name}: {note}"
                alerts.add_to_timeline(
                    tx, [TimelineEntry(alert_id=name, at_us=now_us, who=OCELOG, what="escalated", detail=told)]
                )
                done += 1
        return done

    def wake_unmuted(self, since_us: int) -> int:
        """Make due what waits for the end of a mute that covers its alert no more; return of how many alerts.

        An alert is covered until it changes: only those are looked at that did so at `since_us` or later.
        """
        now_us = self._now_us()
        since_us -= _COMMITTED_WITHIN // _US
        with self._database.read() as tx:
            ends = {each.until_us for each in suppressions.listed(tx, ending_after_us=now_us) if each.is_active(now_us)}
            found = alerts.heads_of(tx, outbox.kept(tx, ends, since_us)) if ends else {}
            names = found.keys() - _mutes(tx, found, now_us).keys()
        if names:
            with self._database.write() as tx:
                for until_us in sorted(ends):
                    outbox.unmute(tx, until_us, now_us, sorted(names))
        return len(names)

    def watch_routes(self, since_us: int) -> int:
        """Raise a system error for alerts that no channel takes, if they changed at `since_us` or later.

        Returns from when on to look the next time.
        """
        now_us = self._now_us()
        with self._database.read() as tx:
            there = channels.listed(tx)
            # Some are committed late: they changed before others that were seen already.
            found = _unrouted(tx, there, since_us - _COMMITTED_WITHIN // _US)
            nowhere = sorted(found, key=lambda each: (each.opened_us, each.id))
            newest = tx.execute(select(func.max(_a.updated_us))).scalar() or 0
            error = alerts.of_ids(tx, [failure_id("")]).get(failure_id(""))
            is_over = error is not None and error.is_open and not nowhere and not _is_any_unrouted(tx, there)
        if is_over:
            with self._database.write() as tx:
                delivery_errors.end(tx, "", there, now_us)
        if nowhere:
            with self._database.write() as tx:
                name = failure_id("")
                before = alerts.of_ids(tx, [name], hold=True).get(name)
                # An alert changes more often than it is opened: those that are known are not counted again.
                new = [each for each in nowhere if before is None or each.opened_us > before.updated_us]
                delivery_errors.unrouted(tx, new, there, now_us)
        return min(newest, now_us)

    def every(self) -> Iterator[list[DeliveryAttempt]]:
        """Yield all attempts, some at a time, as of one instant."""
        with self._database.read() as tx:
            names = {each.id: each.name for each in channels.listed(tx)}
            found = select(tables.deliveries).order_by(_d.id).limit(_AT_ONCE)
            last = 0
            while rows := tx.execute(found.where(_d.id > last)).mappings().all():
                yield [
                    DeliveryAttempt(
                        number=row["id"],
                        alert_id=row["alert_id"],
                        message=row["outbox_id"],
                        channel=names.get(row["channel_id"], row["channel_id"]),
                        happened=row["happened"],
                        at_us=row["at_us"],
                        delivered=row["delivered"],
                        final=row["final"],
                        answer=row["answer"],
                        code=row["code"],
                        merged=row["merged"],
                    )
                    for row in rows
                ]
                last = rows[-1]["id"]

    def resend(self, channel_id: str) -> int:
        """Put into the outbox again what was given up for a channel, and has not reached it since; return how many."""
        now_us = self._now_us()
        with self._database.write() as tx:
            again = outbox.given_up(tx, channel_id).get(channel_id, ())
            alerts.add_tellings(
                tx,
                [
                    Telling(alert_id=each, channel_id=channel_id, happened=Happened.RESENT, due_us=now_us)
                    for each in again
                ],
                now_us,
            )
            return len(again)


def _rests_until(row: RowMapping, now_us: int) -> int | None:
    """Return until when a channel rests; a clock that is before it began to was set back, and ends that."""
    until_us, since_us = row["rests_until_us"], row["rests_since_us"]
    if until_us is None or not since_us <= now_us < until_us:
        return None
    return int(until_us)


def _next(tx: Connection, channel: ChannelRow, now_us: int, *, one_by_one: bool) -> OutgoingMessage | Wait | None:
    """Choose what is sent next; None: what was first is not told after all, and there may be more."""
    routing, severity, quiet_until_us = channel.routing, None, None
    if routing.quiet_hours is not None and routing.quiet_hours.cover(from_us(now_us)):
        quiet_until_us = to_us(routing.quiet_hours.end_after(from_us(now_us)))
        if not routing.critical_pierces:
            return Wait(until_us=quiet_until_us)
        severity = Severity.CRITICAL
    sent = [] if routing.per_hour is None else outbox.sent_within_hour(tx, channel.id, now_us)
    allowed = allowance(sent, routing.per_hour, now_us)
    if allowed.from_us > now_us:
        return Wait(until_us=allowed.from_us)
    together = not allowed.single or (not one_by_one and outbox.is_behind(tx, channel, now_us))
    most = MOST_IN_DIGEST if together else 1
    names = outbox.heads(tx, channel.id, now_us, most=most, severity=severity)
    if not names:
        return Wait(until_us=quiet_until_us)
    entries = _to_tell(tx, channel, names, now_us)
    if not entries:
        # As where a storm was muted: what is behind the first is likely not told either.
        names = outbox.heads(tx, channel.id, now_us, most=_AT_ONCE, severity=severity)
        entries = dict(islice(_to_tell(tx, channel, names, now_us).items(), most))
    if not entries:
        return None
    number = max(each.id for own in entries.values() for each in own)
    outbox.hand(tx, [each for own in entries.values() for each in own], number)
    return _handed(tx, channel, number, entries)


def _to_tell(tx: Connection, channel: ChannelRow, names: Sequence[str], now_us: int) -> dict[str, list[Entry]]:
    """Return what of alerts is to be told now, by alert; drop what is never to be told, and put off what is later."""
    entries = outbox.of_alerts(tx, channel.id, names)
    found = alerts.heads_of(tx, entries)
    last = outbox.last_delivered(tx, channel.id, entries)
    mutes = _mutes(tx, found, now_us)
    # Of what is muted: nobody must be left with an end that is none.
    heard = last | outbox.may_have_ended(tx, channel.id, mutes)
    unheard, muted, owed = dict[str, str](), dict[str, list[Entry]](), dict[int, list[str]]()
    for name, own in entries.items():
        if name not in found:
            unheard[name] = ""
        elif _is_for_nobody(tx, channel, found[name], own):
            unheard[name] = kept_text("it was over before it had to escalate")
        else:
            mute = mutes.get(name)
            if mute is not None and is_owed(found[name], own, heard.get(name)):
                # A clock that was set back holds up nothing.
                if all(each.created_us <= now_us for each in own):
                    owed.setdefault(mute.until_us, []).append(name)
            elif mute is not None and (
                was_muted(found[name], own, heard.get(name), mute.since_us) or came_back(found[name], own)
            ):
                muted[name] = own
            elif says_nothing_new(found[name], own, last.get(name), muted=mute is not None):
                if found[name].is_open:
                    muted[name] = own
                else:
                    unheard[name] = kept_text("it came and went within its quiet time")
    busy = outbox.let_be_untold(tx, muted, now_us)
    # A purge would leave behind what is added to the timeline of an alert that is not held.
    busy |= outbox.busy_of(tx, {name: entries[name] for name, why in unheard.items() if why}, now_us)
    unheard |= {name: kept_text("it is muted") for name in muted}
    unheard = {name: why for name, why in unheard.items() if name not in busy}
    not_told = [
        TimelineEntry(alert_id=name, at_us=now_us, who=OCELOG, what="untold", detail=f"{channel.name}: {why}")
        for name, why in unheard.items()
        if why
    ]
    alerts.add_to_timeline(tx, not_told)
    outbox.drop(tx, [each for name in unheard for each in entries[name]])
    for until_us, later in owed.items():
        outbox.put_off(tx, [each for name in later for each in entries[name]], until_us)
    done = unheard.keys() | busy | {name for later in owed.values() for name in later}
    return {name: own for name, own in entries.items() if name not in done}


def _is_for_nobody(tx: Connection, channel: ChannelRow, alert: Alert, entries: Sequence[Entry]) -> bool:
    """Whether it is over before a channel that hears only of what nobody acknowledges has heard of it."""
    escalates = channel.routing.escalate_after is not None
    happened = {each.happened for each in entries}
    over = tells_ends_only(entries)
    if alert.destinations is None and Happened.RESENT not in happened:
        # What is over from the start, a summary, has nothing to be acknowledged.
        over |= not alert.is_open and happened == {Happened.OPENED}
        # It waited, as for the end of quiet hours, until somebody had acknowledged it.
        over |= alert.acknowledged_us is not None and tells_ends_only([max(entries, key=lambda each: each.id)])
    return escalates and over and not outbox.heard(tx, channel.id, alert.id)


def _again(
    tx: Connection, channel: ChannelRow, number: int, entries: Mapping[str, Sequence[Entry]], now_us: int
) -> OutgoingMessage | None:
    """Hand out a message again, and note that it may have been sent, by somebody who was killed before noting that."""
    # First: a purge that takes its entries along waits for this, or is done.
    outbox.hand(tx, [each for own in entries.values() for each in own], number)
    outbox.note(
        tx,
        number,
        channel.id,
        entries,
        told={name: own[-1].happened for name, own in entries.items()},
        delivered=False,
        final=(),
        answer=kept_text("it is not known whether it was sent: it is sent again"),
        code=None,
        now_us=now_us,
    )
    return _handed(tx, channel, number, entries)


def _handed(
    tx: Connection, channel: ChannelRow, number: int, entries: Mapping[str, Sequence[Entry]]
) -> OutgoingMessage | None:
    # A digest says nothing of what is long in its alerts.
    found = alerts.of_ids(tx, entries) if len(entries) == 1 else alerts.heads_of(tx, entries)
    # Alerts may be deleted, as by a purge, once their entries were read.
    outbox.drop(tx, [each for name, own in entries.items() if name not in found for each in own])
    there = {name: own for name, own in entries.items() if name in found}
    return OutgoingMessage(number=number, channel=channel, entries=there, alerts=found) if there else None


def _note(
    tx: Connection,
    handed: OutgoingMessage,
    entries: Mapping[str, Sequence[Entry]],
    told: Mapping[str, Happened],
    outcome: Outcome,
    final: Collection[str],
    now_us: int,
) -> None:
    code = None if isinstance(outcome, DeliverySuccess) else outcome.code
    outbox.note(
        tx,
        handed.number,
        handed.channel.id,
        entries,
        told=told,
        delivered=False,
        final=final,
        answer=outcome.answer,
        code=code,
        now_us=now_us,
    )


def _failing(tx: Connection, row: RowMapping, answer: str, code: str, now_us: int, *, rests: int | None) -> int:
    """Note that a try at a channel failed, and return since when all do."""
    since_us = row["failing_us"]
    if since_us is None or since_us > now_us:
        since_us = now_us
    values = {
        "failures": row["failures"] + 1,
        "failing_us": since_us,
        "rests_since_us": now_us if rests else None,
        "rests_until_us": now_us + rests if rests else None,
        "trouble": bounded(answer),
        "trouble_code": code,
    }
    tx.execute(update(tables.channels).where(_c.id == row["id"]).values(values))
    return int(since_us)


def _well(tx: Connection, channel_id: str) -> None:
    blank = dict.fromkeys(("failing_us", "rests_since_us", "rests_until_us", "trouble", "trouble_code"))
    tx.execute(update(tables.channels).where(_c.id == channel_id).values(failures=0, **blank))


def _given_up(
    tx: Connection, channel: ChannelRow, gone: Mapping[str, Alert], answer: str, messages: int, now_us: int
) -> None:
    """Raise a system error through the other channels; none for messages that were about such an error."""
    if all(each.rule_id == DELIVERY_ERROR for each in gone.values()):
        return
    name = failure_id(channel.id)
    before = alerts.of_ids(tx, [name], hold=True).get(name)
    raised = delivering.failed(before, channel, answer, messages, now_us, delivery_errors.muted(tx, now_us))
    raising.save(tx, raised, [each for each in channels.listed(tx) if each.id != channel.id], now_us)


def _unacknowledged(tx: Connection, channel: ChannelRow, now_us: int, *, only: str | None = None) -> list[str]:
    """Return the alerts that a channel is to hear of because nobody has acknowledged them."""
    after, route = channel.routing.escalate_after, channel.routing.route
    if after is None:
        return []
    # Whether it is long enough ago is looked at below, where a clock that was set back is seen.
    wanted = select(*alerts.HEAD).where(
        tables.OPEN_ALERT,
        _a.status == AlertStatus.OPEN.value,
        _a.told,
        _a.visible,
        _a.acknowledged_us.is_(None),
        # It is about to be resolved.
        ~exists().where(_s.id == _a.source_id, _s.ending),
        or_(_a.opened_us <= now_us - after // _US, _a.opened_us > now_us),
        ~exists().where(_o.alert_id == _a.id, _o.channel_id == channel.id),
        # What is told later is not unacknowledged yet.
        ~exists().where(_o.alert_id == _a.id, _o.waits_since_us.is_(None), _o.created_us <= now_us, _o.due_us > now_us),
        # While a clock that was set back lies before the opening, whatever was sent counts.
        ~exists().where(
            _d.alert_id == _a.id,
            _d.channel_id == channel.id,
            or_(_d.at_us >= _a.opened_us, _a.opened_us > now_us),
        ),
    )
    if route.severities:
        # As `takes` has it; this only leaves out most of the others.
        wanted = wanted.where(or_(_a.severity.in_(route.severities), _a.told_severity.in_(route.severities)))
    if only is not None:
        wanted = wanted.where(_a.id == only)
    there = channels.listed(tx)
    found = [
        each
        for each in alerts.heads(tx, wanted.order_by(_a.opened_us, _a.id))
        if route.takes(each)
        # A rule that names its channels is told to those alone.
        and not (each.destinations is not None and channel.id not in channels_for(_ended(each), there))
    ]
    first_told = (
        select(_d.alert_id, func.min(_d.at_us))
        .join(tables.alerts, _a.id == _d.alert_id)
        .where(_d.delivered, _d.at_us >= _a.opened_us)
        .group_by(_d.alert_id)
    )
    told = dict[str, int]()
    for some in batches([each.id for each in found]):
        told |= dict(tx.execute(first_told.where(_d.alert_id.in_(some))).all())
    now = from_us(now_us)
    late = {
        each.id: each
        for each in found
        if has_passed(after, since=from_us(told.get(each.id, each.told_us or each.opened_us)), now=now)
    }
    mutes = _mutes(tx, late, now_us)
    return [name for name in late if name not in mutes]


def _mutes(tx: Connection, heads: Mapping[str, Alert], now_us: int) -> dict[str, Suppression]:
    """Return because of what nobody is to be told of alerts, by alert: of those that are muted.

    `heads` lack their contexts, which are read only if anything is muted by them, and some at a time.
    """
    there = suppressions.listed(tx, ending_after_us=now_us)
    if not there:
        return {}
    by_context = any(each.looks_at_context for each in there)
    found, names = dict[str, Suppression](), sorted(heads)
    for at in range(0, len(names), _READ_AT_ONCE):
        some = names[at : at + _READ_AT_ONCE]
        read = alerts.of_ids(tx, some) if by_context else {name: heads[name] for name in some}
        mutes = {name: suppressed(alert, there, now_us) for name, alert in read.items()}
        found |= {name: mute for name, mute in mutes.items() if mute is not None}
    return found


def _ended(alert: Alert) -> Alert:
    return replace(alert, status=AlertStatus.RESOLVED)


def _is_any_unrouted(tx: Connection, there: Sequence[ChannelRow]) -> bool:
    """Whether an alert is open that people should hear of, and that no channel takes."""
    with closing(_unrouted(tx, there, 0, only_open=True)) as found:
        return next(found, None) is not None


def _unrouted(
    tx: Connection, there: Sequence[ChannelRow], since_us: int, *, only_open: bool = False
) -> Generator[Alert]:
    """Yield alerts, without what is long in them, that people should hear of and that no channel takes.

    They changed at `since_us` or later, and were put into the outbox for no channel.
    """
    if not there:
        # Without a channel nobody expects to be told.
        return
    found = select(*alerts.HEAD).where(
        _a.updated_us >= since_us,
        _a.told,
        _a.rule_id != DELIVERY_ERROR,
        ~exists().where(_o.alert_id == _a.id),
        ~exists().where(_d.alert_id == _a.id),
    )
    if only_open:
        found = found.where(tables.OPEN_ALERT)
    with closing(alerts.heads(tx, found)) as heads:
        yield from (each for each in heads if is_unrouted(each, there))
