"""What `python -m ocelog` does: the same as `ocelog`."""

from ocelog.cli import main

if __name__ == "__main__":
    main()
