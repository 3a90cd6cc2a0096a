"""One line about an event is made of the fields that its log type names, and always says something."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from ocelog.app.log_types import kinds
from ocelog.app.search.search import columns_of, paths_of
from ocelog.app.search.summaries import chosen_paths, summary_of, summary_paths
from ocelog.model import Kind
from ocelog.schema.language.fields import Boolean, Field, LogSchema, Text, Timestamp

BUCKET = '{"__typename": "Control", "name": "Bucket open to all"}'
ANN = {"id": "a1", "name": "ann@example.com"}


@pytest.mark.parametrize(
    ("log_type", "event", "said"),
    [
        ("Wiz.Audit", {"action": "Login", "status": "FAILED", "user": ANN}, "Login · FAILED · ann@example.com"),
        ("Wiz.Audit", {"action": "Login", "user": None, "serviceAccount": {"name": "ci"}}, "Login · ci"),
        ("Wiz.Audit", {"action": "Login", "user": {"name": " "}, "performer": ANN}, "Login · ann@example.com"),
        (
            "Wiz.Issues",
            {"severity": "HIGH", "sourceRule": BUCKET, "entitySnapshot": {"name": "invoices"}, "status": "OPEN"},
            "HIGH · Bucket open to all · invoices · OPEN",
        ),
        ("Wiz.Issues", {"sourceRules": f"[{BUCKET}]", "type": "CLOUD", "status": "OPEN"}, "Bucket open to all · OPEN"),
        ("Wiz.Issues", {"sourceRule": "not json", "sourceRules": "[]", "type": "CLOUD"}, "CLOUD"),
        ("Wiz.Issues", {"sourceRule": "[" * 100_000, "sourceRules": "[null]", "type": "CLOUD"}, "CLOUD"),
        ("Wiz.Issues", {"sourceRule": '{"name": {"inner": "x"}}', "type": "CLOUD"}, "CLOUD"),
        (
            "Wiz.VulnerabilityFinding",
            {"severity": "CRITICAL", "name": "CVE-2024-1", "vulnerableAsset": {"name": "web-1"}, "status": "RESOLVED"},
            "CRITICAL · CVE-2024-1 · web-1 · RESOLVED",
        ),
    ],
)
def test_each_log_type_says_what_happened(log_type: str, event: dict[str, Any], said: str) -> None:
    assert summary_of(log_type, {"id": "i1", "p_row_id": "r1", **event}) == said


def test_an_event_without_any_of_the_fields_is_named_by_its_id() -> None:
    assert summary_of("Wiz.Audit", {"id": "i1", "p_row_id": "r1", "action": "", "status": None}) == "i1"
    assert summary_of("Wiz.Audit", {"id": None, "p_row_id": "r1"}) == "r1"


def test_it_stays_one_line_however_long_and_broken_a_value_is() -> None:
    said = summary_of("Wiz.Audit", {"p_row_id": "r1", "action": "a\n\tb " + "x" * 5_000, "status": "OK"})
    assert said.startswith("a b xxx")
    assert said.endswith("x… · OK")
    assert len(said) < 220


@pytest.mark.parametrize("log_type", kinds())
def test_every_path_that_an_entry_names_begins_at_a_column(log_type: str) -> None:
    columns = paths_of(columns_of(log_type))
    for path in (path for each in summary_paths(log_type) for path in each):
        names = path.split(".")
        assert any(".".join(names[:length]) in columns for length in range(1, len(names) + 1)), (
            f"{log_type}: `summary` in its entry names {path!r}, and its log schema has no field {names[0]!r}"
        )


def test_a_log_type_that_names_nothing_is_summed_up_by_what_it_has() -> None:
    # Texts, in the order of the schema: an id says nothing, and when it was stands beside the line.
    fields = [
        Field(name=name, type=each)
        for name, each in (("id", Text()), ("at", Timestamp()), ("person", Text()), ("ok", Boolean()), ("from", Text()))
    ]
    schema = LogSchema(log_type="Acme.Logins", version=1, fields=tuple(fields))
    kind = Kind(log_type="Acme.Logins", cursor_field="at", created_field="at", version_times=("at",))
    assert chosen_paths(kind, schema) == [("person",), ("from",)]
    listed = replace(kind, columns=("from", "ok"))
    assert chosen_paths(listed, schema) == [("from",), ("ok",)]
    assert chosen_paths(replace(listed, summary=(("person", "from"), "ok")), schema) == [("person", "from"), ("ok",)]


def test_values_that_are_no_texts_are_written_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [("a",), ("b",), ("c",), ("d",), ("e",)]
    monkeypatch.setattr("ocelog.app.search.summaries.summary_paths", lambda _: paths)
    at = datetime(2026, 3, 30, 12, tzinfo=UTC)
    event = {"a": True, "b": 7.5, "c": at, "d": ["x", None, "y"], "e": {"no": "words"}, "p_row_id": "r1"}
    assert summary_of("Wiz.Audit", event) == "true · 7.5 · 2026-03-30T12:00:00Z · x, y"
