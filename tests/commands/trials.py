"""Long trials with real processes, for `make soak`: each takes how much to do and a seed, and returns what went wrong.

The seed draws which command is started and when something happens to it; what it does until then depends on the
machine, so the same seed makes the same plan, not the same instants.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from bookkeeping.server import postgresql_server
from commands import Ocelog
from commands.amid import Running, kill_after
from commands.truth import EVER, differences, settle
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

_LEASE = 4.0
"""Seconds after which a stopped process has lost its slices; see `commands/machine.py`."""
_TAKES_OVER = 90.0
"""Seconds within which another process has read and published what a stopped one held."""


@contextmanager
def _home(seed: int, failures: list[str], *, ledger: str | None = None) -> Iterator[tuple[Ocelog, Server]]:
    """Lend a home that reads a tenant in which things happen; if anything went wrong, it is kept."""
    for name in [name for name in os.environ if name.startswith("OCELOG_")]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="ocelog-soak-"))
    world = World(seed=seed, audit=300, issues=150, findings=500, rate=10, late=0.3, clock=Clock.wall())
    with Server(world, latency=0.002) as tenant:
        ocelog = Ocelog(folder / "home", WIZ_SECRET=tenant.client_secret, OCELOG_PUBLISH_AFTER="2s")
        ocelog("init", *([] if ledger is None else ["--ledger", ledger]))
        ocelog(
            *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
            *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
            *("--backfill", "all", "--rate", "100", "--page-size", "15", "--poll", "1s"),
        )
        try:
            yield ocelog, tenant
        except AssertionError as error:
            failures.append(str(error))
        if not failures:
            shutil.rmtree(folder)
        else:
            failures.append(f"the home is kept: {ocelog.home}")


def _judge(ocelog: Ocelog, tenant: Server, landed: set[str]) -> Iterator[str]:
    """Bring everything to its end, and yield what is wrong then."""
    ocelog("pull", code=None)
    settle(tenant.world)
    for arguments in (("pull", *EVER), ("repair", "--check"), ("status",)):
        done = ocelog(*arguments, code=None)
        # A tenant in which so much changes at once looks now and then like one that counts records which are not there.
        if done.code and not (arguments == ("status",) and "totals are unreliable" in done.out):
            yield f"{arguments} ended with {done.code}: {done.out[-2000:]}{done.err[-2000:]}"
    yield from differences(ocelog, tenant, landed)


def _say(line: str, began: float) -> None:
    print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)


def kills(count: int, seed: int) -> list[str]:
    """`kill -9` `count` commands at work, and compare the lake with the tenant."""
    rng, began, failures = random.Random(seed), time.monotonic(), list[str]()
    with _home(seed, failures) as (ocelog, tenant):
        landed, killed = set[str](), Counter[str]()
        lasted = {"publish": 3.0, "upkeep": 3.0}
        while killed.total() < count and time.monotonic() < began + 60 + 30 * count:
            command = rng.choices(["pull", "run", "sweep", "publish", "upkeep"], [4, 3, 1, 1, 1])[0]
            landings, pause, started = rng.randrange(1, 12), rng.uniform(0, 0.3), time.monotonic()
            if command in lasted:
                # They log nothing on their way.
                running = Running(ocelog, command)
                time.sleep(rng.uniform(0.2, 1) * lasted[command])
                at_work = running.kill()
                if not at_work:
                    lasted[command] = time.monotonic() - started
            else:
                at_work, running = kill_after(ocelog, landings, command, pause=pause)
            landed |= {landing["request_id"] for landing in running.landings}
            if at_work:
                killed[command] += 1
                _say(f"{killed.total()} of {count} killed: {command} after {len(running.landings)} landings", began)
        if killed.total() < count:
            failures.append(f"only {killed.total()} of {count} were killed in time")
        failures += _judge(ocelog, tenant, landed)
    return failures


def zombies(count: int, seed: int) -> list[str]:
    """Stop `count` commands (SIGSTOP) for longer than their lease while another takes over, then let them go on.

    What has gone on must land no page of a slice that the other has read, delete nothing that is needed, and end well
    or with a reason. The two are as if on two machines that share the home, with a short lease.
    """
    rng, began, failures = random.Random(seed), time.monotonic(), list[str]()
    with _home(seed, failures) as (ocelog, tenant):
        landed, overtaken = set[str](), 0
        for number in range(1, count + 1):
            if time.monotonic() > began + 60 + 150 * count:
                failures.append(f"only {number - 1} of {count} were stopped in time")
                break
            command = rng.choice(["pull", "pull", "run", "publish", "upkeep"])
            zombie = Running(ocelog, command, machine="one", lease=_LEASE)
            try:
                if command in {"pull", "run"}:
                    zombie.wait_for(rng.randrange(0, 10))
                    time.sleep(rng.uniform(0, 0.3))
                else:
                    time.sleep(rng.uniform(0.8, 3))
                zombie.signal(signal.SIGSTOP)
                stopped_us = time.time_ns() // 1000
                time.sleep(_LEASE + 1)
                others = _take_over(ocelog, began)
                before = len(zombie.landings)
                zombie.signal(signal.SIGCONT)
                if command == "run":
                    time.sleep(3)
                    zombie.signal(signal.SIGTERM)
                code = zombie.end()
            finally:
                zombie.kill()
            landed |= {landing["request_id"] for each in (zombie, *others) for landing in each.landings}
            read = {landing["slice"] for each in others for landing in each.landings}
            # What it had asked for before, it may have landed before, and was stopped before it said so.
            asked = {each.request_id for each in tenant.world.truth.answers() if each.at_us > stopped_us}
            failures += [
                f"{number}: {command} landed what another had read: {landing}"
                for landing in zombie.landings[before:]
                if landing["slice"] in read and landing["request_id"] in asked
            ]
            if not _ended_with_reason(code, zombie):
                failures.append(f"{number}: {command} ended with {code}: {zombie.lines[-3:]}")
            words = [line.strip() for line in zombie.lines if '"overtaken"' in line or not line.startswith("{")]
            overtaken += any('"overtaken"' in line for line in words)
            _say(f"{number} of {count}: {command} stopped after {before} landings, then {code} {words[-1:]}", began)
        if not overtaken and count > 4:
            failures.append("no command lost a slice while it was stopped: this proves nothing")
        failures += _judge(ocelog, tenant, landed)
    return failures


def judging(count: int, seed: int) -> list[str]:
    """`kill -9` `count` commands that judge and deliver, and a replay and a scheduled query's run at every step."""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        + [str(tests / "e2e" / f"{name}.py") for name in ("test_judging", "test_killed_at_any_step")],
        cwd=tests.parent,
        env=os.environ | {"OCELOG_KILLS": str(count), "OCELOG_FIRST_SEED": str(seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [done.stdout[-5_000:]]


def _take_over(ocelog: Ocelog, began: float) -> list[Running]:
    """Read, publish and tidy up from another machine, while what was stopped holds what it holds."""
    others = list[Running]()
    for command in ("pull", "upkeep"):
        others.append(Running(ocelog, command, machine="two", lease=_LEASE))
        code = others[-1].end(within=_TAKES_OVER)
        if code:
            _say(f"{command} beside it ended with {code}: {others[-1].lines[-2:]}", began)
        assert _ended_with_reason(code, others[-1]), f"{command} ended with {code}: {others[-1].lines[-3:]}"
    return others


def _ended_with_reason(code: int, running: Running) -> bool:
    """Whether a command ended well, or said why not: to be tried later, or short of a record that was just moving."""
    last = running.lines[-1] if running.lines else ""
    return code == 0 or (code == 3 and not last.startswith("{")) or (code == 2 and "incomplete" in last)


def _lost_the_ledger_at_once(service: Running) -> bool:
    """Whether a service lost its connection while it opened the ledger: it says "try again", and systemd does."""
    began = any('"event": "started"' in line for line in service.lines)
    return not began and any("try again" in line for line in service.lines)


def one_server(seconds: int, seed: int) -> list[str]:
    """Let two processes pull and publish one home with one PostgreSQL, amid kills, stops and lost connections."""
    rng, began, failures = random.Random(seed), time.monotonic(), list[str]()
    with postgresql_server() as new_database:
        ledger = new_database()
        engine = create_engine(make_url(ledger).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with _home(seed, failures, ledger=ledger) as (ocelog, tenant):
            landed, happened = set[str](), Counter[str]()
            names = ("one", "two")
            running = {name: Running(ocelog, "run", machine=name, lease=_LEASE) for name in names}
            try:
                while time.monotonic() < began + seconds:
                    time.sleep(rng.uniform(0.2, 4))
                    name, what = rng.choice(names), rng.choice(["kill", "terminate", "terminate all", "stop"])
                    if what == "kill":
                        if not running[name].kill() and not _lost_the_ledger_at_once(running[name]):
                            failures.append(f"run {name} had ended: {running[name].lines[-3:]}")
                        landed |= {landing["request_id"] for landing in running[name].landings}
                        running[name] = Running(ocelog, "run", machine=name, lease=_LEASE)
                    elif what == "stop":
                        running[name].signal(signal.SIGSTOP)
                        time.sleep(_LEASE + 2)
                        running[name].signal(signal.SIGCONT)
                    else:
                        limit = 1 if what == "terminate" else 1_000
                        with engine.connect() as connection:
                            connection.execute(
                                text(
                                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
                                    "WHERE application_name = 'ocelog' ORDER BY random() LIMIT :limit) AS chosen"
                                ),
                                {"limit": limit},
                            )
                    happened[what] += 1
                    _say(
                        f"{what} {name}: {', '.join(f'{each} {len(running[each].landings)}' for each in names)}", began
                    )
                for name in names:
                    running[name].signal(signal.SIGTERM)
                for name in names:
                    code = running[name].end()
                    if code and not _lost_the_ledger_at_once(running[name]):
                        failures.append(f"run {name} ended with {code}: {running[name].lines[-3:]}")
                    landed |= {landing["request_id"] for landing in running[name].landings}
            finally:
                for each in running.values():
                    each.kill()
            failures += _judge(ocelog, tenant, landed)
        engine.dispose()
    return failures
