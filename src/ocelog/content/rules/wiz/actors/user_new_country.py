"""Is there a place that a person comes from for the first time, by country?"""

from ocelog_wiz import first, text


def rule(event):
    return bool(text(event, "p_row_id")) and bool(text(event, "place"))


def title(event):
    return f"Wiz: {first(event, 'actor_name', 'actor_id')} came from {first(event, 'sourceIPCountryCode')} for the first time"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "actor_id", "place"))
