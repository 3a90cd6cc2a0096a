"""Was a finding rejected that is exploited in the wild?"""

from ocelog_wiz import finding_name, text


def rule(event):
    return text(event, "status") == "REJECTED" and event.get("hasCisaKevExploit") is True


def title(event):
    return f"Rejected, though exploited in the wild: {finding_name(event)}"


def dedup(event):
    return text(event, "id")
