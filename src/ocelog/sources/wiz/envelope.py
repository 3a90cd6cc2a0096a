"""How the body of a GraphQL answer comes apart: its records untouched, and all that stands around them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from ocelog.languages.phrases import Phrase
from ocelog.shorten import shorten
from ocelog.sources.wiz.malformed import CutShortError, take_apart

_LONGEST_MESSAGE = 500
_MOST_ERRORS = 2_000


class GraphError(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `errors`, with what is not as GraphQL says left out."""

    message: str
    code: str = ""
    path: tuple[str | int, ...] = ()
    """From the query root's name on; "@" stands for every position of a list."""
    locations: tuple[tuple[int, int], ...] = ()
    """Line and column in the query that was sent, both from 1."""
    request_id: str | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `records` is None if the API sent none, not even an empty list."""

    records: bytes | list[bytes] | None
    end_cursor: str | None = None
    has_next: bool | None = None
    total: int | None = None
    capped: bool = False
    errors: tuple[GraphError, ...] = ()
    has_data: bool = False


class GarbledError(ValueError):
    """The body is not a GraphQL answer: cut short, or something else altogether."""


class UnknownShapeError(ValueError):
    """The body is a GraphQL answer of a shape that no version of the API is known to have."""


# msgspec decodes JSON names straight into structs; these two are the only way to name them.
class _PageInfo(msgspec.Struct, rename="camel"):
    has_next_page: bool | None = None
    end_cursor: str | None = None


class _Connection(msgspec.Struct, rename="camel"):
    nodes: msgspec.Raw = msgspec.Raw(b"null")
    page_info: _PageInfo | None = None
    total_count: int | None = None
    max_count_reached: bool | None = None


class _Body(msgspec.Struct):
    data: dict[str, _Connection | None] | None = None
    errors: Any = None
    extensions: Any = None


_DECODER = msgspec.json.Decoder(_Body)
_Json: TypeAlias = Any


def open_envelope(body: bytes, root: str, clean: Callable[[str], str] | None = None) -> Envelope:
    """Take `body` apart; `clean` makes its messages fit to be shown. Raises GarbledError or UnknownShapeError.

    The records are never decoded here: if the answer is JSON they are the bytes of its array, else the texts of
    each, so that a record which is not JSON is rejected by itself.
    """
    try:
        return _from(_DECODER.decode(body), root, None, clean or readable)
    except msgspec.ValidationError as error:
        raise UnknownShapeError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _open_malformed(body, root, clean or readable)


def _open_malformed(body: bytes, root: str, clean: Callable[[str], str]) -> Envelope:
    try:
        found = take_apart(body, root)
        text = found.envelope.decode("utf-8", "replace")
        return _from(_DECODER.decode(text), root, found.records, clean)
    except CutShortError as error:
        raise GarbledError(*error.args) from error
    except msgspec.ValidationError as error:
        raise UnknownShapeError(str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise GarbledError(str(error)) from error


def _from(body: _Body, root: str, records: list[bytes] | None, clean: Callable[[str], str]) -> Envelope:
    connection = body.data.get(root) if body.data is not None else None
    errors = tuple(_errors(body, clean))
    if connection is None:
        return Envelope(records=None, errors=errors)
    raw = bytes(connection.nodes)
    if not raw.startswith(b"[") and raw != b"null":
        raise UnknownShapeError(Phrase("`nodes` is neither a list nor null"))
    page_info = connection.page_info or _PageInfo()
    return Envelope(
        records=None if raw == b"null" else raw if records is None else records,
        end_cursor=page_info.end_cursor,
        has_next=page_info.has_next_page,
        total=connection.total_count,
        capped=bool(connection.max_count_reached),
        errors=errors,
        has_data=True,
    )


def _errors(body: _Body, clean: Callable[[str], str]) -> Iterator[GraphError]:
    """Yield what the answer says went wrong.

    `extensions.valueCompletion` lists values that the API had to leave out because something in them was null; it can
    stand without an `errors` beside it.
    """
    extensions = body.extensions if isinstance(body.extensions, dict) else {}
    for listed in (body.errors, extensions.get("valueCompletion")):
        if isinstance(listed, list):
            yield from (_error(entry, clean) for entry in listed[:_MOST_ERRORS])
            if len(listed) > _MOST_ERRORS:
                yield GraphError(message=f"{len(listed)} errors, too many to look at")
        elif listed is not None:
            yield _error(listed, clean)


def _error(entry: _Json, clean: Callable[[str], str]) -> GraphError:
    if not isinstance(entry, dict):
        return GraphError(message=_without_stop(clean(str(entry))))
    extensions = entry.get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    path = entry.get("path")
    locations = entry.get("locations")
    return GraphError(
        message=_without_stop(clean(str(entry.get("message", "")))),
        code=clean(str(extensions.get("code") or "")),
        path=tuple(_steps(path, clean)) if isinstance(path, list) else (),
        locations=tuple(_locations(locations)) if isinstance(locations, list) else (),
        request_id=_text(extensions.get("requestId") or extensions.get("request_id"), clean),
    )


def _steps(path: list[_Json], clean: Callable[[str], str]) -> Iterator[str | int]:
    for step in path:
        if isinstance(step, str | int):
            yield clean(step) if isinstance(step, str) else step


def _without_stop(text: str) -> str:
    """Return `text` without its full stop: it goes into sentences of ours."""
    return text if text.endswith("..") else text.removesuffix(".")


def _locations(listed: list[_Json]) -> Iterator[tuple[int, int]]:
    for place in listed:
        match place:
            case {"line": int(line), "column": int(column)}:
                yield line, column
            case _:
                pass


def _text(value: _Json, clean: Callable[[str], str]) -> str | None:
    return clean(value) if isinstance(value, str) and value else None


def readable(text: str) -> str:
    """Return `text` from outside as one line of bounded length, fit for a message."""
    begins = shorten(text, _LONGEST_MESSAGE)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in begins).split())
