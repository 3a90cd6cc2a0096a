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


def number(event, name, default=0.0):
    """Return the number in the field `name`, or `default` if there is none."""
    value = event.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def is_open(event):
    """Tell whether an issue or a finding is open, or being worked on."""
    return text(event, "status").upper() in {"OPEN", "IN_PROGRESS"}


def is_important(event):
    """Tell whether a record belongs to a project whose business impact is high."""
    impacts = event.deep_walk("projects", "riskProfile", "businessImpact", default=[])
    return impacts == "HBI" or (not isinstance(impacts, str) and "HBI" in impacts)


def is_exposed(event):
    """Tell whether the internet can reach the asset of a finding, all of it or some addresses."""
    asset = event.get("vulnerableAsset") or {}
    return asset.get("hasWideInternetExposure") is True or asset.get("hasLimitedInternetExposure") is True


def issue_name(event):
    """Name an issue by its rule and its resource."""
    rules = event.get("sourceRules") or [{}]
    listed = rules[0].get("name") if hasattr(rules[0], "get") else None
    rule = first(event, "sourceRule.name", default=listed or first(event, "id"))
    return f"{rule} on {first(event, 'entitySnapshot.name', default='an unknown resource')}"


def finding_name(event):
    """Name a finding by its vulnerability, its software and its asset."""
    vulnerability = first(event, "name", "id")
    software = first(event, "detailedName", default="")
    asset = first(event, "vulnerableAsset.name", default="an unknown asset")
    return f"{vulnerability} in {software} on {asset}" if software else f"{vulnerability} on {asset}"
