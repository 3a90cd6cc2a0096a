"""What an HTTP answer of the API means: a page, an answer of no use, or the error that says what happens next.

No network here: status, headers and body in, meaning out.
"""

import re
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import AccessRefusedError, ContractBrokenError, SourceThrottledError, SourceUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.pull.ports import Answer, CursorLost, Page, Unusable
from ocelog.sources.wiz.envelope import (
    Envelope,
    GarbledError,
    GraphError,
    UnknownShapeError,
    open_envelope,
)
from ocelog.sources.wiz.exchange import RIGHT_ONE, HttpAnswer
from ocelog.sources.wiz.failed_fields import failed_fields
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
_ALLOW_ADDRESS = Phrase(
    "Allow this machine's address in Wiz (Settings > Access Management > Login and IP restrictions)."
)
_CHECK_ALL = Phrase(
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
            reason = (
                Phrase("This page is too large (HTTP %(status)s)", status=status)
                if status == 413
                else Phrase("Wiz took too long over this page (HTTP %(status)s)", status=status)
            )
            return Unusable(reason=reason, request_id=answered.request_id)
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
            answered.told(
                Phrase(
                    "Wiz answered about %(title)s in an unknown form: %(error)s",
                    title=root.title,
                    error=_reason(answered, error),
                )
            )
        ) from error
    answered = _named(answered, envelope)
    page = _page(envelope, asked_us=asked_us, request_id=answered.request_id, refused=refused)
    if envelope.errors:
        return _with_errors(answered, envelope, page, root, after)
    if answered.status == 403:
        raise AccessRefusedError(
            answered.told(Phrase("Wiz refused %(title)s (HTTP 403).", title=root.title)),
            todo=_check_access(root),
            code="access_denied",
        )
    if answered.status != 200:
        raise ContractBrokenError(
            answered.told(
                Phrase("Wiz answered HTTP %(status)s about %(title)s", status=answered.status, title=root.title)
            )
        )
    if page is None:
        return Unusable(reason=Phrase("Wiz answered with neither data nor an error"), request_id=answered.request_id)
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
    if page is None:
        return TokenRefused(reason=answered.told(Phrase("Wiz answered HTTP 401")))
    said = Phrase("Wiz answered HTTP 401 with a web page%(page)s, which a proxy on the way may have sent", page=page)
    return TokenRefused(reason=answered.told(said), code="web_page")


def _shut_out(answered: HttpAnswer) -> AccessRefusedError:
    try:
        errors = open_envelope(answered.body, "", answered.readable).errors
    except (GarbledError, UnknownShapeError):
        errors = ()
    todo = _ALLOW_ADDRESS if any(error.code == "FORBIDDEN_IP" for error in errors) else _CHECK_ALL
    told = Phrase(
        "Wiz refused even the smallest request (HTTP 403)%(what)s. %(todo)s",
        what=Phrase(": %(reason)s", reason=_summary(errors)) if errors else "",
        todo=todo,
    )
    return AccessRefusedError(answered.told(told))


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
        told = answered.told(Phrase("Wiz is rate-limiting requests: %(reason)s", reason=reason))
        raise SourceThrottledError(told, retry_after=answered.wait)
    if "UNAUTHENTICATED" in codes:
        return TokenRefused(reason=answered.told(Phrase("Wiz answered: %(reason)s", reason=reason)))
    if after is not None and any(_CURSOR.search(error.message) for error in errors):
        return CursorLost(reason=answered.told(reason))
    if refusals := tuple(error for error in errors if _refuses_a_field(error)):
        return FieldsRefused(errors=refusals, request_id=request_id)
    _refuse_if_denied(answered, errors, root)
    if answered.status != 200 or (page is None and codes & _WRONG_CODES):
        raise ContractBrokenError(
            answered.told(Phrase("Wiz rejected the request for %(title)s: %(reason)s", title=root.title, reason=reason))
        )
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
    told = Phrase("Wiz refused %(title)s: %(what)s.", title=root.title, what=what)
    if denied is not None and denied.code == "FORBIDDEN_IP":
        raise AccessRefusedError(told, todo=answered.told(_ALLOW_ADDRESS))
    listed = _REQUIRED.search(what)
    if listed is not None and set(listed[1].split()).isdisjoint(listed[2].split()):
        raise AccessRefusedError(
            told,
            todo=answered.told(
                Phrase(
                    "Add the scope %(scope)s to the service account in Wiz (Settings > Access Management > Service "
                    "Accounts), or leave %(log_type)s out of this source.",
                    scope=root.scope,
                    log_type=root.kind.log_type,
                )
            ),
            code="scope_missing",
        )
    raise AccessRefusedError(told, todo=answered.told(_check_access(root)), code="access_denied")


def _check_access(root: Root) -> Phrase:
    """Say what to look at after a refusal that does not say what is missing."""
    if root.project_filter is None:
        return Phrase(
            "Check in Wiz (Settings > Access Management > Service Accounts) that the service account has the scope "
            "%(scope)s and is not bound to projects (such an account cannot read %(title)s), or leave %(log_type)s out "
            "of this source.",
            scope=root.scope,
            title=root.title,
            log_type=root.kind.log_type,
        )
    return Phrase(
        "Check in Wiz (Settings > Access Management > Service Accounts) that the service account has the scope "
        "%(scope)s, or leave %(log_type)s out of this source.",
        scope=root.scope,
        log_type=root.kind.log_type,
    )


def _fail(answered: HttpAnswer, status: int) -> NoReturn:
    """Raise what an HTTP status means that comes with no GraphQL answer."""
    wait = answered.wait
    if status == 429:
        raise SourceThrottledError(answered.told(Phrase("Wiz is rate-limiting requests (HTTP 429)")), retry_after=wait)
    if status >= 500 or status == 408:
        told = answered.told(Phrase("Wiz is not available (HTTP %(status)s)", status=status))
        raise SourceUnavailableError(told, retry_after=wait)
    if 300 <= status < 400:
        raise ContractBrokenError(
            answered.told(
                Phrase(
                    "The API URL redirects (HTTP %(status)s), which is not followed, to %(where)s: use that URL "
                    "instead",
                    status=status,
                    where=answered.leads_to,
                )
            )
        )
    raise ContractBrokenError(
        answered.told(Phrase("The API URL answered HTTP %(status)s.", status=status)), todo=RIGHT_ONE
    )


def _garbled(answered: HttpAnswer, root: Root, error: GarbledError) -> NoReturn:
    kind = answered.headers.get("content-type")
    came, code = (
        Phrase(
            "%(count)s bytes of %(kind)s that are not a complete GraphQL answer (%(error)s)",
            count=len(answered.body),
            kind=Phrase("no content type") if kind is None else answered.readable(kind.split(";")[0]),
            error=_reason(answered, error),
        ),
        None,
    )
    if (page := answered.web_page) is not None:
        came = Phrase("a web page%(page)s, as a proxy or firewall on the way sends it", page=page)
        code = "web_page"
    if answered.status == 200:
        told = answered.told(Phrase("Wiz answered about %(title)s with %(came)s", title=root.title, came=came))
        raise SourceUnavailableError(told, code=code)
    if answered.status == 403:
        told = answered.told(Phrase("Wiz, or something on the way to it, answered HTTP 403 with %(came)s", came=came))
        raise AccessRefusedError(told, code=code)
    told = answered.told(Phrase("Wiz answered HTTP %(status)s with %(came)s", status=answered.status, came=came))
    raise ContractBrokenError(told, code=code)


def _reason(answered: HttpAnswer, error: GarbledError | UnknownShapeError) -> str:
    """Return what is wrong with a body, in words of ours or of a library: those may repeat a part of it."""
    return error.args[0] if isinstance(error.args[0], Phrase) else answered.readable(str(error))


def _summary(errors: Sequence[GraphError]) -> str:
    """Return the distinct messages, the first three of them."""
    messages = list(dict.fromkeys(error.message or error.code for error in errors))
    shown = [message or Phrase("an error without a message") for message in messages[:3]]
    told = shown[0]
    for each in shown[1:]:
        told = Phrase("%(first)s; %(second)s", first=told, second=each)
    if len(messages) > 3:
        return Phrase("%(messages)s (and %(count)s more)", messages=told, count=len(messages) - 3)
    return told
