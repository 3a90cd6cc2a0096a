"""Is a high issue open in an important project?"""

from ocelog_wiz import is_important, is_open, issue_name, text


def rule(event):
    return is_open(event) and text(event, "severity") == "HIGH" and is_important(event)


def title(event):
    return f"High Wiz issue in an important project: {issue_name(event)}"
