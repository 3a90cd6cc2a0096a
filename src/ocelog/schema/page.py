"""Which records of a page are events, and which are rejections: each is one or the other."""

import re
import struct
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

import pyarrow as pa
from msgspec import Struct, field

from ocelog.model import Kind, Rejection
from ocelog.schema.columns.frame import Frame
from ocelog.schema.columns.instants import InstantReader, Instants
from ocelog.schema.decode.brackets import any_too_deep, split_array
from ocelog.schema.decode.mismatch import BROKEN, Mismatch
from ocelog.schema.decode.record import LONGEST_NAME, Extra, read_record, readable_name
from ocelog.schema.decode.typed import Record, is_plain, layout_of, page_decoder, record_decoder
from ocelog.schema.language.fields import Array, Json, LogSchema, Text

_MAX_UNKNOWN_NAMES = 100
"""A hostile record must not name thousands of fields."""
_FEW = 16
"""So many records are sooner read member by member than split further."""
_EVERYWHERE = 8
"""If so many parts of a page fail and no other fits, all of its records have what the typed reader refuses."""


class DecodedPage(Struct, frozen=True, kw_only=True):
    """What the records of a page are."""

    frame: Frame
    """The events, in page order."""
    instants: Instants
    positions: Sequence[int]
    """Each event's position in the page."""
    seen: list[str]
    """A name for every record, rejections included."""
    extras: list[str | None] | None = None
    """What of each event no column holds, as JSON text; None: all columns hold everything."""
    rejections: list[Rejection] = field(default_factory=list)
    unknown_fields: dict[str, int] = field(default_factory=dict)


class PageReader:
    """Reads pages of one log type."""

    def __init__(self, schema: LogSchema, kind: Kind) -> None:
        if not any(known.name == "id" and known.required and isinstance(known.type, Text) for known in schema.fields):
            raise ValueError(f"{schema.log_type} needs a required string field `id`: it identifies the record")
        self.layout = layout_of(schema.fields, re.sub(r"\W", "_", schema.log_type))
        self._instants = InstantReader(schema, kind)
        plain = is_plain(schema.fields)
        self._decode = page_decoder(self.layout) if plain else None
        self._decode_record = record_decoder(self.layout) if plain else None

    def read(self, records: bytes | list[bytes]) -> DecodedPage:
        """Read a page at once if every record fits, else record by record, and member by member those that do not."""
        if isinstance(records, list):
            return self._one_by_one(records)
        page = self._at_once(records)
        if page is not None:
            return page
        if records.strip() in {b"", b"null"}:
            return self._one_by_one([])
        texts = split_array(records)
        return self._one_by_one([records] if texts is None else texts)

    def _at_once(self, page: bytes) -> DecodedPage | None:
        if self._decode is None or not _is_utf8(page):
            return None
        try:
            events = self._decode(page)
        except BROKEN:
            return None
        found = self._framed(events)
        if found is None:
            return None
        frame, instants = found
        return DecodedPage(frame=frame, instants=instants, positions=range(len(events)), seen=list(frame.values("id")))

    def _framed(self, events: Sequence[Record]) -> tuple[Frame, Instants] | None:
        """Return what typed records hold; None: what the typed reader has not looked at does not fit in one of them."""
        try:
            frame = Frame(self.layout, events)
        except BROKEN:
            return None
        ids = frame.values("id")
        # As `is_name`, but for all of them in two calls.
        named = all(map(str.strip, ids)) and len(max(ids, key=len, default="")) <= LONGEST_NAME
        if not named or _any_too_deep(frame):
            return None
        instants = self._instants.read(frame)
        return None if instants is None else (frame, instants)

    def _typed(self, texts: Sequence[bytes]) -> dict[int, Record]:
        """Return the records that fit the structs whole, by their position.

        Each text is decoded alone, so that none can end in another. What the structs leave unread is looked at in many
        records together: if it does not fit, in each half of them.
        """
        decoded = dict[int, Record]()
        for position, text in enumerate(texts if self._decode_record is not None else ()):
            with suppress(*BROKEN):
                decoded[position] = self._decode_record(text)  # type: ignore[misc] # mypy forgets that it is there
        found = dict[int, Record]()
        groups = [list(decoded)]
        while groups:
            failed = list[list[int]]()
            for group in groups:
                events = [decoded[position] for position in group]
                if _is_utf8(b",".join(texts[position] for position in group)) and self._framed(events) is not None:
                    found.update(zip(group, events, strict=True))
                else:
                    failed.append(group)
            if len(failed) == len(groups) >= _EVERYWHERE:
                break
            groups = [
                half
                for group in failed
                if len(group) > _FEW
                for half in (group[: len(group) // 2], group[len(group) // 2 :])
            ]
        return found

    def _one_by_one(self, texts: Sequence[bytes]) -> DecodedPage:
        events: list[Record] = []
        extras: list[str | None] = []
        positions: list[int] = []
        rejections: list[Rejection] = []
        seen: list[str] = []
        names: Counter[str] = Counter()
        typed = self._typed(texts)
        for position, raw in enumerate(texts):
            if position in typed:
                events.append(typed[position])
                positions.append(position)
                seen.append(typed[position].id)
                extras.append(None)
                continue
            try:
                event, extra = read_record(raw, self.layout)
                self._need_place(event, extra)
            except Mismatch as mismatch:
                name = readable_name(raw)
                seen.append(name if name is not None else sha256(raw).hexdigest())
                rejections.append(
                    Rejection(
                        path=mismatch.path,
                        expected=mismatch.expected,
                        found=mismatch.found,
                        raw=raw,
                        record_id=name,
                        position=position,
                    )
                )
                continue
            events.append(event)
            positions.append(position)
            seen.append(event.id)
            extras.append(str(extra) if extra else None)
            names.update(extra.names())
        frame = Frame(self.layout, events)
        instants = self._instants.read(frame)
        assert instants is not None  # noqa: S101  # reading record by record writes each timestamp in the usual way
        return DecodedPage(
            frame=frame,
            instants=instants,
            positions=positions,
            seen=seen,
            extras=extras if names else None,
            rejections=rejections,
            unknown_fields=dict(names.most_common(_MAX_UNKNOWN_NAMES)),
        )

    def _need_place(self, event: Record, extra: Extra) -> None:
        """Raise Mismatch if `event` has neither its cursor date nor its creation date."""
        first, second = self._instants.place
        if self.layout.value(event, first) is None and self.layout.value(event, second) is None:
            for path in (f"$.{first}", f"$.{second}"):
                if path in extra.unreadable:
                    raise extra.unreadable[path].afresh()
            raise Mismatch(f"$.{first}", f"a timestamp there or in {second}", "nothing")


def _is_utf8(page: bytes) -> bool:
    """Tell whether `page` is UTF-8; the typed reader looks into strings, but not into free JSON."""
    if page.isascii():
        return True
    ends = pa.py_buffer(struct.pack("<qq", 0, len(page)))
    try:
        pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(page)]).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _any_too_deep(frame: Frame) -> bool:
    """Tell whether free JSON in `frame` is nested deeper than reading record by record lets pass."""
    for at, known in enumerate(frame.layout.fields):
        match known.type:
            case Json():
                found = any_too_deep(frame.texts(at).distinct)
            case Array(element=Json()):
                found = any_too_deep([bytes(text) for one in frame.columns[at] for text in one or ()])
            case _:
                found = at in frame.objects and _any_too_deep(frame.objects[at].frame)
        if found:
            return True
    return False
