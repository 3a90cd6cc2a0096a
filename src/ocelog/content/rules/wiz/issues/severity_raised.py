"""Was an open issue raised to high or critical?"""

from ocelog_wiz import first, text


def rule(event):
    return text(event, "severity") in {"CRITICAL", "HIGH"} and bool(text(event, "before"))


def title(event):
    raised = f"{first(event, 'before')} to {first(event, 'severity')}"
    return f"Wiz issue raised from {raised}: {first(event, 'issue_name')} on {first(event, 'resource_name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "id", "severity"))


def severity(event):
    return text(event, "severity", default="DEFAULT")
