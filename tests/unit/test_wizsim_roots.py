"""Every query root that the simulator serves is known wherever roots and types of records are listed."""

from typing import get_args

import pytest
from graphql import GraphQLObjectType, get_named_type

from wizsim import admin_client, arguments, lives
from wizsim.accounts import SCOPES
from wizsim.calls import Type
from wizsim.documents import ROOT_TYPES
from wizsim.filters import PATHS
from wizsim.orders import FIELDS
from wizsim.plans import CONNECTIONS
from wizsim.records import TYPE_NAMES
from wizsim.sdl import schema


@pytest.mark.parametrize("root", ROOT_TYPES)
def test_a_root_that_is_served_is_in_the_schema_and_has_scopes(root: str) -> None:
    query = schema().query_type
    assert query is not None
    assert root in query.fields, "add it to the type Query in src/wizsim/schema.graphql"
    assert f"Query.{root}" in SCOPES, f'add "Query.{root}" to SCOPES in src/wizsim/accounts.py'
    answered = get_named_type(query.fields[root].type)
    pages = isinstance(answered, GraphQLObjectType) and "pageInfo" in answered.fields
    assert (root in CONNECTIONS) == pages, "CONNECTIONS in src/wizsim/plans.py has the roots that have pages"


@pytest.mark.parametrize("type_", sorted(set(ROOT_TYPES.values())))
def test_each_type_of_records_is_known_wherever_types_are_listed(type_: str) -> None:
    tables = {
        "TYPES in lives.py": lives.TYPES,
        "SHARES in lives.py": lives.SHARES,
        "BIRTHS in lives.py": lives.BIRTHS,
        "AGES in lives.py": lives.AGES,
        "BORN in lives.py": lives.BORN,
        "LIVED in lives.py": lives.LIVED,
        "Type in calls.py": get_args(Type),
        "TYPE_NAMES in records.py": TYPE_NAMES,
        "FIELDS in orders.py": {type_ for type_, _ in FIELDS},
        "PATHS in filters.py": PATHS,
        "TYPES in arguments.py": arguments.TYPES,
        "_BORN in admin_client.py": admin_client._BORN,
    }
    lacking = [
        f"src/wizsim/{place.partition(' in ')[2]}: {place}" for place, known in tables.items() if type_ not in known
    ]
    assert lacking == [], f"add {type_!r} there"
