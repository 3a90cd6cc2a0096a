"""What an entry of the audit log holds: who did what, from where, and whether it was allowed."""

from random import Random
from typing import Any

from wizsim.dice import pick, size, uuid, weighted
from wizsim.estate import Estate
from wizsim.instants import text
from wizsim.vocabulary import AGENTS, COUNTRIES, PROGRAMS

Json = dict[str, Any]

LOGIN = "Login"
MUTATIONS = (
    ("UpdateIssue", "UpdateIssues"),
    ("CreateUser", "CreateUser"),
    ("DeleteUserRole", "DeleteUserRole"),
    ("UpdateScannerSettings", "UpdateScannerSettings"),
    ("RotateServiceAccountSecret", "RotateServiceAccountSecret"),
    ("UpdateIPRestrictions", "UpdateIPRestrictions"),
    ("DeleteIntegration", "DeleteIntegration"),
    ("CreateSavedGraphQuery", "CreateSavedGraphQuery"),
)
QUERIES = ("IssuesTable", "VulnerabilityFindingsTable", "GraphSearch", "Dashboard", "CloudResources")
STATUSES = {"SUCCESS": 0.94, "FAILED": 0.03, "ACCESS_DENIED": 0.02, "INVALID": 0.01}


def make_entry(rng: Random, estate: Estate, at: int) -> Json:
    """Draw an entry that happened at `at`."""
    machine = rng.random() < 0.45
    who = pick(rng, estate.service_accounts if machine else estate.users)
    login = rng.random() < 0.25
    mutation = not login and rng.random() < 0.4
    action = LOGIN if login else pick(rng, MUTATIONS)[0] if mutation else pick(rng, QUERIES)
    kind = "AUTHENTICATION" if login else "MUTATION" if mutation else "QUERY"
    hidden = machine and login
    return entry(
        rng,
        at,
        who=who,
        action=action,
        kind=kind,
        parameters=_parameters(rng, who, login=login, mutation=mutation),
        status=weighted(rng, STATUSES),
        source=None if hidden else f"203.0.113.{rng.getrandbits(8)}",
    )


def entry(
    rng: Random, at: int, *, who: Json, action: str, kind: str, parameters: Json, status: str, source: str | None
) -> Json:
    """Return the entry of something that `who` did."""
    machine = who["__typename"] == "ServiceAccount"
    snapshot = "ServiceAccountSnapshot" if machine else "UserSnapshot"
    return {
        "id": uuid(rng),
        "action": action,
        "requestId": uuid(rng),
        "status": status,
        "timestamp": text(at),
        "actionParameters": parameters,
        "actionType": kind,
        "userAgent": None if source is None else pick(rng, PROGRAMS if machine else AGENTS),
        "sourceIP": source,
        "sourceIPCountryCode": None if source is None else pick(rng, COUNTRIES),
        "serviceAccount": who if machine else None,
        "user": None if machine else who,
        "performer": {"__typename": snapshot, "id": who["id"], "name": who["name"]},
        "duration": size(rng, 60, 1.1, 30_000),
        "clientType": "UNKNOWN" if machine else "WIZ_PORTAL",
    }


def _parameters(rng: Random, who: Json, *, login: bool, mutation: bool) -> Json:
    if login:
        return {"clientID": who["id"], "scopes": ["read:issues", "read:resources"]}
    selection: list[Any] = [
        "__typename",
        {"node": ["__typename", *(f"field{n}" for n in range(size(rng, 3, 0.9, 80)))]},
    ]
    if mutation:
        return {
            "input": {"id": uuid(rng), "patch": {"enabled": rng.random() < 0.5, "note": None}},
            "selection": selection,
        }
    return {"first": 20, "filterBy": None, "selection": selection}
