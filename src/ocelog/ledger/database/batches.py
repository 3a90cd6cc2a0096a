"""How many values one statement takes."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, tuple_

AT_ONCE = 500
"""Values in one IN list: both databases take that many, and their plans stay small."""
T = TypeVar("T")


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut `values` into pieces that one IN list takes."""
    left = iter(values)
    while some := list(islice(left, AT_ONCE)):
        yield some


def among(keys: Sequence[ColumnElement[Any]], values: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    """Hold for rows whose `keys` have one of the `values`."""
    if len(keys) == 1:
        # Of a list of tuples, SQLite finds none by an index.
        return keys[0].in_([value for (value,) in values])
    return tuple_(*keys).in_(values)
