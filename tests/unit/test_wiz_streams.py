from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    parse,
    validate,
    visit,
)
from graphql.execution.values import get_variable_values
from msgspec.structs import replace

from ocelog.model import Kind
from ocelog.pull.ports import Ask
from ocelog.schema.language.fields import Array, Json, LogSchema, Object, Type
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.sources.wiz.selection import record_paths
from ocelog.sources.wiz.streams import KINDS, ROOTS, SHORT_NAMES, Root
from wizsim.record_types import RECORD_TYPES

AUDIT, ISSUES, FINDINGS = (ROOTS[name] for name in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"))

ROOT = Path(__file__).parents[2]
SIMULATED = ROOT / "src" / "wizsim" / "schema.graphql"
PUBLISHED = ROOT.parent / "shared" / "wiz" / "schema.graphql"
"""What was published of the API's types, beside this repository. It says nothing about a root that it does not have."""
SDLS = {"simulator": SIMULATED, "published": PUBLISHED}
EACH = pytest.mark.parametrize("root", ROOTS.values(), ids=SHORT_NAMES)


@pytest.fixture(scope="module", params=SDLS)
def sdl(request: pytest.FixtureRequest) -> GraphQLSchema:
    """Return the types of the API: those of the simulator, and those that were published if they are here."""
    path = SDLS[request.param]
    if not path.exists():
        pytest.skip(f"{path} is not there: the published types of Wiz's API, which are no part of this repository")
    return build_schema(path.read_text(encoding="utf-8"))


@pytest.fixture
def api(root: Root, sdl: GraphQLSchema, request: pytest.FixtureRequest) -> GraphQLSchema:
    """Return the types of the API, which tell of `root`: those of the simulator must."""
    path = SDLS[request.node.callspec.params["sdl"]]
    if not has_root(sdl, root):
        assert path != SIMULATED, f"add the field {root.root} to the type Query in {path}, and the types that it needs"
        pytest.skip(
            f"{path} does not have the query root {root.root}, and so does not tell whether it is asked for well"
        )
    return sdl


def has_root(sdl: GraphQLSchema, root: Root) -> bool:
    return sdl.query_type is not None and root.root in sdl.query_type.fields


def test_published_types_say_nothing_about_a_root_that_they_do_not_have() -> None:
    assert has_root(build_schema("type Query { issuesV2: Int }"), ISSUES)
    assert not has_root(build_schema("type Query { issuesV2: Int }"), FINDINGS)


def _ask(by: str, log_type: str = "Wiz.Issues", *, open_only: bool = False, **more: Any) -> Ask:
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, 4, 5, 6, 789, tzinfo=UTC)
    return Ask(log_type=log_type, by=by, since=since, until=until, open_only=open_only, **more)


def _asked_by(kind: Kind) -> list[str]:
    return [by for by in (kind.cursor_field, *kind.also_live_by, kind.sweep_by) if by is not None]


@EACH
def test_the_api_takes_each_query(root: Root, api: GraphQLSchema) -> None:
    assert validate(api, parse(root.document())) == []


@EACH
def test_the_api_takes_each_filter_and_order(root: Root, api: GraphQLSchema) -> None:
    operation = parse(root.document()).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    asked = [_ask(by, root.kind.log_type) for by in _asked_by(root.kind)]
    narrowed: dict[str, Sequence[str] | Sequence[int]] = dict(root.kind.split_values)
    if root.kind.created_filter is not None:
        narrowed[root.kind.created_filter] = (0, 1)
    for ask in (*asked, replace(asked[0], narrowed=narrowed)):
        variables = root.variables(ask, projects=("p1", "p2"), page_size=500)
        taken = get_variable_values(api, operation.variable_definitions or [], variables)
        assert not isinstance(taken, list), taken
        assert set(variables) == {defined.variable.name.value for defined in operation.variable_definitions or []}


@EACH
def test_the_types_of_nested_objects_are_the_apis(root: Root, api: GraphQLSchema) -> None:
    info, path, found = TypeInfo(api), list[str](), dict[str, str]()

    class Collect(Visitor):
        def enter_field(self, node: Any, *_: object) -> None:
            path.append((node.alias or node.name).value)
            if node.selection_set is not None and len(path) > 2 and path[1] == "nodes":
                found[".".join(path[2:])] = str(get_named_type(info.get_type()))

        def leave_field(self, *_: object) -> None:
            path.pop()

    visit(parse(root.document()), TypeInfoVisitor(info, Collect()))
    assert found == root.types


@EACH
def test_the_scope_that_people_are_told_opens_the_root_in_the_simulator(root: Root) -> None:
    shown = [each for each in RECORD_TYPES.values() if root.root in each.roots]
    if not shown:
        pytest.skip(f"the simulator does not serve the query root {root.root}")
    assert root.scope == shown[0].scopes[-1], (
        f"{root.kind.log_type} and the simulator differ: `scope` in LOG_TYPES in src/ocelog/sources/wiz/streams.py, "
        "and the last of `scopes` in RECORD_TYPES in src/wizsim/record_types.py"
    )


def _schema_paths(schema: LogSchema) -> tuple[set[str], set[str]]:
    """Return the dotted paths of all fields, and of those whose value is kept as JSON text."""
    every, kept = set[str](), set[str]()

    def note(name: str, type_: Type) -> None:
        every.add(name)
        inner = type_.element if isinstance(type_, Array) else type_
        if isinstance(inner, Json):
            kept.add(name)
        if isinstance(inner, Object):
            for field in inner.fields:
                note(f"{name}.{field.name}", field.type)

    for field in schema.fields:
        note(field.name, field.type)
    return every, kept


@EACH
def test_each_field_is_asked_for_and_each_answer_has_a_field(root: Root) -> None:
    every, kept = _schema_paths(packaged_schemas()[root.kind.log_type])
    asked = record_paths(root.document(), root)
    inside_json = {path for path in asked if any(path.startswith(f"{whole}.") for whole in kept)}
    name = root.kind.log_type
    assert asked - inside_json == every, (
        f"{name}: what {root.short}.graphql asks for, and the fields of its log schema, are not the same"
    )
    whole = {path for path in kept if any(inner.startswith(f"{path}.") for inner in inside_json)}
    assert whole == root.kept_whole, (
        f"{name}: `kept_whole` in LOG_TYPES in src/ocelog/sources/wiz/streams.py names the fields that are json in the "
        f"log schema and inside which {root.short}.graphql asks for fields: {sorted(whole)}"
    )


@EACH
def test_all_that_a_person_calls_a_change_is_in_the_version(root: Root) -> None:
    schema = packaged_schemas()[root.kind.log_type]
    fields = root.kind.version_fields
    if fields is None:
        return
    here = f"of {root.kind.log_type} in LOG_TYPES in src/ocelog/sources/wiz/streams.py"
    left_out = {path for path in root.kind.uncounted if "." not in path}
    assert {field.name for field in schema.fields} - set(fields) == left_out, (
        f"each field stands either in version_fields or in uncounted {here}"
    )
    later = [path for added in root.kind.later_fields for path in added]
    assert len(set(later)) == len(later)
    assert {path.partition(".")[0] for path in later} < set(fields)
    assert len(set(fields)) == len(fields)
    assert root.kind.uncounted <= _schema_paths(schema)[0]
    status = {"status"} if root.kind.statuses else set[str]()
    needed = {"id", root.kind.cursor_field, *root.kind.version_times} | status
    assert sorted(needed - set(fields)) == [], f"add these to version_fields {here}"
    assert root.kind.set_like <= set(fields)


def test_the_names_of_dates_in_records_and_in_filters_are_not_mixed_up() -> None:
    assert FINDINGS.kind.sweep_by == "firstSeenAt"
    assert FINDINGS.kind.created_field == "firstDetectedAt"
    assert KINDS["Wiz.Issues"].also_live_by == ("createdAt",)
    assert KINDS["Wiz.Audit"].sweep_by is None


def test_every_status_is_asked_for_by_name_since_the_api_would_show_open_findings_alone() -> None:
    for root in (ISSUES, FINDINGS):
        wanted = root.variables(_ask(root.kind.cursor_field), projects=(), page_size=500)["filterBy"]
        assert wanted["status"] == ["OPEN", "IN_PROGRESS", "RESOLVED", "REJECTED"]
        swept = root.variables(_ask(root.kind.sweep_by or "", open_only=True), projects=(), page_size=500)["filterBy"]
        assert swept["status"] == ["OPEN", "IN_PROGRESS"]
    assert "status" not in AUDIT.variables(_ask("timestamp"), projects=(), page_size=5)["filterBy"]


def test_projects_are_filtered_as_each_root_calls_it_and_the_audit_log_not_at_all() -> None:
    filters = {
        root.short: root.variables(_ask("timestamp"), projects=("p1",), page_size=5)["filterBy"]
        for root in (AUDIT, ISSUES, FINDINGS)
    }
    assert filters["issues"]["project"] == ["p1"]
    assert filters["findings"]["projectIdV2"] == {"equals": ["p1"]}
    assert set(filters["audit"]) == {"timestamp"}


def test_instants_go_out_whole_and_in_utc() -> None:
    wanted = ISSUES.variables(_ask("createdAt"), projects=(), page_size=5)["filterBy"]["createdAt"]
    assert wanted == {"after": "2026-03-01T00:00:00Z", "before": "2026-03-02T04:05:06.000789Z"}


@pytest.mark.parametrize(
    ("wanted", "own", "sent"),
    [(None, 500, 500), (20, 500, 20), (600, 500, 500), (None, 50, 50), (100, 50, 50), (0, 5, 5)],
)
def test_no_page_is_asked_larger_than_the_source_allows(wanted: int | None, own: int, sent: int) -> None:
    assert AUDIT.variables(_ask("timestamp", page_size=wanted), projects=(), page_size=own)["first"] == sent


def test_issues_come_in_the_order_of_their_ids_so_that_no_cursor_can_skip_a_tie() -> None:
    assert ISSUES.variables(_ask("createdAt"), projects=(), page_size=5)["orderBy"] == {
        "field": "ID",
        "direction": "ASC",
    }
