"""How the value of an option is read, so that what is wrong with it names the option."""

from collections.abc import Callable
from typing import TypeVar

from ocelog.errors import ConfigError

T = TypeVar("T")
V = TypeVar("V")


def option_value(option: str, read: Callable[[V], T], given: V) -> T:
    """Return what was `given` for `option`, as `read` reads it. Raises ConfigError, which names the option."""
    try:
        return read(given)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
