"""What a tenant is made of before anything happens in it: projects, subscriptions, people, assets, vulnerabilities."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from wizsim.assets import Asset, Subscription, make_asset
from wizsim.cves import make_cve
from wizsim.dice import dice, digits, pick, size, uuid, weighted
from wizsim.nearest import did_you_mean, shown
from wizsim.vocabulary import BUSINESS_UNITS, CLOUDS, DOMAINS, FIRST_NAMES, LAST_NAMES, STAGES, TEAMS

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """The lasting things of one tenant, as the API shows them. Their values are shared by records: never change one."""

    projects: list[Json]
    subscriptions: list[Subscription]
    users: list[Json]
    service_accounts: list[Json]
    assets: list[Asset]
    cves: list[Json]

    def busiest_projects(self) -> list[str]:
        """Return the ids of the projects, those with most assets first."""
        counts = Counter(project["id"] for asset in self.assets for project in asset.projects)
        return [project for project, _ in counts.most_common()]

    def checked_projects(self, given: Iterable[str]) -> frozenset[str]:
        """Return `given`. Raises ValueError where one is the id of no project."""
        ids, known = frozenset(given), [project["id"] for project in self.projects]
        for id_ in sorted(ids.difference(known)):
            raise ValueError(f"no project has the id {shown(id_)}{did_you_mean(id_, known)}")
        return ids


def build_estate(seed: int, *, findings: int, issues: int) -> Estate:
    """Draw a tenant whose size suits its numbers of findings and issues."""
    rng = dice(seed, "estate")
    people = 3 + min(40, issues // 20)
    users = [_person(rng) for _ in range(people)]
    projects = [_project(rng, users) for _ in range(3 + min(12, issues // 50))]
    subscriptions = [_subscription(rng, projects) for _ in range(3 + min(30, findings // 300))]
    hosts = 6 + size(rng, (findings + issues) / 25, 0.1, 20_000)
    return Estate(
        projects=projects,
        subscriptions=subscriptions,
        users=users,
        service_accounts=[_service_account(rng, n) for n in range(2 + min(10, people // 4))],
        assets=[make_asset(rng, pick(rng, subscriptions)) for _ in range(hosts)],
        cves=[make_cve(rng) for _ in range(8 + min(3_000, findings // 12))],
    )


def _person(rng: Random) -> Json:
    first, last = pick(rng, FIRST_NAMES), pick(rng, LAST_NAMES)
    email = f"{first}.{last}@{pick(rng, DOMAINS)}".lower()
    return {"__typename": "User", "id": email, "email": email, "name": f"{first} {last}"}


def _service_account(rng: Random, number: int) -> Json:
    name = f"{pick(rng, ('terraform', 'siem-export', 'ci-scan', 'ticketing'))}-{number}"
    account = f"sa-{uuid(rng)}"
    mail = f"{name}@service.example.com"
    return {"__typename": "ServiceAccount", "id": account, "email": mail, "name": name, "type": "THIRD_PARTY"}


def _project(rng: Random, users: list[Json]) -> Json:
    name = f"{pick(rng, TEAMS)} {pick(rng, STAGES)}"
    risk = {"businessImpact": weighted(rng, {"MBI": 0.6, "HBI": 0.25, "LBI": 0.15}), "isRegulated": "NO"}
    return {
        "id": uuid(rng),
        "name": name.title(),
        "slug": f"{name.replace(' ', '-')}-{rng.getrandbits(16):04x}",
        "isFolder": rng.random() < 0.1,
        "businessUnit": pick(rng, BUSINESS_UNITS),
        "projectOwners": [pick(rng, users)],
        "riskProfile": risk,
        "description": f"What {name} runs.",
        "createdAt": "2025-02-01T08:00:00Z",
        "modifiedAt": "2025-06-01T08:00:00Z",
        "updatedAt": "2025-06-01T08:00:00Z",
        "teamMemberCount": 1,
    }


def _subscription(rng: Random, projects: list[Json]) -> Subscription:
    cloud = weighted(rng, CLOUDS)
    external = digits(rng, 12) if cloud == "AWS" else uuid(rng) if cloud == "Azure" else f"example-{digits(rng, 6)}"
    owners = [p for p in projects if rng.random() < 0.4] or [pick(rng, projects)]
    name = f"{pick(rng, TEAMS)}-{pick(rng, STAGES)}"
    return Subscription(id=uuid(rng), cloud=cloud, external_id=external, name=name, projects=owners[:4])
