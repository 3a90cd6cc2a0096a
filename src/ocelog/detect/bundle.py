"""Which files a folder of rules consists of, read once: whoever looks at the rules then needs no folder any more.

A bundle holds the YAML files that say what there is, and the Python and the tables that these name; nothing else that
lies in the folder. Links to folders are not followed, and no file outside the checkout is read.
"""

import errno
import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from msgspec import Struct, field

from ocelog.detect.document import MAX_BYTES
from ocelog.detect.roots import find_root, is_checkout
from ocelog.errors import RuleFileError
from ocelog.files import check_regular

_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_TOP = re.compile(r"^(?!---|%|[ \t]*(?:#|\r?$))([ \t]{0,80})(\{?)", re.MULTILINE)
"""How far the keys of a file are indented, and whether they stand in braces."""
_IN_BRACES = r"(?:^|[{,])[ \t]*"
"""What stands before a key in braces: each may be on a line of its own, or all on one, as programs write them."""
_KIND = r"""{}["']?AnalysisType["']?[ \t]*:[ \t]*["']?(\w+)"""
_LIKELY = r"""{}["']?(AnalysisType|RuleID|GlobalID|DataModelID|PackID|LookupName|QueryName)["']?[ \t]*:"""
_NAMED = re.compile(r"""["']?Filename["']?[ \t]*:[ \t]*["']?([^"'\n]+)""")
STOOD_ON = frozenset({"global", "datamodel", "lookup_table"})
"""Kinds that rules need, wherever in the checkout they are."""
_RUN_NOWHERE = frozenset({"policy", "scheduled_prompt"})
"""Kinds that are only listed, as they need what Ocelog has not."""
_EXAMPLES = "templates"
"""A folder of panther-analysis: rules that only show what may stand where, and whose files are not there."""
_MAX_FILES = 50_000
_MAX_WHOLE = 512_000_000
_MAX_TABLE = 64_000_000
_MOST: Mapping[str, int] = {".py": MAX_BYTES, ".csv": _MAX_TABLE, ".json": _MAX_TABLE, ".jsonl": _MAX_TABLE}
"""By the end of its name: bytes that a file may have which a YAML file names."""


class Bundle(Struct, frozen=True, kw_only=True):
    """The files of a folder of rules, and those of the rest of its checkout that they may stand on."""

    root: Path
    """What the names of files are relative to."""
    scope: str = "."
    """Which folder, or which file, has the rules that are wanted."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """By name, sorted."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Files that were not read, and why; the reason opens with `file:line:`."""
    passed_over: tuple[str, ...] = ()
    """YAML files that lie where rules are wanted, and seem to be something else."""

    def revision(self) -> str:
        """Return what tells these files from any others: 32 hex digits."""
        return revision_of({"": self.scope.encode(), **self.files})

    def holds(self, file: str) -> bool:
        """Whether `file` is one of those that are wanted, and not only stood on."""
        return self.scope in {".", file} or file.startswith(f"{self.scope}/")


def revision_of(files: Mapping[str, bytes]) -> str:
    """Return what tells `files` from any others: 32 hex digits."""
    found = sha256()
    for name, content in sorted(files.items()):
        found.update(f"{len(name.encode())} {len(content)} {name}".encode())
        found.update(content)
    return found.hexdigest()[:32]


def kind_of(text: str) -> str | None:
    """Return the AnalysisType that a YAML file seems to have; None if it seems to be no file of rules."""
    found = _top_key(_KIND, text)
    return found[1] if found else None


def _top_key(pattern: str, text: str) -> re.Match[str] | None:
    """Return where `pattern` stands among the keys of the whole file: those of what is in it may be the same."""
    top = _TOP.search(text)
    indent, brace = top.groups() if top else ("", "")
    return re.compile(pattern.format(_IN_BRACES if brace else f"^{indent}"), re.MULTILINE).search(text)


def read_bundle(path: Path) -> Bundle:
    """Read the files of the rules in `path`, a folder or a file, and what they may stand on in their checkout.

    Raises RuleFileError if there is nothing at `path`, or too much. A file that cannot be read is one that is refused.
    """
    try:
        return _read_bundle(path)
    except OSError as error:
        raise RuleFileError(f"{error.filename or path}: it cannot be read: {error.strerror or error}") from error


def _read_bundle(path: Path) -> Bundle:
    if not path.exists():
        raise RuleFileError(f"{path}: there is no such file or folder")
    root, wanted = find_root(path), _described_by(path.resolve())
    found = Bundle(root=root, scope=wanted.relative_to(root).as_posix())
    files, refused, size = dict[str, bytes](), dict[str, str](), 0
    named, passed_over = list[str](), list[str]()
    for name in _files_of_rules(root):
        if name.startswith(f"{_EXAMPLES}/") and not found.scope.startswith(_EXAMPLES) and is_checkout(root):
            continue
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            # Python hands on as half characters what is no text, and nobody else can read them.
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            if found.holds(name):
                refused[shown] = f"{shown}:1: the name of this file, or of its folder, is not UTF-8: rename it"
            continue
        if name.endswith(".json"):
            if found.holds(name) and _is_rule_in_json(root, name):
                refused[name] = written_in_json(name)
            continue
        content = _read(root, name, MAX_BYTES, refused)
        if content is None:
            continue
        text = content.decode("utf-8-sig", "replace")
        kind = kind_of(text)
        if kind in STOOD_ON or kind == "rule" or (found.holds(name) and (kind or _top_key(_LIKELY, text))):
            files[name] = content
            named += _named_in(text, posixpath.dirname(name))
            size = _bounded(root, size + len(content))
        elif found.holds(name) and kind is None:
            passed_over.append(name)
    for name in dict.fromkeys(named):
        most = _MOST.get(posixpath.splitext(name)[1].lower())
        if most is not None and name not in files and os.path.lexists(root / name):
            content = _read(root, name, most, refused)
            if content is not None:
                files[name] = content
                size = _bounded(root, size + len(content))
    return Bundle(
        root=root,
        scope=found.scope,
        files=dict(sorted(files.items())),
        refused=refused,
        passed_over=tuple(passed_over),
    )


def _bounded(root: Path, size: int) -> int:
    """Return `size`. Raises RuleFileError if it is too much to be held."""
    if size > _MAX_WHOLE:
        raise RuleFileError(f"{root}: its rules and tables have more than {_MAX_WHOLE:,} bytes")
    return size


def fails(error: OSError) -> None:
    """Raise what keeps a folder from being read: rules in it must not look as if they were deleted."""
    raise error


def _described_by(path: Path) -> Path:
    """Return the YAML file beside a Python file, which says what it is; any other path as it is."""
    beside = [path.with_suffix(suffix) for suffix in (".yml", ".yaml")] if path.suffix == ".py" else []
    return next((one for one in beside if one.exists()), path)


def written_in_json(name: str) -> str:
    """Say of a file that describes a rule in JSON what keeps it from being read."""
    return f"{name}:1: rules are read from YAML alone: rename this file to end with .yml, since JSON is YAML, too"


def _is_rule_in_json(root: Path, name: str) -> bool:
    """Whether a JSON file says what it is by an AnalysisType, as Panther takes it, too."""
    content = _read(root, name, MAX_BYTES, {})
    if content is None or b'"AnalysisType"' not in content:
        return False
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        return False
    kind = read.get("AnalysisType") if isinstance(read, dict) else None
    return isinstance(kind, str) and kind not in _RUN_NOWHERE


def _files_of_rules(root: Path) -> Iterator[str]:
    """Yield the YAML files of a checkout, and its JSON files: what is in these is to be told."""
    count = 0
    for folder, folders, names in os.walk(root, onerror=fails):
        beneath = "" if folder == str(root) else Path(folder).relative_to(root).as_posix()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(names):
            if name.endswith((".yml", ".yaml", ".json")) and not name.startswith("."):
                count += not name.endswith(".json")
                if count > _MAX_FILES:
                    raise RuleFileError(f"{root}: it holds more than {_MAX_FILES:,} YAML files")
                yield posixpath.join(beneath, name)


def _named_in(text: str, folder: str) -> Iterator[str]:
    """Yield what may be the names of files in `text`, each relative to the root; what is not there is not read."""
    for found in _NAMED.findall(text):
        for name in dict.fromkeys((found, found.partition(" #")[0], found.partition(",")[0], found.partition("}")[0])):
            path = posixpath.normpath(posixpath.join(folder, name.strip()))
            if not path.startswith(("..", "/")):
                yield path


def read_inside(root: Path, name: str) -> bytes | None:
    """Return what is in a file of the checkout at `root`; None: it lies outside, is too large or cannot be read."""
    return _read(root, name, MAX_BYTES, {})


def _read(root: Path, name: str, most: int, refused: dict[str, str]) -> bytes | None:
    # As text: there may be thousands, and a Path takes longer to make than a small file to read.
    file = os.path.join(root, name)  # noqa: PTH118 - see above
    try:
        if not os.path.realpath(file, strict=True).startswith(os.path.join(root, "")):  # noqa: PTH118 - see above
            refused[name] = f"{name}:1: the file lies outside the checkout"
            return None
        check_regular(file)
        with open(file, "rb") as opened:  # noqa: PTH123 - see above
            content = opened.read(most + 1)
    except OSError as error:
        why = "its links lead in a circle" if error.errno == errno.ELOOP else error.strerror
        refused[name] = f"{name}:1: the file cannot be read: {why}"
        return None
    if len(content) > most:
        refused[name] = f"{name}:1: has more than {most:,} bytes"
        return None
    return content
