"""The real commands as processes: `ocelog` in a home of its own, and a simulated tenant to read."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from commands import sandboxed
from commands.forks import Fork, Forks
from ocelog.installation.making import make

TIMEOUT = 120
"""Seconds after which a command hangs."""
SIMULATED = ("--log-type", "audit", "--log-type", "issues", "--log-type", "findings")
"""The log types of which a simulated tenant has records, as options: there may be more."""

Process = Fork | subprocess.Popen[str]
"""A command that runs."""

_NOBODY = 65534
# Root stays root by name, since Python may be in its own folder, but has no right that others lack: SECBIT_NOROOT.
_WITHOUT_PRIVILEGES = """
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(28, 3, 0, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "securebits")
os.execv(sys.executable, [sys.executable, "-m", "ocelog", *sys.argv[1:]])
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
    """Serve a tenant within the block; a young one, unless `options` say otherwise: each day is a file to publish."""
    arguments = ["serve", "--bare", "--port", "0", "--seed", "3", "--age", "0.1", *options]
    with _simulators().running(arguments, environment=os.environ) as printed:
        token_url, api_url, client_id, client_secret = (printed.readline().split()[-1] for _ in range(4))
        yield Simulated(token_url=token_url, api_url=api_url, client_id=client_id, client_secret=client_secret)


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


@cache
def fork_server() -> Forks:
    """Return the process that forks, begun by the first that needs it."""
    return Forks(children=sandboxed.descriptor())


@cache
def completions() -> Forks:
    """Return the process that forks commands which complete what a person types."""
    return Forks("completion")


@cache
def _simulators() -> Forks:
    return Forks("wizsim")


def _may_fork(environment: Mapping[str, str]) -> bool:
    return sys.platform == "linux" and fork_server().fit(environment)


def is_forked(environment: Mapping[str, str]) -> bool:
    """Tell whether what a test is about, such as a command that it stops, is a fork under `environment`."""
    return sandboxed.are_forked() and _may_fork(environment)


class Ocelog:
    """The `ocelog` command in a home of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = os.environ | {"OCELOG_HOME": str(home)} | environment

    def init(self) -> None:
        """Make the home by what `ocelog init` calls, in this process: hundreds of tests begin so, few are about it."""
        if self.environment == os.environ | {"OCELOG_HOME": str(self.home)}:
            make(self.home, ledger_url=None)
        else:
            self("init")

    def init_unjudged(self) -> None:
        """Make the home, and let no rule judge there: that is a third of a small pull, and few tests are about it."""
        self.init()
        (self.home / "config.yml").write_text("detections: no\n")

    def start(self, *arguments: str) -> Process:
        """Begin a command without stdin; its sandboxed children are its own."""
        if is_forked(self.environment):
            return fork_server().start(arguments, environment=self.environment)
        return subprocess.Popen(
            [sys.executable, "-m", "ocelog", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, stdin: str = "", code: int | None = 0) -> Done:
        """Run a command to its end; it must exit with `code` (None: with any)."""
        return self._run(arguments, ("-m", "ocelog"), stdin=stdin, code=code, without_privileges=False)

    def _run(
        self, arguments: Sequence[str], start: Sequence[str], *, stdin: str, code: int | None, without_privileges: bool
    ) -> Done:
        """Run a command, by `start` if it is a whole process."""
        # What one does without privileges is what its test is about.
        if is_forked(self.environment) if without_privileges else _may_fork(self.environment):
            done = fork_server().run(
                arguments,
                environment=self.environment,
                stdin=stdin,
                timeout=TIMEOUT,
                without_privileges=without_privileges,
            )
        else:
            done = subprocess.run(
                [sys.executable, *start, *arguments],
                env=self.environment,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def as_reader(self, *arguments: str, code: int | None = 0) -> Done:
        """Run a command as somebody who may not write the home, which is nobody's meanwhile if we are root."""
        root = os.geteuid() == 0
        mode = self.home.stat().st_mode
        self._belongs_to(_NOBODY if root else os.geteuid())
        self.home.chmod(mode if root else mode & 0o555)
        try:
            return self.without_privileges(*arguments, code=code)
        finally:
            self._belongs_to(os.geteuid())
            self.home.chmod(mode)

    def without_privileges(self, *arguments: str, code: int | None = 0) -> Done:
        """Run a command so that the modes of files hold for it, even if we are root."""
        root = os.geteuid() == 0
        start = ("-c", _WITHOUT_PRIVILEGES) if root else ("-m", "ocelog")
        return self._run(arguments, start, stdin="", code=code, without_privileges=root)

    def _belongs_to(self, user: int) -> None:
        for path in (self.home, *self.home.rglob("*")):
            with suppress(FileNotFoundError):
                os.chown(path, user, -1)

    def add(self, tenant: Simulated, name: str = "prod", *options: str, code: int = 0) -> Done:
        """Add `tenant` as a source, at a rate that wastes no time; of three log types, unless others are named."""
        arguments = ["source", "add", "wiz", name, *tenant.options, "--client-secret-file", "-", "--rate", "1000"]
        if "--log-type" not in options:
            arguments += SIMULATED
        return self(*arguments, *options, stdin=tenant.client_secret + "\n", code=code)

    def count(self, table: str) -> int:
        """Return how many rows `table` has."""
        (row,) = self("query", f"SELECT count(*) AS rows FROM {table}").lines  # noqa: S608 - a test says which
        return int(row["rows"])
