"""What judging the past again comes to, and under which claims it lands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from ocelog.alert.deciding import News, Policy
from ocelog.alert.judged import UnjudgedEvents
from ocelog.app.claims import HomeClaims
from ocelog.app.loops.detecting import policy_of
from ocelog.app.rules.rule_trial import UnmatchedRule
from ocelog.detect.rule import Kind
from ocelog.detect.unjudged import ReplayRange
from ocelog.kept_texts import kept_text
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.pulling import holder_of

_REPLAY = "judge again"
"""What a claim is called."""
MAX_TRIES = 20
"""To land: each that fails means that another has taken the claims."""


@dataclass(slots=True, kw_only=True)
class RuleReplay:
    """What judging again came to."""

    rule: str
    kind: Kind
    log_types: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    """Whose rows it judges."""
    steps: tuple[str, ...] = ()
    """Whose matches it looks at."""
    since: datetime
    until: datetime
    alerts: bool
    events: int = 0
    """Rows of queries, or matches of other rules, if these are what it judges."""
    matches: int = 0
    """That are new: they had not landed before."""
    told: int = 0
    """Messages to channels."""
    waiting: int = 0
    """Events, or runs, that were left to the loop, which has not come to them yet."""
    read_by: datetime | None = None
    """What was read later is left to the next run of a schedule; None: nothing is."""
    without_source: int = 0
    """Events of sources that are not there any more."""
    settled: int = 0
    """Events that were unjudged until now, and are not any more."""
    stay: int = 0
    """Events that stay unjudged, as their source was removed."""
    failed: dict[str, int] = field(default_factory=dict)
    """Why the rule said nothing -> of how many events."""
    runs: int = 0
    """Of its queries, those that failed too."""
    bounded: bool = False
    """Whether there were more runs than are made at once: those from `since` on were made."""
    failed_runs: dict[str, int] = field(default_factory=dict)
    """Why a query, or looking for what belongs together, failed -> how often."""
    left_runs: int = 0
    """That were not made, as those before failed one after the other."""
    lacking: tuple[UnmatchedRule, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the rule said something of all that it was to judge."""
        return not self.failed and not self.failed_runs and not self.left_runs


def replay_claims(ledger: Ledger, home_id: str) -> HomeClaims:
    """Return the claims to land what is judged again.

    They guard the names of files; the ledger lets each match land once. So whoever comes last takes them, and the other
    takes them back for its next piece: nobody waits for one that was killed.
    """
    return HomeClaims(ledger, holder_of(home_id), _REPLAY, lease=timedelta(0))


def policy_again(ledger: Ledger, done: RuleReplay) -> Policy:
    """Return by what alerts are decided: whether people hear of what is judged again."""
    return replace(policy_of(ledger), again=News.NEW if done.alerts else News.HISTORY)


def settle(
    ledger: Ledger,
    done: RuleReplay,
    tables: Collection[str],
    covered: ReplayRange,
    left: Mapping[str, Sequence[UnjudgedEvents]],
) -> None:
    """Forget what the rule had said nothing of and has judged by now, and note what is `left`, by table."""
    noted = ledger.rules.settle_unjudged(done.rule, tables, covered, left)
    done.settled = max(0, noted - sum(len(each.events) for some in left.values() for each in some))
    there = {"", *(row.id for row in ledger.sources.listed())}
    mine = [each for each in ledger.rules.unjudged() if each.rule_id == done.rule]
    done.stay = sum(each.rows for each in mine if each.source_id not in there)
    if done.events and done.is_whole and all(each.source_id not in there for each in mine):
        state = ledger.rules.states().get(done.rule)
        # That it is suspended is so until a person enables it.
        others = False if state is not None and state.suspended_us is not None else None
        why = kept_text("the rule judged again what it had failed on")
        ledger.alerts.end_errors(done.rule, why, suspended=others)
