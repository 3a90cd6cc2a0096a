"""Bring the console's catalogues up to date: every text of the templates, with what is translated already.

usage: python scripts/catalogue.py [--check]     --check writes nothing, and exits with 1 if a text is not translated
"""

import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po, write_po

from ocelog.console.languages import of_columns, spoken
from ocelog.kept_texts import FORMER
from ocelog.languages.phrases import KEPT, LANGUAGES

CONSOLE = Path(__file__).parent.parent / "src" / "ocelog" / "console"
LOCALE = CONSOLE.parent / "languages"
METHODS = [("templates/**.html", "jinja2.ext.babel_extract")]
MARKED = {"Phrase": None, "translatable": None, "say_in": (2,)}
"""Functions of the code one of whose arguments is such a text: `ocelog/languages/phrases.py`."""
STORED = {"kept_text": None, "keepable": None}
"""Those whose texts the ledger keeps: `ocelog/kept_texts.py`."""
OPTIONS = {"templates/**.html": {"trimmed": "false", "silent": "false"}}


def extracted() -> Catalog:
    """Return every text that a page may show: those of the templates, and those that only their values name."""
    found = Catalog(charset="utf-8")
    for file, _line, text, _comments, _context in extract_from_dir(CONSOLE, METHODS, OPTIONS):
        found.add(text, locations=[(file, 0)])
    code = {path: path.read_text() for path in sorted(CONSOLE.parent.rglob("*.py"))}
    for keywords, comments in ((MARKED, ()), (STORED, (KEPT,))):
        # Only where one is called: reading a file word by word takes long.
        for path in (path for path, text in code.items() if any(f"{name}(" in text for name in keywords)):
            for _line, text, _comments, _context in extract_from_file("python", path, keywords=keywords):
                found.add(text, locations=[(str(path.relative_to(CONSOLE.parent)), 0)], auto_comments=comments)
    for text in FORMER:
        found.add(text, locations=[("kept_texts.py", 0)], auto_comments=(KEPT,))
    for text in spoken():
        found.add(text, locations=[("console/languages.py", 0)])
    return found


def updated(language: str) -> Catalog:
    """Return the catalogue of a language with every text that there is now, and no other."""
    path = LOCALE / f"{language}.po"
    kept = read_po(BytesIO(path.read_bytes()), locale=language) if path.exists() else Catalog(locale=language)
    now = Catalog(
        locale=language, project="Ocelog", charset="utf-8", fuzzy=False, revision_date=datetime(2026, 1, 1, tzinfo=UTC)
    )
    for message in extracted():
        if message.id:
            before = kept.get(message.id)
            now.add(
                message.id,
                None if before is None else before.string,
                locations=message.locations,
                auto_comments=message.auto_comments,
            )
    return now


def missing(catalogue: Catalog) -> list[str]:
    """Return the texts that are not translated, but those of columns: whoever adds a log type need not speak Korean."""
    optional = set(of_columns())
    texts = [each for each in catalogue if each.id and each.id not in optional]
    return [str(each.id) for each in texts if not each.string or not all(each.string)]


def written(catalogue: Catalog) -> bytes:
    """Return a catalogue as its file holds it."""
    file = BytesIO()
    write_po(file, catalogue, width=120, omit_header=True, include_lineno=False, sort_output=True)
    return file.getvalue()


def main() -> int:
    """Write the catalogues, or only say what they lack."""
    lacking = 0
    for language in (each for each in LANGUAGES if each != "en"):
        catalogue = updated(language)
        if "--check" not in sys.argv:
            (LOCALE / f"{language}.po").write_bytes(written(catalogue))
        for text in missing(catalogue):
            lacking += 1
            print(f"{language}: {text}")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
