"""How the demo gets a tenant: a simulator in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

from ocelog.errors import ConfigError, OperatorError
from ocelog.secret import Secret

_STOP_SECONDS = 3
_NEEDS = ("graphql", "starlette", "uvicorn")
_SIZE = ("--seed", "7", "--audit", "2000", "--issues", "800", "--findings", "4000", "--rate", "2", "--late", "2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Where a simulated tenant answers, and to whom."""

    token_url: str
    api_url: str
    client_id: str
    client_secret: Secret = field(repr=False)


def require_simulator() -> None:
    """Raise ConfigError if the packages that a simulated tenant needs are not installed."""
    if any(find_spec(package) is None for package in _NEEDS):
        raise ConfigError(
            "The demo needs a simulated tenant, which is not installed. Type in the checkout: uv tool install "
            "'.[demo]' (or with pip: pip install '.[demo]')"
        )


@contextmanager
def simulated_tenant() -> Iterator[Tenant]:
    """Serve a simulated tenant, whose world keeps changing, within the block. Raises OperatorError."""
    # A session of its own: Ctrl-C is for us, and we end it when nothing asks any more.
    process = subprocess.Popen(  # noqa: S603 - our own program, with arguments of ours
        [sys.executable, "-m", "wizsim", "serve", "--bare", "--port", "0", *_SIZE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield _tenant(process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tenant(process: "subprocess.Popen[str]") -> Tenant:
    told = [process.stdout.readline().strip() if process.stdout is not None else "" for _ in range(4)]
    if not all(told):
        raise OperatorError("The simulator did not start. See why: python -m wizsim serve")
    token_url, api_url, client_id, client_secret = (line.split()[-1] for line in told)
    return Tenant(token_url=token_url, api_url=api_url, client_id=client_id, client_secret=Secret(client_secret))
