"""`ocelog rejections --replay`: a record that fits by now lands as it would have landed then, and once."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from commands import Ocelog, simulator
from commands.kept import Kept
from commands.terminal import bare_lines, on_a_terminal
from ocelog.app.records import rejections as replaying
from ocelog.app.records.rejections import StoredRejection
from ocelog.cli import main
from ocelog.errors import TransientError
from ocelog.installation.opening import Installation, opened
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

OBSERVED = datetime(2026, 8, 2, tzinfo=UTC)
RECORD = {
    "id": "late-1",
    "createdAt": "2026-08-01T00:00:00Z",
    "updatedAt": "2026-08-01T01:00:00Z",
    "status": "OPEN",
    "severity": "HIGH",
    "type": "TOXIC_COMBINATION",
}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    command = Ocelog(tmp_path_factory.mktemp("replay") / "home")
    command.init_unjudged()
    with simulator("--audit", "5", "--issues", "20", "--findings", "5") as tenant:
        command.add(tenant, "prod", "--no-check", "--backfill", "all")
        command("pull")
    return Kept(command)


@pytest.fixture
def pulled(once: Kept) -> Ocelog:
    """Put back a home whose source was read, and nothing rejected."""
    return once.again()


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    """Make a home that has rejected all it read, two records of an answer; who asks for it only reads there."""
    command = Ocelog(tmp_path_factory.mktemp("rejected") / "home")
    command.init_unjudged()
    odd = ("--fault", "odd-record:1:type=issues:kind=wrong-type")
    with simulator("--audit", "0", "--issues", "16", "--findings", "0", *odd) as tenant:
        command.add(tenant, "o'neill", "--no-check", "--log-type", "issues", "--backfill", "all", "--page-size", "2")
        command("pull")
    return command


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(World(seed=4, audit=0, issues=20, findings=0, clock=Clock.wall())) as server:
        yield server


def added(home: Path, server: Server) -> Ocelog:
    command = Ocelog(home, WIZ_SECRET=server.client_secret)
    command.init_unjudged()
    command(
        *("source", "add", "wiz", "sim", "--token-url", server.token_url, "--api-url", server.api_url),
        *("--client-id", server.client_id, "--client-secret-env", "WIZ_SECRET"),
        *("--log-type", "issues", "--backfill", "all", "--rate", "200"),
    )
    return command


@pytest.fixture(scope="module")
def lacking_two(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Kept:
    command = added(tmp_path_factory.mktemp("lacking") / "home", server)
    for record in sorted(server.world.current("issues"))[:2]:
        server.faults.add("odd-record", id=record, kind="null-required", type="issues")
    command("pull")
    server.faults.clear()
    return Kept(command)


@pytest.mark.slow
def test_a_record_that_fits_by_now_lands_once_under_the_instant_at_which_it_was_seen(
    pulled: Ocelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ocelog = pulled
    kept = StoredRejection(
        source_id="prod",
        source_label="prod",
        log_type="Wiz.Issues",
        origin="live",
        observed_at=OBSERVED,
        raw=json.dumps(RECORD).encode(),
        whole=True,
        unknown=frozenset(),
    )
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    monkeypatch.setattr(replaying, "stored", lambda *_: [[kept]])
    results = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main(["rejections", "--replay", "--json"])
        assert not ended.value.code
        results += json.loads(capsys.readouterr().out)
    assert [(each["tried"], each["events"], each["repeats"]) for each in results] == [(1, 1, 0), (1, 0, 1)]
    measured = {each["log_type"] for each in ocelog("coverage", "-o", "json", code=3).json["coverage"]}
    assert measured == {"Wiz.Audit", "Wiz.VulnerabilityFinding"}, "that of the issues lacks what has landed"

    (row,) = ocelog("query", "SELECT p_observed_at, p_origin, p_source_label FROM wiz_issues WHERE id = 'late-1'").lines
    assert row == {"p_observed_at": "2026-08-02T00:00:00Z", "p_origin": "live", "p_source_label": "prod"}
    ocelog("publish")
    assert ocelog.count("wiz_issues") == 21


@pytest.mark.slow
def test_a_field_that_was_refused_when_a_record_was_rejected_takes_the_value_of_the_version_before(
    pulled: Ocelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ocelog = pulled
    notes = [{"id": "n1", "text": "known"}]
    first = {**RECORD, "notes": notes, "dueAt": "2026-09-01T00:00:00Z"}
    later = {**RECORD, "updatedAt": "2026-08-01T02:00:00Z", "status": "RESOLVED", "notes": None, "dueAt": None}
    kept = [
        StoredRejection(
            source_id="prod",
            source_label="prod",
            log_type="Wiz.Issues",
            origin="live",
            observed_at=OBSERVED + timedelta(hours=hours),
            raw=json.dumps(record).encode(),
            whole=True,
            unknown=unknown,
        )
        for hours, record, unknown in ((0, first, frozenset[str]()), (1, later, frozenset({"notes"})))
    ]
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    monkeypatch.setattr(replaying, "stored", lambda *_: [kept])
    with pytest.raises(SystemExit) as ended:
        main(["rejections", "--replay", "--json"])
    assert not ended.value.code
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["events"], found["still_rejected"]) == (2, 0)
    (row,) = ocelog("query", "SELECT status, notes, dueAt FROM wiz_issues_current WHERE id = 'late-1'").lines
    assert (row["status"], json.loads(row["notes"]), row["dueAt"]) == ("RESOLVED", notes, None)


@pytest.mark.slow
def test_a_record_that_came_only_with_an_error_is_not_landed_but_asked_for_anew(tmp_path: Path, server: Server) -> None:
    ocelog = added(tmp_path / "home", server)
    server.faults.add("bad-record", id=min(server.world.current("issues")))
    ocelog("pull")
    server.faults.clear()
    tried = ocelog("rejections", "--replay", "--json")
    assert tried.json == [{"tried": 0, "events": 0, "repeats": 0, "still_rejected": 0, "sent_with_errors": 1}]
    assert "ocelog pull --since" in tried.err
    assert ocelog.count("wiz_issues") == 19
    ocelog("pull", "--since", "2000-01-01", "--until", "2100-01-01")
    assert ocelog.count("wiz_issues_current") == 20
    assert ocelog.count("wiz_issues") == 20


@pytest.mark.slow
@pytest.mark.parametrize("dies_first", [False, True])
def test_records_that_a_replay_has_landed_are_not_said_to_be_missing_any_more(
    lacking_two: Kept,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    dies_first: bool,
) -> None:
    ocelog = lacking_two.again(WIZ_SECRET=server.client_secret)
    before = ocelog("status").out
    assert "2 records did not fit" in before
    assert "The difference is the 2 records that did not fit" in before

    as_stored = replaying.stored

    def one_fits(installation: Installation, source_id: str | None = None) -> Iterator[list[StoredRejection]]:
        for first, *others in as_stored(installation, source_id):
            sound = {**json.loads(first.raw), "createdAt": RECORD["createdAt"]}
            yield [replace(first, raw=json.dumps(sound).encode()), *others]

    def dying(installation: Installation, source_id: str | None = None) -> Iterator[list[StoredRejection]]:
        yield from one_fits(installation, source_id)
        raise TransientError("the disk is away")

    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    if dies_first:
        monkeypatch.setattr(replaying, "stored", dying)
        with pytest.raises(SystemExit) as ended:
            main(["rejections", "--replay"])
        assert ended.value.code
        capsys.readouterr()
        assert "2 records did not fit" in ocelog("status").out
    monkeypatch.setattr(replaying, "stored", one_fits)
    with pytest.raises(SystemExit) as ended:
        main(["rejections", "--replay", "--json"])
    assert not ended.value.code
    (done,) = json.loads(capsys.readouterr().out)
    assert (done["events"], done["repeats"]) == ((0, 1) if dies_first else (1, 0))
    assert done["still_rejected"] == 1

    after = ocelog("status").out
    assert "1 records did not fit" in after
    assert "counts differ" not in after, "measured without the record that is in the lake now"
    (stream,) = ocelog("status", "--json").json["streams"]
    assert (stream["rejections"], stream["still_rejected"], stream["coverage"]) == (2, 1, [])
    (row,) = ocelog("query", "SELECT rejections, still_rejected FROM streams").lines
    assert row == {"rejections": 2, "still_rejected": 1}
    assert len(ocelog("query", "SELECT 1 FROM rejections").lines) == 2, "they stay as history"
    ocelog("pull")
    assert "The difference is the 1 records that did not fit" in ocelog("status").out
    (stream,) = ocelog("status", "--json").json["streams"]
    assert sum(each["in_lake"] for each in stream["coverage"]) == 19


@pytest.mark.slow
def test_rejections_that_do_not_fit_into_memory_are_replayed_bit_by_bit(
    rejected: Ocelog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocelog = rejected
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    monkeypatch.setattr(replaying, "_MOST_BYTES", 4_000)
    with opened() as installation:
        batches = list(replaying.stored(installation))
    assert len(batches) > 3
    assert sorted(each.raw for batch in batches for each in batch) == sorted(
        row["raw"].encode() for row in ocelog("query", "SELECT raw FROM rejections").lines
    )
    answers = [{each.page for each in batch} for batch in batches]
    assert all(answers[at].isdisjoint(answers[at + 1]) for at in range(len(answers) - 1))
    assert len({each.page[3] for batch in batches for each in batch}) > 3


def test_the_reasons_fit_on_a_terminal_and_what_is_named_for_the_rest_works(rejected: Ocelog) -> None:
    ocelog = rejected
    lines = bare_lines(on_a_terminal(ocelog, "rejections"))
    assert lines[0].split()[:3] == ["path", "expected", "found"]
    assert max(map(len, lines[:2])) <= 80
    shown = " ".join(lines)
    assert "-o line shows every field" in shown
    hidden = re.search(r"not fit: ([a-z_, ]+)\.", shown)
    assert hidden is not None
    whole = ocelog("rejections", "-o", "line").out
    assert all(f"\n{name}:" in whole for name in hidden[1].split(", "))
    raw = ocelog("rejections", "--json").json[0]["record"]
    assert f"record: {raw}"[:200] in re.sub(r": +", ": ", whole)
    assert "Give --json or -o, not both." in ocelog("rejections", "--json", "-o", "csv", code=2).err
