"""What is wrong with folders of rules: noted for whoever looks, and told once to people."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ocelog.app.rule_folders.folder_reading import Bench
from ocelog.app.rule_folders.rule_troubles import is_needed, tell
from ocelog.detect.folders import RuleState, RuleTrouble
from ocelog.ledger.ledger import Ledger
from ocelog.schema.language.packaged import packaged_schemas


@dataclass(slots=True)
class FolderTroubles:
    """Knows of each folder what people were told last is wrong with it."""

    ledger: Ledger
    _told: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def note(
        self,
        benches: Mapping[str, Bench],
        wanted: Mapping[str, Collection[str]],
        states: Mapping[str, RuleState],
    ) -> None:
        """Note why folders, or rules of them that are `wanted`, do not run as their files are now, and have it told."""
        found = {name: list(_troubles(each, wanted.get(name, ()), states)) for name, each in benches.items()}
        self.ledger.rules.note_troubles([trouble for each in found.values() for trouble in each])
        for folder_id, troubles in found.items():
            folder = benches[folder_id].folder
            if folder.is_built_in:
                continue
            told = {each.rule_id: each.told(folder) for each in troubles}
            if self._told.get(folder_id) != told:
                tell(self.ledger, folder, told)
                self._told[folder_id] = told


def _troubles(bench: Bench, wanted: Collection[str], states: Mapping[str, RuleState]) -> Iterator[RuleTrouble]:
    """Yield why a folder, or rules of it that are `wanted`, do not run as their files are now."""
    folder_id, known = bench.folder.id, frozenset(packaged_schemas())
    if bench.trouble is not None:
        more = "nothing of it runs" if bench.loaded is None else "its last good version runs"
        yield RuleTrouble(folder_id=folder_id, rule_id="", reason=f"{bench.trouble}; {more}")
    if bench.loaded is None:
        return
    for each in bench.loaded.kept:
        why = f"{each.message}; its last good version runs"
        yield RuleTrouble(folder_id=folder_id, rule_id=each.id, reason=why)
    for each in bench.loaded.faults:
        if is_needed(bench.loaded, each, states, known):
            yield RuleTrouble(folder_id=folder_id, rule_id=each.id, reason=each.message)
    for name, why in bench.refused.items():
        types = bench.loaded.rules[name].log_types if name in bench.loaded.rules else ()
        if name in wanted and (not types or not known.isdisjoint(types)):
            more = "the rule does not run" if name in bench.off else "its last good version runs"
            yield RuleTrouble(folder_id=folder_id, rule_id=name, reason=f"{why}; {more}")
