"""What several processes that judge said of the same rows, as alerts are made of it."""

from collections.abc import Mapping, Sequence

from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, RuleError, UnjudgedEvents
from ocelog.detect.rule import Kind
from ocelog.rule_workers.judge import RowAnswers
from ocelog.rule_workers.wire import LoadedRule


def said_of(events: Sequence[Event], asked: Mapping[str, JudgedBy], answers: Sequence[RowAnswers]) -> Judgement:
    """Return what several judges said of the same rows, each of which is an event."""
    matches, errors, unjudged = list[tuple[int, Match]](), list[RuleError](), list[UnjudgedEvents]()
    for found in answers:
        matches += [
            (each.row, Match(rule=asked[each.rule], event=events[each.row], verdict=each.verdict))
            for each in found.matches
        ]
        errors += [
            RuleError(
                rule=asked[each.rule],
                type=each.fault.type,
                message=each.fault.message,
                events=events[each.first : each.last],
            )
            for each in found.errors
        ]
        unjudged += [
            UnjudgedEvents(
                rule_id=each.rule,
                reason=each.reason,
                events=events[each.first : each.last],
                own_fault=each.own_fault,
            )
            for each in found.unjudged
        ]
    matches.sort(key=lambda each: each[0])
    return Judgement(
        events=events,
        rules=asked,
        matches=[match for _, match in matches],
        errors=errors,
        unjudged=unjudged,
        seconds={name: seconds for found in answers for name, seconds in found.seconds.items()},
    )


def judged_by(rule: LoadedRule, folder_id: str = "") -> JudgedBy:
    """Return a rule as alerts know it."""
    return JudgedBy(
        about=rule.about, revision=rule.revision, folder_id=folder_id, on_schedule=rule.kind is not Kind.RULE
    )
