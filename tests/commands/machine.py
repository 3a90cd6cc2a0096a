"""`ocelog` as if on another machine that shares the home's folder: python -m commands.machine NAME LEASE ARGUMENTS...

It sees no lock that other machines hold, its slices are nobody else's to let go of, and they are free for others once
it has been silent for LEASE seconds, instead of ten minutes. Only tests run this.
"""

import sys
from datetime import timedelta

from ocelog.cli import main
from ocelog.installation.home import Home
from ocelog.pull.stream import Stream


def _run() -> None:
    name, lease = sys.argv[1], timedelta(seconds=float(sys.argv[2]))
    Home.id = property(lambda _: f"machine-{name}")  # type: ignore[assignment,method-assign] # see above
    Home.lock_file = property(lambda self: self.path / "tmp" / f"lock-{name}")  # type: ignore[assignment,method-assign] # see above
    Stream.lease = property(lambda _: lease)  # type: ignore[assignment,method-assign] # see above
    main(sys.argv[3:])


if __name__ == "__main__":
    _run()
