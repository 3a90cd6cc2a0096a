"""The loop that looks at the status of each stream, and tells people what is wrong with one, and when it is over."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.alert import OPEN, Alert
from ocelog.alert.delivery.suppressing import muted_by
from ocelog.alert.ids import LIMIT_EXCEEDED, system_alert_id
from ocelog.alert.listing import AlertFilter
from ocelog.alert.notice import AlertType
from ocelog.alert.raising import RaisedAlert, over, raised
from ocelog.app.loops import loop_alerts
from ocelog.app.loops.loop import Work, log_failure
from ocelog.app.sources.stream_health import stream_healths
from ocelog.errors import OcelogError
from ocelog.health.telling import (
    ErrorNotice,
    ErrorType,
    OpenError,
    StreamName,
    SystemErrors,
    Turn,
    left_behind,
    notices,
)
from ocelog.installation.opening import Installation
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger
from ocelog.model import Severity
from ocelog.times import from_us, has_passed, to_us

_LOOK_EVERY = 60.0
"""Seconds between two looks, at most."""
_LOOK_AFTER_POLL = 10.0
"""Seconds between two looks, at least: one follows each poll, since whoever asks sees by then how the stream is."""
_LIMIT_OVER = timedelta(days=1)
"""A rule that has not exceeded its limit for so long does not any more."""
_MOST = 1_000
_SHARE = 50
"""A look that took long is followed by a rest so many times as long: hundreds of streams must not keep a core busy."""
log = structlog.get_logger()


class LoggedErrors:
    """Tells of system errors in the log. Fits SystemErrors."""

    def raise_(self, notice: ErrorNotice) -> None:
        """Log that a system error is there."""
        log.error("system error", **_fields(notice), turn=notice.turn.value, reason=notice.text)

    def resolve(self, notice: ErrorNotice) -> None:
        """Log that a system error is over."""
        log.info("system error is over", **_fields(notice), reason=notice.text)


class AlertedErrors(Struct, frozen=True):
    """Tells of system errors by alerts: one for each, which is opened again when it comes back. Fits SystemErrors."""

    ledger: Ledger

    def raise_(self, notice: ErrorNotice) -> None:
        """Open the alert of a system error, or tell again that it is still there."""
        error = notice.error
        told_us = to_us(error.told)
        muted = muted_by(self.ledger.alerts.suppressions())

        def to(before: Alert | None) -> RaisedAlert | None:
            if before is not None and before.is_open:
                known = notice.turn is Turn.OPENED and before.to_be_told
                if known or before.told_us == told_us:
                    # Told before a crash that kept it from being noted.
                    return None
            made = Alert(
                id=system_alert_id(error.type.value, error.key),
                type=AlertType.SYSTEM_ERROR,
                severity=Severity.CRITICAL,
                title=notice.title,
                description=notice.text,
                runbook=kept_text(
                    "See how it is, and what to do: ocelog status %(source)s", source=error.stream.source
                ),
                rule_id=error.type.value,
                rule_name=error.type.value,
                dedup=error.key,
                log_type=error.stream.log_type,
                source_id=error.stream.source_id,
                source_label=error.stream.source,
                matches=1,
                opened_us=to_us(error.opened),
                updated_us=told_us,
            )
            # The next repeat after a mute is told.
            return raised(made, before, now_us=told_us, muted=muted, again=kept_text("it is still so"))

        name = system_alert_id(error.type.value, error.key)
        if self.ledger.system_errors.change(name, to, source_id=error.stream.source_id):
            LoggedErrors().raise_(notice)

    def resolve(self, notice: ErrorNotice) -> None:
        """Resolve the alert of a system error that is over."""
        error = notice.error

        def to(before: Alert | None) -> RaisedAlert | None:
            if before is None or not before.is_open:
                # What a person has closed stays closed, as an alert of a rule does.
                return None
            return over(before, self.ledger.system_errors.now_us(), note=notice.text)

        self.ledger.system_errors.change(system_alert_id(error.type.value, error.key), to)
        LoggedErrors().resolve(notice)


@dataclass(slots=True)
class HealthLoop:
    """Looks at every stream each minute, remembers how it is, and tells what is to be told."""

    work: Work
    errors: SystemErrors | None = None
    """Who tells people; None: alerts do."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Our clock."""
    _look_at: float = float("-inf")
    _looked_at: float = float("-inf")
    _rested_at: float = float("-inf")
    _polled: int = 0
    """How many polls there had been at the last look."""

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "health"

    def run_due(self, now: float) -> float:
        """Begin to look at the streams if that is due, or if one was polled since the last look."""
        polled = self.work.polled
        due = self._look_at if polled == self._polled else min(self._look_at, self._rested_at)
        if now >= due and self.work.begin(self, self._look):
            self._polled, self._looked_at = polled, now
            due = self._look_at = now + _LOOK_EVERY
        return max(due, now + 1)

    def finish(self) -> None:
        """Look at the streams as a pull leaves them."""
        self._look()

    def _look(self) -> None:
        began = time.monotonic()
        ledger = self.work.assembly.installation.ledger
        self._end_removed(ledger)
        self.work.to_tell += look_at_streams(ledger, self.errors or AlertedErrors(ledger), self.now())
        loop_alerts.tell(ledger, self.work.faults.errors)
        end_limits(ledger)
        self._rested_at = max(
            self._looked_at + _LOOK_AFTER_POLL, self.work.monotonic() + _SHARE * (time.monotonic() - began)
        )
        self._look_at = max(self._look_at, self._rested_at)

    def _end_removed(self, ledger: Ledger) -> None:
        """Resolve what is left of the alerts of removed sources: whoever removed one may have been killed."""
        for source_id in ledger.sources.ending():
            count = ledger.sources.end_alerts(source_id)
            self.work.to_tell += bool(count)
            log.info("alerts of a removed source resolved", source=source_id, alerts=count)


def end_limits(ledger: Ledger) -> None:
    """Resolve what people were told of rules that opened too many alerts in an hour, once they have not for a day."""
    now = from_us(ledger.system_errors.now_us())

    def to(before: Alert | None) -> RaisedAlert | None:
        if (
            before is None
            or not before.is_open
            or not has_passed(_LIMIT_OVER, since=from_us(before.updated_us), now=now)
        ):
            return None
        return over(before, to_us(now), note=kept_text("it has not happened for a day"))

    for alert in ledger.alerts.listed(AlertFilter(rule=LIMIT_EXCEEDED, statuses=OPEN, untold=True), limit=_MOST):
        if has_passed(_LIMIT_OVER, since=from_us(alert.updated_us), now=now):
            ledger.system_errors.change(alert.id, to)


def look_at_streams(ledger: Ledger, errors: SystemErrors, now: datetime) -> int:
    """Look at every stream once, have `errors` tell what is to be told, and remember all that; return how much was.

    What was told is noted only afterwards: after a crash between the two it is told again, under the same key.
    """
    view = ledger.health.view()
    known = view.open_errors
    by_stream = defaultdict[tuple[str, str], dict[ErrorType, OpenError]](dict)
    for error in known:
        by_stream[error.stream.source_id, error.stream.log_type][error.type] = error
    found = stream_healths(ledger, view, now)
    told = list[ErrorNotice]()
    for each in found:
        name = StreamName(source=each.source, source_id=each.source_id, log_type=each.log_type)
        told += notices(name, each.facts, each.health, each.alarm, by_stream[each.source_id, each.log_type])
    told += left_behind(known, {(each.source_id, each.log_type) for each in found}, now)
    for notice in told:
        try:
            _tell(ledger, errors, notice)
        except OcelogError as error:
            # It is told at the next look; the others are told now.
            log_failure("not told", error, **_fields(notice))
    looked = {(each.source_id, each.log_type): each.health for each in found}
    ledger.health.remember({key: memory for key, memory in looked.items() if view.remembered.get(key) != memory})
    return len(told)


def age_silence(installation: Installation, source_id: str, log_type: str, by: timedelta) -> None:
    """Remember that no event had come for so much longer when a stream was polled last: a demo cannot wait for it."""
    health = installation.ledger.health
    memory = health.remembered().get((source_id, log_type))
    if memory is not None:
        health.remember({(source_id, log_type): replace(memory, silence=memory.silence + by)})


def _tell(ledger: Ledger, errors: SystemErrors, notice: ErrorNotice) -> None:
    if notice.turn is Turn.RECOVERED:
        errors.resolve(notice)
        ledger.health.resolve(notice)
    else:
        errors.raise_(notice)
        ledger.health.raise_(notice)


def _fields(notice: ErrorNotice) -> dict[str, str]:
    error = notice.error
    return {"source": error.stream.source, "log_type": error.stream.log_type, "type": error.type.value}
