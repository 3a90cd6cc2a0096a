"""A home with which several tests begin: made once, and put back for each, since pulling is most of what they cost."""

import shutil
from pathlib import Path
from tempfile import mkdtemp

from commands import Ocelog


class Kept:
    """The home of an `ocelog` as it is now. What has its path in it, as the lake has, stays true: it is put back there.

    The tenant it was pulled from is not put back: a test that changes one changes it back.
    """

    def __init__(self, ocelog: Ocelog) -> None:
        self._home, self._copy = ocelog.home, Path(mkdtemp(dir=ocelog.home.parent)) / "home"
        shutil.copytree(self._home, self._copy)

    def again(self, **environment: str) -> Ocelog:
        """Put the home back, whatever has become of it."""
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.copytree(self._copy, self._home)
        return Ocelog(self._home, **environment)
