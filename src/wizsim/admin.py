"""What a test may do to a running simulator: set faults, move time, change scopes, script records, read the truth.

Each call is `METHOD /admin/NAME` with a JSON object, from loopback, with the admin token as bearer:

    POST faults    {"add": "throttled:0.1" or {"name": ..., "probability": ..., "times": ..., "type": ..., ...}}
                   {"clear": "throttled"}, {"clear": true} for all
    GET  faults    the faults that are set
    POST advance   {"seconds": 60}
    POST scopes    {"client_id": optional, "scopes": [...], "projects": [...]}
    POST accounts  {"scopes": [...], "projects": [...]} -> client_id, client_secret
    POST rotate    {"client_id": optional} -> a new client_secret; the old one no longer works
    POST revoke    every token so far is invalid
    POST behaviour fields of Behaviour, such as {"page_cap": 100}
    POST put       {"type": "issues", "record": {...}}
    POST change    {"type": "issues", "id": ..., "fields": {...}}
    POST remove    {"type": "issues", "id": ...}
    GET  current   what is visible now: {"type": {id: [version, record]}}
    GET  truth     the truth log so far, as NDJSON
    GET  state     the tenant's time, the number of records, the number of changes
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

import msgspec

from wizsim.accounts import Account
from wizsim.api import Api
from wizsim.instants import text

Json = dict[str, Any]
Call: TypeAlias = Callable[[Api, Json], Json | bytes]


class AdminError(ValueError):
    """The call does not say what it must."""


def _faults(api: Api, asked: Json) -> Json:
    if asked.get("clear"):
        api.faults.clear(None if asked["clear"] is True else str(asked["clear"]))
    added = asked.get("add")
    if isinstance(added, str):
        api.faults.add_written(added)
    elif isinstance(added, dict):
        api.faults.add(**added)
    return _list_faults(api, {})


def _list_faults(api: Api, _asked: Json) -> Json:
    return {"faults": [asdict(fault) for fault in api.faults.all()]}


def _advance(api: Api, asked: Json) -> Json:
    api.world.advance(float(asked["seconds"]))
    return _state(api, {})


def _account(api: Api, asked: Json) -> Account:
    accounts = api.accounts.all()
    wanted = asked.get("client_id", accounts[0].client_id)
    return next(a for a in accounts if a.client_id == wanted)


def _facts(asked: Json) -> Json:
    facts: Json = {}
    if "scopes" in asked:
        facts["scopes"] = tuple(asked["scopes"])
    if "projects" in asked:
        facts["projects"] = frozenset(asked["projects"])
    return facts


def _scopes(api: Api, asked: Json) -> Json:
    account = api.accounts.replace(_account(api, asked).client_id, **_facts(asked))
    return {"client_id": account.client_id, "scopes": list(account.scopes), "projects": sorted(account.projects)}


def _accounts(api: Api, asked: Json) -> Json:
    account = api.accounts.add(**_facts(asked))
    return {"client_id": account.client_id, "client_secret": account.client_secret}


def _rotate(api: Api, asked: Json) -> Json:
    account = api.accounts.rotate(_account(api, asked).client_id)
    return {"client_id": account.client_id, "client_secret": account.client_secret}


def _revoke(api: Api, _asked: Json) -> Json:
    api.accounts.revoke()
    return {}


def _behaviour(api: Api, asked: Json) -> Json:
    api.behave(**asked)
    return asdict(api.behaviour)


def _put(api: Api, asked: Json) -> Json:
    version = api.world.put(_type(asked), asked["record"])
    return {"id": version.id, "version": version.number}


def _change(api: Api, asked: Json) -> Json:
    version = api.world.change(_type(asked), asked["id"], **asked["fields"])
    return {"id": version.id, "version": version.number}


def _remove(api: Api, asked: Json) -> Json:
    api.world.remove(_type(asked), asked["id"])
    return {}


def _type(asked: Json) -> str:
    if asked.get("type") not in {"audit", "issues", "findings"}:
        raise AdminError("type is audit, issues or findings")
    return str(asked["type"])


def _current(api: Api, _asked: Json) -> Json:
    tables = {type_: api.world.current(type_) for type_ in api.world.tables}
    return {type_: {v.id: [v.number, v.full()] for v in table.values()} for type_, table in tables.items()}


def _truth(api: Api, _asked: Json) -> bytes:
    api.world.catch_up()
    return b"".join(msgspec.json.encode(line) + b"\n" for line in api.world.truth)


def _state(api: Api, _asked: Json) -> Json:
    now = api.world.catch_up()
    tables = api.world.tables
    return {
        "now": text(now),
        "records": {type_: len(table.current) for type_, table in tables.items()},
        "changes": {type_: len(table.log) for type_, table in tables.items()},
    }


ADMIN_CALLS: Mapping[tuple[str, str], Call] = {
    ("POST", "faults"): _faults,
    ("GET", "faults"): _list_faults,
    ("POST", "advance"): _advance,
    ("POST", "scopes"): _scopes,
    ("POST", "accounts"): _accounts,
    ("POST", "rotate"): _rotate,
    ("POST", "revoke"): _revoke,
    ("POST", "behaviour"): _behaviour,
    ("POST", "put"): _put,
    ("POST", "change"): _change,
    ("POST", "remove"): _remove,
    ("GET", "current"): _current,
    ("GET", "truth"): _truth,
    ("GET", "state"): _state,
}
