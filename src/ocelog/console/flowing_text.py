"""Texts that others laid out: lines that were broken for a file flow again, and Markdown is shown as what it says."""

import re
from collections.abc import Callable, Iterator

from markupsafe import Markup, escape

from ocelog.shorten import shorten

_ITEM = r"(?:[-*+•]|[0-9]{1,3}[.)])[ \t]"
_BREAK = re.compile(rf"(?<=\S)[ \t]*+\n[ \t]*+(?!\n|$|{_ITEM}|#|>|\||```)")
_HEADING = re.compile(r"#{1,6}[ \t]+(.*)")
_BULLET = re.compile(r"[ \t]*()[-*+•][ \t]+(.*)")
_NUMBERED = re.compile(r"[ \t]*([0-9]{1,3})[.)][ \t]+(.*)")
_FENCE = "```"
_MOST = 20_000
"""Characters of a text that are laid out: some are as long as whoever wrote them wanted."""
_INLINE = re.compile(
    r"`(?P<code>[^`\n]{1,500})`|\*\*(?P<strong>[^*\n]{1,500})\*\*"
    r"|\[(?P<words>[^\]\n]{1,300})\]\((?P<link>https?://[^\s()<>\"]{1,1000})\)"
)


def flowing(text: str) -> str:
    """Return a text in which only paragraphs, items of lists and headings begin a line."""
    parts = text.split(_FENCE)
    # What stands between fences was laid out on purpose.
    return _FENCE.join(part if number % 2 else _BREAK.sub(" ", part) for number, part in enumerate(parts))


def formatted(text: str) -> Markup:
    """Return Markdown with its headings, lists, paragraphs, code and links; anything else of it is shown as it is.

    Of a very long one, how it begins.
    """
    begins = shorten(text, _MOST)
    return Markup("\n").join(_blocks(flowing(str(begins).replace("\r\n", "\n"))))


def _blocks(text: str) -> Iterator[Markup]:
    lines = [line for line in text.split("\n") if line.strip()]
    while lines:
        line = lines[0].strip()
        if line.startswith(_FENCE):
            del lines[0]
            code = _taken(lines, lambda each: not each.strip().startswith(_FENCE))
            del lines[:1]
            yield Markup('<pre class="mb-2">{}</pre>').format("\n".join(code))
        elif (heading := _HEADING.fullmatch(line)) is not None:
            del lines[0]
            yield Markup('<p class="mb-1"><strong>{}</strong></p>').format(_inline(heading[1].rstrip(" \t#")))
        elif _BULLET.fullmatch(lines[0]) is not None:
            yield Markup('<ul class="mb-2">{}</ul>').format(_items(lines, _BULLET))
        elif _NUMBERED.fullmatch(lines[0]) is not None:
            yield Markup('<ol class="mb-2">{}</ol>').format(_items(lines, _NUMBERED))
        else:
            del lines[0]
            yield Markup('<p class="mb-2">{}</p>').format(_inline(line))


def _items(lines: list[str], form: "re.Pattern[str]") -> Markup:
    items = _taken(lines, lambda line: form.fullmatch(line) is not None)
    made = Markup()
    for number, words in (form.sub(r"\1\n\2", each).split("\n", 1) for each in items):
        # A list that goes on after a paragraph goes on counting.
        mark = Markup(' value="{}"').format(number) if number else ""
        made += Markup("<li{}>{}</li>").format(mark, _inline(words))
    return made


def _taken(lines: list[str], belongs: Callable[[str], bool]) -> list[str]:
    """Take the first lines that belong together away, and return them."""
    count = next((number for number, line in enumerate(lines) if not belongs(line)), len(lines))
    found = lines[:count]
    del lines[:count]
    return found


def _inline(text: str) -> Markup:
    made, end = Markup(), 0
    for found in _INLINE.finditer(text):
        made += escape(text[end : found.start()])
        end = found.end()
        if found["code"] is not None:
            made += Markup("<code>{}</code>").format(found["code"])
        elif found["strong"] is not None:
            made += Markup("<strong>{}</strong>").format(found["strong"])
        else:
            made += Markup('<a href="{}" rel="noreferrer noopener" target="_blank">{}</a>').format(
                found["link"], found["words"]
            )
    return made + escape(text[end:])
