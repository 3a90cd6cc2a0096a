"""Does one actor reject many issues?"""

from ocelog_wiz import first, text


ACTORS = ("resolvedBy.user.id", "resolvedBy.serviceAccount.id")


def rule(event):
    return text(event, "status") == "REJECTED" and bool(first(event, *ACTORS, default=""))


def title(event):
    return f"Many Wiz issues rejected by {first(event, *ACTORS)}"


def dedup(event):
    return first(event, *ACTORS)


def unique(event):
    return text(event, "id")
