"""Is there a fix for a critical vulnerability on an important asset?"""

from ocelog_wiz import finding_name, is_important, is_open, text


def rule(event):
    fixable = text(event, "severity") == "CRITICAL" and bool(text(event, "fixedVersion"))
    return is_open(event) and fixable and is_important(event)


def title(event):
    return f"A fix for an important asset: {finding_name(event)}"
