"""A rule that is asked about the past, or whose tests run, for as long as somebody waits for what comes of it."""

import shlex
import time
from datetime import UTC, datetime, timedelta

from fastapi import Request

from ocelog.app.rule_folders.rule_folders import ListedRule
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
    request: Request, asker: Asker, installation: Installation, rule_id: str, past: timedelta
) -> TrialResult:
    """Return what the rule of that id says of what happened within `past`.

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
    late = Phrase(
        "That takes more than %(within_s)s s: try a shorter past, or a command. See: ocelog rules try --help",
        within_s=format(_WITHIN_S, ".0f"),
    )

    def look(stop: Stop) -> TrialResult:
        candidate = rule_candidates.candidate_of(rule_candidates.find_asked(installation, rule_id))
        return rule_history.try_rule(
            installation, candidate, since=since, told=lambda _what, _done, _all: _go_on(until, stop, late), stop=stop
        )

    return await answered(request, asker, look)


async def tested(request: Request, asker: Asker, rule: ListedRule) -> rules.Report:
    """Return what the tests of a rule's file come to. Raises QueryError if they take too long."""
    file, until = rule.root / rule.item.place.file, time.monotonic() + _WITHIN_S
    late = Phrase(
        "The tests take more than %(within_s)s s. A command waits for them: ocelog rules test %(file)s",
        within_s=format(_WITHIN_S, ".0f"),
        file=shlex.quote(str(file)),
    )

    def run(stop: Stop) -> rules.Report:
        return rules.run_tests(file, told=lambda _done, _all: _go_on(until, stop, late))

    return await answered(request, asker, run)


def _go_on(until: float, stop: Stop, late: Phrase) -> None:
    """Raise QueryError, which says `late`, once it is `until`, or nobody waits for what a rule says."""
    if stop.is_set or time.monotonic() > until:
        raise QueryError(late)
