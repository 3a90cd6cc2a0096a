"""Which rules of a folder run, with the reason of each decision."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from ocelog.detect.folders import RuleFolder, RuleState
from ocelog.detect.rule import About, CorrelationRule, Pack, Query, Rule
from ocelog.languages.phrases import Phrase

_BY_A_PERSON = {True: Phrase("enabled by a person"), False: Phrase("disabled by a person")}
_BY_ITS_FILE = {True: Phrase("`Enabled: true` in its file"), False: Phrase("`Enabled: false` in its file")}


class Decision(Struct, frozen=True, kw_only=True):
    """Whether a rule runs, and why."""

    runs: bool
    why: str


Decided: TypeAlias = Rule | CorrelationRule | Query
"""What runs or does not."""


class Described(Protocol):
    """A rule, as far as it says of itself whether it is enabled."""

    @property
    def about(self) -> About:
        """What it says of itself."""
        ...


class Contents(Protocol):
    """What is in a folder: a checkout, or what a judge says that it has loaded."""

    @property
    def rules(self) -> Mapping[str, Described]:
        """Rules by id."""
        ...

    @property
    def correlations(self) -> Mapping[str, CorrelationRule]:
        """Correlation rules by id."""
        ...

    @property
    def queries(self) -> Mapping[str, Query]:
        """Queries by name."""
        ...

    @property
    def packs(self) -> Mapping[str, Pack]:
        """Packs by id."""
        ...

    def members(self, pack: Pack) -> tuple[str, ...]:
        """Return the ids that `pack` turns on."""
        ...


def decisions(checkout: Contents, folder: RuleFolder, states: Mapping[str, RuleState]) -> dict[str, Decision]:
    """Return of each rule and scheduled query of a folder whether it runs; a suspended one counts as one that does.

    What a person said of the rule itself decides, then a pack that is on, then one that is off, then its file.
    """
    on = _packs_of(checkout, (name for name, wanted in folder.packs.items() if wanted))
    off = _packs_of(checkout, (name for name, wanted in folder.packs.items() if not wanted))
    return {name: _decide(one, states.get(name), on.get(name), off.get(name)) for name, one in _decided(checkout)}


def shadowed(folders: Sequence[tuple[RuleFolder, Contents]]) -> dict[str, dict[str, str]]:
    """Return, by id of a folder, each rule there that does not run, as a folder before it has one of that id: which."""
    first = dict[str, RuleFolder]()
    found = dict[str, dict[str, str]]()
    for folder, checkout in folders:
        found[folder.id] = {
            name: first[name].name for name, _ in _decided(checkout) if first.setdefault(name, folder).id != folder.id
        }
    return found


def _decided(checkout: Contents) -> Iterator[tuple[str, Described | Query]]:
    yield from checkout.rules.items()
    yield from checkout.correlations.items()
    yield from ((name, one) for name, one in checkout.queries.items() if one.schedule is not None)


def _packs_of(checkout: Contents, packs: Iterable[str]) -> dict[str, str]:
    """Return each member of `packs`, with the first pack that it is in."""
    found = dict[str, str]()
    for name in sorted(packs):
        if (pack := checkout.packs.get(name)) is not None:
            for member in checkout.members(pack):
                found.setdefault(member, name)
    return found


def _decide(one: Described | Query, state: RuleState | None, on: str | None, off: str | None) -> Decision:
    if state is not None and state.enabled is not None:
        return Decision(runs=state.enabled, why=_BY_A_PERSON[state.enabled])
    if on is not None:
        return Decision(runs=True, why=Phrase("the pack %(pack)s is enabled", pack=on))
    if off is not None:
        return Decision(runs=False, why=Phrase("the pack %(pack)s is disabled", pack=off))
    enabled = one.enabled if isinstance(one, Query) else one.about.enabled
    return Decision(runs=enabled, why=_BY_ITS_FILE[enabled])
