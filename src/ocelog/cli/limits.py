"""How much memory a command may take in all, whatever the engine inside it believes."""

import resource

_ROOM = 2 * 1024**3
"""For the interpreter, libraries and buffers that the engine does not count."""


def bound_memory(megabytes: int) -> None:
    """Let this process take twice `megabytes` of memory and some room; what asks for more fails by itself.

    DuckDB's own limit does not count everything: a list of a billion numbers took 13 GB under a limit of 1 GB.
    """
    wanted = 2 * megabytes * 1024**2 + _ROOM
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
