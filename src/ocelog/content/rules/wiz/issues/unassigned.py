"""Is a critical issue nobody's after a week?"""

from ocelog_wiz import first, text


def rule(event):
    return text(event, "severity") == "CRITICAL" and not text(event, "assignee_name")


def title(event):
    return f"Critical Wiz issue without an assignee: {first(event, 'issue_name')} on {first(event, 'resource_name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "id"))
