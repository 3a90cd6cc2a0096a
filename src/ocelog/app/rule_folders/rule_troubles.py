"""What is wrong with files of rules: which rules therefore judge nothing, and the alert that people hear of it by."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.suppressing import muted_by
from ocelog.alert.ids import system_alert_id
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.alert.raising import RaisedAlert, over, raised
from ocelog.detect.bundle import kind_of
from ocelog.detect.folders import RULE_FILES, RuleFolder, RuleState
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger
from ocelog.model import Severity

if TYPE_CHECKING:
    from ocelog.detect.checkout import Problem
    from ocelog.rule_workers.judge import LoadedFolder

_JUDGE_EVENTS = frozenset({None, "rule"})
_NEEDED = 5
"""So many files are named in an alert; `ocelog rules list` names the others."""
_MOST_KEYS = 50
_PLACE = re.compile(r"([^\n]{1,300}?:[0-9]+): ")
_DISABLED = re.compile(r"^[\"']?Enabled[\"']?[ \t]*:[ \t]*[\"']?(?:false|no|off)\b", re.MULTILINE | re.IGNORECASE)
_LOG_TYPES = re.compile(r"^[\"']?LogTypes[\"']?[ \t]*:([ \t]*\[[^\]]*\]|(?:[ \t]*\n[ \t]*-[^\n]*)+)", re.MULTILINE)
_LOG_TYPE = re.compile(r"\w+(?:\.\w+)+")


class Unread(Struct, frozen=True, kw_only=True):
    """A rule that judges nothing, as a file of it does not read and no good version of it is known."""

    rule_id: str
    """Empty: its file does not tell."""
    reason: str
    """Opens with `file:line`."""
    log_types: frozenset[str] | None = None
    """What it would judge; None: its file does not tell."""

    def concerns(self, log_type: str) -> bool:
        """Whether it may have judged events of that type."""
        return self.log_types is None or log_type in self.log_types


def unread_rules(loaded: "LoadedFolder", states: Mapping[str, RuleState]) -> list[Unread]:
    """Return the rules about events that do not run since a file does not read."""
    return [each for fault in loaded.faults for each in _unread(loaded, fault, states)]


def _unread(loaded: "LoadedFolder", fault: "Problem", states: Mapping[str, RuleState]) -> Iterator[Unread]:
    if fault.id in loaded.rules:
        return
    if fault.file.endswith(".py"):
        # A helper is no rule: those that need it fail by themselves.
        for name, rule in loaded.rules.items():
            if fault.file in rule.files:
                yield Unread(rule_id=name, reason=fault.message, log_types=frozenset(rule.log_types))
        return
    text = loaded.bundle.files.get(fault.file, b"").decode("utf-8", "replace")
    if kind_of(text) not in _JUDGE_EVENTS or _is_off(fault, text, states):
        return
    types = _LOG_TYPES.search(text)
    yield Unread(
        rule_id="" if fault.id == fault.file else fault.id,
        reason=fault.message,
        log_types=None if types is None else frozenset(_LOG_TYPE.findall(types[1])),
    )


def is_needed(loaded: "LoadedFolder", fault: "Problem", states: Mapping[str, RuleState], known: frozenset[str]) -> bool:
    """Whether somebody has to hear of a fault: unless its rule is off, or about nothing that comes here."""
    text = loaded.bundle.files.get(fault.file, b"").decode("utf-8", "replace")
    if _is_off(fault, text, states):
        return False
    types = _LOG_TYPES.search(text)
    return types is None or not known.isdisjoint(_LOG_TYPE.findall(types[1]))


def _is_off(fault: "Problem", text: str, states: Mapping[str, RuleState]) -> bool:
    state = states.get(fault.id)
    if state is not None and state.enabled is not None:
        return not state.enabled
    return _DISABLED.search(text) is not None


def tell(ledger: Ledger, folder: RuleFolder, troubles: Mapping[str, str]) -> None:
    """Have people hear once of what is wrong with the files of a folder, by file or rule; empty: that it is over.

    What comes to it later is told again. What a person has closed stays closed until then.
    """
    name = system_alert_id(RULE_FILES, folder.id)
    now_us = ledger.system_errors.now_us()
    keys = sorted(troubles)[:_MOST_KEYS]
    muted = muted_by(ledger.alerts.suppressions())

    def to(before: Alert | None) -> RaisedAlert | None:
        if not troubles:
            if before is None:
                return None
            if not before.is_open:
                # It stays closed, and what is wrong from now on is told, though it was wrong before.
                nothing = replace(before, context={**before.context, "wrong": []})
                return RaisedAlert(alert=nothing) if _told_keys(before) else None
            return over(before, now_us, note=kept_text("its files read again"))
        made = _made(name, folder, list(troubles.values()), keys, now_us)
        if before is not None and before.status is not AlertStatus.RESOLVED and set(keys) <= _told_keys(before):
            if (before.description, _told_keys(before)) == (made.description, set(keys)):
                return None
            return RaisedAlert(
                alert=replace(before, description=made.description, context=made.context, updated_us=now_us)
            )
        return raised(made, before, now_us=now_us, muted=muted, again=kept_text("more files have errors"))

    ledger.system_errors.change(name, to)


def _told_keys(alert: Alert) -> set[str]:
    return set(alert.context.get("wrong", ()))


def _title(folder: RuleFolder, reasons: Sequence[str]) -> str:
    """Name the first file, and say how many others there are."""
    place = _PLACE.match(reasons[0])
    if place is None:
        return kept_text("The folder of rules %(folder)s cannot be read", folder=folder.name)
    if len(reasons) > 1:
        more = format(len(reasons) - 1, ",")
        return kept_text("A file of rules has an error: %(place)s, and %(count)s more", place=place[1], count=more)
    return kept_text("A file of rules has an error: %(place)s", place=place[1])


def _made(name: str, folder: RuleFolder, reasons: Sequence[str], keys: Sequence[str], now_us: int) -> Alert:
    said = list(reasons[:_NEEDED])
    if len(reasons) > _NEEDED:
        said.append(kept_text("and %(count)s more", count=format(len(reasons) - _NEEDED, ",")))
    return Alert(
        id=name,
        type=AlertType.DETECTION_ERROR,
        severity=Severity.HIGH,
        title=_title(folder, reasons),
        description="\n".join(said)[:1_000],
        runbook=kept_text(
            "Mend the files: they are read again by themselves, and this alert then ends. What runs meanwhile: "
            "ocelog rules list %(folder)s",
            folder=shlex.quote(folder.name),
        ),
        rule_id=RULE_FILES,
        rule_name="Files of rules",
        dedup=folder.id,
        context={"wrong": list(keys)},
        matches=1,
        opened_us=now_us,
        updated_us=now_us,
    )
