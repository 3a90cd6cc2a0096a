"""`kill -9` at random instants, while the world changes: every version that a landed answer showed is there, once."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from ocelog.model import table_name
from ocelog.schema.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS, ROOTS
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.tables import Version
from wizsim.truth import project
from wizsim.world import World

KILLS = int(os.environ.get("OCELOG_KILLS", "10"))
LONGEST = 120.0
EVER = ("--since", "2000-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z")
SHAPERS = {log_type: compile_shaper(schema, KINDS[log_type]) for log_type, schema in packaged_schemas().items()}


@pytest.fixture
def tenant() -> Iterator[Server]:
    world = World(seed=11, audit=300, issues=150, findings=500, rate=40, late=0.3, clock=Clock.wall())
    with Server(world, latency=0.002) as server:
        yield server


class Ocelog:
    """The command, in a home of its own."""

    def __init__(self, home: Path, tenant: Server) -> None:
        self.env = os.environ | {"OCELOG_HOME": str(home), "WIZ_SECRET": tenant.client_secret}
        self.landed: set[str] = set()
        """Request ids of answers that have landed, as the log says after each commit."""
        self.killed_at_work = 0

    def kill_amid(self, rng: random.Random, *arguments: str) -> None:
        """Start a command, and kill it some landings later."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ocelog", *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        left = rng.randrange(0, 12)
        overdue = Timer(LONGEST, process.kill)
        overdue.start()
        for line in process.stderr:
            left -= self._hear(line)
            if left <= 0:
                process.send_signal(signal.SIGKILL)
        self.killed_at_work += process.wait() == -signal.SIGKILL
        process.stderr.close()
        assert not overdue.finished.is_set(), f"{arguments} landed too little in {LONGEST} s"
        overdue.cancel()

    def do(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ocelog", *arguments], env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        for line in done.stderr.splitlines():
            self._hear(line)
        return done.stdout

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.do("query", sql, "-o", "ndjson").splitlines()]

    def _hear(self, line: str) -> bool:
        if not line.startswith("{"):
            return False
        entry = json.loads(line)
        if entry["event"] == "landed":
            self.landed.add(entry["request_id"])
        return bool(entry["event"] == "landed")


def digest(log_type: str, version: Version) -> str:
    """Return the p_version of a state of a record, as our query shows it."""
    root = ROOTS[log_type]
    shown = project(root.document(), root.root, version.full())
    shaped = SHAPERS[log_type].shape(json.dumps([shown]).encode())
    assert shaped.ids, shaped.rejections
    return shaped.versions[0]


def settle(world: World) -> None:
    """Let nothing more happen, and everything that has happened be seen."""
    with world.lock:
        world.rate, world._next = 0, 1 << 62
        world._agenda.clear()
    world.advance(5)


def test_nothing_is_lost_or_doubled_however_often_the_process_is_killed(tmp_path: Path, tenant: Server) -> None:
    rng = random.Random(5)
    ocelog = Ocelog(tmp_path / "home", tenant)
    ocelog.do("init")
    ocelog.do(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *("--backfill", "all", "--rate", "100", "--page-size", "15", "--poll", "1s"),
    )
    for _ in range(10 * KILLS):
        if ocelog.killed_at_work == KILLS:
            break
        ocelog.kill_amid(rng, "pull" if rng.random() < 0.5 else "run")
    assert ocelog.killed_at_work == KILLS
    ocelog.do("pull")
    settle(tenant.world)
    ocelog.do("pull", *EVER)
    for log_type, root in ROOTS.items():
        table = table_name(log_type)
        rows = ocelog.rows(
            f"FROM {table} SELECT id, p_version, p_row_id ORDER BY id, p_version_time, p_observed_at, p_row_id"
        )
        check_once(rows)
        check_all_there(rows, tenant, ocelog.landed, log_type, root.short)
        current = ocelog.rows(f"FROM {table}_current SELECT id, p_version")
        check_current(current, tenant, log_type, root.short)


def check_once(rows: list[dict[str, Any]]) -> None:
    assert len({row["p_row_id"] for row in rows}) == len(rows)
    for one, other in zip(rows, rows[1:], strict=False):
        assert (one["id"], one["p_version"]) != (other["id"], other["p_version"]), f"{one} landed twice"


def check_all_there(rows: list[dict[str, Any]], tenant: Server, landed: set[str], log_type: str, short: str) -> None:
    there = {(row["id"], row["p_version"]) for row in rows}
    truth = tenant.world.truth
    versions = {(version.id, version.number): version for version in truth.versions(short)}
    answers = [answer for answer in truth.answers() if answer.type == short and answer.request_id in landed]
    assert answers, f"no answer of {short} landed before a kill: the test proves nothing"
    shown = {pair for answer in answers for pair in answer.shown}
    missing = [pair for pair in shown if (pair[0], digest(log_type, versions[pair])) not in there]
    assert not missing, f"{len(missing)} of {len(shown)} versions that landed answers showed are gone: {missing[:3]}"


def check_current(rows: list[dict[str, Any]], tenant: Server, log_type: str, short: str) -> None:
    current = {row["id"]: row["p_version"] for row in rows}
    assert len(current) == len(rows)
    for record_id, version in tenant.world.current(short).items():
        assert current.get(record_id) == digest(log_type, version), f"{record_id} is not as it is in the tenant"
