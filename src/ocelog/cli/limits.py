"""How much memory a command may take in all, whatever an answer holds."""

import resource

_ROOM = 2 * 1024**3
"""For the interpreter, libraries and the rows that are being written."""


def bound_memory(megabytes: int) -> None:
    """Let this process take twice `megabytes` of memory and some room; what asks for more fails by itself.

    The query has a process of its own with a bound of its own, but one row of it may become many objects here.
    """
    wanted = 2 * megabytes * 1024**2 + _ROOM
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
