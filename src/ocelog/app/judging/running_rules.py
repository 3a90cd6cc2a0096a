"""Which rules and queries run, of all folders: those that are on, whose files read, and that no other folder hides."""

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.app.rule_folders.folder_reading import Bench
from ocelog.app.rule_folders.rule_troubles import Unread
from ocelog.detect.deciding import decisions, shadowed
from ocelog.detect.folders import RuleState
from ocelog.detect.rule import CorrelationRule, Kind, Query
from ocelog.rule_workers.wire import LoadedRule


class RunningRules(Struct, frozen=True, kw_only=True):
    """What runs, by id, as of one look; suspended rules are among it."""

    rules: Mapping[str, tuple[Bench, LoadedRule]] = field(default_factory=dict)
    """Those that judge what lands."""
    scheduled: Mapping[str, tuple[Bench, LoadedRule]] = field(default_factory=dict)
    """Those that judge rows of scheduled queries."""
    queries: Mapping[str, Query] = field(default_factory=dict)
    correlations: Mapping[str, tuple[CorrelationRule, str]] = field(default_factory=dict)
    """Each with the revision of its folder."""
    suspended: Mapping[str, str] = field(default_factory=dict)
    """Those of the rules that are, and why."""
    wanted: Mapping[str, Collection[str]] = field(default_factory=dict)
    """What would run of each folder, were its files good."""


def running(benches: Mapping[str, Bench], states: Mapping[str, RuleState]) -> RunningRules:
    """Return what runs of folders as they were read."""
    loaded = [(bench.folder, bench.loaded) for bench in benches.values() if bench.loaded is not None]
    hidden = shadowed(loaded)
    wanted = {
        folder.id: {name for name, each in decisions(found, folder, states).items() if each.runs}
        - hidden[folder.id].keys()
        for folder, found in loaded
    }
    on = {folder_id: names - benches[folder_id].silent for folder_id, names in wanted.items()}
    rules = {
        name: (benches[folder.id], rule)
        for folder, found in loaded
        for name, rule in found.rules.items()
        if name in on[folder.id]
    }
    return RunningRules(
        rules={name: each for name, each in rules.items() if each[1].kind is Kind.RULE},
        scheduled={name: each for name, each in rules.items() if each[1].kind is Kind.SCHEDULED_RULE},
        queries={
            name: query
            for folder, found in loaded
            for name, query in found.queries.items()
            if query.schedule is not None and name in on[folder.id]
        },
        correlations={
            name: (rule, found.revision)
            for folder, found in loaded
            for name, rule in found.correlations.items()
            if name in on[folder.id]
        },
        suspended={
            name: state.reason for name, state in states.items() if state.suspended_us is not None and name in rules
        },
        wanted=wanted,
    )


def unread(benches: Mapping[str, Bench], now: RunningRules) -> list[Unread]:
    """Return what would judge, were its files good; what stands for a folder if its rules are not known."""
    return [each for bench in benches.values() for each in _unread(bench, now)]


def _unread(bench: Bench, now: RunningRules) -> Iterator[Unread]:
    wanted = now.wanted.get(bench.folder.id, ())
    every = f"{bench.folder.name}/*"
    if bench.loaded is None:
        yield Unread(rule_id=every, reason=f"its folder cannot be read: {bench.trouble}")
        return
    for each in bench.unread:
        # A file that does not say which rule it has is no rule that could be off.
        if each.rule_id in wanted or (each.rule_id not in bench.loaded.rules and each.rule_id not in now.rules):
            yield replace(each, rule_id=each.rule_id or every, reason=bench.folder.named(each.reason))
    for name in bench.off.intersection(wanted):
        if name in bench.loaded.rules:
            types = frozenset(bench.loaded.rules[name].log_types)
            reason = bench.folder.named(bench.refused.get(name, ""))
            yield Unread(rule_id=name, reason=reason, log_types=types)
