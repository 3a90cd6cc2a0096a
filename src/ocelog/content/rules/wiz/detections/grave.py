"""Did Wiz detect something grave?"""

from ocelog_wiz import first, text


def rule(event):
    return text(event, "severity").upper() in {"CRITICAL", "HIGH"}


def title(event):
    resource = first(event, "primaryResource.name", "primaryResource.externalId", default="an unknown resource")
    return f"Wiz detection: {first(event, 'title', 'tdrId', default='without a title')} on {resource}"


def dedup(event):
    return text(event, "id")


def severity(event):
    return text(event, "severity", default="DEFAULT")
