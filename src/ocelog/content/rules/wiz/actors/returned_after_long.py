"""Did an actor come back after a long time?"""

from ocelog_wiz import first

DAYS = 60


def rule(event):
    away = event.get("days_away")
    return isinstance(away, int) and away >= DAYS


def title(event):
    return f"Wiz: {first(event, 'actor_name', 'actor_id')} came back after a long time"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "actor_id"))
