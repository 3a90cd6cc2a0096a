"""How much of the rate limit a backfill uses, and how often it is refused, by each way in which an API may count.

Wiz's public limit is 3 requests per second and account, tokens included. The pull is a process of its own with the
default `--rate`; the limiter is the simulator's, which answers at once. The first two seconds are left out: they hold
the start of the process and the clock.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from pull import timed
from wizsim.limits import LIMITERS, LimiterKind
from wizsim.server import Server
from wizsim.world import World

LIMIT = 3
FINDINGS = 45_000
"""90 pages, half a minute of requests."""
_OCELOG = [sys.executable, "-m", "ocelog"]
_WARM_UP = 2.0


def used(server: Server, env: Mapping[str, str]) -> tuple[float, int]:
    """Pull, and return the share of the limit that was used until the last request, and how many were refused."""
    process = subprocess.Popen(
        [*_OCELOG, "pull", "--json"], env=os.environ | dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    seen = list[tuple[float, int]]()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            if not seen or seen[-1][1] != server.api.gate.opened:
                seen.append((time.monotonic(), server.api.gate.opened))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.wait() == 0
    ended.set()
    watcher.join()
    first = next(each for each in seen if each[0] >= seen[1][0] + _WARM_UP)
    last = next(each for each in reversed(seen) if each[0] >= first[0] + _WARM_UP)
    return (last[1] - first[1]) / (last[0] - first[0]) / LIMIT, server.api.gate.refused


def main() -> None:
    """Print a line for each kind of limiter."""
    print(f"{'limiter':10}{'share of 3/s':>14}{'refused':>9}")
    for kind in LimiterKind:
        world = World(seed=5, audit=0, issues=0, findings=FINDINGS)
        with Server(world, limiter=LIMITERS[kind](LIMIT)) as server, tempfile.TemporaryDirectory() as folder:
            env = {"OCELOG_HOME": str(Path(folder) / "home"), "CLIENT_SECRET": server.client_secret}
            add = [*_OCELOG, "source", "add", "wiz", "bench", "--token-url", server.token_url]
            add += ["--api-url", server.api_url, "--client-id", server.client_id]
            add += ["--client-secret-env", "CLIENT_SECRET", "--log-type", "findings", "--backfill", "all", "--no-check"]
            timed([*_OCELOG, "init"], env)
            timed(add, env)
            share, refused = used(server, env)
        print(f"{kind.value:10}{share:>13.1%}{refused:9}", flush=True)


if __name__ == "__main__":
    main()
