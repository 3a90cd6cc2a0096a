"""How a secret travels through the program without being shown by accident."""

import hmac

ENTER_EACH_AGAIN = "enter each source's secret again: `ocelog source rotate NAME` for each NAME of `ocelog source list`"
"""What to do under a new key."""


class Secret:
    """A text that no repr, str, format or comparison gives away; `reveal` is the one way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("A secret is not copied or pickled: hand on the Secret itself.")
