"""Is a grave vulnerability new in the estate?"""

from ocelog_wiz import first, text


def rule(event):
    grave = text(event, "severity") == "CRITICAL" and event.get("has_exploit") is True
    return bool(text(event, "name")) and (grave or event.get("is_kev") is True)


def title(event):
    return f"New in the estate: {first(event, 'name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "name"))
