"""The log types that come with Ocelog."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ocelog.app.log_types import kinds
from ocelog.schema.language.fields import Timestamp, leaves
from ocelog.schema.language.packaged import packaged_schemas

VENDOR = Path(__file__).parents[2].parent / "shared" / "schemas"


def test_each_log_type_has_a_schema_and_each_schema_its_entry() -> None:
    assert sorted(packaged_schemas()) == sorted(kinds())


@pytest.mark.parametrize("log_type", packaged_schemas())
def test_every_field_and_table_says_what_it_means(log_type: str) -> None:
    schema = packaged_schemas()[log_type]
    assert schema.description
    assert [path for path, field in leaves(schema.fields) if not field.description] == []


@pytest.mark.parametrize(
    ("log_type", "order"),
    [
        ("Wiz.Audit", ["timestamp"]),
        ("Wiz.Issues", ["updatedAt", "statusChangedAt", "createdAt"]),
        ("Wiz.VulnerabilityFinding", ["updatedAt", "lastDetectedAt", "firstDetectedAt"]),
    ],
)
def test_event_time_is_found_in_the_order_that_the_design_gives(log_type: str, order: Any) -> None:
    fields = packaged_schemas()[log_type].fields
    assert [one.name for one in fields if isinstance(one.type, Timestamp) and one.type.event_time] == order


@pytest.mark.parametrize("name", ["wiz_audit", "wiz_issues", "wiz_vulnerability_finding"])
def test_every_field_of_the_vendors_page_is_there_and_what_is_not_on_it_is_marked_as_ours(name: str) -> None:
    if not VENDOR.exists():
        pytest.skip(f"{VENDOR} is not there: the vendor's schemas, which are no part of this repository")
    vendor = yaml.safe_load((VENDOR / f"{name}.yml").read_text(encoding="utf-8"))
    ours = packaged_schemas()[vendor["schema"]]
    flat = {path.replace("[]", ""): field for path, field in leaves(ours.fields)}
    wanted = dict(flatten(vendor["fields"], ""))
    assert {path for path, field in flat.items() if not field.ours} == set(wanted)
    assert [path for path, field in wanted.items() if field.get("required", False) != flat[path].required] == []


def flatten(fields: Any, prefix: str) -> Any:
    for field in fields:
        path = prefix + field["name"]
        inner = field.get("fields") or field.get("element", {}).get("fields")
        yield from flatten(inner, path + ".") if inner else [(path, field)]
