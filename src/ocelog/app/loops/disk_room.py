"""Whether a disk that was full has room again, so that what failed for that is tried at once."""

from collections.abc import Callable
from dataclasses import dataclass

DISK_FULL = "disk_full"
"""The code of what fails for lack of room."""
_ENOUGH = 1 << 20
"""So many bytes more than there were are room again."""


@dataclass(slots=True)
class DiskRoom:
    """Watches the free space of a disk while something fails for lack of it.

    What it does not see, such as a quota that was raised, is tried again soon all the same.
    """

    free: Callable[[], int]
    """Returns how many bytes are free."""
    _least: int | None = None

    def is_back(self, *, lacking: bool) -> bool:
        """Tell, once, that there is room again; `lacking`: something fails for lack of it."""
        if not lacking:
            self._least = None
            return False
        free = self.free()
        if self._least is None or free < self._least + _ENOUGH:
            self._least = free if self._least is None else min(free, self._least)
            return False
        self._least = free
        return True
