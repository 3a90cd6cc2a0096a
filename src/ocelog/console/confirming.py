"""Whether a person has typed the name of what is about to be lost."""

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase


def check_typed(typed: str, name: str, refusal: Phrase) -> None:
    """Raise ConfigError, which says `refusal`, if what was typed is not the name."""
    if typed.strip() != name:
        raise ConfigError(refusal)
