"""What a rule says of an event: whether it matches, and if so everything that the alert will say.

Wrong types, empty answers and exceptions get the defaults of the contract, function by function; what raised is noted.
Nothing here knows of processes: whoever calls bounds time and memory. How many matches make an alert, such as 5 in 10
minutes, is decided in `alert/grouping.py`.
"""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.detect.checkout import Checkout
from ocelog.detect.enrich import Selector, enriched, selectors
from ocelog.detect.event import Event, EventList, ModelField, Surroundings, Tables, data_of, to_plain
from ocelog.detect.modules import Fault, Modules
from ocelog.detect.paths import Path, parse_path
from ocelog.detect.rule import SUPPRESSED, DataModel, Kind, Rule
from ocelog.model import Severity

_T = TypeVar("_T")
_MOST_CHARACTERS = 1_000
_MOST_CONTEXT = 200 * 1024
"""Characters of JSON."""
_MOST_DESTINATIONS = 10
_CUT = "... (truncated)"
_OPTIONAL = (
    "title",
    "description",
    "reference",
    "severity",
    "runbook",
    "destinations",
    "dedup",
    "alert_context",
    "unique",
)
"""In the order in which they are called."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What a rule says of an event. Unless it matched, only `error` means anything."""

    matched: bool
    error: Fault | None = None
    """Why there is no answer: the rule, or a filter before it, raised or answered something else."""
    title: str = ""
    description: str = ""
    reference: str = ""
    runbook: str = ""
    severity: Severity = Severity.INFO
    destinations: tuple[str, ...] | None = None
    """None: the default routing; none at all: suppressed."""
    dedup: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    unique: str | None = None
    raised: tuple[Fault, ...] = ()
    """Of the optional functions."""
    notes: tuple[str, ...] = ()
    """Answers of optional functions that were of the wrong type, empty, unknown or too long."""
    unusable: tuple[str, ...] = ()
    """The notes on answers of which nothing could be used, such as those of the wrong type."""


NO_MATCH = Verdict(matched=False)


class Detector:
    """A rule that is ready to be asked."""

    __slots__ = ("_ask", "_functions", "_modules", "fault", "module", "rule")

    def __init__(self, rule: Rule, modules: Modules) -> None:
        self.rule = rule
        self._modules = modules
        self.module: ModuleType | None = None
        self.fault: Fault | None = None
        """Why the rule cannot be asked."""
        self._functions: dict[str, Callable[[Event], Any]] = {}
        self._ask: Callable[[Event], Any] | None = None
        if rule.file is not None:
            self._load(rule.file)

    def _load(self, file: str) -> None:
        loaded = self._modules.load(file)
        if isinstance(loaded, Fault):
            self.fault = loaded
            return
        self.module = loaded
        self.refresh()
        if self._ask is None and self.rule.kind is not Kind.SCHEDULED_RULE:
            self.fault = Fault(function="setup", type="AttributeError", message=f"{file} has no function rule()")

    def refresh(self) -> None:
        """Take the functions from the module again, after names in it were replaced."""
        found = {name: getattr(self.module, name, None) for name in ("rule", *_OPTIONAL)}
        self._functions = {name: function for name, function in found.items() if callable(function)}
        self._ask = self._functions.pop("rule", None)

    def judge(self, event: Event, channels: Mapping[str, str] | None = None) -> Verdict:
        """Return what the rule says of `event`. `channels`: name or id -> id of those there are; None: any is known."""
        if self.fault is not None:
            return Verdict(matched=False, error=self.fault)
        rule = self.rule
        if rule.inline_filters is not None:
            try:
                if not rule.inline_filters.is_true(data_of(event), missing_passes=True):
                    return NO_MATCH
            except Exception as error:  # noqa: BLE001  # values that cannot be compared
                return Verdict(matched=False, error=self._modules.fault("inline filters", error))
        if self._ask is not None:
            try:
                answer = self._ask(event)
            except BaseException as error:  # noqa: BLE001  # SystemExit too is the rule's error
                return Verdict(matched=False, error=self._modules.fault("rule", error))
            if answer is False:
                return NO_MATCH
            if answer is not True:
                message = f"expected True or False, found {_shown(answer)}"
                return Verdict(matched=False, error=Fault(function="rule", type="TypeError", message=message))
        elif rule.detection is not None:
            try:
                if not rule.detection.is_true(data_of(event)):
                    return NO_MATCH
            except Exception as error:  # noqa: BLE001  # values that cannot be compared
                return Verdict(matched=False, error=self._modules.fault("rule", error))
        try:
            return _Match(self.rule, self._functions, self._modules, event).verdict(channels)
        except BaseException as error:  # noqa: BLE001  # what a function answered raises as soon as it is looked at
            return Verdict(matched=False, error=self._modules.fault("rule", error))


def _exact(answer: Any) -> Any:
    """Return a text or a list as one of Python's own: a rule's subclass may raise when it is used."""
    if isinstance(answer, str):
        return str.__str__(answer)
    return list(answer) if isinstance(answer, list | tuple | EventList) else answer


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    try:
        return f"{type(value).__name__} {value!r:.60}"
    except BaseException:  # noqa: BLE001  # a rule's own class may raise when it is shown
        return type(value).__name__


class _Match:
    """Asks a rule that matched for everything else, one function after the other."""

    def __init__(
        self, rule: Rule, functions: Mapping[str, Callable[[Event], Any]], modules: Modules, event: Event
    ) -> None:
        self._rule = rule
        self._functions = functions
        self._modules = modules
        self._event = event
        self._raised: list[Fault] = []
        self._notes: list[str] = []
        self._unusable: list[str] = []

    def verdict(self, channels: Mapping[str, str] | None) -> Verdict:
        about = self._rule.about
        titled = self._title()
        description = self._text("description", "", about.description)
        reference = self._text("reference", "", about.reference)
        severity = self._severity()
        runbook = self._text("runbook", "", about.runbook)
        destinations = self._destinations(channels)
        dedup = self._dedup(titled)
        context = self._context()
        unique = self._text("unique", None, None)
        return Verdict(
            matched=True,
            title=titled or (about.name if titled is None else about.id),
            description=description,
            reference=reference,
            severity=severity,
            runbook=runbook,
            destinations=destinations,
            dedup=dedup,
            context=context,
            unique=unique,
            raised=tuple(self._raised),
            notes=tuple(self._notes),
            unusable=tuple(self._unusable),
        )

    def _refuse(self, note: str) -> None:
        self._notes.append(note)
        self._unusable.append(note)

    def _call(self, name: str) -> tuple[bool, Any]:
        """Return whether the function `name` answered, and what."""
        try:
            return True, _exact(self._functions[name](self._event))
        except BaseException as error:  # noqa: BLE001  # SystemExit too is the rule's error
            self._raised.append(self._modules.fault(name, error))
            return False, None

    def _text(self, name: str, default: _T, undefined: _T) -> str | _T:
        """Return the text that the function `name` answers; `default` if none, `undefined` if it is not there."""
        if name not in self._functions:
            return undefined
        answered, answer = self._call(name)
        if not answered:
            return default
        if not isinstance(answer, str):
            self._refuse(f"{name}: expected text, found {_shown(answer)}")
            return default
        if not answer:
            self._notes.append(f"{name}: expected text, found {_shown(answer)}")
            return default
        return self._cut(name, answer)

    def _cut(self, name: str, text: str) -> str:
        if len(text) > _MOST_CHARACTERS:
            self._notes.append(f"{name}: cut to {_MOST_CHARACTERS:,} characters")
            text = text[: _MOST_CHARACTERS - len(_CUT)] + _CUT
        # As the ledger can hold it: from what it has, the group of an alert is found again.
        valid: str = _valid(text).replace("\0", "\ufffd")
        return valid

    def _title(self) -> str | None:
        """Return the title; empty if title() answered nothing, None if there is none to ask."""
        if "title" in self._functions:
            answered, answer = self._call("title")
            if answered and isinstance(answer, str):
                return self._cut("title", answer)
            if answered:
                self._refuse(f"title: expected text, found {_shown(answer)}")
            return self._rule.id
        if self._rule.alert_title:
            return self._cut("title", _filled(self._rule.alert_title, data_of(self._event)))
        return None

    def _severity(self) -> Severity:
        static = self._rule.about.severity
        if "severity" in self._functions:
            answered, answer = self._call("severity")
            if not answered:
                return static
            if isinstance(answer, str) and answer.upper() in Severity.__members__:
                return Severity(answer.upper())
            if not isinstance(answer, str) or answer.upper() != "DEFAULT":
                self._refuse(f"severity: expected one of {', '.join(Severity)}, found {_shown(answer)}")
            return static
        for dynamic in self._rule.dynamic_severities:
            try:
                if dynamic.conditions.is_true(data_of(self._event)):
                    return dynamic.severity
            except Exception as error:  # noqa: BLE001  # values that cannot be compared
                self._raised.append(self._modules.fault("severity", error))
                return static
        return static

    def _destinations(self, channels: Mapping[str, str] | None) -> tuple[str, ...] | None:
        if "destinations" not in self._functions:
            return None
        answered, answer = self._call("destinations")
        if not answered or answer is None:
            return None
        if not isinstance(answer, list) or not all(isinstance(one, str) for one in answer):
            self._refuse(f"destinations: expected a list of names, found {_shown(answer)}")
            return None
        names = [str.__str__(one) for one in answer]
        if SUPPRESSED in names:
            return ()
        known = dict(zip(names, names, strict=True)) if channels is None else channels
        unknown = [one for one in names if one not in known]
        if unknown:
            self._notes.append(f"destinations: there is no {unknown[0]!r}")
            return None
        found = [known[one] for one in names]
        if len(set(found)) < len(found):
            self._notes.append("destinations: one of them is repeated")
            return None
        return tuple(found[:_MOST_DESTINATIONS])

    def _dedup(self, titled: str | None) -> str:
        fallback = f"defaultDedupString:{self._rule.id}"
        if "dedup" in self._functions:
            return self._text("dedup", fallback, fallback)
        if self._rule.group_by:
            data = data_of(self._event)
            return self._cut("dedup", ", ".join(f"{path.text}={_value(path, data)}" for path in self._rule.group_by))
        return titled or fallback

    def _context(self) -> Mapping[str, Any]:
        if "alert_context" not in self._functions:
            data = data_of(self._event)
            entries = self._rule.alert_context
            return self._bounded({one.name: one.path.read(data)[1] if one.path else one.value for one in entries})
        answered, answer = self._call("alert_context")
        if not answered:
            return {"_error": str(self._raised[-1])}
        if not isinstance(answer, Mapping):
            return self._no_context(f"expected a mapping, found {_shown(answer)}", self._refuse)
        return self._bounded(answer)

    def _bounded(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        if not context:
            return {}
        try:
            plain = to_plain(context)
            text = json.dumps(plain, allow_nan=False)
            if "\\ud" in text:
                plain = _valid(plain)
        except BaseException as error:  # noqa: BLE001  # NaN, a strange thing, a mapping that raises, a circle
            problem = f"it cannot be written as JSON: {self._modules.fault('', error).message}"
            return self._no_context(problem, self._refuse)
        if len(text) > _MOST_CONTEXT:
            problem = f"it has {len(text):,} characters; at most {_MOST_CONTEXT:,} are kept"
            return self._no_context(problem, self._notes.append)
        found: Mapping[str, Any] = plain
        return found

    def _no_context(self, problem: str, note: Callable[[str], None]) -> Mapping[str, Any]:
        note(f"alert_context: {problem}")
        return {"_error": f"alert_context: {problem}"[:_MOST_CHARACTERS]}


def _valid(value: Any) -> Any:
    """Return `value`, plain, without halves of pairs of surrogates, which would fail those who write the text down."""
    match value:
        case str():
            return str.encode(value, "utf-8", "replace").decode()
        case dict():
            return {_valid(key): _valid(item) for key, item in value.items()}
        case list():
            return [_valid(item) for item in value]
    return value


def _filled(template: str, data: Any) -> str:
    """Fill in the paths that stand in braces."""
    head, *pieces = template.split("{")
    filled = [head]
    for piece in pieces:
        inner, closed, rest = piece.partition("}")
        filled.append(_value(parse_path(inner), data) + rest if closed else "{" + piece)
    return "".join(filled)


def _value(path: Path, data: Any) -> str:
    _, value = path.read(data)
    return value if isinstance(value, str) else json.dumps(value)


class RuleSet:
    """The rules of a checkout, ready to be asked, with what events are shown beside themselves."""

    def __init__(self, checkout: Checkout) -> None:
        helpers = {one.id: one.file for one in checkout.globals.values()}
        self._modules = Modules(checkout.sources, helpers, checkout.refused)
        self._checkout = checkout
        self._around: dict[str | None, Surroundings] = {}
        self._selectors: dict[str | None, tuple[Selector, ...]] = {}

    @cached_property
    def detectors(self) -> Mapping[str, Detector]:
        """Every rule by its id. Runs the Python of all of them when it is first asked for."""
        return {name: self.load(rule) for name, rule in self._checkout.rules.items()}

    @property
    def tables(self) -> Tables:
        """The lookup tables of the checkout."""
        return self._checkout.rows

    def load(self, rule: Rule) -> Detector:
        """Return one rule of the checkout, ready to be asked. Runs its Python."""
        return Detector(rule, self._modules)

    def event(self, data: dict[str, Any], log_type: str | None, tables: Tables | None = None) -> Event:
        """Return `data` as rules see it, with the data model of `log_type`, and what lookup tables have for it.

        `tables`: what event.lookup() asks instead of the tables of the checkout.
        """
        around = self._around.get(log_type)
        if around is None:
            around = self._around[log_type] = self._surroundings(log_type)
            self._selectors[log_type] = selectors(self._checkout, log_type)
        if wanted := self._selectors[log_type]:
            data = enriched(data, wanted)
        return Event(data, around if tables is None else replace(around, tables=tables))

    def _surroundings(self, log_type: str | None) -> Surroundings:
        model = self._checkout.models.get(log_type) if log_type else None
        if model is None:
            return Surroundings(tables=self._checkout.rows)
        return Surroundings(model_id=model.id, mappings=self._mappings(model), tables=self._checkout.rows)

    def _mappings(self, model: DataModel) -> Mapping[str, ModelField]:
        module = self._modules.load(model.file) if model.file else None
        return {
            one.name: ModelField(
                name=one.name,
                path=one.path.text if one.path else None,
                reads=one.path,
                method=_method(module, one.method, model) if one.method else None,
                method_name=one.method,
            )
            for one in model.mappings
        }


def _method(module: ModuleType | Fault | None, name: str, model: DataModel) -> Callable[[Any], Any]:
    found = None if isinstance(module, Fault) else getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return] # what it answers is checked by who calls it
    why = module.message if isinstance(module, Fault) else f"{model.file} has no function {name}()"

    def missing(_: Any) -> Any:
        raise LookupError(f"the data model {model.id!r} cannot read this: {why}")

    return missing
