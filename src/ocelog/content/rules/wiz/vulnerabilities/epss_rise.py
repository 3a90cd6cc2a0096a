"""Did the likelihood of an exploit rise?"""

from ocelog_wiz import first, number, text


POINTS = 20


def rule(event):
    risen = number(event, "epss_percent") - number(event, "before_percent", default=100.0)
    return bool(text(event, "name")) and risen >= POINTS


def title(event):
    return f"EPSS of {first(event, 'name')} rose to {number(event, 'epss_percent'):.0f}%"


def dedup(event):
    return ":".join(first(event, name) for name in ("p_source_id", "name"))
