"""Texts that the ledger keeps in English: how they are written, and how a reader gets them in another language.

The ledger keeps what came out, without what it was made of. Of the texts that the catalogue knows, the one that it can
have been made of is found again, with its values.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any

from msgspec import Struct

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase, catalogue, translated
from ocelog.units import about, duration

FORMER: Sequence[str] = (
    "By severity: %(counts)s. Nobody was told of each; who escalates or comes back is.",
    "What was to be sent to the channel %(channel)s (%(kind)s) was given up. The last answer was: %(why)s",
    "No channel takes some of the alerts",
    (
        "Nobody is told of some alerts, since no channel is subscribed to them. One of them is of the rule %(rule)s, "
        "%(severity)s, %(type)s: %(id)s"
    ),
    "See what each channel takes: ocelog channel list",
    (
        "See where its file is (ocelog rules show %(rule)s), and mend the rule, or its query. Try it (ocelog rules try "
        "%(rule)s), and have it judge what it missed: ocelog rules replay %(rule)s"
    ),
    (
        "Mend the rule, try it (ocelog rules try %(rule)s), and have it judge what it missed: ocelog rules replay "
        "%(rule)s"
    ),
)
"""What was written before, and may be in a ledger still."""
_NAMED = re.compile(r"%\((\w+)\)s|%%")
_SHAPES = {
    "count": r"[0-9][0-9,]*",
    "time": r"[0-9,]+[dhms](?: [0-9,]+[dhms])?",
    "instant": r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:]+(?: UTC|Z)",
    "severity": r"[A-Z]+",
    "before": r"[A-Z]+",
    "log_type": r"\S+",
    "id": r"\S+",
    "kind": r"[a-z]+",
}
"""How values with these names look. Any other may be anything."""
_PARTS = frozenset({"why", "note"})
"""Values that are such texts themselves."""
_LEAST = 24
"""Letters that a text must have besides its values, so that it is found in what others may have written."""
_LONGEST = 2_000
"""Characters of what is looked at together. Far ends write a part of it, and a look takes time as its cube at worst."""
_MOST_LINES = 100
_MOST_SENTENCES = 12
_ENDS = re.compile(r"(?<=[.;]) ")


def kept_text(text: str, /, **values: Any) -> str:
    """Return a text of the catalogue with its values, for the ledger: `reworded` finds out what it was made of."""
    return text % values if values else text


def keepable(text: str) -> str:
    """Return `text` as it is: it is in the catalogue, and is given to `kept_text` elsewhere."""
    return text


class _Template(Struct, frozen=True):
    """A text of the catalogue, and how what is made of it is recognised."""

    text: str
    begins: str
    ends: str
    letters: int

    def values(self, made: str) -> dict[str, str] | None:
        """Return of which values `made` was made; None: it was not made of this text."""
        if not (made.startswith(self.begins) and made.endswith(self.ends)):
            return None
        found = _pattern(self.text).fullmatch(made)
        return None if found is None else found.groupdict()


@cache
def _pattern(text: str) -> "re.Pattern[str]":
    """Return what matches all that can be made of a text."""
    pattern, end, seen = "", 0, set[str]()
    for found in _NAMED.finditer(text):
        pattern += re.escape(text[end : found.start()])
        name, end = found[1], found.end()
        if name is None:
            pattern += "%"
        elif name in seen:
            pattern += f"(?P={name})"
        else:
            seen.add(name)
            pattern += f"(?P<{name}>{_SHAPES.get(name, '.+?')})"
    return re.compile(pattern + re.escape(text[end:]), re.DOTALL)


@cache
def _template(text: str) -> _Template:
    fixed = _NAMED.split(text)[::2]
    letters = sum(map(str.isalpha, "".join(fixed)))
    return _Template(text, fixed[0].replace("%%", "%"), fixed[-1].replace("%%", "%"), letters)


@cache
def _templates(language: str) -> tuple[list[_Template], list[_Template]]:
    """Return the texts that are kept, and others that nobody else would write; first those that say most."""
    known = catalogue(language)
    own = {*known.kept, *FORMER}
    others = (each for each in known.texts if each not in own)
    return _sorted(own), [each for each in _sorted(others) if each.letters >= _LEAST]


def _sorted(texts: Iterable[str]) -> list[_Template]:
    return sorted((_template(each) for each in texts), key=lambda each: (-each.letters, each.text))


def recognised(made: str, texts: Iterable[str]) -> Phrase | None:
    """Return a kept text as what it was made of, if that is one of `texts`."""
    return _found(made, map(_template, texts))


def _found(made: str, templates: Iterable[_Template]) -> Phrase | None:
    for each in templates:
        if (values := each.values(made)) is not None:
            return Phrase(each.text, **values)
    return None


@lru_cache(maxsize=4_096)
def reworded(text: str, language: str) -> str:
    """Return a kept text in a language: all of it, or those of its lines and sentences that are known."""
    if language == "en" or not text:
        return text
    whole = _whole(text, language)
    if whole is not None:
        return whole
    lines = text.split("\n")
    return "\n".join([*(_line(each, language) for each in lines[:_MOST_LINES]), *lines[_MOST_LINES:]])


def _whole(text: str, language: str) -> str | None:
    if len(text) > _LONGEST:
        return None
    for templates in _templates(language):
        if (found := _found(text, templates)) is not None:
            return in_language(found, language)
    return None


def in_language(found: Phrase, language: str) -> str:
    """Return what was recognised in a language, and so what its values are known to be."""
    values = {name: _value(name, value, language) for name, value in found.values.items()}
    return translated(Phrase(found.template, **values), language)


def _value(name: str, value: str, language: str) -> str:
    if name in _PARTS:
        return reworded(value, language)
    return _length(value) if name == "time" else value


def _length(text: str) -> str:
    try:
        return about(sum((duration(each.replace(",", "")) for each in text.split()), timedelta(0)))
    except ConfigError:
        return text


def _line(line: str, language: str) -> str:
    """Return a line in a language, some sentences of it at a time."""
    said = list[str]()
    sentences = _ENDS.split(line, maxsplit=_MOST_SENTENCES)
    while sentences:
        for count in range(len(sentences), 0, -1):
            if (found := _whole(" ".join(sentences[:count]), language)) is not None:
                break
            # What a ";" joins was a text of its own.
            if (found := _bare(" ".join(sentences[:count]), language)) is not None:
                break
        else:
            count, found = 1, sentences[0]
        said.append(found)
        del sentences[:count]
    return " ".join(said)


def _bare(text: str, language: str) -> str | None:
    found = _whole(text[:-1], language) if text.endswith(";") else None
    return None if found is None else f"{found};"
