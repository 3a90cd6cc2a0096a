from pathlib import Path
from typing import Any

import pytest

from ocelog.detect.checkout import read_checkout
from ocelog.detect.evaluate import RuleSet

CHECKOUT = Path(__file__).parents[1] / "rules" / "checkout"
RULES = RuleSet(read_checkout(CHECKOUT))
ADA = {"badge": "17", "name": "Ada", "p_match": "17"}
BO = {"badge": "18", "name": "Bo", "p_match": "18"}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"badge": "17"}, {"badges": {"badge": ADA}}),
        ({"BADGE": 17}, {"badges": {"badge": ADA}}),
        ({"badge": ["17", "18", "17", "19"]}, {"badges": {"badge": [ADA, BO]}}),
        ({"badge": "19"}, None),
        ({"badge": None}, None),
        ({}, None),
        ({"badge": "17", "p_enrichment": {"badges": 1}}, {"badges": 1}),
        ({"badge": "17", "p_enrichment": {"more": 1}}, {"badges": {"badge": ADA}, "more": 1}),
    ],
)
def test_an_event_has_the_rows_of_what_is_looked_up_for_its_log_type(data: dict[str, Any], found: Any) -> None:
    before = dict(data)
    assert RULES.event(data, "Acme.Door").get("p_enrichment") == found
    assert RULES.event(data, "Other.Door") == data
    assert RULES.event(data, None) == data
    assert data == before


def test_rules_find_rows_under_the_path_without_its_dollar_as_udm_path_says_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,name\n7,Ada\n")
    (tmp_path / "t.yml").write_text(
        "AnalysisType: lookup_table\nLookupName: t\nEnabled: true\nFilename: t.csv\n"
        "LogTypeMap: {PrimaryKey: id, AssociatedLogTypes: [{LogType: Acme.Door, Selectors: [$.who.id]}]}\n"
    )
    (tmp_path / "m.yml").write_text(
        "AnalysisType: datamodel\nDataModelID: M\nLogTypes: [Acme.Door]\nMappings: [{Name: actor, Path: $.who.id}]\n"
    )
    event = RuleSet(read_checkout(tmp_path)).event({"who": {"id": "7"}}, "Acme.Door")
    assert event.deep_get("p_enrichment", "t", event.udm_path("actor"), "name") == "Ada"
