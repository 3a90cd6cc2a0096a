"""What the files of a folder of rules are now, and by which version of each it is judged."""

import os
import shlex
import stat
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from ocelog.app.log_types import changing
from ocelog.app.rule_folders.good_rules import GoodRules
from ocelog.app.rule_folders.rule_troubles import Unread
from ocelog.detect.bundle import Bundle, fails, read_bundle
from ocelog.detect.checking import Checked, Names, check
from ocelog.detect.checkout import Checkout, parse_checkout
from ocelog.detect.folders import RuleFolder
from ocelog.detect.roots import find_root
from ocelog.errors import OcelogError, RuleFileError
from ocelog.rule_workers.judge import Judge, LoadedFolder
from ocelog.schema.language.packaged import packaged_schemas

_MOST_FILES = 100_000
_RESTED = 10.0
"""Seconds without a change after which a folder that was not read yet is taken to be whole."""
_SETTLED = 4.0
"""Seconds for which every look must find the same before missing rules count as deleted."""
_AT_REST = 4.0
"""Seconds without a change after which whoever reads a folder once, for a command, takes it to be whole."""
_STEADY = 1.0
"""Seconds for which each of its looks must find the same, if no rules are missing."""
_LOOKS_EVERY = 0.5
_LOOKS_FOR = 6.0
"""Seconds for which a command waits for a folder that is just being written."""
_TOLD_AFTER = 60.0
"""Seconds after which people hear of files that change from look to look."""
log = structlog.get_logger()


class _Found(Struct, frozen=True):
    """What a look at a folder found that is not what is judged by."""

    revision: str
    refused: Mapping[str, str]
    since: float
    """When it was found first."""


class _Mark(Struct, frozen=True):
    """What a checkout looks like."""

    text: str
    """Changes when a file is written, added or deleted."""
    changed: float
    """When a file or a folder of it changed last, in seconds since 1970: by its inode, so that nobody can set it."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """A folder of rules, and who judges by it."""

    folder: RuleFolder
    judge: Judge
    mark: str = ""
    """What the folder looked like when it was read."""
    files: tuple[str, Mapping[str, str]] | None = None
    """What files were read then: their revision, and those that were refused."""
    there_since: float = float("-inf")
    """Since when looks have found these, and nothing else."""
    is_confirmed: bool = False
    """Whether a second look found them, too: only then is anything over that is not there any more."""
    lacks: bool = False
    """Whether files are missing that were there when it was confirmed last: it takes longer until it is again."""
    found: _Found | None = None
    """What the last look found instead: it is judged by once another finds the same."""
    changing_since: float | None = None
    """Since when each look has found something else."""
    loaded: LoadedFolder | None = None
    trouble: str | None = None
    """Why its files are not what is judged by."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Rules that name what nothing has, and why: their last good version runs, or nothing of them."""
    off: frozenset[str] = frozenset()
    """Those of them of which nothing good was there before."""
    unread: Sequence[Unread] = ()
    """Rules that do not run as a file does not read."""
    checked: Checked = field(default_factory=dict)
    """What was looked at in its rules: after an edit, only what was edited is, since nobody judges meanwhile."""

    @property
    def silent(self) -> frozenset[str]:
        """Rules of it that must not be asked."""
        return self.off.union(each.rule_id for each in self.unread)


class FolderReader(Struct, frozen=True):
    """Reads folders again when they look different and have come to rest, and goes back to what was good.

    A checkout that is just being written has files of two versions, or lacks some: what a look finds is judged by only
    once another look finds the same, or, as a process begins, if nothing there has changed for some time. If rules are
    missing, it takes longer.
    """

    good: GoodRules
    monotonic: Callable[[], float] = time.monotonic
    clock: Callable[[], float] = time.time

    def read(self, bench: Bench, least: float) -> bool:
        """Read a folder again if it looks different; what does not read leaves the rules as they were.

        Two looks are at least so many seconds apart. Return whether another is not needed.
        """
        path = Path(bench.folder.path)
        try:
            mark = _mark(path)
            if mark.text == bench.mark:
                return self._is_as_before(bench, least)
            had = self.good.read(bench.folder.id) if bench.loaded is None else bench.loaded.bundle
            bundle = read_rules(bench.folder, had)
            found = (bundle.revision(), bundle.refused)
            if found == bench.files:
                # Something else changed in the checkout that the folder lies in.
                bench.mark = mark.text
                return self._is_as_before(bench, least)
            unread = bench.files is None
            rested = unread and self.clock() - mark.changed >= _RESTED and _mark(path).text == mark.text
            if bench.loaded is None and had is not None and (had.revision(), had.refused) == found:
                # The process before this one judged by it.
                rested = True
            if not rested:
                if not self._is_found_again(bench, *found, least):
                    return False
                if self._may_lack_rules(bench, bundle, had, _RESTED if unread else _SETTLED):
                    return False
            if not bench.folder.is_built_in and had is not None:
                bench.lacks = bench.lacks or _lacks(bundle, had)
            self._use(bench, bundle, mark.text)
        except RuleFileError as error:
            if not self._is_found_again(bench, str(error), {}, least):
                return False
            _note(bench, str(error))
            if bench.loaded is None:
                self._load_good(bench)
            return True
        except OcelogError as error:
            _note(bench, error.beside(None))
            if bench.loaded is None:
                raise
            return True
        except Exception as error:
            # What is in the files of one folder must stop no other.
            log.exception("bug in Ocelog", folder=bench.folder.name)
            _note(bench, f"a bug in Ocelog keeps its files from being read: {type(error).__name__}")
            if bench.loaded is None:
                self._load_good(bench)
            return True
        if rested:
            self._confirm(bench)
        return rested

    def goes_on_changing(self, bench: Bench, *, at_once: bool) -> None:
        """Judge by what was good of a folder that does not come to rest, and note that if it has lasted long.

        `at_once`: however long it has lasted.
        """
        if bench.changing_since is None:
            return
        if at_once or self.monotonic() >= bench.changing_since + _TOLD_AFTER:
            _note(bench, goes_on_changing(bench.folder))
        if bench.loaded is None:
            self._load_good(bench)

    def _is_as_before(self, bench: Bench, least: float) -> bool:
        """Note that a folder is as it is judged by; return whether that is so for the second time."""
        now = self.monotonic()
        if bench.found is not None:
            bench.there_since = now
        bench.trouble = bench.found = bench.changing_since = None
        if not bench.is_confirmed and now >= bench.there_since + max(least, _SETTLED if bench.lacks else 0):
            self._confirm(bench)
        return bench.is_confirmed

    def _confirm(self, bench: Bench) -> None:
        """Take what is judged by for all that there is."""
        bench.is_confirmed, bench.lacks = True, False
        if bench.loaded is not None and not bench.folder.is_built_in:
            self.good.keep(bench.folder.id, bench.loaded.bundle)

    def _is_found_again(self, bench: Bench, revision: str, refused: Mapping[str, str], least: float) -> bool:
        """Note what a look found; return whether an earlier one found the same."""
        now, before = self.monotonic(), bench.found
        bench.is_confirmed = False
        if bench.changing_since is None:
            bench.changing_since = now
        if before is None or (before.revision, before.refused) != (revision, refused):
            bench.found = _Found(revision, refused, now)
            return False
        if now < before.since + least:
            return False
        bench.changing_since = None
        return True

    def _may_lack_rules(self, bench: Bench, bundle: Bundle, had: Bundle | None, after: float) -> bool:
        """Whether rules that were there are missing, and have not been for so many seconds: others may be judged by."""
        if bench.found is None or self.monotonic() >= bench.found.since + after:
            return False
        if bench.folder.is_built_in or had is None or not _lacks(bundle, had):
            return False
        if bench.loaded is None:
            self._load_good(bench)
        return bench.loaded is not None

    def _use(self, bench: Bench, bundle: Bundle, mark: str) -> None:
        """Judge by the files of a folder."""
        if bench.loaded is None:
            self._load_good(bench, but=bundle)
        # Ours are checked before they are released.
        refused = {} if bench.folder.is_built_in else refused_rules(parse_checkout(bundle, changing()), bench.checked)
        loaded = bench.judge.load(_mended(bundle, refused, bench))
        # Of what is judged by, be it of before: a rule that was refused from the start was never good.
        of_now = refused
        if not bench.folder.is_built_in and loaded.bundle != bundle:
            of_now = refused_rules(parse_checkout(loaded.bundle, changing()), bench.checked)
        bench.off = frozenset(of_now)
        bench.mark, bench.files, bench.loaded = mark, (bundle.revision(), bundle.refused), loaded
        bench.trouble, bench.refused, bench.there_since = None, refused, self.monotonic()
        bench.found = bench.changing_since = None
        if not bench.folder.is_built_in and not bench.lacks:
            self.good.keep(bench.folder.id, loaded.bundle)
        log.info("rules read", folder=bench.folder.name, rules=len(loaded.rules))
        for each in (*loaded.faults, *loaded.kept):
            log.warning("rule file left out", folder=bench.folder.name, reason=bench.folder.named(each.message))
        for name, why in refused.items():
            log.warning("rule refused", folder=bench.folder.name, rule=name, reason=bench.folder.named(why))

    def has_changed(self, bench: Bench) -> bool:
        """Whether a folder that reads looks different since it was read."""
        try:
            return bench.trouble is None and bench.mark != _mark(Path(bench.folder.path)).text
        except RuleFileError:
            return False

    def _load_good(self, bench: Bench, *, but: Bundle | None = None) -> None:
        """Judge by what was kept of a folder when it was good, unless it is as `but`."""
        good = None if bench.folder.is_built_in else self.good.read(bench.folder.id)
        if good is None or (but is not None and good.revision() == but.revision()):
            return
        refused = refused_rules(parse_checkout(good, changing()))
        try:
            bench.loaded, bench.off = bench.judge.load(good), frozenset(refused)
        except RuleFileError as error:
            log.warning("last good rules not read", folder=bench.folder.name, reason=str(error))
            return
        log.info("last good rules read", folder=bench.folder.name, rules=len(bench.loaded.rules))


def wait_for_rest(
    folders: Collection[RuleFolder],
    good: GoodRules,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[RuleFolder]:
    """Wait until what is just being written stays as it is, and return the folders that go on changing.

    A command reads a folder once: in the middle of a checkout it would find half of the rules, and act on these.
    """
    left = {each.id: each for each in folders if not _is_at_rest(each, clock())}
    found = {name: (_seen(each), monotonic()) for name, each in left.items()}
    until = monotonic() + _LOOKS_FOR
    while left and monotonic() < until:
        sleep(_LOOKS_EVERY)
        for name, folder in list(left.items()):
            now, (before, since) = _seen(folder), found[name]
            had = good.read(folder.id)
            lacks_rules = isinstance(now, Bundle) and had is not None and _lacks(now, had)
            if now != before:
                found[name] = now, monotonic()
            elif monotonic() >= since + (_SETTLED if lacks_rules else _STEADY):
                del left[name]
    return list(left.values())


def _is_at_rest(folder: RuleFolder, now: float) -> bool:
    try:
        return folder.is_built_in or now - _mark(Path(folder.path)).changed >= _AT_REST
    except RuleFileError:
        # Whoever reads it says so.
        return True


def _seen(folder: RuleFolder) -> Bundle | str:
    """Return the files of a folder, or why they cannot be read."""
    try:
        return read_bundle(Path(folder.path))
    except RuleFileError as error:
        return str(error)


def _note(bench: Bench, trouble: str) -> None:
    if trouble != bench.trouble:
        bench.trouble = trouble
        log.error("rules not read", folder=bench.folder.name, reason=trouble)


def goes_on_changing(folder: RuleFolder) -> str:
    """Say that a folder does not come to rest."""
    return f"{folder.path}: its files go on changing while they are read"


def refused_rules(checkout: Checkout, checked: Checked | None = None) -> dict[str, str]:
    """Return the rules that name a field, a log type or a query that does not exist, and why; the first of each.

    Their destinations are not looked at: a channel may be added later. `checked` is as in `check`.
    """
    found = dict[str, str]()
    for wrong in check(checkout, Names(schemas=packaged_schemas()), checked):
        if wrong.rule in checkout.rules:
            found.setdefault(wrong.rule, str(wrong))
    return found


def read_rules(folder: RuleFolder, before: Bundle | None) -> Bundle:
    """Read the files of a folder. Raises RuleFileError, also for one that was emptied since it was as `before`.

    A sync that failed, or a disk that is not mounted, looks like that: no rule is taken for deleted because of it.
    """
    bundle = read_bundle(Path(folder.path))
    if before is not None and not folder.is_built_in and _has_rules(before) and not _has_rules(bundle):
        raise RuleFileError(
            f"{folder.path}: it had rules, and is empty now. If that is meant: ocelog rules remove "
            f"{shlex.quote(folder.name)}"
        )
    return bundle


def _lacks(bundle: Bundle, had: Bundle) -> bool:
    """Whether a bundle lacks files that an earlier one had, or what was in them; an error in one is none of it."""
    there = {name for name, content in bundle.files.items() if content.strip()}
    return any(
        content.strip() and name not in there and name not in bundle.refused for name, content in had.files.items()
    )


def _has_rules(bundle: Bundle) -> bool:
    names = (*bundle.files, *bundle.refused)
    return any(name.endswith((".yml", ".yaml")) and bundle.holds(name) for name in names)


def _mended(bundle: Bundle, refused: Collection[str], bench: Bench) -> Bundle:
    """Return a bundle with the files of refused rules as they were when these were good."""
    if bench.loaded is None:
        return bundle
    files, before = dict(bundle.files), bench.loaded
    for name in set(refused) - bench.off:
        if name in before.rules:
            theirs = before.rules[name].files
            files |= {file: content for file, content in before.bundle.files.items() if file in theirs}
    return replace(bundle, files=files)


def _mark(path: Path) -> _Mark:
    """Return what a checkout looks like. Raises RuleFileError."""
    try:
        return _mark_of(path)
    except OSError as error:
        raise RuleFileError(f"{error.filename or path}: it cannot be read: {error.strerror or error}") from error


def _mark_of(path: Path) -> _Mark:
    if not path.exists():
        raise RuleFileError(f"{path}: there is no such file or folder")
    found, count, root, changed = list[str](), 0, find_root(path), 0.0
    for folder, folders, names in os.walk(root, onerror=fails):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # A file that was deleted leaves no other trace.
        changed = max(changed, os.stat(folder).st_ctime)  # noqa: PTH116 - called for each folder
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                raise RuleFileError(f"{path}: its checkout has more than {_MOST_FILES:,} files")
            try:
                there = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - called for each file
            except OSError:
                continue
            changed = max(changed, there.st_ctime)
            inside = os.path.relpath(folder, root)
            found.append(f"{inside}/{name}:{there.st_ino}:{there.st_size}:{there.st_mtime_ns}")
            if stat.S_ISLNK(there.st_mode):
                # What it leads to is exchanged behind it, as in a ConfigMap of Kubernetes.
                try:
                    behind = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - called for each file
                except OSError:
                    found.append("leads nowhere")
                    continue
                changed = max(changed, behind.st_ctime)
                found.append(f"{behind.st_dev}:{behind.st_ino}:{behind.st_size}:{behind.st_mtime_ns}")
    return _Mark(str(hash("\n".join(found))), changed)
