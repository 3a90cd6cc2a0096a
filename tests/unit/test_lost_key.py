"""What is said of a key that is lost: every command in it works as it is printed."""

from pathlib import Path

import pytest

from ocelog.errors import HomeError
from ocelog.secrets.keys import MADE_ANEW, read_key


def test_a_lost_key_names_a_command_that_works_as_printed(tmp_path: Path) -> None:
    with pytest.raises(HomeError) as caught:
        read_key(tmp_path / "key")
    for text in (str(caught.value), MADE_ANEW):
        assert "`ocelog init` makes a new one, and prints the command" in text
        assert "NAME" not in text
