"""What somebody probably meant by a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` with the nearest of `known`, or all of them if none is near."""
    names = list(known)
    near = get_close_matches(str(given)[:100], names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(names)}" if names else ""


def shown(given: object) -> str:
    """Return `given` as an error quotes it: short, on one line."""
    written = repr(given)
    return written if len(written) <= 80 else f"{written[:77]}..."
