"""Where the `ocelog` command begins; `python -m ocelog` does the same."""

import gc

# Imports make many objects that live on: Python's default looks at them again and again, a tenth of a short command.
gc.set_threshold(50_000, 20, 20)

from ocelog.cli import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
