from door_helpers import is_open, opened_year, who
from panther_core import PantherEvent


def rule(event: PantherEvent) -> bool:
    return is_open(event) and opened_year(event) == 2026


def title(event):
    return f"Door opened by [{who(event)}]"


def severity(event):
    return "high" if who(event) == "<nobody>" else "DEFAULT"


def destinations(event):
    return []


def dedup(event):
    return str(event.get("id"))


def alert_context(event):
    return {"who": who(event), "person": event.get("person")}


def unique(event):
    return who(event)
