"""What a page says of a record that does not fit its schema: rejections are kept in English, whoever reads them."""

from collections.abc import Sequence

from ocelog.kept_texts import recognised
from ocelog.languages.phrases import say_in, translatable

_WORDS: Sequence[str] = (
    translatable("%(expected)s: the field is required"),
    translatable("a timestamp there or in %(field)s"),
    translatable("a timestamp (%(formats)s)"),
    translatable("a whole number of %(bits)s bits"),
    translatable("one of %(values)s"),
    translatable("none of %(values)s"),
    translatable("an IP address (%(wanted)s)"),
    translatable("an IP network in CIDR notation (%(wanted)s)"),
    translatable("text of 1 to %(most)s characters, and not only spaces: it identifies the record"),
    translatable("JSON nested %(most)s deep at most"),
    translatable("JSON nested deeper"),
    translatable("JSON nested too deep to be read, or never closed"),
    translatable("text that is not UTF-8 (byte %(place)s)"),
    translatable("text with half of a surrogate pair"),
    translatable("not JSON, %(shown)s (%(error)s)"),
    translatable("not JSON (%(error)s)"),
    translatable("a string, %(shown)s"),
    translatable("a number, %(shown)s"),
    translatable("a boolean, %(shown)s"),
    translatable("text"),
    translatable("a number"),
    translatable("true or false"),
    translatable("JSON"),
    translatable("a list"),
    translatable("an object"),
    translatable("nothing"),
    translatable("null"),
)


def of_record(text: str, language: str) -> str:
    """Return in a language what was expected of a record, or found in it; what is not known as it is."""
    found = recognised(text, _WORDS)
    if found is None:
        return text
    values = {name: of_record(value, language) if name == "expected" else value for name, value in found.values.items()}
    return say_in(language, found.template, **values)
