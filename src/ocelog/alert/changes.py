"""What a person does with an alert, and what becomes of it: pure, so that each case is a few lines of a test.

Whoever takes a first step (a status, an assignee, a comment) acknowledges the alert. Each change is one entry of the
timeline. Channels that were told of the alert hear of what they can act on: acknowledged, closed, reopened, resolved.
"""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.alert import OCELOG, RULE_OFF, SOURCE_REMOVED, Alert, TimelineEntry, resolved
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.errors import ConfigError
from ocelog.kept_texts import keepable
from ocelog.languages.phrases import Phrase

QUIETLY = keepable("nobody was told")
"""What the timeline says of what was done quietly."""
BY_PEOPLE = ("assigned", "unassigned", "comment", "closed", "classified", "resent")
"""What only people do to an alert, whatever they are called: a user of this machine may have the name OCELOG."""
LONGEST_TEXT = 4_000
"""Characters of a comment."""
LONGEST_NAME = 200
"""Characters of an assignee, or of whoever changes something."""


class CloseReason(StrEnum):
    """What a person found an alert to be."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    BENIGN = "benign"
    """It happened, and it was meant to."""
    DUPLICATE = "duplicate"


class Change(Struct, frozen=True, kw_only=True):
    """An alert after somebody changed it."""

    alert: Alert
    entry: TimelineEntry
    happened: Happened | None = None
    """What the channels hear that were told of the alert; None: nothing."""

    @property
    def note(self) -> str:
        """What they are told in addition: who did it, and why."""
        return f"by {self.entry.who}{f': {self.entry.detail}' if self.entry.detail else ''}"


Act = Callable[[Alert, int], Change | None]
"""Changes an alert at an instant of our clock; None: it is so already."""


def quietly(act: Act) -> Act:
    """Do the same, and tell nobody: the timeline says that, too."""

    def quiet(alert: Alert, now_us: int) -> Change | None:
        change = act(alert, now_us)
        if change is None:
            return None
        detail = "; ".join(filter(None, (change.entry.detail, QUIETLY)))
        return replace(change, entry=replace(change.entry, detail=detail), happened=None)

    return quiet


def if_possible(act: Act) -> Act:
    """Do the same with those of many alerts with which it can be done, and leave the others as they are."""

    def tried(alert: Alert, now_us: int) -> Change | None:
        try:
            return act(alert, now_us)
        except ConfigError:
            return None

    return tried


def assign(assignee: str | None, *, who: str) -> Act:
    """Make somebody look after it, or nobody in particular."""
    name = None if assignee is None else _checked(assignee, Phrase("An assignee"), LONGEST_NAME)

    def act(alert: Alert, now_us: int) -> Change | None:
        if alert.assignee == name:
            return None
        what, detail = ("unassigned", f"was {alert.assignee}") if name is None else ("assigned", f"to {name}")
        return _acknowledged(replace(alert, assignee=name), alert, _entry(alert, now_us, who, what, detail))

    return act


def comment(text: str, *, who: str) -> Act:
    """Write something down about it."""
    text = _checked(text, Phrase("A comment"), LONGEST_TEXT)
    return lambda alert, now_us: _acknowledged(alert, alert, _entry(alert, now_us, who, "comment", text))


def triage(*, who: str) -> Act:
    """Say that it is being looked at. Raises ConfigError if it is over."""

    def act(alert: Alert, now_us: int) -> Change | None:
        if alert.status is AlertStatus.TRIAGED:
            return None
        if not alert.is_open:
            raise ConfigError(
                Phrase(
                    "The alert %(id)s is %(status)s. To work on it again: ocelog alerts reopen %(id)s",
                    id=alert.id,
                    status=alert.status.lower(),
                )
            )
        return _acknowledged(
            replace(alert, status=AlertStatus.TRIAGED), alert, _entry(alert, now_us, who, "triaged", "")
        )

    return act


def close(reason: CloseReason, text: str = "", *, who: str) -> Act:
    """Say what it was, and that nobody has to look at it. One that is over already gets the reason, and tells nobody.

    What was resolved stays so: its record may match again, and whatever else matches opens another. If only its rule or
    its source is gone, though, and its record may still be so, it is closed.
    """
    text = _checked(text, Phrase("A comment"), LONGEST_TEXT) if text else ""

    def act(alert: Alert, now_us: int) -> Change | None:
        after = replace(_touched(alert, now_us), close_reason=reason.value)
        detail = f"{reason}: {text}" if text else reason.value
        may_be_so = alert.record_id is not None and alert.close_reason in (RULE_OFF, SOURCE_REMOVED)
        if alert.is_open or may_be_so:
            after = replace(
                after, status=AlertStatus.CLOSED, ended_us=now_us if alert.ended_us is None else alert.ended_us
            )
            happened = Happened.CLOSED if alert.is_open else None
            return Change(alert=after, entry=_entry(alert, now_us, who, "closed", detail), happened=happened)
        if alert.close_reason == reason and not text:
            return None
        return Change(alert=after, entry=_entry(alert, now_us, who, "classified", detail))

    return act


def reopen(text: str = "", *, who: str) -> Act:
    """Say that somebody has to look at it after all."""
    text = _checked(text, Phrase("A comment"), LONGEST_TEXT) if text else ""

    def act(alert: Alert, now_us: int) -> Change | None:
        if alert.is_open:
            return None
        after = replace(
            _touched(alert, now_us),
            status=AlertStatus.OPEN,
            close_reason=None,
            ended_us=None,
            # Nobody has looked at it since, so it is escalated if nobody does.
            acknowledged_us=None,
            opened_us=now_us,
            told_severity=alert.severity,
            told_us=now_us if alert.to_be_told else alert.told_us,
        )
        entry = _entry(alert, now_us, who, "reopened", text)
        return Change(alert=after, entry=entry, happened=Happened.REOPENED)

    return act


def resolve(why: str, *, who: str = OCELOG, reason: str | None = None) -> Act:
    """Say that what it was about is over. What a person has closed stays closed."""

    def act(alert: Alert, now_us: int) -> Change | None:
        if not alert.is_open:
            return None
        after = replace(resolved(alert, now_us), close_reason=reason)
        entry = _entry(alert, now_us, who, "resolved", why)
        return Change(alert=after, entry=entry, happened=Happened.RESOLVED)

    return act


def resend(to: str, *, who: str) -> Act:
    """Note that people are told of it once more; `to` says through which channels."""

    def act(alert: Alert, now_us: int) -> Change:
        after = replace(alert, updated_us=now_us, to_be_told=True, told_us=now_us, told_severity=alert.severity)
        return Change(alert=after, entry=_entry(alert, now_us, who, "resent", to))

    return act


def _entry(alert: Alert, now_us: int, who: str, what: str, detail: str) -> TimelineEntry:
    return TimelineEntry(alert_id=alert.id, at_us=now_us, who=who, what=what, detail=detail)


def _touched(alert: Alert, now_us: int) -> Alert:
    noticed = now_us if alert.acknowledged_us is None else alert.acknowledged_us
    return replace(alert, updated_us=now_us, acknowledged_us=noticed)


def _acknowledged(after: Alert, before: Alert, entry: TimelineEntry) -> Change:
    """Return a change by which somebody takes notice; the first of them is told while the alert is open."""
    first = before.acknowledged_us is None and before.is_open
    return Change(alert=_touched(after, entry.at_us), entry=entry, happened=Happened.ACKNOWLEDGED if first else None)


def _checked(text: str, what: str, longest: int) -> str:
    text = text.strip()
    if not text:
        raise ConfigError(Phrase("%(what)s cannot be empty.", what=what))
    if len(text) > longest:
        raise ConfigError(
            Phrase(
                "%(what)s has at most %(longest)s characters, not %(count)s.",
                what=what,
                longest=format(longest, ","),
                count=format(len(text), ","),
            )
        )
    return text
