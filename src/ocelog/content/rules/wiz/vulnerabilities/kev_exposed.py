"""Is a vulnerability that is exploited in the wild open to the internet?"""

from ocelog_wiz import finding_name, is_exposed, is_open


def rule(event):
    return is_open(event) and event.get("hasCisaKevExploit") is True and is_exposed(event)


def title(event):
    return f"Exploited in the wild, and exposed to the internet: {finding_name(event)}"
