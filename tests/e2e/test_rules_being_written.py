"""A folder of rules that is just being written, as by a checkout: nothing of it is taken for deleted."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import time as clock

import pytest
from msgspec.structs import replace

from bookkeeping.alerts import alert_of
from bookkeeping.alerts import opened as put
from commands import Ocelog
from ocelog.alert.deciding import Decision
from ocelog.alert.ports import CommitSuccess, Piece
from ocelog.app.judging.jury import FolderJury
from ocelog.app.rule_folders import rule_folders
from ocelog.app.rule_folders.folder_reading import Bench, wait_for_rest
from ocelog.detect.folders import RuleFailures
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation, opened
from ocelog.model import Position

TABLE, LOG_TYPE, MOST_SECONDS = "wiz_issues", "Wiz.Issues", 10.0
NAMES = [f"Mine.R{number}" for number in range(10)]
RULE = """\
AnalysisType: rule
RuleID: Mine.{name}
Enabled: true
LogTypes: [Wiz.Issues]
Severity: {severity}
AlertLivesWithRecord: true
Detection:
  - {{Key: status, Condition: Equals, Value: OPEN}}
"""


@dataclass(slots=True)
class Time:
    """Time passes as a test says, and as the jury waits."""

    now: float = 1_000.0
    waited: list[float] = field(default_factory=list)
    meanwhile: Path | None = None
    """A folder in which a file is written whenever the jury waits."""

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waited.append(seconds)
        if self.meanwhile is not None:
            write(self.meanwhile, "Busy", ("HIGH", "LOW")[len(self.waited) % 2])


@dataclass(slots=True)
class Writing(Time):
    """Files are written as time passes."""

    folder: Path = Path()
    due: list[tuple[float, str]] = field(default_factory=list)
    """When each is written."""

    def __call__(self) -> float:
        while self.due and self.due[0][0] <= self.now:
            write(self.folder, self.due.pop(0)[1], "LOW")
        return self.now


@dataclass(slots=True, kw_only=True)
class Judging:
    """A jury that looks when a piece is judged."""

    jury: FolderJury
    time: Time

    def after(self, seconds: float) -> set[str]:
        """Return the rules of the folder that judge what lands after so long."""
        self.time.now += seconds
        return {name for name in self.jury.rules(LOG_TYPE) if name.startswith("Mine.")}

    def ends_schedules(self) -> bool:
        """Whether the schedules of rules that are not there are over."""
        return self.jury.reads_all

    def until(self, wanted: set[str], *, most: float = MOST_SECONDS) -> None:
        """Let time pass, second by second, until these judge."""
        began = self.time.now
        while self.after(1) != wanted:
            assert self.time.now - began < most, f"still {self.after(0)}"


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    ocelog("rules", "add", str(checkout(tmp_path)), "--name", "mine")
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    # However long a test takes: its files were written just now.
    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading._RESTED", 1e9)
    with opened() as found:
        yield found


def checkout(folder: Path) -> Path:
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    for number in range(10):
        write(rules, f"R{number}")
    return rules


def write(folder: Path, name: str, severity: str = "HIGH") -> None:
    (folder / f"{name}.yml").write_text(RULE.format(name=name, severity=severity))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "rules"


@pytest.fixture
def judging(installation: Installation) -> Iterator[Judging]:
    with closing(jury_of(installation, time := Time())) as jury:
        found = Judging(jury=jury, time=time)
        assert found.after(0) == set(NAMES)
        yield found


def jury_of(installation: Installation, time: Time) -> FolderJury:
    return FolderJury(installation, channels=dict, monotonic=time, sleep=time.sleep)


def with_all_that_ends(installation: Installation) -> None:
    """Have each rule have an open alert, know what is there, and have failed; one is suspended."""
    put(installation.ledger, *(alert_of(at, rule_id=name, record_id="r") for at, name in enumerate(NAMES)))
    seeds = installation.ledger.judging.unseeded(TABLE, folders(installation))
    known = [(each, replace(each, done=True)) for each in seeds]
    start = Position()
    piece = Piece(table=TABLE, since=start, to=start, source_id=None, decision=Decision(), seeds=known)
    assert isinstance(installation.ledger.judging.commit(piece), CommitSuccess)
    installation.ledger.rules.suspend(NAMES[1], "it failed")
    failed = (None, RuleFailures(revision="1", failed=3))
    installation.ledger.rules.count_failures(dict.fromkeys(set(NAMES) - {NAMES[1]}, failed))


def folders(installation: Installation) -> dict[str, str]:
    (here,) = (each.id for each in installation.ledger.rules.folders() if each.name == "mine")
    return dict.fromkeys(NAMES, here)


def kept(installation: Installation) -> tuple[list[str], set[str], set[str], set[str]]:
    """Return of which rules there are open alerts, what they know, how they failed, and which are suspended."""
    ledger = installation.ledger
    unseeded = {each.rule_id for each in ledger.judging.unseeded(TABLE, folders(installation))}
    suspended = {name for name, state in ledger.rules.states().items() if state.suspended_us is not None}
    return ledger.alerts.rules_of_records(), set(NAMES) - unseeded, set(ledger.rules.failures()), suspended


ALL = (NAMES, set(NAMES), set(NAMES) - {NAMES[1]}, {NAMES[1]})


def test_a_checkout_that_lacks_most_rules_at_one_look_ends_nothing(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    with_all_that_ends(installation)
    asked = set(NAMES) - {NAMES[1]}
    assert judging.after(5) == asked
    assert judging.ends_schedules()
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    assert judging.after(5) == asked, "rules were taken for deleted in the middle of a checkout"
    assert not judging.ends_schedules(), "schedules of rules end by this look"
    assert kept(installation) == ALL
    checkout(folder.parent)
    for seconds in (1, 2, 5, 5):
        assert judging.after(seconds) == asked
        assert kept(installation) == ALL
    assert judging.ends_schedules()
    assert installation.ledger.rules.troubles() == []


def test_rules_that_are_gone_end_with_a_second_look_that_agrees(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    with_all_that_ends(installation)
    judging.after(5)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    judging.until({NAMES[0]})
    assert kept(installation) == ALL, "a single look at what is left ended what was theirs"
    assert not judging.ends_schedules()
    judging.after(5)
    assert kept(installation) == ([NAMES[0]], {NAMES[0]}, {NAMES[0]}, set())
    assert judging.ends_schedules()


def test_what_a_single_look_used_ends_nothing_if_the_next_differs(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    with_all_that_ends(installation)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    judging.until({NAMES[0]})
    checkout(folder.parent)
    judging.after(5)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    judging.after(2)
    assert kept(installation) == ALL, "it was something else at the look before"


@pytest.mark.parametrize("seed", range(5))
def test_each_event_is_judged_by_a_rule_or_noted_while_files_come_and_go(
    folder: Path, judging: Judging, installation: Installation, seed: int
) -> None:
    drawn = random.Random(seed)
    with_all_that_ends(installation)
    for _ in range(40):
        for path in sorted(folder.iterdir()):
            path.unlink()
        for number in drawn.sample(range(10), drawn.randrange(1, 10)):
            write(folder, f"R{number}", drawn.choice(["LOW", "HIGH"]))
        judged = judging.after(drawn.choice([0.1, 1, 2, 5]))
        assert judged | judging.jury.passed(LOG_TYPE).keys() >= set(NAMES), "events passed a rule without a trace"
        assert kept(installation) == ALL
    (trouble,) = installation.ledger.rules.troubles()
    assert "go on changing" in trouble.reason
    assert "last good version runs" in trouble.reason
    checkout(folder.parent)
    judging.after(5)
    judging.after(5)
    assert installation.ledger.rules.troubles() == []


def test_an_edit_is_used_within_ten_seconds(folder: Path, judging: Judging) -> None:
    judging.after(5)
    write(folder, "R0", "LOW")
    write(folder, "New")
    judging.until({*NAMES, "Mine.New"})
    assert judging.jury.rules(LOG_TYPE)[NAMES[0]].about.severity == "LOW"


def test_a_single_look_of_a_process_that_judges_uses_nothing(
    folder: Path, judging: Judging, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_all_that_ends(installation)
    judging.after(5)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading._RESTED", 0.0)
    assert judging.after(5) == set(NAMES) - {NAMES[1]}
    assert kept(installation) == ALL


def test_an_edit_of_some_time_ago_is_used_at_the_first_look_of_a_process(
    folder: Path, judging: Judging, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging.jury.close()
    write(folder, "New")
    (folder / "R0.yml").unlink()
    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading._RESTED", 0.0)
    with closing(jury_of(installation, time := Time())) as jury:
        found = Judging(jury=jury, time=time)
        assert found.after(0) == {*NAMES[1:], "Mine.New"}
        assert found.ends_schedules()
        assert time.waited == []


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("pause", [0.3, 0.8, 1.5, 3.0])
def test_nothing_ends_while_files_are_written_one_by_one(
    folder: Path, judging: Judging, installation: Installation, pause: float, begins: bool
) -> None:
    with_all_that_ends(installation)
    judging.jury.close()
    time = Writing(folder=folder)
    with closing(jury_of(installation, time)) as jury:
        found = Judging(jury=jury, time=time)
        if not begins:
            found.after(0)
        for path in folder.iterdir():
            path.unlink()
        time.due = [(1_000.0 + at * pause, f"R{at}") for at in range(10)]
        while time.now < 1_000 + 10 * pause + 15:
            judged = found.after(0.7)
            assert judged | jury.passed(LOG_TYPE).keys() >= set(NAMES), "events passed a rule without a trace"
            assert kept(installation) == ALL
        assert jury.rules(LOG_TYPE)[NAMES[0]].about.severity == "LOW"
        assert found.ends_schedules()
    assert installation.ledger.rules.troubles() == []


def test_rules_that_went_before_a_process_began_judge_until_their_folder_has_rested(
    folder: Path, judging: Judging, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_all_that_ends(installation)
    judging.jury.close()
    monkeypatch.setattr("ocelog.app.rule_folders.folder_reading._RESTED", 20.0)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    with closing(jury_of(installation, time := Time())) as jury:
        found = Judging(jury=jury, time=time)
        for _ in range(3):
            assert found.after(3) == set(NAMES) - {NAMES[1]}
            assert kept(installation) == ALL
        assert installation.ledger.rules.troubles() == []
        found.until({NAMES[0]}, most=20)
        for _ in range(2):
            found.after(5)
        assert kept(installation) == ([NAMES[0]], {NAMES[0]}, {NAMES[0]}, set())


def test_a_log_that_is_written_beside_the_rules_delays_no_edit(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    write(folder, "New")
    for second in range(30):
        (folder / "some.log").write_text(f"{second}")
        found = judging.after(4)
    assert found == {*NAMES, "Mine.New"}
    assert judging.ends_schedules()
    assert installation.ledger.rules.troubles() == []


def test_who_disables_a_rule_is_not_delayed_by_files_that_change(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    with_all_that_ends(installation)
    judging.after(5)
    write(folder, "New")
    installation.ledger.rules.enable([NAMES[2]], enabled=False)
    assert NAMES[2] not in judging.after(5)
    assert NAMES[2] not in kept(installation)[0]


def test_a_rule_that_is_off_while_files_change_knows_nothing_once_it_is_on_again(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    with_all_that_ends(installation)
    judging.after(5)
    write(folder, "New", "LOW")
    installation.ledger.rules.enable([NAMES[2]], enabled=False)
    judging.after(5)
    assert NAMES[2] not in kept(installation)[0]
    write(folder, "New", "HIGH")
    installation.ledger.rules.enable([NAMES[2]], enabled=True)
    assert NAMES[2] in judging.after(5)
    assert kept(installation)[1] == set(NAMES) - {NAMES[2]}, "its alerts never come back"


def test_the_first_look_of_a_process_waits_until_a_checkout_is_there(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    judging.jury.close()
    write(folder, "New")
    with closing(jury_of(installation, time := Time())) as jury:
        assert {*NAMES, "Mine.New"} <= jury.rules(LOG_TYPE).keys()
        assert jury.reads_all
        assert 0 < sum(time.waited) < 5
        (mine,) = (each for each in jury.benches.values() if each.folder.name == "mine")
        again = Bench(folder=mine.folder, judge=mine.judge)
        assert jury._reader.read(again, 1), "what the process before it judged by has to be found twice"


def test_a_process_that_begins_while_files_keep_changing_judges_by_the_last_good_ones(
    folder: Path, judging: Judging, installation: Installation
) -> None:
    with_all_that_ends(installation)
    judging.jury.close()
    (folder / "R0.yml").unlink()
    with closing(jury_of(installation, time := Time(meanwhile=folder))) as jury:
        found = Judging(jury=jury, time=time)
        assert found.after(0) == set(NAMES) - {NAMES[1]}
        assert sum(time.waited) == pytest.approx(5, abs=1)
        assert kept(installation) == ALL
        (trouble,) = installation.ledger.rules.troubles()
        assert "go on changing" in trouble.reason
    (copy,) = (installation.home.path / "rules").iterdir()
    copy.unlink()
    with closing(jury_of(installation, Time(meanwhile=folder))) as jury:
        assert not any(name.startswith("Mine.") for name in jury.rules(LOG_TYPE))
        assert "go on changing" in jury.passed(LOG_TYPE)["mine/*"]


def test_files_that_are_exchanged_behind_their_links_are_read_again(folder: Path, judging: Judging) -> None:
    """Kubernetes mounts a ConfigMap so."""
    for name, severity in (("..one", "LOW"), ("..two", "HIGH")):
        (folder / name).mkdir()
        write(folder / name, "Linked", severity)
    (folder / "..data").symlink_to("..one")
    (folder / "Linked.yml").symlink_to("..data/Linked.yml")
    judging.until({*NAMES, "Mine.Linked"})
    assert judging.jury.rules(LOG_TYPE)["Mine.Linked"].about.severity == "LOW"
    (folder / "..new").symlink_to("..two")
    (folder / "..new").rename(folder / "..data")
    for _ in range(3):
        judging.after(5)
    assert judging.jury.rules(LOG_TYPE)["Mine.Linked"].about.severity == "HIGH"


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what lets commands look at folders while time passes as a test says."""

    def set_time(time: Time, *, clock: float = 0.0) -> None:
        def sleep(seconds: float) -> None:
            time.sleep(seconds)
            # What is due by then is written.
            time()

        waits = partial(wait_for_rest, monotonic=time, sleep=sleep, clock=lambda: clock)
        monkeypatch.setattr(rule_folders, "wait_for_rest", waits)

    return set_time


@pytest.mark.parametrize("pause", [0.3, 0.6])
def test_a_command_acts_on_all_rules_of_a_checkout_that_is_being_written(
    folder: Path, installation: Installation, by_hand: Callable[..., None], pause: float
) -> None:
    for path in sorted(folder.iterdir())[3:]:
        path.unlink()
    by_hand(time := Writing(folder=folder, due=[(1_000.0 + at * pause, f"R{at + 2}") for at in range(1, 8)]))
    assert rule_folders.turn(installation, ["Mine.*"], on=False).rules == tuple(NAMES)
    assert 0 < sum(time.waited) < 6


def test_a_command_waits_longer_for_rules_that_are_missing(
    folder: Path, judging: Judging, installation: Installation, by_hand: Callable[..., None]
) -> None:
    judging.after(5)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    by_hand(Writing(folder=folder, due=[(1_003.0, f"R{at}") for at in range(1, 10)]))
    assert rule_folders.turn(installation, ["Mine.*"], on=False).rules == tuple(NAMES)


def test_a_command_says_that_files_go_on_changing_and_does_not_guess(
    folder: Path, installation: Installation, by_hand: Callable[..., None]
) -> None:
    by_hand(time := Time(meanwhile=folder))
    for wanted in (["Mine.*"], ["Mine.R1", "Mine.R*"]):
        with pytest.raises(ConfigError, match="'mine' are still being written"):
            rule_folders.turn(installation, wanted, on=False)
    with pytest.raises(ConfigError, match="'mine' are still being written"):
        rule_folders.unregister(installation, "mine")
    assert installation.ledger.rules.states() == {}
    (mine,) = (each for each in rule_folders.listed(installation, waits=True) if each.folder.name == "mine")
    assert [each for each in mine.problems if "go on changing" in each]
    # One rule is that rule, whatever others there are.
    assert rule_folders.turn(installation, [NAMES[1]], on=False).rules == (NAMES[1],)
    assert sum(time.waited) <= 5 * 6


def test_a_command_waits_for_no_folder_that_is_at_rest(
    folder: Path, installation: Installation, by_hand: Callable[..., None]
) -> None:
    by_hand(time := Time(), clock=clock() + 10)
    assert rule_folders.turn(installation, ["Mine.*"], on=False).rules == tuple(NAMES)
    assert rule_folders.unregister(installation, "mine").path == str(folder)
    assert time.waited == []


def test_a_look_by_hand_uses_what_was_just_written(folder: Path, judging: Judging) -> None:
    judging.after(5)
    write(folder, "New")
    judging.jury.look_again(waits=True)
    assert judging.after(0) == {*NAMES, "Mine.New"}
    assert judging.ends_schedules()
