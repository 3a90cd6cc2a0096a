"""The simulated tenant looks real, changes as a tenant does, and can be had again from its seed."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wizsim.clock import START, Clock
from wizsim.instants import SECOND, parse, text
from wizsim.record_types import RECORD_TYPES
from wizsim.truth import Truth, project
from wizsim.world import World

Json = dict[str, Any]


def history(world: World) -> list[tuple[str, str, int, int, Json]]:
    return [(v.type, v.id, v.number, v.visible_us, v.full()) for v in world.truth.versions()]


def test_the_same_seed_gives_the_same_world() -> None:
    first, again, other = (World(seed=seed, audit=20, issues=20, findings=20, rate=1.0) for seed in (4, 4, 5))
    for world in (first, again, other):
        world.advance(300)
    assert history(first) == history(again)
    assert history(first) != history(other)


def test_a_world_is_the_same_however_its_time_is_cut() -> None:
    whole = World(seed=9, audit=20, issues=40, findings=40, rate=1.0)
    whole.advance(600)
    pieces = World(seed=9, audit=20, issues=40, findings=40, rate=1.0)
    for _ in range(200):
        pieces.advance(3)
    assert sorted(history(whole), key=str) == sorted(history(pieces), key=str)
    assert [whole.current(t) for t in RECORD_TYPES] == [pieces.current(t) for t in RECORD_TYPES]


def test_what_is_visible_is_the_latest_version_of_the_truth() -> None:
    world = World(seed=2, audit=10, issues=60, findings=60, rate=2.0)
    world.advance(900)
    last: dict[tuple[str, str], Json] = {}
    for line in world.truth:
        if line["kind"] == "version":
            before = last.get((line["type"], line["id"]))
            assert line["version"] == (1 if before is None else before["version"] + 1)
            last[line["type"], line["id"]] = line
        elif line["kind"] == "gone":
            del last[line["type"], line["id"]]
    for type_ in RECORD_TYPES:
        current = world.current(type_)
        assert {id_: v.number for id_, v in current.items()} == {
            i: x["version"] for (t, i), x in last.items() if t == type_
        }
        assert all(v.full() == last[type_, id_]["record"] for id_, v in current.items())


def test_issues_and_findings_live_and_findings_vanish() -> None:
    world = World(seed=3, audit=10, issues=100, findings=100, rate=5.0)
    world.advance(1200)
    moves: Counter[tuple[str, Any, Any]] = Counter()
    states: dict[str, Json] = {}
    for _, id_, _, _, record in history(world):
        before = states.get(id_)
        if before is not None:
            moves.update((k, before.get(k), record.get(k)) for k in ("status",) if before.get(k) != record.get(k))
            moves.update((k, "", "") for k in ("notes", "severity", "lastDetectedAt") if before.get(k) != record.get(k))
        states[id_] = record
    assert {("status", "OPEN", "RESOLVED"), ("status", "RESOLVED", "OPEN"), ("status", "OPEN", "IN_PROGRESS")} <= set(
        moves
    )
    assert {("notes", "", ""), ("severity", "", ""), ("lastDetectedAt", "", "")} <= set(moves)
    assert any(line["kind"] == "gone" for line in world.truth)


def test_tags_change_and_change_back_while_no_date_moves() -> None:
    world = World(seed=6, audit=0, issues=40, findings=0, rate=2.0)
    world.advance(2400)
    states: dict[str, list[Json]] = {}
    for _, id_, _, _, record in history(world):
        states.setdefault(id_, []).append(record)
    dates = ("createdAt", "updatedAt", "statusChangedAt", "resolvedAt", "dueAt")
    silent = [
        (before, after)
        for versions in states.values()
        for before, after in pairwise(versions)
        if before != after and all(before[d] == after[d] for d in dates)
    ]
    assert silent
    assert all(before["entitySnapshot"]["tags"] != after["entitySnapshot"]["tags"] for before, after in silent)
    back = [v for v in states.values() if any(v[n] == v[n + 2] != v[n + 1] for n in range(len(v) - 2))]
    assert back, "no record came back to a state that it had before"


def test_a_redetected_finding_moves_only_the_date_of_its_detection() -> None:
    world = World(seed=8, audit=0, issues=0, findings=60, rate=2.0)
    world.advance(600)
    states: dict[str, Json] = {}
    redetected = 0
    for _, id_, _, _, record in history(world):
        before = states.get(id_, record)
        changed = {k for k in record if record[k] != before.get(k)}
        redetected += changed == {"lastDetectedAt"}
        states[id_] = record
    assert redetected > 10


def test_some_open_issues_have_no_status_date_until_they_first_change() -> None:
    world = World(seed=1, audit=0, issues=200, findings=0, rate=3.0)
    unmoved = {i for i, v in world.current("issues").items() if v.own["statusChangedAt"] is None}
    assert 10 < len(unmoved) < 100
    world.advance(1200)
    now = world.current("issues")
    assert any(now[i].own["statusChangedAt"] is not None for i in unmoved)
    assert all(v.own["statusChangedAt"] is not None for v in now.values() if v.own["status"] != "OPEN")


def test_changes_are_seen_late_and_in_their_own_order() -> None:
    world = World(seed=2, audit=50, issues=50, findings=50, rate=2.0, late=20.0)
    world.advance(1800)
    entries = [v for v in world.truth.versions("audit") if parse(v.own["timestamp"]) > START]
    delays = [(v.visible_us - parse(v.own["timestamp"])) / SECOND for v in entries]
    assert min(delays) >= 0
    assert 15 < sum(delays) / len(delays) < 25
    seen: dict[str, int] = {}
    for version in world.truth.versions():
        assert version.visible_us >= seen.get(version.id, 0)
        seen[version.id] = version.visible_us


def test_nothing_is_seen_before_it_is_due() -> None:
    world = World(seed=2, audit=50, issues=50, findings=50, rate=2.0)
    for _ in range(100):
        world.advance(7)
        assert all(v.visible_us <= world.now() for t in RECORD_TYPES for v in world.current(t).values())


def test_ties_share_one_microsecond() -> None:
    world = World(seed=2, audit=100, issues=0, findings=0, ties=0.5)
    assert len({v.own["timestamp"] for v in world.current("audit").values()}) < 70
    assert len({v.own["timestamp"] for v in World(seed=2, audit=100).current("audit").values()}) == 100


def test_time_goes_on_where_every_change_is_on_the_instant_of_another() -> None:
    world = World(seed=2, audit=5, issues=5, findings=5, ties=1.0, rate=1.0, late=0)
    world.advance(10)
    assert len(world.truth.versions()) > 100


def test_severities_are_skewed_sizes_are_long_tailed_and_nulls_are_where_they_are_in_real_records() -> None:
    world = World(seed=1, audit=500, issues=800, findings=800)
    issues = [v.full() for v in world.current("issues").values()]
    findings = [v.full() for v in world.current("findings").values()]
    severities = Counter(i["severity"] for i in issues)
    assert severities["CRITICAL"] < severities["HIGH"] < severities["MEDIUM"]
    lengths = sorted(len(f["CVEDescription"]) for f in findings)
    assert lengths[-1] > 3 * lengths[len(lengths) // 2]
    assert 0.7 < sum(i["notes"] is None for i in issues) / len(issues) < 1
    assert 0 < sum(f["score"] is None for f in findings) < len(findings) / 5
    audit = [v.own for v in world.current("audit").values()]
    assert all((a["user"] is None) != (a["serviceAccount"] is None) for a in audit)
    assert 0 < sum(a["sourceIP"] is None for a in audit) < len(audit) / 2


def test_epss_figures_are_per_cent_with_one_decimal_and_the_severity_follows() -> None:
    world = World(seed=1, audit=0, issues=0, findings=3_000, rate=5.0)
    world.advance(600)
    scored = [v.full() for v in world.current("findings").values() if v.get("epssProbability") is not None]
    for name in ("epssProbability", "epssPercentile"):
        values = [record[name] for record in scored]
        assert all(0 <= value <= 100 and round(value, 1) == value for value in values)
        assert max(values) > 10, "a share would end at 1"
    assert {"LOW", "MEDIUM"} <= {record["epssSeverity"] for record in scored}
    assert all((record["epssSeverity"] == "LOW") == (record["epssProbability"] <= 1) for record in scored)


def test_a_test_can_script_what_happens() -> None:
    world = World(seed=1, audit=0, issues=3, findings=0)
    id_ = next(iter(world.current("issues")))
    assert world.change("issues", id_, status="RESOLVED").number == 2
    assert world.current("issues")[id_].own["status"] == "RESOLVED"
    world.remove("issues", id_)
    assert id_ not in world.current("issues")
    with pytest.raises(KeyError):
        world.change("issues", id_, status="OPEN")
    with pytest.raises(KeyError):
        world.remove("issues", id_)


def test_a_world_outlives_its_last_record() -> None:
    world = World(seed=1, audit=0, issues=2, findings=0, rate=1.0)
    for id_ in world.current("issues"):
        world.remove("issues", id_)
    world.advance(600)
    assert world.current("issues") == {}


def test_a_finding_that_lost_its_asset_lives_on() -> None:
    world = World(seed=1, audit=0, issues=0, findings=5, rate=1.0)
    bare = set(world.current("findings"))
    for id_ in bare:
        world.change("findings", id_, vulnerableAsset=None)
    world.advance(600)
    later = [v for v in world.truth.versions("findings") if v.id in bare and v.number > 2]
    assert len(later) > 20
    assert all(v.own["vulnerableAsset"] is None for v in later)


def test_the_truth_can_be_written_to_a_file(tmp_path: Path) -> None:
    kept = World(seed=1, audit=5, issues=5, findings=5, rate=1.0)
    kept.advance(100)
    written = World(seed=1, audit=5, issues=5, findings=5, rate=1.0, truth=Truth(tmp_path / "truth.ndjson"))
    written.advance(100)
    written.truth.close()
    lines = [msgspec.json.decode(line) for line in (tmp_path / "truth.ndjson").read_bytes().splitlines()]
    assert lines == list(kept.truth) == list(written.truth)


def test_a_record_can_be_seen_through_a_querys_selection() -> None:
    record = {"id": "1", "status": "OPEN", "projects": [{"id": "p", "name": "P"}], "severity": "LOW"}
    document = "query { mine: issuesV2(first: 1) { edges { node { key: id projects { name slug } notes { id } } } } }"
    assert project(document, "issuesV2", record) == {"key": "1", "projects": [{"name": "P", "slug": ""}], "notes": None}
    with pytest.raises(KeyError):
        project(document, "auditLogEntries", record)


@pytest.mark.parametrize(
    ("us", "written"),
    [(0, "1970-01-01T00:00:00Z"), (1_500_000, "1970-01-01T00:00:01.5Z"), (10_000_001, "1970-01-01T00:00:10.000001Z")],
)
def test_instants_are_written_without_the_zeros_that_end_their_fraction(us: int, written: str) -> None:
    assert text(us) == written
    assert parse(written) == us


def test_a_wall_clock_runs_and_can_be_ahead() -> None:
    plain, ahead = Clock.wall(), Clock.wall(offset=3600)
    assert 3590 * SECOND < ahead.now() - plain.now() < 3610 * SECOND
    world = World(seed=1, audit=1, issues=0, findings=0, clock=plain)
    before = world.now()
    world.advance(60)
    assert world.now() >= before + 60 * SECOND
