"""What a vulnerability finding holds when it is first detected, and what becomes of it until it vanishes."""

from random import Random
from typing import Any

from wizsim.cves import likelihood
from wizsim.dice import pick, uuid, weighted
from wizsim.estate import Estate
from wizsim.instants import DAY, text

Json = dict[str, Any]

FATES = {"OPEN": 0.7, "IN_PROGRESS": 0.03, "RESOLVED": 0.22, "REJECTED": 0.05}
PATHS = ("/usr/lib64", "/app/node_modules", "/opt/venv/lib/python3.12/site-packages", "/usr/local/bin", "/srv/app/lib")


def make_finding(rng: Random, estate: Estate, at: int) -> tuple[Json, Json]:
    """Draw a finding first detected at `at`: its own fields, and those that it shares with others of its CVE."""
    asset = pick(rng, estate.assets)
    base = estate.cves[int(len(estate.cves) * rng.random() ** 2.5)]
    finding = uuid(rng)
    seen = text(at)
    own = {
        "id": finding,
        "portalUrl": f"https://app.wiz.io/explorer/vulnerability-findings#~(entity~(~'{finding}*2cSECURITY_TOOL_FINDING))",
        "status": "OPEN",
        "firstDetectedAt": seen,
        "firstDetectedAtSource": seen,
        "lastDetectedAt": seen,
        "updatedAt": seen,
        "statusUpdatedAt": None,
        "resolvedAt": None,
        "resolutionReason": None,
        "locationPath": f"{pick(rng, PATHS)}/{base['detailedName']}" if rng.random() < 0.6 else None,
        "layerMetadata": None,
        "validatedInRuntime": rng.random() < 0.3 if rng.random() < 0.4 else None,
        "ignoreRules": None,
        "projects": asset.projects or None,
        "vulnerableAsset": asset.shown,
    }
    if asset.shown["type"] in {"CONTAINER", "CONTAINER_IMAGE"}:
        own["layerMetadata"] = _layer(rng)
    return own, base


def lived_finding(rng: Random, estate: Estate, at: int, now: int) -> tuple[Json, Json]:
    """Draw a finding first detected at `at` that has had its share of life until `now`."""
    own, base = make_finding(rng, estate, at)
    fate = weighted(rng, FATES)
    moved = at + int((now - at) * rng.random() ** 2)
    if fate != "OPEN":
        own |= status_change(rng, own, fate, moved)
    elif rng.random() < 0.3:
        own["updatedAt"] = text(moved)
    if fate != "RESOLVED":
        own["lastDetectedAt"] = text(max(moved, now - int(DAY * rng.random())))
    return own, base


def change_finding(rng: Random, own: Json, at: int) -> Json | None:
    """Draw what changes in a finding at `at`, as the fields that are new; None when it vanishes."""
    what = rng.random()
    if what < 0.3:
        return {"lastDetectedAt": text(at)}
    if what < 0.65:
        return status_change(rng, own, _next_status(rng, own["status"]), at)
    if what < 0.85:
        return {**_property(rng, own), "updatedAt": text(at), "lastDetectedAt": text(at)}
    if what < 0.95:
        return retag(own, "patched-by", text(at))
    return None


def retag(own: Json, key: str, value: str | None) -> Json:
    """Set or remove one tag of the asset; no date of the finding moves."""
    asset = own["vulnerableAsset"]
    if asset is None:
        return {}
    tags = {k: v for k, v in (asset.get("tags") or {}).items() if k != key}
    return {"vulnerableAsset": {**asset, "tags": tags if value is None else {**tags, key: value}}}


def status_change(rng: Random, own: Json, status: str, at: int) -> Json:
    """Return the fields of a finding once it has moved to `status`."""
    moved: Json = {"status": status, "updatedAt": text(at), "statusUpdatedAt": text(at)}
    if status == "RESOLVED":
        # Clients report fixed findings whose resolvedAt never came.
        when = text(at) if rng.random() < 0.9 else None
        return {**moved, "resolvedAt": when, "resolutionReason": pick(rng, ("FINDING_FIXED", "OBJECT_DELETED"))}
    if status == "REJECTED":
        rule = {"id": uuid(rng), "name": "Accepted by risk board", "enabled": True, "expiredAt": None}
        return {**moved, "ignoreRules": [rule], "resolutionReason": "EXCEPTION"}
    if own["status"] in {"RESOLVED", "REJECTED"}:
        back: Json = {"resolvedAt": None, "resolutionReason": None, "ignoreRules": None}
        return {**moved, **back, "lastDetectedAt": text(at)}
    return moved


def _next_status(rng: Random, status: str) -> str:
    if status in {"OPEN", "IN_PROGRESS"}:
        return weighted(rng, {"RESOLVED": 0.75, "REJECTED": 0.1, "IN_PROGRESS" if status == "OPEN" else "OPEN": 0.15})
    return "OPEN"


def _property(rng: Random, own: Json) -> Json:
    if rng.random() < 0.5:
        return {"hasExploit": True, **likelihood(rng, rng.random())}
    return {"validatedInRuntime": not own["validatedInRuntime"]}


def _layer(rng: Random) -> Json:
    digest = f"sha256:{rng.getrandbits(256):064x}"
    return {"id": uuid(rng), "details": "RUN apt-get update", "isBaseLayer": rng.random() < 0.5, "layerHash": digest}
