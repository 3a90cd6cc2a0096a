"""What CONTRIBUTING says is enough to add: a log type, a field, a product, a type of records of the simulator.

A copy of the code gets exactly that, and is then used as a person uses it: `make golden`, tests, commands.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import pytest

from ocelog.app.log_types import short_names
from wizsim.server import Server
from wizsim.world import World

ROOT = Path(__file__).parents[2]

SCHEMA = """
schema: Wiz.OldIssues
version: 1
referenceURL: https://example.org/old-issues
description: Issues as the query root before the present one shows them.
fields:
  - name: id
    type: string
    required: true
    description: The issue's own id.
  - name: status
    type: string
    description: OPEN, IN_PROGRESS, RESOLVED or REJECTED.
  - name: severity
    type: string
    description: How bad it is.
  - name: createdAt
    type: timestamp
    required: true
    timeFormats: [rfc3339]
    description: When it was found.
  - name: statusChangedAt
    type: timestamp
    timeFormats: [rfc3339]
    description: When its status changed last.
  - name: updatedAt
    type: timestamp
    timeFormats: [rfc3339]
    isEventTime: true
    description: When anything of it changed last.
"""
QUERY = """
query OcelogOldIssues($first: Int, $after: String, $filterBy: IssueFilters, $orderBy: IssueOrder) {
  issues(first: $first, after: $after, filterBy: $filterBy, orderBy: $orderBy) {
    nodes { id status severity createdAt statusChangedAt updatedAt }
    pageInfo { hasNextPage endCursor }
    totalCount
  }
}
"""
ENTRY = """
Root(
    kind=Kind(
        log_type="Wiz.OldIssues",
        short="old",
        title="old issues",
        cursor_field="statusChangedAt",
        created_field="createdAt",
        version_times=("updatedAt",),
        also_live_by=("createdAt",),
        sweep_by="createdAt",
        created_filter="createdAt",
        version_fields=("id", "status", "severity", "createdAt", "statusChangedAt", "updatedAt"),
        statuses=_EVERY_STATUS,
        open_statuses=_OPEN,
    ),
    root="issues",
    scope="read:issues",
    record_type="Issue",
    types={},
    project_filter=("project",),
    order_by={"field": "ID", "direction": "ASC"},
),
"""
COUNTS = """
    SELECT count(*) AS old, (SELECT count(*) FROM wiz_issues_current) AS issues,
        count(*) FILTER (WHERE status = 'OPEN') AS open
    FROM wiz_old_issues_current
"""

CONFIGS_SCHEMA = """
schema: Wiz.Configs
version: 1
referenceURL: https://example.org/configs
description: What is configured badly.
fields:
  - name: id
    type: string
    required: true
    description: Its own id.
  - name: status
    type: string
    description: OPEN or RESOLVED.
  - name: severity
    type: string
    description: How bad it is.
  - name: firstSeenAt
    type: timestamp
    required: true
    timeFormats: [rfc3339]
    description: When it was found.
  - name: updatedAt
    type: timestamp
    required: true
    timeFormats: [rfc3339]
    isEventTime: true
    description: When anything of it changed last.
  - name: resolvedAt
    type: timestamp
    timeFormats: [rfc3339]
    description: When it was resolved.
  - name: projects
    type: array
    description: To which projects it belongs.
    element:
      type: object
      fields:
        - name: id
          type: string
          description: The project's own id.
"""
CONFIGS_QUERY = """
query OcelogConfigs($first: Int, $after: String, $filterBy: ConfigFilters) {
  configs(first: $first, after: $after, filterBy: $filterBy) {
    nodes { id status severity firstSeenAt updatedAt resolvedAt projects { id } }
    pageInfo { hasNextPage endCursor }
    totalCount
  }
}
"""
CONFIGS_ENTRY = """
Root(
    kind=Kind(
        log_type="Wiz.Configs",
        short="configs",
        title="configurations",
        cursor_field="updatedAt",
        created_field="firstSeenAt",
        version_times=("updatedAt",),
        sweep_by="firstSeenAt",
        created_filter="firstSeenAt",
        version_fields=("id", "status", "severity", "firstSeenAt", "updatedAt", "resolvedAt", "projects"),
        set_like=frozenset({"projects"}),
        statuses=("OPEN", "RESOLVED"),
        open_statuses=("OPEN",),
    ),
    root="configs",
    scope="read:configs",
    record_type="Config",
    types={"projects": "Project"},
    project_filter=("project", "equals"),
),
"""
CONFIGS_API = """
type Config {
  id: ID!
  status: ConfigStatus!
  severity: Severity
  firstSeenAt: DateTime!
  updatedAt: DateTime!
  resolvedAt: DateTime
  projects: [Project!]
}
type ConfigConnection {
  nodes: [Config!]
  pageInfo: PageInfo!
  totalCount: Int!
}
input ConfigFilters {
  firstSeenAt: VulnerabilityDateFilters
  project: ConfigProjectFilter
  status: [ConfigStatus!]
  updatedAt: VulnerabilityDateFilters
}
input ConfigProjectFilter {
  equals: [ID!]
}
enum ConfigStatus {
  OPEN
  RESOLVED
}
"""
CONFIGS_LIFE = '''
"""What a configuration holds, and what becomes of it."""

from random import Random
from typing import Any

from wizsim.dice import pick, uuid
from wizsim.estate import Estate
from wizsim.instants import text

Json = dict[str, Any]


def make_config(rng: Random, estate: Estate, at: int) -> tuple[Json, Json]:
    """Draw a configuration that is found at `at`."""
    projects = pick(rng, estate.assets).projects
    dates = {"firstSeenAt": text(at), "updatedAt": text(at), "resolvedAt": None}
    return {"id": uuid(rng), "status": "OPEN", "severity": "HIGH", "projects": projects or None, **dates}, {}


def change_config(rng: Random, config: Json, at: int, _estate: Estate) -> Json:
    """Draw what changes in it at `at`."""
    return {"status": "RESOLVED", "resolvedAt": text(at), "updatedAt": text(at)}
'''
CONFIGS_TYPE = """
"configs": RecordType(
    title="Configurations",
    graphql="Config",
    roots=("configs",),
    scopes=("admin:all", "read:all", "read:configs"),
    born="firstSeenAt",
    make=configs.make_config,
    change=configs.change_config,
    births=0.2,
),
"""

FIELDS = """
  - name: reopenedAt
    type: timestamp
    timeFormats: [rfc3339]
    origin: ocelog
    description: When it was opened again; null if it was not.
  - name: hasCodeRemediation
    type: boolean
    origin: ocelog
    description: Whether a change of code is proposed. A change of this alone makes no new row.
"""
LISTED = [
    *("tests/golden", "tests/unit/test_schema_packaged.py", "tests/unit/test_schema_table.py"),
    *("tests/unit/test_shape_versions.py", "tests/unit/test_wiz_streams.py", "tests/unit/test_wiz_settings.py"),
    "tests/unit/test_usage.py",
    "tests/unit/test_summaries.py",
]
"""The tests that go over the log types. Those that need a tenant or a home are chosen by name."""
OF_PRODUCTS = [
    "tests/contract/test_console_trail.py",
    *("tests/house/test_errors_in_every_language.py", "tests/house/test_layout.py"),
]
"""Tests that another product must not upset, and those of how its code is written; chosen by name."""

LOGINS = """
schema: Acme.Logins
version: 1
referenceURL: https://example.org/logins
description: Who came in at Acme, and from where.
fields:
  - name: id
    type: string
    required: true
    description: The login's own id.
  - name: at
    type: timestamp
    required: true
    timeFormats: [rfc3339]
    isEventTime: true
    description: When it was.
  - name: person
    type: string
    indicators: [username]
    description: Who it was.
  - name: address
    type: string
    indicators: [ip]
    description: Where from.
"""
ACME = '''
"""Acme: its logins are lines of a file on this machine."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from ocelog.errors import ConfigError, SourceUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.model import Kind
from ocelog.product import SECRET, Option, Product, Question, SourceSettings, Step
from ocelog.pull.clock import ApiClock
from ocelog.pull.ports import Answer, Ask, HealthItem, HealthState, Page
from ocelog.secrets.secret import Secret

LOGINS = Kind(
    log_type="Acme.Logins",
    short="logins",
    title="logins",
    partition="day",
    cursor_field="at",
    created_field="at",
    version_times=("at",),
)


class AcmeSettings(Struct, frozen=True, kw_only=True):
    file: str
    log_types: tuple[str, ...] = ("Acme.Logins",)
    projects: tuple[str, ...] = ()
    page_size: int = 2
    rate: float = 100.0

    @property
    def product(self) -> str:
        return "acme"

    @property
    def account_names(self) -> tuple[str, ...]:
        return ()

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)

    def is_same_tenant(self, other: SourceSettings) -> bool:
        return isinstance(other, AcmeSettings) and self.file == other.file

    is_same_account = is_same_tenant

    def shows_more_than(self, before: SourceSettings) -> bool:
        return False

    def conflict(self) -> str | None:
        return None


class AcmeSource:
    primed, longest_request = True, timedelta(seconds=1)

    def __init__(self, settings: AcmeSettings, secret: Callable[[], Secret]) -> None:
        self._file, self._secret = Path(settings.file), secret

    def prime(self) -> None:
        pass

    def now(self) -> datetime:
        return datetime.now(UTC)

    def ask(self, ask: Ask) -> Answer:
        asked_us = time.time_ns() // 1000
        if self._secret().reveal() != "sesame":
            raise SourceUnavailableError(Phrase("Acme wants another secret."))
        found = [json.loads(line) for line in self._file.read_text().splitlines()]
        found = [each for each in found if ask.since <= datetime.fromisoformat(each["at"]) <= ask.until]
        start = int(ask.after or 0)
        shown = found[start : start + (ask.page_size or 2)]
        end = start + len(shown)
        return Page(
            records=json.dumps(shown).encode(),
            end_cursor=str(end),
            has_next=end < len(found),
            total=len(found),
            capped=False,
            asked_us=asked_us,
        )

    def hurry(self) -> None:
        pass

    def check(self, told: Callable[[str], None], found: Callable[[HealthItem], None]) -> list[HealthItem]:
        there = self._file.exists()
        item = HealthItem(name="file", state=HealthState.OK if there else HealthState.FAIL, text=str(self._file))
        found(item)
        return [item]

    def close(self) -> None:
        pass


class AcmeConnector:
    def connect(
        self, source_id: str, settings: SourceSettings, secret: Callable[[], Secret], clock: ApiClock
    ) -> AcmeSource:
        assert isinstance(settings, AcmeSettings)
        return AcmeSource(settings, secret)


def read(values: Mapping[str, Any]) -> AcmeSettings:
    if not values.get("file"):
        raise ConfigError(Phrase("--file is missing."))
    return AcmeSettings(**{**values, "log_types": ("Acme.Logins",), "projects": ()})


PRODUCT = Product(
    name="acme",
    title="Acme",
    log_types={"Acme.Logins": LOGINS},
    options=(
        Option(name="file", flag="--file", help="Where the logins are.", required=True, reaches=True, is_file=True),
    ),
    steps=(Step(title="a file", text="  Ask Acme.", questions=(Question(option="file", prompt="File"), SECRET)),),
    read=read,
    choose=lambda before, given: read({**(before.to_mapping() if before else {}), **given}),
    confined=lambda settings, *, public_only: settings,
    connector=AcmeConnector,
    rights=lambda _: "  None.",
)
'''

DRIVER = """
import contextlib, io, json, sys
from ocelog.cli import main

for arguments in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)

import reference
print(json.dumps(" ".join(reference.expected().values())))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of the code, and a home that it works in."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a Python of the copy is started with."""
        return os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (self.folder / each for each in ("src", "scripts", "tests")))),
            "OCELOG_HOME": str(self.folder / "home"),
            "OCELOG_TEST_SECRET": "sesame",
            "COLUMNS": "200",
        }

    def _python(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def __call__(self, *commands: Sequence[str]) -> list[str]:
        """Run commands, each of which must end well; return what they print, and the reference as `make docs` would."""
        lines = self._python("-c", DRIVER, stdin=json.dumps(commands)).splitlines()
        *answers, documents = [json.loads(line) for line in lines]
        for command, (code, out, err) in zip(commands, answers, strict=True):
            assert code == 0, f"{' '.join(command)}: {code}\n{out}{err}"
        return [*(out for _, out, _ in answers), documents]

    @contextmanager
    def tenant(self, *options: str) -> Iterator[dict[str, str]]:
        """Serve a tenant by the simulator of the copy within the block; yields what it prints."""
        serve = [sys.executable, "-m", "wizsim", "serve", "--json", "--until-stdin-closes", *options]
        with subprocess.Popen(
            serve, cwd=self.folder, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                yield json.loads(process.stdout.readline())
            finally:
                process.kill()

    def golden(self) -> None:
        """Run `make golden`."""
        self._python("scripts/golden.py")

    def test(self, *tests: str) -> None:
        """Run tests of the copy, which must be green."""
        self._python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    for name in ("src", "scripts", "tests", "docs"):
        # With the times of the files, so that what is compiled beside them stays true.
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return Copy(folder=tmp_path)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(dedent(text).lstrip("\n"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def tenant() -> Iterator[Server]:
    with Server(World(seed=5, audit=0, issues=40, findings=0, rate=0.0)) as server:
        yield server


def add_log_type(copy: Copy, file: str, schema: str, short: str, query: str, entry: str) -> None:
    code = copy.folder / "src" / "ocelog"
    put(code / "content" / "schemas" / "wiz" / file, schema)
    put(code / "sources" / "wiz" / f"{short}.graphql", query)
    end = '\n)\n"""Every log type of Wiz.'
    change(code / "sources" / "wiz" / "streams.py", end, f"\n{indent(entry.strip(), '    ')}{end}")


def add_record_type(copy: Copy) -> None:
    code = copy.folder / "src" / "wizsim"
    put(code / "configs.py", CONFIGS_LIFE)
    schema = code / "schema.graphql"
    root = "  configs(first: Int, after: String, filterBy: ConfigFilters): ConfigConnection!\n"
    schema.write_text(schema.read_text().replace("type Query {\n", f"type Query {{\n{root}", 1) + CONFIGS_API)
    types = code / "record_types.py"
    change(
        types, "from wizsim import audit, findings, issues\n", "from wizsim import audit, configs, findings, issues\n"
    )
    end = '\n}\n"""Every type, by its name'
    change(types, end, f"\n{indent(CONFIGS_TYPE.strip(), '    ')}{end}")
    change(code / "filters.py", '    "issues": {\n', '    "configs": {"project": "projects.id"},\n    "issues": {\n')


def add_fields(copy: Copy) -> None:
    wiz, schema = copy.folder / "src/ocelog/sources/wiz", copy.folder / "src/ocelog/content/schemas/wiz/issues.yml"
    (version,) = re.findall(r"^version: (\d+)$", schema.read_text(), re.MULTILINE)
    change(schema, f"\nversion: {version}\n", f"\nversion: {int(version) + 1}\n")
    schema.write_text(schema.read_text().rstrip("\n") + FIELDS)
    change(wiz / "issues.graphql", "    nodes {\n      id\n", "    nodes {\n      id reopenedAt hasCodeRemediation\n")
    change(wiz / "streams.py", '"validatedAsExploitable",\n            ),', '"validatedAsExploitable", "reopenedAt"),')
    change(
        wiz / "streams.py", '({"validatedAsExploitable"}))', '({"validatedAsExploitable"}), frozenset({"reopenedAt"}))'
    )
    change(wiz / "streams.py", 'frozenset({"url",', 'frozenset({"url", "hasCodeRemediation",')


def add_product(copy: Copy) -> None:
    code = copy.folder / "src" / "ocelog"
    put(code / "content" / "schemas" / "acme" / "logins.yml", LOGINS)
    put(code / "sources" / "acme" / "__init__.py", '"""Acme."""\n')
    put(code / "sources" / "acme" / "product.py", ACME)
    change(
        code / "sources" / "registry.py",
        "from ocelog.sources.wiz.product import WIZ\n",
        "from ocelog.sources.acme.product import PRODUCT\nfrom ocelog.sources.wiz.product import WIZ\n",
    )
    change(code / "sources" / "registry.py", "(WIZ,)", "(WIZ, PRODUCT)")


@pytest.mark.slow
def test_what_contributing_says_is_enough(copy: Copy, tenant: Server) -> None:
    # One copy gets all of it: each has a Python of its own that imports and tests everything.
    add_log_type(copy, "old_issues.yml", SCHEMA, "old", QUERY, ENTRY)
    add_product(copy)
    (copy.folder / "secret").write_text(tenant.client_secret)
    logins = copy.folder / "logins.jsonl"
    lines = [
        {"id": f"l{n}", "at": f"2026-03-0{n}T10:00:00Z", "person": "ann", "address": "192.0.2.7"} for n in (1, 2, 3)
    ]
    logins.write_text("".join(json.dumps(line) + "\n" for line in lines))
    of_wiz = ["--token-url", tenant.token_url, "--api-url", tenant.api_url, "--client-id", tenant.client_id]
    of_wiz += ["--client-secret-file", str(copy.folder / "secret"), "--rate", "1000", "--backfill", "all"]
    of_acme = ["--file", str(logins), "--client-secret-env", "OCELOG_TEST_SECRET", "--backfill", "all"]
    people = "SELECT person, count(*) AS n, min(p_any_ip_addresses[1]) AS ip FROM acme_logins GROUP BY ALL"
    copied = copy(
        ["init"],
        ["source", "add", "wiz", "prod", *of_wiz, "--log-type", "old", "--log-type", "issues"],
        ["source", "add", "acme", "hq", *of_acme],
        ["pull"],
        ["publish"],
        ["source", "check", "prod"],
        ["query", "-o", "json", COUNTS],
        ["tables", "wiz_old_issues"],
        ["schema", "show", "old"],
        ["pull", "--help"],
        ["source", "show", "hq", "--json"],
        ["source", "check", "hq"],
        ["query", "-o", "json", people],
        ["query", "-o", "json", "SELECT log_type, state FROM streams"],
        ["source", "add", "--help"],
    )
    _, _, _, _, published, *of_log_type, listed, checked, found, status, help_, documents = copied
    files = list((copy.folder / "home" / "lake").rglob("*.parquet"))
    _has_the_log_type(of_log_type, files, documents)

    assert json.loads(listed)["file"] == str(logins)
    assert "logins.jsonl" in checked
    assert json.loads(found) == [{"person": "ann", "n": 3, "ip": "192.0.2.7"}]
    assert [file for file in files if file.match("acme_logins/data/p_event_time_day=*/*.parquet")], published
    streams = {each["log_type"]: each["state"] for each in json.loads(status)}
    assert streams.keys() == {"Wiz.OldIssues", "Wiz.Issues", "Acme.Logins"}
    assert streams["Acme.Logins"] == "live"
    assert "--file" in help_
    assert "Acme.Logins" in documents
    copy.test(*OF_PRODUCTS, "-k", "check_of_a_source or bare_text or structs")

    add_fields(copy)
    copy.golden()
    by_name = ("tests/contract/test_wiz_source.py", "tests/unit/test_reader.py")
    copy.test(*LISTED, *by_name, "-k", "not (test_wiz_source or test_reader) or old or every_item or idle_service")


@pytest.mark.slow
def test_a_type_of_records_of_its_own_is_simulated_and_read(copy: Copy) -> None:
    add_log_type(copy, "configs.yml", CONFIGS_SCHEMA, "configs", CONFIGS_QUERY, CONFIGS_ENTRY)
    add_record_type(copy)
    copy.golden()
    copy.test("tests/unit/test_wizsim_roots.py", "tests/unit/test_wizsim_world.py", "tests/unit/test_wizsim_admin.py")
    copy.test("tests/contract/test_wiz_source.py", "-m", "not slow")
    copy.test(*LISTED)
    with copy.tenant("--configs", "12", "--audit", "0", "--issues", "3", "--findings", "0") as tenant:
        (copy.folder / "secret").write_text(tenant["client_secret"])
        of_wiz = [
            "--token-url",
            tenant["token_url"],
            "--api-url",
            tenant["api_url"],
            "--client-id",
            tenant["client_id"],
        ]
        of_wiz += ["--client-secret-file", str(copy.folder / "secret"), "--rate", "1000", "--backfill", "all"]
        *_, found, _ = copy(
            ["init"],
            ["source", "add", "wiz", "prod", *of_wiz],
            ["pull"],
            ["query", "-o", "json", "SELECT count(*) AS n FROM wiz_configs_current"],
        )
    assert json.loads(found) == [{"n": 12}]


def _has_the_log_type(told: Sequence[str], files: Sequence[Path], documents: str) -> None:
    checked, found, columns, fields, help_ = told
    assert "Wiz.OldIssues: answered" in checked
    (row,) = json.loads(found)
    assert row["old"] == row["issues"] == 40
    assert 0 < row["open"] < 40
    assert [file for file in files if file.match("wiz_old_issues/data/p_event_time_month=*/*.parquet")]
    assert "When its status changed last." in columns
    assert "How bad it is." in fields
    names = list(dict.fromkeys([*short_names(), "old", "logins"]))
    assert all(name in help_ for name in names)
    assert "Wiz.OldIssues" in documents
    assert "wiz_old_issues_current" in documents
