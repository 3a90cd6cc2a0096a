"""What runs in a tenant: machines, containers, images, functions, buckets, as findings and issues show them."""

from dataclasses import dataclass
from random import Random
from typing import Any

from wizsim.dice import digits, pick, uuid, weighted
from wizsim.vocabulary import REGIONS, ROLES, STAGES, TEAMS

Json = dict[str, Any]

KINDS = {
    "VirtualMachine": 0.38,
    "ContainerImage": 0.3,
    "Container": 0.14,
    "Serverless": 0.08,
    "VirtualMachineImage": 0.03,
    "RepositoryBranch": 0.03,
    "PaaSResource": 0.02,
    "NetworkAddress": 0.01,
    "Endpoint": 0.01,
}
OBJECT_TYPES = {
    "VirtualMachine": "VIRTUAL_MACHINE",
    "ContainerImage": "CONTAINER_IMAGE",
    "Container": "CONTAINER",
    "Serverless": "SERVERLESS",
    "VirtualMachineImage": "VIRTUAL_MACHINE_IMAGE",
    "RepositoryBranch": "REPOSITORY_BRANCH",
    "PaaSResource": "WEB_SERVICE",
    "NetworkAddress": "NETWORK_ADDRESS",
    "Endpoint": "ENDPOINT",
}
NATIVE_TYPES = {
    "VirtualMachine": "virtualMachine",
    "ContainerImage": "containerImage",
    "Container": "container",
    "Serverless": "lambda",
    "VirtualMachineImage": "machineImage",
    "RepositoryBranch": "branch",
    "PaaSResource": "appService",
    "NetworkAddress": "publicIP",
    "Endpoint": "workstation",
}
SYSTEMS = {"Linux": 0.82, "Windows": 0.18}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A cloud account, and the projects that own what runs in it."""

    id: str
    cloud: str
    external_id: str
    name: str
    projects: list[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Something that runs: as a finding shows it, and the projects that it belongs to."""

    shown: Json
    projects: list[Json]


def make_asset(rng: Random, subscription: Subscription) -> Asset:
    """Draw one asset in `subscription`."""
    kind = weighted(rng, KINDS)
    cloud = subscription.cloud
    region = pick(rng, REGIONS[cloud])
    name = f"{pick(rng, TEAMS)}-{pick(rng, ROLES)}-{rng.getrandbits(20):05x}"
    unique = _provider_id(rng, subscription, kind, region, name)
    wide = rng.random() < 0.07
    shown = {
        "__typename": f"VulnerableAsset{kind}",
        "id": uuid(rng),
        "type": OBJECT_TYPES[kind],
        "name": name,
        "region": region,
        "providerUniqueId": unique,
        "externalId": unique,
        "cloudProviderURL": _console(cloud, region, unique) if rng.random() < 0.9 else "",
        "cloudPlatform": cloud,
        "nativeType": NATIVE_TYPES[kind],
        "status": weighted(rng, {"Active": 0.9, "Inactive": 0.08, "Error": 0.02}),
        "subscriptionName": subscription.name,
        "subscriptionExternalId": subscription.external_id,
        "subscriptionId": subscription.id,
        "resourceGroupExternalId": f"rg-{name[:12]}" if cloud == "Azure" else "",
        "tags": _tags(rng, name),
        "hasLimitedInternetExposure": wide or rng.random() < 0.1,
        "hasWideInternetExposure": wide,
        "isAccessibleFromVPN": rng.random() < 0.2,
        "isAccessibleFromOtherVnets": rng.random() < 0.3,
        "isAccessibleFromOtherSubscriptions": rng.random() < 0.1,
        "isUsedOnPrem": False,
        "scanSource": ["WORKLOAD"],
        **_peculiar(rng, kind, unique),
    }
    return Asset(shown=shown, projects=subscription.projects)


def entity_of(asset: Json) -> Json:
    """Show `asset` as an issue does, frozen at the issue's birth."""
    return {
        "id": asset["id"],
        "type": asset["type"],
        "nativeType": asset["nativeType"],
        "name": asset["name"],
        "status": asset["status"],
        "cloudPlatform": asset["cloudPlatform"],
        "cloudProviderURL": asset["cloudProviderURL"],
        "providerId": asset["providerUniqueId"],
        "externalId": asset["externalId"],
        "region": asset["region"],
        "resourceGroupExternalId": asset["resourceGroupExternalId"],
        "subscriptionExternalId": asset["subscriptionExternalId"],
        "subscriptionId": asset["subscriptionId"],
        "subscriptionName": asset["subscriptionName"],
        "subscriptionTags": {},
        "tags": asset["tags"],
        "createdAt": None,
    }


def _provider_id(rng: Random, subscription: Subscription, kind: str, region: str, name: str) -> str:
    cloud, account = subscription.cloud, subscription.external_id
    if kind in {"ContainerImage", "Container"}:
        return f"sha256:{rng.getrandbits(256):064x}"
    if cloud == "AWS":
        if kind == "Serverless":
            return f"arn:aws:lambda:{region}:{account}:function:{name}"
        return f"arn:aws:ec2:{region}:{account}:instance/i-{rng.getrandbits(68):017x}"
    if cloud == "Azure":
        return (
            f"/subscriptions/{account}/resourceGroups/rg-{name[:12]}/providers/Microsoft.Compute/virtualMachines/{name}"
        )
    return f"https://www.googleapis.com/compute/v1/projects/{account}/zones/{region}-a/instances/{digits(rng, 19)}"


def _console(cloud: str, region: str, unique: str) -> str:
    if cloud == "AWS":
        return f"https://{region}.console.aws.amazon.com/ec2/v2/home?region={region}#InstanceDetails:instanceId={unique[-19:]}"
    if cloud == "Azure":
        return f"https://portal.azure.com/#@example.onmicrosoft.com/resource/{unique}"
    return f"https://console.cloud.google.com/compute/instancesDetail/{unique[-19:]}"


def _tags(rng: Random, name: str) -> Json:
    if rng.random() < 0.3:
        return {}
    tags = {"Name": name, "Environment": pick(rng, STAGES), "Owner": pick(rng, TEAMS)}
    for extra in range(int(rng.lognormvariate(0.0, 1.0))):
        tags[f"cost-{extra}"] = f"{rng.getrandbits(24):06x}"
    return tags


def _peculiar(rng: Random, kind: str, unique: str) -> Json:
    match kind:
        case "VirtualMachine":
            return {
                "operatingSystem": weighted(rng, SYSTEMS),
                "ipAddresses": _addresses(rng),
                "imageName": "golden-2026.07",
            }
        case "ContainerImage":
            facts: Json = {"imageId": unique, "imageTags": ["latest"], "isPublic": False}
        case "Container":
            pod = f"pod-{rng.getrandbits(24):06x}"
            facts = {"PodName": pod, "PodNamespace": pick(rng, TEAMS), "ServerlessContainer": False}
        case "Serverless":
            facts = {"runtime": pick(rng, ("python3.12", "nodejs22.x", "java21"))}
        case "NetworkAddress":
            facts = {"address": f"198.51.100.{rng.getrandbits(8)}", "addressType": "IPV4"}
        case "RepositoryBranch":
            facts = {"repositoryId": uuid(rng), "repositoryName": f"example/{pick(rng, TEAMS)}"}
        case _:
            facts = {}
    return facts


def _addresses(rng: Random) -> list[str]:
    count = 1 + (rng.random() < 0.3)
    inside = [f"10.{rng.getrandbits(8)}.{rng.getrandbits(8)}.{1 + rng.getrandbits(7)}" for _ in range(count)]
    return [*inside, f"203.0.113.{rng.getrandbits(8)}"] if rng.random() < 0.2 else inside
