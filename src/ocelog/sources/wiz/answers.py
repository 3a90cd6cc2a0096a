"""What an HTTP answer of the API means: a page, an answer of no use, or the error that says what happens next.

No network here: status, headers and body in, meaning out.
"""

import re
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import AccessRefusedError, ContractBrokenError, SourceThrottledError, SourceUnavailableError
from ocelog.pull.ports import Answer, CursorLost, Page, Unusable
from ocelog.sources.wiz.envelope import (
    Envelope,
    GarbledError,
    GraphError,
    UnknownShapeError,
    open_envelope,
)
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.partial import failed_fields
from ocelog.sources.wiz.streams import Root

# Wiz's own words, where its errors have no code, or one that says too little. Nobody else looks at them, except
# `selection`, which reads out of the same messages which field or type is meant.
_REFUSED = re.compile(
    r"cannot query field|unknown type|fragment .*cannot be spread|must (?:not )?have a selection", re.IGNORECASE
)
_DENIED = re.compile(r"access denied|permission|not authorized|unauthorized|forbidden", re.IGNORECASE)
_DENIED_CODES = frozenset({"UNAUTHORIZED", "FORBIDDEN", "ACCESS_DENIED", "FORBIDDEN_IP"})
_CURSOR = re.compile(r"\bcursor\b|\bpage token\b", re.IGNORECASE)
_WRONG_CODES = frozenset(
    {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "VALIDATION_INVALID_TYPE_VARIABLE"}
    | {"NOT_FOUND"}
)
"""The request itself is at fault: asking again, or for less, changes nothing."""
_ALLOW_ADDRESS = "Allow this machine's address in Wiz (Settings > Access Management > Login and IP restrictions)."
_CHECK_ALL = (
    "Check the API URL, what is on the way to it (a proxy, a firewall), and in Wiz (Settings > Access Management > "
    "Service Accounts) that the service account may use the API from here."
)
_REQUIRED = re.compile(r"required: \[([^\]]*)\].*permissions: \[([^\]]*)\]", re.IGNORECASE | re.DOTALL)
"""Wiz's own words if a scope is missing: which are needed, and which the account has."""


class FieldsRefused(Struct, frozen=True, kw_only=True):
    """The API does not let this account ask for some fields; the request is to be sent without them."""

    errors: tuple[GraphError, ...]
    request_id: str | None


class TokenRefused(Struct, frozen=True, kw_only=True):
    """The token has lapsed, or was never good."""

    reason: str
    code: str | None = None
    """Of the error that this becomes, if no other token is taken either."""


Reply: TypeAlias = Answer | FieldsRefused | TokenRefused


def read_answer(
    answered: HttpAnswer, root: Root, *, after: str | None, asked_us: int, refused: frozenset[str] = frozenset()
) -> Reply:
    """Say what `answered` means as the answer to a request about `root`, asked with the cursor `after`.

    Raises SourceUnavailableError, SourceThrottledError, AccessRefusedError or ContractBrokenError; each message
    carries Wiz's request id if it has one.
    """
    match answered.status:
        case 401:
            return _token_refused(answered)
        case 413 | 504 as status:
            reason = "This page is too large" if status == 413 else "Wiz took too long over this page"
            return Unusable(reason=f"{reason} (HTTP {status})", request_id=answered.request_id)
        case 200 | 400 | 403 | 422:
            pass
        case status:
            _fail(answered, status)
    try:
        envelope = open_envelope(answered.body, root.root, answered.readable)
    except GarbledError as error:
        _garbled(answered, root, error)
    except UnknownShapeError as error:
        raise ContractBrokenError(
            answered.told(f"Wiz answered about {root.title} in an unknown form: {answered.readable(str(error))}")
        ) from error
    answered = _named(answered, envelope)
    page = _page(envelope, asked_us=asked_us, request_id=answered.request_id, refused=refused)
    if envelope.errors:
        return _with_errors(answered, envelope, page, root, after)
    if answered.status == 403:
        raise AccessRefusedError(
            answered.told(f"Wiz refused {root.title} (HTTP 403)."), todo=_check_access(root), code="access_denied"
        )
    if answered.status != 200:
        raise ContractBrokenError(answered.told(f"Wiz answered HTTP {answered.status} about {root.title}"))
    if page is None:
        return Unusable(reason="Wiz answered with neither data nor an error", request_id=answered.request_id)
    return page


def read_cheap(answered: HttpAnswer) -> TokenRefused | None:
    """Say what `answered` means as the answer to a request that is about no log type; None if the API took it.

    Raises what `read_answer` does.
    """
    if answered.status == 401:
        return _token_refused(answered)
    if answered.status == 403:
        raise _shut_out(answered)
    if answered.status not in (200, 400):
        _fail(answered, answered.status)
    return None


def _token_refused(answered: HttpAnswer) -> TokenRefused:
    page = answered.web_page
    shown = "" if page is None else f" with a web page{page}, which a proxy on the way may have sent"
    return TokenRefused(
        reason=answered.told(f"Wiz answered HTTP 401{shown}"), code=None if page is None else "web_page"
    )


def _shut_out(answered: HttpAnswer) -> AccessRefusedError:
    try:
        errors = open_envelope(answered.body, "", answered.readable).errors
    except (GarbledError, UnknownShapeError):
        errors = ()
    what = f": {_summary(errors)}" if errors else ""
    todo = _ALLOW_ADDRESS if any(error.code == "FORBIDDEN_IP" for error in errors) else _CHECK_ALL
    return AccessRefusedError(answered.told(f"Wiz refused even the smallest request (HTTP 403){what}. {todo}"))


def _named(answered: HttpAnswer, envelope: Envelope) -> HttpAnswer:
    """Return `answered` with the request id that its errors carry, if its headers have none."""
    found = next((error.request_id for error in envelope.errors if error.request_id), None)
    if answered.request_id or found is None:
        return answered
    return replace(answered, headers={**answered.headers, "x-request-id": found})


def _page(envelope: Envelope, *, asked_us: int, request_id: str | None, refused: frozenset[str]) -> Page | None:
    """Return what `envelope` shows; None if it shows nothing, or does not say whether more follows."""
    if not envelope.has_data or envelope.has_next is None:
        return None
    return Page(
        records=b"[]" if envelope.records is None else envelope.records,
        end_cursor=envelope.end_cursor,
        has_next=envelope.has_next,
        total=envelope.total,
        capped=envelope.capped,
        asked_us=asked_us,
        request_id=request_id,
        refused=refused,
    )


def _with_errors(answered: HttpAnswer, envelope: Envelope, page: Page | None, root: Root, after: str | None) -> Reply:
    errors = envelope.errors
    request_id = answered.request_id
    codes = {error.code for error in errors}
    reason = _summary(errors)
    if "RATE_LIMIT_EXCEEDED" in codes:
        raise SourceThrottledError(answered.told(f"Wiz is rate-limiting requests: {reason}"), retry_after=answered.wait)
    if "UNAUTHENTICATED" in codes:
        return TokenRefused(reason=answered.told(f"Wiz answered: {reason}"))
    if after is not None and any(_CURSOR.search(error.message) for error in errors):
        return CursorLost(reason=answered.told(reason))
    if refusals := tuple(error for error in errors if _refuses_a_field(error)):
        return FieldsRefused(errors=refusals, request_id=request_id)
    _refuse_if_denied(answered, errors, root)
    if answered.status != 200 or (page is None and codes & _WRONG_CODES):
        raise ContractBrokenError(answered.told(f"Wiz rejected the request for {root.title}: {reason}"))
    if page is None or envelope.records is None:
        return Unusable(reason=reason, request_id=request_id)
    unknown = failed_fields(page.records, errors, root)
    if unknown is None:
        return Unusable(reason=reason, request_id=request_id, page=page)
    return replace(page, unknown=unknown)


def _refuses_a_field(error: GraphError) -> bool:
    """Whether `error` is about one field of the records: unknown to the API, or closed to this account."""
    return bool(_REFUSED.search(error.message)) or (_denies(error) and _is_about_a_field(error.path))


def _is_about_a_field(path: tuple[str | int, ...]) -> bool:
    """Whether `path` leads into a record (past `nodes` and a position), or to a count beside the records."""
    return path[1:2] in (("totalCount",), ("maxCountReached",)) or any(isinstance(step, str) for step in path[3:])


def _denies(error: GraphError) -> bool:
    return error.code in _DENIED_CODES or (not error.code and bool(_DENIED.search(error.message)))


def _refuse_if_denied(answered: HttpAnswer, errors: Sequence[GraphError], root: Root) -> None:
    denied = next((error for error in errors if _denies(error)), None)
    if denied is None and answered.status != 403:
        return
    what = (_summary(errors) if denied is None else denied.message) or "HTTP 403"
    if denied is not None and denied.code == "FORBIDDEN_IP":
        raise AccessRefusedError(answered.told(f"Wiz refused {root.title}: {what}."), todo=_ALLOW_ADDRESS)
    listed = _REQUIRED.search(what)
    if listed is not None and set(listed[1].split()).isdisjoint(listed[2].split()):
        raise AccessRefusedError(
            answered.told(f"Wiz refused {root.title}: {what}."),
            todo=f"Add the scope {root.scope} to the service account in Wiz (Settings > Access Management > Service "
            f"Accounts), or leave {root.kind.log_type} out of this source.",
            code="scope_missing",
        )
    raise AccessRefusedError(
        answered.told(f"Wiz refused {root.title}: {what}."), todo=_check_access(root), code="access_denied"
    )


def _check_access(root: Root) -> str:
    """Say what to look at after a refusal that does not say what is missing."""
    bound = ""
    if root.project_filter is None:
        bound = f" and is not bound to projects (such an account cannot read {root.title})"
    return (
        f"Check in Wiz (Settings > Access Management > Service Accounts) that the service account has the scope "
        f"{root.scope}{bound}, or leave {root.kind.log_type} out of this source."
    )


def _fail(answered: HttpAnswer, status: int) -> NoReturn:
    """Raise what an HTTP status means that comes with no GraphQL answer."""
    wait = answered.wait
    if status == 429:
        raise SourceThrottledError(answered.told("Wiz is rate-limiting requests (HTTP 429)"), retry_after=wait)
    if status >= 500 or status == 408:
        raise SourceUnavailableError(answered.told(f"Wiz is not available (HTTP {status})"), retry_after=wait)
    if 300 <= status < 400:
        where = answered.readable(answered.headers.get("location", "an unnamed address").split("?")[0])
        raise ContractBrokenError(
            answered.told(
                f"The API URL redirects (HTTP {status}), which is not followed, to {where}: use that URL instead"
            )
        )
    raise ContractBrokenError(answered.told(f"The API URL answered HTTP {status}: check that it is the right one"))


def _garbled(answered: HttpAnswer, root: Root, error: GarbledError) -> NoReturn:
    kind = answered.readable(answered.headers.get("content-type", "no content type").split(";")[0])
    came = (
        f"{len(answered.body)} bytes of {kind} that are not a complete GraphQL answer ({answered.readable(str(error))})"
    )
    code = None
    if (page := answered.web_page) is not None:
        came, code = f"a web page{page}, as a proxy or firewall on the way sends it", "web_page"
    if answered.status == 200:
        raise SourceUnavailableError(answered.told(f"Wiz answered about {root.title} with {came}"), code=code)
    if answered.status == 403:
        told = answered.told(f"Wiz, or something on the way to it, answered HTTP 403 with {came}")
        raise AccessRefusedError(told, code=code)
    raise ContractBrokenError(answered.told(f"Wiz answered HTTP {answered.status} with {came}"), code=code)


def _summary(errors: Sequence[GraphError]) -> str:
    """Return the distinct messages, the first three of them."""
    messages = list(dict.fromkeys(error.message or error.code or "an error without a message" for error in errors))
    more = f" (and {len(messages) - 3} more)" if len(messages) > 3 else ""
    return "; ".join(messages[:3]) + more
