"""Is an issue open again that was closed?"""

from ocelog_wiz import first, text


def rule(event):
    closed = text(event, "before") in {"RESOLVED", "REJECTED"}
    return closed and text(event, "severity") in {"CRITICAL", "HIGH"}


def title(event):
    return f"Wiz issue open again: {first(event, 'issue_name')} on {first(event, 'resource_name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "id"))
