"""How Ocelog becomes a service of this machine, and stops being one: units, user, folders and key, for systemd."""

import hashlib
import itertools
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

from ocelog.errors import ConfigError, HomeError
from ocelog.secrets import keys

USER = "ocelog"
HOME = Path("/var/lib/ocelog")
KEY = Path("/etc/ocelog/key")
_SYSTEM_UNITS = Path("/etc/systemd/system")
_SYSUSERS = Path("/etc/sysusers.d/ocelog.conf")
_TMPFILES = Path("/etc/tmpfiles.d/ocelog.conf")
_NOBODY = 65534
"""Who may do what everybody may."""
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""Folders that ProtectHome= and PrivateTmp= keep from the service."""
_SUM = re.compile(r"# Written by `ocelog service install`, sum (\w+)\. (?:[^\n]*)\n")
_WANTS = {
    "ocelog.service": {False: "multi-user.target.wants", True: "default.target.wants"},
    "ocelog-upkeep.timer": {False: "timers.target.wants", True: "timers.target.wants"},
    "ocelog-backup.timer": {False: "timers.target.wants", True: "timers.target.wants"},
}
"""Unit that is enabled -> where its link goes, for the machine and for a user."""
_PROGRAM = Path("/opt/ocelog/bin/ocelog")
"""Where those who follow the guide install it."""


@dataclass(slots=True, kw_only=True)
class HostService:
    """What is installed where. `lines` collects what was done, or would be in a `dry_run`."""

    root: Path = Path("/")
    """What stands for / on the machine that is set up, as with `systemctl --root`."""
    for_user: bool = False
    """For the user who calls, in place of the machine."""
    program: Path
    home: Path = HOME
    backup: Path | None = None
    """Where to back up to each night; None: nowhere."""
    force: bool = False
    """Replace units that a person has changed; theirs are moved aside."""
    dry_run: bool = False
    lines: list[str] = field(default_factory=list)
    changed_by_hand: list[Path] = field(default_factory=list)
    """Units that were left as they are, since a person has changed them."""
    left_to_do: list[str] = field(default_factory=list)
    """What else that machine needs, which is not done from here."""
    is_hidden: bool = False
    """Whether no service may read the program, so that it must be installed elsewhere first; only a dry run goes on."""

    @property
    def program_to_type(self) -> Path:
        """The program that a person types once the service is installed."""
        return _PROGRAM if self.is_hidden else self.program

    @property
    def units(self) -> Path:
        """The folder of the units."""
        if self.for_user:
            base = os.environ.get("XDG_CONFIG_HOME")
            return self.at((Path(base) if base else Path.home() / ".config") / "systemd" / "user")
        return self.at(_SYSTEM_UNITS)

    @property
    def is_live(self) -> bool:
        """Whether the machine that is set up is this one, and systemd runs it."""
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere") if self.for_user else Path("/run")
        return self.root == Path("/") and (runtime / "systemd").is_dir() and Path("/run/systemd/system").is_dir()

    def at(self, path: Path) -> Path:
        """Return where `path` of the machine is that is set up."""
        return self.root / path.relative_to("/")

    def typed(self, verb: str, *options: str, backup: Path | None = None) -> str:
        """Return what a person types to do `verb` to this very service."""
        live = self.root == Path("/")
        words = [] if self.for_user or not live else ["sudo"]
        words += [str(self.program), "service", verb]
        words += ["--user"] if self.for_user else []
        words += [] if live else ["--root", str(self.root)]
        words += [] if backup is None else ["--backup", str(backup)]
        return shlex.join([*words, *options])

    def install(self, *, start: bool = True) -> None:
        """Put everything in its place, and begin. Called again, change only what is missing or of an older Ocelog.

        Raises ConfigError, before anything is changed, if the service could not run the program, use its home or write
        the backup, or if this user may not install it.
        """
        if not self.for_user:
            self._refuse_hidden_program()
        self._refuse_no_permission()
        before = self._backup_before()
        self.backup = self.backup or before
        if self.backup is not None:
            self._refuse_unfit_backup(self.backup, before)
        elif (self.units / "ocelog-backup.service").exists():
            self.left_to_do.append(
                f"{self.units / 'ocelog-backup.service'} is left as it was, since it does not say where it backs up "
                f"to. To replace it: {self.typed('install', '--backup', 'DIR')}"
            )
        if not self.for_user:
            self._refuse_home_of_another()
            self._make_user()
            self._make_folder(HOME, USER)
            self._give_home()
            self._make_folder(KEY.parent, "root")
            self._make_key()
        if self.backup is not None:
            self._make_folder(self.backup, None if self.for_user else USER)
            if not self.for_user and self.root != Path("/"):
                self._give_at_start(self.backup)
        wanted = [name for name in _names(user=self.for_user) if "backup" not in name or self.backup is not None]
        for name in wanted:
            self._write_unit(name)
        for name in (name for name in wanted if name in _WANTS):
            self._enable(name)
        if self.is_live:
            self._run(self._systemctl("daemon-reload"))
            if start:
                self._run(self._systemctl("restart", *(name for name in wanted if name in _WANTS)))

    def uninstall(self) -> None:
        """Stop the service and take its units away; its data, its key and its user stay."""
        self._refuse_no_permission()
        if self.is_live and any((self.units / name).exists() for name in _WANTS):
            self._run(self._systemctl("stop", *(name for name in _WANTS if (self.units / name).exists())))
        for name in _names(user=self.for_user):
            path = self.units / name
            link = self._link(name) if name in _WANTS else None
            if link is not None and link.is_symlink():
                self._do(f"Disable {name}", link.unlink)
            if not path.exists():
                continue
            if not _is_changed(path.read_text()):
                self._do(f"Delete {path}", path.unlink)
            elif self.force:
                self._move_aside(path)
            else:
                self.changed_by_hand.append(path)
        for path in map(self.at, (_SYSUSERS, _TMPFILES)):
            if not self.for_user and path.exists():
                self._do(f"Delete {path}", path.unlink)
        if self.is_live:
            self._run(self._systemctl("daemon-reload"))

    def _refuse_hidden_program(self) -> None:
        # The interpreter may lie elsewhere than the program, as with uv and pipx.
        found = (self.program, Path(sys.executable).resolve(), Path(sys.base_prefix).resolve())
        hidden = [each for each in found if str(each).startswith(tuple(f"{folder}/" for folder in _HIDDEN))]
        if self.root != Path("/"):
            if hidden or not self.at(self.program).exists():
                why = f"which no service may read: {hidden[0]}" if hidden else "which is not in it"
                self.left_to_do.append(
                    f"The units run {self.program}, {why}. Install Ocelog in {self.root} before that machine starts, "
                    "and type this with the `ocelog` of the same path, such as /opt/ocelog/bin/ocelog."
                )
        elif hidden:
            backup = "" if self.backup is None else f" {shlex.join(['--backup', str(self.backup)])}"
            why = (
                f"A service may not read {hidden[0]}: Ocelog must be installed where every user may read it. Type, "
                "in the checkout: `sudo python3 -m venv /opt/ocelog && sudo /opt/ocelog/bin/pip install .`, then: sudo "
                f"{_PROGRAM} service install{backup}. Or install it for your user alone: ocelog service "
                f"install --user{backup}"
            )
            if not self.dry_run:
                raise ConfigError(why)
            self.left_to_do.append(why)
            self.is_hidden = True

    def _refuse_no_permission(self) -> None:
        if self.dry_run or self.for_user or self.root != Path("/") or os.geteuid() == 0:
            return
        raise ConfigError(
            "Only root may install a service for the machine: type it after sudo. For your user alone: ocelog service "
            "install --user. To see what it does: ocelog service install --dry-run"
        )

    def _make_user(self) -> None:
        if self.root != Path("/"):
            text = f'u {USER} - "Ocelog" {HOME} /usr/sbin/nologin\n'
            path = self.at(_SYSUSERS)
            if not path.exists():
                self._do(f"Write {path}: it makes the user {USER} when that machine starts", lambda: _write(path, text))
            return
        with suppress(KeyError):
            pwd.getpwnam(USER)
            return
        command = ["useradd", "--system", "--user-group", "--home-dir", str(HOME), "--no-create-home"]
        self._run([*command, "--shell", "/usr/sbin/nologin", USER])

    def _make_folder(self, path: Path, owner: str | None) -> None:
        there = self.at(path)
        if there.is_dir():
            return

        def make() -> None:
            if owner is not None:
                for above in reversed([each for each in there.parents if not each.exists()]):
                    above.mkdir()
                    # Whatever root's umask is: its user must get through.
                    above.chmod(0o755)
            there.mkdir(parents=True)
            there.chmod(0o700)
            if owner is not None and self.root == Path("/"):
                user = pwd.getpwnam(owner)
                os.chown(there, user.pw_uid, user.pw_gid)

        # Under another root the user is not there yet; systemd gives a state folder to its user when it starts.
        later = owner == USER and self.root != Path("/")
        whose = f", which {owner} gets when that machine starts" if later else f" of {owner}" if owner else ""
        self._do(f"Make the folder {there}{whose}", make)

    def _refuse_home_of_another(self) -> None:
        """Refuse a home that is neither root's nor the service's: what is in it is somebody's."""
        if self.root != Path("/") or not HOME.is_dir() or HOME.stat().st_uid in {0, _user_id()}:
            return
        raise ConfigError(
            f"The folder {HOME} belongs to {_owner(HOME)}, and the service runs as {USER}. Give it to root, which lets "
            f"the service have it: sudo chown root {HOME}. Then type again: {self.typed('install', backup=self.backup)}"
        )

    def _give_home(self) -> None:
        """Give a home that root has made to the service, as systemd does when the service starts."""
        if self.root != Path("/") or not HOME.is_dir() or HOME.stat().st_uid == _user_id():
            return

        def give() -> None:
            user = pwd.getpwnam(USER)
            for folder, folders, names in os.walk(HOME):
                for name in (*folders, *names):
                    os.chown(Path(folder) / name, user.pw_uid, user.pw_gid, follow_symlinks=False)
            HOME.chmod(0o700)
            # Last: what is killed before is done again.
            os.chown(HOME, user.pw_uid, user.pw_gid)

        self._do(f"Give {HOME}, and what is in it, to {USER}", give)

    def _give_at_start(self, folder: Path) -> None:
        path, text = self.at(_TMPFILES), f"d {_quoted(str(folder))} 0700 {USER} {USER} -\n"
        if not path.exists() or path.read_text() != text:
            line = f"Write {path}: it gives {folder} to {USER} when that machine starts"
            self._do(line, lambda: _write(path, text))

    def _refuse_unfit_backup(self, folder: Path, before: Path | None) -> None:
        """Refuse a folder that the service could not back up to; each night would fail, and nobody look."""
        there = self.at(folder)
        if not self.for_user:
            seen = {str(folder), *([os.path.realpath(folder)] if self.root == Path("/") else [])}
            if any(f"{each}/".startswith(tuple(f"{one}/" for one in _HIDDEN)) for each in seen):
                raise ConfigError(
                    f"A service may not see {folder}: name a folder elsewhere, such as --backup /srv/ocelog-backup"
                )
        if folder == self.home or folder.is_relative_to(self.home) or self.home.is_relative_to(folder):
            raise ConfigError(f"{folder} and the home {self.home} are in each other: name a folder elsewhere.")
        if there.exists() and not there.is_dir():
            raise ConfigError(f"{there} is not a folder: name another.")
        if self.root != Path("/"):
            if there.exists() and folder != before and not self.for_user:
                raise ConfigError(
                    f"{there} is there already, and that machine decides who may write it. Name a folder that is not "
                    f"there yet, which is then made: {self.typed('install', backup=folder / 'ocelog')}"
                )
            return
        if os.geteuid() != 0 and not self.for_user:
            self.lines.append(f"Whether {USER} may write {folder} is not checked, since only root can")
            return
        nearest = next(each for each in (there, *there.parents) if each.exists())
        note = there / "backup.json"
        if nearest != there:
            fits = self._may(nearest, "-x")
        else:
            fits = self._may(there, "-w", "-x") and (
                self.for_user or not note.exists() or note.stat().st_uid == _user_id()
            )
        who = "This user" if self.for_user else f"The service's user {USER}"
        if not fits:
            # `install` itself makes what is not there yet, as root.
            inside = not self.for_user and nearest == there and not note.exists() and self._may(there, "-x")
            ways = [f"name a folder in it, which is then made: {self.typed('install', backup=there / 'ocelog')}"]
            ways = ways if inside else []
            if not self.for_user and nearest == there and _user_id() is not None:
                ways.append(f"give it to {USER}: sudo chown -R {USER}: {shlex.quote(str(there))}")
            raise ConfigError(
                f"{who} may not {'write' if nearest == there else 'enter'} {nearest}, which belongs to "
                f"{_owner(nearest)} (mode {stat.S_IMODE(nearest.stat().st_mode):o}). Name a folder elsewhere"
                f"{''.join(f'; or {each}' for each in ways)}"
            )
        if nearest == there and folder != before and not note.exists() and any(there.iterdir()):
            raise ConfigError(f"{there} is not empty and holds no backup: name an empty folder, or one not there yet.")

    def _may(self, path: Path, *tests: str) -> bool:
        """Tell whether the user of the service (as long as there is none: anybody) passes the `tests` of `test`."""
        words = [str(word) for each in tests for word in ("-a", each, path)][1:]
        if self.for_user:
            return subprocess.run(["test", *words], check=False).returncode == 0  # noqa: S603, S607 - ours
        user_id, group, groups = _NOBODY, _NOBODY, list[int]()
        with suppress(KeyError):
            user = pwd.getpwnam(USER)
            user_id, group, groups = user.pw_uid, user.pw_gid, os.getgrouplist(USER, user.pw_gid)
        # The system itself is asked, since there is more than mode bits.
        done = subprocess.run(  # noqa: S603 - ours
            ["test", *words],  # noqa: S607 - see above
            check=False,
            user=user_id,
            group=group,
            extra_groups=groups,
            cwd="/",
        )
        return done.returncode == 0

    def _make_key(self) -> None:
        path = self.at(KEY)
        if keys.is_missing(path):
            self._do(f"Make the key {path}: keep a copy of it, apart from backups", lambda: keys.make_key(path))

    def _backup_before(self) -> Path | None:
        """Return where an earlier call said to back up to."""
        unit = self.units / "ocelog-backup.service"
        # What it does, since each release may word its description in another way.
        found = re.search(r"^ExecStart=.* backup (.+)$", unit.read_text(), re.MULTILINE) if unit.exists() else None
        if found is None:
            return None
        text = found[1].strip()
        if text.startswith('"') and text.endswith('"'):
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        path = Path(text.replace("%%", "%").replace("$$", "$"))
        return path if path.is_absolute() else None

    def _move_aside(self, path: Path) -> None:
        names = (f"{path.name}.before{'' if count == 1 else f'-{count}'}" for count in itertools.count(1))
        aside = next(each for each in map(path.with_name, names) if not os.path.lexists(each))
        self._do(f"Move {path}, which was changed by hand, to {aside}", lambda: path.rename(aside))

    def _write_unit(self, name: str) -> None:
        path, text = self.units / name, self._unit(name)
        before = path.read_text() if path.exists() else None
        if before == text:
            self.lines.append(f"{path} is as it should be.")
            return
        if before is not None and _is_changed(before):
            if not self.force:
                self.changed_by_hand.append(path)
                return
            self._move_aside(path)
        self._do(f"{'Write' if before is None else 'Replace'} {path}", lambda: _write(path, text))

    def _unit(self, name: str) -> str:
        text = (files("ocelog.content") / "systemd" / _kind(user=self.for_user) / name).read_text(encoding="utf-8")
        backup = self.backup or Path("/")
        values = {
            "PROGRAM": _quoted(str(self.program)).replace("$", "$$"),
            "HOME_VARIABLE": _quoted(f"OCELOG_HOME={self.home}"),
            "BACKUP_ARGUMENT": _quoted(str(backup)).replace("$", "$$"),
            "BACKUP_PATH": _quoted(str(backup)),
            "BACKUP": str(backup).replace("%", "%%"),
        }
        body = re.sub(r"@([A-Z_]+)@", lambda found: values[found.group(1)], text)
        edit = f"systemctl {'--user ' if self.for_user else ''}edit {name}"
        return f"# Written by `ocelog service install`, sum {_sum(body)}. Change it by: {edit}\n{body}"

    def _link(self, name: str) -> Path:
        return self.units / _WANTS[name][self.for_user] / name

    def _enable(self, name: str) -> None:
        link = self._link(name)
        if link.is_symlink():
            return
        target = (self.units / name) if self.for_user else _SYSTEM_UNITS / name

        def make() -> None:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)

        self._do(f"Enable {name}: {link}", make)

    def _systemctl(self, *arguments: str) -> list[str]:
        return ["systemctl", *(["--user"] if self.for_user else []), *arguments]

    def _run(self, command: Sequence[str]) -> None:
        def run() -> None:
            found = shutil.which(command[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
            if found is None:
                raise ConfigError(f"{command[0]} is not on this machine, which a service needs.")
            done = subprocess.run([found, *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603 - ours
            if done.returncode:
                said = (done.stderr or done.stdout).strip()
                raise ConfigError(f"`{' '.join(command)}` failed: {said or f'exit code {done.returncode}'}")

        self._do(f"Run: {' '.join(command)}", run)

    def _do(self, line: str, work: Callable[[], object]) -> None:
        if not self.dry_run:
            try:
                work()
            except OSError as error:
                raise HomeError(f"{line}: {error.strerror} ({error.filename}).") from error
        self.lines.append(line)


def run_as_service(arguments: Sequence[str], program: Path, variables: Mapping[str, str]) -> NoReturn:
    """Become the user of the machine's service, with its home, its key and `variables`; run `ocelog` with `arguments`.

    Raises ConfigError if this is not root, or no service is installed.
    """
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        raise ConfigError(f"There is no user {USER}: first type: sudo ocelog service install") from None
    if os.geteuid() != 0:
        raise ConfigError(f"Only root may act as the user {USER}: type it after sudo.")
    # Who typed it: the login name is the service's from now on.
    person = os.environ.get("OCELOG_USER") or os.environ.get("SUDO_USER")
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        **{name: os.environ[name] for name in ("TERM", "LANG", "LC_ALL", "COLUMNS", "NO_COLOR") if name in os.environ},
        **variables,
        **({"OCELOG_USER": person} if person else {}),
        "HOME": str(HOME),
        "OCELOG_HOME": str(HOME),
        # Read while this is root still, since nobody else may.
        "OCELOG_KEY": KEY.read_text().strip() if KEY.exists() else "",
    }
    os.initgroups(USER, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.chdir("/")
    os.execve(program, [str(program), *arguments], environment)  # noqa: S606 - this program again


def _user_id() -> int | None:
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


def _owner(path: Path) -> str:
    user_id = path.stat().st_uid
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"user {user_id}"


def _kind(*, user: bool) -> str:
    return "user" if user else "system"


def _names(*, user: bool) -> list[str]:
    folder = files("ocelog.content") / "systemd" / _kind(user=user)
    return sorted(each.name for each in folder.iterdir() if each.name.endswith((".service", ".timer")))


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_changed(text: str) -> bool:
    """Tell whether a unit differs from what some release of Ocelog has written."""
    found = _SUM.match(text)
    return found is None or _sum(text[found.end() :]) != found.group(1)


def _quoted(text: str) -> str:
    """Write a word so that systemd takes it as it is; in a command, `$` must be doubled as well."""
    escaped = text.replace("%", "%%")
    if re.fullmatch(r"[\w./%$=:@+,-]+", escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write(path: Path, text: str) -> None:
    # Not by `replace_file`: everybody may read it, whatever the umask of who installs.
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.chmod(0o644)
    draft.replace(path)
