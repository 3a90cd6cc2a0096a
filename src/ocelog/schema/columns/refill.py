"""How stored rows take values out of p_extra for which the schema has got a column since."""

import re
from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from ocelog.schema.columns.fill import record_of_row
from ocelog.schema.columns.frame import Frame
from ocelog.schema.columns.indicator_columns import IndicatorColumns
from ocelog.schema.columns.indicators import any_columns
from ocelog.schema.decode.brackets import too_deep
from ocelog.schema.decode.mismatch import BROKEN, Mismatch, is_not_text
from ocelog.schema.decode.record import Extra, read_object
from ocelog.schema.decode.typed import Layout, layout_of
from ocelog.schema.language.fields import Array, Field, LogSchema, Object, Type

EXTRA = "p_extra"
_EXTRAS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STEP = re.compile(r'\.?([\w-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]', re.DOTALL)
_ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")
_AT_ONCE = 1_000
"""Rows that are taken apart at once: as Python objects they need ten times their room."""

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value, from the record: names, and places in lists."""


class RefilledRows(Struct, frozen=True, kw_only=True):
    """Some rows, refilled."""

    rows: pa.Table
    changed: int = 0
    """Rows that got at least one value."""
    values: Mapping[str, int]
    """Values that left p_extra, by path: `projects[].owner`."""


class Refill:
    """Refills the rows of one log type."""

    def __init__(self, schema: LogSchema) -> None:
        self._fields = schema.fields
        self._layout = layout_of(schema.fields)
        self._indicators = IndicatorColumns(schema)
        self._indicator_names = [name for name, _, _ in any_columns(schema)]
        self._leaves: dict[Path, Layout | None] = {}

    def candidates(self, extras: Sequence[str | None]) -> list[int]:
        """Return which of some rows have a value in p_extra for which there is a field, by their p_extra alone."""
        return [
            at
            for at, extra in enumerate(extras)
            if extra is not None
            and any(
                bytes(raw) != b"null" and (path := extra_path(key)) is not None and self._leaf(path) is not None
                for key, raw in extra_texts(extra).items()
            )
        ]

    def refill(self, rows: pa.Table) -> RefilledRows:
        """Move what fits from p_extra into its columns, if they are null; all else stays as it is.

        `rows` must have every column of the schema. A value is read as a fresh record's is, and its indicators are
        added to the p_any_ columns. Ids, versions, dates and the schema's version stay: they say how the row landed.
        """
        values: Counter[str] = Counter()
        parts: list[pa.Table] = []
        changed = 0
        for start in range(0, rows.num_rows, _AT_ONCE):
            part, count = self._refill_some(rows.slice(start, _AT_ONCE), values)
            parts.append(part)
            changed += count
        return RefilledRows(rows=pa.concat_tables(parts) if changed else rows, changed=changed, values=values)

    def _refill_some(self, rows: pa.Table, values: Counter[str]) -> tuple[pa.Table, int]:
        asked = self.candidates(rows.column(EXTRA).to_pylist())
        chosen = rows.select([*(field.name for field in self._fields), *self._indicator_names, EXTRA])
        places: list[int] = []
        changed: list[dict[str, Any]] = []
        touched = {EXTRA, *self._indicator_names}
        for at, row in zip(asked, _as_objects(chosen, asked), strict=True):
            if row is None:
                continue
            try:
                moved = self._refill_row(row)
            except (*BROKEN, pa.ArrowException):
                # A row that another engine wrote, with values that no record has: it stays as it is.
                continue
            if moved:
                places.append(at)
                changed.append(row)
                touched |= {str(path[0]) for path in moved}
                for path in moved:
                    name = "".join("[]" if isinstance(step, int) else f".{step}" for step in path)
                    values[name.removeprefix(".")] += 1
        if not changed:
            return rows, 0
        order = list(range(rows.num_rows))
        for number, at in enumerate(places):
            order[at] = rows.num_rows + number
        taken = pa.array(order)
        for name in touched:
            column = rows.column(name)
            fresh = pa.array([row[name] for row in changed], column.type)
            both = pa.chunked_array([*column.chunks, fresh], column.type)
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), both.take(taken))
        return rows, len(changed)

    def _refill_row(self, row: dict[str, Any]) -> list[Path]:
        """Refill `row` in place, and return the paths of the values that it got."""
        texts = extra_texts(row[EXTRA])
        moved: list[Path] = []
        empty: list[str] = []
        left = Extra()
        for key, raw in texts.items():
            path = extra_path(key)
            leaf = None if path is None else self._leaf(path)
            if path is None or leaf is None:
                continue
            *above, name = path
            holder = _holder(row, above)
            if holder is None or holder.get(name) is not None:
                continue
            if bytes(raw) == b"null":
                empty.append(key)
                continue
            found, over = _read(bytes(raw), leaf, key)
            if found is not None:
                holder[name] = found
                moved.append(path)
                empty.append(key)
                left.add(over)
        if moved:
            # `texts` had the paths as p_extra spells them, `left` as JSON paths.
            left.texts = {
                _spelt(key): bytes(raw).decode() for key, raw in texts.items() if key not in empty
            } | left.texts
            row[EXTRA] = str(left) if left else None
            self._add_indicators(row)
        return moved

    def _add_indicators(self, row: dict[str, Any]) -> None:
        if self._indicator_names:
            frame = Frame(self._layout, [record_of_row(self._fields, self._layout, row)])
            for name, array in zip(self._indicator_names, self._indicators.arrays(frame), strict=True):
                (found,) = array.to_pylist()
                row[name] = sorted({*(row[name] or ()), *(found or ())}) or None

    def _leaf(self, path: Path) -> Layout | None:
        """Return a layout with nothing but the field that `path` leads to; None: there is none."""
        key = tuple(0 if isinstance(step, int) else step for step in path)
        if key not in self._leaves:
            field = _field(self._fields, key)
            if len(self._leaves) > _AT_ONCE:
                # Records may name any number of fields.
                self._leaves.clear()
            self._leaves[key] = None if field is None else layout_of((replace(field, required=False),))
        return self._leaves[key]


def _read(raw: bytes, leaf: Layout, key: str) -> tuple[Any, Extra]:
    """Return the value that a column holds for `raw`, None if none does, and what of `raw` no column holds."""
    over = Extra()
    (field,) = leaf.fields
    if _was_unreadable(raw):
        return None, over
    member = b"{%b:%b}" % (msgspec.json.encode(field.name), raw)
    above = _spelt(key).removesuffix(f".{field.name}").removesuffix(f"[{msgspec.json.encode(field.name).decode()}]")
    try:
        record = read_object(member, leaf, above, over)
    except Mismatch:
        return None, Extra()
    if _spelt(key) in over.unreadable:
        return None, Extra()
    (found,) = Frame(leaf, [record]).arrays({})[0].to_pylist()
    return found, over


def _was_unreadable(raw: bytes) -> bool:
    """Tell whether `raw` is the text of a value that could not be read when it came: see `Extra.keep`.

    A text that only looks like one stays in p_extra, where it is as good as before.
    """
    if not raw.startswith(b'"'):
        return False
    try:
        text = msgspec.json.decode(raw, type=str)
    except BROKEN:
        return True
    if not text.startswith(('"', "[", "{")):
        return False
    return bool(too_deep(text.encode()) or is_not_text(text.encode()) or _ESCAPED_BYTE.search(text))


def _as_objects(rows: pa.Table, places: Sequence[int]) -> Sequence[dict[str, Any] | None]:
    """Return the rows at `places`; None stands for one that Python cannot hold, such as a date of the year 10000."""
    try:
        found: list[dict[str, Any]] = rows.take(pa.array(places, pa.int64())).to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        return [None] if len(places) == 1 else [one for at in places for one in _as_objects(rows, [at])]
    return found


def extra_texts(extra: str) -> dict[str, msgspec.Raw]:
    """Return the JSON texts that a p_extra keeps, by their keys."""
    try:
        return _EXTRAS.decode(extra)
    except BROKEN:
        # Another engine wrote it.
        return {}


def extra_path(key: str) -> Path | None:
    """Take a key of p_extra apart, such as `projects[0].owner`; None: it is not a path."""
    steps: list[str | int] = []
    at = 1 if key.startswith("$[") else 0
    while at < len(key):
        found = _STEP.match(key, at)
        if found is None or found.end() == at:
            return None
        plain, number, encoded = found.groups()
        steps.append(
            plain if plain is not None else int(number) if number is not None else msgspec.json.decode(encoded)
        )
        at = found.end()
    return tuple(steps) or None


def _spelt(key: str) -> str:
    """Return a key of p_extra as the JSON path that it stands for."""
    return key if key.startswith("$[") else f"$.{key}"


def _field(fields: Sequence[Field], path: Path) -> Field | None:
    kind: Type = Object(fields=tuple(fields))
    field: Field | None = None
    for step in path:
        match kind, step:
            case Object(fields=known), str():
                field = next((each for each in known if each.name == step), None)
                if field is None:
                    return None
                kind = field.type
            case Array(element=element), int():
                field, kind = None, element
            case _:
                return None
    return field


def _holder(row: MutableMapping[str, Any], above: Sequence[str | int]) -> MutableMapping[Any, Any] | None:
    """Return the object of `row` that `above` leads to; None: it is null, or shorter than that."""
    found: Any = row
    for step in above:
        if isinstance(found, list) and isinstance(step, int):
            found = found[step] if step < len(found) else None
        elif isinstance(found, dict):
            found = found.get(step)
        else:
            return None
    return found if isinstance(found, dict) else None
