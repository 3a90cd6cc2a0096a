"""Is a vulnerability that is likely to be exploited open to the internet?"""

from ocelog_wiz import finding_name, is_exposed, is_open, number


LIKELY = 50.0
"""Per cent, within 30 days."""


def rule(event):
    return is_open(event) and number(event, "epssProbability") >= LIKELY and is_exposed(event)


def title(event):
    return f"Likely to be exploited, and exposed to the internet: {finding_name(event)}"
