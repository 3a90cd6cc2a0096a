"""Rules of a remote Ocelog: which run, what one would have said, and turning them on and off."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from ocelog.alert.would_be import WouldBeAlert
from ocelog.app.rule_folders.rule_folders import SwitchedRules
from ocelog.app.rules.rule_trial import TrialMatch, TrialResult, UnmatchedRule
from ocelog.detect.rule import Kind
from ocelog.detect.unjudged import UnjudgedRows
from ocelog.model import Severity
from ocelog.remote.client import Client
from ocelog.remote.values import instant_of
from ocelog.times import to_us


class Rules(Struct, frozen=True):
    """The rules there."""

    client: Client

    def folders(self, name: str | None) -> list[dict[str, Any]]:
        """Return every folder, or the one of that name, with its rules. Raises OcelogError."""
        found: list[dict[str, Any]] = self.client.get("rule-folders", folder=name)
        return found

    def report(self, name: str) -> dict[str, Any]:
        """Return all that a rule says of itself, and what came of it. Raises OcelogError."""
        found: dict[str, Any] = self.client.get("rules", name, "report")
        return found

    def turn(self, names: Sequence[str], *, on: bool) -> SwitchedRules:
        """Turn rules and packs on or off. Raises OcelogError."""
        done = self.client.send("POST", "rules", "changes", body={"names": list(names), "enabled": on})
        with self.client.reading():
            return SwitchedRules(rules=tuple(done["rules"]), packs=tuple(done["packs"]), living=tuple(done["living"]))

    def tried(self, name: str, *, since: str) -> TrialResult:
        """Return what a rule says of what is in the lake. Raises OcelogError."""
        found = self.client.send("POST", "rules", name, "try", body={"since": since})
        with self.client.reading():
            return _tried(found)

    def unjudged(self, rule: str | None) -> tuple[list[UnjudgedRows], dict[str, str]]:
        """Return what rules said nothing of, and what to do about it, by rule."""
        found = self.client.get("unjudged", rule=rule)
        with self.client.reading():
            todo = {each["rule"] or "": each["to_do"] for each in found if each["to_do"]}
            return list(map(_unjudged, found)), todo

    def dismiss_unjudged(self, rule: str | None) -> int:
        """Have that forgotten; return how many events."""
        done = self.client.send("POST", "unjudged", "dismiss", body={"rule": rule})
        with self.client.reading():
            return int(done["events"])


def _unjudged(found: Mapping[str, Any]) -> UnjudgedRows:
    return UnjudgedRows(
        rule_id=found["rule"] or "",
        table=found["table"],
        source_id=found["source"],
        reason=found["why"],
        rows=found["events"],
        first_us=to_us(instant_of(found["first"])),
        last_us=to_us(instant_of(found["last"])),
        noted_us=0,
    )


def _tried(found: Mapping[str, Any]) -> TrialResult:
    same = ("rule", "events", "matches", "alerts", "told", "errors", "unjudged", "signal", "judging_seconds")
    more = ("query_seconds", "runs", "bounded", "failed_runs", "left_runs")
    return TrialResult(
        **{name: found[name] for name in (*same, *more)},
        kind=Kind(found["kind"]),
        log_types=tuple(found["log_types"]),
        queries=tuple(found["queries"]),
        steps=tuple(found["steps"]),
        since=instant_of(found["since"]),
        until=instant_of(found["until"]),
        by_day={date.fromisoformat(each["day"]): (each["events"], each["matches"]) for each in found["by_day"]},
        first_alerts=[
            WouldBeAlert(
                opened_us=to_us(instant_of(each["opened_at"])),
                severity=Severity(each["severity"]),
                title=each["title"],
                dedup=each["dedup"],
                summary=each["summary"],
                matches=each["matches"],
            )
            for each in found["first_alerts"]
        ],
        samples=[TrialMatch(**{**each, "at": instant_of(each["at"])}) for each in found["samples"]],
        lacking=tuple(UnmatchedRule(**each) for each in found["lacking"]),
    )
