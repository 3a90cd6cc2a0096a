"""The note of the files that the last look found to be named by nothing, which the next one deletes."""

import json
from pathlib import Path

from ocelog.files import read_regular


def note_path(home: Path, table: str) -> Path:
    """Return where the note of a table is."""
    return home / "landing" / table / "leftovers.json"


def noted(looked: Path) -> list[str] | None:
    """Return what the note of the last look lists; None if it is damaged: then the looking begins anew."""
    try:
        found = json.loads(read_regular(looked))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) and all(isinstance(path, str) for path in found) else None
