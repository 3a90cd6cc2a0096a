"""Write the golden files of the schemas anew. Read the difference before you commit it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from shaping.golden import FOLDER, golden_files  # the path comes first
from shaping.released import note_new

for name, text in golden_files().items():
    (FOLDER / name).write_text(text, encoding="utf-8")
note_new()
