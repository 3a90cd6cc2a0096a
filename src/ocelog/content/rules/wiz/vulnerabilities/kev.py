"""Is a vulnerability that is exploited in the wild open?"""

from ocelog_wiz import finding_name, is_open


def rule(event):
    return is_open(event) and event.get("hasCisaKevExploit") is True


def title(event):
    return f"Exploited in the wild: {finding_name(event)}"
