"""Every text of a page is in the catalogue of each language, and no page has a text beside it."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import catalogue
from ocelog.languages.phrases import LANGUAGES
from ocelog.schema.language.packaged import packaged_schemas

TEMPLATES = sorted((catalogue.CONSOLE / "templates").glob("*.html"))
AS_IT_IS = {"Ocelog", "SQL", "CLI", "Esc", "Enter", "Ctrl"}
"""Names, which no language changes."""
SHOWN_ATTRIBUTES = {"title", "aria-label", "placeholder", "alt"}
EXAMPLES = {"you@example.com", "22:00-07:00 Asia/Seoul", "ops"}


class Texts(HTMLParser):
    """Gathers what a page shows: texts, and attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.found += [value for name, value in attrs if name in SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style", "pre"} & set(self._open):
            self.found += [part.strip() for part in data.splitlines() if part.strip()]


def untranslated(template: str) -> list[str]:
    plain = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", template, flags=re.DOTALL)
    texts = Texts()
    texts.feed(plain)
    return [
        each
        for each in texts.found
        if re.search(r"[^\W\d_]{2,}", each) and not set(re.findall(r"\w+", each)) <= AS_IT_IS and each not in EXAMPLES
    ]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_shows_no_text_that_is_not_translated(path: Path) -> None:
    assert untranslated(path.read_text()) == []


def test_a_text_beside_the_catalogue_is_found() -> None:
    assert untranslated('<p title="A hint">{{ _("Known") }} Unknown text</p>') == ["A hint", "Unknown text"]


updated = cache(catalogue.updated)


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_text_is_translated_and_the_catalogue_holds_no_other(language: str) -> None:
    now = updated(language)
    assert catalogue.missing(now) == [], (
        f"run scripts/catalogue.py, then translate these msgids in src/ocelog/languages/{language}.po"
    )
    kept = (catalogue.LOCALE / f"{language}.po").read_bytes()
    assert kept == catalogue.written(now), "run scripts/catalogue.py"


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_a_translation_names_what_its_text_names(language: str) -> None:
    for message in updated(language):
        ids = (message.id,) if isinstance(message.id, str) else message.id
        texts = (message.string,) if isinstance(message.string, str) else message.string
        named = {name for each in ids if each for name in re.findall(r"%\((\w+)\)s", each)}
        for text in texts or ():
            assert set(re.findall(r"%\((\w+)\)s", text)) <= named, text
            assert named - {"num"} <= set(re.findall(r"%\((\w+)\)s", text)), text


def texts_of_rules(*names: str) -> set[str]:
    """Return what the rules that come along say under these names."""
    files = (catalogue.CONSOLE.parent / "content" / "rules" / "wiz").rglob("*.yml")
    # By the quick reader: what the files hold is ours.
    read = (yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in files)
    rules = [each for each in read if "RuleID" in each]
    texts = {each[name].strip() for each in rules for name in names if name in each}
    assert len(texts) > len(rules) > 100
    return texts


@pytest.mark.parametrize("names", [("DisplayName", "AlertTitle"), ("Description", "Runbook")])
def test_what_rules_that_come_along_and_their_alerts_say_is_in_the_catalogue(names: tuple[str, str]) -> None:
    known = {each.id for each in updated("ko")}
    assert sorted(texts_of_rules(*names) - known) == [], (
        "run scripts/catalogue.py, then fill these msgids in src/ocelog/languages/ko.po"
    )


def test_what_log_types_and_their_columns_hold_is_in_the_catalogue() -> None:
    schemas = packaged_schemas().values()
    texts = {text for schema in schemas for text in (schema.description, *(each.description for each in schema.fields))}
    assert len(texts) > 60
    assert sorted(texts - {each.id for each in updated("ko")} - {""}) == []


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_a_translated_runbook_has_the_steps_and_names_the_fields_of_its_rule(language: str) -> None:
    for text in texts_of_rules("Description", "Runbook"):
        told = str(updated(language)[text].string)
        for kept in (
            r"^\d\. ",
            r"`[^`\n]+`",
            r"(?<!\d)\d+(?=\s+(?:days|hours|minutes)|일|시간|분)",
            r"wiz_\w+?(?![a-z_])",
        ):
            flags = re.MULTILINE | re.ASCII
            assert {*re.findall(kept, text, flags)} == {*re.findall(kept, told, flags)}, told


def test_each_text_names_a_file_that_is_there() -> None:
    places = {place for language in ("ko",) for each in updated(language) for place, _ in each.locations}
    ours = {place for place in places if not place.startswith("templates/")}
    assert {place for place in ours if not (catalogue.CONSOLE.parent / place).is_file()} == set()
