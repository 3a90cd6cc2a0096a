"""Lists of the API go from page to page without gap or repetition, and read no cursor that no page has returned."""

import base64
import json

import pytest

from ocelog.console.api.paging import page_of, read_cursor, write_cursor
from ocelog.console.api.problems import RefusedError


@pytest.mark.parametrize("count", range(7))
def test_pages_hold_each_entry_once_and_the_last_says_that_it_is(count: int) -> None:
    items, found, cursor, pages = [f"k{number}" for number in reversed(range(count))], list[str](), None, 0
    while True:
        page, cursor = page_of(items, lambda each: each, limit=3, cursor=cursor)
        found += page
        pages += 1
        if cursor is None:
            break
    assert found == sorted(items)
    # A page that is just full has no empty one behind it.
    assert pages == max(1, -(-count // 3))


def test_a_cursor_says_what_it_was_made_of() -> None:
    assert read_cursor(write_cursor("a\u00e4 b", 0, 2**63 - 1), str, int, int) == ["a\u00e4 b", 0, 2**63 - 1]


@pytest.mark.parametrize(
    "keys",
    [
        ["a", 2**63],
        ["a", -1],
        ["a", True],
        ["a", 1.0],
        ["a", "1"],
        [1, 1],
        ["a\x00", 1],
        ["a"],
        ["a", 1, 1],
        [],
        {"a": 1, "b": 2},
        "ab",
        None,
    ],
)
def test_a_cursor_that_no_page_has_returned_is_refused(keys: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(keys).encode()).rstrip(b"=").decode()
    with pytest.raises(RefusedError):
        read_cursor(text, str, int)


@pytest.mark.parametrize("text", ["", "!", "\u00e4", "AAAA", "W" * 5])
def test_what_is_no_cursor_at_all_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        read_cursor(text, str)
