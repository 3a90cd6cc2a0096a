"""How many values one statement takes."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

AT_ONCE = 500
"""Values in one IN list: both databases take that many, and their plans stay small."""
T = TypeVar("T")


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut `values` into pieces that one IN list takes."""
    left = iter(values)
    while some := list(islice(left, AT_ONCE)):
        yield some
