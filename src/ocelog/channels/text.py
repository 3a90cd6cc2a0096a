"""How text that came from rules, records and far ends is made harmless, however it will be shown.

What is hostile in it: control characters and escape sequences, letters that turn the direction or are not seen, line
ends that make one line two, mentions that wake up a whole company, and markup that hides or fakes a link.
"""

import html
import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum

_CUT = "..."
_UNSEEN = "\u200b"
"""A space without width: what it parts is no mention any more, and reads the same."""
_CROWDS = "all|channel|everyone|group|here|online|room|team|archive"
_MENTION = re.compile(rf"@(?=\w|&|!|\s*(?:{_CROWDS})\b)", re.IGNORECASE)
_EMAIL = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}}@(?!(?:{_CROWDS})\b)[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}}", re.IGNORECASE
)
_NOT_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of Unicode: control, format (direction among them), surrogates, private, unassigned, ends of lines."""
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters, to Unicode, that show nothing."""
_MARKS_IN_A_ROW = 3
_LOOK_ALIKES = str.maketrans({"<": "\u2039", ">": "\u203a", "`": "\u02cb", "*": "\u2217", "~": "\u223c", "|": "\u2223"})
_AT_START = re.compile(r"^(?=[#>+=_-]|\d{1,9}[.)])")
"""What makes a heading, a list, a quotation or a rule of a line that begins with it."""
_UNDERLINES = re.compile(r"(?<!\w)_|_(?!\w)|__")
"""What hides itself and makes a word slanted; within a word an underscore is one."""
_ESCAPES_SOMETHING = re.compile(r"\\(?=[!-/:-@\[-`{-~\u2000-\u2fff])")


class Form(StrEnum):
    """How a text is shown."""

    PLAIN = "plain"
    """As it is: a terminal, a mail of plain text."""
    CHAT = "chat"
    """By a service whose markup knows no escapes, or is not known: what would be markup becomes what looks like it."""
    MARKDOWN = "markdown"
    """By a service whose markup is some kind of Markdown: as CHAT, since each kind has other escapes, but for links."""
    HTML = "html"


def one_line(text: str, longest: int | None = None) -> str:
    """Return `text` as one line of letters that are seen, at most so long."""
    # A text of megabytes is not looked at whole.
    head = text if longest is None else text[: longest * 4 + 100]
    words = "".join(map(_seen, head)).split()
    line = _few_marks(" ".join(words))
    return line if longest is None else cut(line, longest, more=len(head) < len(text))


def cut(line: str, longest: int, *, more: bool = False) -> str:
    """Return at most so many letters of `line`, with dots if that is not all of it."""
    if len(line) <= longest and not more:
        return line
    return line[: max(0, longest - len(_CUT))].rstrip() + _CUT[: max(0, longest)]


def lines(text: str, *, most: int, longest: int) -> list[str]:
    """Return the first lines of `text` that are not empty, each harmless and of bounded length."""
    found = list[str]()
    for line in re.split(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", text[: most * longest * 4]):
        if told := one_line(line, longest):
            found.append(told)
        if len(found) == most:
            break
    return found


def escaped(line: str, form: Form) -> str:
    """Return a harmless line so that `form` shows it as it is: no mention, no markup, no link but what is seen."""
    return _ESCAPES[form](line)


def _seen(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else " "
    category = unicodedata.category(letter)
    # What only turns the direction or joins is left out, so that words stay whole.
    if category == "Cf":
        return ""
    return " " if category in _NOT_SHOWN or category == "Zs" or letter in _BLANKS else letter


def _few_marks(line: str) -> str:
    """Leave at most a few combining marks on a letter: many of them cover the lines around."""
    if line.isascii():
        return line
    kept, run = list[str](), 0
    for letter in line:
        run = run + 1 if unicodedata.category(letter) in {"Mn", "Me"} else 0
        if run <= _MARKS_IN_A_ROW:
            kept.append(letter)
    return "".join(kept)


def _without_mentions(line: str) -> str:
    """Part each @ from what follows, but within addresses of mail, which people copy."""
    kept, at = list[str](), 0
    for address in _EMAIL.finditer(line):
        kept += [_MENTION.sub(f"@{_UNSEEN}", line[at : address.start()]), address[0]]
        at = address.end()
    return "".join([*kept, _MENTION.sub(f"@{_UNSEEN}", line[at:])])


def _chat(line: str) -> str:
    parted = _AT_START.sub(_UNSEEN, re.sub(r"\](?=[(\[:])", f"]{_UNSEEN}", line))
    alike = _UNDERLINES.sub(lambda found: "\u02cd" * len(found[0]), parted.translate(_LOOK_ALIKES))
    return _without_mentions(_ESCAPES_SOMETHING.sub("\u2216", alike))


_ESCAPES: dict[Form, Callable[[str], str]] = {
    Form.PLAIN: str,
    Form.CHAT: _chat,
    Form.MARKDOWN: _chat,
    Form.HTML: lambda line: html.escape(line, quote=True),
}
