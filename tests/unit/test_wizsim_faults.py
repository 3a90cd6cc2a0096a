"""Each fault of the simulator shows a client what its name says, when it is told to, and never otherwise."""

import gzip
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wizsim import arguments
from wizsim.api import Api
from wizsim.faults import MEANINGS, Faults, UnknownFaultError
from wizsim.instants import SECOND, http_date, text
from wizsim.replies import Reply
from wizsim.world import World

Json = dict[str, Any]

ISSUES = """query($first: Int = 5, $after: String) { issuesV2(first: $first, after: $after) {
  totalCount pageInfo { endCursor hasNextPage } nodes { id status createdAt updatedAt dueAt url projects { id } } } }"""
FINDINGS = "{ vulnerabilityFindings(first: 5) { nodes { id score description layerMetadata { id } } } }"


class Client:
    """A client of one small tenant, in process."""

    def __init__(self) -> None:
        self.api = Api(World(seed=11, audit=10, issues=60, findings=60))
        self.faults = self.api.faults
        self.renew()

    def renew(self) -> Reply:
        account = self.api.accounts.all()[0]
        form = {"grant_type": "client_credentials", "audience": "wiz-api", "client_id": account.client_id}
        reply = self.api.token({**form, "client_secret": account.client_secret})
        self.token = reply.json()["access_token"] if reply.status == 200 else ""
        return reply

    def post(self, document: str = ISSUES, *, zipped: bool = False, **variables: Any) -> Reply:
        headers = {"authorization": f"Bearer {self.token}", **({"accept-encoding": "gzip"} if zipped else {})}
        return self.api.graphql(msgspec.json.encode({"query": document, "variables": variables}), headers)

    def page(self, **variables: Any) -> Json:
        answer: Json = self.post(**variables).json()
        assert "errors" not in answer
        page: Json = answer["data"]["issuesV2"]
        return page


@pytest.fixture
def client() -> Client:
    return Client()


def code_of(reply: Reply) -> str:
    return str(reply.json()["errors"][0]["extensions"]["code"])


def ids(page: Json) -> list[str]:
    return [n["id"] for n in page["nodes"]]


@pytest.mark.parametrize(
    ("written", "status", "code", "headers"),
    [
        ("unauthorized", 401, "UNAUTHENTICATED", {}),
        ("forbidden", 403, "FORBIDDEN_IP", {}),
        ("throttled:retry_after=7", 429, "RATE_LIMIT_EXCEEDED", {"retry-after": "7"}),
        ("throttled-silent", 429, "RATE_LIMIT_EXCEEDED", {}),
        ("rate-limit", 200, "RATE_LIMIT_EXCEEDED", {}),
        ("internal-error", 200, "INTERNAL", {}),
    ],
)
def test_a_refusal_has_its_status_code_and_headers(
    client: Client, written: str, status: int, code: str, headers: Json
) -> None:
    client.faults.add_written(f"{written}:times=1")
    reply = client.post()
    assert (reply.status, code_of(reply)) == (status, code)
    assert {k: v for k, v in reply.headers.items() if k == "retry-after"} == headers
    assert reply.json()["data"] is None
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    named = {"rate-limit": 429, "internal-error": 500}.get(written, status)
    assert reply.json()["errors"][0]["extensions"]["http"] == {"status": named}
    assert reply.json()["errors"][0]["extensions"]["requestId"] == reply.headers["x-request-id"]
    assert client.post().status == 200


def test_fields_that_are_null_can_be_absent_as_keys_without_an_error(client: Client) -> None:
    document = "{ auditLogEntries(first: 50) { nodes { id user { id } serviceAccount { id } sourceIP } } }"
    whole = client.post(document).json()["data"]["auditLogEntries"]["nodes"]
    assert any(node["user"] is None for node in whole)
    client.faults.add("absent-keys")
    answer = client.post(document).json()
    assert "errors" not in answer
    shown = answer["data"]["auditLogEntries"]["nodes"]
    assert shown == [{key: value for key, value in node.items() if value is not None} for node in whole]
    client.faults.clear()
    client.faults.add("absent-keys", field="sourceIP")
    assert all(
        set(node) == {"id", "user", "serviceAccount"}
        for node in client.post(document).json()["data"]["auditLogEntries"]["nodes"]
    )
    client.faults.clear()
    client.faults.add("absent-keys", field="id")
    assert client.post(document).json()["data"]["auditLogEntries"]["nodes"] == whole, "an id is never null"


def test_a_question_can_be_sent_elsewhere(client: Client) -> None:
    client.faults.add("redirect", times=1)
    reply = client.post()
    assert (reply.status, reply.headers["location"]) == (307, "https://elsewhere.example/graphql")


def test_a_lapsed_token_stays_lapsed_and_a_new_one_works(client: Client) -> None:
    client.faults.add("token-lapsed", times=1)
    assert client.post().status == 401
    assert client.post().status == 401
    client.renew()
    assert client.post().status == 200


def test_a_token_lapses_by_the_simulated_clock(client: Client) -> None:
    client.api.world.advance(86_399)
    assert client.post().status == 200
    client.api.world.advance(1)
    assert client.post().status == 401


def test_the_token_endpoint_has_faults_of_its_own(client: Client) -> None:
    client.faults.add("server-error", type="token", times=1, status=503)
    assert client.post().status == 200
    assert client.renew().status == 503
    assert client.renew().status == 200


def test_wrong_credentials_are_refused(client: Client) -> None:
    account = client.api.accounts.all()[0]
    right = {
        "grant_type": "client_credentials",
        "audience": "wiz-api",
        "client_id": account.client_id,
        "client_secret": account.client_secret,
    }
    assert client.api.token(right).status == 200
    assert client.api.token({**right, "audience": "beyond-api"}).status == 200
    for wrong in ({"client_secret": "x"}, {"client_id": "x"}, {"audience": "x"}, {"grant_type": "password"}):
        reply = client.api.token({**right, **wrong})
        assert reply.status in {400, 401}
        assert account.client_secret.encode() not in reply.body
    assert client.api.token({}).status in {400, 401}


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.b."])
def test_a_forged_token_is_refused(client: Client, token: str) -> None:
    client.token = token
    assert client.post().status == 401


def test_a_heavy_page_times_out_and_a_smaller_one_does_not(client: Client) -> None:
    client.faults.add("heavy-page", above=10)
    assert client.post(first=11).status == 504
    assert len(client.page(first=10)["nodes"]) == 10
    client.faults.clear()
    client.faults.add_written("heavy-page:above=10:as=null")
    reply = client.post(first=11)
    assert (reply.status, reply.json()["data"], code_of(reply)) == (200, None, "INTERNAL")


def test_partial_data_names_the_field_that_is_null(client: Client) -> None:
    client.faults.add("partial", field="projects")
    answer = client.post().json()
    assert {n["projects"] is None for n in answer["data"]["issuesV2"]["nodes"]} == {True}
    assert answer["errors"][0]["path"] == ["issuesV2", "nodes", "@", "projects"]
    assert [c["path"] for c in answer["extensions"]["valueCompletion"]] == [answer["errors"][0]["path"]]
    client.faults.clear()
    client.faults.add_written("partial:field=url:nth=2")
    answer = client.post().json()
    assert [n["url"] is None for n in answer["data"]["issuesV2"]["nodes"]] == [False, False, True, False, False]
    assert answer["errors"][0]["path"] == ["issuesV2", "nodes", 2, "url"]


def test_partial_data_leaves_a_page_alone_that_is_too_short_for_it(client: Client) -> None:
    client.faults.add_written("partial:field=url:nth=5")
    answer = client.post(first=5).json()
    assert "errors" not in answer
    assert all(n["url"] for n in answer["data"]["issuesV2"]["nodes"])
    assert client.post(first=6).json()["errors"][0]["path"] == ["issuesV2", "nodes", 5, "url"]


def test_partial_data_needs_a_field_that_was_asked_for_and_may_be_null(client: Client) -> None:
    client.faults.add("partial", field="status")
    assert client.page()["nodes"]
    client.faults.clear()
    client.faults.add("partial", field="vulnerableAsset")
    assert client.page()["nodes"]


def test_errors_beside_data_can_name_no_record(client: Client) -> None:
    client.faults.add("error-beside-data")
    answer = client.post().json()
    assert answer["errors"][0]["path"] == ["issuesV2"]
    assert {(n["url"], n["status"] is None) for n in answer["data"]["issuesV2"]["nodes"]} == {(None, False)}


@pytest.mark.parametrize("name", ["bad-record", "bad-record-null"])
def test_one_record_errs_on_whatever_page_it_is(client: Client, name: str) -> None:
    bad = ids(client.page(first=60))[7]
    client.faults.add(name, type="issues", id=bad)
    for first, hit in ((60, True), (5, False), (8, True)):
        answer = client.post(first=first).json()
        assert ("errors" in answer) is hit
        if hit:
            assert (answer["data"] is None) is (name == "bad-record-null")
    before = client.page(first=7)["pageInfo"]["endCursor"]
    alone = client.post(first=1, after=before).json()
    assert "errors" in alone
    if name == "bad-record":
        assert ids(alone["data"]["issuesV2"]) == [bad]
        assert alone["data"]["issuesV2"]["pageInfo"]["endCursor"] not in {None, before}


@pytest.mark.parametrize("name", ["bad-record", "bad-record-null"])
def test_several_records_can_be_bad(client: Client, name: str) -> None:
    page = client.page(first=10)
    second, third = (client.page(first=n)["pageInfo"]["endCursor"] for n in (2, 3))
    for id_ in ids(page)[2:4]:
        client.faults.add(name, id=id_)
    assert all("errors" in client.post(first=1, after=before).json() for before in (second, third))
    assert len(client.post(first=10).json()["errors"]) == (2 if name == "bad-record" else 1)


def test_of_two_faults_of_one_name_the_later_says_how(client: Client) -> None:
    client.faults.add("throttled", retry_after=1)
    client.faults.add("throttled", retry_after=9)
    assert client.post().headers["retry-after"] == "9"
    client.faults.clear()
    client.faults.add("odd-record", kind="nan", key="url")
    client.faults.add("odd-record", kind="infinity", key="dueAt")
    body = client.post().body
    assert b'"url":NaN' in body
    assert b'"dueAt":-Infinity' in body


def test_a_bad_record_that_is_not_named_stays_the_same_one(client: Client) -> None:
    fault = client.faults.add("bad-record", type="issues")
    client.post(first=60)
    chosen = fault.args["id"]
    client.post(first=3)
    assert fault.args["id"] == chosen


def test_a_cut_body_breaks_and_its_length_may_agree(client: Client) -> None:
    whole = client.post().body
    client.faults.add("cut-body", times=1)
    reply = client.post()
    assert (reply.cut_at, reply.body) == (len(whole) // 2, whole)
    client.faults.add_written("cut-json:at=0.25:times=1")
    reply = client.post()
    assert (reply.cut_at, len(reply.body)) == (None, len(whole) // 4)
    client.faults.add("cut-gzip", times=1)
    with pytest.raises(EOFError):
        gzip.decompress(client.post(zipped=True).body)
    assert gzip.decompress(client.post(zipped=True).body) == whole


def test_a_slow_body_and_html_and_a_jumping_date(client: Client) -> None:
    client.faults.add("slow-body", seconds=3, times=1)
    assert client.post().slow == 3
    client.faults.add("html", times=1)
    reply = client.post()
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    now = client.api.world.now()
    assert client.post().headers["date"] == http_date(now)
    client.faults.add("date-jump", seconds=-7200, times=1)
    assert client.post().headers["date"] == http_date(now - 7_200_000_000)


def test_cursors_are_repeated_missing_foreign_or_forgotten(client: Client) -> None:
    cursor = client.page()["pageInfo"]["endCursor"]
    client.faults.add("cursor-repeated", times=1)
    assert client.page(after=cursor)["pageInfo"] == {"endCursor": cursor, "hasNextPage": True}
    client.faults.add("cursor-missing", times=1)
    assert client.page()["pageInfo"] == {"endCursor": None, "hasNextPage": True}
    client.faults.add("cursor-foreign", times=1)
    foreign = client.page()["pageInfo"]["endCursor"]
    assert foreign != cursor
    assert code_of(client.post(after=foreign)) == "BAD_USER_INPUT"
    client.faults.add("cursor-forgotten", times=1)
    assert code_of(client.post(after=cursor)) == "BAD_USER_INPUT"
    assert client.post(after=cursor).json()["data"]


def test_an_empty_page_leads_on_to_the_records_it_did_not_show(client: Client) -> None:
    first, second = client.page(), client.page(after=client.page()["pageInfo"]["endCursor"])
    client.faults.add("empty-page", times=1)
    empty = client.page()
    assert (empty["nodes"], empty["pageInfo"]["hasNextPage"]) == ([], True)
    assert ids(client.page(after=empty["pageInfo"]["endCursor"])) == ids(first)
    client.faults.add("empty-page", times=2)
    after = first["pageInfo"]["endCursor"]
    once = client.page(after=after)["pageInfo"]["endCursor"]
    twice = client.page(after=once)["pageInfo"]["endCursor"]
    assert len({after, once, twice}) == 3
    assert ids(client.page(after=twice)) == ids(second)


def test_pages_overlap(client: Client) -> None:
    first = client.page()
    client.faults.add("overlap", by=2)
    assert ids(client.page(after=first["pageInfo"]["endCursor"]))[:2] == ids(first)[-2:]


@pytest.mark.parametrize("name", ["descending", "shuffled"])
def test_listings_run_backwards_or_in_no_order_and_still_show_all(client: Client, name: str) -> None:
    usual = ids(client.page(first=60))
    client.faults.add(name)
    found: list[str] = []
    after = None
    for _ in range(12):
        page = client.page(after=after)
        found += ids(page)
        after = page["pageInfo"]["endCursor"]
    assert not page["pageInfo"]["hasNextPage"]
    assert sorted(found) == sorted(usual)
    assert (found == usual[::-1]) is (name == "descending")
    assert found != usual


def test_lists_and_entries_can_be_null(client: Client) -> None:
    client.faults.add("null-nodes", times=1)
    assert client.page()["nodes"] is None
    client.faults.add("null-entry", times=1)
    assert [n is None for n in client.page()["nodes"]] == [True, False, False, False, False]
    assert [len(a.shown) for a in client.api.world.truth.answers()] == [0, 4]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("bad-timestamp", b'"createdAt":"yesterday"'),
        ("wrong-type", b'{"not": ['),
        ("null-required", b'"createdAt":null'),
        ("huge-integer", b"9" * 400),
        ("nan", b":NaN"),
        ("infinity", b":-Infinity"),
        ("surrogate", b'"\\ud800"'),
        ("invalid-utf8", b'"\xff\xfe"'),
        ("duplicate-key", b'"first","'),
        ("deep", b"[" * 2000),
        ("long", b"x" * 50_000_000),
    ],
)
def test_a_record_can_hold_what_does_not_fit(client: Client, kind: str, found: bytes) -> None:
    client.faults.add("odd-record", kind=kind, times=1)
    body = client.post().body
    assert found in body
    assert body.count(b'"id":') >= 5
    assert found not in client.post().body


def test_a_required_field_can_be_missing(client: Client) -> None:
    client.faults.add("odd-record", kind="missing-required")
    assert ["createdAt" in n for n in client.page()["nodes"]] == [False, True, True, True, True]


def test_a_field_or_type_can_be_unknown(client: Client) -> None:
    client.faults.add("hidden-field", field="Issue.dueAt")
    client.faults.add("hidden-field", field="Issue.url")
    client.faults.add("hidden-field", field="VulnerableAssetDevice")
    reply = client.post()
    assert {e["message"] for e in reply.json()["errors"][1:]} == {'Cannot query field "url" on type "Issue".'}
    assert reply.status == 400
    assert reply.json()["errors"][0]["message"] == 'Cannot query field "dueAt" on type "Issue".'
    assert code_of(reply) == "GRAPHQL_VALIDATION_FAILED"
    other = client.post(
        "{ vulnerabilityFindings { nodes { vulnerableAsset { ... on VulnerableAssetDevice { id } } } } }"
    )
    assert other.json()["errors"][0]["message"] == 'Unknown type "VulnerableAssetDevice".'
    assert client.post(FINDINGS).status == 200


def test_a_field_can_be_refused_to_the_account(client: Client) -> None:
    client.faults.add("refused-field", field="Issue.projects", scope="read:projects")
    answer = client.post().json()
    assert {n["projects"] is None for n in answer["data"]["issuesV2"]["nodes"]} == {True}
    assert answer["errors"][0]["path"] == ["issuesV2", "nodes", "@", "projects"]
    assert "[read:projects]" in answer["errors"][0]["message"]
    client.faults.add("refused-field", field="Issue.status")
    assert client.post().json()["data"]["issuesV2"]["nodes"] is None


def test_faults_strike_by_type_times_and_seeded_chance(client: Client) -> None:
    client.faults.add("forbidden", type="findings")
    assert client.post().status == 200
    assert client.post(FINDINGS).status == 403

    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add("throttled", 0.3)
        return [bool(faults.strike(frozenset({"issues"}), 0)) for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_a_fault_is_read_as_it_is_written() -> None:
    fault = Faults().add_written("throttled:0.25:retry_after=7:type=issues:times=3")
    assert (fault.name, fault.probability, fault.type, fault.times) == ("throttled", 0.25, "issues", 3)
    assert fault.args == {"retry_after": 7}


@pytest.mark.parametrize(
    ("written", "probability", "times", "url"),
    [
        ("redirect:to=https://a.example:8443/g?x=1,2", 1, None, "https://a.example:8443/g?x=1,2"),
        ("redirect:0.5:to=http://[::1]:80/:times=2", 0.5, 2, "http://[::1]:80/"),
        ("redirect:times=2:to=https://a.example/b:c", 1, 2, "https://a.example/b:c"),
    ],
)
def test_an_argument_can_be_a_url(written: str, probability: float, times: int | None, url: str) -> None:
    fault = Faults().add_written(written)
    assert (fault.probability, fault.times, fault.args) == (probability, times, {"to": url})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "there is no fault ''"),
        ("thortled", "did you mean 'throttled'?"),
        ("throttled:", "probability is a number from 0 to 1, not ''"),
        ("throttled:lots", "probability is a number from 0 to 1, not 'lots'"),
        ("throttled:2", "probability is a number from 0 to 1"),
        ("throttled:-1", "probability is a number from 0 to 1"),
        ("throttled:nan", "probability is a number from 0 to 1"),
        ("throttled:0.1:0.2", "probability is a number from 0 to 1"),
        ("throttled:retry=5", "takes no 'retry'; did you mean 'retry_after'?"),
        ("html:wat=1", "takes no 'wat'; there is type, times"),
        ("throttled:times=1:times=2", "gives an argument twice"),
        ("throttled:times=x", "times is a whole number"),
        ("throttled:times=0", "times is a whole number from 1"),
        ("throttled:retry_after=1.5", "retry_after is a whole number"),
        ("throttled:type=isues", "did you mean 'issues'?"),
        ("partial:type=token", "its type is audit, issues or findings"),
        ("partial:nth=-1", "nth is a whole number from 0"),
        ("server-error:status=abc", "status is a whole number from 500 to 599"),
        ("server-error:status=99", "status is a whole number from 500 to 599"),
        ("slow-body:seconds=1e20", "seconds is a number from 0"),
        ("slow-body:seconds=-1", "seconds is a number from 0"),
        ("date-jump:seconds=nan", "seconds is a number from"),
        ("cut-json:at=nonsense", "at is a number from 0"),
        ("cut-json:at=1", "at is a number from 0"),
        ("overlap:by=0", "by is a whole number from 1"),
        ("heavy-page:as=nul", "as is one of null"),
        ("odd-record:kind=bad-timestmp", "did you mean 'bad-timestamp'?"),
        ("redirect:to=elsewhere", "to is a URL"),
        ("redirect:to=https://a.example:99999/", "to is a URL"),
        ("hidden-field", "needs field="),
        ("hidden-field:field=Isue.dueAt", "did you mean 'Issue'?"),
        ("hidden-field:field=VulnerableAssetDevise", "did you mean 'VulnerableAssetDevice'?"),
        ("refused-field:field=Issue.duAt", "did you mean 'dueAt'?"),
        ("refused-field:field=Issue", "is written Type.name"),
        ("refused-field:field=Issue.dueAt:scope=x", "scope is a scope such as admin:all"),
    ],
)
def test_a_fault_that_does_not_fit_is_refused_when_it_is_set(written: str, said: str) -> None:
    faults = Faults()
    with pytest.raises(UnknownFaultError, match=re.escape(said)) as caught:
        faults.add_written(written)
    assert "\n" not in str(caught.value)
    assert faults.all() == []


def test_arguments_from_code_are_checked_as_those_that_are_written() -> None:
    faults = Faults()
    for given in ({"seconds": True}, {"seconds": "1e20"}, {"self": 1}, {"type": ["issues"]}, {"times": 1.5}):
        with pytest.raises(UnknownFaultError):
            faults.add("slow-body", **given)
    with pytest.raises(UnknownFaultError):
        faults.clear("slowbody")
    assert faults.add("slow-body", seconds=3, times=None).args == {"seconds": 3}


def test_only_faults_that_exist_take_arguments_and_every_odd_kind_is_documented() -> None:
    assert set(arguments.ARGUMENTS) <= set(MEANINGS)
    assert all(kind in MEANINGS["odd-record"] for kind in arguments.ODD_KINDS)
    unsaid = [(n, key) for n, keys in arguments.ARGUMENTS.items() for key in keys if key not in MEANINGS[n]]
    assert [pair for pair in unsaid if pair[0] != "cut-gzip"] == []


def test_the_truth_says_what_each_answer_showed_and_whether_it_came_through(client: Client) -> None:
    shown = ids(client.page())
    client.faults.add("cut-body", times=1)
    client.post()
    client.faults.add("partial", times=1, field="projects")
    client.post()
    client.faults.add("internal-error", times=1)
    client.post()
    answers = client.api.world.truth.answers()
    assert [(a.whole, a.errors, a.fault) for a in answers] == [
        (True, 0, None),
        (False, 0, "cut-body"),
        (True, 1, "partial"),
    ]
    assert [id_ for id_, _ in answers[0].shown] == shown
    assert (answers[0].root, answers[0].type, answers[0].has_next) == ("issuesV2", "issues", True)
    client.api.world.change("issues", shown[0], status="RESOLVED")
    client.page()
    assert client.api.world.truth.answers()[-1].shown[0] == (shown[0], 2)


def test_a_gzip_that_nobody_asked_for_is_not_cut(client: Client) -> None:
    client.faults.add("cut-gzip")
    assert client.page()["nodes"]
    client.post(zipped=True)
    assert [a.whole for a in client.api.world.truth.answers()] == [True, False]


def test_a_collector_can_see_itself_in_the_audit_log(client: Client) -> None:
    client.api.behave(self_audit=True)
    document = "{ auditLogEntries(first: 500) { nodes { action performer { id } } } }"
    client.renew()
    client.post()
    nodes = client.post(document).json()["data"]["auditLogEntries"]["nodes"]
    mine = [n["action"] for n in nodes if n["performer"]["id"] == client.api.accounts.all()[0].client_id]
    assert sorted(mine) == ["Login", "Query"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": ""}',
        b'{"query": "# nothing"}',
        b'{"query": "{a}", "variables": 3}',
        b'{"query": "{__typename}", "variables": []}',
        b'{"query": "{__typename}", "operationName": 3}',
        b'[{"query": "{__typename}"}]',
        b'{"query": "{__typename}", "variables": ' + b'{"a": ' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b'{"query": "query($f: Int!) {issuesV2(first: $f) {totalCount}}", "variables": {"f": ' + b"9" * 5_000 + b"}}",
        b'{"query": "query($f: IssueFilters) {issuesV2(first: 1, filterBy: $f) {totalCount}}", "variables": {"f": '
        + b"[" * 900
        + b"]" * 900
        + b"}}",
        b'{"query": "{issuesV2(first: ' + b"9" * 5_000 + b') {totalCount}}"}',
        b'{"query": "{issuesV2(first: 1, filterBy: ' + b"[" * 2_000 + b"]" * 2_000 + b') {totalCount}}"}',
        b'{"query": "' + b"{ a " * 2_000 + b"}" * 2_000 + b'"}',
        b'{"query": "mutation { deleteAll }"}',
        b'{"query": "subscription { issues { id } }"}',
        b'{"query": "type Query { a: Int }"}',
    ],
)
def test_what_is_no_question_is_refused(client: Client, body: bytes) -> None:
    reply = client.api.graphql(body, {"authorization": f"Bearer {client.token}"})
    assert reply.status == 400
    assert reply.json()["errors"][0]["extensions"]["requestId"] == reply.headers["x-request-id"]
    assert "None" not in reply.json()["errors"][0]["message"]
    assert client.post().status == 200


def test_what_is_no_question_is_not_read_without_a_token(client: Client) -> None:
    assert client.api.graphql(b"junk", {}).status == 401


def test_a_fault_is_about_what_is_asked_and_not_about_how_it_is_called(client: Client) -> None:
    client.faults.add("forbidden", type="issues", times=1)
    assert client.post("query issuesV2 { vulnerabilityFindings(first: 1) { nodes { hasFix } } }").status == 200
    client.token, token = "x", client.token
    assert client.post().status == 401
    client.token = token
    assert client.post("query q { mine: issues(first: 1) { totalCount } }").status == 403, "the strike was not spent"


NOWHERE: Json = {"after": "2099-01-01T00:00:00Z", "before": "2099-01-02T00:00:00Z"}
STRETCH = """query($after: DateTime, $before: DateTime) {
  issuesV2(first: 100, filterBy: {createdAt: {after: $after, before: $before}}) {
    totalCount pageInfo { hasNextPage } nodes { id createdAt } } }"""


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ("500", 500, None),
        ("502", 502, None),
        ("503", 503, None),
        ("504", 504, None),
        ("400", 400, "INTERNAL"),
        ("413", 413, "INTERNAL"),
        ("422", 422, "INTERNAL"),
        ("forbidden", 200, "FORBIDDEN"),
        ("not-found", 200, "NOT_FOUND"),
        ("bad-input", 200, "BAD_USER_INPUT"),
    ],
)
def test_any_page_with_the_bad_record_is_answered_as_told(
    client: Client, answer: str, status: int, code: str | None
) -> None:
    listed = ids(client.page(first=10))
    client.faults.add_written(f"bad-record-answer:id={listed[7]}:as={answer}")
    assert client.post(first=7).json()["data"]["issuesV2"]["nodes"]
    reply = client.post(first=8)
    assert reply.status == status
    if code is not None:
        assert code_of(reply) == code
        assert reply.json().get("data") is None


def test_a_page_with_the_bad_record_can_be_cut_garbled_or_late(client: Client) -> None:
    listed = ids(client.page(first=10))
    for answer in ("cut", "garbled"):
        client.faults.add_written(f"bad-record-answer:id={listed[7]}:as={answer}")
        assert client.post(first=7).json()
        with pytest.raises(msgspec.DecodeError):
            client.post(first=8).json()
        client.faults.clear()
    client.faults.add_written(f"bad-record-answer:id={listed[7]}:as=timeout:seconds=90")
    assert (client.post(first=7).slow, client.post(first=8).slow) == (0, 90)


def test_a_bad_stretch_errs_for_whatever_meets_it(client: Client) -> None:
    client.faults.add("bad-time-range", ago=7200, seconds=600, **{"as": "503"})
    now = client.api.world.now()
    at = [text(now - ago * SECOND) for ago in (7300, 7201, 7000, 6599)]
    assert client.post(STRETCH, after=at[0], before=at[1]).status == 200
    assert client.post(STRETCH, after=at[3], before=text(now)).status == 200
    assert client.post(STRETCH, after=at[1], before=at[2]).status == 503
    assert client.post(STRETCH, after=at[2], before=text(now)).status == 503
    assert client.post().status == 503


def test_ignored_dates_list_the_records_of_all_time(client: Client) -> None:
    assert client.post(STRETCH, **NOWHERE).json()["data"]["issuesV2"]["totalCount"] == 0
    client.faults.add("dates-ignored")
    assert client.post(STRETCH, **NOWHERE).json()["data"]["issuesV2"]["totalCount"] == 60


def test_a_count_can_be_too_high_everywhere_or_where_one_record_is(client: Client) -> None:
    listed = ids(client.page())
    client.faults.add("overcount", by=3)
    assert client.page()["totalCount"] == 63
    client.faults.clear()
    client.faults.add("overcount", id=listed[0])
    assert client.page()["totalCount"] == 61
    assert client.post(STRETCH, **NOWHERE).json()["data"]["issuesV2"]["totalCount"] == 0


def test_hidden_records_are_counted_and_never_shown(client: Client) -> None:
    listed = ids(client.page(first=60))
    client.faults.add("hidden-records", every=4)
    page = client.page(first=60)
    assert page["totalCount"] == 60
    assert 0 < len(page["nodes"]) < 60
    client.faults.clear()
    client.faults.add("hidden-records", id=listed[2])
    assert ids(client.page(first=60)) == listed[:2] + listed[3:]


def test_a_fault_begins_and_ends_by_the_tenants_clock() -> None:
    faults = Faults()
    faults.add_written("server-error:after=60:for=600")
    at = {second: bool(faults.strike(frozenset({"issues"}), second * SECOND)) for second in (100, 159, 160, 759, 760)}
    assert at == {100: False, 159: False, 160: True, 759: True, 760: False}


def test_every_fault_is_named_in_these_tests() -> None:
    tested = Path(__file__).read_text(encoding="utf-8").split("def test_every_fault_is_named", maxsplit=1)[0]
    assert [name for name in MEANINGS if f'"{name}' not in tested] == []
