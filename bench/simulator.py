"""How fast the simulator is: pages of 500 findings a second, repeated and anew, and small worlds a second.

The simulator runs as a process of its own, so that figures are of one core of it; the client only counts bytes.
"""

import http.client
import json
import subprocess
import sys
import time
from statistics import median
from urllib.parse import urlencode, urlsplit

from wizsim.world import World

DOCUMENT = """
query Findings($after: String) {
  vulnerabilityFindings(first: 500, after: $after, filterBy: {status: [OPEN, IN_PROGRESS, RESOLVED, REJECTED]}) {
    totalCount maxCountReached pageInfo { endCursor hasNextPage }
    nodes {
      id portalUrl name CVEDescription CVSSSeverity score exploitabilityScore impactScore dataSourceName hasExploit
      hasCisaKevExploit status vendorSeverity severity firstDetectedAt lastDetectedAt resolvedAt updatedAt description
      remediation detailedName version fixedVersion detectionMethod link locationPath resolutionReason epssSeverity
      epssPercentile epssProbability validatedInRuntime layerMetadata { id details isBaseLayer }
      projects { id name slug businessUnit riskProfile { businessImpact } }
      ignoreRules { id name enabled expiredAt }
      vulnerableAsset {
        ... on VulnerableAssetBase {
          id type name region providerUniqueId cloudProviderURL cloudPlatform status subscriptionName
          subscriptionExternalId subscriptionId tags hasLimitedInternetExposure hasWideInternetExposure
          isAccessibleFromVPN isAccessibleFromOtherVnets isAccessibleFromOtherSubscriptions
        }
        ... on VulnerableAssetVirtualMachine { operatingSystem ipAddresses }
      }
    }
  }
}
"""


class Client:
    """One connection to a simulator that was started as a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "wizsim", "serve", "--bare", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout
        token_url, api_url, client_id, secret = (self.process.stdout.readline().strip() for _ in range(4))
        self.connection = http.client.HTTPConnection(urlsplit(api_url).netloc)
        form = {"grant_type": "client_credentials", "audience": "wiz-api", "client_id": client_id}
        self.connection.request("POST", urlsplit(token_url).path, urlencode({**form, "client_secret": secret}))
        self.token = json.loads(self.connection.getresponse().read())["access_token"]

    def page(self, after: str | None = None, *, zipped: bool = False) -> bytes:
        """Ask for one page of 500 findings."""
        headers = {"authorization": f"Bearer {self.token}", **({"accept-encoding": "gzip"} if zipped else {})}
        body = json.dumps({"query": DOCUMENT, "variables": {"after": after}})
        self.connection.request("POST", "/graphql", body, headers)
        return self.connection.getresponse().read()

    def stop(self) -> None:
        """End the simulator."""
        self.process.terminate()
        self.process.wait(10)


def repeated(client: Client, *, zipped: bool) -> float:
    """Return pages a second of one repeated question."""
    client.page(zipped=zipped)
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(60):
            client.page(zipped=zipped)
        rates.append(60 / (time.perf_counter() - began))
    return median(rates)


def fresh(client: Client) -> float:
    """Return milliseconds of a page that is asked for the first time, median of all."""
    times: list[float] = []
    after, more = None, True
    while more:
        began = time.perf_counter()
        body = client.page(after)
        times.append(1000 * (time.perf_counter() - began))
        info = json.loads(body)["data"]["vulnerabilityFindings"]["pageInfo"]
        after, more = info["endCursor"], info["hasNextPage"]
    return median(times)


def main() -> None:
    """Print the figures."""
    client = Client("--findings", "20000")
    try:
        print(f"one page: {len(client.page()) / 1e6:.2f} MB, gzip {len(client.page(zipped=True)) / 1e6:.2f} MB")
        print(f"anew: {fresh(client):.1f} ms a page")
        print(
            f"repeated: {repeated(client, zipped=False):.0f} pages/s; gzip {repeated(client, zipped=True):.0f} pages/s"
        )
    finally:
        client.stop()
    began = time.perf_counter()
    for seed in range(100):
        World(seed=seed, audit=5, issues=20, findings=20, rate=1.0)
    print(f"a world of 45 records: {10 * (time.perf_counter() - began):.2f} ms")


if __name__ == "__main__":
    main()
