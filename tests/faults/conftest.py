"""What holds for every test with faults."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from lakeside.loops import publishing_alone

__all__ = ["publishing_alone"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: simulations deliver thousands of messages, of each of which there is a line."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)
