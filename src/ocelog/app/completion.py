"""Names that a shell completes: found at once, without a word about what keeps them from being found."""

import os
import re
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ocelog.detect.folders import BUILT_IN
from ocelog.errors import OcelogError
from ocelog.installation import config
from ocelog.installation.home import open_home
from ocelog.ledger.source_names import read_channel_names, read_rule_folders, read_source_names, read_user_names

_PLAIN = re.compile(r"[\w.@-]+")
"""What no shell takes apart, in any script."""
_MOST_FILES = 5_000
"""Of a folder of rules; who has more would rather type the id."""


def source_names() -> list[str]:
    """Return the name of each source, or its id if a shell would have to quote the name; none if there is no home."""
    try:
        place = open_home(config.home_path(), reading=True)
        return [name if _PLAIN.fullmatch(name) else id_ for id_, name in read_source_names(place.ledger_url)]
    except (OcelogError, OSError, sqlite3.Error, ValueError):
        return []


def channel_names() -> list[str]:
    """Return the name of each channel, or its id if a shell would have to quote the name; none if there is no home."""
    try:
        place = open_home(config.home_path(), reading=True)
        return [name if _PLAIN.fullmatch(name) else id_ for id_, name in read_channel_names(place.ledger_url)]
    except (OcelogError, OSError, sqlite3.Error, ValueError):
        return []


def user_names() -> list[str]:
    """Return the name of each user that no shell would have to quote; none if there is no home."""
    try:
        place = open_home(config.home_path(), reading=True)
        return [name for _, name in read_user_names(place.ledger_url) if _PLAIN.fullmatch(name)]
    except (OcelogError, OSError, sqlite3.Error, ValueError):
        return []


def rule_folder_names() -> list[str]:
    """Return the name of each folder of rules."""
    return [BUILT_IN.name, *_registered()]


def rule_ids(*keys: str) -> list[str]:
    """Return what stands at one of `keys`, such as RuleID, in the files of all folders of rules."""
    wanted = re.compile(rf"""^["']?(?:{"|".join(keys)})["']?[ \t]*:[ \t]*["']?([\w.-]+)""", re.MULTILINE)
    found = set[str]()
    for folder in (BUILT_IN.path, *_registered().values()):
        for file in islice(_yaml_files(folder), _MOST_FILES):
            try:
                found.update(wanted.findall(file.read_text("utf-8", "replace")))
            except OSError:
                continue
    return sorted(found)


def _registered() -> dict[str, str]:
    try:
        place = open_home(config.home_path(), reading=True)
        return {name: path for name, path in read_rule_folders(place.ledger_url) if name != BUILT_IN.name}
    except (OcelogError, OSError, sqlite3.Error, ValueError):
        return {}


def _yaml_files(root: str) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in sorted(names) if name.endswith((".yml", ".yaml")))
