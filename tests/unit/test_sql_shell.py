"""Where one statement ends and the next begins, and what Tab offers."""

from pathlib import Path

import pytest

from ocelog.cli.sql import Words, split


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
    ],
)
def test_a_semicolon_ends_a_statement_unless_it_is_within_something(
    text: str, statements: list[str], rest: str
) -> None:
    assert split(text) == (statements, rest)


def test_tab_offers_tables_and_the_columns_and_fields_of_those_that_are_named(tmp_path: Path) -> None:
    words = Words(tmp_path)
    assert {"wiz_issues", "open_findings", "issues_at", "streams", "SELECT"} <= set(words.fitting(""))
    assert not {"cve", "entitySnapshot"} & set(words.fitting("SELECT "))
    assert "cve" in words.fitting("SELECT  FROM open_findings")
    assert {"entitySnapshot", "cloudPlatform", "businessUnit"} <= set(words.fitting("FROM wiz_issues WHERE "))
    assert {"tables", ".tables", "wiz_issues"} <= set(words.fitting("."))
