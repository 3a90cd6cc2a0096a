"""What an admin call says is checked before anything changes."""

import json
import re
from typing import Any

import pytest

from wizsim.admin import AdminError, answered
from wizsim.api import Api
from wizsim.world import World

Json = dict[str, Any]


@pytest.fixture
def api() -> Api:
    return Api(World(seed=3, audit=10, issues=20, findings=20, rate=1.0))


def call(api: Api, method: str, name: str, **said: Any) -> Any:
    return answered(api, method, name, json.dumps(said).encode())


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("faults", "nojson", "JSON is malformed"),
        ("faults", "[]", "Expected `object`"),
        ("faults", '{"nope": 1}', "unknown field `nope`"),
        ("faults", '{"add": 3}', "`$.add`"),
        ("faults", '{"add": {}}', "there is no fault None"),
        ("faults", '{"add": "thortled"}', "did you mean 'throttled'?"),
        ("faults", '{"add": {"name": ["x"]}}', "there is no fault ['x']"),
        (
            "faults",
            '{"add": {"name": "throttled", "probability": 2}}',
            "probability is a number from 0 to 1, not 2",
        ),
        ("faults", '{"add": {"name": "slow-body", "self": 1}}', "slow-body takes no 'self'"),
        ("faults", '{"add": "hidden-field:field=Issue.duAt"}', "did you mean 'dueAt'?"),
        ("faults", '{"clear": "slowbody"}', "did you mean 'slow-body'?"),
        ("advance", "{}", "missing required field `seconds`"),
        ("advance", '{"seconds": -1}', ">= 0"),
        ("advance", '{"seconds": 1e30}', "<= "),
        ("advance", '{"seconds": 300000000}', "take shorter steps"),
        ("rate", '{"per_second": -1}', ">= 0"),
        ("scopes", '{"scopes": ["read:isues"]}', "did you mean 'read:issues'?"),
        ("scopes", '{"scopes": "read:issues"}', "Expected `array"),
        ("accounts", '{"projects": ["nope"]}', "no project has the id 'nope'"),
        ("rotate", '{"client_id": "nope"}', "no service account has the client ID 'nope'"),
        ("behaviour", '{"page_cap": 0}', "`$.page_cap`"),
        ("behaviour", '{"tie_break": 3}', "`$.tie_break`"),
        ("behaviour", '{"nope": 1}', "unknown field `nope`"),
        ("put", '{"type": "issues"}', "missing required field `record`"),
        ("put", '{"type": "issue", "record": {"id": "x"}}', "'issue' is not known; did you mean 'issues'?"),
        ("put", '{"type": "issues", "record": {}}', "a record has an id"),
        ("put", '{"type": "issues", "record": {"id": "x", "duAt": null}}', "did you mean 'dueAt'?"),
        ("put", '{"type": "issues", "record": {"id": "x", "createdAt": "soon"}}', "record.createdAt is an RFC 3339"),
        ("put", '{"type": "issues", "record": {"id": "x", "status": "OPN"}}', "did you mean 'OPEN'?"),
        ("put", '{"type": "issues", "record": {"id": "x", "projects": [{"id": 3}]}}', "record.projects[0].id is a ID"),
        ("change", '{"type": "issues", "id": "nope", "fields": {}}', "no record of issues has the id 'nope'"),
        ("change", '{"type": "issues", "id": "x", "fields": {"id": "y"}}', "keeps its id"),
        ("remove", '{"type": "issues", "id": "nope"}', "no record of issues has the id 'nope'"),
    ],
)
def test_a_call_that_does_not_hold_says_why(api: Api, name: str, body: str, said: str) -> None:
    with pytest.raises(AdminError, match=re.escape(said)):
        answered(api, "POST", name, body.encode())
    assert call(api, "GET", "faults") == {"faults": []}
    assert "errors" not in api.ask("{ issuesV2(first: 5) { nodes { id } } }")


def test_a_call_of_no_name_is_none(api: Api) -> None:
    assert answered(api, "POST", "nope", b"") is None
    assert answered(api, "GET", "advance", b"") is None


def test_what_is_nested_without_end_is_refused(api: Api) -> None:
    with pytest.raises(AdminError):
        answered(api, "POST", "put", b'{"type":"issues","record":' + b"[" * 5_000 + b"]" * 5_000 + b"}")


def test_a_behaviour_can_be_taken_back_to_no_limit(api: Api) -> None:
    assert call(api, "POST", "behaviour", max_count=None)["max_count"] is None
    assert call(api, "POST", "behaviour", page_cap=7)["max_count"] is None


def test_records_that_are_put_there_are_shown_and_left_alone(api: Api) -> None:
    call(api, "POST", "put", type="issues", record={"id": "mine", "createdAt": "2999-01-01T00:00:00Z"})
    call(api, "POST", "put", type="findings", record={"id": "mine", "vulnerableAsset": None})
    call(api, "POST", "advance", seconds=3600)
    current = call(api, "GET", "current")
    assert current["issues"]["mine"] == [1, {"id": "mine", "createdAt": "2999-01-01T00:00:00Z"}]
    assert current["findings"]["mine"][0] == 1
    asked = "{ issuesV2(first: 1) { uniqueEntityCount nodes { id } } }"
    assert api.ask(asked)["data"]["issuesV2"]["nodes"] == [{"id": "mine"}]


def test_what_happens_by_itself_stops_and_goes_on_at_another_rate(api: Api) -> None:
    call(api, "POST", "rate", per_second=0)
    # What has happened already is seen a little later.
    before = call(api, "POST", "advance", seconds=3600)["changes"]
    assert call(api, "POST", "advance", seconds=3600)["changes"] == before
    call(api, "POST", "rate", per_second=2)
    after = call(api, "POST", "advance", seconds=600)["changes"]
    assert sum(after.values()) > sum(before.values()) + 500


def test_every_record_that_is_there_can_be_put_back(api: Api) -> None:
    call(api, "POST", "advance", seconds=600)
    for type_, records in call(api, "GET", "current").items():
        for _, record in records.values():
            assert call(api, "POST", "put", type=type_, record=record)["id"] == record["id"]
