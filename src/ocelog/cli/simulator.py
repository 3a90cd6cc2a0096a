"""How the demo gets a tenant: a simulator in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from ocelog.errors import ConfigError, OperatorError, without_number
from ocelog.secrets.secret import Secret

_STOP_SECONDS = 3
_NEEDS = ("graphql", "starlette", "uvicorn")
_ANSWERS_WITHIN = 30
_SIZE = ("--seed", "7", "--audit", "2000", "--issues", "800", "--findings", "4000", "--late", "2")


class Tenant(Struct, frozen=True, kw_only=True):
    """Where a simulated tenant answers, and to whom."""

    token_url: str
    api_url: str
    client_id: str
    client_secret: Secret
    admin_url: str
    admin_token: Secret

    def admin(self, method: str, call: str, **said: Any) -> Any:
        """Have something happen in the tenant, or ask what is there. Raises OperatorError."""
        at = urlsplit(self.admin_url)
        # Straight to this machine, whatever proxy is set.
        line = HTTPConnection(at.hostname or "", at.port, timeout=_ANSWERS_WITHIN)
        try:
            headers = {"Authorization": f"Bearer {self.admin_token.reveal()}"}
            line.request(method, f"{at.path}/{call}", json.dumps(said), headers)
            answer = line.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            raise OperatorError(f"The simulator does not answer any more: {without_number(error)}") from error
        finally:
            line.close()
        if answer.status != 200:
            raise OperatorError(f"The simulator refused {call}: {body.decode(errors='replace')}")
        return json.loads(body)


def require_simulator() -> None:
    """Raise ConfigError if the packages that a simulated tenant needs are not installed."""
    if any(find_spec(package) is None for package in _NEEDS):
        raise ConfigError(
            "The demo needs a simulated tenant, which is not installed. Type in the checkout: uv tool install "
            "'.[demo]' (or with pip: pip install '.[demo]')"
        )


@contextmanager
def simulated_tenant() -> Iterator[Tenant]:
    """Serve a simulated tenant, in which nothing happens by itself yet, within the block. Raises OperatorError."""
    # A session of its own: Ctrl-C is for us, and we end it when nothing asks any more. If we are killed, or the
    # terminal is closed, the pipe to it closes.
    process = subprocess.Popen(  # noqa: S603 - our own program, with arguments of ours
        [sys.executable, "-m", "wizsim", "serve", "--json", "--port", "0", "--until-stdin-closes", *_SIZE],
        stdin=subprocess.PIPE,
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
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _tenant(process: "subprocess.Popen[str]") -> Tenant:
    told = process.stdout.readline() if process.stdout is not None else ""
    if not told:
        raise OperatorError("The simulator did not start. See why: python -m wizsim serve")
    found = json.loads(told)
    for name in ("client_secret", "admin_token"):
        found[name] = Secret(found[name])
    return Tenant(**found)
