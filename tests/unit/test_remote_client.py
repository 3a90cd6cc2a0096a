"""How a remote Ocelog is asked: where a token goes, how long is waited, and what each failure is told as."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

import httpx2
import pyarrow as pa
import pytest

from ocelog.errors import (
    ChannelRefusedError,
    ChannelUnavailableError,
    ConfigError,
    OcelogError,
    QueryError,
    RemoteUnavailableError,
    SignInRefusedError,
    TransientError,
)
from ocelog.remote import client as client_module
from ocelog.remote.alerts import Alerts
from ocelog.remote.channels import Channels
from ocelog.remote.client import Client
from ocelog.remote.lake import Lake
from ocelog.remote.sources import Sources
from ocelog.remote.users import Users
from ocelog.secrets.secret import Secret

TOKEN = "ocelog_" + "t" * 43


@pytest.fixture(scope="module", autouse=True)
def certificates_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module, "_trust", cache(client_module._trust))
        yield


class Far:
    """A remote Ocelog that answers as it is told."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked = list[httpx2.Request]()
        self.slept = list[float]()
        self.told = list[str]()
        self.now = 0.0

    def client(self, url: str = "https://ocelog.example.com") -> Client:
        return Client(
            url,
            Secret(TOKEN),
            transport=httpx2.MockTransport(self._answer),
            sleep=self.slept.append,
            monotonic=lambda: self.now,
            told=self.told.append,
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status: int, code: str, detail: str = "A detail.", *, headers: Any = None, **more: Any) -> httpx2.Response:
    content = json.dumps({"code": code, "detail": detail, "status": status, **more})
    return httpx2.Response(
        status, content=content, headers={"content-type": "application/problem+json", **(headers or {})}
    )


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://ocelog.example.com", "https://ocelog.example.com/api/v1"),
        ("https://ocelog.example.com/", "https://ocelog.example.com/api/v1"),
        ("https://example.com:8443/ocelog/api/v1/", "https://example.com:8443/ocelog/api/v1"),
        ("http://127.0.0.1:8686", "http://127.0.0.1:8686/api/v1"),
        ("http://[::1]:8686", "http://[::1]:8686/api/v1"),
        ("http://localhost:8686", "http://localhost:8686/api/v1"),
    ],
)
def test_the_address_of_the_console_is_that_of_the_api(url: str, base: str) -> None:
    far = Far(httpx2.Response(200, json={"user": "ann"}))
    assert Users(far.client(url)).me() == "ann"
    (request,) = far.asked
    assert str(request.url) == f"{base}/me"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "url",
    [
        "http://ocelog.example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://0.0.0.0:8686",
        "ftp://x", "ocelog.example.com", "https://", "https://ann:secret@x.example.com", "https://x.example.com?a=b",
        "https://x.example.com#a", "https://x:99999999", "https://x y.example.com", "https://x\u2028.example.com",
    ],
)  # fmt: skip
def test_a_token_is_sent_to_no_other_address(url: str) -> None:
    far = Far()
    with pytest.raises(ConfigError) as refused:
        far.client(url)
    assert "secret" not in str(refused.value).replace("perhaps a secret", "")
    assert far.asked == []


def test_no_redirect_is_followed() -> None:
    elsewhere = {"location": "https://elsewhere.example.com/api/v1/me"}
    far = Far(*[httpx2.Response(status, headers=elsewhere) for status in (301, 302, 303, 307, 308)])
    client = far.client()
    for _ in range(5):
        with pytest.raises(ConfigError, match=r"redirects to 'https://elsewhere\.example\.com"):
            client.get("me")
    assert {request.url.host for request in far.asked} == {"ocelog.example.com"}


def test_whoever_is_asked_too_often_is_asked_again_when_it_says() -> None:
    busy = [problem(429, code, headers={"retry-after": "3"}) for code in ("too_many_requests", "query_busy")]
    far = Far(*busy, httpx2.Response(200, json={"user": "ann"}))
    assert Users(far.client()).me() == "ann"
    assert far.slept == [3, 3]
    assert len(far.told) == 2
    far = Far(*[problem(429, "too_many_requests", headers={"retry-after": "50"}) for _ in range(3)])
    with pytest.raises(RemoteUnavailableError, match="too often"):
        far.client().get("me")
    assert far.slept == [50, 50], "two minutes in all"


@pytest.mark.parametrize(
    ("answer", "kind", "code", "words"),
    [
        (problem(401, "sign_in_refused"), SignInRefusedError, "sign_in_refused", "refuses the token"),
        (problem(403, "role_missing", scope="triage"), SignInRefusedError, "role_missing", "--scope triage"),
        (problem(404, "not_found", "There is no x."), ConfigError, "not_found", "There is no x."),
        (problem(409, "home_unfit", "It is held."), OcelogError, "home_unfit", "It is held."),
        (problem(422, "query_invalid", "No."), QueryError, "query_invalid", "No."),
        (problem(422, "request_invalid", errors=[{"field": "body.x", "message": "bad"}]), ConfigError,
         "request_invalid", "body.x: bad"),
        (problem(503, "ledger_unavailable", "Busy."), TransientError, "ledger_unavailable", "Busy."),
        (problem(500, "bug"), RemoteUnavailableError, "bug", "A detail."),
        (problem(429, "sign_in_throttled"), TransientError, "sign_in_throttled", "A detail."),
        (httpx2.Response(502, text="<html>"), RemoteUnavailableError, "remote_unavailable", "not running"),
        (httpx2.Response(404, text="<html>"), ConfigError, "config_invalid", "does not answer as Ocelog does"),
        (httpx2.Response(200, text="<html>"), ConfigError, "config_invalid", "does not answer as Ocelog does"),
        (httpx2.ConnectError("[Errno 111] Connection refused"), RemoteUnavailableError, "remote_unavailable",
         "cannot be reached: Connection refused."),
        (httpx2.ConnectTimeout("x"), RemoteUnavailableError, "remote_unavailable", "did not answer in time"),
        (httpx2.ReadTimeout("x"), RemoteUnavailableError, "remote_unavailable", "stopped answering"),
    ],
)  # fmt: skip
def test_each_failure_is_told_as_what_happens_next(
    answer: httpx2.Response | Exception, kind: type[OcelogError], code: str, words: str
) -> None:
    far = Far(answer)
    with pytest.raises(kind) as raised:
        far.client().get("me")
    assert raised.value.code == code
    assert words in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert "ocelog.example.com" in str(raised.value) or words in str(raised.value)


def test_an_answer_that_only_drips_is_given_up() -> None:
    far = Far()

    def dripping() -> Iterator[bytes]:
        for _ in range(100):
            far.now += 7.0
            yield b" "
        pytest.fail("it is read to its end")

    far.answers.append(httpx2.Response(200, content=dripping()))
    with pytest.raises(RemoteUnavailableError, match="did not finish its answer within 600 s"):
        far.client().get("status")
    assert 600 < far.now < 610


def test_another_version_is_named_if_it_answers_what_is_not_known() -> None:
    other = {"ocelog-version": "9.9.9"}
    far = Far(
        httpx2.Response(200, json={"user": "ann"}, headers=other),
        httpx2.Response(200, json={"nobody": "ann"}, headers=other),
        problem(404, "not_found", headers=other),
        problem(405, "method_not_allowed", headers=other),
    )
    users = Users(far.client())
    assert users.me() == "ann", "another version will do as long as it is understood"
    for _ in range(3):
        with pytest.raises(ConfigError) as told:
            users.me()
        assert f"It runs Ocelog 9.9.9, and this is {version('ocelog')}" in str(told.value)


def test_a_name_of_any_text_stays_one_part_of_the_path() -> None:
    far = Far(*[problem(404, "not_found") for _ in range(3)])
    sources = Sources(far.client())
    for name in ("../users", "a/b?c=d#e", "내 로그"):
        with pytest.raises(OcelogError):
            sources.one(name)
    assert [request.url.raw_path for request in far.asked] == [
        b"/api/v1/sources/..%2Fusers",
        b"/api/v1/sources/a%2Fb%3Fc%3Dd%23e",
        b"/api/v1/sources/%EB%82%B4%20%EB%A1%9C%EA%B7%B8",
    ]


def stream(write: Callable[[Any, pa.Schema], object]) -> bytes:
    schema = pa.schema([("n", pa.int64())])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        write(writer, schema)
    return sink.getvalue()


def ended(schema: pa.Schema, **told: Any) -> tuple[pa.RecordBatch, dict[bytes, str]]:
    ending: dict[str, Any] = {"rows": None, "truncated": False, "remarks": [], "error": None, "code": None}
    return pa.RecordBatch.from_pylist([], schema=schema), {
        b"ocelog.ending": json.dumps({**ending, "later": False, **told})
    }


def rows_of(content: bytes) -> tuple[list[int], list[str]]:
    with Lake(Far(httpx2.Response(200, content=content)).client()).ask("SELECT 1") as (answer, rest):
        found = [n for batch in answer.batches for n in batch.column(0).to_pylist()]
        return found, rest.remarks()


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"a":' * 200_000])
def test_an_answer_that_is_nested_too_deep_is_foreign(content: bytes) -> None:
    for status in (200, 422):
        answer = httpx2.Response(status, content=content, headers={"content-type": "application/problem+json"})
        with pytest.raises(ConfigError, match="does not answer as Ocelog does"):
            Far(answer).client().get("status")


def test_errors_that_are_no_objects_are_left_out() -> None:
    problem = {"code": "config_invalid", "detail": "Wrong.", "errors": [1, 2]}
    headers = {"content-type": "application/problem+json"}
    with pytest.raises(ConfigError, match="Wrong"):
        Far(httpx2.Response(422, content=json.dumps(problem), headers=headers)).client().get("status")


def test_a_batch_that_names_memory_beyond_its_own_is_refused() -> None:
    batch = pa.RecordBatch.from_pydict({"n": ["aaaa", "bbbb"]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content, offsets = sink.getvalue(), struct.pack("<3i", 0, 4, 8)
    assert content.count(offsets) == 1
    for last in (2_000, 2_000_000_000, -5):
        with pytest.raises(RemoteUnavailableError, match="malformed in the column 'n'"):
            rows_of(content.replace(offsets, struct.pack("<3i", 0, 4, last)))


def test_rows_that_come_without_their_end_are_not_taken_for_all() -> None:
    def whole(writer: Any, schema: pa.Schema) -> None:
        writer.write_batch(pa.RecordBatch.from_pydict({"n": [1, 2]}, schema=schema))
        batch, metadata = ended(schema, remarks=["Rows are lost."])
        writer.write_batch(batch, custom_metadata=metadata)

    def failed(writer: Any, schema: pa.Schema) -> None:
        writer.write_batch(pa.RecordBatch.from_pydict({"n": [1]}, schema=schema))
        batch, metadata = ended(schema, error="It took too long.", code="query_invalid")
        writer.write_batch(batch, custom_metadata=metadata)

    def unended(writer: Any, schema: pa.Schema) -> None:
        writer.write_batch(pa.RecordBatch.from_pydict({"n": [1]}, schema=schema))

    content = stream(whole)
    assert rows_of(content) == ([1, 2], ["Rows are lost."])
    for cut in (stream(unended), content[: len(content) // 2], content[:10], b""):
        with pytest.raises(RemoteUnavailableError, match="broke off"):
            rows_of(cut)
    with pytest.raises(QueryError, match="too long"):
        rows_of(stream(failed))


@pytest.mark.parametrize(
    ("code", "later", "error"),
    [
        ("channel_unavailable", True, ChannelUnavailableError),
        ("channel_refused", False, ChannelRefusedError),
        ("of_a_newer_one", True, RemoteUnavailableError),
        ("of_a_newer_one", False, ConfigError),
    ],
)
def test_a_test_that_was_not_taken_is_told_as_the_error_that_it_was(
    code: str, error: type[OcelogError], *, later: bool
) -> None:
    answer = {"delivered": False, "status": None, "answer": "It answered 503.", "code": code, "later": later}
    with pytest.raises(error, match="503") as caught:
        Channels(Far(httpx2.Response(200, json=answer)).client()).send_test("ops")
    assert (type(caught.value), caught.value.code) == (error, code)


AT = "2026-11-01T10:00:00Z"
ALERT: dict[str, Any] = {
    **dict.fromkeys(("description", "runbook", "rule_name", "dedup"), ""),
    **dict.fromkeys(("reference", "rule_revision", "log_type", "source_id", "record_id", "link", "assignee", "source")),
    **dict.fromkeys(("close_reason", "told_severity", "told_at", "first_event_at", "last_event_at", "ended_at")),
    **dict.fromkeys(("acknowledged_at", "untold_because")),
    "id": "3f2a",
    "title": "A",
    "rule_id": "r",
    "type": "ALERT",
    "status": "OPEN",
    "severity": "HIGH",
    "matches": 1,
    "visible": True,
    "told": True,
    "tags": [],
    "context": {},
    "opened_at": AT,
    "updated_at": AT,
    "timeline": [],
    "deliveries": [],
    "waiting": [],
    "held_up": [],
}


def test_an_alert_that_is_named_by_two_beginnings_is_told_once() -> None:
    other = {**ALERT, "id": "3f2b"}
    far = Far(*(httpx2.Response(200, json=each) for each in (ALERT, other, ALERT)))
    told = Alerts(far.client()).told(["3f2a", "3f2b", "3f2"])
    assert [each.details.alert.id for each in told] == ["3f2a", "3f2b"]


def test_suppressions_are_told_in_the_order_in_which_they_begin() -> None:
    at = {"c": "10:00", "b": "11:00", "a": "10:00"}
    items: list[dict[str, Any]] = [
        {"id": name, "rule": None, "where": {}, "owner": "ann", "reason": "so"}
        | {"since": f"2026-11-01T{hour}:00Z", "until": "2026-11-02T00:00:00Z", "added_at": AT}
        for name, hour in at.items()
    ]
    far = Far(httpx2.Response(200, json={"items": items, "next": None}))
    assert [each.id for each in Alerts(far.client()).suppressions(over=False)] == ["a", "c", "b"]
