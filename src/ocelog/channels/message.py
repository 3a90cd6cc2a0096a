"""What people read of an alert: a title, and a few lines that say what happened and what to do."""

import html
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from msgspec import Struct

from ocelog.alert.in_language import kind, note, texts
from ocelog.alert.notice import AlertType, Happened, Notice
from ocelog.channels.text import Form, cut, escaped, lines, one_line
from ocelog.languages.phrases import say_in, translatable
from ocelog.times import from_us
from ocelog.units import write_moment

_TITLE = 200
_LINE = 500
_DESCRIPTION_LINES = 5
_RUNBOOK_LINES = 6
_DIGEST_LINES = 20
_LONGEST_LINK = 1_000
_IN_LINKS = "-._~:/?#!$&+,;=%"
"""What an address may hold but letters and digits. Brackets, @ and quotes are left out: they are markup."""


class _Line(Struct, frozen=True):
    """A line of a body: words, and after them perhaps an address, which must stay one that can be followed."""

    words: str
    link: str = ""

    def written(self, form: Form, longest: int) -> str:
        """Return the line as `form` shows it, its words cut if need be; empty if it does not fit."""
        match form:
            case _ if not self.link:
                link = ""
            case Form.MARKDOWN:
                link = f"[{self.words.rstrip(': ')}]({self.link})"
                return link if len(link) <= longest else ""
            case Form.HTML:
                link = f'<a href="{html.escape(self.link)}">{html.escape(self.link)}</a>'
            case _:
                link = self.link
        if len(link) > longest:
            return ""
        words = _fitting(self.words, form, longest - len(link))
        return words + link if words or link else ""


class Message(Struct, frozen=True, kw_only=True):
    """One message, escaped as its form asks for."""

    title: str
    body: str


def render(
    notice: Notice,
    form: Form = Form.PLAIN,
    *,
    language: str = "en",
    longest_title: int = _TITLE,
    longest_body: int = 4_000,
) -> Message:
    """Write `notice` in a language, so that it is safe to show as `form`.

    Whole lines are left out at the end of a body that would be too long; a single one is never cut within an escape.
    """
    title = _fitting(headline(notice, language), form, min(longest_title, _TITLE))
    told = list[str]()
    left = longest_body
    end = "<br/>\n" if form is Form.HTML else "\n\n" if form is Form.MARKDOWN else "\n"
    for line in _lines(notice, language):
        written = line.written(form, left - len(end) if told else left)
        if written:
            told.append(written)
            left -= len(written) + len(end)
    return Message(title=title, body=end.join(told))


def headline(notice: Notice, language: str = "en") -> str:
    """Return the title, on one line: how bad it is, what happened if it is not new, and what it is about."""
    title = one_line(texts(notice, language).title, _TITLE) or say_in(language, "(no title)")
    mark = notice.severity.value
    match notice.happened:
        case Happened.TEST:
            return say_in(language, "[TEST] %(title)s", title=title)
        case Happened.OPENED | Happened.RESENT:
            return f"[{mark}] {title}"
        case _:
            return f"[{mark}] {say_in(language, _WORDS[notice.happened])}: {title}"


_WORDS = {
    Happened.ESCALATED: translatable("Escalated"),
    Happened.REOPENED: translatable("Reopened"),
    Happened.ACKNOWLEDGED: translatable("Acknowledged"),
    Happened.RESOLVED: translatable("Resolved"),
    Happened.CLOSED: translatable("Closed"),
    Happened.NOT_VISIBLE: translatable("No longer visible"),
    Happened.DIGEST: translatable("Digest"),
}


def what_happened(notice: Notice, language: str = "en") -> str:
    """Say in one sentence why people are told now."""
    match notice.happened:
        case Happened.OPENED:
            return say_in(language, _OPENED[notice.type])
        case Happened.ESCALATED:
            return say_in(
                language,
                "Escalated: it is %(severity)s now, or nobody has acknowledged it.",
                severity=notice.severity.value,
            )
        case Happened.REOPENED:
            return say_in(language, "Reopened: what it is about is there again.")
        case Happened.ACKNOWLEDGED:
            return say_in(language, "Acknowledged: somebody looks at it.")
        case Happened.RESOLVED:
            return say_in(language, "Resolved: what it was about is over.")
        case Happened.CLOSED:
            return say_in(language, "Closed: a person is done with it.")
        case Happened.NOT_VISIBLE:
            return say_in(language, "The source no longer shows its record. Whether it is resolved is not known.")
        case Happened.RESENT:
            return say_in(language, "Sent again, because a person asked for it.")
        case Happened.TEST:
            return say_in(language, "This is a test of this destination. There is no alert, and nothing to do.")
        case Happened.DIGEST:
            return say_in(
                language,
                "%(merged)s messages in one, since there were more than this destination may be sent.",
                merged=notice.merged,
            )


_OPENED = {
    AlertType.ALERT: translatable("An alert was opened."),
    AlertType.DETECTION_ERROR: translatable("An alert about a rule that fails was opened."),
    AlertType.SYSTEM_ERROR: translatable("An alert about Ocelog itself, or one of its sources, was opened."),
}


def shown_link(link: str | None) -> str | None:
    """Return the address of a page so that nothing in it is markup; None if nobody should follow it."""
    if not link or len(link) > _LONGEST_LINK:
        return None
    try:
        parts = urlsplit(link)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or not host.isascii():
        return None
    return quote(link, safe=_IN_LINKS, errors="replace")


def show_command(alert_id: str) -> str:
    """Return what a person types to see more of an alert."""
    return f"ocelog alerts show {''.join(letter for letter in alert_id if letter.isalnum() or letter in '-_')[:100]}"


def _lines(notice: Notice, language: str) -> Iterator[_Line]:
    """Yield the lines of the body, each harmless; what matters most comes first, since the rest may not fit."""
    yield _Line(what_happened(notice, language))
    if notice.note:
        yield _Line(say_in(language, "Note: %(note)s", note=one_line(note(notice, language), _LINE)))
    if notice.happened is Happened.TEST:
        return
    if notice.happened is Happened.DIGEST:
        yield from (_Line(_entry(each, language)) for each in notice.digest[:_DIGEST_LINES])
        if (more := notice.merged - len(notice.digest[:_DIGEST_LINES])) > 0:
            yield _Line(say_in(language, "... and %(more)s more.", more=more))
        return
    if (link := shown_link(notice.link)) is not None:
        yield _Line(f"{say_in(language, 'Page')}: ", link)
    told = texts(notice, language)
    yield _Line(_facts(notice, language))
    yield from (_Line(line) for line in lines(told.description, most=_DESCRIPTION_LINES, longest=_LINE))
    todo = [] if notice.happened.ends else lines(told.runbook, most=_RUNBOOK_LINES, longest=_LINE)
    for number, line in enumerate(todo):
        yield _Line(line if number else say_in(language, "What to do: %(line)s", line=line))
    if (reference := shown_link(notice.reference)) is not None:
        yield _Line(f"{say_in(language, 'Reference')}: ", reference)
    if notice.merged > 1:
        yield _Line(say_in(language, "This message stands for %(merged)s that waited.", merged=notice.merged))
    yield _Line(say_in(language, "More: %(command)s", command=show_command(notice.alert_id)))


def _facts(notice: Notice, language: str) -> str:
    rule = one_line(kind(notice, language), 100)
    facts = {
        say_in(language, "Rule"): rule,
        say_in(language, "Source"): one_line(notice.source or "", 100),
        say_in(language, "Log type"): one_line(notice.log_type or "", 100),
        say_in(language, "Matches"): f"{notice.matches:,}",
        say_in(language, "Opened"): write_moment(from_us(notice.opened_us)),
    }
    return "; ".join(f"{name}: {value}" for name, value in facts.items() if value)


def _entry(notice: Notice, language: str) -> str:
    return f"- {cut(headline(notice, language), 150)} ({show_command(notice.alert_id)})"


def _fitting(line: str, form: Form, longest: int) -> str:
    """Return `line` escaped, cut before that so that it fits."""
    written, size = escaped(line, form), len(line)
    while len(written) > longest and size > 0:
        size = min(size - 1, size * longest // len(written))
        written = escaped(cut(line, size), form)
    return written if len(written) <= longest else ""
