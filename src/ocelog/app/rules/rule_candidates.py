"""Which rule is to be asked about the past, what it judges, and who asks it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from ocelog.alert.judged import JudgedBy
from ocelog.app.judging.rule_answers import judged_by
from ocelog.app.log_types import changing, kinds
from ocelog.app.rule_folders.rule_folders import ListedRule, find_rule, listed, near
from ocelog.detect.bundle import read_bundle
from ocelog.detect.checkout import read_checkout
from ocelog.detect.folders import RuleFolder
from ocelog.detect.roots import find_root
from ocelog.detect.rule import CorrelationRule, Kind, Query, Rule
from ocelog.errors import ConfigError, RuleFileError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.rule_workers.judge import Judge
from ocelog.rule_workers.wire import LoadedRule
from ocelog.suggest import suggest


class Candidate(Struct, frozen=True, kw_only=True):
    """A rule that is to be asked, and the files that it is in."""

    id: str
    path: Path
    folder: RuleFolder | None
    """None: it is in no registered folder."""


class OfEvents(Struct, frozen=True, kw_only=True):
    """A rule that judges events."""

    rule: LoadedRule

    @property
    def by(self) -> JudgedBy:
        """The rule as alerts know it."""
        return judged_by(self.rule)


class OfRows(Struct, frozen=True, kw_only=True):
    """A rule that judges the rows of scheduled queries."""

    rule: LoadedRule
    queries: tuple[Query, ...]

    @property
    def by(self) -> JudgedBy:
        """The rule as alerts know it."""
        return judged_by(self.rule)


class OfMatches(Struct, frozen=True, kw_only=True):
    """A rule that looks for what belongs together in the matches of others."""

    rule: CorrelationRule
    revision: str
    others: frozenset[str]
    """Every correlation rule that there is: what these found is none of the matches that it looks at."""
    statuses: Mapping[str, str]
    """Of every rule that there is, whether it is on."""

    @property
    def by(self) -> JudgedBy:
        """The rule as alerts know it."""
        return JudgedBy(about=self.rule.about, revision=self.revision, on_schedule=True)

    @property
    def steps(self) -> tuple[str, ...]:
        """The rules whose matches it looks at."""
        named = {step.rule: None for one in self.rule.correlations for step in one.steps}
        return tuple(name for name in named if name not in self.others)


Asked: TypeAlias = OfEvents | OfRows | OfMatches


def find_candidate(installation: Installation, named: str) -> Candidate:
    """Return the rule of that id in a registered folder, or the one in the file of that name. Raises ConfigError."""
    path = Path(named).expanduser()
    if path.suffix in {".yml", ".yaml", ".py"} and path.exists():
        return Candidate(id="", path=path, folder=None)
    return candidate_of(find_asked(installation, named))


def candidate_of(found: ListedRule) -> Candidate:
    """Return a rule of a registered folder."""
    return Candidate(id=found.id, path=found.root / found.item.place.file, folder=found.folder)


def find_asked(installation: Installation, named: str) -> ListedRule:
    """Return the rule of that id, or the one that judges the rows of the query of that name. Raises ConfigError."""
    found = find_rule(installation, named)
    if not isinstance(found.item, Query):
        return found
    every = [rule for folder in listed(installation) for rule in folder.rules]
    rules = {each.id: each for each in every if isinstance(each.item, Rule) and named in each.item.scheduled_queries}
    if not rules:
        raise ConfigError(
            Phrase(
                "No rule is asked about the rows of the query %(named)s: ask its SQL with `ocelog query`.", named=named
            )
        )
    if len(rules) > 1:
        raise ConfigError(
            Phrase(
                "Several rules are asked about the rows of %(named)s; name one: %(rules)s.",
                named=named,
                rules=", ".join(sorted(rules)),
            )
        )
    (rule,) = rules
    return find_rule(installation, rule)


def judge_of(installation: Installation, candidate: Candidate) -> Judge:
    """Return what judges by the files of a rule, with what its folder is allowed."""
    folder = candidate.folder
    return Judge(
        network=folder is not None and folder.network,
        unsafe=folder is not None and folder.unprotected,
        changing=changing(),
        keep_out=(str(installation.home.path),),
        named=str if folder is None else folder.named_error,
    )


def load_rule(installation: Installation, judge: Judge, candidate: Candidate) -> Asked:
    """Have `judge` read a rule. Raises RuleFileError, and ConfigError if nothing here is what it judges."""
    loaded = judge.load(read_bundle(candidate.path))
    for fault in loaded.faults:
        raise RuleFileError(_from_here(candidate, fault.message))
    together, rules = loaded.correlations, loaded.rules
    if candidate.id in together or (not candidate.id and together):
        return _of_matches(installation, together[candidate.id or next(iter(together))], loaded.revision)
    rule = rules.get(candidate.id) if candidate.id else next(iter(rules.values()), None)
    if rule is None:
        raise ConfigError(Phrase("There is no rule in %(path)s.", path=candidate.path))
    if rule.kind is Kind.SCHEDULED_RULE:
        return OfRows(rule=rule, queries=_queries(installation, candidate, rule))
    known = [one for one in rule.log_types if one in kinds()]
    if not known:
        raise ConfigError(
            Phrase(
                "No source here has events for %(id)s: %(log_types)s.", id=rule.id, log_types=", ".join(rule.log_types)
            )
        )
    return OfEvents(rule=rule)


def _from_here(candidate: Candidate, message: str) -> str:
    """Return what is wrong in a file of a rule, with the file as it is named from the current folder."""
    if candidate.folder is not None:
        return candidate.folder.named(message)
    file, _, rest = message.partition(":")
    return f"{near(find_root(candidate.path) / file)}:{rest}"


def _of_matches(installation: Installation, rule: CorrelationRule, revision: str) -> OfMatches:
    every = [each for folder in listed(installation) for each in folder.rules]
    others = {each.id for each in every if isinstance(each.item, CorrelationRule)}
    return OfMatches(
        rule=rule,
        revision=revision,
        others=frozenset({rule.id, *others}),
        statuses={each.id: each.status for each in reversed(every)},
    )


def _queries(installation: Installation, candidate: Candidate, rule: LoadedRule) -> tuple[Query, ...]:
    """Return the queries whose rows a rule judges: of its own checkout, else of another folder."""
    own = read_checkout(find_root(candidate.path), changing()).queries
    there = {name: each for name, each in own.items() if each.schedule is not None}
    if not there.keys() >= set(rule.scheduled_queries):
        every: Sequence[ListedRule] = [each for folder in listed(installation) for each in folder.rules]
        there = {each.id: each.item for each in every if isinstance(each.item, Query)} | there
    return tuple(_query(name, there, rule.id) for name in dict.fromkeys(rule.scheduled_queries))


def _query(name: str, there: Mapping[str, Query], rule: str) -> Query:
    if name not in there:
        raise ConfigError(
            Phrase(
                "%(rule)s judges the rows of %(name)s, and there is no such query%(name2)s",
                rule=rule,
                name=name,
                name2=suggest(name, there) or ".",
            )
        )
    return there[name]
