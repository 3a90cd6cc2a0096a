"""A replay lands under a claim of its own: fenced like a slice, and free again for the next process of its home."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import at_once
from bookkeeping.records import ISSUES, NOW, TABLE, Clock, begun, landing, part, planned, slice_of, source_row
from ocelog.errors import LostFenceError
from ocelog.lake.write.parts import parts_of_claims, remove_orphans
from ocelog.ledger.database import open as opening
from ocelog.ledger.database.transactions import connect
from ocelog.ledger.ledger import Ledger
from ocelog.model import Claim
from ocelog.pull.ports import Landed, Landing

MINUTE = timedelta(minutes=1)


@pytest.fixture
def replays(ledger: Ledger) -> Ledger:
    """Return a ledger with one stream that has begun."""
    ledger.sources.add(source_row())
    begun(ledger, edge=NOW)
    return ledger


def replaying(claim: Claim, sequence: int = 0) -> Landing:
    """Return a landing that moves no slice."""
    plain = landing(slice_of(id=1, fence=1), loaded_through=sequence)
    return replace(plain, claim=claim, to=None, log_type=ISSUES)


def test_what_is_replayed_lands_under_its_own_claim_and_moves_no_slice(replays: Ledger) -> None:
    planned(replays, slice_of())
    before = replays.pulling.slices()
    claim = replays.pulling.take_claim("replay", "acme", "home/one")
    assert replays.pulling.land(replaying(claim)) == Landed(sequence=1)
    assert [each.events for each in replays.pulling.streams()] == [1]
    assert replays.pulling.slices() == before


def test_who_has_lost_the_claim_of_a_replay_lands_nothing(replays: Ledger, other: Ledger, clock: Clock) -> None:
    stale = replays.pulling.take_claim("replay", "acme", "home/one", lease=MINUTE)
    clock.now += 2 * MINUTE
    fresh = other.pulling.take_claim("replay", "acme", "elsewhere/two")
    assert (fresh.name, fresh.fence) == (stale.name, stale.fence + 1)
    with pytest.raises(LostFenceError, match="Nothing was landed"):
        replays.pulling.land(replaying(stale))
    replays.pulling.release_claim(stale)
    assert replays.lake.parts(TABLE) == []
    assert other.pulling.land(replaying(fresh)) == Landed(sequence=1)


def test_a_claim_that_is_held_is_handed_to_nobody_until_it_is_let_go_or_its_lease_has_lapsed(
    replays: Ledger, other: Ledger, clock: Clock
) -> None:
    first = replays.pulling.take_claim("replay", "acme", "home/one", lease=2 * MINUTE)
    for _ in range(3):
        clock.now += MINUTE
        with pytest.raises(LostFenceError, match="under way already, by home/one"):
            other.pulling.take_claim("replay", "acme", "elsewhere/two")
        # Landing extends the lease.
        replays.pulling.land(replaying(first, len(replays.lake.parts(TABLE))))
    replays.pulling.release_claim(first)
    second = other.pulling.take_claim("replay", "acme", "elsewhere/two", lease=MINUTE)
    clock.now += MINUTE
    assert replays.pulling.take_claim("replay", "acme", "home/one").fence == second.fence + 1


def test_a_clock_that_was_ahead_keeps_no_claim_for_long(replays: Ledger, clock: Clock) -> None:
    clock.now += timedelta(days=3_650)
    replays.pulling.take_claim("replay", "acme", "home/one", lease=MINUTE)
    clock.now = NOW
    assert replays.pulling.take_claim("replay", "acme", "elsewhere/two").fence == 2


def test_what_a_killed_replay_held_is_free_at_once_for_its_home_and_for_nobody_else(
    replays: Ledger, other: Ledger
) -> None:
    killed = replays.pulling.take_claim("replay", "acme", "home/one")
    other.pulling.release_home("hom")
    other.pulling.release_home("elsewhere")
    with pytest.raises(LostFenceError):
        other.pulling.take_claim("replay", "acme", "elsewhere/two")
    other.pulling.release_home("home")
    next_one = other.pulling.take_claim("replay", "acme", "home/two")
    assert next_one.fence == killed.fence + 1
    with pytest.raises(LostFenceError):
        replays.pulling.land(replaying(killed))


def test_of_some_that_take_a_claim_at_once_one_gets_it(replays: Ledger, other: Ledger) -> None:
    calls = [
        lambda at=at, n=n: at.pulling.take_claim("replay", "acme", f"home-{n}/one")
        for n in range(2)
        for at in (replays, other)
    ]
    got = at_once(calls)
    assert sorted(type(each) is Claim for each in got) == [False, False, False, True], got
    assert all(isinstance(each, Claim | LostFenceError) for each in got), got


def test_each_source_has_a_claim_of_its_own_and_one_that_is_gone_has_none(replays: Ledger) -> None:
    replays.sources.add(source_row("other"))
    names = {replays.pulling.take_claim("replay", source, "home/one").name for source in ("acme", "other")}
    assert len(names) == 2
    replays.sources.purge("other")
    with pytest.raises(LostFenceError, match="no source 'other'"):
        replays.pulling.take_claim("replay", "other", "home/one")
    replays.sources.add(source_row("other"))
    assert replays.pulling.take_claim("replay", "other", "home/one").name not in names, "a number never comes again"


def test_files_of_a_replay_go_once_another_has_its_claim(replays: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "landing" / TABLE
    folder.mkdir(parents=True)

    def written(claim: Claim, number: int) -> str:
        file = folder / f"{claim.name}-{claim.fence}-{number}.parquet"
        file.touch()
        return str(file.relative_to(tmp_path))

    killed = replays.pulling.take_claim("replay", "acme", "home/one")
    landed = written(killed, 1)
    replays.pulling.land(replace(replaying(killed), part=replace(part(), path=landed)))
    orphan = written(killed, 2)
    assert remove_orphans(tmp_path, TABLE, replays.lake) == [], "its holder may only be asleep"
    replays.pulling.release_home("home")
    asleep = written(replays.pulling.take_claim("replay", "acme", "home/two"), 1)
    assert remove_orphans(tmp_path, TABLE, replays.lake) == [orphan]
    assert parts_of_claims(tmp_path, TABLE, replays.pulling.claims_of("acme")) == sorted([landed, asleep])
    replays.sources.purge("acme")
    assert remove_orphans(tmp_path, TABLE, replays.lake) == [], "the newest claim may be that of an older ledger"


def test_a_slice_and_a_claim_of_one_number_are_told_apart(replays: Ledger, tmp_path: Path) -> None:
    planned(replays, slice_of())
    held = replays.pulling.take("one", now=NOW)
    claim = replays.pulling.take_claim("replay", "acme", "home/one")
    assert held is not None
    assert claim.name == f"c{held.id}"
    for _ in range(3):
        replays.pulling.release_claim(claim)
        claim = replays.pulling.take_claim("replay", "acme", "home/one")
    folder = tmp_path / "landing" / TABLE
    folder.mkdir(parents=True)
    (folder / f"{held.id}-{held.fence}-17.parquet").touch()
    assert remove_orphans(tmp_path, TABLE, replays.lake) == []


def test_a_ledger_that_is_restored_hands_out_no_fence_twice(replays: Ledger) -> None:
    before = replays.pulling.take_claim("replay", "acme", "home/one")
    replays.outrun(1_000)
    with pytest.raises(LostFenceError):
        replays.pulling.land(replaying(before))
    assert replays.pulling.take_claim("replay", "acme", "home/two").fence > before.fence + 1


def test_a_crash_at_any_statement_of_a_replays_landing_leaves_nothing_behind(replays: Ledger) -> None:
    claim = replays.pulling.take_claim("replay", "acme", "home/one")
    assert crash_everywhere(replays, lambda: replays.pulling.land(replaying(claim))) >= 5


def test_what_a_replay_left_under_the_fence_of_a_finished_slice_goes_after_the_migration(address: str) -> None:
    old = connect(address, durable=False)
    source = (
        "INSERT INTO sources (id, name, kind, settings, paused, added_us) VALUES ('acme', 'a', 'wiz', '{}', false, 0)"
    )
    stream = (
        "INSERT INTO streams (source_id, log_type, events, repeats, rejections, unknown_fields, refused)"
        " VALUES ('acme', 'Wiz.Issues', 0, 0, 0, '{}', '[]')"
    )
    slices = (
        "INSERT INTO slices (id, source_id, log_type, origin, asked_by, since_us, until_us, state, due_us, fence,"
        " checkpoint, short_by) VALUES (:id, 'acme', 'Wiz.Issues', 'live', 'x', 0, 1, :state, 0, 7, '{}', 0)"
    )
    with old.write() as tx:
        opening.migrate(tx, "0010")
        tx.execute(text(source))
        tx.execute(text(stream))
        for number, state in enumerate(("waiting", "drained", "parked", "retired")):
            tx.execute(text(slices), {"id": number, "state": state})
    old.close()
    migrated = Ledger.open(address)
    assert [each.fence for each in migrated.pulling.slices()] == [7, 8, 7, 8]
    migrated.close()
