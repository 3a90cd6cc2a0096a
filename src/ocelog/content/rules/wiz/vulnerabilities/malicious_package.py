"""Is a malicious package installed?"""

from ocelog_wiz import finding_name, is_open, text


def rule(event):
    return is_open(event) and text(event, "name").upper().startswith("MAL-")


def title(event):
    return f"Malicious package: {finding_name(event)}"
