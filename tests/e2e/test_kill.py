"""`kill -9` at random instants, while the world changes: every version that a landed answer showed is there, once."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import SIMULATED, Ocelog
from commands.amid import kill_after
from commands.truth import EVER, differences, settle
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

KILLS = int(os.environ.get("OCELOG_KILLS", "4"))


@pytest.fixture
def tenant() -> Iterator[Server]:
    world = World(seed=11, audit=200, issues=150, findings=200, rate=15, late=0.3, clock=Clock.wall())
    with Server(world, latency=0.002) as server:
        yield server


def test_nothing_is_lost_or_doubled_however_often_the_process_is_killed(tmp_path: Path, tenant: Server) -> None:
    rng = random.Random(5)
    ocelog = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    ocelog.init()
    ocelog(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *(*SIMULATED, "--backfill", "all", "--rate", "100", "--page-size", "15", "--poll", "1s"),
    )
    landed, killed_at_work = set[str](), 0
    for _ in range(10 * KILLS):
        if killed_at_work == KILLS:
            break
        killed, running = kill_after(ocelog, rng.randrange(0, 12), "pull" if rng.random() < 0.5 else "run")
        killed_at_work += killed
        landed |= {landing["request_id"] for landing in running.landings}
    assert killed_at_work == KILLS
    ocelog("pull")
    settle(tenant.world)
    ocelog("pull", *EVER)
    assert not list(differences(ocelog, tenant, landed))
