"""Is a grave vulnerability open in code that runs?"""

from ocelog_wiz import finding_name, is_open, text


def rule(event):
    runs = event.get("validatedInRuntime")
    grave = text(event, "severity") == "CRITICAL" and event.get("hasExploit") is True
    return is_open(event) and grave and runs in (True, "true")


def title(event):
    return f"Critical, with an exploit, in code that runs: {finding_name(event)}"
