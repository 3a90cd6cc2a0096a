"""The documents say what is really there: commands, options, errors, tests, words, links; and nobody's paths."""

import ast
import fnmatch
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer

import documents
import reference
import wizsim.cli
from documents import typed_commands
from ocelog import errors
from ocelog.cli.app import build
from ocelog.cli.place import words_of
from ocelog.detect.folders import BUILT_IN
from ocelog.installation.config import SETTINGS, explain
from ocelog.schema.columns.indicators import INDICATOR_READERS
from ocelog.schema.language import parse as language

ROOT = Path(__file__).parents[2]
SETTINGS_PAGE = "docs/reference/settings.md"
LOG_SCHEMAS = ROOT / "docs" / "reference" / "log-schemas.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WRITTEN = [page for page in PAGES if reference.NOTE not in page.read_text()]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> Iterator[str]:
    """Each fenced block of a page and each piece of code within its lines."""
    text = page.read_text()
    yield from re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def commands() -> Iterator[tuple[str, str]]:
    for page in WRITTEN:
        for block in blocks(page):
            for command in typed_commands(block):
                yield relative(page), command


TOOLS: dict[str, Any] = {
    "ocelog": typer.main.get_command(build(None, whole=True)),
    "wizsim": typer.main.get_command(wizsim.cli.app),
}


def unknown_in(command: str) -> str | None:
    """Name the first word of `command` that the program does not know, None where all are known."""
    program, *words = shlex.split(command)
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        return next((word for word in words if word not in targets), None)
    here = TOOLS[program]
    if program == "ocelog" and words[:1] == ["--url"]:
        words = words_of(words)
    for word in words:
        inner = getattr(here, "commands", {})
        if inner and not word.startswith("-"):
            if word not in inner:
                return word
            here = inner[word]
        known = {name for each in here.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
        if word.startswith("-") and word != "-" and word.split("=")[0] not in known:
            return word
    return None


def test_the_reference_is_what_the_code_says() -> None:
    stale = [relative(path) for path, text in reference.expected().items() if path.read_text() != text]
    assert stale == [], "run `make docs`"


def test_a_command_in_a_document_exists() -> None:
    found = set(commands())
    assert len(found) > 300
    assert {(page, command): why for page, command in found if (why := unknown_in(command)) is not None} == {}


def test_each_default_that_the_reference_prints_can_be_pasted_into_the_file(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `\w+` \| yes \| `(.*?)` \|", (ROOT / SETTINGS_PAGE).read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == {name for name, each in SETTINGS.items() if not each.only_environment}
    (tmp_path / "config.yml").write_text("".join(f"{name}: {default}\n" for name, default in rows))
    found = {each.name: each for each in explain({"OCELOG_HOME": str(tmp_path)})}
    assert {name: found[name].value for name, _ in rows} == {name: SETTINGS[name].default for name, _ in rows}
    assert {found[name].origin for name, _ in rows} == {str(tmp_path / "config.yml")}


@pytest.mark.parametrize("page", [page for page in WRITTEN if page != LOG_SCHEMAS], ids=relative)
def test_settings_that_a_document_shows_can_be_pasted_into_the_file(page: Path, tmp_path: Path) -> None:
    for block in documents.blocks(page, "yaml"):
        (tmp_path / "config.yml").write_text(block)
        assert {each.origin for each in explain({"OCELOG_HOME": str(tmp_path)})} > {"default"}


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert unknown_in("ocelog sorce list") == "sorce"
    assert unknown_in("ocelog source add wiz prod --tokenurl x") == "--tokenurl"
    assert unknown_in("make everything") == "everything"
    assert unknown_in("ocelog source add wiz prod --token-url x") is None


def test_the_readme_tells_of_the_two_commands_and_the_indexes_of_every_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text
    indexes = (ROOT, ROOT / "docs")
    linked = {
        (folder / target).resolve()
        for folder in indexes
        for target in re.findall(r"\]\(([^)#]+)\)", (folder / "README.md").read_text())
    }
    unlinked = {relative(page) for page in PAGES if "adr" not in page.parts and page not in linked} - {"README.md"}
    assert sorted(unlinked) == [], "link these pages in README.md or docs/README.md"


def anchors(page: Path) -> set[str]:
    """Return where in `page` a link can lead: its headings, as a forge writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", page.read_text()):
        target = page.parent / path if path else page
        if "://" not in path:
            assert target.exists(), path
            assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_the_page_of_log_schemas_has_each_part_of_the_language() -> None:
    page = LOG_SCHEMAS.read_text()
    keys = {*language._TOP_KEYS, *language._FIELD_KEYS, *chain.from_iterable(language._KEYS_OF_TYPE.values())}
    named = {*keys, *language._LATER, *language._TYPES, *language._FORMATS, *language._VERSIONS_OF_IP}
    assert sorted(name for name in named if f"`{name}`" not in page) == []
    rows = re.findall(r"\n\| `(\w+)` \| (`p_any.*) \|", page)
    told = {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}
    assert told == {name: list(reader.columns) for name, reader in INDICATOR_READERS.items()}


def test_the_schema_that_the_page_shows_is_well_formed() -> None:
    (shown,) = documents.blocks(LOG_SCHEMAS, "yaml")
    assert language.parse_schema(shown, str(LOG_SCHEMAS)).log_type == "Acme.Logins"


def test_every_error_has_a_section_and_every_section_an_error() -> None:
    sections = set(re.findall(r"^### (\w+)$", (ROOT / "docs" / "reference" / "errors.md").read_text(), re.MULTILINE))
    classes = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    leaves = {
        name for name, each in classes.items() if issubclass(each, errors.OcelogError) and not each.__subclasses__()
    }
    assert sorted(leaves - sections) == [], "add a section `### <name>` to docs/reference/errors.md"
    assert sorted(sections - leaves) == [], "no error of that name is raised: delete its section in the same file"


def test_every_code_of_an_error_is_documented_and_belongs_to_one() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    found = dict(re.findall(r"^### (\w+)\n\nCode `(\w+)`\.", page, re.MULTILINE))
    assert found == {name: vars(errors)[name].code for name in re.findall(r"^### (\w+)$", page, re.MULTILINE)}, (
        "below `### <name>` in docs/reference/errors.md stands: Code `<code>`."
    )
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted({*found.values(), *errors.CAUSES, errors.OperatorError.code}), (
        "each code has one row, | `<code>` | ..., in the table of docs/reference/errors.md"
    )
    sources = [path.read_text() for path in (ROOT / "src" / "ocelog").rglob("*.py")]
    assert not [text for text in sources if re.search(r"raise (Ocelog|Transient|Halt)Error\(", text)], "not listed"
    raised = {
        code for text in sources for code in re.findall(r'\bcode(?:=|, code = .*, )(?:[^"\n]* else )?"(\w+)"', text)
    }
    assert raised == errors.CAUSES.keys(), "a code that is given by `code=` is in CAUSES in src/ocelog/errors.py"


def test_every_promise_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 10
    assert [
        name for path, name in named if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text()
    ] == []


def test_no_test_that_keeps_a_promise_is_left_out_where_tests_are_to_be_quick() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert [f"{path}::{name}" for path, name in named if name in slow_in((ROOT / path).read_text())] == []
    two = "def test_a() -> None: ...\ndef test_b() -> None: ..."
    assert slow_in(f"@pytest.mark.slow\n@given(TEXT)\n{two}") == {"test_a"}
    assert slow_in(f"pytestmark = pytest.mark.slow\n{two}") == {"test_a", "test_b"}


def slow_in(text: str) -> set[str]:
    """Name the tests in `text` that are marked as slow."""
    module = ast.parse(text)
    of_all = any(isinstance(node, ast.Assign) and "pytest.mark.slow" in ast.unparse(node) for node in module.body)
    return {
        node.name
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef)
        if of_all or any(ast.unparse(each) == "pytest.mark.slow" for each in node.decorator_list)
    }


def test_every_folder_and_file_of_the_architecture_is_there_and_none_is_left_out() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    here = [path for path in (ROOT / "src" / "ocelog").iterdir() if path.is_dir() or path.suffix == ".py"]
    here = [path for path in here if not path.name.startswith("_")]
    left_out = [path.name for path in here if not re.search(rf"\b{path.name}\b", text)]
    assert left_out == [], "add a row for each of these to the table of folders in ARCHITECTURE.md"
    named = re.findall(r"`(src/[\w/.]+)`", text)
    gone = [path for path in named if not (ROOT / path).exists()]
    assert gone == [], "ARCHITECTURE.md names these, which are gone"


ROOMS = sorted(f"app/{path.parent.name}" for path in (ROOT / "src" / "ocelog" / "app").glob("*/__init__.py"))


@pytest.mark.parametrize("folder", ["app", *ROOMS, "alert", "detect"])
def test_the_architecture_says_what_each_module_of_a_crowded_folder_is_for(folder: str) -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `src/ocelog/{folder}/`")]
    named = {name.removesuffix(".py") for name in re.findall(r"`([\w.]+)`", row)}
    there = {path.stem for path in (ROOT / "src" / "ocelog" / folder).glob("*.py")} - {"__init__"}
    place = f"the row of `src/ocelog/{folder}/` in ARCHITECTURE.md"
    assert sorted(there - named) == [], f"say what each of these is for in {place}"
    assert sorted(named - there - {"pull", "run"}) == [], f"these modules are gone: delete them from {place}"


def test_every_word_of_the_glossary_is_used_in_the_code_and_explained_once() -> None:
    words = re.findall(r"\*\*([\w ]+)\*\*", (ROOT / "GLOSSARY.md").read_text())
    assert len(words) == len(set(words))
    code = "\n".join(path.read_text().lower() for path in (ROOT / "src" / "ocelog").rglob("*.py"))
    unused = [word for word in words if word not in code and word.replace(" ", "_") not in code]
    assert unused == [], "the code has none of these words: delete them from GLOSSARY.md"


def test_decisions_are_numbered_and_say_what_would_change_our_mind() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [page.name[:4] for page in decisions]
    assert len(numbers) == len(set(numbers))
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert re.findall(r"\((\d{4}-[\w-]+\.md)\)", index) == [page.name for page in decisions], (
        "docs/adr/README.md has one line per decision, in the order of their numbers"
    )
    for page in decisions:
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. "), page.name
        for part in ("**Question.**", "**Choice.**", "**Cost.**", "change our mind"):
            assert part in text, f"{page.name} lacks {part}"


def test_the_changes_of_this_version_are_told() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def locked_versions(path: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_the_lock_files_agree() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    everything = {(each["name"], each["version"]) for each in packages if each["name"] != "ocelog"}
    small, large = (locked_versions(ROOT / name) for name in ("requirements.lock", "requirements-bench.lock"))
    assert small < large
    assert sorted(large - everything) == [], "run `make lock`"
    mine = next(each for each in packages if each["name"] == "ocelog")
    wanted = {each["name"] for each in mine["dependencies"] + mine["dev-dependencies"]["dev"]}
    assert sorted(wanted - {name for name, _ in small}) == [], "run `make lock`"


def test_no_file_tells_of_the_machine_that_it_was_written_on() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this tree is no git checkout")
    private = re.compile(r"(?<![\w.~$}>)-])/(?:root|Users|work|workspace|mnt)/\w")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".parquet", ".avro", ".gz", ".png"} or not path.exists():
            continue
        found += [f"{name}: {line.strip()[:100]}" for line in path.read_text().splitlines() if private.search(line)]
    assert found == []


def test_the_commands_that_hold_the_home_are_the_ones_that_are_listed() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "src" / "ocelog").rglob("*.py"))
    told = {"ocelog run", *re.findall(r'\b(?:home_)?held\([\w.]+, f?"(ocelog [^"]+)"\)', code)}
    holding = {re.sub(r"\{.*?\} ", "", each).removeprefix("ocelog ") for each in told}
    assert len(re.findall(r"\b(?:home_)?held\([\w.]+, (?:f?\"|SERVICE\))", code)) >= len(holding)
    (listed,) = re.findall(
        r"Some commands hold the home, one at a time: (.*?)\. Every other",
        (ROOT / "docs/how-to/install.md").read_text(),
        re.DOTALL,
    )
    assert {each.removeprefix("ocelog ") for each in re.findall(r"`([^`]+)`", listed)} == holding, (
        "docs/how-to/install.md lists them after: Some commands hold the home, one at a time"
    )


RULE_ID = re.compile(
    r"(?<![\w./-])Ocelog\.(?:\w+\.)+[\w*]+|(?:--rule|suppress|enable|disable|try|replay) \"?((?:\w+\.)+[\w*]+)"
)


def unknown_rules(page: Path) -> list[str]:
    """Each id of a rule that a page names and no rule has, but for those that its own rules have."""
    text = "\n".join(blocks(page))
    files = [each.read_text() for each in Path(BUILT_IN.path).rglob("*.yml")]
    known = {name for each in (text, *files) for name in re.findall(r"(?:RuleID|QueryName|PackID): \"?([\w.]+)", each)}
    known.update(re.findall(r"rules new ([\w.]+)", text))
    named = {found[1] or found[0] for found in RULE_ID.finditer(text)}
    return sorted(each for each in named if not fnmatch.filter(known, each))


def test_a_rule_that_a_document_names_is_there() -> None:
    assert {relative(page): unknown for page in PAGES if (unknown := unknown_rules(page))} == {}


def test_a_rule_that_nothing_has_is_noticed_in_a_document(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        'Run `ocelog alerts suppress Wiz.Audit.Made`, or `--rule "Wiz.Issue.*"`. See `Ocelog.Wiz.Tokens.SecretRotate`, '
        "`Ocelog.Wiz.Tokens.*`, `Ocelog.Wiz.Tokens.SecretRotated`."
    )
    assert unknown_rules(page) == ["Ocelog.Wiz.Tokens.SecretRotate", "Wiz.Audit.Made", "Wiz.Issue.*"]
