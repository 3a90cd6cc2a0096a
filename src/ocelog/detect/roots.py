"""Where the checkout begins that a path lies in."""

from pathlib import Path

_MARKS = ("global_helpers", "data_models", "packs", ".panther_settings.yml")
"""What only the root of a checkout has."""


def find_root(path: Path) -> Path:
    """Return the root of the checkout that `path` lies in: the nearest folder that looks like one, else `path`."""
    start = path.resolve()
    start = start if start.is_dir() else start.parent
    for folder in (start, *start.parents):
        if is_checkout(folder):
            return folder
        if (folder / ".git").exists():
            return folder
    return start


def is_checkout(folder: Path) -> bool:
    """Whether `folder` looks like the root of a checkout."""
    return any((folder / mark).exists() for mark in _MARKS)
