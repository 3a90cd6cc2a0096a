"""Users, sessions and the trail in the ledger, on each database."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bookkeeping.records import NOW, Clock
from ocelog.access import ApiToken, Credential, Deed, Role, Scope, Session, StoredAnswer, User
from ocelog.errors import ConfigError, SignInRefusedError
from ocelog.ledger import users
from ocelog.ledger.ledger import Ledger
from ocelog.times import to_us

T = to_us(NOW)
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
ANN = User(id="1", name="ann@example.com", role=Role.ADMIN, added_us=T)
BOB = User(id="2", name="bob@example.com", role=Role.VIEWER, added_us=T, language="ko")
DONE = Deed(at_us=T, who="ann@example.com", what="test.done", target="\x00 \ud800", details={"a": "b"}, address="::1")


def session(mark: str, user: User = ANN, **more: int) -> Session:
    values = {"since_us": T, "seen_us": T, "ends_us": T + 12 * HOUR, **more}
    return Session(mark=mark, user_id=user.id, address="127.0.0.1", browser="a browser", **values)


def test_the_first_user_comes_once(ledger: Ledger, other: Ledger) -> None:
    assert not ledger.users.any()
    ledger.users.add(ANN, "hash", DONE, first=True)
    with pytest.raises(ConfigError, match="first user already"):
        other.users.add(BOB, "hash", DONE, first=True)
    other.users.add(BOB, None, DONE)
    assert ledger.users.listed() == [ANN, BOB]
    assert ledger.users.find("bob@example.com") == (BOB, None)
    assert ledger.users.find("ann@example.com") == (ANN, "hash")
    assert ledger.users.find("nobody") is None
    with pytest.raises(ConfigError, match="already"):
        ledger.users.add(replace(ANN, id="3"), "hash", DONE)


def test_some_admin_is_always_left(ledger: Ledger) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    with pytest.raises(ConfigError, match="last admin"):
        ledger.users.change(ANN.name, lambda user: replace(user, disabled_us=T), DONE)
    with pytest.raises(ConfigError, match="last admin"):
        ledger.users.change(ANN.name, lambda user: replace(user, role=Role.VIEWER), DONE)
    assert ledger.users.find(ANN.name) == (ANN, "hash")
    assert ledger.users.change(BOB.name, lambda user: replace(user, role=Role.ADMIN), DONE).role is Role.ADMIN
    ledger.users.change(ANN.name, lambda user: replace(user, disabled_us=T), DONE)
    assert [each.name for each in ledger.users.listed() if each.disabled_us is None] == [BOB.name]
    with pytest.raises(ConfigError, match="no user named 'eve'"):
        ledger.users.change("eve", lambda user: user, DONE)


def test_a_session_ends_by_time_by_rest_by_hand_and_with_its_user(ledger: Ledger, clock: Clock) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    ledger.users.begin(session("a"), DONE)
    found = ledger.users.session("a", idle_us=HOUR)
    assert found == (session("a"), ANN)
    assert ledger.users.session("b", idle_us=HOUR) is None
    clock.now += timedelta(minutes=59)
    seen = ledger.users.session("a", idle_us=HOUR)
    assert seen is not None
    assert seen[0].seen_us == T + 59 * MINUTE
    clock.now += timedelta(minutes=59)
    assert ledger.users.session("a", idle_us=HOUR) is not None, "what was asked meanwhile prolongs it"
    clock.now += timedelta(minutes=60)
    assert ledger.users.session("a", idle_us=HOUR) is None, "nothing was asked for an hour"
    ledger.users.begin(session("b", seen_us=T + 12 * HOUR), DONE, instead_of="a")
    assert [each.mark for each in ledger.users.sessions(ANN.id)] == ["b"]
    clock.now = NOW + timedelta(hours=12)
    assert ledger.users.session("b", idle_us=HOUR) is None, "it lasts twelve hours, whatever happens"
    late = T + 12 * HOUR
    ledger.users.begin(session("c", since_us=late, seen_us=late, ends_us=late + 12 * HOUR), DONE)
    ledger.users.begin(session("d", BOB, since_us=late, seen_us=late, ends_us=late + 12 * HOUR), DONE)
    ledger.users.end("c", DONE)
    assert ledger.users.session("c", idle_us=HOUR) is None
    ledger.users.change(BOB.name, lambda user: replace(user, disabled_us=T), DONE, ends_sessions=False)
    assert ledger.users.session("d", idle_us=HOUR) is None, "its user is let in no more"


def test_a_change_of_a_user_ends_their_sessions_unless_it_is_none_of_what_they_may(ledger: Ledger) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.begin(session("a"), DONE)
    ledger.users.change(ANN.name, lambda user: replace(user, language="ko"), DONE, ends_sessions=False)
    assert ledger.users.session("a", idle_us=HOUR) is not None
    ledger.users.change(ANN.name, lambda user: user, DONE, password="other")
    assert ledger.users.session("a", idle_us=HOUR) is None
    assert ledger.users.find(ANN.name) == (replace(ANN, language="ko"), "other")


def test_no_session_begins_for_whom_is_not_let_in_any_more(ledger: Ledger, other: Ledger) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    other.users.change(ANN.name, lambda user: user, DONE, password="other")
    other.users.change(BOB.name, lambda user: replace(user, disabled_us=T), DONE)
    assert not ledger.users.begin(session("a"), DONE, password="hash")
    assert not ledger.users.begin(session("b", BOB), DONE)
    assert ledger.users.sessions(ANN.id) == ledger.users.sessions(BOB.id) == []
    assert ledger.users.begin(session("a"), DONE, password="other")
    assert [each.mark for each in ledger.users.sessions(ANN.id)] == ["a"]


def test_failures_are_counted_by_key_and_forgotten_after_a_day(ledger: Ledger, other: Ledger, clock: Clock) -> None:
    for _ in range(3):
        ledger.users.failed({"name ann": 60_000_000, "address ::1": 60_000_000}, DONE)
    other.users.failed({"address ::1": 60_000_000}, DONE)
    assert ledger.users.failures("name ann", fading_us=60_000_000) == (3, T)
    assert ledger.users.failures("address ::1", fading_us=60_000_000) == (4, T)
    ledger.users.succeeded(["name ann"])
    assert ledger.users.failures("name ann", fading_us=60_000_000) == (0, 0)
    clock.now += timedelta(days=1)
    assert ledger.users.failures("address ::1", fading_us=60_000_000) == (0, 0)


def test_the_trail_is_read_backwards_page_by_page_and_shortened(ledger: Ledger) -> None:
    for number in range(5):
        ledger.users.note(replace(DONE, at_us=T + number * DAY, what=f"test.{number}"))
    page = ledger.users.trail(limit=2)
    assert [each.what for each in page] == ["test.4", "test.3"]
    assert [each.what for each in ledger.users.trail(before=page[-1].number, limit=2)] == ["test.2", "test.1"]
    assert (page[0].details, page[0].address) == ({"a": "b"}, "::1")
    assert "\x00" not in page[0].target
    assert ledger.users.shorten(before_us=T + 2 * DAY) == 2
    assert [each.what for each in ledger.users.trail()] == ["test.4", "test.3", "test.2"]


def token(number: str, user: User = ANN, **more: int) -> ApiToken:
    values = {"made_us": T, "ends_us": T + DAY, **more}
    return ApiToken(id=number, user_id=user.id, name=f"token {number}", scope=Scope.READ, made_by=ANN.name, **values)


def test_a_token_ends_by_time_by_hand_and_with_its_user(ledger: Ledger, other: Ledger, clock: Clock) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    ledger.users.add_token(token("1"), "a", DONE, most=2)
    ledger.users.add_token(token("2", BOB), "b", DONE, most=2)
    assert ledger.users.token("a") == (token("1", used_us=T), ANN)
    assert ledger.users.token("no") is None
    clock.now += timedelta(seconds=59)
    seen = ledger.users.token("a")
    assert seen is not None
    assert seen[0].used_us == T, "not written each time"
    clock.now += timedelta(seconds=1)
    seen = other.users.token("a")
    assert seen is not None
    assert seen[0].used_us == T + MINUTE
    ledger.users.change(BOB.name, lambda user: replace(user, disabled_us=T), DONE)
    assert ledger.users.token("b") is None, "its user is let in no more"
    ledger.users.change(BOB.name, lambda user: replace(user, disabled_us=None), DONE)
    assert ledger.users.token("b") is not None
    ledger.users.revoke_token("2", DONE)
    assert ledger.users.token("b") is None
    clock.now = NOW + timedelta(days=1)
    assert ledger.users.token("a") is None
    assert [each.id for each, _ in ledger.users.tokens()] == ["1"], "listed, so that people see why"
    clock.now = NOW + timedelta(days=31)
    ledger.users.add_token(token("3", BOB), "c", DONE, most=2)
    assert [each.id for each, _ in ledger.users.tokens()] == ["3"]


def test_a_new_password_ends_the_tokens_of_its_user_alone_if_told_so(ledger: Ledger) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    ledger.users.add_token(token("1"), "a", DONE, most=2)
    ledger.users.add_token(token("2", BOB), "b", DONE, most=2)
    ledger.users.change(ANN.name, lambda user: user, DONE, password="other")
    assert ledger.users.token("a") is not None
    assert ledger.users.begin_answer("key", "1", "a request") is None
    ledger.users.change(ANN.name, lambda user: user, DONE, password="another", ends_tokens=True)
    assert ledger.users.token("a") is None
    assert ledger.users.token("b") is not None


def test_a_user_has_so_many_tokens_each_with_a_name_of_its_own(ledger: Ledger) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    ledger.users.add_token(token("1"), "a", DONE, most=2)
    with pytest.raises(ConfigError, match="already"):
        ledger.users.add_token(replace(token("1"), id="2"), "b", DONE, most=2)
    ledger.users.add_token(token("2"), "b", DONE, most=2)
    with pytest.raises(ConfigError, match="at most 2"):
        ledger.users.add_token(token("3"), "c", DONE, most=2)
    ledger.users.add_token(token("4", BOB), "d", DONE, most=2)
    assert [each.id for each, _ in ledger.users.tokens(ANN.id)] == ["1", "2"]
    assert [user for _, user in ledger.users.tokens(BOB.id)] == [BOB]


def test_what_lets_nobody_in_any_more_makes_nothing_that_would(ledger: Ledger, other: Ledger) -> None:
    eve = User(id="3", name="eve@example.com", role=Role.ADMIN, added_us=T)
    by_session = Credential(user_id=ANN.id, role=Role.ADMIN, session="a")
    by_token = Credential(user_id=ANN.id, role=Role.ADMIN, token="1")

    def refused(credential: Credential) -> None:
        for make in (
            lambda: ledger.users.add(eve, "hash", DONE, credential=credential),
            lambda: ledger.users.change(BOB.name, lambda user: user, DONE, password="new", credential=credential),
            lambda: ledger.users.add_token(token("9"), "z", DONE, most=9, credential=credential),
        ):
            with pytest.raises(SignInRefusedError, match="signed out before"):
                make()
        assert [each.name for each in ledger.users.listed()] == [ANN.name, BOB.name]
        assert ledger.users.find(BOB.name) == (replace(BOB, role=Role.ADMIN), "hash")
        assert ledger.users.token("z") is None

    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(replace(BOB, role=Role.ADMIN), "hash", DONE)
    ledger.users.begin(session("a"), DONE)
    ledger.users.add_token(token("1"), "x", DONE, most=9, credential=by_session)
    ledger.users.add_token(token("2"), "y", DONE, most=9, credential=by_token)
    other.users.change(ANN.name, lambda user: user, DONE, password="other")
    refused(by_session)
    other.users.change(ANN.name, lambda user: replace(user, role=Role.ANALYST), DONE)
    refused(by_token)
    other.users.change(ANN.name, lambda user: replace(user, role=Role.ADMIN), DONE)
    other.users.change(ANN.name, lambda user: replace(user, disabled_us=T), DONE)
    refused(by_token)
    with pytest.raises(ConfigError, match="is disabled"):
        ledger.users.add_token(token("9"), "z", DONE, most=9)
    other.users.change(ANN.name, lambda user: replace(user, disabled_us=None), DONE)
    other.users.change(ANN.name, lambda user: user, DONE, password="third", ends_tokens=True)
    refused(by_token)


def test_a_request_is_answered_once_and_that_answer_is_kept_for_a_day(
    ledger: Ledger, other: Ledger, clock: Clock
) -> None:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add_token(token("1"), "a", DONE, most=2)
    assert ledger.users.begin_answer("key", "1", "asked") is None
    assert other.users.begin_answer("key", "1", "other") == StoredAnswer(request="asked", status=None, body=None)
    ledger.users.end_answer("key", (201, "{}"))
    assert other.users.begin_answer("key", "1", "asked") == StoredAnswer(request="asked", status=201, body="{}")
    assert ledger.users.begin_answer("failed", "1", "asked") is None
    ledger.users.end_answer("failed", None)
    assert ledger.users.begin_answer("failed", "1", "asked") is None, "nothing came of it"
    clock.now += timedelta(minutes=10)
    assert ledger.users.begin_answer("failed", "1", "asked") is None, "whoever was to answer it died"
    assert ledger.users.begin_answer("key", "1", "asked") is not None
    clock.now += timedelta(days=1)
    assert ledger.users.begin_answer("key", "1", "asked") is None
    ledger.users.revoke_token("1", DONE)
    ledger.users.add_token(token("1"), "a", DONE, most=2)
    assert ledger.users.begin_answer("key", "1", "asked") is None, "they go with their token"


def test_a_token_keeps_so_many_answers(ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_MOST_ANSWERS", 2)
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add_token(token("1"), "a", DONE, most=2)
    for key in ("a", "b", "c"):
        assert ledger.users.begin_answer(key, "1", "asked") is None
        ledger.users.end_answer(key, (201, "{}"))
        clock.now += timedelta(seconds=1)
    assert ledger.users.begin_answer("c", "1", "asked") is not None
    assert ledger.users.begin_answer("b", "1", "asked") is not None
    assert ledger.users.begin_answer("a", "1", "asked") is None
