"""Do logins of many accounts fail from one address?"""

from ocelog_wiz import first, text


def rule(event):
    failed = text(event, "status").upper() in {"FAILED", "INVALID", "ACCESS_DENIED"}
    return failed and text(event, "action").lower() == "login" and bool(text(event, "sourceIP"))


def title(event):
    return f"Failed Wiz logins of many accounts from {first(event, 'sourceIP')}"


def dedup(event):
    return first(event, "sourceIP")


def unique(event):
    return first(event, "user.id", "serviceAccount.id", "performer.id")
