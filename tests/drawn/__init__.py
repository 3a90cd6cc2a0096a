"""How many examples a property test draws: a tenth of them where tests are to be quick."""

import os


def examples(count: int) -> int:
    """Return `count`; in `make test`, a tenth of it, and at least 15."""
    return max(15, count // 10) if os.environ.get("HYPOTHESIS_PROFILE") == "quick" else count
