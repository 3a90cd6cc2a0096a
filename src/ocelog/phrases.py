"""Texts that a person may read in another language: what they say stays apart from the values in them."""

from collections.abc import Mapping
from typing import Any, Self


class Phrase(str):
    """A text in English whose `%(name)s` are filled in, and which remembers what it was made of.

    Whoever shows it to a person looks up `template` in the catalogue of their language, and fills in `values` there.
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Self:
        """Return `template` with `values` in it."""
        made = super().__new__(cls, template % values if values else template)
        made.template, made.values = template, values
        return made


def translatable(text: str) -> str:
    """Return `text` as it is: it is in the catalogue, and whoever shows it looks it up."""
    return text
