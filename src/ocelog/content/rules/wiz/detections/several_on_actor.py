"""Are there several detections on one actor?"""

from ocelog_wiz import first, text


def rule(event):
    return bool(first(event, "primaryActor.id", "primaryActor.externalId", default=""))


def title(event):
    actor = first(event, "primaryActor.name", "primaryActor.externalId", "primaryActor.id")
    return f"Several Wiz detections on one actor: {actor}"


def dedup(event):
    return first(event, "primaryActor.id", "primaryActor.externalId")


def unique(event):
    return first(event, "tdrId", "title", "id")
