"""What each log type of Wiz is: how it is asked for, what its dates mean, and what counts as a change of a record.

Each fact about the vendor's API says where it was read; all of it was read in 2026-08.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from ocelog.languages.phrases import Phrase
from ocelog.model import Kind
from ocelog.pull.ports import Ask
from ocelog.times import from_us, rfc3339

MOST_RECORDS = 500
"""Largest `first` that the vendor documents for cursor paging."""

_OPEN = ("OPEN", "IN_PROGRESS")
_EVERY_STATUS = (*_OPEN, "RESOLVED", "REJECTED")
"""Of issues and findings. Asked for by name: findings come as OPEN alone otherwise (vendor's page on findings)."""
_SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


_LATER_OF_ISSUES = (
    "assignee",
    "openReason",
    "resolutionReason",
    "resolutionNote",
    "resolvedBy",
    "rejectionExpiredAt",
)
_LATER_OF_FINDINGS = ("cisaKevReleaseDate", "cisaKevDueDate")


class Root(Struct, frozen=True, kw_only=True):
    """Where the API keeps one log type: its query root, and what the filters there are called."""

    kind: Kind
    root: str
    scope: str
    """What a service account needs to read it, beside read:resources."""
    record_type: str
    types: Mapping[str, str]
    """GraphQL type of each nested object that is asked for, by dotted path: an error names fields by their type."""
    kept_whole: frozenset[str] = frozenset()
    """Dotted paths of the fields that are `json` in the log schema and inside which the query asks for fields. They are
    kept as the text they came in: if one place in them fails, all of it has."""
    project_filter: tuple[str, ...] | None = None
    """Names that lead to the list of project ids inside filterBy: ("project",) is {project: [ids]}, and
    ("projectIdV2", "equals") is {projectIdV2: {equals: [ids]}}. None: the API has no such filter here."""
    order_by: Mapping[str, str] | None = None
    """What `orderBy` says; None: the query has none."""

    @property
    def short(self) -> str:
        """As people type it."""
        return self.kind.short

    @property
    def title(self) -> Phrase:
        """As Wiz's pages name its records."""
        return Phrase(self.kind.title)

    @property
    def essential(self) -> frozenset[str]:
        """Fields without which a record cannot be placed in time or told apart: never given up."""
        dates = {self.kind.cursor_field, self.kind.created_field, *self.kind.version_times}
        return frozenset({"id", "createdAt", "updatedAt", "status", *dates})

    def variables(self, ask: Ask, *, projects: tuple[str, ...], page_size: int) -> dict[str, Any]:
        """Return the GraphQL variables of `ask`."""
        wanted: dict[str, Any] = {ask.by: {"after": rfc3339(ask.since), "before": rfc3339(ask.until)}}
        if self.kind.statuses:
            every = self.kind.open_statuses if ask.open_only else self.kind.statuses
            wanted["status"] = [ask.status] if ask.status else list(every)
        if projects and self.project_filter is not None:
            value: Any = list(projects)
            for name in reversed(self.project_filter[1:]):
                value = {name: value}
            wanted[self.project_filter[0]] = value
        for name, kept in (ask.narrowed or {}).items():
            wanted[name] = _narrowing(kept)
        variables: dict[str, Any] = {
            "first": max(1, min(ask.page_size or page_size, page_size, MOST_RECORDS)),
            "after": ask.after,
            "filterBy": wanted,
        }
        return variables if self.order_by is None else {**variables, "orderBy": dict(self.order_by)}

    def document(self) -> str:
        """Return the query, asking for every field that we know."""
        return _document(self.short)


def _narrowing(kept: Sequence[str] | Sequence[int]) -> Any:
    """Return a filter: texts as they are, two numbers as the instants between which a date must lie."""
    if all(isinstance(value, str) for value in kept):
        return list(kept)
    since, until = (from_us(int(us)) for us in kept)
    return {"after": rfc3339(since), "before": rfc3339(until)}


@cache
def _document(short: str) -> str:
    text = (files("ocelog.sources.wiz") / f"{short}.graphql").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


LOG_TYPES: tuple[Root, ...] = (
    Root(
        # An entry never changes: its id is its version. Service accounts that are bound to projects cannot read the
        # audit log, and it has no project filter (vendor's page on the audit log; introspection).
        kind=Kind(
            log_type="Wiz.Audit",
            short="audit",
            title="the audit log",
            partition="day",
            gone="entries older than Wiz keeps them",
            columns=("sourceIP", "clientType"),
            summary=("action", "status", ("user.name", "serviceAccount.name", "performer.name", "performer.id")),
            cursor_field="timestamp",
            created_field="timestamp",
            version_times=("timestamp",),
            split_values={"status": ("SUCCESS", "FAILED", "INVALID", "ACCESS_DENIED")},
            # Each login and query of a collector is in the log, so it must not take itself for a sign of life. A login
            # names the client ID, which may or may not be the id of the account.
            actor_fields=("serviceAccount.id", "performer.id", "actionParameters.clientID"),
        ),
        root="auditLogEntries",
        scope="admin:audit",
        record_type="AuditLogEntry",
        types={"serviceAccount": "ServiceAccount", "user": "User", "performer": "SystemPrincipalSnapshot"},
    ),
    Root(
        # The vendor's guidance is to follow statusChangedAt, and there is no filter by updatedAt. It can be null, so
        # issues whose status never changed are asked for by createdAt too (introspection).
        kind=Kind(
            log_type="Wiz.Issues",
            short="issues",
            title="issues",
            cursor_field="statusChangedAt",
            created_field="createdAt",
            version_times=("updatedAt",),
            also_live_by=("createdAt",),
            sweep_by="createdAt",
            created_filter="createdAt",
            split_values={"status": _EVERY_STATUS, "severity": ("INFORMATIONAL", *_SEVERITIES)},
            version_fields=(
                "id",
                "sourceRule",
                "sourceRules",
                "createdAt",
                "updatedAt",
                "dueAt",
                "type",
                "resolvedAt",
                "statusChangedAt",
                "projects",
                "status",
                "severity",
                "entitySnapshot",
                "serviceTickets",
                "notes",
                *_LATER_OF_ISSUES,
                "validatedAsExploitable",
            ),
            set_like=frozenset({"projects", "sourceRules", "serviceTickets", "notes"}),
            later_fields=(frozenset(_LATER_OF_ISSUES), frozenset({"validatedAsExploitable"})),
            page="url",
            remedy=(
                *("sourceRule.remediationInstructions", "sourceRule.resolutionRecommendation"),
                *("sourceRules.remediationInstructions", "sourceRules.resolutionRecommendation"),
            ),
            columns=("type", "entitySnapshot.type"),
            summary=("severity", ("sourceRule.name", "sourceRules.name", "type"), "entitySnapshot.name", "status"),
            uncounted=frozenset({"url", "projects.projectOwners"}),
            statuses=_EVERY_STATUS,
            open_statuses=_OPEN,
        ),
        root="issuesV2",
        scope="read:issues",
        record_type="Issue",
        types={
            "sourceRule": "IssueSourceRule",
            "sourceRule.securitySubCategories": "SecuritySubCategory",
            "sourceRule.securitySubCategories.category": "SecurityCategory",
            "sourceRule.securitySubCategories.category.framework": "SecurityFramework",
            "sourceRules": "IssueSourceRule",
            "projects": "Project",
            "projects.riskProfile": "ProjectRiskProfile",
            "projects.projectOwners": "User",
            "entitySnapshot": "IssueEntitySnapshot",
            "serviceTickets": "ServiceTicket",
            "notes": "IssueNote",
            "notes.user": "User",
            "notes.serviceAccount": "ServiceAccount",
            "assignee": "Identity",
            "resolvedBy": "IssueResolver",
            "resolvedBy.user": "User",
            "resolvedBy.serviceAccount": "ServiceAccount",
        },
        kept_whole=frozenset({"sourceRule", "sourceRules", "projects.riskProfile", "serviceTickets", "notes"}),
        project_filter=("project",),
        # Ids are distinct and stay, dates are not and do not: by id no cursor can skip records that share an instant
        # (five issues on two instants were seen in one real page), and none moves while a slice is read.
        order_by={"field": "ID", "direction": "ASC"},
    ),
    Root(
        # The vendor's guidance is to follow updatedAt: it moves with any property or status, though not when a finding
        # is merely detected again. That moves lastDetectedAt, which is therefore no change.
        kind=Kind(
            log_type="Wiz.VulnerabilityFinding",
            short="findings",
            title="vulnerability findings",
            cursor_field="updatedAt",
            created_field="firstDetectedAt",
            version_times=("updatedAt",),
            sweep_by="firstSeenAt",  # the filter's name for what the record calls firstDetectedAt (introspection)
            created_filter="firstSeenAt",
            split_values={"status": _EVERY_STATUS, "severity": ("NONE", *_SEVERITIES)},
            version_fields=(
                "id",
                "portalUrl",
                "name",
                "CVEDescription",
                "CVSSSeverity",
                "severity",
                "score",
                "exploitabilityScore",
                "impactScore",
                "dataSourceName",
                "hasExploit",
                "hasCisaKevExploit",
                "status",
                "vendorSeverity",
                "firstDetectedAt",
                "updatedAt",
                "resolvedAt",
                "description",
                "remediation",
                "detailedName",
                "version",
                "fixedVersion",
                "detectionMethod",
                "link",
                "locationPath",
                "resolutionReason",
                "epssSeverity",
                "epssPercentile",
                "epssProbability",
                "validatedInRuntime",
                "layerMetadata",
                "projects",
                "ignoreRules",
                "vulnerableAsset",
                *_LATER_OF_FINDINGS,
            ),
            set_like=frozenset({"projects", "ignoreRules"}),
            later_fields=(frozenset(_LATER_OF_FINDINGS),),
            page="portalUrl",
            remedy=("remediation",),
            columns=("detailedName", "fixedVersion"),
            summary=(("severity", "vendorSeverity"), "name", "vulnerableAsset.name", "status"),
            uncounted=frozenset({"lastDetectedAt", "projects.projectOwners"}),
            statuses=_EVERY_STATUS,
            open_statuses=_OPEN,
        ),
        root="vulnerabilityFindings",
        scope="read:vulnerabilities",
        record_type="VulnerabilityFinding",
        types={
            "layerMetadata": "LayerMetadata",
            "projects": "Project",
            "projects.riskProfile": "ProjectRiskProfile",
            "projects.projectOwners": "User",
            "ignoreRules": "IgnoreRule",
            "vulnerableAsset": "VulnerableAsset",
        },
        kept_whole=frozenset({"layerMetadata", "projects.riskProfile", "ignoreRules"}),
        project_filter=("projectIdV2", "equals"),
    ),
)
"""Every log type of Wiz. A new one is an entry here, its query beside this file, and its schema."""

ROOTS: Mapping[str, Root] = {root.kind.log_type: root for root in LOG_TYPES}
KINDS: Mapping[str, Kind] = {log_type: root.kind for log_type, root in ROOTS.items()}
SHORT_NAMES: Mapping[str, str] = {root.short: log_type for log_type, root in ROOTS.items()}
