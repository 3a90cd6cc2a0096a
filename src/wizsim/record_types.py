"""Which types of records a tenant has: one entry for each, from which roots, scopes, options and tables follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from wizsim import audit, findings, issues
from wizsim.estate import Estate
from wizsim.nearest import did_you_mean, shown

Json = dict[str, Any]
Change: TypeAlias = Callable[[Random, Json, int, Estate], Json | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordType:
    """What is peculiar to one type of records: who may read them, and how they are born, have lived and change."""

    title: str
    """What they are called in the help of `wizsim serve`: Issues."""
    graphql: str
    """Their type in `schema.graphql`: Issue."""
    roots: tuple[str, ...]
    """Fields of `Query` in `schema.graphql` that show them: lists that have pages, or one record by its id."""
    scopes: tuple[str, ...]
    """Scopes of which one is enough to read them. A service account has the last unless it is given others."""
    born: str
    """The field with the instant at which a record began. Lists begin with the newest unless `FIELDS` in `orders.py`
    says otherwise."""
    make: Callable[[Random, Estate, int], tuple[Json, Json]]
    """Draws a record that begins at an instant: its own fields, `id` among them, and those that it shares with others
    ({} if there are none). What the draw needs is taken from `Random` alone, so that a seed always gives the same."""
    lived: Callable[[Random, Estate, int, int], tuple[Json, Json]] | None = None
    """Draws a record that began at the first instant, as it is at the second. None: as `make` made it."""
    change: Change | None = None
    """Draws what changes in a record at an instant: the fields that are new, {} if none are, None if the record goes.
    None instead of a function: records never change."""
    share: float = 0.3
    """How many of the changes befall this type, in proportion to the shares of the others that have records."""
    births: float = 1.0
    """Share of the type's changes that are new records: all of them if records never change."""
    age: tuple[float, float, float] = (20.0, 1.1, 500)
    """Median in days, spread and greatest age of the records that are there at the start."""
    served: int = 0
    """How many records `wizsim serve` starts with, unless it is told."""
    in_world: int = 0
    """How many records a `World` starts with, unless it is told. 0 for a new type: what tests expect stays as it is."""


def _audit_entry(rng: Random, estate: Estate, at: int) -> tuple[Json, Json]:
    return audit.make_entry(rng, estate, at), {}


def _issue(rng: Random, estate: Estate, at: int) -> tuple[Json, Json]:
    return issues.make_issue(rng, estate, at), {}


RECORD_TYPES: Mapping[str, RecordType] = {
    "audit": RecordType(
        title="Audit entries",
        graphql="AuditLogEntry",
        roots=("auditLogEntries", "auditLogEntry"),
        scopes=("admin:all", "admin:audit"),
        born="timestamp",
        make=_audit_entry,
        share=0.4,
        age=(8.0, 1.0, 175),
        served=500,
        in_world=100,
    ),
    "issues": RecordType(
        title="Issues",
        graphql="Issue",
        roots=("issue", "issues", "issuesV2"),
        scopes=("admin:all", "read:all", "read:issues"),
        born="createdAt",
        make=_issue,
        lived=lambda rng, estate, at, now: (issues.lived_issue(rng, estate, at, now), {}),
        change=issues.change_issue,
        births=0.2,
        age=(25.0, 1.2, 700),
        served=300,
        in_world=100,
    ),
    "findings": RecordType(
        title="Vulnerability findings",
        graphql="VulnerabilityFinding",
        roots=("vulnerabilityFinding", "vulnerabilityFindings"),
        scopes=("admin:all", "read:all", "read:vulnerabilities"),
        born="firstDetectedAt",
        make=findings.make_finding,
        lived=findings.lived_finding,
        change=lambda rng, own, at, _estate: findings.change_finding(rng, own, at),
        births=0.2,
        served=2_000,
        in_world=100,
    ),
}
"""Every type, by its name in options, faults and admin calls. `read:all` does not open the audit log."""
ROOT_TYPES: Mapping[str, str] = {root: name for name, type_ in RECORD_TYPES.items() for root in type_.roots}
"""Fields of Query that are served, and the type of what they show."""


def checked_type(name: str) -> str:
    """Return `name`. Raises ValueError if no type is called so."""
    if name not in RECORD_TYPES:
        raise ValueError(f"{shown(name)} is not known{did_you_mean(name, RECORD_TYPES)}")
    return name


def listed(conjunction: str) -> str:
    """Return the names of all types, as a sentence has them."""
    *others, last = RECORD_TYPES
    return f"{', '.join(others)} {conjunction} {last}"
