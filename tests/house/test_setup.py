"""`scripts/setup.sh` on machines of all kinds: what it installs, and what it tells a person to type."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL_PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
PACKAGE = f"python3.{sys.version_info.minor}-venv"
TINY_PROJECT = """
[build-system]
requires = []
build-backend = "tiny"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
"""
TINY_BACKEND = """
import zipfile
from pathlib import Path
INFO = {
    "tiny.pth": str(Path.cwd()),
    "tiny-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n",
    "tiny-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "tiny-1.dist-info/RECORD": "",
}
def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(Path(folder) / "tiny-1-py3-none-any.whl", "w") as wheel:
        for name, text in INFO.items():
            wheel.writestr(name, text)
    return "tiny-1-py3-none-any.whl"
"""
PIP = """
import sys
match sys.argv[1:]:
    case ["--version"]:
        pass
    case ["install", *options, "--require-hashes", "-r", lock]:
        sys.exit("no such package" if "==" in open(lock).read() else 0)
    case ["install", *options, "--no-deps", "--no-build-isolation", "-e", "."]:
        pass
    case other:
        sys.exit(f"Who would ask {other}?")
"""
"""What is asked of pip. To install the real one, and have it find nothing to do, is most of what a test would cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A tree with the script and a small project in it, and the commands that are found before the real ones."""

    tree: Path
    commands: Path

    def has_python(self, name: str = "python3", path: Path | None = None) -> None:
        """Put a Python there, with `path` as its PYTHONPATH, whose environments have a pip that only looks."""
        packages = f"lib/python3.{sys.version_info.minor}/site-packages"
        self.has(
            name,
            f"""
            {f"export PYTHONPATH={path}" if path else ""}
            case "$*" in
            "-m venv --clear "*)
                {REAL_PYTHON} -m venv --without-pip --clear "$4" && exec cp {self.commands}/pip.py "$4/{packages}";;
            *)
                exec {REAL_PYTHON} "$@";;
            esac
            """,
        )

    def has(self, name: str, script: str) -> None:
        path = self.commands / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def set_up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.commands}:/usr/bin:/bin", "HOME": str(self.tree), "PIP_NO_INDEX": "1"}
        command: Sequence[str] = ["sh", "scripts/setup.sh", *arguments]
        return subprocess.run(command, cwd=self.tree, env=env, capture_output=True, text=True, check=False)

    def hide_ensurepip(self) -> Path:
        """Make python3 one that Debian ships without python3-venv; removing the file returned installs it."""
        shadow = self.commands / "shadow" / "ensurepip.py"
        shadow.parent.mkdir()
        shadow.write_text("raise ModuleNotFoundError('ensurepip')\n")
        self.has_python(path=shadow.parent)
        return shadow


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    tree, commands = tmp_path / "a tree", tmp_path / "commands"
    (tree / "scripts").mkdir(parents=True)
    commands.mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tree / "scripts")
    (tree / "pyproject.toml").write_text(TINY_PROJECT)
    (tree / "tiny.py").write_text(TINY_BACKEND)
    (tree / "requirements.lock").write_text("# nothing\n")
    (tree / "requirements-bench.lock").write_text("# nothing either\n")
    (commands / "pip.py").write_text(PIP)
    found = Machine(tree=tree, commands=commands)
    found.has("uv", "exit 1")
    found.has_python()
    found.has("apt-get", f'echo "$@" >>{commands}/asked; exit 100')
    return found


@pytest.mark.slow
def test_a_first_run_makes_the_environment_and_a_second_does_nothing(machine: Machine) -> None:
    machine.has("python3", f'exec {REAL_PYTHON} "$@"')  # which brings the real pip
    first = machine.set_up()
    assert first.returncode == 0, first.stderr
    python = machine.tree / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import tiny"], check=False).returncode == 0
    machine.has("python3", "exit 9")
    second = machine.set_up()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def test_only_what_changed_is_installed_anew(machine: Machine) -> None:
    assert machine.set_up("requirements-bench.lock").returncode == 0
    assert machine.set_up().stderr == "", "what the benches need is enough for everything else"
    with (machine.tree / "requirements.lock").open("a") as lock:
        lock.write("# one more\n")
    assert machine.set_up("requirements-bench.lock").stderr == "", "the benches' lock is as it was"
    with (machine.tree / "pyproject.toml").open("a") as project:
        project.write("\n")
    again = machine.set_up()
    assert again.returncode == 0
    assert "installing" in again.stderr


def test_a_tree_that_was_moved_is_set_up_anew(machine: Machine) -> None:
    machine.set_up()
    moved = replace(machine, tree=machine.tree.rename(machine.tree.with_name("moved")))
    assert "making" in moved.set_up().stderr, "scripts in it name the interpreter by its old path"


def test_root_gets_ensurepip_installed(machine: Machine) -> None:
    shadow = machine.hide_ensurepip()
    machine.has("id", "echo 0")
    machine.has("apt-get", f'echo "$@" >>{machine.commands}/asked; rm -f {shadow}')
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert (machine.commands / "asked").read_text().split()[-1] == PACKAGE


def test_root_fetches_the_lists_of_packages_where_they_are_missing(machine: Machine) -> None:
    shadow = machine.hide_ensurepip()
    machine.has("id", "echo 0")
    lists = machine.commands / "lists"
    machine.has("apt-get", f'case "$1" in update) touch {lists};; *) [ -f {lists} ] && rm -f {shadow};; esac')
    assert machine.set_up().returncode == 0


@pytest.mark.parametrize("user", ["0", "1000"])
def test_anyone_else_is_told_what_to_type(machine: Machine, user: str) -> None:
    machine.hide_ensurepip()
    machine.has("id", f"echo {user}")
    done = machine.set_up()
    assert done.returncode == 1
    assert f"sudo apt-get install {PACKAGE}" in done.stderr
    assert (machine.commands / "asked").exists() == (user == "0")
    assert not (machine.tree / ".venv").exists()


def test_a_python_that_is_too_old_or_missing_is_named(machine: Machine) -> None:
    machine.has("python3", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        machine.has(name, "exit 1")
    done = machine.set_up()
    assert done.returncode == 1
    assert "Python 3.11 to 3.14" in done.stderr
    assert "Python 3.9.2" in done.stderr


def test_a_newer_python_under_its_own_name_is_found(machine: Machine) -> None:
    machine.has("python3", "exit 1")
    machine.has_python("python3.12")
    assert machine.set_up().returncode == 0


def test_packages_that_cannot_be_had_end_in_a_sentence(machine: Machine) -> None:
    (machine.tree / "requirements.lock").write_text(f"nowhere==1 --hash=sha256:{'0' * 64}\n")
    done = machine.set_up()
    assert done.returncode == 1
    assert "PIP_INDEX_URL" in done.stderr
    assert "npm_config_registry" in done.stderr, "the console is built with packages of npm"
    _, heading, advice = done.stderr.rpartition("setup: the packages could not be installed")
    assert all(len(line) <= 80 for line in (heading + advice).splitlines())
    assert not (machine.tree / ".venv" / "ready").exists()


def test_make_alone_names_the_targets() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"setup", "demo", "test", "check", "golden", "docs", "break", "bench"} <= targets
