"""Words that titles and groups of our Wiz rules are made of, none of which is ever a null."""


def text(event, *names, default=""):
    """Return the text at the path of `names`, or `default` if there is none."""
    value = event.deep_get(*names)
    return value if isinstance(value, str) and value else default


def first(event, *paths, default="unknown"):
    """Return the first text that one of the dotted `paths` leads to."""
    for path in paths:
        if found := text(event, *path.split(".")):
            return found
    return default


def actor(event):
    """Name who acted: a person, a service account, or at least an address."""
    return first(
        event,
        "user.name",
        "user.id",
        "serviceAccount.name",
        "serviceAccount.id",
        "performer.name",
        "performer.id",
        "sourceIP",
        default="an unknown actor",
    )
