"""What people read of an alert: a title, and a few lines that say what happened and what to do."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ocelog.alert.notice import AlertType, Happened, Notice
from ocelog.channels.text import Form, cut, escaped, lines, one_line
from ocelog.times import from_us, rfc3339

_TITLE = 200
_LINE = 500
_DESCRIPTION_LINES = 5
_RUNBOOK_LINES = 6
_DIGEST_LINES = 20
_LONGEST_LINK = 1_000
_IN_LINKS = "-._~:/?#!$&+,;=%"
"""What an address may hold but letters and digits. Brackets, @ and quotes are left out: they are markup."""


@dataclass(frozen=True, slots=True)
class _Line:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, escaped as its form asks for."""

    title: str
    body: str


def render(
    notice: Notice, form: Form = Form.PLAIN, *, longest_title: int = _TITLE, longest_body: int = 4_000
) -> Message:
    """Write `notice` so that it is safe to show as `form`.

    Whole lines are left out at the end of a body that would be too long; a single one is never cut within an escape.
    """
    title = _fitting(headline(notice), form, min(longest_title, _TITLE))
    told = list[str]()
    left = longest_body
    end = "<br/>\n" if form is Form.HTML else "\n\n" if form is Form.MARKDOWN else "\n"
    for line in _lines(notice):
        written = line.written(form, left - len(end) if told else left)
        if written:
            told.append(written)
            left -= len(written) + len(end)
    return Message(title=title, body=end.join(told))


def headline(notice: Notice) -> str:
    """Return the title, on one line: how bad it is, what happened if it is not new, and what it is about."""
    title = one_line(notice.title, _TITLE) or "(no title)"
    mark = notice.severity.value
    match notice.happened:
        case Happened.TEST:
            return f"[TEST] {title}"
        case Happened.DIGEST:
            return f"[{mark}] Digest: {title}"
        case Happened.OPENED | Happened.RESENT:
            return f"[{mark}] {title}"
        case Happened.NOT_VISIBLE:
            return f"[{mark}] No longer visible: {title}"
        case _:
            return f"[{mark}] {notice.happened.value.capitalize()}: {title}"


def what_happened(notice: Notice) -> str:
    """Say in one sentence why people are told now."""
    severity = notice.severity.value
    match notice.happened:
        case Happened.OPENED:
            return f"{_NOUNS[notice.type]} was opened."
        case Happened.ESCALATED:
            return f"Escalated: it is {severity} now, or nobody has acknowledged it."
        case Happened.REOPENED:
            return "Reopened: what it is about is there again."
        case Happened.ACKNOWLEDGED:
            return "Acknowledged: somebody looks at it."
        case Happened.RESOLVED:
            return "Resolved: what it was about is over."
        case Happened.CLOSED:
            return "Closed: a person is done with it."
        case Happened.NOT_VISIBLE:
            return "The source no longer shows its record. Whether it is resolved is not known."
        case Happened.RESENT:
            return "Sent again, because a person asked for it."
        case Happened.TEST:
            return "This is a test of this channel. There is no alert, and nothing to do."
        case Happened.DIGEST:
            return f"{notice.merged} messages in one, since there were more than this channel may be sent."


_NOUNS = {
    AlertType.ALERT: "An alert",
    AlertType.DETECTION_ERROR: "An alert about a rule that fails",
    AlertType.SYSTEM_ERROR: "An alert about Ocelog itself, or one of its sources,",
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


def _lines(notice: Notice) -> Iterator[_Line]:
    """Yield the lines of the body, each harmless; what matters most comes first, since the rest may not fit."""
    yield _Line(what_happened(notice))
    if notice.note:
        yield _Line(f"Note: {one_line(notice.note, _LINE)}")
    if notice.happened is Happened.TEST:
        return
    if notice.happened is Happened.DIGEST:
        yield from (_Line(_entry(each)) for each in notice.digest[:_DIGEST_LINES])
        if (more := notice.merged - len(notice.digest[:_DIGEST_LINES])) > 0:
            yield _Line(f"... and {more} more.")
        return
    if (link := shown_link(notice.link)) is not None:
        yield _Line("Page: ", link)
    yield _Line(_facts(notice))
    yield from (_Line(line) for line in lines(notice.description, most=_DESCRIPTION_LINES, longest=_LINE))
    todo = [] if notice.happened.ends else lines(notice.runbook, most=_RUNBOOK_LINES, longest=_LINE)
    for number, line in enumerate(todo):
        yield _Line(line if number else f"What to do: {line}")
    if (reference := shown_link(notice.reference)) is not None:
        yield _Line("Reference: ", reference)
    if notice.merged > 1:
        yield _Line(f"This message stands for {notice.merged} that waited.")
    yield _Line(f"More: {show_command(notice.alert_id)}")


def _facts(notice: Notice) -> str:
    rule = one_line(notice.rule_name or notice.rule_id, 100)
    facts = {
        "Rule": rule,
        "Source": one_line(notice.source or "", 100),
        "Log type": one_line(notice.log_type or "", 100),
        "Matches": f"{notice.matches:,}",
        "Opened": rfc3339(from_us(notice.opened_us).replace(microsecond=0)),
    }
    return "; ".join(f"{name}: {value}" for name, value in facts.items() if value)


def _entry(notice: Notice) -> str:
    return f"- {cut(headline(notice), 150)} ({show_command(notice.alert_id)})"


def _fitting(line: str, form: Form, longest: int) -> str:
    """Return `line` escaped, cut before that so that it fits."""
    written, size = escaped(line, form), len(line)
    while len(written) > longest and size > 0:
        size = min(size - 1, size * longest // len(written))
        written = escaped(cut(line, size), form)
    return written if len(written) <= longest else ""
