"""Where the `ocelog` command begins; `python -m ocelog` does the same."""

import gc

# Imports make many objects that live on. Python would look at them again and again, for a tenth of what a short command
# takes, until it begins.
gc.disable()

from ocelog.cli import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
