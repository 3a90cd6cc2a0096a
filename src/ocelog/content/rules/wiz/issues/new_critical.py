"""Is a critical issue open?"""

from ocelog_wiz import is_open, issue_name, text


def rule(event):
    return is_open(event) and text(event, "severity") == "CRITICAL" and text(event, "type") != "THREAT_DETECTION"


def title(event):
    return f"Critical Wiz issue: {issue_name(event)}"
