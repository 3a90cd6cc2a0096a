"""A simulated tenant, served by a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

Tenant: TypeAlias = Mapping[str, str]
"""TOKEN_URL, API_URL, CLIENT_ID and CLIENT_SECRET, also as variables of an environment."""


@contextmanager
def tenant(*, audit: int = 0, issues: int = 0, findings: int = 0, rate: int = 0, options: str = "") -> Iterator[Tenant]:
    """Serve so many records, of which `rate` change each second; `options` are further ones of `wizsim serve`."""
    counts = {"audit": audit, "issues": issues, "findings": findings, "rate": rate, "port": 0, "seed": 5}
    size = [f"--{name}={value}" for name, value in counts.items()]
    command = [sys.executable, "-m", "wizsim", "serve", "--bare", *size, *options.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    names = ("TOKEN_URL", "API_URL", "CLIENT_ID", "CLIENT_SECRET")
    try:
        yield {name: process.stdout.readline().strip() for name in names}
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
