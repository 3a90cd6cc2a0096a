"""How an event is shown field by field."""

import json
from datetime import UTC, datetime

from ocelog.console.event_view import Group, grouped, instants, leaves

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_every_value_is_shown_by_its_path_also_those_in_json() -> None:
    event = {
        "name": "a\nb",
        "entity": {"type": "VM", "seen": AT, "gone": None},
        "projects": [{"id": "1", "owners": ["x", "y"]}, {"id": "2"}],
        "rule": json.dumps({"name": "open", "steps": "1\n2"}),
        "tags": ["p", "q"],
        "empty": [],
        "said": "[not JSON",
    }
    assert leaves(event) == {
        "name": "a\nb",
        "entity.type": "VM",
        "entity.seen": "2026-03-01T12:00:00.000000Z",
        "projects[0].id": "1",
        "projects[0].owners": "x, y",
        "projects[1].id": "2",
        "rule.name": "open",
        "rule.steps": "1\n2",
        "tags": "p, q",
        "said": "[not JSON",
    }
    assert instants(event) == {"entity.seen": AT}


def test_what_is_long_or_deep_is_shown_in_few_lines() -> None:
    deep = "[" * 5_000 + "]" * 5_000
    nested: dict[str, object] = {}
    for _ in range(40):
        nested = {"in": nested or 1}
    shown = leaves({"many": [{"at": at} for at in range(10_000)], "deep": deep, "nested": nested})
    assert len(shown) < 60
    assert shown["many[49].at"] == "49"
    assert shown["many[50...]"].startswith('[{"at": 50}')


def test_fields_are_grouped_by_what_they_are_part_of_and_what_is_alone_is_in_no_group() -> None:
    event = {
        "p_row_id": "r",
        "entity": {"type": "VM", "cloud": {"name": "AWS", "region": "eu"}},
        "tags": {"only": "one"},
        "projects": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}],
        "id": "i1",
    }
    cloud = {"entity.cloud.name": "AWS", "entity.cloud.region": "eu"}
    elements = [
        Group(path=f"projects[{at}]", fields={f"projects[{at}].id": number, f"projects[{at}].name": name})
        for at, (number, name) in enumerate([("1", "a"), ("2", "b")])
    ]
    found = grouped(leaves(event))
    assert found == [
        Group(path="", fields={"tags.only": "one", "id": "i1"}),
        Group(path="entity", fields={"entity.type": "VM"}, inner=(Group(path="entity.cloud", fields=cloud),)),
        Group(path="projects", fields={}, inner=tuple(elements)),
        Group(path="p_", fields={"p_row_id": "r"}),
    ]
    assert {each.mark for each in elements} == {"projects[]"}
