"""Where one statement ends and the next begins, and what Tab offers."""

import time
from pathlib import Path

import pytest

from ocelog.cli.sql import Splitter, Words, _is_whole, split


@pytest.mark.parametrize(
    ("text", "statements", "rest"),
    [
        ("", [], ""),
        ("SELECT 1", [], "SELECT 1"),
        ("SELECT 1;", ["SELECT 1"], ""),
        ("SELECT 1; SELECT 2;\nSELECT 3", ["SELECT 1", "SELECT 2"], "\nSELECT 3"),
        ("SELECT ';';", ["SELECT ';'"], ""),
        ("SELECT 'it''s; here';", ["SELECT 'it''s; here'"], ""),
        (r"SELECT E'it\'s; here';", [r"SELECT E'it\'s; here'"], ""),
        (r"SELECT 'a\'; SELECT 2;", [r"SELECT 'a\'", "SELECT 2"], ""),
        ('SELECT 1 AS ";";', ['SELECT 1 AS ";"'], ""),
        ("SELECT $$a;b$$;", ["SELECT $$a;b$$"], ""),
        ("SELECT $x$a;$$b$x$;", ["SELECT $x$a;$$b$x$"], ""),
        ("SELECT 1 -- a; b\n;", ["SELECT 1 -- a; b"], ""),
        ("SELECT /* a; b */ 1;", ["SELECT /* a; b */ 1"], ""),
        ("-- only a comment\n;;  ;", [], ""),
        ("SELECT 1;  -- done", ["SELECT 1"], ""),
        ("SELECT 'open; ", [], "SELECT 'open; "),
        ('SELECT "open; ', [], 'SELECT "open; '),
        ("SELECT 1 /* open; ", [], "SELECT 1 /* open; "),
        ("SELECT $x$ open; ", [], "SELECT $x$ open; "),
        ("SELECT 1 -- open; ", [], "SELECT 1 -- open; "),
        ("SELECT 1; /* open; ", ["SELECT 1"], " /* open; "),
        ("SELECT E'it''s; \\'; open; ", [], "SELECT E'it''s; \\'; open; "),
        ("SELECT E'a''b\\'; c';", ["SELECT E'a''b\\'; c'"], ""),
    ],
)
def test_a_semicolon_ends_a_statement_unless_it_is_within_something(
    text: str, statements: list[str], rest: str
) -> None:
    assert split(text) == (statements, rest)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a\n;b';\nSELECT 2;\n",
        "SELECT E'a\\\n'';\n\\';b';\nSELECT 2;\n",
        "SELECT 1 /* a;\n.tables\n; b */;\nSELECT 2;\n",
        "SELECT $x$\n;$$\n$x$;\nSELECT 2;\n",
        'SELECT 1 AS "a\n;""\n";\nSELECT 2;\n',
        "SELECT -- a; 'b\n/* c;\n */ 1; SELECT 2;\n",
    ],
)
def test_line_by_line_the_statements_are_those_of_the_whole_text(text: str) -> None:
    splitter = Splitter()
    found = [statement for line in text.splitlines(keepends=True) for statement in splitter.feed(line)]
    assert len(found) == 2
    assert (found, splitter.rest) == split(text)


@pytest.mark.parametrize("opened", ["SELECT 'it's' AS x;", "/* c", "SELECT $$", 'SELECT "a', "SELECT E'a"])
def test_a_text_that_nothing_closes_costs_one_look_at_each_line(opened: str) -> None:
    splitter = Splitter()
    begun = time.process_time()
    for line in [opened, *["SELECT 1;"] * 10_000]:
        splitter.feed(f"{line}\n")
    assert splitter.rest.startswith(opened[:2])
    assert splitter.rest.endswith("SELECT 1;\n")
    assert time.process_time() - begun < 2


def test_tab_offers_tables_and_the_columns_and_fields_of_those_that_are_named(tmp_path: Path) -> None:
    words = Words(tmp_path)
    assert {"wiz_issues", "open_findings", "issues_at", "streams", "SELECT"} <= set(words.fitting(""))
    assert not {"cve", "entitySnapshot"} & set(words.fitting("SELECT "))
    assert "cve" in words.fitting("SELECT  FROM open_findings")
    assert {"entitySnapshot", "cloudPlatform", "businessUnit"} <= set(words.fitting("FROM wiz_issues WHERE "))
    assert {"tables", ".tables", "wiz_issues"} <= set(words.fitting("."))


@pytest.mark.parametrize("text", ["help", "HELP;", "?", ".help", "exit", ""])
def test_who_asks_for_help_or_leaves_needs_no_semicolon(text: str) -> None:
    assert _is_whole(text)
    assert not _is_whole(f"SELECT 'a' AS {text.strip('.?;') or 'b'}")
