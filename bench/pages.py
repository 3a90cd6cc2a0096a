"""What pages of records look like on the wire, for benchmarks: sizes, repeats and nulls as in real ones."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_PROSE = (
    "the a remote attacker could exploit this flaw in component library server package to execute arbitrary code via "
    "crafted request when parsing input buffer memory allows denial of service improper validation function before "
    "version affected users should upgrade network access privilege sensitive data kernel driver handling issue"
)
_WORDS = _PROSE.split()
_PLATFORMS = ("AWS", "AWS", "AWS", "Azure", "GCP")
_REGIONS = ("us-east-1", "eu-central-1", "eu-north-1", "ap-northeast-2")
_AGENTS = (
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
        "Safari/537.36"
    ),
    "python-requests/2.32.3",
    "Go-http-client/2.0",
)


class Pages:
    """Makes pages; equal seeds make equal pages."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)  # noqa: S311  # for looks, not for secrets
        self._projects = [self._project(n) for n in range(20)]
        self._people = [(self.uuid(), f"person.{n}@example.com") for n in range(60)]
        self._rules = [self._rule(n) for n in range(80)]
        self._cves = [self._cve(n) for n in range(400)]

    def uuid(self) -> str:
        """Return an id as Wiz writes them."""
        hexes = f"{self._random.getrandbits(128):032x}"
        return "-".join((hexes[:8], hexes[8:12], hexes[12:16], hexes[16:20], hexes[20:]))

    def page(self, record: Callable[[], dict[str, Any]], rows: int) -> bytes:
        """Return `rows` records as the JSON array that an answer holds."""
        return json.dumps([record() for _ in range(rows)], separators=(",", ":"), ensure_ascii=False).encode()

    def text(self, least: int, most: int) -> str:
        """Return prose of about so many characters, often short, seldom long."""
        wanted = min(most, int(self._random.lognormvariate(0, 0.5) * (least + most) / 3) + least // 2)
        words: list[str] = []
        length = 0
        while length < wanted:
            words.append(self._random.choice(_WORDS))
            length += len(words[-1]) + 1
        return " ".join(words).capitalize() + "."

    def instant(self, day: int = 0) -> str:
        """Return a date of 2026 as Wiz writes them: without trailing zeros."""
        pick = self._random
        micros = f"{pick.randrange(1_000_000):06d}".rstrip("0")
        clock = f"{pick.randrange(24):02d}:{pick.randrange(60):02d}:{pick.randrange(60):02d}"
        date = f"2026-{pick.randrange(1, 10):02d}-{day or pick.randrange(1, 29):02d}"
        return f"{date}T{clock}{'.' if micros else ''}{micros}Z"

    def audit(self) -> dict[str, Any]:
        """Return an audit entry."""
        pick = self._random
        actor_id, actor = pick.choice(self._people)
        person = pick.random() < 0.5
        who = {"id": actor if person else actor_id, "name": actor}
        given = {
            "input": {
                "id": self.uuid(),
                "patch": {"status": pick.choice(("OPEN", "RESOLVED")), "note": self.text(20, 60)},
            },
            "selection": ["__typename", {"issue": ["__typename", "id"]}],
        }
        return {
            "id": self.uuid(),
            "action": pick.choice(("Login", "UpdateIssue", "CreateUser", "DeleteIntegration", "Report")),
            "requestId": self.uuid(),
            "status": pick.choice(("SUCCESS",) * 9 + ("FAILED",)),
            "timestamp": self.instant(12),
            "actionParameters": given if pick.random() < 0.7 else {"clientID": self.uuid(), "scopes": ["read:all"]},
            "userAgent": pick.choice(_AGENTS) if pick.random() < 0.8 else None,
            "sourceIP": f"12.34.{pick.randrange(4)}.{pick.randrange(60)}" if person else None,
            "serviceAccount": None if person else who,
            "user": who if person else None,
            "performer": who,
        }

    def issue(self) -> dict[str, Any]:
        """Return an issue."""
        pick = self._random
        rule = pick.choices(self._rules, weights=[1 / (n + 1) for n in range(len(self._rules))])[0]
        opened, resource = self.instant(), self._resource()
        resolved = pick.random() < 0.3
        return {
            "id": self.uuid(),
            "sourceRule": rule,
            "createdAt": opened,
            "updatedAt": self.instant(),
            "dueAt": self.instant() if pick.random() < 0.2 else None,
            "type": pick.choice(("TOXIC_COMBINATION", "CLOUD_CONFIGURATION", "THREAT_DETECTION")),
            "resolvedAt": self.instant() if resolved else None,
            "statusChangedAt": self.instant() if pick.random() < 0.9 else None,
            "projects": pick.sample(self._projects, pick.randrange(1, 5)) if pick.random() < 0.8 else None,
            "status": "RESOLVED" if resolved else "OPEN",
            "severity": pick.choice(("LOW", "MEDIUM", "MEDIUM", "HIGH", "CRITICAL")),
            "entitySnapshot": {
                **{key: resource[key] for key in ("id", "type", "name", "status", "cloudPlatform", "cloudProviderURL")},
                "nativeType": "ec2/instance",
                "providerId": resource["providerUniqueId"],
                "region": resource["region"],
                "resourceGroupExternalId": "",
                "subscriptionExternalId": resource["subscriptionExternalId"],
                "subscriptionName": resource["subscriptionName"],
                "subscriptionTags": {"env": "prod"} if pick.random() < 0.5 else {},
                "tags": resource["tags"],
                "createdAt": self.instant(),
                "externalId": resource["providerUniqueId"],
            },
            "serviceTickets": None,
            "notes": None,
            "sourceRules": [{key: rule[key] for key in ("__typename", "id", "name")}],
        }

    def finding(self) -> dict[str, Any]:
        """Return a vulnerability finding. Neighbours often lie on one resource."""
        pick = self._random
        if not hasattr(self, "_asset") or pick.random() < 0.1:
            self._asset = self._resource()
            self._asset_projects = pick.sample(self._projects, pick.randrange(1, 4))
        identity = self.uuid()
        return {
            "id": identity,
            "portalUrl": f"https://app.wiz.io/explorer/vulnerability-findings#~(entity~(~'{identity}*2cSECURITY_TOOL_FINDING))",
            **pick.choice(self._cves),
            "status": "OPEN" if pick.random() < 0.8 else "RESOLVED",
            "firstDetectedAt": self.instant(),
            "lastDetectedAt": self.instant(),
            "updatedAt": self.instant(),
            "resolvedAt": self.instant() if pick.random() < 0.2 else None,
            "detailedName": pick.choice(_WORDS),
            "version": f"{pick.randrange(9)}.{pick.randrange(20)}.{pick.randrange(20)}-{pick.randrange(3)}.el9",
            "fixedVersion": f"{pick.randrange(9)}.{pick.randrange(20)}.{pick.randrange(20)}"
            if pick.random() < 0.8
            else None,
            "detectionMethod": pick.choice(("PACKAGE", "LIBRARY", "FILE_PATH")),
            "locationPath": "/usr/lib/python3/" + pick.choice(_WORDS) if pick.random() < 0.5 else None,
            "resolutionReason": None,
            "validatedInRuntime": pick.choice((True, False, None)),
            "layerMetadata": None
            if pick.random() < 0.8
            else {"id": self.uuid(), "details": "RUN apt", "isBaseLayer": True},
            "projects": self._asset_projects,
            "ignoreRules": None,
            "vulnerableAsset": self._asset,
            "severity": pick.choice(("LOW", "MEDIUM", "HIGH", "CRITICAL")),
        }

    def _project(self, n: int) -> dict[str, Any]:
        return {
            "id": self.uuid(),
            "name": f"Project {n}",
            "slug": f"project-{n}",
            "businessUnit": self._random.choice(("", "Dev", "Payments")),
            "riskProfile": {"businessImpact": self._random.choice(("HBI", "MBI", "LBI"))},
        }

    def _rule(self, n: int) -> dict[str, Any]:
        frameworks = ("NIST CSF v1.1", "CIS Controls v8", "PCI DSS v4", "MITRE ATT&CK Matrix", "ISO 27001")
        return {
            "__typename": "Control",
            "id": f"wc-id-{n}",
            "name": self.text(40, 90),
            "controlDescription": self.text(300, 900),
            "resolutionRecommendation": self.text(300, 900),
            "securitySubCategories": [
                {"title": self.text(30, 90), "category": {"name": self.text(20, 50), "framework": {"name": name}}}
                for name in frameworks
            ],
        }

    def _cve(self, n: int) -> dict[str, Any]:
        pick = self._random
        name = f"CVE-2025-{10_000 + n}"
        return {
            "name": name,
            "CVEDescription": self.text(150, 700),
            "CVSSSeverity": pick.choice(("LOW", "MEDIUM", "HIGH", "CRITICAL")),
            "score": round(pick.uniform(2, 10), 1),
            "exploitabilityScore": round(pick.uniform(0, 4), 1),
            "impactScore": round(pick.uniform(0, 6), 1),
            "dataSourceName": None,
            "hasExploit": pick.random() < 0.2,
            "hasCisaKevExploit": pick.random() < 0.05,
            "vendorSeverity": pick.choice(("LOW", "MEDIUM", "HIGH")),
            "description": f"The package `{pick.choice(_WORDS)}` was found to be vulnerable. " + self.text(100, 350),
            "remediation": f"yum update {pick.choice(_WORDS)}",
            "link": f"https://access.redhat.com/security/cve/{name}",
            "epssSeverity": pick.choice(("LOW", "MEDIUM")),
            "epssPercentile": round(pick.random(), 5),
            "epssProbability": round(pick.random(), 5),
        }

    def _resource(self) -> dict[str, Any]:
        pick = self._random
        platform, region = pick.choice(_PLATFORMS), pick.choice(_REGIONS)
        account = f"{pick.randrange(10**11, 10**11 + 12)}"
        instance = f"i-{pick.getrandbits(68):017x}"
        return {
            "id": self.uuid(),
            "type": "VIRTUAL_MACHINE",
            "name": f"web-{pick.randrange(10**6)}",
            "region": region,
            "providerUniqueId": f"arn:aws:ec2:{region}:{account}:instance/{instance}",
            "cloudProviderURL": f"https://{region}.console.aws.amazon.com/ec2/v2/home?region={region}#InstanceDetails:{instance}",
            "cloudPlatform": platform,
            "status": "Active",
            "subscriptionName": f"account-{account[-2:]}",
            "subscriptionExternalId": account,
            "subscriptionId": self.uuid(),
            "tags": {f"tag-{pick.choice(_WORDS)}": pick.choice(_WORDS) for _ in range(pick.randrange(1, 12))},
            "hasLimitedInternetExposure": False,
            "hasWideInternetExposure": pick.random() < 0.1,
            "isAccessibleFromVPN": False,
            "isAccessibleFromOtherVnets": False,
            "isAccessibleFromOtherSubscriptions": False,
            "operatingSystem": pick.choice(("Linux", "Windows")),
            "ipAddresses": [f"10.{pick.randrange(9)}.{pick.randrange(255)}.{pick.randrange(255)}" for _ in range(2)],
        }


def pages_of(short: str, *, pages: int, rows: int = 500, seed: int = 7) -> Sequence[bytes]:
    """Return `pages` pages of one log type: audit, issues or findings."""
    maker = Pages(seed)
    record = {"audit": maker.audit, "issues": maker.issue, "findings": maker.finding}[short]
    return [maker.page(record, rows) for _ in range(pages)]
