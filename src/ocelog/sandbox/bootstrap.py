"""How a child begins: limits, imports (a spare: the other way round) and the lock, before it reads from outside."""

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ocelog.sandbox import kernel
from ocelog.sandbox.channel import Channel
from ocelog.sandbox.kernel import Layers

_LONGEST = 1 << 30
"""Bytes of a frame from the parent, which is trusted."""
_OF_LIBRARIES = {
    # No thread may be there before the lock: Landlock would not bind it.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def main() -> None:
    """Do what the parent sends, locked in. The process ends with it, or with its parent."""
    if sys.platform.startswith("linux"):
        kernel.die_with_parent()
    # Where memory runs out, this process goes, and not its parent: also while it waits for a job.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    channel = Channel(reading=os.dup(0), writing=os.dup(1), longest=_LONGEST)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    try:
        for name, value in _OF_LIBRARIES.items():
            os.putenv(name, value)
        frame = channel.receive()
        if frame.kind == "preload":
            import_module(frame.payload.decode())
            frame = channel.receive()
        spec: dict[str, Any] = json.loads(frame.payload)
        _limit(spec["limits"])
        work = None if spec["entry"] is None else import_module(spec["entry"])
        layers, listener = _lock(spec)
        told = {"landlock": layers.landlock, "seccomp": layers.seccomp, "listener": listener}
        channel.send("ready", json.dumps(told).encode())
        if listener is not None:
            # By then the parent has its own.
            channel.receive()
            os.close(listener)
        if work is not None:
            work.main(channel, layers)
    except EOFError:
        return


def _limit(limits: Mapping[str, int]) -> None:
    """Bound what this process may take; what a system cannot bound it leaves."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_AS: limits["memory_bytes"] + (1 << 30),
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_FSIZE: limits["scratch_bytes"],
    }
    for each, bound in bounds.items():
        _, hard = resource.getrlimit(each)
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(each, (least, least))
    # Ends the process by itself, whatever it is in the middle of, should its parent not.
    signal.setitimer(signal.ITIMER_REAL, limits["wall_seconds"])


def _lock(spec: Mapping[str, Any]) -> tuple[Layers, int | None]:
    """Give up, for good, what the work does not need; return what the kernel took away, and how paths are heard of."""
    try:
        kernel.refuse_privileges()
    except (OSError, AttributeError):
        return Layers(landlock=0, seccomp=False), None
    landlock = min(spec["landlock"], kernel.landlock_version())
    # Counted before the lock, behind which this cannot be read.
    alone = bool(landlock or spec["paths"]) and kernel.threads() == 1
    if not alone:
        landlock = 0
    if landlock:
        try:
            kernel.restrict_files(landlock, read=spec["read"], scratch=spec["scratch"], network=spec["network"])
        except FileNotFoundError:
            raise
        except OSError:
            landlock = 0
    seccomp, listener = spec["seccomp"] and kernel.seccomp_supported(), None
    if seccomp:
        if spec["paths"] and alone and not spec["threads"]:
            # Otherwise the C library looks at that file again each time that it writes out a time.
            os.putenv("TZ", ":/etc/localtime")
            with suppress(OSError):
                listener = kernel.watch_paths()
        try:
            kernel.restrict_calls(
                writing=bool(landlock and spec["scratch"]),
                network=spec["network"],
                threads=spec["threads"],
                looking=listener is None,
            )
        except OSError:
            seccomp = False
    return Layers(landlock=landlock, seccomp=seccomp, paths=listener is not None), listener
