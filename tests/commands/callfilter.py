"""Runs a program with the system calls that a unit allows, as systemd would: `python callfilter.py UNIT PROGRAM...`."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_ALLOW, _EPERM, _NO_NEW_PRIVILEGES = 0x7FFF0000, 0x00050001, 38


def allowed(unit: str) -> set[str]:
    """Return the names of the calls that are in the SystemCallFilter= of a unit."""
    shown = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    groups, group = dict[str, list[str]](), ""
    for line in shown.splitlines():
        if line.startswith("@"):
            group = line.strip()
            groups[group] = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            groups[group].append(line.strip())

    def members(name: str) -> set[str]:
        return set().union(*map(members, groups[name])) if name.startswith("@") else {name}

    (words,) = (line.partition("=")[2] for line in unit.splitlines() if line.startswith("SystemCallFilter="))
    return set().union(*map(members, words.split()))


if __name__ == "__main__":
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(_EPERM)
    for name in allowed(Path(sys.argv[1]).read_text()):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            library.seccomp_rule_add(context, _ALLOW, number, 0)
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if library.seccomp_load(context):
        raise SystemExit("The filter was not taken.")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a test says what
