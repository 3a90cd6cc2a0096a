"""How long one try may take as a whole: what is left of its time bounds every wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ocelog.errors import ChannelUnavailableError
from ocelog.languages.phrases import Phrase


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of one try."""

    seconds: float
    host: str
    monotonic: Callable[[], float] = time.monotonic
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_until", self.monotonic() + self.seconds)

    def within(self, timeout: float | None = None) -> float:
        """Return `timeout`, or what is left if that is less. Raises ChannelUnavailableError if nothing is."""
        left = self._until - self.monotonic()
        if left <= 0:
            raise ChannelUnavailableError(
                Phrase(
                    "%(host)s did not finish its answer within %(seconds)s s.",
                    host=self.host,
                    seconds=format(self.seconds, "g"),
                )
            )
        return left if timeout is None else min(left, timeout)
