"""Which values a client's regular expression matches, in time that grows with their length and no faster."""

from collections.abc import Callable
from functools import lru_cache

from wizsim.nearest import shown
from wizsim.refusals import bad_input

LONGEST_PATTERN = 1_000
MOST_PATTERNS = 100


def matcher(patterns: list[str]) -> Callable[[str], bool]:
    """Return whether a value holds a match of any of `patterns`, in RE2's syntax. Raises Refusal.

    What Wiz's own syntax is, and whether it minds case, is not public; its back end is written in Go, whose engine is
    RE2's. Python's engine would let a pattern such as (a+)+$ keep the simulator busy for ever.
    """
    if len(patterns) > MOST_PATTERNS or any(len(pattern) > LONGEST_PATTERN for pattern in patterns):
        raise bad_input(f"matchesRegex: at most {MOST_PATTERNS} patterns of at most {LONGEST_PATTERN} characters")
    for pattern in patterns:
        try:
            _holds(pattern, "")
        except ValueError as wrong:
            raise bad_input(f"matchesRegex: {shown(pattern)} is not a regular expression: {wrong}") from wrong

    @lru_cache(maxsize=10_000)
    def matches(value: str) -> bool:
        return any(_holds(pattern, value) for pattern in patterns)

    return matches


def _holds(pattern: str, value: str) -> bool:
    # Imported when first needed: most tenants are never asked for it, and it takes longer than to draw one.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    return bool(pc.match_substring_regex(pa.scalar(value), pattern).as_py())
