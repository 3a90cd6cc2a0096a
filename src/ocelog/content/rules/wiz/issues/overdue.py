"""Has the due date of a grave issue passed?"""

from ocelog_wiz import first, text


def rule(event):
    return bool(text(event, "due_at")) and text(event, "severity") in {"CRITICAL", "HIGH"}


def title(event):
    return f"Wiz issue overdue: {first(event, 'issue_name')} on {first(event, 'resource_name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "id", "due_at"))
