"""What tests with a real browser stand on."""

import pytest

from browsing import find_chromium


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return where Debian's chromium is."""
    return find_chromium()
