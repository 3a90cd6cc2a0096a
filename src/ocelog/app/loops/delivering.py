"""The loop that delivers: what waits in the outbox goes to its channels, each in a thread of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from msgspec import Struct

from ocelog.alert.delivery.delivering import (
    DeliveryDelay,
    DeliveryRefusal,
    DeliverySuccess,
    Outcome,
    OutgoingMessage,
    Wait,
    notice_of,
)
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.app.alerts.channels import keeps_incidents, open_channel
from ocelog.app.loops.loop import Work
from ocelog.app.loops.loop_faults import WORK
from ocelog.channels.http_post import LONGEST_SECONDS
from ocelog.channels.ports import Channel
from ocelog.errors import ChannelRefusedError, LedgerUnavailableError, LostFenceError, OcelogError, TransientError
from ocelog.installation.opening import Installation
from ocelog.ledger.delivery import LEASE, ChannelBacklog, DeliveryLedger
from ocelog.ledger.pulling import holder_of
from ocelog.model import Claim, Severity

_LOOK_EVERY = 5.0
"""Seconds between two looks at the outbox: another process may have put something there. Ours is delivered at once."""
_TEND_EVERY = 30.0
"""Seconds between two looks at what nobody acknowledges, and what no channel takes."""
_LOOK_AGAIN = 60.0
"""Seconds after which what is held back is looked at again, whatever held it back: a clock may have been set."""
_TAKEN = 5.0
"""Seconds until a channel to which another process delivers is looked at again."""
_TO_NOTE = 3
"""How often the outcome is tried to be noted, before the message would be sent once more."""
log = structlog.get_logger()


class _ChannelHold(Struct, frozen=True):
    """Why a channel is left alone until then, unless it changes or there is more to tell."""

    until: float
    channel: ChannelRow
    newest: int


@dataclass(slots=True)
class DeliverLoop:
    """Delivers what is due, has what nobody acknowledges escalated, and reroutes what waits for channels that are gone.

    A channel that hangs holds up nothing but its own messages.
    """

    work: Work
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    opened: Callable[[Installation, ChannelRow], Channel] = open_channel
    lease: timedelta = LEASE
    """How long a channel is ours from each step on: longer than a try may take, with what comes before and after."""
    _tend_at: float = float("-inf")
    _look_at: float = float("-inf")
    _to_tell: int = 0
    """What there was to tell when the ledger was asked last."""
    _routes_since_us: int | None = None
    _mutes_since_us: int = 0
    """When it was looked at last which alerts are muted no more."""
    _held: dict[str, _ChannelHold] = field(default_factory=dict)
    _unreleased: dict[str, Claim] = field(default_factory=dict)
    """Channels that were not let go of, since the ledger could not be written, by id."""

    def __post_init__(self) -> None:
        if self.lease.total_seconds() < 2 * LONGEST_SECONDS:
            raise AssertionError(f"A lease of {self.lease} may end while a message of its holder is under way.")

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "deliver"

    @property
    def _ledger(self) -> DeliveryLedger:
        return self.work.assembly.installation.ledger.delivery

    def run_due(self, now: float) -> float:
        """Begin to deliver to each channel that something is due for."""
        if now >= self._tend_at and self.work.begin(self, self._tend):
            self._tend_at = now + _TEND_EVERY
        to_tell = self.work.to_tell
        if now >= self._look_at or to_tell != self._to_tell:
            self._begin(now)
            self._to_tell, self._look_at = to_tell, now + _LOOK_EVERY
        return min(self._look_at, self._tend_at)

    def finish(self) -> None:
        """Deliver what is due. What must wait is left to the next who delivers."""
        self._tend()
        self._held.clear()
        self._begin(self.work.monotonic())

    def _begin(self, now: float) -> None:
        waiting = self._ledger.waiting()
        # Afterwards: what the ledger finds due is due by the instant at which it was asked.
        now_us = self.now_us()
        for each in waiting:
            held = self._held.get(each.channel.id)
            if held is not None and now < held.until and (held.channel, held.newest) == (each.channel, each.newest):
                continue
            if each.due_us <= now_us:
                self.work.threads.start_once(f"deliver {each.channel.id}", partial(self._guarded, each))

    def _guarded(self, waiting: ChannelBacklog) -> None:
        try:
            self._deliver(waiting)
        except Exception as error:  # noqa: BLE001 - told, and shown until it works again
            self._hold(waiting, _TAKEN)
            self.work.faults.failed(self.name, WORK, error)
        else:
            self.work.faults.worked(self.name, WORK)

    def _deliver(self, waiting: ChannelBacklog) -> None:
        """Deliver to one channel until nothing is due."""
        installation = self.work.assembly.installation
        if (late := self._unreleased.get(waiting.channel.id)) is not None:
            self._ledger.release(late)
            del self._unreleased[waiting.channel.id]
        claim = self._ledger.take(waiting.channel.id, holder_of(installation.home.id), lease=self.lease)
        if claim is None:
            self._hold(waiting, _TAKEN)
            return
        try:
            while not self.work.stop():
                self.work.went_on()
                handed = self._ledger.hand(claim, one_by_one=keeps_incidents(waiting.channel))
                if isinstance(handed, Wait):
                    seconds = _LOOK_AGAIN
                    if handed.until_us is not None:
                        seconds = max(0.0, (handed.until_us - self.now_us()) / 1e6)
                    self._hold(waiting, min(seconds, _LOOK_AGAIN))
                    return
                tries = sum(each.tries for entries in handed.entries.values() for each in entries)
                self.work.takes_up(self, f"what goes to {waiting.channel.name}", (handed.number, tries))
                key = handed.key(installation.ledger.id)
                outcome = attempt(partial(self.opened, installation), handed, key, self.now_us())
                self._note(claim, handed, outcome)
        except LostFenceError as error:
            log.warning("channel lost", channel=waiting.channel.name, reason=str(error))
        finally:
            try:
                self._ledger.release(claim)
            except OcelogError:
                self._unreleased[waiting.channel.id] = claim

    def _note(self, claim: Claim, handed: OutgoingMessage, outcome: Outcome) -> None:
        channel, alerts = handed.channel.name, list(handed.alerts.values())
        if isinstance(outcome, DeliverySuccess):
            worst = max(alerts, key=lambda each: list(Severity).index(each.severity))
            log.info(
                "delivered",
                channel=channel,
                number=handed.number,
                alerts=[each.id for each in alerts[:10]],
                told=len(alerts),
                severity=worst.severity.value,
                title=worst.title,
            )
        else:
            how = "refused" if isinstance(outcome, DeliveryRefusal) else "not delivered"
            log.warning(how, channel=channel, number=handed.number, code=outcome.code, reason=outcome.answer)
        for left in reversed(range(_TO_NOTE)):
            try:
                self._ledger.settle(claim, handed, outcome)
            except LedgerUnavailableError:
                if not left or self.work.stop():
                    raise
            else:
                return

    def _hold(self, waiting: ChannelBacklog, seconds: float) -> None:
        until = self.work.monotonic() + seconds
        self._held[waiting.channel.id] = _ChannelHold(until, waiting.channel, waiting.newest)

    def _tend(self) -> None:
        adopted = self._ledger.adopt()
        if adopted:
            log.info("rerouted", messages=adopted)
        # The first look, and the one after a clock was set back, goes over all that is kept.
        now_us = self.now_us()
        self._ledger.wake_unmuted(self._mutes_since_us if self._mutes_since_us <= now_us else 0)
        self._mutes_since_us = now_us
        self._ledger.escalate()
        # The first look goes over all that is there: an earlier process may have been killed before it looked.
        self._routes_since_us = self._ledger.watch_routes(self._routes_since_us or 0)


def attempt(opened: Callable[[ChannelRow], Channel], handed: OutgoingMessage, key: str, now_us: int) -> Outcome:
    """Try once to deliver a message, and return how that went, whatever the channel does."""
    try:
        receipt = opened(handed.channel).send(notice_of(handed, key, now_us))
    except ChannelRefusedError as error:
        return DeliveryRefusal(answer=str(error), code=error.code)
    except LedgerUnavailableError:
        # Its secrets could not be read: that says nothing about the channel.
        raise
    except OcelogError as error:
        after = error.retry_after if isinstance(error, TransientError) else None
        return DeliveryDelay(answer=str(error), code=error.code, retry_after=after)
    except Exception as error:  # noqa: BLE001 - one channel must not stop the others
        # Its message may hold what was to be sent, or a secret.
        log.error("bug in Ocelog", channel=handed.channel.name, error=type(error).__name__)  # noqa: TRY400 - see above
        return DeliveryDelay(answer=f"a bug in Ocelog: {type(error).__name__}", code=OcelogError.code)
    return DeliverySuccess(answer=f"{receipt.status} {receipt.text}".strip())
