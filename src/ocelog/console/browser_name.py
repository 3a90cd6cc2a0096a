"""What a person calls a browser that says of itself what browsers say."""

from ocelog.languages.phrases import Phrase

_BROWSERS = {
    # Most say that they are Chrome or Safari, too: those come last.
    **dict.fromkeys(("Edg/", "EdgA/", "EdgiOS/"), "Edge"),
    **dict.fromkeys(("OPR/", "OPT/"), "Opera"),
    "SamsungBrowser/": "Samsung Internet",
    **dict.fromkeys(("Firefox/", "FxiOS/"), "Firefox"),
    **dict.fromkeys(("Chrome/", "CriOS/"), "Chrome"),
    "Safari/": "Safari",
}
_SYSTEMS = {
    **{name: name for name in ("iPhone", "iPad", "Android", "Windows")},
    "CrOS": "ChromeOS",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}
_LONGEST = 40


def browser_name(user_agent: str) -> str:
    """Return such as `Firefox on Linux`; of what is not known, how its text begins."""
    browser = next((name for sign, name in _BROWSERS.items() if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS.items() if sign in user_agent), None)
    if browser is None or system is None:
        return user_agent[:_LONGEST]
    return Phrase("%(browser)s on %(system)s", browser=browser, system=system)
