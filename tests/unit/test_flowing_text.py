"""Texts that others laid out are shown as they are meant, and nothing in them is markup of ours."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.console.flowing_text import flowing, formatted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("One line\nthat goes on.", "One line that goes on."),
        ("One.\n\nAnother\n  one.", "One.\n\nAnother one."),
        ("1. First and\n   more\n2. Second\n- third\n* fourth", "1. First and more\n2. Second\n- third\n* fourth"),
        ("# Head\n## Next\ntext", "# Head\n## Next text"),
        ("See:\n```\na\nb\n```\nthen\ngo", "See:\n```\na\nb\n```\nthen go"),
        ("ends\n", "ends\n"),
        ("", ""),
    ],
)
def test_only_paragraphs_and_items_begin_a_line(text: str, shown: str) -> None:
    assert flowing(text) == shown


def test_markdown_is_shown_as_what_it_says() -> None:
    text = (
        "### Remove the keys\n* Use `roles` instead,\n  if **you** can.\n* See [the guide](https://x.io/a?b=1)\n\n"
        "Then\nwait.\n1. One\n2) Two\n```\n<a>\n  b\n```\nDone"
    )
    assert formatted(text).replace("\n", "") == (
        '<p class="mb-1"><strong>Remove the keys</strong></p>'
        '<ul class="mb-2"><li>Use <code>roles</code> instead, if <strong>you</strong> can.</li>'
        '<li>See <a href="https://x.io/a?b=1" rel="noreferrer noopener" target="_blank">the guide</a></li></ul>'
        '<p class="mb-2">Then wait.</p><ol class="mb-2"><li value="1">One</li><li value="2">Two</li></ol>'
        '<pre class="mb-2">&lt;a&gt;  b</pre><p class="mb-2">Done</p>'
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "[a](javascript:alert(1))",
        '[a](https://x.io/"onclick="b)',
        "`<b>`",
        "# <img src=x>",
        "**<i>**",
    ],
)
def test_nothing_in_it_is_markup(text: str) -> None:
    shown = formatted(text)
    assert re.search(r"<(script|img|i|b)\b|onclick=\"", shown) is None
    assert 'href="javascript' not in shown


@given(st.text(alphabet="#*-1.) \n`[]()<>&\"'ahttps:/|>", max_size=80))
def test_any_text_is_shown_and_only_our_elements_are_in_it(text: str) -> None:
    tags = set(re.findall(r"<(/?\w+)", formatted(text)))
    assert {each.lstrip("/") for each in tags} <= {"p", "strong", "ul", "ol", "li", "pre", "code", "a"}


def test_of_a_very_long_text_the_beginning_is_laid_out() -> None:
    shown = formatted("x" * 1_000_000)
    assert shown.endswith("x…</p>")
    assert len(shown) < 21_000
