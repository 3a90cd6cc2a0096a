"""How a secret travels through the program without being shown by accident."""

import hmac
import os
import re
from pathlib import Path

from ocelog.languages.phrases import Phrase

INIT_NAMES_THEM = "`ocelog init` makes a new one, and prints the command by which each secret is entered again"
"""What to do if a key is lost."""
_LONGEST_WORD = 30
"""Characters: what people call things is shorter, and what a machine makes up as a secret is longer."""


def may_be_shown(text: str) -> bool:
    """Tell whether an error may repeat what was given: a URL, or no word so long that it may be a secret.

    Secrets are pasted where something else belongs, and errors end up in logs and tickets.
    """
    return "://" in text or all(len(word) <= _LONGEST_WORD for word in re.split(r"[\s/.]+", text))


def shown(text: str) -> str:
    """Return what was given as an error may repeat it."""
    return repr(text) if may_be_shown(text) else hidden(text)


def hidden(text: str) -> Phrase:
    """Return what stands in an error for something that was given and may be a secret."""
    return Phrase("'...' (%(count)s characters, not shown: perhaps a secret)", count=len(text))


def shown_path(path: Path | str) -> str:
    """Return a path as an error may repeat it: what is there is a name, and what is not there may be a secret."""
    missing = [each.name for each in (Path(path), *Path(path).parents) if not os.path.exists(each)]  # noqa: PTH110 - any text
    return str(path) if all(map(may_be_shown, missing)) else hidden(str(path))


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
