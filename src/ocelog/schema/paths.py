"""What records hold at a path such as `user.id` or `projects[].slug`."""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from ocelog.schema.decode import Record, attribute


def values_at(records: Sequence[Record], path: str) -> list[Any]:
    """Return the value at `path` of each record, None where an object on the way is null.

    Where the path goes through lists, the value is the list of all that is there.
    """
    values: list[Any] = list(records)
    many = False
    for step in path.split("."):
        name = step.rstrip("[]")
        values = _members(values, attribute(name)) if not many else [_members(one, attribute(name)) for one in values]
        for _ in range(step.count("[]")):
            values = [_flat(one) if many else one or [] for one in values]
            many = True
    return values


def _members(records: list[Any], name: str) -> list[Any]:
    get = attrgetter(name)
    try:
        return list(map(get, records))
    except AttributeError:  # some are None
        return [None if record is None else get(record) for record in records]


def _flat(lists: Sequence[Sequence[Any] | None]) -> list[Any]:
    return list(chain.from_iterable(one for one in lists if one is not None))
