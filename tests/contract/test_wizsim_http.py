"""The simulator keeps its word over real HTTP: endpoints, connections that end early, admin calls, the command."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from wizsim.cli import main
from wizsim.instants import http_date
from wizsim.server import Server, listen
from wizsim.world import World

Json = dict[str, Any]
ISSUES = "{ issuesV2(first: 5) { totalCount nodes { id url } } }"


class Line:
    """One kept-alive connection to a simulator."""

    def __init__(self, token_url: str, api_url: str, client_id: str, secret: str) -> None:
        self.token_path, self.api_path = urlsplit(token_url).path, urlsplit(api_url).path
        self.connection = http.client.HTTPConnection(urlsplit(api_url).netloc, timeout=10)
        self.client_id, self.secret, self.token = client_id, secret, ""

    def send(self, path: str, body: str, headers: Json | None = None, method: str = "POST") -> tuple[int, Any, bytes]:
        self.connection.request(method, path, body, headers or {})
        reply = self.connection.getresponse()
        return reply.status, reply.headers, reply.read()

    def log_in(self) -> Json:
        form = {"grant_type": "client_credentials", "audience": "wiz-api", "client_id": self.client_id}
        status, _, body = self.send(self.token_path, urlencode({**form, "client_secret": self.secret}))
        assert status == 200
        answer: Json = json.loads(body)
        self.token = answer["access_token"]
        return answer

    def ask(self, document: str = ISSUES, **headers: str) -> tuple[int, Any, bytes]:
        bearer = {"authorization": f"Bearer {self.token}", "content-type": "application/json", **headers}
        return self.send(self.api_path, json.dumps({"query": document}), bearer)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(World(seed=3, audit=10, issues=20, findings=20, rate=1.0)) as started:
        yield started


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    made = Line(server.token_url, server.api_url, server.client_id, server.client_secret)
    made.log_in()
    yield made
    made.connection.close()


def admin(server: Server, line: Line, call: str, asked: Json | None = None) -> Any:
    method = "GET" if asked is None else "POST"
    headers = {"authorization": f"Bearer {server.admin_token}"}
    status, _, body = line.send(f"/admin/{call}", "" if asked is None else json.dumps(asked), headers, method)
    assert status == 200, body
    return [json.loads(x) for x in body.splitlines()] if call == "truth" else json.loads(body)


def test_a_token_opens_the_api_and_connections_are_kept(line: Line) -> None:
    assert set(line.log_in()) == {"access_token", "refresh_token", "expires_in", "token_type"}
    status, headers, body = line.ask()
    assert status == 200
    assert len(json.loads(body)["data"]["issuesV2"]["nodes"]) == 5
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["x-request-id"]
    assert line.connection.sock is not None
    assert (len(line.client_id), len(line.secret)) == (53, 64)


def test_the_token_names_the_data_centre(line: Line) -> None:
    claims = json.loads(base64.urlsafe_b64decode(line.token.split(".")[1] + "=="))
    assert claims["dc"] == "us1"
    assert claims["isServiceAccount"] is True
    assert b"read:issues" not in base64.b64decode(claims["encodedScopes"]), "clients cannot read their scopes off it"


def test_the_date_header_is_the_simulated_clock(server: Server, line: Line) -> None:
    server.world.advance(3 * 3600)
    _, headers, _ = line.ask()
    assert headers.get_all("date") == [http_date(server.world.now())]
    assert int(parsedate_to_datetime(headers["date"]).timestamp()) == server.world.now() // 1_000_000


def test_answers_are_compressed_when_asked(line: Line) -> None:
    _, _, plain = line.ask()
    _, headers, zipped = line.ask(**{"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert len(zipped) < len(plain)


def test_without_a_token_nothing_is_shown(line: Line) -> None:
    line.token = "x"
    status, _, body = line.ask()
    assert status == 401
    assert json.loads(body)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_a_cut_body_ends_the_connection(server: Server, line: Line) -> None:
    server.faults.add("cut-body", times=1)
    with pytest.raises(http.client.IncompleteRead):
        line.ask()
    line.connection.close()
    assert line.ask()[0] == 200


def test_a_slow_body_comes_whole(server: Server, line: Line) -> None:
    _, _, whole = line.ask()
    server.faults.add("slow-body", seconds=0.2, times=1)
    assert line.ask()[2] == whole


def test_admin_calls_change_the_tenant_and_tell_the_truth(server: Server, line: Line) -> None:
    admin(server, line, "faults", {"add": "throttled:retry_after=3"})
    assert line.ask()[0] == 429
    admin(server, line, "faults", {"clear": True})
    assert admin(server, line, "faults") == {"faults": []}
    before = admin(server, line, "state")
    after = admin(server, line, "advance", {"seconds": 600})
    assert after["now"] > before["now"]
    assert sum(after["changes"].values()) > 0
    issue = next(iter(admin(server, line, "current")["issues"]))
    admin(server, line, "change", {"type": "issues", "id": issue, "fields": {"status": "REJECTED"}})
    admin(server, line, "scopes", {"scopes": ["read:vulnerabilities"]})
    assert json.loads(line.ask()[2])["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
    admin(server, line, "scopes", {"scopes": ["read:issues"]})
    admin(server, line, "behaviour", {"page_cap": 2})
    assert len(json.loads(line.ask()[2])["data"]["issuesV2"]["nodes"]) == 2
    truth = admin(server, line, "truth")
    assert {entry["kind"] for entry in truth} >= {"version", "answer"}
    assert [e["record"]["status"] for e in truth if e["kind"] == "version" and e["id"] == issue][-1] == "REJECTED"
    admin(server, line, "revoke", {})
    assert line.ask()[0] == 401
    line.secret = admin(server, line, "rotate", {})["client_secret"]
    line.log_in()
    assert line.ask()[0] == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}, {"authorization": "Bearer 한국"}])
def test_admin_calls_need_the_admin_token(line: Line, headers: Json) -> None:
    encoded = {k: v.encode() for k, v in headers.items()}
    status, _, _ = line.send("/admin/truth", "", encoded, "GET")
    assert status == 403


def test_an_admin_call_that_does_not_hold_is_refused_and_says_why(server: Server, line: Line) -> None:
    headers = {"authorization": f"Bearer {server.admin_token}"}
    status, _, body = line.send("/admin/faults", '{"add": "thortled"}', headers)
    assert (status, json.loads(body)["error"]) == (
        400,
        "POST /admin/faults: there is no fault 'thortled'; did you mean 'throttled'?",
    )
    assert line.send("/admin/put", "x" * 5_000_000, headers)[0] == 413
    line.connection.close()


def test_an_admin_call_of_no_name_lists_those_that_there_are(server: Server, line: Line) -> None:
    status, _, body = line.send("/admin/nope", "{}", {"authorization": f"Bearer {server.admin_token}"})
    assert status == 404
    assert "POST /admin/faults" in json.loads(body)["calls"]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    options = ["--seed", "5", "--issues", "30", "--truth", str(tmp_path / "truth.ndjson"), "--fault", "html:type=audit"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wizsim", "serve", "--bare", *options, "--rate", "5", "--projects", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_command_says_where_it_is_and_ends_cleanly(command: subprocess.Popen[str], tmp_path: Path) -> None:
    assert command.stdout
    token_url, api_url, client_id, secret = (command.stdout.readline().strip() for _ in range(4))
    line = Line(token_url, api_url, client_id, secret)
    line.log_in()
    shown = json.loads(line.ask()[2])["data"]["issuesV2"]
    assert 0 < shown["totalCount"] < 30, "the account is bound to a project"
    assert line.ask("{ auditLogEntries(first: 1) { totalCount } }")[2].startswith(b"<!DOCTYPE html>")
    line.connection.close()
    command.send_signal(signal.SIGTERM)
    assert command.wait(10) == 0
    lines = [json.loads(x) for x in (tmp_path / "truth.ndjson").read_bytes().splitlines()]
    # The world lives meanwhile: what became of it after the answer stands below it.
    answers = [[pair[0] for pair in line["shown"]] for line in lines if "shown" in line]
    assert [node["id"] for node in shown["nodes"]] in answers


@pytest.mark.slow
def test_the_command_hears_a_signal_from_its_first_line_on_and_ends_in_the_middle_of_an_answer() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "wizsim", "serve", "--bare", "--findings", "50", "--fault", "slow-body:seconds=3600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    token_url, *_ = (process.stdout.readline().strip() for _ in range(4))
    slow = http.client.HTTPConnection(urlsplit(token_url).netloc, timeout=20)
    slow.request("POST", "/oauth/token", "")
    assert slow.getresponse().status == 400
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    slow.close()
    assert process.returncode == 0
    assert said.count("\n") == 1, said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "thortled"], "did you mean 'throttled'?"),
        (["--fault", "throttled:2"], "the probability is a number from 0 to 1, not '2'"),
        (["--fault", "hidden-field:field=Issue.duAt"], "did you mean 'dueAt'?"),
        (["--scopes", "read:isues"], "did you mean 'read:issues'?"),
        (["--projects", "3,4"], "no project has the id '3'"),
        (["--port", "99999"], "--port"),
        (["--port", "TAKEN"], "Address already in use. Use an address of this machine and a free port"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 0"),
        (["--host", "x" * 300], "cannot listen on"),
        (["--truth", "FOLDER"], "Is a directory. Name a file in a folder that exists"),
        (["--truth", "FOLDER/none/truth"], "No such file or directory"),
        (["--seed", "abc"], "--seed"),
        (["--issues", "-1"], "--issues"),
        (["--rate", "inf"], "--rate"),
        (["--clock-offset", "nan"], "--clock-offset"),
        (["--ties", "1"], "--ties"),
        (["--prot", "3"], "--port"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen() as taken:
        port = str(taken.getsockname()[1])
        given = [o.replace("TAKEN", port).replace("FOLDER", str(tmp_path)) for o in options]
        monkeypatch.setattr(sys, "argv", ["wizsim", "serve", "--findings", "5", *given])
        with pytest.raises(SystemExit) as ended:
            main()
    written = capsys.readouterr()
    assert (ended.value.code, written.out, written.err.count("\n")) == (2, "", 1)
    assert said in written.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["wizsim", "serve", "--truth", "/dev/full"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (
        2,
        "wizsim: cannot write: No space left on device. Make room where the truth log is kept\n",
    )


def test_what_is_sent_leaves_at_once() -> None:
    with listen() as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


PUT = ["wizsim", "put", "--admin-token", "x"]


@pytest.mark.parametrize("type_", ["audit", "issues", "findings"])
def test_the_command_adds_a_record_that_is_new(
    type_: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(World(seed=3, audit=10, issues=20, findings=20), admin_token="x") as server:
        before = server.world.current(type_)
        address = ["--port", str(urlsplit(server.api_url).port)]
        monkeypatch.setattr(sys, "argv", [*PUT, *address, type_, "{}"])
        with pytest.raises(SystemExit) as ended:
            main()
        after = server.world.current(type_)
        (new,) = after.keys() - before.keys()
    assert not ended.value.code
    assert capsys.readouterr().out == f"Added to {type_}: {new}\n"
    begun = {"audit": "timestamp", "issues": "createdAt", "findings": "firstDetectedAt"}[type_]
    assert after[new].full()[begun] > max(each.full()[begun] for each in before.values())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["adit", "{}"], "'adit' is not known; did you mean 'audit'?"),
        (["audit", "{"], "it is not JSON"),
        (["audit", "[]"], "it is an object, not []"),
        (["audit", '{"actoin": "Login"}'], "did you mean 'action'?"),
        (["audit", "{}", "--admin-token", "wrong"], "carry the admin token"),
        (["audit", "{}", "--port", "1"], "no tenant answers at 127.0.0.1 port 1"),
    ],
)
def test_a_record_that_cannot_be_added_is_one_line_and_exit_2(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(World(seed=3, audit=1, issues=0, findings=0), admin_token="x") as server:
        monkeypatch.setattr(sys, "argv", [*PUT, "--port", str(urlsplit(server.api_url).port), *given])
        with pytest.raises(SystemExit) as ended:
            main()
    written = capsys.readouterr()
    assert (ended.value.code, written.out, written.err.count("\n")) == (2, "", 1)
    assert said in written.err


def test_the_command_lists_the_faults() -> None:
    done = subprocess.run([sys.executable, "-m", "wizsim", "faults"], capture_output=True, text=True, check=True)
    assert "cursor-forgotten" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("form", ["labelled", "--bare", "--json"])
def test_the_command_says_where_it_is_for_people_and_for_scripts(form: str) -> None:
    options = [] if form == "labelled" else [form]
    process = subprocess.Popen(
        [sys.executable, "-m", "wizsim", "serve", "--audit", "0", "--issues", "0", "--findings", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        lines = [process.stdout.readline().rstrip() for _ in range(1 if form == "--json" else 4)]
    finally:
        process.kill()
        process.communicate()
    match form:
        case "labelled":
            assert [line.split(": ")[0] for line in lines] == ["token URL", "API URL", "client ID", "client secret"]
            assert lines[0].split()[-1].startswith("http://127.0.0.1:")
        case "--bare":
            assert [" " in line for line in lines] == [False] * 4
        case _:
            told = json.loads(lines[0])
            assert told.keys() == {*("token_url", "api_url", "client_id", "client_secret", "admin_url", "admin_token")}
