"""What tells nobody for a while: suppressions of a rule, by values of its alerts, and maintenance windows.

A suppressed alert is kept and shown as such; only nobody is told of it. When the suppression is over, what it kept
quiet is not told afterwards: an alert is told again when it escalates.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct, field

from ocelog.alert.alert import Alert
from ocelog.alert.notice import AlertType
from ocelog.errors import ConfigError
from ocelog.kept_texts import keepable, kept_text
from ocelog.model import Severity
from ocelog.suggest import suggest
from ocelog.times import from_us
from ocelog.units import write_instant

LONGEST = timedelta(days=366)
"""How long a suppression may last, and how far ahead it may begin: what is quiet for longer belongs in the rule."""
CONTEXT = "context."
"""What stands before the path of a value in the alert's context: `context.actor.email`."""
FIELDS = ("severity", "type", "source", "log_type", "title", "dedup", "record_id")
"""What a suppression may look at besides the context."""
_ANY = "*"
_MAINTENANCE = keepable("maintenance %(id)s of %(owner)s until %(instant)s: %(reason)s")
_SUPPRESSION = keepable("suppression %(id)s of %(owner)s until %(instant)s: %(reason)s")
WHY = (_MAINTENANCE, _SUPPRESSION)
"""What the timeline of an alert may say that it keeps quiet."""
_WORDS: Mapping[str, Sequence[str]] = {
    "severity": [each.value for each in Severity],
    "type": [each.value for each in AlertType],
}
"""The values of fields that have only some."""


class Suppression(Struct, frozen=True, kw_only=True):
    """Alerts that nobody is told of from one instant until another, and who wants that, and why."""

    id: str
    rule: str | None
    """A rule's id, in which `*` stands for anything; None: a maintenance window, for alerts of every rule and kind."""
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By name of a field the values of which it must have one; `*` in a value stands for anything."""
    owner: str
    reason: str
    since_us: int
    until_us: int
    added_us: int

    @property
    def why(self) -> str:
        """What the timeline of an alert says that it keeps quiet."""
        until = write_instant(from_us(self.until_us))
        why = _MAINTENANCE if self.rule is None else _SUPPRESSION
        return kept_text(why, id=self.id, owner=self.owner, instant=until, reason=self.reason)

    @property
    def covered(self) -> str:
        """What it covers, for people."""
        fields = "; ".join(f"{name}={' or '.join(values)}" for name, values in self.fields.items())
        what = f"Rule {self.rule}" if self.rule is not None else "Every alert"
        return f"{what}, {fields}" if fields else what

    @property
    def looks_at_context(self) -> bool:
        """Whether it depends on the context of an alert."""
        return any(name.startswith(CONTEXT) for name in self.fields)

    def is_active(self, now_us: int) -> bool:
        """Whether it applies at `now_us`. One that begins ahead of a clock that was set back mutes nothing."""
        return self.since_us <= now_us < self.until_us


def suppressed(alert: Alert, suppressions: Iterable[Suppression], now_us: int) -> Suppression | None:
    """Return the suppression because of which nobody is told of `alert` at `now_us`; None: people are told.

    A suppression of a rule is for what the rule finds: that the rule fails is told all the same, unless one names the
    type DETECTION_ERROR. A system error is covered by its own name, such as SOURCE_NO_DATA, and not by a pattern.
    """
    return next((each for each in suppressions if each.is_active(now_us) and _covers(each, alert)), None)


def muted_by(suppressions: Collection[Suppression]) -> Callable[[Alert, int], bool]:
    """Return what says whether nobody is told of an alert at an instant."""
    return lambda alert, now_us: suppressed(alert, suppressions, now_us) is not None


def _covers(suppression: Suppression, alert: Alert) -> bool:
    rule = suppression.rule
    if rule is not None:
        if not like(rule, alert.rule_id):
            return False
        if "type" not in suppression.fields:
            if alert.type is AlertType.DETECTION_ERROR:
                return False
            if alert.type is AlertType.SYSTEM_ERROR and _ANY in rule:
                return False
    return all(
        any(like(pattern, value) for pattern in patterns for value in _values(alert, name))
        for name, patterns in suppression.fields.items()
    )


def like(pattern: str, text: str) -> bool:
    """Whether `text` is as `pattern` says, in which `*` stands for any characters; upper and lower case are one."""
    first, *others = pattern.casefold().split(_ANY)
    text = text.casefold()
    if not others:
        return text == first
    *between, last = others
    if not text.startswith(first):
        return False
    at = len(first)
    for each in between:
        found = text.find(each, at)
        if found < 0:
            return False
        at = found + len(each)
    return len(text) - len(last) >= at and text.endswith(last)


def _values(alert: Alert, name: str) -> list[str]:
    """Return what an alert has of a field; a list in its context has all of its values."""
    match name:
        case "source":
            found: list[str | None] = [alert.source_id, alert.source_label]
        case "severity" | "type" | "log_type" | "title" | "dedup" | "record_id":
            found = [getattr(alert, name)]
        case _ if name.startswith(CONTEXT):
            return [text for value in _below(alert.context, name.removeprefix(CONTEXT)) for text in _texts(value)]
        case _:
            found = []
    return [value for value in found if value is not None]


def _below(value: Any, path: str) -> Iterator[Any]:
    """Yield what lies at `path`, whose parts stand between dots; a name may have dots of its own."""
    if not path:
        yield value
    elif isinstance(value, Mapping):
        parts = path.split(".")
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            if name in value:
                yield from _below(value[name], ".".join(parts[count:]))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _below(each, path)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case None:
            yield "null"
        case bool():
            yield "true" if value else "false"
        case str():
            yield value
        case int() | float():
            yield str(value)
        case list() | tuple():
            for each in value:
                yield from _texts(each)
        case _:
            return


def conditions(given: Iterable[str]) -> dict[str, list[str]]:
    """Read `field=value`, each: values of one field are alternatives, fields must all fit. Raises ConfigError."""
    found = dict[str, list[str]]()
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not value:
            raise ConfigError(f"invalid condition {text!r}: write field=value, such as severity=LOW.")
        if name not in FIELDS and (not name.startswith(CONTEXT) or name == CONTEXT):
            nearest = suggest(name, FIELDS) or "."
            raise ConfigError(f"There is no field {name!r}{nearest} Use {', '.join(FIELDS)} or {CONTEXT}NAME.")
        words = _WORDS.get(name, ())
        if words and not any(like(value, word) for word in words):
            raise ConfigError(f"{name} cannot be {value!r}{suggest(value, words) or '.'} Use {', '.join(words)}.")
        found.setdefault(name, []).append(value)
    return found
