"""Each type of records that the simulator has is one that its schema can show: what does not fit, and where."""

from random import Random
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from wizsim.estate import build_estate
from wizsim.instants import DAY
from wizsim.orders import order_of
from wizsim.plans import plan_of
from wizsim.record_types import RECORD_TYPES, ROOT_TYPES
from wizsim.records import UnfitError, fitting
from wizsim.sdl import object_type, schema
from wizsim.world import World

SCHEMA, ENTRIES = "src/wizsim/schema.graphql", "src/wizsim/record_types.py"
EACH = pytest.mark.parametrize("name", RECORD_TYPES)


def _query() -> GraphQLObjectType:
    query = schema().query_type
    assert query is not None
    return query


@pytest.mark.parametrize("root", ROOT_TYPES)
def test_a_root_that_is_served_shows_records_of_its_type(root: str) -> None:
    graphql = RECORD_TYPES[ROOT_TYPES[root]].graphql
    assert root in _query().fields, f"add {root} to the type Query in {SCHEMA}"
    shown = get_named_type(_query().fields[root].type)
    assert isinstance(shown, GraphQLObjectType)
    if "pageInfo" not in shown.fields:
        assert shown.name == graphql, f"{root} in {SCHEMA} has neither pages (pageInfo) nor a record: {graphql}"
        return
    lacking = [name for name in ("nodes", "pageInfo", "totalCount") if name not in shown.fields]
    assert lacking == [], f"add them to the type {shown.name} in {SCHEMA}"
    nodes = get_named_type(shown.fields["nodes"].type)
    assert nodes.name == graphql, f"nodes of {shown.name} in {SCHEMA} are not those of the entry in {ENTRIES}"
    lacking = [name for name in ("first", "after", "filterBy") if name not in _query().fields[root].args]
    assert lacking == [], f"add them to the arguments of {root} in {SCHEMA}"
    assert plan_of(f"{{ {root} {{ nodes {{ id }} }} }}").fields[0].paged


@EACH
def test_an_entry_names_what_the_schema_has(name: str) -> None:
    type_ = RECORD_TYPES[name]
    assert type_.graphql in schema().type_map, f"add the type {type_.graphql} to {SCHEMA}"
    fields = object_type(type_.graphql).fields
    lacking = [field for field in ("id", type_.born) if field not in fields]
    assert lacking == [], f"add them to the type {type_.graphql} in {SCHEMA}, or name another field in {ENTRIES}"
    assert type_.roots, f"{name} in {ENTRIES}: no root shows it"
    assert type_.scopes, f"{name} in {ENTRIES}: nobody could read it"
    assert (type_.births < 1) == (type_.change is not None), f"{name} in {ENTRIES}: births below 1 go with `change`"


@EACH
def test_a_record_is_one_that_the_schema_can_show(name: str) -> None:
    type_, estate, now = RECORD_TYPES[name], build_estate(3, findings=20, issues=20), 1_800_000_000_000_000
    for seed in range(20):
        own, base = type_.make(Random(seed), estate, now - DAY)
        made = [("make", base | own)]
        if type_.lived is not None:
            own, base = type_.lived(Random(seed), estate, now - DAY, now)
            made.append(("lived", base | own))
        if type_.change is not None:
            made.append(("change", type_.change(Random(seed), base | own, now, estate) or {}))
        for function, record in made:
            try:
                fitting(name, record)
            except UnfitError as wrong:
                pytest.fail(f"{function} of {name} in {ENTRIES}: {wrong}. It is in {SCHEMA}, or not in the record")
            if function != "change":
                lacking = [field for field in ("id", type_.born) if not record.get(field)]
                assert lacking == [], f"{function} of {name} in {ENTRIES} leaves them out"


@EACH
def test_each_type_comes_by_a_date_and_can_be_asked_for_by_id(name: str) -> None:
    ten: dict[str, Any] = dict.fromkeys(RECORD_TYPES, 10)
    versions = World(seed=5, **ten).current(name)
    assert len(versions) == 10
    unasked = order_of(name, None, oldest_first=True)
    assert unasked.dated
    assert len({unasked.key(version) for version in versions.values()}) > 1
    by_id = order_of(name, {"field": "ID", "direction": "ASC"}).key
    assert sorted(versions, key=lambda id_: by_id(versions[id_])) == sorted(versions)


def test_a_world_has_the_types_that_there_are() -> None:
    with pytest.raises(ValueError, match="'isues' is not known; did you mean 'issues'"):
        World(isues=3)
    assert {name: len(World(seed=1).current(name)) for name in RECORD_TYPES} == {
        name: type_.in_world for name, type_ in RECORD_TYPES.items()
    }
