"""How the child that asks queries hands on what it refuses, translatable still, and what to do about a refusal."""

import re
from itertools import islice
from typing import Any

from ocelog.languages.phrases import Phrase
from ocelog.suggest import nearest

_TEMPLATE = re.compile(r"(?:[^%]|%%|%\(\w{1,40}\)s){1,2000}", re.DOTALL)
"""Values as they are, and no width that fills memory: the child may be hostile."""
_DEEPEST = 4
_KEYWORDS = re.findall(
    r"\w+",
    """
SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET QUALIFY DISTINCT JOIN LEFT RIGHT INNER CROSS UNION INTERSECT EXCEPT
EXCLUDE WITH VALUES BETWEEN CASE WHEN THEN ELSE END CAST OVER PARTITION FILTER INTERVAL
    """,
)
"""Words that people mistype."""
_SYNTAX_ERROR = re.compile(r'^Parser Error: syntax error at or near "([^"]+)"')
_ALIKE = 0.7
"""How much a word must be like one of them."""
_LONGEST, _MOST_WORDS = 40, 20
"""Characters of a word, and words, that are compared with them: a statement may have a million of either."""


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


def explained(text: str, sql: str) -> str:
    """Return what DuckDB says of `sql`, and what to do about it if something is known."""
    if (found := _SYNTAX_ERROR.match(text)) is not None:
        # What is mistyped may be read as a name, so that only the word behind it is wrong.
        at = re.escape(found[1][:_LONGEST])
        before = re.finditer(rf"\b(\w{{1,{_LONGEST}}})\s{{1,{_LONGEST}}}{at}", sql)
        for word in dict.fromkeys((found[1], *(each[1] for each in islice(before, _MOST_WORDS)))):
            if len(word) > _LONGEST or word.upper() in _KEYWORDS:
                continue
            near = nearest(word, _KEYWORDS, cutoff=_ALIKE)
            if near is not None:
                return Phrase("%(text)s\nDid you mean %(near)s instead of %(word)s?", text=text, near=near, word=word)
        return Phrase(
            "%(text)s\nThe mistake is there or just before. Queries are in DuckDB's SQL: https://duckdb.org/docs/sql",
            text=text,
        )
    if text.startswith("Conversion Error"):
        return Phrase(
            "%(text)s\nTo get null for what cannot be converted, write TRY_CAST(x AS type). `ocelog tables T` lists "
            "the columns of a table.",
            text=text,
        )
    return text
