"""A home is made, found fit or refused, and held by one command at a time."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocelog.errors import ConfigError, HomeError, LakeUnavailableError, LedgerUnavailableError
from ocelog.installation import home
from ocelog.installation.home import Home, translated
from ocelog.installation.home_lock import SILENT, check_free, held, holder
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.ledger.ledger import Ledger
from ocelog.model import LoopFault


@pytest.fixture
def made(tmp_path: Path) -> Home:
    return home.finish(home.prepare(tmp_path / "home"), ledger_url=None)


def rewritten(made: Home, **changes: object) -> None:
    note = json.loads((made.path / "home.json").read_text())
    (made.path / "home.json").write_text(json.dumps(note | changes))


def test_a_home_opens_as_it_was_made(made: Home) -> None:
    assert home.open_home(made.path) == made
    assert made.ledger_url == f"sqlite:///{made.path}/ledger.db"


def test_nobody_else_may_look_into_a_home(made: Home) -> None:
    assert made.path.stat().st_mode & 0o077 == 0
    assert (made.path / "home.json").stat().st_mode & 0o077 == 0


def test_where_no_home_is_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="run `ocelog init`"):
        home.open_home(tmp_path / "nothing")


def test_a_folder_of_something_else_is_not_made_a_home(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(HomeError, match=r"not empty and not a home of Ocelog \('thesis.tex'"):
        home.prepare(tmp_path)


def test_making_that_was_killed_half_way_goes_on(tmp_path: Path) -> None:
    home.prepare(tmp_path / "home")
    assert not home.exists(tmp_path / "home")
    (tmp_path / "home" / "ledger.db").touch()
    home.finish(home.prepare(tmp_path / "home"), ledger_url=None)
    assert home.exists(tmp_path / "home")


def test_a_home_of_a_newer_version_is_left_as_it_is(made: Home) -> None:
    rewritten(made, version=home.VERSION + 1)
    with pytest.raises(HomeError, match=r"newer Ocelog .* upgrade Ocelog"):
        home.open_home(made.path)


def test_a_home_that_was_moved_is_refused_with_the_way_back(made: Home) -> None:
    elsewhere = made.path.with_name("elsewhere")
    made.path.rename(elsewhere)
    with pytest.raises(HomeError, match=f"was made at {made.path} and moved since.*symbolic link"):
        home.open_home(elsewhere)


def test_a_moved_home_works_again_behind_a_link_at_its_old_place(made: Home) -> None:
    elsewhere = made.path.with_name("elsewhere")
    made.path.rename(elsewhere)
    made.path.symlink_to(elsewhere)
    assert home.open_home(made.path).path == made.path
    assert home.open_home(elsewhere).path == made.path


def test_a_home_of_another_user_names_that_user(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    with pytest.raises(HomeError, match=r"belongs to \w+: run this as that user"):
        home.open_home(made.path)


@pytest.fixture
def nobody() -> Iterator[int]:
    """Be another user than the one who runs the tests, until the test ends."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    yield 65_534
    os.seteuid(0)


def test_a_home_that_is_closed_to_this_user_names_its_owner(nobody: int) -> None:
    # Not under pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = make(Path(folder) / "home", ledger_url=None).home.path
        os.seteuid(nobody)
        owned = "belongs to root: run this as that user, such as: sudo -u root"
        with pytest.raises(HomeError, match=owned), opened(place):
            pass
        with pytest.raises(HomeError, match=owned):
            make(place, ledger_url=None)
        os.seteuid(0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "1", "path": 3}', "\x00\xff"])
def test_a_damaged_note_is_told_from_a_missing_home(made: Home, text: str) -> None:
    (made.path / "home.json").write_text(text)
    with pytest.raises(HomeError, match="is damaged"):
        home.open_home(made.path)


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError):
        home.prepare(tmp_path / "file")
    with pytest.raises(HomeError):
        home.prepare(tmp_path / "file" / "below")


@pytest.mark.parametrize("left", [None, b""])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_lost_ledger_is_told_and_no_empty_one_takes_its_place(
    tmp_path: Path, left: bytes | None, elsewhere: bool
) -> None:
    file = tmp_path / "apart" / "ledger.db" if elsewhere else tmp_path / "home" / "ledger.db"
    file.parent.mkdir()
    place = make(tmp_path / "home", ledger_url=f"sqlite:///{file}" if elsewhere else None).home.path
    with opened(place):
        pass
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    before = {each.name for each in (*place.iterdir(), *file.parent.iterdir())}
    for reading in (False, True):
        with (
            pytest.raises(
                HomeError, match=rf"{file} is missing or empty.*ocelog restore DIR --home {file.parent}-restored`"
            ),
            opened(place, reading=reading),
        ):
            pass
    assert {each.name for each in (*place.iterdir(), *file.parent.iterdir())} == before
    assert left is None or file.read_bytes() == left


def test_a_ledger_elsewhere_is_found_from_wherever_a_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = make(tmp_path / "home", ledger_url="sqlite:///apart.db").home.path
    assert not (place / "ledger.db").exists()
    monkeypatch.chdir("/")
    with opened(place) as installation:
        assert installation.ledger.sources.listed() == []


def test_a_ledger_in_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a file"):
        make(tmp_path / "home", ledger_url="sqlite://")
    assert not (tmp_path / "home").exists()


def test_an_empty_key_is_made_anew_and_a_draft_of_one_is_in_nobodys_way(tmp_path: Path) -> None:
    place = home.prepare(tmp_path / "home")
    (place / "key").touch(0o600)
    (place / "key.x7_a.draft").touch(0o600)
    assert make(place, ledger_url=None).new_key == place / "key"
    (place / "key").write_bytes(b"")
    assert make(place, ledger_url=None).new_key == place / "key"
    assert make(place, ledger_url=None).new_key is None


def test_a_key_file_that_is_named_and_not_there_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCELOG_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(HomeError, match="absent, and no such file is there"):
        make(tmp_path / "home", ledger_url=None)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_can_be_tried_again_and_a_read_only_one_needs_a_person(tmp_path: Path) -> None:
    with pytest.raises(LakeUnavailableError, match="disk is full"), translated(tmp_path):
        raise OSError(28, "No space left on device")
    with pytest.raises(HomeError, match="mounted read-only"), translated(tmp_path):
        raise OSError(30, "Read-only file system")


def test_the_password_of_a_ledger_is_not_shown() -> None:
    shown = home.without_password("postgresql://ocelog:pa:ss/w@rd@db.example/ledger")
    assert shown == "postgresql://ocelog:***@db.example/ledger"
    assert home.without_password("postgresql://me@corp:a@b/c?d@db/x") == "postgresql://me@corp:***@db/x"
    assert home.without_password("postgresql://me:a\n@b@db/x") == "postgresql://me:***@db/x"
    assert home.without_password("postgresql://me@corp@db:5432/x") == "postgresql://me@corp@db:5432/x"
    assert "hunter2" not in home.without_password("postgresql://db/ledger?sslpassword=hunter2&password=hunter2&x=1")
    assert home.without_password("sqlite:////x/ledger.db") == "sqlite:////x/ledger.db"


def test_a_second_command_hears_who_holds_the_home_and_since_when(made: Home) -> None:
    with held(made, "ocelog run") as pulse:
        who = holder(made)
        assert who is not None
        assert (who.command, who.pid, who.console) == ("ocelog run", os.getpid(), None)
        says = rf"`ocelog run` holds the home .* since 20\S+Z \(process {os.getpid()} on "
        with pytest.raises(HomeError, match=says) as refused, held(made, "ocelog pull"):
            pass
        assert ": stop it (systemctl stop ocelog" in str(refused.value)
        with pytest.raises(HomeError, match=r"\): stop it"):
            check_free(made, service_can=True)
        pulse.serves("https://ocelog.example")
        pulse.failing([])
        with pytest.raises(HomeError, match=r"do it in its console, https://ocelog\.example, or stop it"):
            held(made, "ocelog rejections --replay", service_can=True).__enter__()
        with pytest.raises(HomeError, match="do it in its console"):
            check_free(made, service_can=True)
    assert holder(made) is None
    check_free(made)


def test_a_second_command_is_told_to_wait_for_one_that_ends(made: Home) -> None:
    with (
        held(made, "ocelog pull"),
        pytest.raises(HomeError, match=rf"wait for it to end, or stop it \(kill {os.getpid()}\)"),
    ):
        held(made, "ocelog rejections --replay", service_can=True).__enter__()


def test_a_second_command_is_not_told_to_wait_for_a_console(made: Home) -> None:
    with held(made, "ocelog demo") as pulse:
        pulse.serves("http://127.0.0.1:1234")
        with pytest.raises(HomeError, match=r": do it in its console, http://127\.0\.0\.1:1234, or stop it \(kill"):
            check_free(made, service_can=True)
        with pytest.raises(HomeError, match=r"\): stop it \(kill"):
            check_free(made)


@pytest.mark.parametrize(("days", "hangs"), [(0, False), (30, True), (-30, True)], ids=["fresh", "ahead", "old"])
def test_a_service_whose_last_sign_of_life_is_old_or_of_a_clock_that_was_ahead_hangs(
    made: Home, days: int, *, hangs: bool
) -> None:
    with held(made, "ocelog run") as pulse:
        pulse.beat()
        at = time.time() + days * 86_400
        os.utime(made.lock_file, (at, at))
        who = holder(made)
    assert who is not None
    silent = who.silent_for(datetime.now(UTC))
    assert (silent is not None) == hangs
    assert silent is None or silent >= SILENT


def test_a_holder_says_which_of_its_loops_fail_in_the_room_that_its_note_has(made: Home) -> None:
    since = datetime(2026, 11, 28, 1, 2, 3, tzinfo=UTC)
    faults = [LoopFault(loop="pull", during="turn", code="disk_full", reason="no room", since=since)]
    with held(made, "ocelog run") as pulse:
        before = made.lock_file.stat()
        pulse.failing(faults)
        who, after = holder(made), made.lock_file.stat()
        assert who is not None
        assert (who.command, who.pid, list(who.failing)) == ("ocelog run", os.getpid(), faults)
        # A disk that is full has no other block for it.
        assert (after.st_size, after.st_blocks, after.st_ino) == (before.st_size, before.st_blocks, before.st_ino)
        pulse.failing([replace(faults[0], reason="x" * 5_000)])
        who = holder(made)
        assert who is not None
        assert (len(who.failing), made.lock_file.stat().st_size) == (1, before.st_size)
        pulse.failing([])
        who = holder(made)
        assert who is not None
        assert list(who.failing) == []


@pytest.mark.parametrize("note", ['{"failing": 7}', '{"failing": [7, {}, {"loop": "x"}]}', '{"failing": [{"since": 3'])
def test_what_a_holder_of_another_version_says_of_its_loops_is_left_out(made: Home, note: str) -> None:
    with held(made, "ocelog run"):
        made.lock_file.write_text(note)
        who = holder(made)
    assert who is not None
    assert list(who.failing) == []


def test_looking_who_holds_a_home_does_not_hold_it(made: Home) -> None:
    assert holder(made) is None
    with held(made, "ocelog pull"):
        assert holder(made) is not None


def test_a_home_whose_holder_was_killed_is_free_at_once(made: Home) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from ocelog.installation import home; from ocelog.installation.home_lock import held\n"
        "with held(home.open_home(Path(sys.argv[1])), 'ocelog run'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(made.path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert holder(made) is not None
    process.kill()
    process.wait()
    process.stdout.close()
    with held(made, "ocelog pull"):
        pass


def test_on_a_full_disk_what_only_reads_still_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "home", ledger_url=None)

    def full(*_: object, **__: object) -> Ledger:
        raise LedgerUnavailableError("The disk is full.", code="disk_full")

    monkeypatch.setattr(Ledger, "open", full)
    with opened(tmp_path / "home", reading=True) as installation:
        assert installation.ledger.sources.listed() == []
    with pytest.raises(LedgerUnavailableError, match="full"), opened(tmp_path / "home"):
        pass
