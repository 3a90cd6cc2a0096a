"""What the rules that come along say, and their alerts, as a person reads it in another language."""

import re
from collections.abc import Mapping
from functools import cache

from ocelog.languages.phrases import catalogue

_PLACE = re.compile(r"\{([a-f]|action)\}")
"""Stands in the title of an alert for a value, such as the action of the event."""
_OURS = "Ocelog."


def comes_along(rule_id: str) -> bool:
    """Whether a rule or pack is one of those that come along."""
    return rule_id.startswith(_OURS)


def title_in(language: str, title: str, rule_id: str) -> str:
    """Return the title of a rule or pack that comes along, or of an alert of it, in a language; any other as it is.

    What the title of an alert names stays as it is: values in their places, or what stands behind a colon.
    """
    if language == "en" or not comes_along(rule_id):
        return title
    texts = catalogue(language)
    if texts.has(title):
        return texts.gettext(title)
    for pattern, text in _titles_with_places(language):
        if (found := pattern.fullmatch(title)) is not None:
            return _filled(text, found.groupdict())
    head, colon, rest = title.partition(": ")
    return f"{texts.gettext(head)}: {rest}" if colon and texts.has(head) else title


def text_in(language: str, text: str, rule_id: str) -> str:
    """Return the description or the runbook of a rule that comes along in a language; any other as it is.

    One that an alert keeps, and that its rule no longer has, is such another.
    """
    return text if language == "en" or not comes_along(rule_id) else catalogue(language).gettext(text)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: values[place[1]], text)


@cache
def _titles_with_places(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the titles that have places for values: what matches them, and what they are in a language."""
    texts = catalogue(language)
    return [(_matching(each), texts.gettext(each)) for each in texts.texts if _PLACE.search(each)]


def _matching(title: str) -> re.Pattern[str]:
    """Return what matches a title. A value ends where the words behind it come first: nothing is tried twice."""
    begin, *parts = map(re.escape, _PLACE.split(title))
    *others, (last, end) = zip(parts[::2], parts[1::2], strict=True)
    value = r"\S+" if last == "action" else ".+"
    inner = "".join(f"(?>(?P<{name}>.+?){behind})" for name, behind in others)
    return re.compile(f"{begin}{inner}(?P<{last}>{value}){end}")
