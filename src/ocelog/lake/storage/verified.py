"""Which files were found to be whole, so that a query need not read each of them twice.

The engine does not check the checksums of Parquet pages, so a query would show flipped bits as values. Each file is
therefore read and compared with the checksum in its name before the engine gets it: once, again if it was changed, and
again after a while, for a disk can lose bits without a trace.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from ocelog.errors import LakeUnavailableError
from ocelog.files import read_regular
from ocelog.lake.storage.checksums import damage, damaged, written_sum
from ocelog.times import has_passed

AGAIN = timedelta(days=1)
"""How long after a file was compared it is compared once more, though it has not changed."""
_MOST_AGAIN = 1_000_000_000
"""Bytes of such files that one query compares: a large lake is gone through by many queries."""
DAMAGED = "damaged.json"
_SAVE_EVERY = 2.0
"""Seconds: a query that is interrupted must not have compared in vain."""

_LEFT_BEHIND = 3600.0
"""Seconds after which nobody writes a draft any more."""


class VerifiedFiles:
    """Remembers in `tmp/verified.json` which files were compared, when, and what the disk said of them then."""

    def __init__(self, home: Path) -> None:
        self._note = home / "tmp" / "verified.json"
        self._damaged = home / "tmp" / DAMAGED
        self._known: dict[str, list[int]] | None = None

    def check(self, sizes: Mapping[str, int], *, may_be_gone: bool = False) -> None:
        """Compare the files that are due, given with their sizes.

        Raises LakeDamagedError for one that is not whole, LakeUnavailableError for one that is gone and `may_be_gone`.
        """
        if self._known is None:
            self._known = self._load()
        now, bytes_left, saved, changed = int(time.time()), _MOST_AGAIN, time.monotonic(), False
        for path, size in sizes.items():
            if written_sum(path) is None:
                continue
            known = self._known.get(path)
            present = _stat(path)
            if known is not None and known[1:] == present:
                if not has_passed(AGAIN, since=known[0], now=now) or size > bytes_left:
                    continue
                bytes_left -= size
            what = damage(Path(path), size)
            if what == "is missing" and may_be_gone:
                raise LakeUnavailableError(f"The lake changed while it was read: {path} is gone. Run it again.")
            if what is not None:
                self._note_damage(path, what, present)
                raise damaged(path, what)
            self._known[path] = [now, *present]
            changed = True
            if time.monotonic() - saved > _SAVE_EVERY:
                self._save(sizes)
                saved = time.monotonic()
        if changed:
            self._save(sizes)

    def _note_damage(self, path: str, what: str, present: list[int]) -> None:
        """Remember what was found, for `ocelog status`; a reader of another's home may not."""
        known = {**_damages(self._damaged), path: [what, *present]}
        _write(self._damaged, known)

    def _load(self) -> dict[str, list[int]]:
        with suppress(OSError, ValueError):
            found = json.loads(read_regular(self._note))
            if isinstance(found, dict):
                return {path: each for path, each in found.items() if isinstance(each, list)}
        return {}

    def _save(self, present: Mapping[str, int]) -> None:
        """Write the note; whoever may not write the home compares anew each time. Two at once: one of them is kept."""
        known = self._known or {}
        if len(known) > 2 * len(present) + 1_000:
            known = {path: each for path, each in known.items() if Path(path).exists()}
        _write(self._note, known)


def _write(note: Path, known: Mapping[str, object]) -> None:
    """Write a note whole or not at all, and delete what a process that was killed has left of one.

    Other than `replace_file`: queries write at once, and what is lost is only compared anew.
    """
    draft = note.with_suffix(f".{time.monotonic_ns()}.draft")
    with suppress(OSError):
        for left in note.parent.glob(f"{note.stem}.*.draft"):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                left.unlink(missing_ok=True)
        try:
            draft.write_text(json.dumps(known))
            draft.replace(note)
        finally:
            draft.unlink(missing_ok=True)


def found_damaged(home: Path) -> dict[str, str]:
    """Return, by its path, what queries found damaged in files that are still as they were found."""
    found = _damages(home / "tmp" / DAMAGED)
    return {path: str(each[0]) for path, each in found.items() if each[1:] and each[1:] == _stat(path)}


def _damages(note: Path) -> dict[str, list[object]]:
    """Read the note of damaged files; what is gone is left out."""
    with suppress(OSError, ValueError):
        found = json.loads(read_regular(note))
        if isinstance(found, dict):
            return {path: each for path, each in found.items() if isinstance(each, list) and Path(path).exists()}
    return {}


def _stat(path: str) -> list[int]:
    """Return what changes when a file is written to, whoever sets its dates."""
    try:
        found = Path(path).stat()
    except OSError:
        return []
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
