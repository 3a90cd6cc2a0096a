"""Why a question gets no data: the status, message and code that Wiz's clients report for each case."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

OOPS = "oops! an internal error has occurred"
STATUSES = {
    "UNAUTHENTICATED": 401,
    "UNAUTHORIZED": 403,
    "FORBIDDEN": 403,
    "FORBIDDEN_IP": 403,
    "NOT_FOUND": 404,
    "RATE_LIMIT_EXCEEDED": 429,
    "INTERNAL": 500,
}
"""Code -> the HTTP status that an error names for itself in an answer whose own is 200; 400 for the others."""


class Refusal(Exception):  # noqa: N818 - an answer to the client, not a failure of ours
    """The question as a whole is refused. `status` is HTTP's."""

    def __init__(
        self, message: str, *, code: str, status: int = 200, path: list[Any] | None = None, also: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.messages, self.code, self.status, self.path = (message, *also), code, status, path

    def errors(self, request_id: str) -> list[Json]:
        """Return the entries of `errors` that say so."""
        status = None if self.status == 200 else self.status
        return [
            error(said, code=self.code, request_id=request_id, path=self.path, status=status) for said in self.messages
        ]


def error(
    message: str, *, code: str, request_id: str, path: list[Any] | None = None, status: int | None = None
) -> Json:
    """Return one entry of `errors`; `status` is that of an answer which is no 200."""
    said: Json = {"message": message}
    if path is not None:
        said["path"] = path
    http = {"status": status or STATUSES.get(code, 400)}
    return {**said, "extensions": {"code": code, "http": http, "requestId": request_id}}


def invalid(message: str, *also: str) -> Refusal:
    """Refuse a document that does not hold against the schema: all that is wrong with it is said."""
    return Refusal(message, code="GRAPHQL_VALIDATION_FAILED", status=400, also=also)


def bad_input(message: str) -> Refusal:
    """Refuse an argument whose type is right and whose value is not."""
    return Refusal(message, code="BAD_USER_INPUT")


def access_denied(required: list[str], held: list[str]) -> str:
    """Say which scope is missing, in the words that clients report."""
    return (
        f"access denied, at least one of the following is required: [{' '.join(required)}],"
        f" your permissions: [{' '.join(held)}]"
    )
