"""Which text may stand in a column: both databases refuse some, and no column holds text without end."""

from typing import overload

_LONGEST = 4_000


@overload
def bounded(text: str) -> str: ...
@overload
def bounded(text: None) -> None: ...
def bounded(text: str | None) -> str | None:
    """Return `text` cut to a bound, with what neither UTF-8 nor PostgreSQL can hold (NUL, lone surrogates) replaced."""
    if text is None:
        return None
    return text[:_LONGEST].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
