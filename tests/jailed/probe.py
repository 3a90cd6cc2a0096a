"""A worker that does whatever a test tells it to: what untrusted code could do that broke out of the engine."""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ocelog.sandbox.channel import Channel
from ocelog.sandbox.kernel import Layers

KNOWN: dict[str, Any] = {
    each.__name__: each
    for each in (ctypes, fcntl, mmap, os, resource, signal, socket, struct, subprocess, sys, threading, time)
} | {"Path": Path}


def call(*arguments: Any) -> int:
    """Make a system call; raise what it fails with."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = int(libc.syscall(*(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def main(channel: Channel, _: Layers) -> None:
    """Run Python that the parent sends, and tell what came of it: its value, or the name of the error."""
    while True:
        source = channel.receive().payload.decode()
        space = KNOWN | {"call": call}
        try:
            exec(source, space)  # noqa: S102 - that is what it is for
            found = {"value": space.get("value")}
        except OSError as error:
            found = {"error": errno.errorcode.get(error.errno or 0, "none")}
        except BaseException as error:  # noqa: BLE001 - a test wants to see it
            found = {"error": f"{type(error).__name__}: {error}"}
        channel.send("done", json.dumps(found, default=str).encode())
