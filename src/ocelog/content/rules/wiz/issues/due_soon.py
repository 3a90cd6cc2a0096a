"""Is a critical issue due soon?"""

from ocelog_wiz import first, text


def rule(event):
    return bool(text(event, "due_at")) and text(event, "severity") == "CRITICAL"


def title(event):
    return f"Critical Wiz issue due soon: {first(event, 'issue_name')} on {first(event, 'resource_name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "id", "due_at"))
