"""The Wiz source against a whole simulated tenant: what it makes of each way in which the API misbehaves."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from ocelog.errors import (
    AccessRefusedError,
    ContractBrokenError,
    OcelogError,
    SourceThrottledError,
    SourceUnavailableError,
)
from ocelog.pull.ports import Answer, Ask, CursorLost, HealthItem, Page, Source, Unusable
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.check import check
from ocelog.sources.wiz.rate import Pace
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.source import WizSource
from ocelog.sources.wiz.streams import KINDS, ROOTS, SHORT_NAMES
from wizsim.limits import LIMITERS, LimiterKind
from wizsim.orders import FIELDS
from wizsim.record_types import RECORD_TYPES, ROOT_TYPES
from wizsim.server import Server
from wizsim.truth import project
from wizsim.world import World

EVER = timedelta(days=800)
SHOWN = {root.short: ROOT_TYPES[root.root] for root in ROOTS.values() if root.root in ROOT_TYPES}
"""Which of the simulator's records a log type has; those that it does not show cannot be read here."""
EACH = pytest.mark.parametrize("short", SHOWN)
RECORDS: dict[str, Any] = dict.fromkeys(RECORD_TYPES, 30) | {"issues": 40, "findings": 60}
"""How many of each type the tenant has."""


@pytest.fixture(scope="module")
def tenant() -> Iterator[Server]:
    world = World(seed=11, **RECORDS)
    with Server(world) as server:
        yield server


@pytest.fixture
def server(tenant: Server) -> Iterator[Server]:
    account = tenant.accounts.all()[0]
    yield tenant
    tenant.faults.clear()
    tenant.accounts.replace(account.client_id, scopes=account.scopes, projects=account.projects)


Connect = Callable[..., WizSource]


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Return a function that makes a source of the tenant, with settings changed by name."""
    made = list[WizSource]()

    def make(**settings: Any) -> WizSource:
        given = {
            "token_url": server.token_url,
            "api_url": server.api_url,
            "client_id": server.client_id,
            "rate": 100,
            "log_types": [*SHOWN],
            **settings,
        }
        made.append(WizSource(from_mapping(given), lambda: Secret(server.client_secret)))
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.fixture
def source(connect: Connect) -> WizSource:
    """Return a source whose clock has started."""
    source = connect()
    source.prime()
    return source


def _ask(source: WizSource, short: str = "issues", **more: Any) -> Ask:
    kind = KINDS[SHORT_NAMES[short]]
    now = source.now()
    given: dict[str, Any] = {
        "by": (*kind.also_live_by, kind.cursor_field)[0],  # what has not changed yet has a date of its own
        "since": now - EVER,
        "until": now + timedelta(seconds=1),
        "open_only": False,
    }
    return Ask(log_type=kind.log_type, **(given | more))


def _page(answer: Answer) -> Page:
    assert isinstance(answer, Page), answer
    return answer


def _records(page: Page) -> list[dict[str, Any]]:
    texts = [page.records] if isinstance(page.records, bytes) else page.records
    decoded = [json.loads(text) for text in texts]
    return list(decoded[0]) if isinstance(page.records, bytes) else decoded


def test_a_wiz_source_is_what_the_puller_asks(source: WizSource) -> None:
    port: Source = source
    assert port is source


@EACH
def test_pages_lead_to_every_record_that_there_is(source: WizSource, short: str) -> None:
    seen, after, total = list[str](), None, None
    while True:
        page = _page(source.ask(_ask(source, short, after=after, page_size=7)))
        seen += [record["id"] for record in _records(page)]
        total, after = page.total, page.end_cursor
        if not page.has_next:
            break
    assert len(seen) == len(set(seen)) == total
    assert len(seen) >= 0.8 * RECORDS[SHOWN[short]], "some findings began before EVER, but few records of any type"


@EACH
def test_a_record_comes_with_every_field_as_the_world_has_it(source: WizSource, server: Server, short: str) -> None:
    root = ROOTS[SHORT_NAMES[short]]
    truth = {version.id: version.full() for version in server.world.truth.versions(SHOWN[short])}
    records = _records(_page(source.ask(_ask(source, short, page_size=20))))
    assert records
    for record in records:
        assert record == project(root.document(), root.root, truth[record["id"]])


@pytest.mark.parametrize("short", ["issues", "findings"])
def test_a_sweep_asks_for_open_records_alone_and_everything_else_for_all(source: WizSource, short: str) -> None:
    by = KINDS[SHORT_NAMES[short]].sweep_by
    swept = _records(_page(source.ask(_ask(source, short, by=by, open_only=True))))
    every = _records(_page(source.ask(_ask(source, short, by=by))))
    assert {record["status"] for record in swept} <= {"OPEN", "IN_PROGRESS"}
    assert {record["id"] for record in swept} == {
        record["id"] for record in every if record["status"] in {"OPEN", "IN_PROGRESS"}
    }
    assert len(every) > len(swept) > 0


@pytest.mark.parametrize("short", [short for short in SHOWN if ROOTS[SHORT_NAMES[short]].project_filter])
def test_projects_bound_what_comes(connect: Connect, server: Server, short: str) -> None:
    (project_, *_) = server.world.estate.busiest_projects()
    source = connect(projects=[project_], log_types=[short])
    source.prime()
    bound = {record["id"] for record in _records(_page(source.ask(_ask(source, short))))}
    assert bound, f"does PATHS in src/wizsim/filters.py say where {SHOWN[short]} have their projects?"
    versions = server.world.current(SHOWN[short])
    assert all(project_ in {each["id"] for each in versions[id_].get("projects")} for id_ in bound)
    assert len(bound) < len(versions)


@EACH
def test_the_simulator_knows_the_order_that_is_asked_for(short: str) -> None:
    asked = (ROOTS[SHORT_NAMES[short]].order_by or {}).get("field", "ID")
    assert asked == "ID" or (SHOWN[short], asked) in FIELDS, "add it to FIELDS in src/wizsim/orders.py"


def test_stamps_grow_and_are_the_apis_time(source: WizSource, server: Server) -> None:
    stamps = [_page(source.ask(_ask(source))).asked_us for _ in range(5)]
    assert stamps == sorted(set(stamps))
    assert abs(stamps[0] - server.world.clock.now()) < 60_000_000


def test_the_token_can_say_where_the_api_is(connect: Connect, server: Server) -> None:
    with pytest.raises(AccessRefusedError, match="give the whole of it"):
        connect(api_url=None).prime()
    assert connect().api_url() == server.api_url


def test_a_wrong_secret_is_refused_without_being_told(server: Server) -> None:
    settings = from_mapping({"token_url": server.token_url, "api_url": server.api_url, "client_id": server.client_id})
    source = WizSource(settings, lambda: Secret("wrong-secret-text"))
    with pytest.raises(AccessRefusedError, match="client ID and secret") as caught:
        source.prime()
    assert "wrong-secret-text" not in str(caught.value)
    source.close()


def test_a_token_that_lapses_in_the_middle_is_renewed(source: WizSource, server: Server) -> None:
    server.faults.add("token-lapsed", times=1)
    assert len(_records(_page(source.ask(_ask(source))))) == 40


@pytest.mark.slow
def test_tokens_that_neighbours_get_refused_cost_nobody_an_answer(source: WizSource, server: Server) -> None:
    asked = _ask(source, page_size=5)
    server.faults.add("token-lapsed", 0.3, times=40)

    def ask(_: int) -> Answer:
        while True:
            try:
                return source.ask(asked)
            except SourceUnavailableError as error:
                assert "tokens in a row" in str(error)  # noqa: PT017 - what else is raised fails the test

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(60)))
    assert {len(_records(_page(answer))) for answer in answers} == {5}


def test_two_tokens_in_a_row_that_are_refused_are_replaced(source: WizSource, server: Server) -> None:
    server.faults.add("token-lapsed", times=2)
    assert len(_records(_page(source.ask(_ask(source))))) == 40


def test_an_api_that_takes_no_token_is_first_tried_later_and_then_given_up(source: WizSource, server: Server) -> None:
    asked = _ask(source)
    server.faults.add("unauthorized")
    for tokens in (3, 5, 7, 9):
        with pytest.raises(SourceUnavailableError, match=f"took none of {tokens} tokens in a row.*If this goes on"):
            source.ask(asked)
    with pytest.raises(AccessRefusedError, match=r"took none of 11 tokens in a row.*same tenant and data center"):
        source.ask(asked)
    server.faults.clear()
    assert len(_records(_page(source.ask(asked)))) == 40
    server.faults.add("unauthorized")
    with pytest.raises(SourceUnavailableError, match="took none of 3 tokens"):
        source.ask(asked)


def test_a_request_that_is_refused_by_itself_costs_no_tokens_and_accuses_none(server: Server) -> None:
    passed = [0.0]
    given = {"token_url": server.token_url, "api_url": server.api_url, "client_id": server.client_id, "rate": 100}
    source = WizSource(
        from_mapping(given), lambda: Secret(server.client_secret), monotonic=lambda: time.monotonic() + passed[0]
    )
    asked = _ask(source)
    first = source._tokens.get()
    server.faults.add("unauthorized", type="issues")
    for _ in range(12):
        with pytest.raises(SourceUnavailableError, match="takes the same token for others"):
            source.ask(asked)
    assert source._tokens.get() is first
    _page(source.ask(_ask(source, "findings")))
    # Something on the way may take any token for the cheap request: an older one is replaced once.
    passed[0] = 61
    with pytest.raises(SourceUnavailableError, match="takes the same token for others"):
        source.ask(asked)
    assert source._tokens.get().number == first.number + 1
    source.close()


def test_a_token_that_the_api_takes_only_after_a_while_is_tried_again(source: WizSource, server: Server) -> None:
    asked = _ask(source)
    server.faults.add("unauthorized", times=5)
    with pytest.raises(SourceUnavailableError):
        source.ask(asked)
    newest = source._tokens.get()
    source.ask(asked)
    assert source._tokens.get() is newest


def test_an_account_that_is_shut_out_is_not_told_of_some_log_type(connect: Connect, server: Server) -> None:
    server.faults.add("forbidden")
    for log_types in (["audit"], ["findings"]):
        with pytest.raises(AccessRefusedError, match=r"even the smallest request.*IP restrictions") as caught:
            connect(log_types=log_types).prime()
        assert "audit" not in str(caught.value)
    item = {item.name: item for item in connect().check()}["address"]
    assert item.state == "fail"
    assert "the client secret" in (item.todo or "")


def test_an_answer_of_another_time_is_asked_again(source: WizSource, server: Server) -> None:
    before, answered = source.now(), len(server.world.truth.answers())
    server.faults.add("date-jump", times=2)
    page = _page(source.ask(_ask(source)))
    assert len(_records(page)) == 40
    assert abs(source.now() - before) < timedelta(minutes=1)
    assert len(server.world.truth.answers()) == answered + 3


def test_a_time_that_three_answers_agree_on_becomes_the_clock_and_stamps_go_by_it(
    source: WizSource, server: Server
) -> None:
    before, asked = source.now(), _ask(source)
    server.faults.add("date-jump")
    page = _page(source.ask(asked))
    assert source.now() - before > timedelta(minutes=59)
    assert page.asked_us / 1e6 - before.timestamp() > 59 * 60


@pytest.mark.parametrize(
    ("fault", "args", "error"),
    [
        ("throttled", {"retry_after": 1}, SourceThrottledError),
        ("throttled-silent", {}, SourceThrottledError),
        ("rate-limit", {}, SourceThrottledError),
        ("server-error", {"status": 500}, SourceUnavailableError),
        ("server-error", {"status": 502}, SourceUnavailableError),
        ("forbidden", {}, AccessRefusedError),
        ("cut-body", {}, SourceUnavailableError),
        ("cut-json", {}, SourceUnavailableError),
        ("cut-json", {"at": 0.99}, SourceUnavailableError),
        ("cut-gzip", {}, SourceUnavailableError),
        ("html", {}, SourceUnavailableError),
    ],
)
def test_a_fault_of_the_whole_exchange_is_an_error_that_says_what_happens_next(
    source: WizSource, server: Server, fault: str, args: dict[str, Any], error: type[OcelogError]
) -> None:
    asked = _ask(source)
    server.faults.add(fault, times=1, **args)
    with pytest.raises(error) as caught:
        source.ask(asked)
    if isinstance(caught.value, SourceThrottledError) and "retry_after" in args:
        assert caught.value.retry_after == timedelta(seconds=1)


def test_a_retry_after_holds_for_every_slice_of_the_source(source: WizSource, server: Server) -> None:
    asked = _ask(source)
    server.faults.add("throttled", times=1, retry_after=1_000)
    for _ in range(3):
        with pytest.raises(SourceThrottledError) as caught:
            source.ask(asked)
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > timedelta(seconds=900)


@pytest.mark.slow
def test_a_background_request_waits_for_its_share_of_the_rate_unless_it_is_in_a_hurry(connect: Connect) -> None:
    source = connect(rate=1, sweep_share=0.01)
    source.prime()
    news, sweep = _ask(source), _ask(source, background=True)
    source.ask(sweep)
    with pytest.raises(SourceThrottledError):
        source.ask(sweep)
    assert isinstance(source.ask(news), Page)
    source.hurry()
    assert isinstance(source.ask(sweep), Page)


def test_a_body_that_comes_for_ever_is_given_up(connect: Connect, server: Server) -> None:
    source = connect(total_seconds=0.2)
    source.prime()
    server.faults.add("slow-body", times=1, seconds=30)
    with pytest.raises(SourceUnavailableError, match="still sending"):
        source.ask(_ask(source))


def test_a_check_waits_for_no_answer_as_long_as_a_pull_does(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelog.sources.wiz.source._CHECK_CHEAP_SECONDS", 0.5)
    known = list[HealthItem]()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = connect(api_url=f"http://127.0.0.1:{silent.getsockname()[1]}/graphql")
        started = time.monotonic()
        found = source.check(found=known.append)
    assert time.monotonic() - started < 20
    assert [(item.name, item.state.value) for item in found] == [("token", "ok"), ("address", "fail")]
    assert known == found
    assert "did not answer within 0.5 s" in found[1].text
    source = connect()
    source.prime()
    # A pull waits on.
    monkeypatch.setattr("ocelog.sources.wiz.source._CHECK_SECONDS", 0.0)
    assert isinstance(source.ask(_ask(source)), Page)


def test_a_body_larger_than_allowed_is_given_up(connect: Connect) -> None:
    source = connect(most_bytes=20_000)
    source.prime()
    with pytest.raises(SourceUnavailableError, match="more than 20000 bytes"):
        source.ask(_ask(source))


@pytest.mark.parametrize(
    ("fault", "args"),
    [
        ("heavy-page", {"above": 10}),
        ("heavy-page", {"above": 10, "as": "null"}),
        ("internal-error", {}),
        ("bad-record-null", {}),
    ],
)
def test_a_page_that_the_api_cannot_make_is_unusable_and_has_no_data(
    source: WizSource, server: Server, fault: str, args: dict[str, Any]
) -> None:
    asked = _ask(source)
    server.faults.add(fault, times=1, **args)
    answer = source.ask(asked)
    assert isinstance(answer, Unusable)
    assert answer.page is None
    assert answer.request_id


@pytest.mark.parametrize("fault", ["error-beside-data", "bad-record"])
def test_an_error_beside_data_that_no_rule_covers_makes_the_page_unusable(
    source: WizSource, server: Server, fault: str
) -> None:
    asked = _ask(source, page_size=5)
    server.faults.add(fault, times=1)
    answer = source.ask(asked)
    assert isinstance(answer, Unusable)
    assert answer.page is not None
    assert answer.page.end_cursor


def test_a_field_that_failed_is_unknown_in_the_records_where_it_is_null(source: WizSource, server: Server) -> None:
    asked = _ask(source, page_size=10)
    whole = _records(_page(source.ask(asked)))
    server.faults.add("partial", times=1, field="url" if "url" in whole[0] else "sourceRule")
    page = _page(source.ask(asked))
    assert set(page.unknown) == set(range(10))
    server.faults.add("partial", times=1, field="sourceRule", nth=3)
    page = _page(source.ask(asked))
    assert page.unknown == {3: frozenset({"sourceRule"})}
    assert [record["sourceRule"] is None for record in _records(page)].index(True) == 3


@pytest.mark.parametrize("fault", ["cursor-forgotten"])
def test_a_cursor_that_the_api_forgot_is_lost(source: WizSource, server: Server, fault: str) -> None:
    first = _page(source.ask(_ask(source, page_size=5)))
    server.faults.add(fault, times=1)
    assert isinstance(source.ask(_ask(source, page_size=5, after=first.end_cursor)), CursorLost)


def test_a_cursor_of_another_listing_is_lost(source: WizSource) -> None:
    asked = _ask(source, page_size=5, after="bm90IGEgY3Vyc29y")
    assert isinstance(source.ask(asked), CursorLost)


@pytest.mark.parametrize(
    "fault", ["cursor-repeated", "cursor-missing", "empty-page", "overlap", "descending", "shuffled"]
)
def test_odd_paging_is_handed_on_as_it_is(source: WizSource, server: Server, fault: str) -> None:
    if fault == "shuffled":
        server.faults.add(fault)
    first = _page(source.ask(_ask(source, "findings", page_size=5)))
    server.faults.add(fault)
    page = _page(source.ask(_ask(source, "findings", page_size=5, after=first.end_cursor)))
    if fault == "cursor-repeated":
        assert page.end_cursor == first.end_cursor
    if fault == "cursor-missing":
        assert page.has_next
        assert page.end_cursor is None
    if fault == "empty-page":
        assert page.has_next
        assert _records(page) == []


def test_null_instead_of_a_list_is_an_empty_page_and_null_in_a_list_keeps_its_place(
    source: WizSource, server: Server
) -> None:
    asked = _ask(source, page_size=5)
    server.faults.add("null-nodes", times=1)
    assert _records(_page(source.ask(asked))) == []
    server.faults.add("null-entry", times=1)
    assert [record is None for record in _records(_page(source.ask(asked)))] == [True, False, False, False, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["bad-timestamp", "wrong-type", "null-required", "missing-required", "huge-integer", "nan", "infinity", "surrogate",
     "invalid-utf8", "duplicate-key", "deep", "long"],
)  # fmt: skip
def test_a_record_with_a_value_that_does_not_fit_costs_no_other(source: WizSource, server: Server, kind: str) -> None:
    asked = _ask(source, "findings", page_size=4)
    whole = _records(_page(source.ask(asked)))
    server.faults.add("odd-record", times=1, kind=kind)
    page = _page(source.ask(asked))
    assert page.total is not None
    if isinstance(page.records, bytes):
        assert page.records.count(b'"CVEDescription"') == 4
    else:
        assert [json.loads(text) for text in page.records[1:]] == whole[1:]


@pytest.mark.parametrize(
    ("short", "field", "refused"),
    [
        ("audit", "AuditLogEntry.user", "user"),
        ("issues", "Issue.sourceRule", "sourceRule"),
        ("issues", "Project.businessUnit", "projects.businessUnit"),
        ("issues", "Control.resolutionRecommendation", "sourceRule.resolutionRecommendation"),
        ("findings", "VulnerabilityFinding.epssPercentile", "epssPercentile"),
        ("findings", "VulnerableAssetVirtualMachine.ipAddresses", "vulnerableAsset.ipAddresses"),
        ("findings", "VulnerableAssetVirtualMachine", "vulnerableAsset.ipAddresses"),
    ],
)
def test_a_field_that_the_api_does_not_know_is_left_out_from_then_on(
    source: WizSource, server: Server, short: str, field: str, refused: str
) -> None:
    server.faults.add("hidden-field", field=field)
    for _ in range(2):
        page = _page(source.ask(_ask(source, short, page_size=3)))
        assert page.refused == {refused}
        assert len(_records(page)) == 3
    assert source.refused(SHORT_NAMES[short]) == {refused}


def test_a_scope_that_was_added_is_noticed_within_the_hour(server: Server) -> None:
    passed = [0.0]
    given = {"token_url": server.token_url, "api_url": server.api_url, "client_id": server.client_id, "rate": 100}
    source = WizSource(
        from_mapping(given), lambda: Secret(server.client_secret), monotonic=lambda: time.monotonic() + passed[0]
    )
    server.faults.add("refused-field", field="Issue.notes", scope="admin:all")
    assert _page(source.ask(_ask(source, page_size=3))).refused == {"notes"}
    server.faults.clear()
    assert _page(source.ask(_ask(source, page_size=3))).refused == {"notes"}
    passed[0] = 3_601
    server.world.clock.advance(3_601)
    assert _page(source.ask(_ask(source, page_size=3))).refused == frozenset()
    source.close()


def test_many_threads_share_a_token_a_pace_and_a_refusal(source: WizSource, server: Server) -> None:
    asked = _ask(source, page_size=10)
    server.faults.add("token-lapsed", times=1)
    server.faults.add("hidden-field", field="Issue.sourceRule")
    with ThreadPoolExecutor(8) as threads:
        pages = [_page(answer) for answer in threads.map(source.ask, [asked] * 24)]
    assert {len(_records(page)) for page in pages} == {10}
    assert {page.refused for page in pages} == {frozenset({"sourceRule"})}
    assert len({page.asked_us for page in pages}) == 24


def test_closing_wakes_whoever_waits_to_ask(connect: Connect) -> None:
    source = connect()
    asked = _ask(source)
    source.close()
    with pytest.raises(SourceUnavailableError, match="closed"):
        source.ask(asked)


def test_a_field_that_needs_a_scope_is_left_out_and_named(source: WizSource, server: Server) -> None:
    server.faults.add("refused-field", field="Issue.notes", scope="admin:all")
    page = _page(source.ask(_ask(source, page_size=3)))
    assert page.refused == {"notes"}
    assert all("notes" not in record for record in _records(page))


def test_without_read_resources_what_the_resources_are_is_left_out(source: WizSource, server: Server) -> None:
    server.accounts.replace(server.client_id, scopes=("read:issues", "read:vulnerabilities"))
    assert _page(source.ask(_ask(source, "issues"))).refused == {"entitySnapshot"}
    assert _page(source.ask(_ask(source, "findings"))).refused == {"vulnerableAsset"}


def test_where_the_scopes_of_the_log_types_are_enough_no_other_is_missed(connect: Connect, server: Server) -> None:
    server.accounts.replace(server.client_id, scopes=("read:issues", "read:vulnerabilities"))
    server.api.behave(resources_scope=False)
    try:
        items = connect(log_types=["Wiz.Issues", "Wiz.VulnerabilityFinding"]).check()
        page = _page((source := connect()).ask(_ask(source, "findings", since=source.now() - EVER)))
    finally:
        server.api.behave(resources_scope=True)
    assert not any("read:resources" in item.text + item.todo for item in items)
    assert {item.state for item in items if item.name in {"Wiz.Issues", "Wiz.VulnerabilityFinding"}} == {"ok"}
    assert page.refused == frozenset()
    assert any(record["vulnerableAsset"] for record in _records(page))


@EACH
def test_a_field_absent_as_a_key_is_null_and_not_unknown(source: WizSource, server: Server, short: str) -> None:
    whole = _page(source.ask(_ask(source, short)))
    server.faults.add("absent-keys")
    page = _page(source.ask(_ask(source, short)))
    assert len(_records(page)) == len(_records(whole))
    has_nulls = any(None in record.values() for record in _records(whole))
    assert (_records(page) != _records(whole)) == has_nulls
    assert (page.refused, page.unknown) == (whole.refused, whole.unknown)


@pytest.mark.parametrize("field", ["Issue.id", "Issue.status", "Issue.updatedAt", "Issue.statusChangedAt"])
def test_records_cannot_be_read_without_what_places_them(source: WizSource, server: Server, field: str) -> None:
    server.faults.add("hidden-field", field=field)
    with pytest.raises(AccessRefusedError, match=field.partition(".")[2]) as caught:
        source.ask(_ask(source))
    assert ".." not in str(caught.value)


def test_an_api_without_a_root_is_not_the_one_we_know(source: WizSource, server: Server) -> None:
    server.faults.add("hidden-field", field="Query.issuesV2")
    with pytest.raises(ContractBrokenError, match="issues"):
        source.ask(_ask(source))


@EACH
def test_a_missing_scope_names_what_to_add(source: WizSource, server: Server, short: str) -> None:
    server.accounts.replace(server.client_id, scopes=("read:resources",))
    scope = ROOTS[SHORT_NAMES[short]].scope
    with pytest.raises(AccessRefusedError, match=rf"{scope}.*Service\s+Accounts"):
        source.ask(_ask(source, short))


def _states(items: list[HealthItem]) -> dict[str, str]:
    return {item.name: str(item.state) for item in items}


def test_a_source_that_works_is_well_in_every_item(connect: Connect) -> None:
    states = _states(connect().check())
    assert states.pop("clock") in {"ok", "warn"}  # the simulated tenant lives in a time of its own
    assert states == dict.fromkeys(("token", "address", *(SHORT_NAMES[short] for short in SHOWN)), "ok")


def test_each_item_that_fails_says_what_to_do(connect: Connect, server: Server) -> None:
    scopes = ("read:resources", "read:issues")
    server.accounts.replace(server.client_id, scopes=scopes)
    items = connect().check()
    failed = {item.name: item for item in items if item.state == "fail"}
    lacking = {SHORT_NAMES[short]: ROOTS[SHORT_NAMES[short]].scope for short in SHOWN}
    lacking = {log_type: scope for log_type, scope in lacking.items() if scope not in scopes}
    assert lacking.keys() >= {"Wiz.Audit", "Wiz.VulnerabilityFinding"}
    assert failed.keys() == lacking.keys()
    assert not any(item.later for item in items)
    assert not any("projects" in item.text + item.todo for item in items)
    assert not any("read:resources" in item.todo for item in items)
    assert all(scope in failed[log_type].todo for log_type, scope in lacking.items())
    assert all(item.todo for item in items if item.state != "ok")


def test_projects_and_the_audit_log_do_not_go_together(connect: Connect, server: Server) -> None:
    told = [item for item in connect(projects=["p1"]).check() if item.name == "projects"]
    whole = [root for root in (ROOTS[SHORT_NAMES[short]] for short in SHOWN) if root.project_filter is None]
    assert ROOTS["Wiz.Audit"] in whole
    assert {item.state for item in told} == {"warn"}
    assert [item.text.partition("; ")[2] for item in told] == [f"all of {root.title} is read" for root in whole]
    server.accounts.replace(server.client_id, projects=frozenset({"p1"}))
    items = {item.name: item for item in connect(log_types=["issues", "audit"]).check()}
    assert items["projects"].state == "fail"
    assert "bound to projects" in items["projects"].text


@pytest.mark.parametrize("fault", ["throttled-silent", "server-error", "rate-limit"])
def test_a_check_waits_for_an_api_that_is_busy_and_says_so(connect: Connect, server: Server, fault: str) -> None:
    source, told, slept = connect(), list[str](), list[float]()
    source.prime()
    server.faults.add(fault, type="issues", times=3)
    items = {item.name: item for item in check(source, told=told.append, sleep=slept.append)}
    assert items["Wiz.Issues"].state == "ok"
    assert slept == [1, 2, 4]
    assert all("Trying again in" in text for text in told)


@pytest.mark.parametrize(
    ("fault", "where", "said"),
    [
        ("throttled-silent", "audit", "rate-limited"),
        ("throttled-silent", "token", "rate-limited"),
        ("rate-limit", "audit", "rate-limited"),
        ("server-error", "audit", "HTTP 502"),
        ("server-error", "token", "HTTP 502"),
    ],
)
def test_a_check_of_an_api_that_stays_busy_ends_and_accuses_nobody(
    connect: Connect, server: Server, fault: str, where: str, said: str
) -> None:
    server.faults.add(fault, type=where)
    slept = list[float]()
    items = {item.name: item for item in check(connect(), sleep=slept.append)}
    failed = [item for item in items.values() if item.state == "fail"]
    [item] = failed
    assert item.later
    assert said in item.text
    assert ("--rate" in item.todo) == (said == "rate-limited")
    assert not any("project" in text or "scope" in text for text in (item.text, item.todo))
    assert 10 < sum(slept) <= 30


def test_a_check_does_not_wait_for_an_address_at_which_nobody_is(connect: Connect) -> None:
    slept = list[float]()
    [item] = check(connect(token_url="http://127.0.0.1:9/oauth/token"), sleep=slept.append)
    assert (item.state, slept) == ("fail", [])


def test_requests_for_tokens_count_towards_the_rate(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, sent = list[str](), list[str]()
    pace = Pace(100)
    monkeypatch.setattr(pace, "wait", lambda _: turns.append("turn"))
    monkeypatch.setattr(pace, "hold", lambda _: sent.append("sent"))
    given = {"token_url": server.token_url, "api_url": server.api_url, "client_id": server.client_id}
    source = WizSource(from_mapping(given), lambda: Secret(server.client_secret), pace=pace)
    source.fetch_token()
    assert (len(turns), len(sent)) == (1, 1)
    source.prime()
    source.close()
    assert (len(turns), len(sent)) == (4, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LimiterKind)
def test_a_limiter_that_counts_tokens_too_never_refuses_threads_or_sources_that_share_a_pace(kind: LimiterKind) -> None:
    with Server(World(seed=3, audit=5, issues=5, findings=5), limiter=LIMITERS[kind](8)) as server:
        given = {"token_url": server.token_url, "api_url": server.api_url, "client_id": server.client_id}
        pace = Pace(7)  # not 8: a loaded machine is slow to hand requests on, which is not what this is about
        sources = [WizSource(from_mapping(given), lambda: Secret(server.client_secret), pace=pace) for _ in range(2)]
        asks = [_ask(source) for source in sources for _ in range(3)]
        with ThreadPoolExecutor(6) as threads:
            pages = list(threads.map(lambda source, ask: source.ask(ask), sources * 3, asks))
        for source in sources:
            source.close()
        assert server.api.gate.refused == 0
        assert len(pages) == 6


def test_a_project_that_nothing_belongs_to_is_named(connect: Connect, server: Server) -> None:
    known = server.world.estate.busiest_projects()[0]
    items = {
        item.name: item for item in connect(projects=[known, "no-such-id"], log_types=["findings", "issues"]).check()
    }
    assert items["project ids"].state == "warn"
    assert items["project ids"].text.endswith("no vulnerability findings nor issues of no-such-id")
    assert "Check the ids" in items["project ids"].todo
    items = {item.name: item for item in connect(projects=[known]).check()}
    assert items["project ids"].state == "ok"
    assert "project ids" not in {item.name for item in connect(projects=["no-such-id"], log_types=["audit"]).check()}


def test_a_project_that_could_not_be_asked_about_is_not_accused(connect: Connect, server: Server) -> None:
    server.accounts.replace(server.client_id, scopes=("read:resources", "read:issues"))
    items = {item.name: item for item in connect(projects=["no-such-id"], log_types=["findings"]).check()}
    assert items["Wiz.VulnerabilityFinding"].state == "fail"
    assert "project ids" not in items


def test_refused_fields_are_a_warning(connect: Connect, server: Server) -> None:
    server.faults.add("hidden-field", field="Issue.sourceRule")
    items = {item.name: item for item in connect().check()}
    assert items["Wiz.Issues"].state == "warn"
    assert "sourceRule" in items["Wiz.Issues"].text


def test_what_cannot_be_reached_is_named(connect: Connect, server: Server) -> None:
    nowhere = "http://127.0.0.1:9/oauth/token"
    [item] = connect(token_url=nowhere).check()
    assert (item.name, item.state) == ("address", "fail")
    assert nowhere in item.text
    items = {item.name: item for item in connect(api_url=server.api_url + "/not/there").check()}
    assert (items["token"].state, items["address"].state) == ("ok", "fail")
    server.faults.add("unauthorized", type="token")
    [item] = connect().check()
    assert (item.name, item.state) == ("token", "fail")
