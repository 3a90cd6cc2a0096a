"""Requests that may be sent twice: with an `Idempotency-Key`, what was made is made once, and answered alike."""

import hashlib
from collections.abc import Callable
from typing import Annotated

from fastapi import Header, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from ocelog.app.users import users
from ocelog.console.api.caller import Caller
from ocelog.console.api.problems import CODES, RefusedError

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Chosen by you, such as a UUID. Within a day the same request with the same key is not done again: "
        "it gets the same answer (of an alert, as it is by then), with `Idempotent-Replayed: true`.",
    ),
]


def once(
    request: Request,
    caller: Caller,
    key: str | None,
    body: BaseModel | None,
    make: Callable[[], BaseModel],
    *,
    status: int = 201,
    kept: Callable[[BaseModel], BaseModel] = lambda made: made,
    again: Callable[[], BaseModel] | None = None,
) -> Response:
    """Answer with what `make` returns; with a key that was used, with what was answered then.

    `kept` is what is kept of it, without what is shown once. With `again` nothing is: what may be large is made anew
    for whoever repeats the request, or a ledger would hold as many megabytes as there are requests. Secrets of `body`
    must be secret to pydantic, too: they are then no part of what is compared. Raises RefusedError while another
    request with the key is being answered.
    """
    if key is None:
        return JSONResponse(make().model_dump(mode="json"), status_code=status)
    installation = caller.installation
    found = _hash(caller.bearer.token.id, key)
    asked = _hash(request.method, request.url.path, "" if body is None else body.model_dump_json())
    before = users.begin_answer(installation, found, caller.bearer.token.id, asked)
    if before is not None:
        if before.request != asked:
            raise RefusedError(422, "key_reused", CODES["key_reused"])
        if before.status is None or before.body is None:
            raise RefusedError(409, "request_in_progress", CODES["request_in_progress"], retry_after=1)
        headers = {"idempotent-replayed": "true"}
        content = before.body if again is None else again().model_dump_json()
        return Response(content, status_code=before.status, headers=headers, media_type="application/json")
    answer = None
    try:
        made = make()
        answer = (status, kept(made).model_dump_json() if again is None else "")
    finally:
        users.end_answer(installation, found, answer)
    return JSONResponse(made.model_dump(mode="json"), status_code=status)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
