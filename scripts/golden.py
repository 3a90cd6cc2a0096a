"""Write the golden files of the schemas anew. Read the difference before you commit it.

A log type that has no records in tests/golden yet gets some that are made from its schema; those that are there stay.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from shaping.golden import FOLDER, check_api_types, golden_files  # the path comes first
from shaping.released import note_new

try:
    check_api_types()
    files = golden_files()
except (LookupError, ValueError) as error:
    sys.exit(str(error))
for name, text in files.items():
    (FOLDER / name).write_text(text, encoding="utf-8")
note_new()
