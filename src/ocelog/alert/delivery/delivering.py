"""What is sent to a channel next, as which message, and what follows from how that went: no I/O of its own.

Entries of one alert go in their order, as one message that shows the alert as it is now: whatever waited meanwhile is
in it. What cannot be delivered is tried again, ever more rarely, and then given up, which is an alert of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from math import ceil
from typing import TypeAlias

from msgspec import Struct

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.routing import RANKS, RESTS_FROM, ChannelRow
from ocelog.alert.ids import DELIVERY_ERROR, failure_id
from ocelog.alert.notice import AlertStatus, AlertType, Happened, Notice
from ocelog.alert.raising import Muted, RaisedAlert, over, raised
from ocelog.kept_texts import kept_text
from ocelog.model import Severity

MOST_TRIES = 10
GIVES_UP_AFTER = timedelta(hours=24)
MOST_IN_DIGEST = 500
"""Alerts that one digest stands for."""
_NAMED_IN_DIGEST = 50
"""Those of them that a channel is given."""
BEHIND_AFTER = timedelta(minutes=10)
"""How long what is due may wait for its turn."""
MOST_BEHIND = 20
"""Alerts that may have waited for longer and go one by one all the same: even a slow far end takes those in as long."""
_TRY_AGAIN = tuple(timedelta(minutes=minutes) for minutes in (0.5, 1, 4, 15, 60, 2 * 60, 4 * 60, 8 * 60, 8 * 60))
"""How long after each try the next one comes: 10 within a day."""
LONGEST_ASKED = timedelta(hours=1)
"""A far end may ask to wait for so long; an alert does not wait longer because of it."""
_RESTS_FIRST = timedelta(seconds=30)
_RESTS_LONGEST = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_US = timedelta(microseconds=1)
_LONGEST_NOTE = 1_000
_COMES_AND_GOES = frozenset({Happened.REOPENED, Happened.RESOLVED, Happened.NOT_VISIBLE})
_TELLS_ENDS_ONLY = frozenset({Happened.ACKNOWLEDGED, Happened.RESOLVED, Happened.CLOSED, Happened.NOT_VISIBLE})


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that happened to an alert, and that a channel is to hear of."""

    id: int
    alert_id: str
    happened: Happened
    note: str = ""
    created_us: int
    since_us: int
    """Since when it waits for its channel: what was put off waits for that first."""
    tries: int = 0
    put_off: bool = False
    """It was to be told later when it was written: its alert comes and goes."""


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """What goes to a channel as one message: entries of one alert, or of several as a digest."""

    number: int
    """Of the newest of its entries."""
    channel: ChannelRow
    entries: Mapping[str, Sequence[Entry]]
    """By alert, each in its order."""
    alerts: Mapping[str, Alert]
    """As they are now; those of a digest without what is long in them."""

    def key(self, ledger_id: str) -> str:
        """Return what names the message at its receiver, who may drop one that it knows.

        It is the same whenever the same entries go together. Of one alert all that waits goes, so the newest says which
        those are. Which alerts a digest is about differs from try to try: its key says all.
        """
        if len(self.entries) == 1:
            return f"{ledger_id}-{self.number}"
        numbers = [each.id for own in self.entries.values() for each in own]
        told = blake2b(" ".join(map(str, sorted(numbers))).encode(), digest_size=8)
        return f"{ledger_id}-{self.number}-{told.hexdigest()}"


class Wait(Struct, frozen=True, kw_only=True):
    """Nothing is to be sent before."""

    until_us: int | None
    """None: not before something changes."""


class DeliverySuccess(Struct, frozen=True, kw_only=True):
    """The far end took it."""

    answer: str = ""


class DeliveryDelay(Struct, frozen=True, kw_only=True):
    """It did not work this time."""

    answer: str
    code: str
    retry_after: timedelta | None = None
    """How long the far end asked to wait."""


class DeliveryRefusal(Struct, frozen=True, kw_only=True):
    """The far end will not take it, however often it is sent."""

    answer: str
    code: str


Outcome: TypeAlias = DeliverySuccess | DeliveryDelay | DeliveryRefusal


class Allowance(Struct, frozen=True, kw_only=True):
    """What a channel's rate limit leaves."""

    from_us: int
    """When the next message may go."""
    single: bool
    """Whether it may be about one alert, though others wait: there is room for more."""


def allowance(sent_us: Sequence[int], per_hour: int | None, now_us: int) -> Allowance:
    """Return when the next message may go, if `sent_us` went before, in this order.

    Half of the messages of an hour may go at once. The others are shared out over it, each for all that waits: so there
    are never more than `per_hour` within an hour, and nothing waits for long. Instants ahead of the clock do not count.
    """
    if per_hour is None:
        return Allowance(from_us=now_us, single=True)
    hour_us = _HOUR // _US
    recent = [us for us in sent_us if now_us - hour_us < us <= now_us]
    at_once = ceil(per_hour / 2)
    if len(recent) < at_once:
        return Allowance(from_us=now_us, single=at_once - len(recent) > 1)
    shared = per_hour - at_once
    from_us = recent[-1] + (hour_us // shared if shared else hour_us)
    if len(recent) >= per_hour:
        from_us = max(from_us, recent[-per_hour] + hour_us)
    return Allowance(from_us=from_us, single=False)


def try_again(tries: int, retry_after: timedelta | None, jitter: float) -> timedelta:
    """Return how long to wait after the try with this number; `jitter` is drawn from 0 to 1."""
    planned = _TRY_AGAIN[min(tries, len(_TRY_AGAIN)) - 1] * (1 - jitter / 5)
    return max(planned, min(retry_after or timedelta(0), LONGEST_ASKED))


def rest(failures: int, retry_after: timedelta | None) -> timedelta:
    """Return how long a channel rests after so many tries that failed one after the other."""
    asked = min(retry_after or timedelta(0), LONGEST_ASKED)
    if failures < RESTS_FROM:
        return asked
    own: timedelta = _RESTS_FIRST * 2 ** min(failures - RESTS_FROM, 10)
    return max(asked, min(own, _RESTS_LONGEST))


def gives_up(entry: Entry, failures: int, failing_us: int, now_us: int) -> bool:
    """Whether `entry`, with its tries until now, is not tried again.

    A channel that fails for a day is tried with one message in the place of all: what has waited as long goes with it.
    """
    day_us = GIVES_UP_AFTER // _US
    failed_for_a_day = failures >= MOST_TRIES and now_us - failing_us >= day_us
    return entry.tries >= MOST_TRIES or (failed_for_a_day and now_us - entry.since_us >= day_us)


def tells_ends_only(entries: Sequence[Entry]) -> bool:
    """Whether all that there is to tell is of no use to who never heard of the alert."""
    return all(each.happened in _TELLS_ENDS_ONLY for each in entries)


def says_nothing_new(alert: Alert, entries: Sequence[Entry], last: Happened | None, *, muted: bool) -> bool:
    """Whether a channel that was told `last` of an alert needs none of `entries`: it came and went within its quiet.

    Nor is it told, while the alert is muted, that it came back before that.
    """
    if not all(each.put_off or each.happened.ends for each in entries):
        return False
    if alert.is_open:
        return muted
    return last is not None and last.ends


def was_muted(alert: Alert, entries: Sequence[Entry], last: Happened | None, since_us: int) -> bool:
    """Whether a channel that was told `last` of an alert needs none of `entries`: it was muted before they were sent.

    They had waited since before that, as for the end of quiet hours; that it went or came back by itself since then
    changes nothing, nor that a person closed it, if that is over. A channel that heard of it hears of its end, and that
    it is not over after all.
    """
    before = [each for each in entries if each.created_us < since_us]
    by_itself = all(each in before or _comes_and_goes(each) or _is_past_end(alert, each) for each in entries)
    waited = bool(before) and by_itself and not any(each.tries for each in entries)
    wanted = any(each.happened is Happened.RESENT for each in entries)
    is_end = tells_ends_only(entries) or not alert.is_open
    is_news = last is not None and (is_end or last.ends)
    return waited and not wanted and not is_news


def is_owed(alert: Alert, entries: Sequence[Entry], last: Happened | None) -> bool:
    """Whether a channel that was told `last` of a muted alert is to hear of `entries` once it is muted no more.

    It heard that the alert was over, or may have, by a try that failed, and that is not so any more. What a person does
    about it is told at once, unless that is over too.
    """
    heard = (last is not None and last.ends) or any(each.tries and each.happened.ends for each in entries)
    if not alert.is_open or not heard:
        return False
    return not any(_is_by_person(each) and not _is_past_end(alert, each) for each in entries)


def came_back(alert: Alert, entries: Sequence[Entry]) -> bool:
    """Whether all that there is to tell is that an alert went, or was closed, perhaps, and came back by itself."""
    is_back = alert.is_open and entries[-1].happened is Happened.REOPENED
    return is_back and all(_comes_and_goes(each) or _is_past_end(alert, each) for each in entries)


def _comes_and_goes(entry: Entry) -> bool:
    return entry.happened in _COMES_AND_GOES and not _is_by_person(entry)


def _is_past_end(alert: Alert, entry: Entry) -> bool:
    """Whether an alert was over, which it is no more."""
    return alert.is_open and entry.happened.ends


def _is_by_person(entry: Entry) -> bool:
    if entry.happened is Happened.REOPENED:
        return bool(entry.note)
    return entry.happened in {Happened.ACKNOWLEDGED, Happened.CLOSED, Happened.RESENT}


def told(handed: OutgoingMessage) -> dict[str, Happened]:
    """Return what a message says of each of its alerts: as they are, which its entries may not know of."""
    return {name: _happened(handed.alerts[name], own) for name, own in handed.entries.items()}


def notice_of(handed: OutgoingMessage, key: str, now_us: int) -> Notice:
    """Return the message: of one alert as it is now, or a digest of several."""
    if len(handed.entries) == 1:
        ((name, entries),) = handed.entries.items()
        return _notice(handed.alerts[name], entries, key)
    told = [
        _notice(handed.alerts[name], entries, f"{key}-{number}")
        for number, (name, entries) in enumerate(handed.entries.items())
    ]
    told.sort(key=lambda each: (each.happened.ends, -RANKS[each.severity]))
    over = sum(each.happened.ends for each in told)
    count = format(len(told), ",")
    title = kept_text("%(count)s alerts", count=count)
    if over:
        title = kept_text("%(count)s alerts, %(over)s of them over", count=count, over=over)
    return Notice(
        key=key,
        alert_id=f"digest-{handed.number}",
        happened=Happened.DIGEST,
        severity=max((each.severity for each in told), key=RANKS.__getitem__),
        title=title,
        matches=sum(each.matches for each in told),
        opened_us=now_us,
        merged=len(told),
        digest=tuple(told[:_NAMED_IN_DIGEST]),
    )


def _notice(alert: Alert, entries: Sequence[Entry], key: str) -> Notice:
    notes = dict.fromkeys(each.note for each in entries if each.note)
    return Notice(
        key=key,
        alert_id=alert.id,
        happened=_happened(alert, entries),
        type=alert.type,
        status=alert.status,
        severity=alert.severity,
        title=alert.title,
        description=alert.description,
        runbook=alert.runbook,
        reference=alert.reference,
        rule_id=alert.rule_id,
        rule_name=alert.rule_name,
        rule_revision=alert.rule_revision,
        tags=alert.tags,
        log_type=alert.log_type,
        source=alert.source_label,
        link=alert.link,
        matches=alert.matches,
        opened_us=alert.opened_us,
        context=alert.context,
        note="; ".join(notes)[-_LONGEST_NOTE:],
        merged=len(entries),
    )


def _happened(alert: Alert, entries: Sequence[Entry]) -> Happened:
    """Return what a message that stands for all of `entries` says: what is true of the alert now."""
    if alert.status is AlertStatus.RESOLVED:
        return Happened.RESOLVED
    if alert.status is AlertStatus.CLOSED:
        return Happened.CLOSED
    # It is open, so what was over meanwhile is over no more.
    going_on = [each.happened for each in entries if not each.happened.ends]
    for first in (Happened.OPENED, Happened.REOPENED, Happened.ESCALATED):
        if first in going_on:
            return first
    if not alert.visible and Happened.NOT_VISIBLE in going_on:
        return Happened.NOT_VISIBLE
    news = [each for each in going_on if each not in {Happened.RESENT, Happened.NOT_VISIBLE}]
    if news:
        return news[-1]
    # Told late that it was over, when it is open again: whoever opened it again tells that after this.
    return going_on[-1] if going_on else Happened.REOPENED


def failed(
    before: Alert | None, channel: ChannelRow, answer: str, messages: int, now_us: int, muted: Muted
) -> RaisedAlert:
    """Return the alert that messages to `channel` were given up, and what is told of it."""
    made = _made(
        channel.id,
        title=kept_text("Alerts do not reach %(channel)s", channel=channel.name),
        description=kept_text(
            "What was to be sent to the destination %(channel)s (%(kind)s) was given up. The last answer was: %(why)s",
            channel=channel.name,
            kind=channel.kind,
            why=answer,
        ),
        runbook="\n".join(
            (
                kept_text("See what the far end says: ocelog channel test %(id)s", id=channel.id),
                kept_text("Once it works, send again what was given up: ocelog channel resend %(id)s", id=channel.id),
            )
        ),
        matches=messages,
        now_us=now_us,
    )
    return raised(made, before, now_us=now_us, muted=muted, quiet_us=_HOUR // _US)


def unrouted(before: Alert | None, example: Alert, alerts: int, now_us: int, muted: Muted) -> RaisedAlert:
    """Return the alert that no channel takes some alerts, such as `example`, and what is told of it."""
    made = _made(
        "",
        title=kept_text("No destination takes some of the alerts"),
        description=kept_text(
            "Nobody is told of some alerts, since no destination takes them. One of them is of the rule %(rule)s, "
            "%(severity)s, %(type)s: %(id)s",
            rule=example.rule_id,
            severity=example.severity,
            type=example.type,
            id=example.id,
        ),
        runbook="\n".join(
            (
                kept_text("See what each destination takes: ocelog channel list"),
                kept_text("Add one that takes these: ocelog channel add --help"),
            )
        ),
        matches=alerts,
        now_us=now_us,
    )
    return raised(made, before, now_us=now_us, muted=muted, quiet_us=_HOUR // _US)


def recovered(before: Alert, now_us: int) -> RaisedAlert:
    """Return the alert that a channel cannot be reached, once it can, and what is told of it."""
    return over(before, now_us, quiet_us=_HOUR // _US)


def _made(channel_id: str, *, title: str, description: str, runbook: str, matches: int, now_us: int) -> Alert:
    return Alert(
        id=failure_id(channel_id),
        type=AlertType.SYSTEM_ERROR,
        severity=Severity.CRITICAL,
        title=title,
        description=description[:_LONGEST_NOTE],
        runbook=runbook,
        rule_id=DELIVERY_ERROR,
        rule_name=DELIVERY_ERROR,
        dedup=channel_id,
        matches=matches,
        opened_us=now_us,
        updated_us=now_us,
    )
