"""Lists, page by page: each page says where the next one begins, in a text that only this API reads."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from ocelog.console.api.problems import CODES, RefusedError

T = TypeVar("T")
MOST = 200
_LONGEST = 2_000

Limit = Annotated[int, Query(ge=1, le=MOST, description="Entries of a page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=_LONGEST, description="`next` of the page before; without it, the first page."),
]


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next: str | None = Field(description="The `cursor` of the next page; null: this is the last.")


def write_cursor(*keys: str | int) -> str:
    """Return a cursor that says where a page ends."""
    return base64.urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_cursor(text: str, *kinds: type) -> list[str | int]:
    """Return where a page ends, as keys of these kinds. Raises RefusedError for what no page has returned."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) != len(kinds):
        raise RefusedError(422, "cursor_invalid", CODES["cursor_invalid"])
    for each, kind in zip(found, kinds, strict=True):
        fits = type(each) is kind and (not isinstance(each, int) or 0 <= each < 2**63)
        if not fits or (isinstance(each, str) and "\x00" in each):
            raise RefusedError(422, "cursor_invalid", CODES["cursor_invalid"])
    return found


def page_of(
    items: Iterable[T], key: Callable[[T], str], *, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """Return a page of what is all in memory, in the order of its keys, and where the next one begins."""
    after = None if cursor is None else str(read_cursor(cursor, str)[0])
    left = sorted((each for each in items if after is None or key(each) > after), key=key)
    return left[:limit], write_cursor(key(left[limit - 1])) if len(left) > limit else None
