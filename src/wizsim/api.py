"""What comes back over the wire: one exchange with the token or GraphQL endpoint, without any socket."""

import gzip
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from wizsim import audit
from wizsim.accounts import AUDIENCES, Account, Accounts
from wizsim.answers import Answer, Answering, Behaviour, Question
from wizsim.dice import dice
from wizsim.faults import REFUSALS, SPOILS, WIRE, Fault, Faults
from wizsim.instants import SECOND, http_date
from wizsim.plans import ROOT_TYPES
from wizsim.refusals import OOPS, Refusal, error
from wizsim.truth import Shown
from wizsim.world import World

Json = dict[str, Any]

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
LONGEST_BODY = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer. `cut_at` ends the connection after so many bytes; `slow` is how many seconds the body takes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None
    slow: float = 0.0

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(gzip.decompress(self.body) if "content-encoding" in self.headers else self.body)


class _Body(msgspec.Struct):
    query: str
    variables: msgspec.Raw = msgspec.Raw(b"null")
    operationName: str | None = None  # noqa: N815 - GraphQL's name of it


@dataclass(slots=True, kw_only=True)
class _Kept:
    answer: Answer
    zipped: bytes | None = None


class Api:
    """The two endpoints of one tenant. Every method may be called from any thread."""

    KEPT_BYTES = 256_000_000
    """Bound of the rendered answers that are kept."""

    def __init__(
        self,
        world: World,
        *,
        behaviour: Behaviour | None = None,
        accounts: Accounts | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.world = world
        self.accounts = accounts or Accounts(world.seed)
        if not self.accounts.all():
            self.accounts.add()
        self.faults = faults or Faults(world.seed)
        self._answering = Answering(world, behaviour or Behaviour())
        self._kept: OrderedDict[tuple[Any, ...], _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._chance = dice(world.seed, "self-audit")

    @property
    def behaviour(self) -> Behaviour:
        """How the API resolves what is not public."""
        return self._answering.behaviour

    def behave(self, **changes: Any) -> None:
        """Change fields of the behaviour; what was rendered before is forgotten."""
        with self.world.lock:
            self._answering = Answering(self.world, replace(self.behaviour, **changes))
            self._kept.clear()
            self._kept_bytes = 0

    def ask(self, document: str, variables: Json | None = None, *, account: Account | None = None) -> Json:
        """Ask in process, with no token, as `account` (or the first); return the decoded answer."""
        who = account or self.accounts.all()[0]
        body = msgspec.json.encode({"query": document, "variables": variables or {}})
        reply = self._graphql(body, {}, lambda _now: (who, ""))
        return msgspec.json.decode(reply.body)  # type: ignore[no-any-return] - the API answers objects

    def token(self, form: Mapping[str, str]) -> Reply:
        """Answer the token endpoint."""
        now = self.world.catch_up()
        request_id, struck = str(uuid.uuid4()), self.faults.strike(frozenset({"token"}))
        if (refused := self._refusal(struck, "")) is not None:
            return self._finish(refused, request_id, struck, now)
        account = self.accounts.check(form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return self._finish(
                _token_error(400, "unsupported_grant_type", "unknown grant type"), request_id, struck, now
            )
        if account is None or form.get("audience") not in AUDIENCES:
            return self._finish(_token_error(401, "access_denied", "Unauthorized"), request_id, struck, now)
        issued = self.accounts.issue(account, now)
        self._self_audit(account, audit.LOGIN, "AUTHENTICATION", {"clientID": account.client_id}, now)
        return self._finish(_json(200, issued), request_id, struck, now)

    def graphql(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Answer the GraphQL endpoint. Names of headers are in lower case."""
        scheme, _, token = headers.get("authorization", "").partition(" ")

        def who(now: int) -> tuple[Account, str] | None:
            return self.accounts.bearer(token, now) if scheme.lower() == "bearer" else None

        return self._graphql(body, headers, who)

    def _graphql(self, body: bytes, headers: Mapping[str, str], who: Any) -> Reply:
        request_id = str(uuid.uuid4())
        with self.world.lock:
            now = self.world.catch_up()
            struck: dict[str, Fault] = {}
            try:
                sent = _read(body)
                known = who(now)
                struck = self.faults.strike(_types(sent.query))
                if known is None:
                    raise Refusal("the access token is missing or has lapsed", code="UNAUTHENTICATED", status=401)
                if (refused := self._refusal(struck, known[1])) is not None:
                    return self._finish(refused, request_id, struck, now)
                kept = self._answered(sent, known[0], request_id, struck)
            except Refusal as refusal:
                return self._finish(_refused(refusal, request_id), request_id, struck, now)
            self._note(kept.answer, known[0], request_id, struck, now)
            self._self_audit(known[0], "Query", "QUERY", {"selection": [r[0] for r in kept.answer.shown]}, now)
        if "gzip" in headers.get("accept-encoding", ""):
            if kept.zipped is None:
                kept.zipped = gzip.compress(kept.answer.body, compresslevel=1, mtime=0)
            reply = Reply(headers={"content-type": "application/json", "content-encoding": "gzip"}, body=kept.zipped)
        else:
            reply = Reply(headers={"content-type": "application/json"}, body=kept.answer.body)
        return self._finish(reply, request_id, struck, now)

    def _answered(self, sent: _Body, account: Account, request_id: str, struck: dict[str, Fault]) -> _Kept:
        twists = {name: fault for name, fault in struck.items() if fault.name not in WIRE}
        told = tuple(sorted(fault.key() for fault in twists.values()))
        key = (sent.query, bytes(sent.variables), sent.operationName, account, told)
        kept = self._kept.get(key)
        if kept is not None:
            if kept.answer.stands():
                self._kept.move_to_end(key)
                return kept
            self._forget(key)
        question = Question(
            document=sent.query,
            variables=_variables(sent),
            operation=sent.operationName,
            account=account,
            request_id=request_id,
            faults=twists,
        )
        kept = _Kept(answer=self._answering.answer(question))
        if kept.answer.repeatable and not kept.answer.errors and "empty-page" not in twists:
            self._keep(key, kept)
        return kept

    def _keep(self, key: tuple[Any, ...], kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept_bytes += len(kept.answer.body)
        while self._kept_bytes > self.KEPT_BYTES and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[Any, ...]) -> None:
        self._kept_bytes -= len(self._kept.pop(key).answer.body)

    def _note(self, answer: Answer, account: Account, request_id: str, struck: dict[str, Fault], now: int) -> None:
        spoilt = next((name for name in struck if name in SPOILS), None)
        for root, type_, shown, has_next in answer.shown:
            self.world.truth.note(
                Shown(
                    request_id=request_id,
                    root=root,
                    type=type_,
                    at_us=now,
                    client=account.client_id,
                    shown=shown,
                    has_next=has_next,
                    whole=spoilt is None and not answer.errors,
                    fault=spoilt or next(iter(struck), None),
                )
            )

    def _self_audit(self, account: Account, action: str, kind: str, parameters: Json, now: int) -> None:
        if not self.behaviour.self_audit:
            return
        who = {
            "__typename": "ServiceAccount",
            "id": account.client_id,
            "name": account.name,
            "email": f"{account.name}@service.example.com",
            "type": "INTEGRATION",
        }
        said = audit.entry(
            self._chance, now, who=who, action=action, kind=kind, parameters=parameters, status="SUCCESS", source=None
        )
        self.world.put("audit", said)

    def _refusal(self, struck: Mapping[str, Fault], jti: str) -> Reply | None:
        fault = next((f for f in struck.values() if f.name in REFUSALS), None)
        if fault is None:
            return None
        if fault.name == "token-lapsed":
            self.accounts.revoke(jti)
        if fault.name in {"token-lapsed", "unauthorized"}:
            return _graphql_error(401, "the access token has lapsed", "UNAUTHENTICATED")
        if fault.name == "forbidden":
            return _graphql_error(403, "access from this address is not allowed", "FORBIDDEN_IP")
        if fault.name == "server-error":
            body = b"<html><body><h1>Bad Gateway</h1></body></html>"
            return Reply(status=int(fault.number("status", 502)), headers={"content-type": "text/html"}, body=body)
        if fault.name in {"throttled", "throttled-silent"}:
            said = _graphql_error(429, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED")
            wait = {"retry-after": str(int(fault.number("retry_after", 1)))} if fault.name == "throttled" else {}
            return replace(said, headers={**said.headers, **wait})
        if fault.name == "rate-limit":
            return _graphql_error(200, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED")
        return _graphql_error(200, OOPS, "INTERNAL")

    def _finish(self, reply: Reply, request_id: str, struck: Mapping[str, Fault], now: int) -> Reply:
        if "html" in struck:
            reply = Reply(headers={"content-type": "text/html; charset=utf-8"}, body=HTML)
        body = reply.body.replace(b"@request-id@", request_id.encode()) if len(reply.body) < 4096 else reply.body
        zipped = reply.headers.get("content-encoding") == "gzip"
        cut_at = None
        if (cut := struck.get("cut-json")) or ((cut := struck.get("cut-gzip")) and zipped):
            body = body[: int(len(body) * cut.number("at", 0.5))]
        elif cut := struck.get("cut-body"):
            cut_at = int(len(body) * cut.number("at", 0.5))
        slow = struck["slow-body"].number("seconds", 2) if "slow-body" in struck else 0.0
        jump = struck["date-jump"].number("seconds", 3600) if "date-jump" in struck else 0.0
        date = http_date(now + int(jump * SECOND))
        return Reply(
            status=reply.status,
            headers={**reply.headers, "x-request-id": request_id, "date": date},
            body=body,
            cut_at=cut_at,
            slow=slow,
        )


def _read(body: bytes) -> _Body:
    if len(body) > LONGEST_BODY:
        raise Refusal("the request is too large", code="BAD_REQUEST", status=413)
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as wrong:
        raise Refusal(f"the request is no GraphQL request: {wrong}", code="BAD_REQUEST", status=400) from wrong


def _variables(sent: _Body) -> Json:
    values = msgspec.json.decode(sent.variables)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise Refusal("variables must be an object", code="BAD_REQUEST", status=400)
    return values


def _types(document: str) -> frozenset[str]:
    return frozenset(type_ for root, type_ in ROOT_TYPES.items() if root in document)


def _json(status: int, value: Any) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=msgspec.json.encode(value))


def _graphql_error(status: int, message: str, code: str) -> Reply:
    return _json(status, {"errors": [error(message, code=code, request_id="@request-id@")], "data": None})


def _refused(refusal: Refusal, request_id: str) -> Reply:
    if refusal.status == 504:
        page = b"<html><body><h1>504 Gateway Time-out</h1></body></html>"
        return Reply(status=504, headers={"content-type": "text/html"}, body=page)
    said: Json = {"errors": [refusal.error(request_id)]}
    return _json(refusal.status, {**said, "data": None} if refusal.status == 200 else said)


def _token_error(status: int, code: str, description: str) -> Reply:
    return _json(status, {"error": code, "error_description": description})
