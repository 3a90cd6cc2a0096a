import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocelog.errors import AccessRefusedError, ContractBrokenError, SourceThrottledError, SourceUnavailableError
from ocelog.pull.ports import CursorLost, Page, Unusable
from ocelog.sources.wiz.answers import FieldsRefused, Reply, TokenRefused, read_answer
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.streams import ROOTS, Root

AUDIT, ISSUES, FINDINGS = (ROOTS[name] for name in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"))

DENIED = (
    "access denied, at least one of the following is required: [admin:all admin:audit], your permissions: [read:all]"
)
OOPS = "oops! an internal error has occurred"


def _read(body: object, *, status: int = 200, root: Root = ISSUES, after: str | None = None, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {"x-request-id": "r-1"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(HttpAnswer(status=status, headers=names, body=raw), root, after=after, asked_us=7)


def _data(nodes: object, *, root: Root = ISSUES, has_next: bool = False, **more: object) -> dict[str, Any]:
    connection = {"nodes": nodes, "pageInfo": {"hasNextPage": has_next, "endCursor": "c1"}, "totalCount": 2, **more}
    return {"data": {root.root: connection}}


def _error(message: str, code: str = "", path: object = None, **more: object) -> dict[str, Any]:
    return {"message": message, "path": path, "extensions": {"code": code, **more}}


def _page(reply: Reply) -> Page:
    assert isinstance(reply, Page), reply
    return reply


def test_a_good_answer_is_a_page_whose_records_are_the_very_bytes_that_came() -> None:
    nodes = b'[ {"id":"a", "n":1e3} ,{"id":"b"}]'
    around = b'"pageInfo":{"hasNextPage":true,"endCursor":"x"},"totalCount":9'
    page = _page(_read(b'{"data":{"issuesV2":{"nodes":' + nodes + b"," + around + b"}}}"))
    assert page.records == nodes
    assert (page.end_cursor, page.has_next, page.total, page.capped) == ("x", True, 9, False)
    assert (page.asked_us, page.request_id, page.unknown, page.refused) == (7, "r-1", {}, frozenset())


def test_a_count_that_stopped_early_is_told() -> None:
    assert _page(_read(_data([], root=FINDINGS, maxCountReached=True), root=FINDINGS)).capped


@pytest.mark.parametrize("nodes", [None, []])
def test_no_records_and_no_error_is_an_empty_page_that_can_have_a_next(nodes: Any) -> None:
    page = _page(_read(_data(nodes, has_next=True)))
    assert page.records == b"[]"
    assert page.has_next


def test_a_null_among_the_records_keeps_its_place() -> None:
    assert json.loads(bytes(_page(_read(_data([{"id": "a"}, None, {"id": "b"}]))).records)) == [  # type: ignore[arg-type] # one array
        {"id": "a"},
        None,
        {"id": "b"},
    ]


def test_without_page_info_nobody_can_say_that_a_slice_is_drained() -> None:
    assert isinstance(_read({"data": {"issuesV2": {"nodes": [], "totalCount": 0}}}), Unusable)
    assert isinstance(_read(_data([], pageInfo={"endCursor": "x"})), Unusable)


@pytest.mark.parametrize(
    ("status", "error", "wait"),
    [
        (429, SourceThrottledError, timedelta(seconds=17)),
        (500, SourceUnavailableError, timedelta(seconds=17)),
        (502, SourceUnavailableError, timedelta(seconds=17)),
        (503, SourceUnavailableError, timedelta(seconds=17)),
        (408, SourceUnavailableError, timedelta(seconds=17)),
    ],
)
def test_a_status_that_passes_says_how_long_to_wait(status: Any, error: Any, wait: Any) -> None:
    with pytest.raises(error, match="r-1") as caught:
        _read(b"<html>", status=status, retry_after="17")
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ("999999", timedelta(hours=1)),
        ("1000000000", timedelta(hours=1)),
        ("9" * 300, timedelta(hours=1)),
        ("1.5", timedelta(seconds=1.5)),
        ("0", timedelta(0)),
        ("nan", None),
        ("1e9", None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("Mon, 24 Nov 2025 10:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 24 Nov 2025 09:00:30 GMT", timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=1)),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Mon, 24 Nov 99999 09:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_never_believed_for_more_than_an_hour(
    told: Any, wait: Any
) -> None:
    with pytest.raises(SourceThrottledError) as caught:
        _read(b"", status=429, retry_after=told, date="Mon, 24 Nov 2025 10:00:00 GMT")
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("Mon, 24 Nov 2025 10:00:00 GMT", datetime(2025, 11, 24, 10, tzinfo=UTC)),
        ("Mon, 24 Nov 2025 10:00:00 +0200", datetime(2025, 11, 24, 8, tzinfo=UTC)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_that_no_clock_shows_is_none(said: str, date: datetime | None) -> None:
    assert HttpAnswer(status=200, headers={"date": said}, body=b"").date == date


@pytest.mark.parametrize(
    ("status", "error", "match"),
    [
        (301, ContractBrokenError, "elsewhere.example/graphql"),
        (307, ContractBrokenError, "elsewhere.example/graphql"),
        (404, ContractBrokenError, "404"),
        (418, ContractBrokenError, "418"),
    ],
)
def test_a_status_that_stays_stops_the_stream(status: Any, error: Any, match: Any) -> None:
    with pytest.raises(error, match=match):
        _read(b"", status=status, location="https://elsewhere.example/graphql?token=t")


def test_504_is_a_page_too_heavy_and_not_a_source_that_is_down() -> None:
    answer = _read(b"<html>", status=504)
    assert isinstance(answer, Unusable)
    assert (answer.page, answer.request_id) == (None, "r-1")


@pytest.mark.parametrize(
    "reply", [(b"", 401), (json.dumps({"errors": [_error("lapsed", "UNAUTHENTICATED")]}).encode(), 200)]
)
def test_a_lapsed_token_is_no_error_yet(reply: Any) -> None:
    assert isinstance(_read(reply[0], status=reply[1]), TokenRefused)


def test_throttling_can_hide_in_a_200() -> None:
    with pytest.raises(SourceThrottledError, match="slow down"):
        _read({"data": None, "errors": [_error("slow down", "RATE_LIMIT_EXCEEDED")]})


@pytest.mark.parametrize(
    "body", [b"", b"<html>Sign in</html>", b'{"data":{"issuesV2":{"nodes":[{"id":"a', b"null", b"[]"]
)
def test_html_or_a_body_cut_short_in_a_200_is_asked_again_later(body: Any) -> None:
    with pytest.raises((SourceUnavailableError, ContractBrokenError), match="r-1"):
        _read(body)


@pytest.mark.parametrize("cut", range(1, 60))
def test_no_cut_of_a_body_is_ever_a_page(cut: Any) -> None:
    whole = json.dumps(_data([{"id": 'a"}]', "x": [1, {"y": "\\"}]}, {"id": "b"}])).encode()
    with pytest.raises(SourceUnavailableError):
        _read(whole[: len(whole) * cut // 60])


def test_a_refused_root_names_the_scope_to_add() -> None:
    body = {"data": None, "errors": [_error(DENIED, "UNAUTHORIZED", ["auditLogEntries"])]}
    with pytest.raises(
        AccessRefusedError, match=r"audit log.*admin:audit.*your permissions: \[read:all\].*Service Acc"
    ):
        _read(body, root=AUDIT)


def test_403_says_that_access_is_refused_whatever_its_body() -> None:
    for body in (b"<html>", b"{}", json.dumps({"errors": [_error("no", "FORBIDDEN")]}).encode()):
        with pytest.raises(AccessRefusedError, match="r-1"):
            _read(body, status=403)
    with pytest.raises(AccessRefusedError, match="IP restrictions"):
        _read({"errors": [_error("your address is not allowed", "FORBIDDEN_IP")]}, status=403)


@pytest.mark.parametrize(
    "error",
    [
        _error('Cannot query field "sourceRule" on type "Issue".', "GRAPHQL_VALIDATION_FAILED"),
        _error('Unknown type "CloudEventRule".', "GRAPHQL_VALIDATION_FAILED"),
        _error(DENIED, "UNAUTHORIZED", ["issuesV2", "nodes", "@", "sourceRule"]),
        _error(DENIED, "UNAUTHORIZED", ["issuesV2", "nodes", 3, "notes", 0, "user"]),
        _error(DENIED, "UNAUTHORIZED", ["issuesV2", "totalCount"]),
    ],
)
def test_a_refused_field_is_to_be_asked_without(error: Any) -> None:
    assert isinstance(_read({"data": None, "errors": [error]}, status=400), FieldsRefused)
    assert isinstance(_read(_data([{"id": "a"}]) | {"errors": [error]}), FieldsRefused)


def test_a_record_that_is_denied_as_a_whole_is_no_refused_field() -> None:
    with pytest.raises(AccessRefusedError):
        _read(_data([None]) | {"errors": [_error(DENIED, "UNAUTHORIZED", ["issuesV2", "nodes", "@"])]})


def test_a_cursor_that_is_not_known_is_lost_only_where_one_was_sent() -> None:
    body = {"data": None, "errors": [_error("the cursor has expired", "BAD_USER_INPUT")]}
    assert isinstance(_read(body, after="c0"), CursorLost)
    with pytest.raises(ContractBrokenError):
        _read(body)


def test_a_question_that_the_api_does_not_take_stops_the_stream() -> None:
    for status, code in ((400, "VALIDATION_INVALID_TYPE_VARIABLE"), (200, "BAD_USER_INPUT"), (422, "")):
        with pytest.raises(ContractBrokenError, match="no such filter"):
            _read({"data": None, "errors": [_error("no such filter", code)]}, status=status)


@pytest.mark.parametrize("data", [None, {"issuesV2": None}])
def test_data_null_is_of_no_use_and_says_why(data: Any) -> None:
    answer = _read({"data": data, "errors": [_error(OOPS, "INTERNAL", ["issuesV2"], requestId="other")]})
    assert isinstance(answer, Unusable)
    assert (answer.page, answer.reason, answer.request_id) == (None, OOPS, "r-1")


def test_the_request_id_is_taken_from_the_error_where_no_header_has_it() -> None:
    raw = json.dumps({"data": None, "errors": [_error(OOPS, "INTERNAL", requestId="from-error")]}).encode()
    answer = read_answer(HttpAnswer(status=200, headers={}, body=raw), ISSUES, after=None, asked_us=0)
    assert isinstance(answer, Unusable)
    assert answer.request_id == "from-error"


def test_a_shape_that_was_never_seen_stops_the_stream() -> None:
    bodies: list[dict[str, Any]] = [{"data": []}, {"data": {"issuesV2": {"nodes": {}}}}]
    for body in (*bodies, _data([], pageInfo={"hasNextPage": "no"})):
        with pytest.raises(ContractBrokenError, match="r-1"):
            _read(body)


def test_errors_of_any_shape_are_lived_with() -> None:
    odd: list[Any] = [
        "x",
        3,
        {"message": 5},
        [None],
        [{"extensions": []}],
        [{"path": "x", "locations": [{"line": "a"}]}],
    ]
    for errors in odd:
        assert isinstance(_read(_data([{"id": "a"}]) | {"errors": errors}), Unusable)


def test_what_a_foreign_message_says_is_one_short_line() -> None:
    answer = _read({"data": None, "errors": [_error("a\x1b[31m\n\x00b" + "x" * 9_000)]})
    assert isinstance(answer, Unusable)
    assert answer.reason.isprintable()
    assert len(answer.reason) < 600


NODES = [
    {
        "id": "a",
        "status": "OPEN",
        "sourceRule": None,
        "notes": [{"user": None}, {"user": {"name": "n"}}],
        "dueAt": None,
    },
    {"id": "b", "status": "OPEN", "sourceRule": {"id": "r"}, "notes": None, "entitySnapshot": {"tags": None}},
    {"id": "c", "status": None, "sourceRule": None, "projects": [{"slug": None}], "entitySnapshot": {"tags": {}}},
]


@pytest.mark.parametrize(
    ("path", "unknown"),
    [
        (["@", "sourceRule"], {0: {"sourceRule"}, 2: {"sourceRule"}}),
        ([2, "sourceRule"], {2: {"sourceRule"}}),
        ([0, "notes", 0, "user"], {0: {"notes"}}),
        (["@", "notes", "@", "user"], {0: {"notes"}, 1: {"notes"}}),
        (["@", "entitySnapshot", "tags"], {1: {"entitySnapshot.tags"}}),
        (["@", "projects", "@", "slug"], {2: {"projects.slug"}}),
        # a field that may not be null takes its parent with it
        ([0, "sourceRule", "name"], {0: {"sourceRule"}}),
        (["@", "dueAt"], {0: {"dueAt"}}),
    ],
)
def test_an_error_that_leads_to_a_null_makes_that_field_unknown_in_those_records_alone(path: Any, unknown: Any) -> None:
    body = _data(NODES) | {"errors": [_error("failed", "INTERNAL", ["issuesV2", "nodes", *path])]}
    assert _page(_read(body)).unknown == unknown


def test_several_errors_add_up() -> None:
    paths = [["issuesV2", "nodes", "@", "sourceRule"], ["issuesV2", "nodes", 0, "dueAt"]]
    body = _data(NODES) | {"errors": [_error("failed", "INTERNAL", path) for path in paths]}
    assert _page(_read(body)).unknown == {0: {"sourceRule", "dueAt"}, 2: {"sourceRule"}}


def test_values_left_out_without_an_error_are_unknown_too() -> None:
    beside = {"extensions": {"valueCompletion": [{"message": "null", "path": ["issuesV2", "nodes", 0, "dueAt"]}]}}
    assert _page(_read(_data(NODES) | beside)).unknown == {0: {"dueAt"}}


@pytest.mark.parametrize(
    "path",
    [
        None,
        [],
        ["issuesV2"],
        ["issuesV2", "nodes"],
        ["issuesV2", "nodes", 0],
        ["issuesV2", "nodes", "@"],
        ["issuesV2", "nodes", 9, "sourceRule"],
        ["issuesV2", "nodes", -1, "sourceRule"],
        ["issuesV2", "nodes", 1, "sourceRule"],  # not null: what failed?
        ["issuesV2", "nodes", 2, "status"],
        ["issuesV2", "nodes", "@", "status"],
        ["other", "nodes", "@", "sourceRule"],
        ["issuesV2", "edges", 0, "sourceRule"],
    ],
)
def test_any_other_error_beside_data_makes_the_page_unusable_though_it_is_handed_on(path: Any) -> None:
    answer = _read(_data(NODES) | {"errors": [_error("failed", "INTERNAL", path)]})
    assert isinstance(answer, Unusable)
    assert answer.page is not None
    assert answer.page.end_cursor == "c1"


@pytest.mark.parametrize("name", ["id", "createdAt", "status", "updatedAt", "statusChangedAt"])
def test_what_places_a_record_is_never_unknown(name: Any) -> None:
    body = _data([{name: None}]) | {"errors": [_error("failed", "INTERNAL", ["issuesV2", "nodes", 0, name])]}
    assert isinstance(_read(body), Unusable)


def test_one_error_that_can_be_lived_with_does_not_excuse_another() -> None:
    errors = [_error("failed", path=["issuesV2", "nodes", 0, "dueAt"]), _error(OOPS, "INTERNAL", ["issuesV2"])]
    assert isinstance(_read(_data(NODES) | {"errors": errors}), Unusable)


def test_a_null_record_beside_an_error_makes_the_page_unusable() -> None:
    errors = [_error("failed", path=["issuesV2", "nodes", "@", "dueAt"])]
    assert isinstance(_read(_data([None, {"id": "a", "dueAt": None}]) | {"errors": errors}), Unusable)


def test_more_errors_than_anyone_would_look_at_make_the_page_unusable() -> None:
    errors = [_error("failed", path=["issuesV2", "nodes", 0, "dueAt"])] * 3_000
    assert isinstance(_read(_data(NODES) | {"errors": errors}), Unusable)


ODD = {
    "nan": b'{"id":"x","score":NaN}',
    "infinity": b'{"id":"x","score":-Infinity}',
    "lone surrogate": b'{"id":"x","name":"\\ud800"}',
    "deep": b'{"id":"x","a":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    "raw control character": b'{"id":"x","a":"\x01"}',
    "brackets in a text": b'{"id":"x","a":"}]\\"{[","b":NaN}',
    "long text": b'{"id":"x","a":"' + b"y" * 5_000_000 + b'","b":NaN}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_record_that_is_no_json_costs_no_other(odd: Any) -> None:
    nodes = b'{"id":"a"} , ' + odd + b'\n,{"id":"b","c":[1,{"d":2}]}'
    body = (
        b'{"data":{"issuesV2":{"totalCount":3,"nodes":[ '
        + nodes
        + b' ],"pageInfo":{"hasNextPage":true,"endCursor":"c"}}}}'
    )
    page = _page(_read(body))
    assert page.records == [b'{"id":"a"}', odd, b'{"id":"b","c":[1,{"d":2}]}']
    assert (page.total, page.has_next, page.end_cursor) == (3, True, "c")


def test_invalid_utf8_and_repeated_keys_come_through_as_they_are() -> None:
    nodes = b'[{"id":"\xff\xfe"},{"id":"a","id":"b"}]'
    body = (
        b'{"data":{"issuesV2":{"nodes":'
        + nodes
        + b',"pageInfo":{"hasNextPage":false,"endCursor":null},"totalCount":2}}}'
    )
    assert _page(_read(body)).records == nodes


def test_an_error_beside_records_that_are_no_json_makes_the_page_unusable() -> None:
    nodes = b'[{"id":"a","dueAt":null,"x":NaN}]'
    errors = json.dumps([_error("failed", path=["issuesV2", "nodes", 0, "dueAt"])]).encode()
    body = b'{"errors":' + errors + b',"data":{"issuesV2":{"nodes":' + nodes + b',"pageInfo":{"hasNextPage":false}}}}'
    answer = _read(body)
    assert isinstance(answer, Unusable)
    assert answer.page is not None
    assert answer.page.records == [nodes[1:-1]]
