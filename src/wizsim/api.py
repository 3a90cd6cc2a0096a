"""What comes back over the wire: one exchange with the token or GraphQL endpoint, without any socket."""

import gzip
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from wizsim import audit
from wizsim.accounts import AUDIENCES, Account, Accounts
from wizsim.answers import Answer, Answering, Question
from wizsim.behaviour import Behaviour
from wizsim.dice import dice
from wizsim.documents import types_asked
from wizsim.faults import REFUSALS, SPOILS, WIRE, Fault, Faults
from wizsim.limits import Gate, Limiter
from wizsim.refusals import Refusal
from wizsim.replies import JSON, Reply, fault_reply, finish, graphql_error, json_reply, refused_reply, token_error
from wizsim.truth import Shown
from wizsim.world import World

Json = dict[str, Any]

LONGEST_BODY = 4_000_000


Who: TypeAlias = Callable[[int], tuple[Account, str] | None]


class _Body(msgspec.Struct):
    query: str
    variables: msgspec.Raw = msgspec.Raw(b"null")
    operationName: str | None = None  # noqa: N815 - GraphQL's name of it


@dataclass(slots=True, kw_only=True)
class _Kept:
    answer: Answer
    zipped: bytes | None = None

    def reply(self, *, zipped: bool) -> Reply:
        """Return the answer as a reply; it is compressed once."""
        if not zipped:
            return Reply(headers={"content-type": JSON}, body=self.answer.body)
        if self.zipped is None:
            self.zipped = gzip.compress(self.answer.body, compresslevel=1, mtime=0)
        return Reply(headers={"content-type": JSON, "content-encoding": "gzip"}, body=self.zipped)


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
        limiter: Limiter | None = None,
    ) -> None:
        self.world = world
        self.gate = Gate(limiter)
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
        return msgspec.json.decode(reply.body, type=dict)

    def token(self, form: Mapping[str, str]) -> Reply:
        """Answer the token endpoint."""
        now = self.world.catch_up()
        if not self.gate.opens():
            return finish(_throttled(), request_id=str(uuid.uuid4()), struck={}, now=now)
        struck = self.faults.strike(frozenset({"token"}), now)
        reply = self._refusal(struck, "") or self._token(form, now)
        return finish(reply, request_id=str(uuid.uuid4()), struck=struck, now=now)

    def _token(self, form: Mapping[str, str], now: int) -> Reply:
        account = self.accounts.check(form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return token_error(400, "unsupported_grant_type", "unknown grant type")
        if account is None or form.get("audience") not in AUDIENCES:
            return token_error(401, "access_denied", "Unauthorized")
        issued = self.accounts.issue(account, now)
        self._self_audit(account, audit.LOGIN, "AUTHENTICATION", {"clientID": account.client_id}, now)
        return json_reply(200, issued)

    def refuse_long(self) -> Reply:
        """Answer a body that is longer than any request."""
        request_id, now = str(uuid.uuid4()), self.world.catch_up()
        too_long = Refusal(f"a request has at most {LONGEST_BODY} bytes", code="BAD_REQUEST", status=413)
        return finish(refused_reply(too_long, request_id), request_id=request_id, struck={}, now=now)

    def graphql(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Answer the GraphQL endpoint. Names of headers are in lower case."""
        if not self.gate.opens():
            return finish(_throttled(), request_id=str(uuid.uuid4()), struck={}, now=self.world.catch_up())
        scheme, _, token = headers.get("authorization", "").partition(" ")

        def who(now: int) -> tuple[Account, str] | None:
            return self.accounts.bearer(token, now) if scheme.lower() == "bearer" else None

        return self._graphql(body, headers, who)

    def _graphql(self, body: bytes, headers: Mapping[str, str], who: Who) -> Reply:
        request_id = str(uuid.uuid4())
        struck: dict[str, Fault] = {}
        zipped = "gzip" in headers.get("accept-encoding", "")
        with self.world.lock:
            now = self.world.catch_up()
            try:
                known, jti = _admitted(who(now))
                sent = _read(body)
                struck = self.faults.strike(types_asked(sent.query), now)
                if not zipped:
                    struck.pop("cut-gzip", None)
                account = self._refusal(struck, jti) or known
                if isinstance(account, Reply):
                    return finish(account, request_id=request_id, struck=struck, now=now)
                kept = self._answered(sent, account, request_id, struck)
                struck |= kept.answer.spoils
            except Refusal as refusal:
                return finish(refused_reply(refusal, request_id), request_id=request_id, struck=struck, now=now)
            self._note(kept.answer, account, request_id, struck, now)
            self._self_audit(account, "Query", "QUERY", {"selection": [r[0] for r in kept.answer.shown]}, now)
            reply = kept.reply(zipped=zipped)
        return finish(reply, request_id=request_id, struck=struck, now=now)

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
        spoilt = next((fault.name for fault in struck.values() if fault.name in SPOILS), None)
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
                    whole=spoilt is None,
                    errors=len(answer.errors),
                    fault=spoilt or next((fault.name for fault in struck.values()), None),
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
        return fault_reply(fault)


def _throttled() -> Reply:
    return graphql_error(429, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED")


def _admitted(known: tuple[Account, str] | None) -> tuple[Account, str]:
    if known is None:
        raise Refusal("the access token is missing or has lapsed", code="UNAUTHENTICATED", status=401)
    return known


def _read(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise _no_question(wrong) from wrong


def _variables(sent: _Body) -> Json:
    try:
        values = msgspec.json.decode(sent.variables)
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise _no_question(wrong) from wrong
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise Refusal("variables must be an object", code="BAD_REQUEST", status=400)
    return values


def _no_question(wrong: Exception) -> Refusal:
    return Refusal(f"the request is not a GraphQL request: {wrong}", code="BAD_REQUEST", status=400)
