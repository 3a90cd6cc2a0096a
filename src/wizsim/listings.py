"""Which records a request lists, in order, kept up to date while the world changes; and which of them a page holds."""

import base64
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import msgspec

from wizsim.instants import parse, text
from wizsim.orders import Key, Order
from wizsim.refusals import bad_input
from wizsim.tables import Table, Version

LAST = "\U0010ffff"
"""Greater than any id."""
MOST_EXCLUDED = 1_000
"""Ids that a cursor lists; with so many of one instant the last one alone says where it stands."""
START = "Start"
"""Field of a cursor that stands before the first record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a page begins and ends in its listing."""

    start: int
    end: int


def write_cursor(fields: list[dict[str, Any]], mark: int = 0) -> str:
    """Write a cursor as Wiz does: base64 of JSON. To a client it is opaque."""
    return base64.b64encode(msgspec.json.encode({"fields": fields, **({"Seq": mark} if mark else {})})).decode()


class Listing:
    """The visible records of one type that pass a test, sorted. Replays the table's log instead of sorting anew."""

    def __init__(self, table: Table, test: Callable[[Version], bool], order: Order) -> None:
        self._table, self._test, self.order = table, test, order
        self.entries: list[tuple[Key, str]] = []
        self._places: dict[str, Key] = {}
        self.revision = 0
        """Moves whenever a record enters, leaves, or changes in the listing."""
        self._read = 0
        self._build()

    def catch_up(self) -> None:
        """Take up what has changed in the table since the last call."""
        log = self._table.log
        if self._read == len(log):
            return
        if len(log) - self._read > 1_000 + len(self.entries) // 4:
            self._build()
            return
        for id_ in log[self._read :]:
            self._update(id_)
        self._read = len(log)

    def records(self, cut: Cut) -> list[Version]:
        """Return the records of one page."""
        current = self._table.current
        return [current[id_] for _, id_ in self.entries[cut.start : cut.end]]

    def holds(self, id_: str) -> bool:
        """Whether the record is listed."""
        return id_ in self._places

    def all(self) -> list[Version]:
        """Return every record."""
        return self.records(Cut(start=0, end=len(self.entries)))

    def cut(self, first: int, after: str | None, *, repeated: int = 0) -> Cut:
        """Find the page of `first` records after a cursor, begun `repeated` records early. Raises Refusal."""
        start = 0 if after is None else max(0, self._start(after) - repeated)
        return Cut(start=start, end=min(len(self.entries), start + first))

    def cursor(self, position: int, *, tie_break: bool, mark: int = 0) -> str:
        """Write the cursor that stands behind the record at `position`; `mark` makes it look unlike others there."""
        if position < 0:
            return write_cursor([{"Field": START, "Value": mark}])
        key, id_ = self.entries[position]
        fields: list[dict[str, Any]] = [{"Field": self.order.name, "Value": self._value(key)}]
        if tie_break or not self.order.dated or key[0]:
            # The API's other listings name the records of the last instant that were shown; these ids are that list.
            last = self.entries[max(0, position + 1 - MOST_EXCLUDED) : position + 1]
            shown = takewhile(lambda entry: entry[0] == key, reversed(last))
            fields.append({"Field": "Exclude", "Value": [entry[1] for entry in shown] if self.order.dated else [id_]})
        return write_cursor(fields, mark)

    def _value(self, key: Key) -> Any:
        if not self.order.dated:
            return key[1]
        return None if key[0] else text(-key[1] if self.order.descending else key[1])

    def _start(self, after: str) -> int:
        try:
            fields = msgspec.json.decode(base64.b64decode(after, validate=True))["fields"]
            value, name = fields[0]["Value"], fields[0]["Field"]
            if name == START:
                return 0
            if name != self.order.name:
                raise bad_input(f"cursor is of another listing: {name}")
            return self._behind(self._key(value), fields[1]["Value"] if len(fields) > 1 else None)
        except (ValueError, LookupError, TypeError, msgspec.MsgspecError) as wrong:
            raise bad_input("cursor is not valid") from wrong

    def _behind(self, key: Key, excluded: list[str] | None) -> int:
        if excluded is None:
            return bisect_right(self.entries, (key, LAST))
        if not self.order.dated or len(excluded) == MOST_EXCLUDED:
            return bisect_right(self.entries, (key, str(excluded[0])))
        return self._past(key, set(excluded))

    def _past(self, key: Key, excluded: set[str]) -> int:
        start = bisect_left(self.entries, (key, ""))
        end = bisect_right(self.entries, (key, LAST))
        while start < end and self.entries[start][1] in excluded:
            start += 1
        return start

    def _key(self, value: Any) -> Key:
        if not self.order.dated:
            return 0, value
        if value is None:
            return 1, 0
        return 0, -parse(value) if self.order.descending else parse(value)

    def _build(self) -> None:
        key, test = self.order.key, self._test
        self._places = {id_: key(v) for id_, v in self._table.current.items() if test(v)}
        self.entries = sorted((place, id_) for id_, place in self._places.items())
        self._read = len(self._table.log)
        self.revision += 1

    def _update(self, id_: str) -> None:
        old = self._places.pop(id_, None)
        if old is not None:
            del self.entries[bisect_left(self.entries, (old, id_))]
        version = self._table.current.get(id_)
        if version is not None and self._test(version):
            self._places[id_] = self.order.key(version)
            insort(self.entries, (self._places[id_], id_))
        elif old is None:
            return
        self.revision += 1
