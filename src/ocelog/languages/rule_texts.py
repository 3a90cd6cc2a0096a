"""What the rules that come along say, and their alerts, as a person reads it in another language."""

import re
from functools import cache

from ocelog.languages.phrases import catalogue

ACTION = "{action}"
"""Stands in the titles of alerts for the action of the event."""
_OURS = "Ocelog."


def comes_along(rule_id: str) -> bool:
    """Whether a rule or pack is one of those that come along."""
    return rule_id.startswith(_OURS)


def title_in(language: str, title: str, rule_id: str) -> str:
    """Return the title of a rule or pack that comes along, or of an alert of it, in a language; any other as it is.

    What the title of an alert names stays as it is: an action, or what stands behind a colon.
    """
    if language == "en" or not comes_along(rule_id):
        return title
    texts = catalogue(language)
    if texts.has(title):
        return texts.gettext(title)
    for pattern, text in _titles_of_actions(language):
        if (found := pattern.fullmatch(title)) is not None:
            return text.replace(ACTION, found["action"])
    head, colon, rest = title.partition(": ")
    return f"{texts.gettext(head)}: {rest}" if colon and texts.has(head) else title


def text_in(language: str, text: str, rule_id: str) -> str:
    """Return the description or the runbook of a rule that comes along in a language; any other as it is.

    One that an alert keeps, and that its rule no longer has, is such another.
    """
    return text if language == "en" or not comes_along(rule_id) else catalogue(language).gettext(text)


@cache
def _titles_of_actions(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the titles that name an action: what matches them, and what they are in a language."""
    texts = catalogue(language)
    return [
        (re.compile(re.escape(each).replace(re.escape(ACTION), r"(?P<action>\S+)")), texts.gettext(each))
        for each in texts.texts
        if ACTION in each
    ]
