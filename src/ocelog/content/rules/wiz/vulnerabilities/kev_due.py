"""Is a vulnerability that is exploited in the wild due soon?"""

from ocelog_wiz import first, text


def rule(event):
    return bool(text(event, "name")) and bool(text(event, "due_at"))


def title(event):
    return f"Due by CISA on {first(event, 'due_at')[:10]}, and open: {first(event, 'name')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "name", "due_at"))


def severity(event):
    exposed = event.get("exposed_assets")
    return "HIGH" if isinstance(exposed, int) and exposed > 0 else "DEFAULT"
