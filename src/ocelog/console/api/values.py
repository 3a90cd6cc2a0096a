"""How values of rows are written as JSON, and which texts a request may hold."""

import base64
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from ocelog.times import from_us

_NO_NUL = r"^[^\x00]+$"
"""PostgreSQL holds no NUL, and no name has one."""
Name = Annotated[str, Path(min_length=1, max_length=300, pattern=_NO_NUL)]
"""An id or a name, in a path."""
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=_NO_NUL)]
Text = Annotated[str, Field(max_length=4_000, pattern=r"^[^\x00]*$")]
Row = dict[str, Any]


def instant(us: int | None) -> AwareDatetime | None:
    """Return an instant of the ledger."""
    return None if us is None else from_us(us)


def written(answer: BaseModel | Row | list[Row]) -> Response:
    """Return an answer that is written here, in the thread that made it.

    FastAPI writes what is not written yet in the thread that answers all, which would wait for large ones.
    """
    content = to_json(answer, by_alias=False, inf_nan_mode="null")
    return Response(content, media_type="application/json")


def row(found: Mapping[str, Any]) -> Row:
    """Return a row of the lake as JSON can say it."""
    return {str(name): plain(value) for name, value in found.items()}


def plain(value: Any) -> Any:
    """Return a value of the lake as JSON can say it: instants in RFC 3339, bytes in base64, what is no number null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if value.tzinfo else value.isoformat()
        case date():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case Mapping():
            return row(value)
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return str(value)
