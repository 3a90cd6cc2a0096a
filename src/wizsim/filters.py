"""Which records a filter lets through: one table of paths, and the shapes in which conditions come."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from wizsim.instants import parse
from wizsim.operators import OPERATORS, Condition, plain, relative
from wizsim.refusals import bad_input
from wizsim.tables import Version

Json = dict[str, Any]
Test: TypeAlias = Callable[[Version], bool]

PATHS: Mapping[str, Mapping[str, str]] = {
    "audit": {
        "actionV2": "action",
        "aiEngine": "aiEngines",
        "search": "action|performer.name|userAgent",
        "serviceAccount": "serviceAccount.id",
        "user": "user.id",
        "userType": "performer.__typename",
    },
    "issues": {
        "assignee": "assignee.id",
        "cloudAccountOrCloudOrganizationId": "entitySnapshot.subscriptionId",
        "environment": "environments",
        "frameworkCategory": "sourceRules.securitySubCategories.category.id",
        "hasDueDate": "dueAt",
        "hasNote": "notes",
        "hasUserNote": "notes",
        "hasServiceTicket": "serviceTickets",
        "noteContains": "notes.text",
        "project": "projects.id",
        "projectBusinessImpact": "projects.riskProfile.businessImpact",
        "projectIsSet": "projects",
        "rejectionExpiresAt": "rejectionExpiredAt",
        "riskEqualsAll": "sourceRules.risks",
        "riskEqualsAny": "sourceRules.risks",
        "riskIsSet": "sourceRules.risks",
        "search": "sourceRules.name|entitySnapshot.name",
        "searchServiceTicket": "serviceTickets.name",
        "securityCategory": "sourceRules.securitySubCategories.category.id",
        "securityFramework": "sourceRules.securitySubCategories.category.framework.id",
        "securitySubCategory": "sourceRules.securitySubCategories.id",
        "sourceControl": "control.id",
        "sourceControlType": "control.type",
    },
    "findings": {
        "assetExternalId": "vulnerableAsset.externalId",
        "assetId": "vulnerableAsset.id",
        "assetIdV2": "vulnerableAsset.id",
        "assetIsUsedOnPrem": "vulnerableAsset.isUsedOnPrem",
        "assetName": "vulnerableAsset.name",
        "assetNativeType": "vulnerableAsset.nativeType",
        "assetRegion": "vulnerableAsset.region",
        "assetStatus": "vulnerableAsset.status",
        "assetTags": "vulnerableAsset.tags",
        "assetType": "vulnerableAsset.type",
        "category": "categories",
        "cloudPlatforms": "vulnerableAsset.cloudPlatform",
        "containerImageTags": "vulnerableAsset.imageTags",
        "detailedNameV2": "detailedName",
        "duplication": "=STANDALONE",
        "environment": "environments",
        "firstSeenAt": "firstDetectedAt",
        "fixedVersion": "fixedVersion",
        "isAssetAccessibleFromInternet": "vulnerableAsset.hasLimitedInternetExposure",
        "isAssetOpenToAllInternet": "vulnerableAsset.hasWideInternetExposure",
        "isBaseLayer": "layerMetadata.isBaseLayer",
        "isPublic": "vulnerableAsset.isPublic",
        "layerHash": "layerMetadata.layerHash",
        "layerId": "layerMetadata.id",
        "locationPathV2": "locationPath",
        "projectBusinessImpact": "projects.riskProfile.businessImpact",
        "projectId": "projects.id",
        "projectIdV2": "projects.id",
        "subscriptionExternalId": "vulnerableAsset.subscriptionExternalId",
        "vulnerabilityEnumerationType": "=CVE",
        "vulnerabilityExternalIdV2": "vulnerabilityExternalId",
        "vulnerabilityIdV2": "vulnerabilityId",
        "vulnerabilityType": "=VULNERABILITY",
    },
}
"""Where a condition looks, by type, when not in the record's field of the same name: one path, several (|), or what is
so of all that this tenant has (=)."""
NESTED: Mapping[str, Mapping[str, str]] = {
    "relatedEntity": {
        "": "entitySnapshot",
        "ids": "id",
        "search": "name",
        "subscriptionSearch": "subscriptionName",
        "tag": "tags",
        "containerServiceId": "containerServiceId",
    },
    "sourceRule": {"": "sourceRules", "cloudEventRuleSource": "sourceType", "createdBy": "createdBy.id"},
    "epssFilter": {
        "": "",
        "percentile": "epssPercentile",
        "probability": "epssProbability",
        "severity": "epssSeverity",
    },
}
"""Filters that only hold further conditions: where those look."""
IGNORED = frozenset({"IncludeLastDetected"})
PRESENCE = frozenset({"hasDueDate", "hasNote", "hasUserNote", "hasServiceTicket", "projectIsSet", "riskIsSet"})
SUBSTRING = frozenset({"search", "noteContains", "searchServiceTicket", "userAgent", "sourceIP", "subscriptionSearch"})
CASELESS = frozenset({"action", "actionV2"})
"""Filters that are compared without regard to case."""
USER_TYPES = {"USER_ACCOUNT": "UserSnapshot", "SERVICE_ACCOUNT": "ServiceAccountSnapshot"}
LONGEST_LIST = 5_000


class Filtering:
    """Compiles filters. Whether `after` and `before` take in the instant itself is not settled in public: options."""

    def __init__(self, *, after_inclusive: bool = False, before_inclusive: bool = False) -> None:
        self.after_inclusive, self.before_inclusive = after_inclusive, before_inclusive

    def compile(self, type_: str, given: Json | None, now: int) -> tuple[Test, bool]:
        """Return the test, and whether it depends on `now`. Raises Refusal."""
        tests, moves = self._tests(PATHS.get(type_, {}), "", given or {}, now)
        if type_ == "findings" and not (given or {}).get("status"):
            tests.append(_at("status", lambda found: found[0] == "OPEN"))
        return (lambda version: all(test(version) for test in tests)), moves

    def _tests(self, paths: Mapping[str, str], under: str, given: Json, now: int) -> tuple[list[Test], bool]:
        tests: list[Test] = []
        moves = False
        for name, wanted in given.items():
            if wanted is None or name in IGNORED:
                continue
            if name in NESTED and isinstance(wanted, dict):
                inner = NESTED[name]
                deeper, moving = self._tests(inner, inner[""], wanted, now)
                tests.extend(deeper)
                moves = moves or moving
                continue
            where = paths.get(name, name)
            tests.append(_at(f"{under}.{where}" if under else where, self._condition(name, wanted, now)))
            moves = moves or (isinstance(wanted, dict) and any(k.endswith(("Last", "Next")) for k in wanted))
        return tests, moves

    def _condition(self, name: str, wanted: Any, now: int) -> Condition:
        if isinstance(wanted, list) or name in CASELESS:
            return _among(name, wanted if isinstance(wanted, list) else [wanted])
        if isinstance(wanted, dict):
            conditions = [self._operator(name, how, value, now) for how, value in wanted.items() if value is not None]
            return lambda found: all(condition(found) for condition in conditions)
        if name in PRESENCE:
            return lambda found: any(v not in (None, []) for v in found) == wanted
        if name in SUBSTRING:
            part = str(wanted).lower()
            return lambda found: any(part in str(v).lower() for v in found if v is not None)
        if isinstance(wanted, bool):
            return lambda found: any(bool(v) for v in found) == wanted
        return lambda found: wanted in found

    def _operator(self, name: str, how: str, value: Any, now: int) -> Condition:
        if how in {"after", "before"}:
            return self._date(name, how, value)
        if how in {"inLast", "beforeLast", "inNext", "afterNext"}:
            return relative(how, value, now)
        made = OPERATORS.get(how)
        if isinstance(value, dict):
            # Conditions on things that this tenant has none of, such as technologies of hosts.
            return lambda _found: False
        if made is None:
            raise bad_input(f"{name}.{how} is not served here")
        return made(value)

    def _date(self, name: str, how: str, value: Any) -> Condition:
        try:
            edge = parse(value)
        except (TypeError, ValueError) as wrong:
            raise bad_input(f"{name}.{how}: {value!r} is not an RFC 3339 instant") from wrong
        if how == "after":
            edge -= self.after_inclusive
            return lambda found: any(v is not None and parse(v) > edge for v in found)
        edge += self.before_inclusive
        return lambda found: any(v is not None and parse(v) < edge for v in found)


def _among(name: str, wanted: list[Any]) -> Condition:
    if len(wanted) > LONGEST_LIST:
        raise bad_input(f"{name}: at most {LONGEST_LIST} values")
    if name in CASELESS:
        folded = {str(value).casefold() for value in wanted}
        return lambda found: not folded or any(str(value).casefold() in folded for value in plain(found))
    members = {USER_TYPES.get(v, v) for v in wanted} if name == "userType" else set(wanted)
    if name == "riskEqualsAll":
        return lambda found: members <= set(plain(found))
    return (lambda found: not members.isdisjoint(plain(found))) if members else (lambda _found: True)


def _at(path: str, condition: Condition) -> Test:
    if path.startswith("="):
        holds = condition([path[1:]])
        return lambda _version: holds
    if "|" in path:
        tests = [_at(one, condition) for one in path.split("|")]
        return lambda version: any(test(version) for test in tests)
    head, _, rest = path.partition(".")
    if not rest:
        return lambda version: condition(_spread([version.get(head)]))
    steps = rest.split(".")

    def test(version: Version) -> bool:
        found = _spread([version.get(head)])
        for step in steps:
            found = _spread([v.get(step) for v in found if isinstance(v, dict)])
        return condition(found or [None])

    return test


def _spread(values: list[Any]) -> list[Any]:
    if len(values) == 1 and not isinstance(values[0], list):
        return values
    return [inner for value in values for inner in (value if isinstance(value, list) else [value])]
