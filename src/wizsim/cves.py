"""What is known of a vulnerability wherever it is found: its CVE, scores, exploits, the package and the fix."""

from random import Random
from typing import Any

from wizsim.dice import pick, size, weighted
from wizsim.vocabulary import CVSS, EFFECTS, PACKAGES, WEAKNESSES

Json = dict[str, Any]

RANGES = {"CRITICAL": (9.0, 10.0), "HIGH": (7.0, 8.9), "MEDIUM": (4.0, 6.9), "LOW": (0.1, 3.9), "NONE": (0.0, 0.0)}

UNCHECKED = {
    "reachability": "UNCHECKED",
    "runtimeValidationResult": "UNCHECKED",
    "usedInCodeResult": "UNCHECKED",
    "exploitabilityValidationStatus": "UNKNOWN",
    "origin": "WIZ",
}
"""What Wiz says where no sensor has looked."""


def make_cve(rng: Random) -> Json:
    """Draw the part of a finding that all findings of one vulnerability share."""
    package, manager, group = pick(rng, PACKAGES)
    severity = weighted(rng, CVSS)
    name = f"CVE-{rng.randrange(2018, 2027)}-{rng.randrange(1000, 60000)}"
    unscored = rng.random() < 0.04
    exploited = severity in {"CRITICAL", "HIGH"} and rng.random() < 0.12
    major, minor = rng.randrange(1, 9), rng.randrange(0, 20)
    fixed = f"{major}.{minor}.{rng.randrange(2, 30)}"
    return {
        "name": name,
        "CVEDescription": _description(rng, package),
        **_severities(severity, unscored=unscored),
        **_scores(rng, severity, unscored=unscored),
        "dataSourceName": pick(rng, ("NVD", "Red Hat", "Debian", "GitHub Advisory", None)),
        "hasExploit": exploited or rng.random() < 0.08,
        "hasCisaKevExploit": exploited,
        "vendorSeverity": pick(rng, (severity, severity, "MEDIUM", None)),
        **_likelihood(rng, unscored=unscored),
        "version": f"{major}.{minor}.{rng.randrange(0, 2)}",
        **_fix(rng, fixed),
        **_package(package, manager, group),
        "link": f"https://nvd.nist.gov/vuln/detail/{name}",
        "vulnerabilityExternalId": name,
        **UNCHECKED,
        "categories": ["RCE"] if exploited else [],
        "publishedDate": f"20{rng.randrange(18, 27)}-0{rng.randrange(1, 10)}-1{rng.randrange(0, 10)}T00:00:00Z",
        "description": f"The package `{package}` is older than {fixed} and therefore has {name}.",
    }


def _severities(severity: str, *, unscored: bool) -> Json:
    scored = None if unscored else severity
    return {"CVSSSeverity": scored, "severity": severity, "nvdSeverity": scored, "weightedSeverity": None}


def _fix(rng: Random, fixed: str) -> Json:
    known = rng.random() < 0.8
    return {
        "fixedVersion": fixed if known else None,
        "recommendedVersion": fixed if rng.random() < 0.3 else None,
        "hasFix": known,
    }


def _package(package: str, manager: str, group: str) -> Json:
    return {
        "detailedName": package,
        "remediation": f"{_tool(manager)} {package}",
        "artifactType": _artifact(manager, group),
        "codeLibraryLanguage": manager if group == "CODE_LIBRARY" else None,
        "detectionMethod": "PACKAGE" if group == "OS_PACKAGE" else "LIBRARY",
    }


def _description(rng: Random, package: str) -> str:
    opening = f"{package} has {pick(rng, WEAKNESSES)}."
    return " ".join([opening, *(pick(rng, EFFECTS) for _ in range(1 + size(rng, 4, 0.9, 60)))])


def _scores(rng: Random, severity: str, *, unscored: bool) -> Json:
    if unscored:
        return {"score": None, "nvdScore": None, "exploitabilityScore": None, "impactScore": None, "cvssv3": None}
    low, high = RANGES[severity]
    score = round(rng.uniform(low, high), 1)
    metrics = {
        "attackVector": pick(rng, ("NETWORK", "NETWORK", "LOCAL")),
        "attackComplexity": pick(rng, ("LOW", "HIGH")),
    }
    parts = {"exploitabilityScore": round(score * 0.39, 1), "impactScore": round(score * 0.6, 1)}
    return {"score": score, "nvdScore": score, **parts, "cvssv3": {**metrics, "scope": "UNCHANGED"}}


def likelihood(rng: Random, probability: float) -> Json:
    """Return the EPSS fields of a vulnerability that is exploited with `probability` (0 to 1).

    Wiz shows both figures in per cent, 0 to 100, with one decimal; the percentile grows with the probability.
    """
    shown = round(100 * probability, 1)
    percentile = round(100 * shown / (shown + 0.2) * (0.8 + 0.199 * rng.random()), 1)
    severity = "CRITICAL" if shown > 50 else "HIGH" if shown > 10 else "MEDIUM" if shown > 1 else "LOW"
    return {"epssSeverity": severity, "epssPercentile": percentile, "epssProbability": shown}


def _likelihood(rng: Random, *, unscored: bool) -> Json:
    if unscored:
        return {"epssSeverity": None, "epssPercentile": None, "epssProbability": None}
    return likelihood(rng, min(0.97, rng.lognormvariate(-6.0, 1.8)))


def _tool(manager: str) -> str:
    tools = {
        "RPM": "yum update",
        "DPKG": "apt-get install --only-upgrade",
        "APK": "apk upgrade",
        "PYTHON": "pip install -U",
    }
    return tools.get(manager, "Upgrade")


def _artifact(manager: str, group: str) -> Json:
    if group == "OS_PACKAGE":
        return {"group": group, "osPackageManager": manager}
    return {"group": group, "codeLibraryLanguage": manager}
