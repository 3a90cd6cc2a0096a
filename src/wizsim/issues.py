"""What an issue holds when it opens, and what becomes of it: moved, resolved, reopened, annotated, retagged."""

from random import Random
from typing import Any

from wizsim.assets import entity_of
from wizsim.dice import digits, pick, size, uuid, weighted
from wizsim.estate import Estate
from wizsim.instants import DAY, text
from wizsim.rules import BY_TYPE
from wizsim.vocabulary import NOTES, SEVERITIES

Json = dict[str, Any]

TYPES = {
    "TOXIC_COMBINATION": 0.35,
    "CLOUD_CONFIGURATION": 0.4,
    "THREAT_DETECTION": 0.15,
    "RISK_TOXIC_COMBINATION": 0.05,
    "ATTACK_SURFACE": 0.05,
}
FATES = {"OPEN": 0.55, "IN_PROGRESS": 0.1, "RESOLVED": 0.28, "REJECTED": 0.07}
UNMOVED = 0.2
"""Share of open issues whose statusChangedAt is null until they first change."""


def make_issue(rng: Random, estate: Estate, at: int) -> Json:
    """Draw an issue that opens at `at`."""
    kind = weighted(rng, TYPES)
    rule = pick(rng, BY_TYPE[kind])
    asset = pick(rng, estate.assets)
    severity = weighted(rng, SEVERITIES)
    born = text(at)
    issue = uuid(rng)
    return {
        "id": issue,
        "type": kind,
        "status": "OPEN",
        "severity": severity,
        "createdAt": born,
        "updatedAt": born,
        "statusChangedAt": None if rng.random() < UNMOVED else born,
        "dueAt": text(at + 30 * DAY) if rng.random() < 0.2 else None,
        "resolvedAt": None,
        "sourceRule": rule,
        "sourceRules": [rule],
        "control": rule if rule["__typename"] == "Control" else None,
        "description": rule["description"],
        "entitySnapshot": entity_of(asset.shown),
        "projects": asset.projects or None,
        "notes": None,
        "serviceTickets": None,
        "openReason": "ISSUE_DISCOVERED",
        "evidenceQuery": {"select": True, "type": [asset.shown["type"]]},
        "environments": ["PRODUCTION"],
        "url": f"https://app.wiz.io/issues#~(issue~'{issue})",
        "validatedAsExploitable": False,
    }


def lived_issue(rng: Random, estate: Estate, at: int, now: int) -> Json:
    """Draw an issue that opened at `at` and has had its share of life until `now`."""
    issue = make_issue(rng, estate, at)
    fate = weighted(rng, FATES)
    if fate != "OPEN":
        issue |= status_change(rng, issue, fate, at + int((now - at) * rng.random() ** 2), estate)
    if rng.random() < 0.15:
        issue["serviceTickets"] = [_ticket(rng)]
    if rng.random() < 0.1:
        issue["notes"] = [_note(rng, estate, at)]
    return issue


def change_issue(rng: Random, issue: Json, at: int, estate: Estate) -> Json:
    """Draw what changes in `issue` at `at`, as the fields that are new."""
    what = rng.random()
    if what < 0.5:
        return status_change(rng, issue, _next_status(rng, issue["status"]), at, estate)
    if what < 0.7:
        notes = [*(issue["notes"] or []), _note(rng, estate, at)][-20:]
        return {"notes": notes, "updatedAt": text(at)}
    if what < 0.8:
        return {"severity": weighted(rng, SEVERITIES), "updatedAt": text(at)}
    return retag(issue, "reviewed", text(at))


def retag(issue: Json, key: str, value: str | None) -> Json:
    """Set or remove one tag of the entity; no date of the issue moves, as no scan tells Wiz to move one."""
    entity = issue["entitySnapshot"]
    tags = {k: v for k, v in (entity.get("tags") or {}).items() if k != key}
    return {"entitySnapshot": {**entity, "tags": tags if value is None else {**tags, key: value}}}


def status_change(rng: Random, issue: Json, status: str, at: int, estate: Estate) -> Json:
    """Return the fields of `issue` once it has moved to `status`."""
    moved: Json = {"status": status, "statusChangedAt": text(at), "updatedAt": text(at)}
    if status in {"RESOLVED", "REJECTED"}:
        reason = "ISSUE_FIXED" if status == "RESOLVED" else pick(rng, ("WONT_FIX", "FALSE_POSITIVE", "EXCEPTION"))
        by: Json = {"type": "WIZ"} if reason == "ISSUE_FIXED" else {"type": "USER", "user": pick(rng, estate.users)}
        return {**moved, "resolvedAt": text(at), "resolutionReason": reason, "resolvedBy": by}
    if issue["resolvedAt"] is not None:
        return {**moved, "resolvedAt": None, "resolutionReason": None, "resolvedBy": None, "reopenedAt": text(at)}
    return moved


def _next_status(rng: Random, status: str) -> str:
    if status == "OPEN":
        return weighted(rng, {"IN_PROGRESS": 0.4, "RESOLVED": 0.5, "REJECTED": 0.1})
    if status == "IN_PROGRESS":
        return weighted(rng, {"RESOLVED": 0.7, "OPEN": 0.2, "REJECTED": 0.1})
    return "OPEN"


def _note(rng: Random, estate: Estate, at: int) -> Json:
    words = " ".join(pick(rng, NOTES) for _ in range(1 + size(rng, 0.8, 1.0, 40)))
    written = f"{text(at // 1_000_000 * 1_000_000)[:-1]}.{rng.randrange(100_000_000, 999_999_999)}Z"
    return {"id": uuid(rng), "text": words, "createdAt": written, "updatedAt": written, "user": pick(rng, estate.users)}


def _ticket(rng: Random) -> Json:
    key = f"SEC-{digits(rng, 4)}"
    return {"id": uuid(rng), "externalId": key, "name": key, "url": f"https://tickets.example.com/browse/{key}"}
