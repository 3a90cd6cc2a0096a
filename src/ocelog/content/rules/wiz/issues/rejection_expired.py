"""Is an issue open again since its rejection ended?"""

from ocelog_wiz import is_open, issue_name, text


def rule(event):
    return is_open(event) and text(event, "openReason").upper() == "ISSUE_REOPENED_REJECTION_EXPIRED"


def title(event):
    return f"The rejection of a Wiz issue has ended: {issue_name(event)}"
