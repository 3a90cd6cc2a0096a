"""Was the service account of Ocelog used by another program?"""

from ocelog_wiz import first, text


def rule(event):
    program = text(event, "userAgent")
    return bool(program) and not program.lower().startswith("ocelog/")


def title(event):
    return f"Wiz: {first(event, 'account', 'account_id')}, the account of Ocelog, was used by {first(event, 'userAgent')}"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "account_id", "userAgent", "sourceIP"))
