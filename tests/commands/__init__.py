"""The real commands as processes: `ocelog` in a home of its own, and a simulated tenant to read."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 120
"""Seconds after which a command hangs."""


# What the command imports must be there before the rights go: Python itself may be in root's own folder.
_AS_NOBODY = """
import contextlib, io, os, sys
from ocelog.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    with contextlib.redirect_stderr(io.StringIO()):
        main(sys.argv[1:])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
main(sys.argv[1:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A simulated tenant that answers."""

    token_url: str
    api_url: str
    client_id: str
    client_secret: str

    @property
    def options(self) -> list[str]:
        return ["--token-url", self.token_url, "--api-url", self.api_url, "--client-id", self.client_id]


@contextmanager
def simulator(*options: str) -> Iterator[Simulated]:
    """Serve a tenant within the block."""
    command = [sys.executable, "-m", "wizsim", "serve", "--port", "0", "--seed", "3"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        token_url, api_url, client_id, client_secret = (process.stdout.readline().split()[-1] for _ in range(4))
        yield Simulated(token_url=token_url, api_url=api_url, client_id=client_id, client_secret=client_secret)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Ocelog:
    """The `ocelog` command in a home of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = os.environ | {"OCELOG_HOME": str(home)} | environment

    def start(self, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "ocelog", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def __call__(self, *arguments: str, stdin: str = "", code: int | None = 0) -> Done:
        """Run a command to its end; it must exit with `code` (None: with any)."""
        done = subprocess.run(
            [sys.executable, "-m", "ocelog", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def as_reader(self, *arguments: str, code: int | None = 0) -> Done:
        """Run a command as somebody who may not write the home: as nobody where we are root, else with its rights gone.

        As root it runs twice, first with all rights.
        """
        root = os.geteuid() == 0
        command = [sys.executable, *(("-c", _AS_NOBODY) if root else ("-m", "ocelog")), *arguments]
        mode = self.home.stat().st_mode
        self.home.chmod(mode if root else mode & 0o555)
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        finally:
            self.home.chmod(mode)
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def add(self, tenant: Simulated, name: str = "prod", *options: str, code: int = 0) -> Done:
        """Add `tenant` as a source, at a rate that wastes no time."""
        arguments = ["source", "add", "wiz", name, *tenant.options, "--client-secret-file", "-", "--rate", "100"]
        return self(*arguments, *options, stdin=tenant.client_secret + "\n", code=code)

    def count(self, table: str) -> int:
        """Return how many rows `table` has."""
        (row,) = self("query", f"SELECT count(*) AS rows FROM {table}").lines  # noqa: S608 - a test says which
        return int(row["rows"])
