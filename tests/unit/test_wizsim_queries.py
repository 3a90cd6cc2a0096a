"""The simulator answers any valid query of its schema as a GraphQL engine would, only faster."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from graphql import (
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    execute_sync,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    parse,
)

from wizsim.accounts import Accounts
from wizsim.api import Api
from wizsim.behaviour import Behaviour
from wizsim.instants import parse as instant
from wizsim.instants import text
from wizsim.patterns import matcher
from wizsim.replies import Reply
from wizsim.sdl import concrete, default, schema
from wizsim.world import World

Json = dict[str, Any]
ROOTS = {"auditLogEntries": "audit", "issuesV2": "issues", "issues": "issues", "vulnerabilityFindings": "findings"}
EVERY_STATUS = "filterBy: {status: [OPEN, IN_PROGRESS, RESOLVED, REJECTED]}"


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=7, audit=120, issues=150, findings=150, rate=1.0)


@pytest.fixture
def api(world: World) -> Api:
    return Api(world)


def everything(type_: Any, depth: int) -> str:
    """Write a selection of every field of `type_`, `depth` levels down."""
    named = get_named_type(type_)
    if is_abstract_type(named):
        inside = " ".join(f"... on {member.name} {everything(member, depth)}" for member in concrete(named))
        return f"{{ __typename {inside} }}"
    assert isinstance(named, GraphQLObjectType)
    parts = ["__typename"]
    for name, field in named.fields.items():
        inner = get_named_type(field.type)
        # Types differ in whether a field may be null, so each gets names of its own.
        alias = f"{named.name}_{name}: {name}"
        if is_leaf_type(inner):
            parts.append(alias)
        elif depth:
            parts.append(f"{alias} {everything(inner, depth - 1)}")
    return "{ " + " ".join(parts) + " }"


def resolve(source: Any, info: Any, **_: Any) -> Any:
    """Resolve a field as the simulator's records hold it."""
    found = source.get(info.field_name)
    return default(info.return_type) if found is None else found


@pytest.mark.slow
@pytest.mark.parametrize("root", ROOTS)
def test_every_field_of_the_schema_is_shown_as_a_graphql_engine_shows_it(api: Api, world: World, root: str) -> None:
    query = schema().query_type
    assert query is not None
    record = get_named_type(get_named_type(query.fields[root].type).fields["nodes"].type)
    document = f"{{ {root}(first: 40) {{ nodes {everything(record, 2)} }} }}"
    ours = api.ask(document)
    assert "errors" not in ours
    shown = [n[f"{record.name}_id"] for n in ours["data"][root]["nodes"]]
    full = [world.tables[ROOTS[root]].current[id_].full() for id_ in shown]
    theirs = execute_sync(
        schema(), parse(document), root_value={root: {"nodes": full}}, field_resolver=resolve, type_resolver=_type_of
    )
    assert theirs.errors is None
    assert ours["data"] == theirs.data


def _type_of(value: Json, *_: Any) -> str:
    return str(value["__typename"])


def test_an_issue_tells_of_its_rule_and_projects_what_the_live_api_does(api: Api) -> None:
    document = """{ issuesV2(first: 100) { nodes {
      serviceTicket { id }
      sourceRules { description enabled threats ... on CloudConfigurationRule { findingTitle shortId }
        ... on CloudEventRule { releaseStage } ... on Control { managedBy } }
      projects { description createdAt archived }
    } } }"""
    answer = api.ask(document)
    assert "errors" not in answer
    nodes = answer["data"]["issuesV2"]["nodes"]
    rules = [rule for node in nodes for rule in node["sourceRules"]]
    assert {"findingTitle", "releaseStage", "managedBy"} <= {key for rule in rules for key in rule}
    assert all(rule["description"] and rule["enabled"] for rule in rules)
    assert all(p["description"] and p["createdAt"] > "2025" for node in nodes for p in node["projects"] or ())


def test_fragments_aliases_and_directives_are_obeyed(api: Api) -> None:
    document = """
      query Q($with: Boolean!, $first: Int = 2) {
        mine: vulnerabilityFindings(first: $first) { ...page }
        auditLogEntries(first: 1) @skip(if: $with) { totalCount }
      }
      fragment page on VulnerabilityFindingConnection {
        edges { cursor node { key: id
          vulnerableAsset { ...asset ... on VulnerableAssetVirtualMachine { ipAddresses } } } }
        pageInfo { hasNextPage @include(if: $with) }
      }
      fragment asset on VulnerableAssetBase { id kind: __typename }
    """
    data = api.ask(document, {"with": True})["data"]
    assert list(data) == ["mine"]
    edge = data["mine"]["edges"][0]
    assert set(edge) == {"cursor", "node"}
    assert edge["node"]["vulnerableAsset"]["kind"].startswith("VulnerableAsset")
    assert data["mine"]["pageInfo"] == {"hasNextPage": True}
    without = api.ask(document, {"with": False})["data"]
    assert set(without) == {"mine", "auditLogEntries"}
    assert without["mine"]["pageInfo"] == {}


def walk(api: Api, root: str, arguments: str = "", *, first: int = 7) -> Iterator[Json]:
    """Read a listing page by page."""
    after = None
    for _ in range(200):
        page_ = "totalCount nodes { id } pageInfo { endCursor hasNextPage }"
        document = f"query($a: String) {{ {root}(first: {first}, after: $a {arguments}) {{ {page_} }} }}"
        answer = api.ask(document, {"a": after})
        assert "errors" not in answer, answer["errors"]
        page = answer["data"][root]
        yield page
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]
    raise AssertionError("the listing does not end")


def ids_of(pages: Iterator[Json]) -> list[str]:
    return [node["id"] for page in pages for node in page["nodes"]]


@pytest.mark.parametrize(
    ("root", "arguments"),
    [
        ("auditLogEntries", ""),
        ("issuesV2", ""),
        ("issues", ", orderBy: {field: SEVERITY, direction: DESC}"),
        ("issuesV2", ", orderBy: {field: ID, direction: DESC}"),
        ("issuesV2", ", orderBy: {field: STATUS_CHANGED_AT, direction: ASC}"),
        ("issuesV2", ", orderBy: {field: RESOLVED_AT, direction: DESC}"),
        ("vulnerabilityFindings", f", {EVERY_STATUS}"),
        ("vulnerabilityFindings", f", {EVERY_STATUS}, orderBy: {{field: CREATED_AT, direction: DESC}}"),
        ("vulnerabilityFindings", f", {EVERY_STATUS}, orderBy: {{field: RELATED_ISSUE_SEVERITY, direction: ASC}}"),
    ],
)
def test_pages_of_a_listing_show_each_record_once(api: Api, world: World, root: str, arguments: str) -> None:
    ids = ids_of(walk(api, root, arguments))
    assert len(ids) == len(set(ids))
    assert set(ids) == set(world.tables[ROOTS[root]].current)


def test_orders_are_kept(api: Api) -> None:
    fields = "nodes { createdAt severity id }"
    oldest = api.ask(f"{{ issuesV2(first: 100, orderBy: {{field: CREATED_AT, direction: ASC}}) {{ {fields} }} }}")
    newest = api.ask(f"{{ issuesV2(first: 100, orderBy: {{field: CREATED_AT, direction: DESC}}) {{ {fields} }} }}")
    up = [instant(n["createdAt"]) for n in oldest["data"]["issuesV2"]["nodes"]]
    down = [instant(n["createdAt"]) for n in newest["data"]["issuesV2"]["nodes"]]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    worst = api.ask(f"{{ issuesV2(first: 3, orderBy: {{field: SEVERITY, direction: DESC}}) {{ {fields} }} }}")
    assert worst["data"]["issuesV2"]["nodes"][0]["severity"] == "CRITICAL"


@pytest.mark.parametrize(
    ("root", "dated"),
    [
        ("auditLogEntries", "timestamp"),
        ("issuesV2", "createdAt"),
        ("vulnerabilityFindings", "updatedAt"),
    ],
)
def test_without_an_order_the_newest_come_first_unless_the_tenant_is_set_otherwise(
    world: World, root: str, dated: str
) -> None:
    document = f"{{ {root}(first: 100) {{ nodes {{ {dated} }} }} }}"
    for oldest_first in (False, True):
        page = Api(world, behaviour=Behaviour(oldest_first=oldest_first)).ask(document)["data"][root]
        dates = [instant(node[dated]) for node in page["nodes"]]
        assert len(set(dates)) > 1
        assert dates == sorted(dates, reverse=not oldest_first)


def test_findings_are_open_ones_unless_a_status_is_asked_for(api: Api, world: World) -> None:
    states = {n.get("status") for n in world.tables["findings"].current.values()}
    assert {"OPEN", "RESOLVED"} <= states
    asked = api.ask("{ vulnerabilityFindings(first: 500) { nodes { status } } }")
    assert {n["status"] for n in asked["data"]["vulnerabilityFindings"]["nodes"]} == {"OPEN"}
    every = api.ask("{ issuesV2(first: 500) { nodes { status } } }")
    assert {n["status"] for n in every["data"]["issuesV2"]["nodes"]} > {"OPEN"}


def test_a_page_is_clamped_to_the_cap_or_refused(world: World) -> None:
    document = "{ issuesV2(first: 5000) { nodes { id } } }"
    clamped = Api(world, behaviour=Behaviour(page_cap=9)).ask(document)
    assert len(clamped["data"]["issuesV2"]["nodes"]) == 9
    refused = Api(world, behaviour=Behaviour(page_cap=9, refuse_over_cap=True)).ask(document)
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_page_of_the_audit_log_has_a_cap_of_its_own_of_5000(world: World) -> None:
    def asked(first: int, **behaviour: Any) -> Json:
        api = Api(world, behaviour=Behaviour(page_cap=9, refuse_over_cap=True, **behaviour))
        return api.ask(f"{{ auditLogEntries(first: {first}) {{ nodes {{ id }} }} }}")

    assert len(asked(5000)["data"]["auditLogEntries"]["nodes"]) > 9
    assert asked(5001)["errors"][0]["message"] == "argument `first` must not exceed 5000"
    assert asked(8, audit_page_cap=7)["errors"][0]["message"] == "argument `first` must not exceed 7"


def test_the_cap_holds_for_pages_of_no_size(world: World) -> None:
    api = Api(world, behaviour=Behaviour(page_cap=7))
    assert len(api.ask("{ issuesV2 { nodes { id } } }")["data"]["issuesV2"]["nodes"]) == 7


def test_the_audit_log_needs_a_page_size(api: Api) -> None:
    answer = api.ask("{ auditLogEntries { nodes { id } } }")
    assert answer["data"] is None
    assert answer["errors"][0]["message"] == "argument `first` is required"
    assert api.ask("{ auditLogEntries { exportUrl totalCount } }")["data"] is None
    assert api.ask("{ issuesV2 { nodes { id } } }")["data"]["issuesV2"]["nodes"]


@pytest.mark.parametrize("root", ["auditLogEntries", "issues", "issuesV2"])
def test_an_export_is_offered_without_a_page_size(api: Api, root: str) -> None:
    answer = api.ask(f"{{ {root} {{ __typename exportUrl(format: CSV, limit: 1000) }} }}")
    assert answer["data"][root]["exportUrl"].startswith("https://")
    assert "errors" not in answer


@pytest.mark.parametrize("asked", ['action: "LOGIN"', 'action: "login"', 'actionV2: ["lOgIn", "none"]'])
def test_actions_are_compared_without_regard_to_case(api: Api, asked: str) -> None:
    nodes = api.ask(f"{{ auditLogEntries(first: 500, filterBy: {{{asked}}}) {{ nodes {{ action }} }} }}")
    assert {node["action"] for node in nodes["data"]["auditLogEntries"]["nodes"]} == {"Login"}


def test_there_is_no_root_of_threats(api: Api) -> None:
    answer = api.ask("{ threats(first: 1) { totalCount } }")
    assert answer["errors"][0]["message"] == 'Cannot query field "threats" on type "Query".'


def test_counting_findings_stops_at_the_cap(world: World) -> None:
    document = f"{{ vulnerabilityFindings(first: 1, {EVERY_STATUS}) {{ totalCount maxCountReached }} }}"
    page = Api(world, behaviour=Behaviour(max_count=100)).ask(document)["data"]["vulnerabilityFindings"]
    assert page == {"totalCount": 100, "maxCountReached": True}
    page = Api(world).ask(document)["data"]["vulnerabilityFindings"]
    assert page == {"totalCount": len(world.tables["findings"].current), "maxCountReached": False}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_edges_of_dates_are_inclusive_as_told(world: World, *, after: bool, before: bool) -> None:
    times = sorted(instant(v.own["timestamp"]) for v in world.tables["audit"].current.values())
    low, high = times[10], times[50]
    edges = f'filterBy: {{timestamp: {{after: "{text(low)}", before: "{text(high)}"}}}}'
    api = Api(world, behaviour=Behaviour(after_inclusive=after, before_inclusive=before))
    nodes = api.ask(f"{{ auditLogEntries(first: 500, {edges}) {{ nodes {{ timestamp }} }} }}")
    got = [instant(n["timestamp"]) for n in nodes["data"]["auditLogEntries"]["nodes"]]
    assert got[::-1] == [t for t in times if (low < t or (after and t == low)) and (t < high or (before and t == high))]


@pytest.mark.parametrize(
    ("root", "condition", "holds"),
    [
        ("issuesV2", "severity: [CRITICAL, HIGH]", lambda r: r["severity"] in {"CRITICAL", "HIGH"}),
        ("issuesV2", "hasDueDate: true", lambda r: r["dueAt"] is not None),
        ("issuesV2", "hasNote: false", lambda r: not r["notes"]),
        ("issuesV2", 'sourceRule: {id: ["wc-id-3206"]}', lambda r: r["sourceRule"]["id"] == "wc-id-3206"),
        ("issuesV2", "relatedEntity: {cloudPlatform: [AWS]}", lambda r: r["entitySnapshot"]["cloudPlatform"] == "AWS"),
        (
            "issuesV2",
            "status: OPEN, type: [THREAT_DETECTION]",
            lambda r: (r["status"], r["type"]) == ("OPEN", "THREAT_DETECTION"),
        ),
        ("issuesV2", 'threatActor: {ids: ["x"]}', lambda _: False),
        ("auditLogEntries", "userType: [USER_ACCOUNT]", lambda r: r["user"] is not None),
        ("auditLogEntries", 'sourceIP: "n"', lambda _: False),
        ("vulnerabilityFindings", 'locationPathV2: {containsAll: ["none"]}', lambda _: False),
        ("auditLogEntries", 'search: "login"', lambda r: r["action"] == "Login"),
        ("issuesV2", "riskIsSet: true", lambda r: any(rule.get("risks") for rule in r["sourceRules"])),
        (
            "issuesV2",
            'riskEqualsAll: ["EXTERNAL_EXPOSURE", "RUNTIME"]',
            lambda r: any({"EXTERNAL_EXPOSURE", "RUNTIME"} <= set(rule.get("risks", ())) for rule in r["sourceRules"]),
        ),
        ("issuesV2", 'riskEqualsAll: ["EXTERNAL_EXPOSURE"]', lambda r: any(x.get("risks") for x in r["sourceRules"])),
        ("vulnerabilityFindings", "vulnerabilityType: {equals: [VULNERABILITY]}", lambda r: r["status"] == "OPEN"),
        ("vulnerabilityFindings", "vulnerabilityType: {notEquals: [VULNERABILITY]}", lambda _: False),
        ("vulnerabilityFindings", "duplication: [IS_DUPLICATE, HAS_DUPLICATES]", lambda _: False),
        ("vulnerabilityFindings", "duplication: [STANDALONE]", lambda r: r["status"] == "OPEN"),
        (
            "issuesV2",
            'search: "prod"',
            lambda r: any(
                "prod" in name.lower()
                for name in (r["entitySnapshot"]["name"], *(rule["name"] for rule in r["sourceRules"]))
            ),
        ),
        (
            "vulnerabilityFindings",
            "isPublic: {equals: false}",
            lambda r: r["vulnerableAsset"].get("isPublic") is False and r["status"] == "OPEN",
        ),
        ("auditLogEntries", "duration: {greaterThan: 100}", lambda r: r["duration"] > 100),
        ("auditLogEntries", "sourceIPCountryCode: {isSet: false}", lambda r: r["sourceIPCountryCode"] is None),
        ("auditLogEntries", 'actionV2: ["Login"]', lambda r: r["action"] == "Login"),
        (
            "vulnerabilityFindings",
            "hasCisaKevExploit: true",
            lambda r: r["hasCisaKevExploit"] and r["status"] == "OPEN",
        ),
        ("vulnerabilityFindings", "score: {greaterThan: 7}", lambda r: (r["score"] or 0) > 7 and r["status"] == "OPEN"),
        (
            "vulnerabilityFindings",
            'detailedNameV2: {startsWith: ["lib"]}',
            lambda r: r["detailedName"].startswith("lib") and r["status"] == "OPEN",
        ),
        (
            "vulnerabilityFindings",
            'assetTags: {containsAny: [{key: "Environment", value: "prod"}]}',
            lambda r: r["vulnerableAsset"]["tags"].get("Environment") == "prod" and r["status"] == "OPEN",
        ),
        (
            "vulnerabilityFindings",
            "epssFilter: {probability: {greaterThan: 1.5}}",
            lambda r: (r["epssProbability"] or 0) > 1.5 and r["status"] == "OPEN",
        ),
        ("vulnerabilityFindings", 'technology: {id: {equalsAny: ["x"]}}', lambda _: False),
    ],
)
def test_filters_let_through_what_they_say(api: Api, world: World, root: str, condition: str, holds: Any) -> None:
    answer = api.ask(f"{{ {root}(first: 500, filterBy: {{ {condition} }}) {{ totalCount nodes {{ id }} }} }}")
    assert "errors" not in answer, answer["errors"]
    expected = {v.id for v in world.tables[ROOTS[root]].current.values() if holds(v.full())}
    assert {n["id"] for n in answer["data"][root]["nodes"]} == expected
    assert answer["data"][root]["totalCount"] == len(expected)


@pytest.mark.parametrize("pattern", ["^lib", "(?i)^LIB.*[0-9]$", "ssl|curl", "^[^l]", "LIB", ".", "[.]"])
def test_a_regex_is_one(api: Api, world: World, pattern: str) -> None:
    asked = """query($p: [String!]) {
      vulnerabilityFindings(first: 500, filterBy: {detailedNameV2: {matchesRegex: $p}}) { nodes { detailedName } } }"""
    shown = api.ask(asked, {"p": [pattern, "no such thing"]})["data"]["vulnerabilityFindings"]["nodes"]
    names = [v.get("detailedName") for v in world.current("findings").values() if v.get("status") == "OPEN"]
    assert sorted(n["detailedName"] for n in shown) == sorted(n for n in names if re.search(pattern, n))


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "(?=x)", "(a{1000}){1000}", "a" * 1_001, "\\"])
def test_a_bad_regex_is_refused(api: Api, pattern: str) -> None:
    asked = """query($p: [String!]) { vulnerabilityFindings(first: 1, filterBy: {detailedNameV2: {matchesRegex: $p}}) {
      totalCount } }"""
    answer = api.ask(asked, {"p": [pattern]})
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer["errors"][0]["message"].startswith("matchesRegex: ")


def test_a_pattern_that_other_engines_choke_on_takes_no_time() -> None:
    matches = matcher(["(((a*)*)*)*b$", "(x+x+)+y"])
    assert not matches("a" * 50_000)
    assert not matches("x" * 50_000)


@pytest.mark.slow
def test_every_filter_of_the_schema_is_taken(api: Api) -> None:
    """No condition that the schema allows makes the simulator fail."""
    query = schema().query_type
    assert query is not None
    for root in ("auditLogEntries", "issuesV2", "vulnerabilityFindings"):
        given = get_named_type(query.fields[root].args["filterBy"].type)
        for name, field in given.fields.items():
            value = _some(field.type, 0)
            answer = api.ask(
                f"query($v: {field.type}) {{ {root}(first: 1, filterBy: {{{name}: $v}}) {{ totalCount }} }}",
                {"v": value},
            )
            assert "errors" not in answer, (root, name, value, answer)


def _some(type_: Any, depth: int) -> Any:
    if isinstance(type_, GraphQLNonNull):
        return _some(type_.of_type, depth)
    if isinstance(type_, GraphQLList):
        return [_some(type_.of_type, depth)]
    if hasattr(type_, "values"):
        return next(iter(type_.values))
    if hasattr(type_, "fields"):
        return {name: _some(field.type, depth + 1) for name, field in type_.fields.items()} if depth < 4 else {}
    return {"Int": 1, "Float": 1.0, "Boolean": True, "DateTime": "2026-01-01T00:00:00Z"}.get(type_.name, "x")


def test_relative_dates_follow_the_simulated_clock() -> None:
    world = World(seed=1, audit=50, issues=0, findings=0)
    api = Api(world)
    last = "filterBy: {timestamp: {inLast: {amount: 1, unit: DurationFilterValueUnitHours}}}"
    document = f"{{ auditLogEntries(first: 5, {last}) {{ totalCount }} }}"
    fresh = {**next(iter(world.tables["audit"].current.values())).own, "id": "fresh", "timestamp": text(world.now())}
    before = api.ask(document)["data"]["auditLogEntries"]["totalCount"]
    world.put("audit", fresh)
    assert api.ask(document)["data"]["auditLogEntries"]["totalCount"] == before + 1
    world.advance(3601)
    assert api.ask(document)["data"]["auditLogEntries"]["totalCount"] == 0


def test_ties_at_a_pages_edge_are_skipped_without_a_tie_break_and_kept_with_one() -> None:
    def read(*, tie_break: bool) -> tuple[int, int]:
        world = World(seed=3, audit=60, issues=0, findings=0, ties=0.8)
        pages = list(walk(Api(world, behaviour=Behaviour(tie_break=tie_break)), "auditLogEntries", first=4))
        return len({n["id"] for p in pages for n in p["nodes"]}), pages[0]["totalCount"]

    met, total = read(tie_break=True)
    assert (met, total) == (60, 60)
    met, total = read(tie_break=False)
    assert total == 60
    assert met < 60


def test_more_nulls_than_a_cursor_lists_are_all_shown_once() -> None:
    world = World(seed=3, audit=0, issues=2_500, findings=0)
    order = ", orderBy: {field: RESOLVED_AT, direction: ASC}"
    ids = ids_of(walk(Api(world), "issuesV2", order, first=400))
    assert len(ids) == len(set(ids)) == 2_500


def test_fragments_that_multiply_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wizsim.selection.MOST_FIELDS", 10_000)
    doubling = "".join(f"fragment f{n} on Issue {{ ...f{n + 1} a: id ...f{n + 1} }}" for n in range(40))
    document = f"{{ issuesV2(first: 1) {{ nodes {{ ...f0 }} }} }} {doubling} fragment f40 on Issue {{ id }}"
    assert api.ask(document)["errors"][0]["message"] == "the document asks for too many fields"


def test_a_cursor_is_base64_of_json_and_only_good_for_its_listing(api: Api) -> None:
    page = next(walk(api, "auditLogEntries"))
    cursor = page["pageInfo"]["endCursor"]
    fields = msgspec.json.decode(base64.b64decode(cursor))["fields"]
    assert fields[0]["Field"] == "Timestamp"
    assert fields[0]["Value"].endswith("Z")
    for foreign in (
        cursor,
        "no cursor",
        "",
        base64.b64encode(b'{"fields":[{"Field":"CreatedAt","Value":7}]}').decode(),
    ):
        answer = api.ask("query($a: String) { issuesV2(first: 1, after: $a) { totalCount } }", {"a": foreign})
        assert answer["data"] is None
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_listings_keep_up_with_a_changing_world() -> None:
    world = World(seed=5, audit=30, issues=60, findings=60, rate=2.0)
    api = Api(world)
    document = "{ vulnerabilityFindings(first: 500) { totalCount nodes { id } } }"
    for _ in range(30):
        world.advance(20)
        answer = api.ask(document)["data"]["vulnerabilityFindings"]
        expected = {v.id for v in world.tables["findings"].current.values() if v.get("status") == "OPEN"}
        assert {n["id"] for n in answer["nodes"]} == expected
        assert answer["totalCount"] == len(expected)


def test_a_rendered_answer_is_kept_until_its_records_change(world: World) -> None:
    api = Api(world)
    account = api.accounts.all()[0]
    token = api.accounts.issue(account, world.now())["access_token"]
    body = msgspec.json.encode({"query": "{ issuesV2(first: 3) { nodes { id status } } }"})
    first, second = (api.graphql(body, {"authorization": f"Bearer {token}"}) for _ in range(2))
    assert first.body is second.body
    shown = first.json()["data"]["issuesV2"]["nodes"][0]
    status = "OPEN" if shown["status"] != "OPEN" else "IN_PROGRESS"
    world.change("issues", shown["id"], status=status)
    third = api.graphql(body, {"authorization": f"Bearer {token}"}).json()
    assert third["data"]["issuesV2"]["nodes"][0]["status"] == status


def test_a_rendered_answer_does_not_outlive_thousands_of_changes() -> None:
    world = World(seed=5, audit=0, issues=0, findings=60, rate=2.0)
    api = Api(world)
    document = "{ vulnerabilityFindings(first: 500) { nodes { id lastDetectedAt } } }"
    api.ask(document)
    world.advance(1500)
    assert len(world.tables["findings"].log) > 2_000
    shown = {n["id"]: n["lastDetectedAt"] for n in api.ask(document)["data"]["vulnerabilityFindings"]["nodes"]}
    now = {v.id: v.own["lastDetectedAt"] for v in world.current("findings").values() if v.own["status"] == "OPEN"}
    assert shown == now


def test_a_single_record_is_found_by_its_id(api: Api, world: World) -> None:
    issue = next(iter(world.tables["issues"].current))
    answer = api.ask('query($i: ID!) { issue(id: $i) { id } auditLogEntry(id: "none") { id } }', {"i": issue})
    assert answer["data"] == {"issue": {"id": issue}, "auditLogEntry": None}


def test_an_issue_of_no_such_id_is_null_beside_an_error_that_says_so(api: Api) -> None:
    answer = api.ask('{ theirs: issue(id: "none") { id } issuesV2(first: 1) { totalCount } }')
    assert answer["data"]["theirs"] is None
    assert answer["data"]["issuesV2"]["totalCount"]
    [said] = answer["errors"]
    assert (said["message"], said["path"]) == ("id must be a valid service issue id", ["theirs"])
    assert (said["extensions"]["code"], said["extensions"]["http"]) == ("BAD_USER_INPUT", {"status": 400})


def test_the_schema_can_be_introspected(api: Api) -> None:
    answer = api.ask('{ __typename __type(name: "Issue") { name fields { name } } issuesV2(first: 1) { totalCount } }')
    assert answer["data"]["__typename"] == "Query"
    assert "statusChangedAt" in {f["name"] for f in answer["data"]["__type"]["fields"]}


@pytest.mark.parametrize(
    ("document", "variables", "code", "message"),
    [
        (
            "{ issuesV2(first: 1) { nodes { x } } }",
            {},
            "GRAPHQL_VALIDATION_FAILED",
            'Cannot query field "x" on type "Issue".',
        ),
        (
            "{ issuesV2(first: 1) { nodes { ... on Nix { id } } } }",
            {},
            "GRAPHQL_VALIDATION_FAILED",
            'Unknown type "Nix".',
        ),
        (
            "query($f: Int!) { issuesV2(first: $f) { totalCount } }",
            {"f": "x"},
            "VALIDATION_INVALID_TYPE_VARIABLE",
            None,
        ),
        ("query($f: Int!) { issuesV2(first: $f) { totalCount } }", {}, "VALIDATION_INVALID_TYPE_VARIABLE", None),
        ("{" * 9_000, {}, "GRAPHQL_PARSE_FAILED", None),
        (
            "{ issuesV2 { nodes { sourceRules " + "{ securitySubCategories { category { framework " * 900,
            {},
            "GRAPHQL_PARSE_FAILED",
            None,
        ),
        ("{ issuesV2(first: 1", {}, "GRAPHQL_PARSE_FAILED", None),
        ('{ issuesV2(filterBy: {createdAt: {after: "soon"}}) { totalCount } }', {}, "BAD_USER_INPUT", None),
    ],
)
def test_what_is_wrong_with_a_document_is_said(
    api: Api, document: str, variables: Json, code: str, message: str | None
) -> None:
    answer = api.ask(document, variables)
    assert answer.get("data") is None
    assert answer["errors"][0]["extensions"]["code"] == code
    assert message in {None, answer["errors"][0]["message"]}


TWO = "query A { issuesV2(first: 1) { totalCount } } query B { auditLogEntries(first: 1) { totalCount } }"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "Must provide operation name if query contains multiple operations."),
        ("", "Must provide operation name if query contains multiple operations."),
        ("C", 'Unknown operation named "C".'),
    ],
)
def test_an_operation_that_is_not_named_rightly_is_not_found(api: Api, name: str | None, said: str) -> None:
    token = api.accounts.issue(api.accounts.all()[0], api.world.now())["access_token"]

    def send(operation: str | None) -> Reply:
        body = msgspec.json.encode({"query": TWO, "operationName": operation})
        return api.graphql(body, {"authorization": f"Bearer {token}"})

    reply = send(name)
    assert (reply.status, reply.json()["errors"][0]["message"]) == (400, said)
    assert reply.json()["errors"][0]["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE"
    assert set(send("B").json()["data"]) == {"auditLogEntries"}


def test_data_comes_in_the_order_that_is_asked_for(api: Api) -> None:
    document = """{ issuesV2(first: 1) { totalCount } ...schema __typename auditLogEntries(first: 1) { totalCount } }
      fragment schema on Query { __type(name: "Issue") { name } }"""
    data = api.ask(document)["data"]
    assert list(data) == ["issuesV2", "__type", "__typename", "auditLogEntries"]
    assert data["__type"] == {"name": "Issue"}


def test_all_that_is_wrong_with_a_document_is_said_at_once(api: Api) -> None:
    answer = api.ask("{ issuesV2(first: 1) { nodes { x y } } z }")
    assert [e["message"].split(" on ")[0] for e in answer["errors"]] == [
        f'Cannot query field "{name}"' for name in ("x", "y", "z")
    ]


def test_scopes_open_roots_and_fields(world: World) -> None:
    accounts = Accounts()
    reader = accounts.add(scopes=("read:all",))
    narrow = accounts.add(scopes=("read:vulnerabilities",))
    api = Api(world, accounts=accounts)
    refused = api.ask("{ auditLogEntries(first: 1) { totalCount } }", account=reader)
    assert refused["data"] is None
    assert refused["errors"][0]["message"] == (
        "access denied, at least one of the following is required: [admin:all admin:audit],"
        " your permissions: [read:all]"
    )
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
    assert "errors" not in api.ask("{ issuesV2(first: 1) { nodes { id entitySnapshot { id } } } }", account=reader)
    partial = api.ask(
        "{ vulnerabilityFindings(first: 2) { nodes { id vulnerableAsset { __typename } } } }", account=narrow
    )
    one = api.ask('{ issue(id: "x") { id } vulnerabilityFindings(first: 1) { totalCount } }', account=narrow)
    assert one["data"]["issue"] is None
    assert one["data"]["vulnerabilityFindings"]["totalCount"]
    assert (len(one["errors"]), one["errors"][0]["path"]) == (1, ["issue"])
    assert one["errors"][0]["extensions"]["http"] == {"status": 403}
    assert [n["vulnerableAsset"] for n in partial["data"]["vulnerabilityFindings"]["nodes"]] == [None, None]
    assert partial["errors"][0]["path"] == ["vulnerabilityFindings", "nodes", "@", "vulnerableAsset"]


def test_some_tenants_show_resources_without_the_scope_of_resources(world: World) -> None:
    accounts = Accounts()
    narrow = accounts.add(scopes=("read:vulnerabilities",))
    asked = "{ vulnerabilityFindings(first: 2) { nodes { vulnerableAsset { __typename } } } }"
    answer = Api(world, accounts=accounts, behaviour=Behaviour(resources_scope=False)).ask(asked, account=narrow)
    assert "errors" not in answer
    assert all(node["vulnerableAsset"] for node in answer["data"]["vulnerabilityFindings"]["nodes"])


def test_an_account_bound_to_projects_sees_only_theirs_and_no_audit_log(world: World) -> None:
    project = world.estate.busiest_projects()[0]
    accounts = Accounts()
    bound = accounts.add(projects=frozenset({project}))
    api = Api(world, accounts=accounts)
    nodes = api.ask("{ issuesV2(first: 500) { nodes { projects { id } } } }", account=bound)["data"]["issuesV2"][
        "nodes"
    ]
    assert nodes
    assert all(project in {p["id"] for p in n["projects"]} for n in nodes)
    assert len(nodes) < len(world.tables["issues"].current)
    refused = api.ask("{ auditLogEntries(first: 1) { totalCount } }", account=bound)
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
    chief = accounts.add(scopes=("admin:all",), projects=frozenset({project}))
    assert api.ask("{ issuesV2(first: 1) { totalCount } }", account=chief)["data"]["issuesV2"]["totalCount"]
    assert api.ask("{ auditLogEntries(first: 1) { totalCount } }", account=chief)["data"] is None
