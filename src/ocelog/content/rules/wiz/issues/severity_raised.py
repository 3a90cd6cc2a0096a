"""Was an open issue raised to high or critical?"""

from ocelog_wiz import first, text


def rule(event):
    return text(event, "severity") in {"CRITICAL", "HIGH"} and bool(text(event, "before"))


def title(event):
    before, severity = first(event, "before"), first(event, "severity")
    name, resource = first(event, "issue_name"), first(event, "resource_name")
    return f"Wiz issue raised from {before} to {severity}: {name} on {resource}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "id", "severity"))


def severity(event):
    return text(event, "severity", default="DEFAULT")
