"""Which known name a person meant by one that is not there."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import takewhile

from ocelog.languages.phrases import Phrase

_MOST_COMPARED = 50_000
"""Comparisons for one list, which take a second or so; names that are looked for after that get no suggestion."""


def suggest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `; did you mean 'x'?` with the name in `known` that is most like `name`, or nothing if none is.

    It ends a clause that has no full stop yet, so a caller writes `{suggest(name, known) or "."}`. `cutoff` is how
    alike they must be, from 0 to 1.
    """
    found = nearest(name, known, cutoff=cutoff)
    return "" if found is None else Phrase("; did you mean %(name)s?", name=repr(found))


@dataclass(slots=True)
class Suggestions:
    """What was meant by names that are not in a list: quickly, however many they are."""

    known: Collection[str]
    _compared: int = 0
    _told: dict[str, str] = field(default_factory=dict)

    def suggest(self, name: str) -> str:
        """Return what `suggest` does; nothing, too, if many others were looked for."""
        if name not in self._told:
            if self._compared >= _MOST_COMPARED:
                return ""
            self._compared += len(self.known)
            self._told[name] = suggest(name, self.known)
        return self._told[name]


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the name in `known` that is most like `name`; None if none is, by `cutoff`."""
    by_fold = {one.casefold(): one for one in sorted(known)}
    meant = name[:100].casefold()
    for found in get_close_matches(meant, by_fold, n=5, cutoff=cutoff):
        # What both begin with, as Ocelog.Wiz. does, says nothing of how alike the rest is.
        same = _common_start(meant, found).rpartition(".")[0]
        if get_close_matches(meant[len(same) :], [found[len(same) :]], n=1, cutoff=cutoff):
            return by_fold[found]
    return None


def _common_start(one: str, other: str) -> str:
    return "".join(letter for letter, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
