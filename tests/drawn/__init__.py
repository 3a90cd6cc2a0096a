"""How many examples a property test draws: a fifth of them where tests are to be quick."""

import os


def examples(count: int) -> int:
    """Return `count`; in `make test`, a fifth of it, and at least 10."""
    return max(10, count // 5) if os.environ.get("HYPOTHESIS_PROFILE") == "quick" else count
