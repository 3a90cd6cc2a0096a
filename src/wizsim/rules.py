"""Which rules raise issues: controls, configuration rules and event rules, with what they say and map to."""

from typing import Any

Json = dict[str, Any]

FRAMEWORKS = (
    ("NIST CSF v1.1", "9 Data Security (PR.DS)", "2 Data-in-transit is protected"),
    ("CIS Controls v8", "3 Data Protection", "3.10 Encrypt sensitive data in transit"),
    ("PCI DSS v4.0", "1 Network security controls", "1.4.1 Controls between trusted and untrusted networks"),
    ("MITRE ATT&CK Cloud Matrix", "Initial Access", "Exploit Public-Facing Application"),
    ("ISO/IEC 27001", "A.8 Technological controls", "A.8.9 Configuration management"),
    ("NIST SP 800-53 Revision 5", "SI System and Information Integrity", "SI-2 Flaw remediation"),
)

MADE = "2025-03-02T09:00:00Z"
"""When the rules came to the tenant; the vendor wrote them all."""


def _sub_categories(first: int, count: int) -> list[Json]:
    chosen = [(n % len(FRAMEWORKS), FRAMEWORKS[n % len(FRAMEWORKS)]) for n in range(first, first + count)]
    return [
        {
            "id": f"wsct-id-{n}",
            "externalId": title.split(" ")[0],
            "title": title,
            "category": {
                "id": f"wct-id-{n}",
                "name": category,
                "framework": {"id": f"wf-id-{n}", "enabled": True, "name": framework},
            },
        }
        for n, (framework, category, title) in chosen
    ]


def _control(number: int, name: str, why: str, how: str, mapped: int) -> Json:
    return {
        "__typename": "Control",
        "id": f"wc-id-{number}",
        "name": name,
        "description": why,
        "descriptionPlainText": why,
        "resolutionRecommendation": how,
        "createdAt": MADE,
        "managedBy": "BUILT_IN",
        "securitySubCategories": _sub_categories(number, mapped),
        "builtin": True,
        "enabled": True,
        "severity": "HIGH",
        "type": "SECURITY_GRAPH",
        "risks": ["EXTERNAL_EXPOSURE"],
        "threats": ["INITIAL_ACCESS"],
    }


def _configuration(number: int, name: str, why: str, how: str, service: str) -> Json:
    return {
        "__typename": "CloudConfigurationRule",
        "id": f"cc-id-{number}",
        "name": name,
        "description": why,
        "remediationInstructions": how,
        "serviceType": service,
        "cloudProvider": service,
        "subjectEntityType": "BUCKET",
        "builtin": True,
        "createdAt": MADE,
        "updatedAt": MADE,
        "createdByType": "BUILT_IN",
        "enabled": True,
        "findingTitle": name,
        "functionAsControl": True,
        "severity": "MEDIUM",
        "shortId": f"{service}-{number:03}",
        "source": "WIZ_CSPM",
        "securitySubCategories": _sub_categories(number, 2),
    }


def _event(number: int, name: str, why: str, source: str) -> Json:
    return {
        "__typename": "CloudEventRule",
        "id": f"cer-{number}",
        "name": name,
        "description": why,
        "sourceType": source,
        "type": "SINGLE",
        "builtin": True,
        "createdAt": MADE,
        "updatedAt": MADE,
        "enabled": True,
        "generateIssues": True,
        "releaseStage": "RELEASED",
        "severity": "HIGH",
        "version": 1,
        "securitySubCategories": _sub_categories(number, 1),
    }


CONTROLS = (
    _control(
        3206,
        "Publicly exposed machine with a known exploited vulnerability",
        "The machine can be reached from the internet and runs software for which an exploit is in use.",
        "### Close the way in\n* Restrict the security group.\n* Update the software.",
        5,
    ),
    _control(
        1114,
        "Machine with high privileges and cleartext cloud keys",
        "Keys that lie on disk let whoever gains the machine act with the rights of an administrator.",
        "### Remove the keys\n* Use the machine's own role.\n* Rotate what was on disk.",
        3,
    ),
    _control(
        2027,
        "Container image with critical findings runs in a privileged pod",
        "A privileged pod shares the host's kernel; one flaw in the image reaches the node.",
        "* Drop privileges.\n* Rebuild the image on a patched base.",
        2,
    ),
)
CONFIGURATIONS = (
    _configuration(
        5, "Bucket allows public read", "Anyone may list the bucket.", "Turn on Block Public Access.", "AWS"
    ),
    _configuration(
        61, "Disk is not encrypted", "Snapshots of the disk can be read.", "Encrypt it with a managed key.", "Azure"
    ),
    _configuration(88, "Firewall rule opens SSH to the world", "SSH is open to 0.0.0.0/0.", "Narrow the range.", "GCP"),
)
EVENTS = (
    _event(700, "Root account signed in without MFA", "The root account was used.", "WIZ"),
    _event(712, "Reverse shell from a container", "A shell talks to an address on the internet.", "WIZ_SENSOR"),
)
BY_TYPE = {
    "TOXIC_COMBINATION": CONTROLS,
    "RISK_TOXIC_COMBINATION": CONTROLS,
    "CLOUD_CONFIGURATION": CONFIGURATIONS,
    "ATTACK_SURFACE": CONTROLS,
    "THREAT_DETECTION": EVENTS,
}
