"""Type the commands of the tutorials, and write what they print into their pages, if its shape has changed.

python scripts/tutorial.py [--all]     --all: whatever its shape, unless the page leaves lines out
"""

import socket
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from documents import DOCS, differing, shell, steps  # noqa: E402 - the tests' folder must be found first

PAGES = (DOCS / "tutorial.md", DOCS / "writing-a-rule.md")


def free_port() -> str:
    """Return a port that is free."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return str(made.getsockname()[1])


def main() -> int:
    """Write what each command prints below it."""
    for page in PAGES:
        write(page)
    return 0


def write(page: Path) -> None:
    """Write what each command of a page prints below it."""
    rest, written = page.read_text(), ""
    with tempfile.TemporaryDirectory() as folder, shell(Path(folder), {"8765": free_port()}) as typed:
        for step in steps(page):
            line = f"$ {step.command}" + (f"    # exit code {step.code}\n" if step.code else "\n")
            before, found, rest = rest.partition(line + (f"{step.shown}\n" if step.shown else ""))
            if not found:
                raise ValueError(f"not as it would be written: {step.command}")
            printed = typed.type(step)
            shortened = "..." in step.shown.splitlines()
            if differing(step.shown, printed) is None and (shortened or "--all" not in sys.argv):
                printed = step.shown
            elif step.shown.startswith("...\n"):
                printed = "...\n" + printed.partition("\n\n")[2]  # bars, which differ from run to run
            written += before + line + (f"{printed}\n" if printed else "")
    page.write_text(written + rest)


if __name__ == "__main__":
    sys.exit(main())
