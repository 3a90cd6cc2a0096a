"""How records of each type are born, have lived and change, and how often."""

from collections.abc import Callable
from random import Random
from typing import Any

from wizsim import audit, findings, issues
from wizsim.estate import Estate

Json = dict[str, Any]

TYPES = ("audit", "issues", "findings")
SHARES = {"audit": 0.4, "issues": 0.3, "findings": 0.3}
BIRTHS = {"audit": 1.0, "issues": 0.2, "findings": 0.2}
"""Share of a type's changes that are new records."""
AGES = {"audit": (8.0, 1.0, 175), "issues": (25.0, 1.2, 700), "findings": (20.0, 1.1, 500)}
"""Median in days, spread and greatest age of the records that are there at the start."""


def _audit_entry(rng: Random, estate: Estate, at: int) -> tuple[Json, Json]:
    return audit.make_entry(rng, estate, at), {}


def _issue(rng: Random, estate: Estate, at: int) -> tuple[Json, Json]:
    return issues.make_issue(rng, estate, at), {}


BORN: dict[str, Callable[[Random, Estate, int], tuple[Json, Json]]] = {
    "audit": _audit_entry,
    "issues": _issue,
    "findings": findings.make_finding,
}
LIVED: dict[str, Callable[[Random, Estate, int, int], tuple[Json, Json]]] = {
    "audit": lambda rng, estate, at, _now: _audit_entry(rng, estate, at),
    "issues": lambda rng, estate, at, now: (issues.lived_issue(rng, estate, at, now), {}),
    "findings": findings.lived_finding,
}
CHANGED: dict[str, Callable[[Random, Json, int, Estate], Json | None]] = {
    "issues": issues.change_issue,
    "findings": lambda rng, own, at, _estate: findings.change_finding(rng, own, at),
}
