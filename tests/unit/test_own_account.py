"""Which entries of the audit log our own account caused, by what its settings and its logins say of it."""

import json
from typing import Any

from ocelog.app.shaping import shaper_of
from ocelog.pull.own_account import OwnAccount
from ocelog.sources.wiz.streams import KINDS, ROOTS

AUDIT = next(log_type for log_type, kind in KINDS.items() if kind.actor_fields)
KIND = ROOTS[AUDIT].kind
CLIENT = "client-of-ours"


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "action": "X", "timestamp": f"2026-01-0{number}T00:00:00Z", **more}


def shaped(*entries: dict[str, Any]) -> Any:
    return shaper_of(AUDIT).shape(json.dumps(entries).encode())


def test_entries_of_the_client_id_are_our_own_and_those_of_others_are_not() -> None:
    own = OwnAccount(KIND, [CLIENT])
    page = shaped(
        entry(1, serviceAccount={"id": CLIENT, "name": "ocelog"}),
        entry(2, serviceAccount={"id": "another", "name": "ocelog"}),
        entry(3, user={"id": "jo@example.com", "name": "jo"}, actionParameters={"input": {"id": CLIENT}}),
        entry(4, performer={"id": CLIENT, "name": "ocelog"}),
        entry(5),
    )
    assert own.caused(page) == {0, 3}
    assert page.latest_event_us({4, 3}) < page.last_event_us == page.latest_event_us({0})
    assert page.latest_event_us({0, 1, 2, 3, 4}) is None


def test_a_login_tells_by_which_id_the_account_is_called() -> None:
    own = OwnAccount(KIND, [CLIENT])
    query = entry(1, serviceAccount={"id": "id-of-ours", "name": "ocelog"})
    assert own.caused(shaped(query)) == frozenset(), "nobody has told us yet"
    login = entry(2, actionParameters={"clientID": CLIENT}, serviceAccount={"id": "id-of-ours", "name": "ocelog"})
    assert own.caused(shaped(query, login, entry(3))) == {0, 1}
    assert own.caused(shaped(query)) == {0}


def test_parameters_that_are_no_object_or_no_text_name_nobody() -> None:
    own = OwnAccount(KIND, [CLIENT])
    odd = [["clientID", CLIENT], f'"clientID" {CLIENT}', {"clientID": [CLIENT]}, {"x": {"clientID": CLIENT}}, None]
    page = shaped(*(entry(at + 1, actionParameters=value) for at, value in enumerate(odd)))
    assert len(page.ids) == len(odd)
    assert own.caused(page) == frozenset()


def test_log_types_whose_records_reading_leaves_none_of_are_not_looked_at() -> None:
    for log_type, kind in KINDS.items():
        if log_type != AUDIT:
            assert OwnAccount(kind, [CLIENT]).caused(shaper_of(log_type).shape(b"[]")) == frozenset()
    assert OwnAccount(KIND, []).caused(shaped(entry(1))) == frozenset()
