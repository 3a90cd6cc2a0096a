"""Is a threat open?"""

from ocelog_wiz import is_open, issue_name, text


def rule(event):
    return (
        is_open(event)
        and text(event, "type") == "THREAT_DETECTION"
        and text(event, "severity") in {"CRITICAL", "HIGH", "MEDIUM"}
    )


def title(event):
    return f"Wiz threat: {issue_name(event)}"


def severity(event):
    return text(event, "severity", default="DEFAULT")
