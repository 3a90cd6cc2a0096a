"""Was a critical issue rejected?"""

from ocelog_wiz import first, issue_name, text


def rule(event):
    return text(event, "status") == "REJECTED" and text(event, "severity") == "CRITICAL"


def title(event):
    return f"Critical Wiz issue rejected: {issue_name(event)}"


def dedup(event):
    return text(event, "id")


def description(event):
    reason = first(event, "resolutionReason", default="no reason")
    return f"Rejected by {first(event, 'resolvedBy.user.name', 'resolvedBy.serviceAccount.name')}, with {reason}."
