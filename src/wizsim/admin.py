"""What a test may do to a running simulator: set faults, move time, change scopes, script records, read the truth.

Each call is `METHOD /admin/NAME` with a JSON object, from loopback, with the admin token as bearer:

    POST faults    {"add": "throttled:0.1" or {"name": ..., "probability": ..., "times": ..., "type": ..., ...}}
                   {"clear": "throttled"}, {"clear": true} for all
    GET  faults    the faults that are set
    POST advance   {"seconds": 60}
    POST rate      {"per_second": 2}: how many changes happen by themselves from now on
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

from wizsim.accounts import Account, checked_scopes
from wizsim.api import Api
from wizsim.calls import AccountAsked, BehaviourAsked, Change, FaultsAsked, Named, Nothing, Pace, Put, Remove, Step
from wizsim.instants import text
from wizsim.nearest import shown
from wizsim.record_types import checked_type
from wizsim.records import fitting

Json = dict[str, Any]
Call: TypeAlias = Callable[[Api, Any], Json | bytes]
MOST_CHANGES = 5_000_000
"""Changes of the world that one step may bring: more would hold the tenant up for minutes."""


class AdminError(ValueError):
    """The call does not say what it must."""


def answered(api: Api, method: str, name: str, body: bytes) -> Json | bytes | None:
    """Answer one call; None where there is none of that name. Raises AdminError where it does not say what it must."""
    found = ADMIN_CALLS.get((method, name))
    if found is None:
        return None
    call, shape = found
    try:
        return call(api, msgspec.json.decode(body or b"{}", type=shape))
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        raise AdminError(f"{method} /admin/{name}: {wrong}") from wrong


def _faults(api: Api, asked: FaultsAsked) -> Json:
    if asked.clear:
        api.faults.clear(None if asked.clear is True else asked.clear)
    if isinstance(asked.add, str):
        api.faults.add_written(asked.add)
    elif asked.add is not None:
        given = dict(asked.add)
        api.faults.add(given.pop("name", None), given.pop("probability", 1.0), **given)
    return _list_faults(api, Nothing())


def _list_faults(api: Api, _asked: Nothing) -> Json:
    return {"faults": [asdict(fault) for fault in api.faults.all()]}


def _advance(api: Api, asked: Step) -> Json:
    if asked.seconds * api.world.rate > MOST_CHANGES:
        raise AdminError(f"{asked.seconds:.0f} seconds bring more than {MOST_CHANGES} changes: take shorter steps")
    api.world.advance(asked.seconds)
    return _state(api, Nothing())


def _rate(api: Api, asked: Pace) -> Json:
    api.world.change_rate(asked.per_second)
    return _state(api, Nothing())


def _account(api: Api, client_id: str | None) -> Account:
    accounts = {account.client_id: account for account in api.accounts.all()}
    wanted = client_id if client_id is not None else next(iter(accounts))
    if wanted not in accounts:
        raise AdminError(f"no service account has the client ID {shown(wanted)}")
    return accounts[wanted]


def _facts(api: Api, asked: AccountAsked) -> Json:
    facts: Json = {}
    if asked.scopes is not None:
        facts["scopes"] = checked_scopes(asked.scopes)
    if asked.projects is not None:
        facts["projects"] = api.world.estate.checked_projects(asked.projects)
    return facts


def _scopes(api: Api, asked: AccountAsked) -> Json:
    account = api.accounts.replace(_account(api, asked.client_id).client_id, **_facts(api, asked))
    return {"client_id": account.client_id, "scopes": list(account.scopes), "projects": sorted(account.projects)}


def _accounts(api: Api, asked: AccountAsked) -> Json:
    account = api.accounts.add(**_facts(api, asked))
    return {"client_id": account.client_id, "client_secret": account.client_secret}


def _rotate(api: Api, asked: Named) -> Json:
    account = api.accounts.rotate(_account(api, asked.client_id).client_id)
    return {"client_id": account.client_id, "client_secret": account.client_secret}


def _revoke(api: Api, _asked: Nothing) -> Json:
    api.accounts.revoke()
    return {}


def _behaviour(api: Api, asked: BehaviourAsked) -> Json:
    api.behave(**{name: value for name, value in msgspec.structs.asdict(asked).items() if value is not msgspec.UNSET})
    return asdict(api.behaviour)


def _put(api: Api, asked: Put) -> Json:
    if not isinstance(asked.record.get("id"), str):
        raise AdminError("a record has an id, which is text")
    version = api.world.put(checked_type(asked.type), fitting(asked.type, asked.record))
    return {"id": version.id, "version": version.number}


def _change(api: Api, asked: Change) -> Json:
    if asked.fields.get("id", asked.id) != asked.id:
        raise AdminError("a record keeps its id")
    fields = fitting(checked_type(asked.type), asked.fields)
    try:
        version = api.world.change(asked.type, asked.id, **fields)
    except KeyError as missing:
        raise _no_record(asked.type, asked.id) from missing
    return {"id": version.id, "version": version.number}


def _remove(api: Api, asked: Remove) -> Json:
    try:
        api.world.remove(checked_type(asked.type), asked.id)
    except KeyError as missing:
        raise _no_record(asked.type, asked.id) from missing
    return {}


def _no_record(type_: str, id_: str) -> AdminError:
    return AdminError(f"no record of {type_} has the id {shown(id_)}")


def _current(api: Api, _asked: Nothing) -> Json:
    tables = {type_: api.world.current(type_) for type_ in api.world.tables}
    return {type_: {v.id: [v.number, v.full()] for v in table.values()} for type_, table in tables.items()}


def _truth(api: Api, _asked: Nothing) -> bytes:
    api.world.catch_up()
    return b"".join(msgspec.json.encode(line) + b"\n" for line in api.world.truth)


def _state(api: Api, _asked: Nothing) -> Json:
    now = api.world.catch_up()
    tables = api.world.tables
    return {
        "now": text(now),
        "records": {type_: len(table.current) for type_, table in tables.items()},
        "changes": {type_: len(table.log) for type_, table in tables.items()},
    }


ADMIN_CALLS: Mapping[tuple[str, str], tuple[Call, type[msgspec.Struct]]] = {
    ("POST", "faults"): (_faults, FaultsAsked),
    ("GET", "faults"): (_list_faults, Nothing),
    ("POST", "advance"): (_advance, Step),
    ("POST", "rate"): (_rate, Pace),
    ("POST", "scopes"): (_scopes, AccountAsked),
    ("POST", "accounts"): (_accounts, AccountAsked),
    ("POST", "rotate"): (_rotate, Named),
    ("POST", "revoke"): (_revoke, Nothing),
    ("POST", "behaviour"): (_behaviour, BehaviourAsked),
    ("POST", "put"): (_put, Put),
    ("POST", "change"): (_change, Change),
    ("POST", "remove"): (_remove, Remove),
    ("GET", "current"): (_current, Nothing),
    ("GET", "truth"): (_truth, Nothing),
    ("GET", "state"): (_state, Nothing),
}
"""What each call does, and what it must say."""
