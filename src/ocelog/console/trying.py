"""A rule that is asked about the past, for as long as somebody waits for what it says."""

import time
from datetime import UTC, datetime, timedelta

from fastapi import Request

from ocelog.app.rule_folders import rule_folders
from ocelog.app.rules import rule_candidates, rule_history, rules
from ocelog.app.rules.rule_trial import TrialResult
from ocelog.app.search.queries import Stop
from ocelog.console.asking import Asker, answered
from ocelog.errors import ConfigError, QueryError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase

LONGEST_PAST = timedelta(days=30)
_WITHIN_S = 50.0
"""Seconds: a connection is closed after 60."""


async def tried(
    request: Request, asker: Asker, installation: Installation, rule: rule_folders.ListedRule, past: timedelta
) -> TrialResult:
    """Return what a rule says of what happened within `past`.

    Raises ConfigError for too long a past and for a rule that judges nothing here, QueryError if it takes too long,
    and RuleFileError if the rule cannot be read.
    """
    if not timedelta(0) < past <= LONGEST_PAST:
        raise ConfigError(
            Phrase(
                "A rule is tried over at most %(days)s days here; a longer past takes a command. See: "
                "ocelog rules try --help",
                days=LONGEST_PAST.days,
            )
        )
    since, until = datetime.now(UTC) - past, time.monotonic() + _WITHIN_S

    def look(stop: Stop) -> TrialResult:
        candidate = rule_candidates.candidate_of(rule_candidates.find_asked(installation, rule.id))
        return rule_history.try_rule(
            installation, candidate, since=since, told=lambda _what, _done, _all: _go_on(until, stop), stop=stop
        )

    return await answered(request, asker, look)


async def tested(request: Request, asker: Asker, rule: rule_folders.ListedRule) -> rules.Report:
    """Return what the tests of a rule's file come to. Raises as `tried` does."""
    until = time.monotonic() + _WITHIN_S

    def run(stop: Stop) -> rules.Report:
        return rules.run_tests(rule.root / rule.item.place.file, told=lambda _done, _all: _go_on(until, stop))

    return await answered(request, asker, run)


def _go_on(until: float, stop: Stop) -> None:
    """Raise QueryError once a rule has been asked for too long, or nobody waits for what it says."""
    if stop.is_set or time.monotonic() > until:
        raise QueryError(
            Phrase(
                "That takes more than %(within_s)s s: try a shorter past, or a command. See: ocelog rules try --help",
                within_s=format(_WITHIN_S, ".0f"),
            )
        )
