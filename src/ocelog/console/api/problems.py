"""What a request is answered that cannot be done: `application/problem+json` (RFC 9457) with a code that is stable."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from ocelog.access import Scope
from ocelog.console.capacity import BusyError
from ocelog.console.roles import NotAllowedError
from ocelog.errors import (
    ConfigError,
    HaltError,
    HomeError,
    LakeDamagedError,
    OcelogError,
    QueryBusyError,
    SandboxError,
    SignInRefusedError,
    TransientError,
)

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
CODES: Mapping[str, str] = {
    "token_missing": "The request shows no token: send `Authorization: Bearer ocelog_...`.",
    "sign_in_refused": "The token is wrong, over or revoked.",
    "sign_in_throttled": "Too many wrong tokens came from this address: wait for `Retry-After`.",
    "role_missing": "The token, or its user, may not do this.",
    "not_found": "Nothing of that name or id is there.",
    "request_invalid": "The request is not as the specification says; `errors` names each field.",
    "cursor_invalid": "The cursor is not one that this list returned.",
    "method_not_allowed": "The path does not take this method.",
    "request_too_large": "The body is larger than 1 MiB.",
    "too_many_requests": "The token has asked too often, or for too much at once: wait for `Retry-After`.",
    "request_in_progress": "A request with this `Idempotency-Key` is being answered: send it again later.",
    "key_reused": "The `Idempotency-Key` was used for another request: choose a new one.",
    "no_answer": "The ledger or the disk does not answer: try again later.",
    "bug": "A bug in Ocelog; its log says more.",
}
"""Codes that only the API has, and what each means. All others are those of errors everywhere."""
_RETRY_S = 5
_MOST_ERRORS = 50


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    field: str = Field(description="Where: `body.name`, `query.limit`.")
    message: str


class Problem(BaseModel):
    """Why a request was not done."""

    type: str = Field(description="`urn:ocelog:error:` and the code.")
    title: str
    status: int
    detail: str = Field(description="What is wrong, and what to do. It may change between versions; `code` does not.")
    code: str
    errors: list[FieldProblem] | None = Field(default=None, description="Of `request_invalid`: field by field.")
    scope: Scope | None = Field(default=None, description="Of `role_missing`: the scope that goes so far.")


class RefusedError(Exception):
    """A request is refused by the API itself."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in {
        400: "The request cannot be read.",
        401: "No token, or one that is wrong, over or revoked.",
        403: "The token may not do this.",
        404: "Nothing of that name or id is there.",
        409: "It is not possible as things are now.",
        413: "The body is too large.",
        422: "Something in the request does not hold.",
        429: "Too many requests: wait for `Retry-After`.",
        503: "It may work later.",
    }.items()
}
"""What every operation may answer."""


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[FieldProblem] | None = None,
    scope: Scope | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that says why a request was not done."""
    found = Problem(
        type=f"urn:ocelog:error:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=None if errors is None else list(errors),
        scope=scope,
    )
    content = found.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


@contextmanager
def not_found() -> Iterator[None]:
    """Say of what is named within the block, and is not there, that it is not found."""
    try:
        yield
    except ConfigError as error:
        raise RefusedError(404, "not_found", str(error)) from error


def of_error(error: OcelogError, detail: str | None = None) -> Response:
    """Return what is answered to an error that Ocelog raised on purpose: by what happens next.

    `detail` is said in the place of its message.
    """
    headers = dict[str, str]()
    match error:
        case SignInRefusedError():
            throttled = error.code == "sign_in_throttled"
            status = 429 if throttled else 401
            headers = {"retry-after": str(_RETRY_S)} if throttled else {"www-authenticate": 'Bearer realm="Ocelog"'}
        case QueryBusyError():
            status, headers = 429, {"retry-after": "1"}
        case TransientError():
            status, wait = 503, error.retry_after
            headers = {"retry-after": str(_RETRY_S if wait is None else max(int(wait.total_seconds()), 1))}
        case HaltError() | HomeError():
            status = 409
        case LakeDamagedError() | SandboxError():
            status = 503
        case _:
            status = 422
    return problem(status, error.code, str(error) if detail is None else detail, headers=headers)


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, OcelogError)  # noqa: S101 - registered for it
    request.state.refused = error.code
    return of_error(error)


def of_refusal(error: RefusedError) -> Response:
    """Return what is answered to a request that the API itself refuses."""
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="Ocelog"'
    return problem(error.status, error.code, error.detail, headers=headers)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - registered for it
    request.state.refused = error.code
    return of_refusal(error)


def _not_allowed(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotAllowedError)  # noqa: S101 - registered for it
    # The trail says why a request was refused.
    request.state.refused = "role"
    needed = error.needed
    scope = next(each for each in Scope if each.role is needed)
    return problem(
        403, "role_missing", f"This takes the role {needed.value}, or a scope that goes so far.", scope=scope
    )


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    codes = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
    code = request.state.refused = codes.get(error.status_code, "request_invalid")
    return problem(error.status_code, code, CODES[code], headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    request.state.refused = "request_invalid"
    # What was sent is not repeated: it may be a secret.
    found = [
        FieldProblem(
            field=".".join(str(part)[:200].encode("utf-8", "replace").decode() for part in each["loc"]),
            message=str(each["msg"])[:500],
        )
        for each in error.errors()[:_MOST_ERRORS]
    ]
    return problem(422, "request_invalid", "The request is not as the specification says.", errors=found)


def _late(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    return problem(503, "no_answer", CODES["no_answer"], headers={"retry-after": str(_RETRY_S)})


def _gone(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    # Nobody reads it.
    return Response(status_code=499)


def _bug(request: Request, error: Exception) -> Response:
    request.state.refused = "bug"
    log.error("bug in Ocelog", path=request.url.path, exc_info=error)
    return problem(500, "bug", CODES["bug"])


def _busy(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as handlers are called
    request.state.refused = "busy"
    return busy()


def busy() -> Response:
    """Return the answer to a request for which there is no place just now."""
    detail = "Too much of this is going on, or too much of yours: try again in some seconds."
    return problem(429, "too_many_requests", detail, headers={"retry-after": str(_RETRY_S)})


HANDLERS: Mapping[type[Exception], Callable[[Request, Exception], Response]] = {
    OcelogError: _known,
    RefusedError: _refused,
    NotAllowedError: _not_allowed,
    BusyError: _busy,
    HTTPException: _http,
    RequestValidationError: _invalid,
    ClientDisconnect: _gone,
    TimeoutError: _late,
    Exception: _bug,
}
