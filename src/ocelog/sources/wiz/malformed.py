"""How the records of an answer are found when the answer as a whole is not JSON."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ocelog.languages.phrases import Phrase
from ocelog.schema.decode.brackets import split_array, split_object


class CutShortError(ValueError):
    """The text ends, or goes astray, before the value does."""


class Malformed(Struct, frozen=True, kw_only=True):
    """An answer taken apart: `envelope` is the answer with no records in it."""

    envelope: bytes
    records: list[bytes]


def take_apart(body: bytes, root: str) -> Malformed:
    """Find each record's text in `body` by brackets and quotes alone, however deep they nest.

    So one record with NaN, a broken escape or 2,000 levels costs no other. Raises CutShortError if the brackets of
    the answer do not close, or something follows them.
    """
    answer = _members(body)
    try:
        data = _members(answer["data"])
        connection = _members(data[root])
        nodes = connection["nodes"]
    except (KeyError, CutShortError):
        return Malformed(envelope=body, records=[])
    if not nodes.startswith(b"["):
        return Malformed(envelope=body, records=[])
    bare = _object({**answer, "data": _object({**data, root: _object({**connection, "nodes": b"[]"})})})
    return Malformed(envelope=bare, records=split_array(nodes) or [])


def _members(text: bytes) -> dict[str, bytes]:
    members = split_object(text)
    if not members.whole:
        raise CutShortError(Phrase("not one whole JSON object"))
    return members.texts


def _object(members: Mapping[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(b"%b:%b" % (msgspec.json.encode(name), text) for name, text in members.items())
