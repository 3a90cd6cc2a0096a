"""`ocelog service`: everything in the very places that the units name, and nothing of a person's overwritten."""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from commands import Ocelog, callfilter
from ocelog.app.maintenance import backup, host_service
from ocelog.app.maintenance.host_service import HostService
from ocelog.cli import show, typed
from ocelog.cli.lines import Lines
from ocelog.errors import ConfigError, HomeError
from ocelog.installation import home as homes
from ocelog.installation.home_lock import held

PROGRAM = Path(sys.executable).with_name("ocelog")


@pytest.fixture
def ocelog(tmp_path: Path) -> Ocelog:
    return Ocelog(tmp_path / "unused", HOME=str(tmp_path / "person"), XDG_CONFIG_HOME="", XDG_RUNTIME_DIR="")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return tmp_path / "machine"


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def named_paths(unit: str) -> set[str]:
    """Return the absolute paths that a unit names, but for those of the system."""
    found = set(re.findall(r"(?<![\w.])/[\w./-]+", "\n".join(line for line in unit.splitlines() if "://" not in line)))
    return {path for path in found if not path.startswith(str(PROGRAM))}


def test_everything_is_where_the_units_look_for_it(ocelog: Ocelog, machine: Path) -> None:
    done = ocelog("service", "install", "--root", str(machine), "--backup", "/srv/backup")
    units = machine / "etc" / "systemd" / "system"
    for name in ("ocelog.service", "ocelog-upkeep.service", "ocelog-backup.service"):
        for path in named_paths((units / name).read_text()):
            assert (machine / path.removeprefix("/")).exists(), (name, path)
        assert f"Write {units / name}" in done.out
    for link, unit in {
        "multi-user.target.wants": "ocelog.service",
        "timers.target.wants": "ocelog-upkeep.timer",
    }.items():
        assert (units / link / unit).readlink() == Path("/etc/systemd/system") / unit
    assert (machine / "etc/ocelog").stat().st_mode & 0o777 == 0o700
    assert (machine / "etc/ocelog/key").stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[0-9a-f]{64}\n", (machine / "etc/ocelog/key").read_text())
    assert (machine / "var/lib/ocelog").stat().st_mode & 0o777 == 0o700
    assert "u ocelog " in (machine / "etc/sysusers.d/ocelog.conf").read_text()
    assert f"sudo {PROGRAM} service exec source add" in done.out


@pytest.mark.slow
def test_once_more_changes_nothing_and_a_dry_run_never_does(ocelog: Ocelog, machine: Path) -> None:
    dry = ocelog("service", "install", "--root", str(machine), "--dry-run")
    assert "systemd would not be told, since it does not run here: the service would start" in dry.err
    assert not machine.exists()
    assert "Would do: Make the key" in dry.out
    did = ocelog("service", "install", "--root", str(machine))
    assert [line.removeprefix("Would do: ") for line in dry.out.splitlines()] == did.out.splitlines()
    before = contents(machine)
    again = ocelog("service", "install", "--root", str(machine)).out
    assert contents(machine) == before
    assert "Make " not in again
    ocelog("service", "uninstall", "--root", str(machine), "--dry-run")
    assert contents(machine) == before


@pytest.mark.slow
def test_a_unit_that_was_changed_by_hand_is_neither_replaced_nor_deleted_without_a_word(
    ocelog: Ocelog, machine: Path
) -> None:
    ocelog("service", "install", "--root", str(machine))
    unit = machine / "etc" / "systemd" / "system" / "ocelog.service"
    mine = unit.read_text().replace("RestartSec=10", "RestartSec=60")
    unit.write_text(mine)
    for command in ("install", "uninstall"):
        refused = ocelog("service", command, "--root", str(machine), code=2).err
        assert f"changed by hand: {unit}" in refused
        assert f"ocelog service {command} --root {machine} --force\n" in refused
        assert unit.read_text() == mine
    ocelog("service", "install", "--root", str(machine), "--force")
    assert unit.with_name("ocelog.service.before").read_text() == mine
    assert "RestartSec=10" in unit.read_text()
    unit.write_text(mine)
    ocelog("service", "uninstall", "--root", str(machine), "--force")
    assert not unit.exists()
    assert unit.with_name("ocelog.service.before").read_text() == mine
    assert unit.with_name("ocelog.service.before-2").read_text() == mine
    ocelog("service", "install", "--root", str(machine))
    unit.write_text("other\n")
    ocelog("service", "install", "--root", str(machine), "--force")
    assert unit.with_name("ocelog.service.before").read_text() == mine
    assert unit.with_name("ocelog.service.before-3").read_text() == "other\n"


def test_a_unit_of_an_older_release_is_replaced(machine: Path) -> None:
    service = HostService(root=machine, program=Path("/opt/old/bin/ocelog"))
    service.install()
    service = HostService(root=machine, program=Path("/opt/old/bin/ocelog"), backup=Path("/srv/100% safe"))
    service.install()
    described = service.units / "ocelog-backup.service"
    older = described.read_text().replace("back up to /srv/100%% safe", "each night").partition("\n")[2]
    described.write_text(
        f"# Written by `ocelog service install`, sum {host_service._sum(older)}. Change it by: x\n{older}"
    )
    newer = HostService(root=machine, program=Path("/opt/ocelog/bin/ocelog"))
    newer.install()
    backup = (service.units / "ocelog-backup.service").read_text()
    assert 'ExecStart=/opt/ocelog/bin/ocelog backup "/srv/100%% safe"\n' in backup
    unit = service.units / "ocelog.service"
    assert f"Replace {unit}" in newer.lines
    assert "ExecStart=/opt/ocelog/bin/ocelog run\n" in unit.read_text()


@pytest.mark.slow
def test_uninstalling_leaves_data_and_key(ocelog: Ocelog, machine: Path) -> None:
    ocelog("service", "install", "--root", str(machine), "--backup", "/srv/backup")
    key = (machine / "etc/ocelog/key").read_text()
    (machine / "var/lib/ocelog/ledger.db").write_text("rows")
    done = ocelog("service", "uninstall", "--root", str(machine))
    assert contents(machine) == {"etc/ocelog/key": key, "var/lib/ocelog/ledger.db": "rows"}
    assert "The data is still in /var/lib/ocelog" in done.out
    assert "No service is installed" in ocelog("service", "uninstall", "--root", str(machine)).out


@pytest.mark.slow
def test_a_user_has_one_of_their_own(ocelog: Ocelog, tmp_path: Path) -> None:
    done = ocelog("service", "install", "--user")
    units = tmp_path / "person" / ".config" / "systemd" / "user"
    text = (units / "ocelog.service").read_text()
    assert f"Environment=OCELOG_HOME={ocelog.home}\n" in text
    assert "User=" not in text
    assert (units / "default.target.wants" / "ocelog.service").resolve() == units / "ocelog.service"
    assert "loginctl enable-linger" in done.out
    ocelog("service", "uninstall", "--user")
    assert contents(tmp_path / "person") == {}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("backup", ["/srv/backup", "/srv/back up %d $HOME 'x'"])
def test_systemd_finds_nothing_wrong_with_the_units(machine: Path, backup: str) -> None:
    HostService(root=machine, program=PROGRAM, backup=Path(backup)).install()
    units = sorted((machine / "etc/systemd/system").glob("ocelog*"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stderr.strip(), done.returncode) == ("", 0)


def test_the_units_let_queries_lock_themselves_in(machine: Path) -> None:
    """Systemd 252 of Debian 12 knows no group of these calls, and would end whoever made one that is not listed."""
    HostService(root=machine, program=PROGRAM).install()
    for unit in (machine / "etc/systemd/system").glob("*.service"):
        lines = unit.read_text().splitlines()
        (allowed,) = (line for line in lines if line.startswith("SystemCallFilter="))
        needed = {
            "seccomp",
            "landlock_create_ruleset",
            "landlock_add_rule",
            "landlock_restrict_self",
            "@system-service",
        }
        assert needed <= set(allowed.partition("=")[2].split())
        assert "SystemCallErrorNumber=EPERM" in lines


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or find_library("seccomp") is None,
    reason="systemd-analyze or libseccomp is not on this machine",
)
def test_queries_lock_themselves_in_under_the_calls_that_the_units_allow(machine: Path, tmp_path: Path) -> None:
    """The list of calls is that of the systemd here; that of Debian 12 has no group with what locks a process in."""
    HostService(root=machine, program=PROGRAM).install()
    home = Ocelog(tmp_path / "home")
    home("init")

    def layers(*before: str) -> object:
        done = subprocess.run(
            [*before, PROGRAM, "config", "--json"], env=home.environment, capture_output=True, text=True, check=True
        )
        return next(each["value"] for each in json.loads(done.stdout) if each["setting"] == "SQL sandbox")

    free = layers()
    for unit in (machine / "etc/systemd/system").glob("*.service"):
        assert layers(sys.executable, callfilter.__file__, str(unit)) == free


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or find_library("seccomp") is None,
    reason="systemd-analyze or libseccomp is not on this machine",
)
def test_rules_find_no_other_files_under_the_calls_that_the_service_allows(machine: Path) -> None:
    HostService(root=machine, program=PROGRAM).install()
    code = (
        "from ocelog.sandbox.child import Bounds, Child, Spec\n"
        "bounds = Bounds(memory_bytes=1 << 30, cpu_seconds=10, wall_seconds=60)\n"
        "child = Child(spec=Spec(entry=None, bounds=bounds, threads=False, hides=True))\n"
        "print(child.layers.paths); child.close()"
    )
    unit = machine / "etc/systemd/system/ocelog.service"
    command = [sys.executable, callfilter.__file__, str(unit), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True"


def test_a_program_that_the_service_could_not_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_service.HostService, "_refuse_no_permission", lambda _: None)
    program, backup = Path("/root/.local/bin/ocelog"), Path("/srv/ocelog backup")
    says = r"may not read /root/.*python3 -m venv /opt/ocelog.* install --backup '/srv/ocelog backup'\. "
    with pytest.raises(ConfigError, match=says):
        HostService(program=program, backup=backup).install()
    looked_at = HostService(program=program, backup=backup, dry_run=True)
    looked_at.install()
    assert any(re.search(says, each) for each in looked_at.left_to_do), "it says the rest, too"
    assert looked_at.program_to_type == Path("/opt/ocelog/bin/ocelog"), "no service runs the other"


@pytest.mark.slow
def test_who_is_not_root_is_told_what_to_do(ocelog: Ocelog, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no user ocelog" in ocelog("service", "exec", "source", "list", "--json", code=2).err
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "executable", "/opt/ocelog/bin/python")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(Path, "resolve", lambda self: self)
    with pytest.raises(ConfigError, match="Only root may install"):
        HostService(program=Path("/opt/ocelog/bin/ocelog")).install()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_command_runs_as_the_user_of_the_service_with_its_home_and_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("5e" * 32 + "\n")
    code = (
        "import sys; from pathlib import Path; from ocelog.app.maintenance import host_service as it; "
        f"it.USER, it.HOME, it.KEY = 'nobody', Path('/srv/home'), Path({str(key)!r}); "
        "it.run_as_service(['-c', 'id -un; id -G; env'], Path('/bin/sh'), {})"
    )
    environment = {**os.environ, "OCELOG_KEY_FILE": "/x", "SECRET_OF_ROOT": "hush", "SUDO_USER": "ann"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    user, groups, *variables = done.stdout.splitlines()
    assert (user, "0" in groups.split()) == ("nobody", False)
    assert {"OCELOG_HOME=/srv/home", f"OCELOG_KEY={'5e' * 32}", "HOME=/srv/home"} <= set(variables)
    assert "OCELOG_USER=ann" in variables, "what ann does to alerts is not said to be done by the service"
    assert not [each for each in variables if each.startswith(("SECRET_OF_ROOT", "OCELOG_KEY_FILE"))]


def test_a_backup_folder_is_named_by_its_full_path(ocelog: Ocelog) -> None:
    assert "full path" in ocelog("service", "install", "--dry-run", "--root", "/x", "--backup", "here", code=2).err


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder that stands for this machine's, where the user of the service is `nobody`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setattr(host_service, "USER", "nobody")
        monkeypatch.setattr(host_service, "HOME", folder / "home")
        monkeypatch.setattr(host_service, "KEY", folder / "etc" / "key")
        monkeypatch.setattr(host_service, "_SYSTEM_UNITS", folder / "units")
        monkeypatch.setattr(host_service, "_HIDDEN", ())
        monkeypatch.setattr(HostService, "is_live", property(lambda _: False))
        yield folder


def on(here: Path, to: Path | None = None) -> HostService:
    return HostService(program=PROGRAM, home=here / "home", backup=to)


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to other users")


@AS_ROOT
def test_a_backup_folder_that_the_service_may_not_write_is_refused_before_anything_changes(here: Path) -> None:
    (here / "of root").mkdir(mode=0o755)
    (here / "closed").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match=r"may not write .*of root, which belongs to root .mode 755.") as caught:
        on(here, here / "of root").install()
    typed = f"sudo {PROGRAM} service install --backup '{here}/of root/ocelog'"
    assert typed in str(caught.value)
    assert f"sudo chown -R nobody: '{here}/of root'" in str(caught.value)
    with pytest.raises(ConfigError, match=r"may not enter .*closed"):
        on(here, here / "closed" / "deep" / "er").install()
    (here / "file").touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        on(here, here / "file").install()
    with pytest.raises(ConfigError, match="in each other"):
        on(here, here / "home" / "backup").install()
    assert {each.name for each in here.iterdir()} == {"of root", "closed", "file"}
    on(here, here / "of root" / "ocelog").install()
    assert (here / "of root" / "ocelog").owner() == "nobody"


@AS_ROOT
def test_a_backup_folder_of_the_service_is_taken_and_an_earlier_backup_of_root_is_not(here: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    (here / "bk").mkdir()
    os.chown(here / "bk", nobody.pw_uid, nobody.pw_gid)
    on(here, here / "bk").install()
    (here / "bk" / "backup.json").touch()
    with pytest.raises(ConfigError, match=r"chown -R nobody: .*bk"):
        on(here).install()
    os.chown(here / "bk" / "backup.json", nobody.pw_uid, nobody.pw_gid)
    on(here).install()


@AS_ROOT
def test_a_folder_for_backups_can_be_reached_whatever_the_umask(here: Path) -> None:
    before = os.umask(0o077)
    try:
        on(here, here / "a" / "b").install()
    finally:
        os.umask(before)
    assert subprocess.run(["test", "-w", here / "a" / "b"], user="nobody", check=False).returncode == 0


@AS_ROOT
def test_a_home_that_root_made_is_given_to_the_service_and_one_of_another_is_left(here: Path) -> None:
    (here / "home" / "lake").mkdir(parents=True)
    (here / "home" / "link").symlink_to(here / "elsewhere")
    (here / "elsewhere").touch()
    service = on(here)
    service.install()
    assert {each.owner() for each in (here / "home", here / "home" / "lake")} == {"nobody"}
    assert (here / "elsewhere").owner() == "root"
    assert f"Give {here}/home, and what is in it, to nobody" in service.lines
    os.chown(here / "home", 1, 1)
    with pytest.raises(ConfigError, match="belongs to daemon"):
        on(here).install()
    assert (here / "home").owner() == "daemon"


def test_a_backup_folder_that_no_service_sees_is_refused(machine: Path) -> None:
    for hidden in ("/home/ana/backup", "/run/user/1/b", "/tmp/b"):
        with pytest.raises(ConfigError, match="may not see"):
            HostService(root=machine, program=PROGRAM, backup=Path(hidden)).install()
    assert not machine.exists()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles, which needs root"
)
def test_the_backup_folder_of_an_image_is_given_to_its_user_when_it_starts(machine: Path) -> None:
    service = HostService(root=machine, program=PROGRAM, backup=Path("/srv/back up 100%"))
    service.install()
    assert any(str(PROGRAM) in each for each in service.left_to_do)
    (machine / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nocelog:x:1234:1235::/:/bin/sh\n")
    (machine / "etc/group").write_text("root:x:0:\nocelog:x:1235:\n")
    subprocess.run(["systemd-tmpfiles", f"--root={machine}", "--create", "ocelog.conf"], check=True)
    found = (machine / "srv/back up 100%").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1235, 0o700)
    again = HostService(root=machine, program=PROGRAM)
    again.install()
    assert not [each for each in again.lines if each.startswith(("Make", "Write", "Replace"))]
    (machine / "srv/other").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        HostService(root=machine, program=PROGRAM, backup=Path("/srv/other")).install()


@AS_ROOT
def test_a_backup_to_a_folder_of_another_user_asks_for_another_folder(here: Path) -> None:
    (here / "bk").mkdir(mode=0o755)
    if (pid := os.fork()) == 0:
        code = 1
        try:
            os.setuid(pwd.getpwnam("nobody").pw_uid)
            backup._refuse_unfit(here / "bk" / "new", here / "home", "id")
        except HomeError as error:
            code = 0 if "name another folder for the backup" in str(error) and "sudo -u" not in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_commands_that_are_printed_under_exec_lead_back_to_the_home_of_the_service(tmp_path: Path) -> None:
    program = "sudo /opt/ocelog/bin/ocelog service exec"
    ocelog = Ocelog(tmp_path / "home", _OCELOG_TYPED_AS=program)
    assert f"run `{program} init`" in ocelog("status", code=2).err
    assert f"Next: {program} source add\n" in ocelog("init").out
    assert f"Add one: {program} source add\n" in ocelog("source", "list").out
    with held(homes.open_home(ocelog.home), "ocelog run"):
        assert "Running: ocelog run, since" in ocelog("status").out, "that is the process, not what to type"
    of_all, of_one = (" ".join(ocelog(*words, "--help").out.split()) for words in ((), ("repair",)))
    assert f"With a tenant: {program} init, {program} source add" in of_all
    assert f"Usage: {program} repair" in of_one
    assert f"run `{program} pull`" in of_one
    assert f"See: {program} status --help" in " ".join(ocelog("status", "--nonsense", code=2).err.split())
    assert ocelog("query", "SELECT 'run: ocelog pull' AS text").lines == [{"text": "run: ocelog pull"}], "that is data"


def test_what_to_type_is_told_from_what_is_only_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "`ocelog run` is running. Run: ocelog run. Type `ocelog pull`, or /opt/bin/ocelog pull. An ocelog home."
    assert typed.as_typed(said) == said
    monkeypatch.setenv(typed.TYPED_AS, "X")
    as_typed = (
        "`ocelog run` is running. Run: sudo systemctl start ocelog. Type `X pull`, "
        "or /opt/bin/ocelog pull. An ocelog home."
    )
    assert typed.as_typed(said) == as_typed
    show.as_json({"streams": [{"todo": said, "events": 1}]})
    assert json.loads(capsys.readouterr().out) == {"streams": [{"todo": as_typed, "events": 1}]}
    event = {"event": "failed", "level": "error", "timestamp": "2026-08-01T12:00:00Z", "loop": "x", "reason": said}
    assert Lines(on_terminal=False)(None, "error", event).endswith(as_typed)
