"""Did a vulnerability open on many assets at once?"""

from ocelog_wiz import first, text


LEAST = 50


def rule(event):
    assets = event.get("assets")
    grave = text(event, "severity") in {"CRITICAL", "HIGH"}
    return grave and bool(text(event, "name")) and isinstance(assets, int) and assets >= LEAST


def title(event):
    return f"{first(event, 'name')} opened on many assets within a day"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "name"))
