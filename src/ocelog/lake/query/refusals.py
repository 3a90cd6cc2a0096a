"""How the child that asks queries hands on what it refuses, so that its parent can still translate it."""

import re
from typing import Any

from ocelog.languages.phrases import Phrase

_TEMPLATE = re.compile(r"(?:[^%]|%%|%\(\w{1,40}\)s){1,2000}", re.DOTALL)
"""Values as they are, and no width that fills memory: the child may be hostile."""
_DEEPEST = 4


def taken_apart(text: str) -> Any:
    """Return a text as what it was made of, fit to be sent as JSON."""
    if not isinstance(text, Phrase):
        return str(text)
    return [text.template, {name: taken_apart(each) for name, each in text.values.items()}]


def put_together(parts: Any, text: str) -> str:
    """Return what `taken_apart` took apart if it says `text`, else `text`. Who sent it may be hostile."""
    try:
        found = _phrase(parts, 0)
    except (ValueError, KeyError, TypeError):
        return text
    return found if found == text else text


def _phrase(parts: Any, depth: int) -> str:
    match parts:
        case str():
            return parts
        case [str(template), dict(values)] if depth < _DEEPEST and _TEMPLATE.fullmatch(template):
            return Phrase(template, **{str(name): _phrase(each, depth + 1) for name, each in values.items()})
        case _:
            raise ValueError(parts)
