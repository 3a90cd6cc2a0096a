"""What rules and records write is shown as text, and never as markup, mentions, controls or further lines."""

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.alert.notice import AlertType, Happened
from ocelog.channels.message import render, shown_link
from ocelog.channels.text import Form, escaped, lines, one_line
from ocelog.model import Severity
from receivers.notices import HOSTILE, notice

FORMS = list(Form)
# Pieces that mean something to somebody, beside any letter at all.
PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "@everyone",
            "@here",
            "<!channel>",
            "<!here|here>",
            "<@U1>",
            "<https://e.example|x>",
            "](",
            "[a](b)",
            "![",
            "`",
            "```",
            "**",
            "~~",
            "||",
            "<b>",
            "&lt;",
            "\\",
            "\n# ",
            "\r\n",
            "\x1b[31m",
            "\u202e",
            "\u2066",
            "\u200b",
            "\u2028",
            "\ud800",
            "\U000e0041",
            "a@here.example",
            "x@everyone",
        ]
    ),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
FORBIDDEN = {"Cc", "Cs", "Co", "Zl", "Zp"}
MENTION = re.compile(r"@(everyone|here|channel|all|room|team)\b|<[!@#&]|@&", re.IGNORECASE)


@given(TEXTS)
def test_a_line_is_one_line_of_letters_that_are_seen(text: str) -> None:
    line = one_line(text)
    assert not any(unicodedata.category(letter) in FORBIDDEN | {"Cf"} for letter in line)
    assert line == " ".join(line.split())
    assert one_line(line) == line


@given(TEXTS, st.integers(0, 60))
def test_a_line_is_never_longer_than_asked(text: str, longest: int) -> None:
    assert len(one_line(text, longest)) <= longest
    assert len(lines(text, most=3, longest=longest + 1)) <= 3


@given(TEXTS, st.sampled_from([Form.CHAT, Form.MARKDOWN]))
def test_nobody_is_mentioned(text: str, form: Form) -> None:
    assert not MENTION.search(escaped(one_line(text), form))


@given(TEXTS)
def test_what_a_chat_shows_has_no_markup(text: str) -> None:
    shown = escaped(one_line(text), Form.CHAT)
    assert not re.search(r"[<>`*~|]|\]\(|\]\[|\]:|__|\\[!-/:-@\[-`{-~]", shown)
    assert not re.search(r"(?<!\w)_|_(?!\w)", shown)
    assert not re.match(r"[#>+=_-]|\d+[.)]", shown)


@given(TEXTS)
def test_html_shows_a_line_as_it_is_and_has_no_tag(text: str) -> None:
    line = one_line(text)
    shown = escaped(line, Form.HTML)
    assert html.unescape(shown) == line
    assert not re.search(r"[<>\"']", shown)


@given(title=TEXTS, description=TEXTS, runbook=TEXTS, note=TEXTS, link=TEXTS, form=st.sampled_from(FORMS))
def test_a_message_is_bounded_and_its_lines_are_those_that_we_made(
    title: str, description: str, runbook: str, note: str, link: str, form: Form
) -> None:
    told = render(
        notice(title=title, description=description, runbook=runbook, note=note, link=link, rule_name=title),
        form,
        longest_title=100,
        longest_body=600,
    )
    assert len(told.title) <= 100
    assert len(told.body) <= 600
    assert "\n" not in told.title
    whole = told.title + told.body
    assert not any(unicodedata.category(letter) in FORBIDDEN for letter in whole.replace("\n", ""))
    assert "\u202e" not in whole
    if form in {Form.CHAT, Form.MARKDOWN}:
        assert not MENTION.search(whole)


@given(TEXTS)
def test_a_link_is_one_that_can_be_followed_or_none(text: str) -> None:
    for link in (text, f"https://app.wiz.io/{text}"):
        shown = shown_link(link)
        assert shown is None or re.fullmatch(r"https?://[A-Za-z0-9\-._~:/?#!$&+,;=%]+", shown)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "https://app.wiz.io@evil.example/",
        "file:///etc/passwd",
        "https://",
        "//x",
        "http://[",
        None,
    ],
)
def test_a_link_that_leads_elsewhere_than_it_looks_is_left_out(link: str | None) -> None:
    assert shown_link(link) is None


def test_an_address_of_mail_stays_one_that_can_be_copied() -> None:
    assert escaped("jane.doe+x@corp.example logged in", Form.CHAT) == "jane.doe+x@corp.example logged in"
    assert "@here" not in escaped("ping x@here.example", Form.CHAT)


def test_many_marks_on_a_letter_do_not_cover_the_lines_around() -> None:
    assert len(one_line("a" + "\u0301" * 500)) <= 4


@pytest.mark.parametrize(
    ("happened", "title"),
    [
        (Happened.OPENED, "[HIGH] Public bucket with secrets"),
        (Happened.ESCALATED, "[HIGH] Escalated: Public bucket with secrets"),
        (Happened.REOPENED, "[HIGH] Reopened: Public bucket with secrets"),
        (Happened.ACKNOWLEDGED, "[HIGH] Acknowledged: Public bucket with secrets"),
        (Happened.RESOLVED, "[HIGH] Resolved: Public bucket with secrets"),
        (Happened.CLOSED, "[HIGH] Closed: Public bucket with secrets"),
        (Happened.NOT_VISIBLE, "[HIGH] No longer visible: Public bucket with secrets"),
        (Happened.RESENT, "[HIGH] Public bucket with secrets"),
        (Happened.TEST, "[TEST] Public bucket with secrets"),
        (Happened.DIGEST, "[HIGH] Digest: Public bucket with secrets"),
    ],
)
def test_the_title_says_what_happened(happened: Happened, title: str) -> None:
    assert render(notice(happened=happened)).title == title


def test_a_message_says_what_happened_where_and_what_to_do() -> None:
    assert render(notice()).body.splitlines() == [
        "An alert was opened.",
        "Page: https://app.wiz.io/issues#~%28issue~%2742%29",
        "Rule: Public buckets; Source: prod; Log type: Wiz.Issues; Matches: 1; Opened: 2026-05-28 20:26 UTC",
        "A bucket is open to all.",
        "It holds keys.",
        "What to do: Close the bucket.",
        "Rotate the keys.",
        "More: ocelog alerts show 3f2a",
    ]


def test_what_is_over_asks_for_nothing() -> None:
    assert "What to do" not in render(notice(happened=Happened.RESOLVED)).body


def test_a_digest_lists_some_and_counts_the_others() -> None:
    each = tuple(notice(alert_id=f"a{number}", title=HOSTILE, severity=Severity.LOW) for number in range(3))
    told = render(notice(happened=Happened.DIGEST, digest=each, merged=40), Form.CHAT)
    assert told.body.count("ocelog alerts show a") == 3
    assert "and 37 more" in told.body
    assert "<!channel>" not in told.body


def test_a_short_message_keeps_what_matters_most() -> None:
    told = render(notice(description="x" * 3000), Form.PLAIN, longest_title=60, longest_body=140)
    assert told.body.startswith("An alert was opened.\nPage: https://app.wiz.io/")
    assert len(told.body) <= 140


def test_the_link_stays_a_link_in_each_form() -> None:
    link = "https://app.wiz.io/issues#~%28issue~%2742%29"
    assert f"Page: {link}\n" in render(notice(), Form.CHAT).body
    assert f"[Page]({link})\n" in render(notice(), Form.MARKDOWN).body
    assert f'<a href="{link}">' in render(notice(), Form.HTML).body


def test_an_alert_about_ocelog_itself_says_so() -> None:
    assert "Ocelog itself" in render(notice(type=AlertType.SYSTEM_ERROR)).body
