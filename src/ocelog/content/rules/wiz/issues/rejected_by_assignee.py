"""Was an issue rejected by the person who should have fixed it?"""

from ocelog_wiz import issue_name, text


def rule(event):
    assignee = text(event, "assignee", "id")
    rejected = text(event, "status") == "REJECTED" and text(event, "severity") in {"CRITICAL", "HIGH"}
    return rejected and bool(assignee) and assignee == text(event, "resolvedBy", "user", "id")


def title(event):
    return f"Wiz issue rejected by its own assignee: {issue_name(event)}"


def dedup(event):
    return text(event, "id")
